variable "subscription_id" {
  type        = string
  nullable    = false
  description = "Id of the subscription that the stack is deployed into, as a lower-case UUID."

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.subscription_id))
    error_message = "subscription_id must be a lower-case UUID such as 00000000-0000-0000-0000-000000000001. Give the id alone, without \"/subscriptions/\" before it."
  }
}

variable "name" {
  type        = string
  nullable    = false
  description = "Name of the stack."

  validation {
    condition     = can(regex("^[-\\w.()]{1,90}$", var.name))
    error_message = "name must be 1 to 90 letters, digits, hyphens, underscores, periods or parentheses. Change the name."
  }
}

variable "location" {
  type        = string
  nullable    = false
  description = "Azure region that the stack is kept in, in lower case and without spaces."

  validation {
    condition     = can(regex("^[a-z0-9]+$", var.location))
    error_message = "location must be the short name of an Azure region, in lower case and without spaces. Write \"westeurope\", not \"West Europe\"."
  }
}

variable "description" {
  type        = string
  nullable    = false
  description = "What is deployed, as name and version: the only place where Azure's reply tells it."

  validation {
    condition     = length(var.description) >= 1 && length(var.description) <= 4096
    error_message = "description must be 1 to 4096 characters. Write name and version of what is deployed."
  }
}

variable "template" {
  type        = any
  default     = null
  description = "ARM template to deploy; null where a template spec is given."

  validation {
    condition     = (var.template == null) != (var.template_spec_version_id == null)
    error_message = "template must be given where there is no template_spec_version_id, and only there. Give one of the two."
  }
}

variable "template_spec_version_id" {
  type        = string
  default     = null
  description = "ARM id of the version of a template spec to deploy; null where a template is given."

  validation {
    condition     = var.template_spec_version_id == null || can(regex("^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.Resources/templateSpecs/[^/]+/versions/[^/]+$", var.template_spec_version_id))
    error_message = "template_spec_version_id must be the ARM id of a template spec's version: /subscriptions/<id>/resourceGroups/<group>/providers/Microsoft.Resources/templateSpecs/<name>/versions/<version>. Give the whole id."
  }
}

variable "parameters" {
  type        = any
  nullable    = false
  default     = {}
  description = "Values of the template's parameters by name: only such as it declares."
}

variable "deny_settings" {
  type = object({
    mode                  = optional(string, "none")
    apply_to_child_scopes = optional(bool, false)
    excluded_principals   = optional(list(string), [])
    excluded_actions      = optional(list(string), [])
  })
  nullable    = false
  default     = {}
  description = "What the stack forbids: `mode` is `none`, `denyDelete` or `denyWriteAndDelete`; at most 5 excluded principals and 200 excluded actions."

  validation {
    condition     = contains(["none", "denyDelete", "denyWriteAndDelete"], var.deny_settings.mode)
    error_message = "The mode of deny_settings must be none, denyDelete or denyWriteAndDelete, written exactly so. Leave it out for none."
  }

  validation {
    condition     = length(var.deny_settings.excluded_principals) <= 5 && length(var.deny_settings.excluded_actions) <= 200
    error_message = "deny_settings must have at most 5 excluded principals and 200 excluded actions: Azure takes no more. Use a group and wildcards."
  }
}

variable "action_on_unmanage" {
  type = object({
    resources       = optional(string, "detach")
    resource_groups = optional(string, "detach")
  })
  nullable    = false
  default     = {}
  description = "What becomes of what the stack has no longer: `detach` leaves it, `delete` deletes it."

  validation {
    condition     = contains(["detach", "delete"], var.action_on_unmanage.resources) && contains(["detach", "delete"], var.action_on_unmanage.resource_groups)
    error_message = "The actions of action_on_unmanage must be detach or delete. Leave them out for detach."
  }
}

variable "attempt" {
  type        = number
  nullable    = false
  default     = 1
  description = "Another number deploys once more although nothing else changes: for after a deployment that failed."

  validation {
    condition     = var.attempt >= 1 && floor(var.attempt) == var.attempt
    error_message = "attempt must be a whole number from 1 on. Count it up to try once more."
  }
}
