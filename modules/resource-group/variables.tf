variable "subscription_id" {
  type        = string
  nullable    = false
  description = "Id of the subscription that the resource group lies in, as a lower-case UUID."

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.subscription_id))
    error_message = "subscription_id must be a lower-case UUID such as 00000000-0000-0000-0000-000000000001. Give the id alone, without \"/subscriptions/\" before it."
  }
}

variable "name" {
  type        = string
  nullable    = false
  description = "Name of the resource group."

  validation {
    condition     = can(regex("^[-\\p{L}\\p{N}_().]{0,89}[-\\p{L}\\p{N}_()]$", var.name))
    error_message = "name must be 1 to 90 letters, digits, hyphens, underscores, parentheses or periods, and must not end with a period. Change the name or the name pattern."
  }
}

variable "location" {
  type        = string
  nullable    = false
  description = "Azure region of the resource group, in lower case and without spaces."

  validation {
    condition     = can(regex("^[a-z0-9]+$", var.location))
    error_message = "location must be the short name of an Azure region, in lower case and without spaces. Write \"westeurope\", not \"West Europe\"."
  }
}
