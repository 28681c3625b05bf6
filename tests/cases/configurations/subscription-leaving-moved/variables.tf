variable "subscription_id" {
  description = "Subscription of the tenant, or the parent subscription of its resource group."
  type        = string
  nullable    = false
}

variable "management_group_id" {
  description = "Id of the management group the subscription is placed in."
  type        = string
  nullable    = false
}
