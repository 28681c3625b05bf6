output "subscription_id" {
  description = "Subscription of the tenant."
  value       = var.subscription_id
}

output "group_ids" {
  description = "Object ids of the groups, by role alias."
  value       = local.group_ids
}
