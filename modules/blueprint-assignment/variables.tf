variable "subscription_id" {
  type        = string
  nullable    = false
  description = "Id of the subscription that the blueprint is assigned to, as a lower-case UUID."

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.subscription_id))
    error_message = "subscription_id must be a lower-case UUID such as 00000000-0000-0000-0000-000000000001. Give the id alone, without \"/subscriptions/\" before it."
  }
}

variable "name" {
  type        = string
  nullable    = false
  description = "Name of the assignment."

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{0,89}$", var.name))
    error_message = "name must be 1 to 90 letters, digits, hyphens or underscores, and must begin with a letter or digit. Use the blueprint's name."
  }
}

variable "location" {
  type        = string
  nullable    = false
  description = "Azure region of the assignment, in lower case and without spaces."

  validation {
    condition     = can(regex("^[a-z0-9]+$", var.location))
    error_message = "location must be the short name of an Azure region, in lower case and without spaces. Write \"westeurope\", not \"West Europe\"."
  }
}

variable "blueprint_version_id" {
  type        = string
  nullable    = false
  description = "ARM id of the published version that is assigned."

  validation {
    condition     = can(regex("^/(providers/Microsoft.Management/managementGroups|subscriptions)/[^/]+/providers/Microsoft.Blueprint/blueprints/[^/]+/versions/[^/]+$", var.blueprint_version_id))
    error_message = "blueprint_version_id must be the ARM id of a blueprint's version: /providers/Microsoft.Management/managementGroups/<group>/providers/Microsoft.Blueprint/blueprints/<name>/versions/<version>. Give the whole id."
  }
}

variable "parameters" {
  type        = any
  nullable    = false
  default     = {}
  description = "Values of the blueprint's parameters by name: only such as the version declares."
}

variable "user_assigned_identity_id" {
  type        = string
  default     = null
  description = "ARM id of the user-assigned identity that deploys; null for a system-assigned one."

  validation {
    condition     = var.user_assigned_identity_id == null || can(regex("^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.ManagedIdentity/userAssignedIdentities/[^/]+$", var.user_assigned_identity_id))
    error_message = "user_assigned_identity_id must be the ARM id of a user-assigned identity: /subscriptions/<id>/resourceGroups/<group>/providers/Microsoft.ManagedIdentity/userAssignedIdentities/<name>. Leave it out for a system-assigned identity."
  }
}

variable "lock_mode" {
  type        = string
  nullable    = false
  default     = "None"
  description = "What the lock on the deployed resources forbids: `None`, `AllResourcesReadOnly` or `AllResourcesDoNotDelete`."

  validation {
    condition     = contains(["None", "AllResourcesReadOnly", "AllResourcesDoNotDelete"], var.lock_mode)
    error_message = "lock_mode must be None, AllResourcesReadOnly or AllResourcesDoNotDelete, written exactly so. Leave it out for no lock."
  }
}

variable "excluded_principals" {
  type        = list(string)
  nullable    = false
  default     = []
  description = "Object ids of at most 5 principals for whom the lock does not hold."

  validation {
    condition     = length(var.excluded_principals) <= 5
    error_message = "excluded_principals must be at most 5 object ids: Azure takes no more. Put people into a group and exclude that."
  }
}

variable "excluded_actions" {
  type        = list(string)
  nullable    = false
  default     = []
  description = "At most 200 actions that the lock does not forbid."

  validation {
    condition     = length(var.excluded_actions) <= 200
    error_message = "excluded_actions must be at most 200 actions: Azure takes no more. Use a wildcard such as Microsoft.Compute/virtualMachines/*/action."
  }
}

variable "attempt" {
  type        = number
  nullable    = false
  default     = 1
  description = "Another number assigns once more although nothing else changes: for after an assignment that failed."

  validation {
    condition     = var.attempt >= 1 && floor(var.attempt) == var.attempt
    error_message = "attempt must be a whole number from 1 on. Count it up to try once more."
  }
}
