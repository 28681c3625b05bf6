variable "management_group_id" {
  type        = string
  nullable    = false
  description = "Id of the management group that the subscription must be in: the id (such as `corp`), not the display name."

  validation {
    condition     = can(regex("^[-A-Za-z0-9_().]{1,90}$", var.management_group_id))
    error_message = "management_group_id must be the id of a management group: 1 to 90 letters, digits, hyphens, underscores, parentheses or periods. Use the id that the portal shows beside the display name, without \"/providers/Microsoft.Management/managementGroups/\" before it."
  }
}

variable "subscription_id" {
  type        = string
  nullable    = false
  description = "Id of the subscription to place, as a lower-case UUID."

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.subscription_id))
    error_message = "subscription_id must be a lower-case UUID such as 00000000-0000-0000-0000-000000000001. Give the id alone, without \"/subscriptions/\" before it."
  }
}
