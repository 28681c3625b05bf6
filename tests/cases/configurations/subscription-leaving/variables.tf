variable "subscription_id" {
  description = "Subscription of the tenant, or the parent subscription of its resource group."
  type        = string
  nullable    = false
}
