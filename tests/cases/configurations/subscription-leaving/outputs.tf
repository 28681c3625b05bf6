output "subscription_id" {
  description = "Subscription of the tenant."
  value       = var.subscription_id
}
