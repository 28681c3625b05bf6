variable "scope" {
  type        = string
  nullable    = false
  description = "ARM id of the subscription or resource group that the roles are for."

  validation {
    condition     = can(regex("^/subscriptions/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(/resourceGroups/[^/]{1,90})?$", var.scope))
    error_message = "scope must be the ARM id of a subscription (/subscriptions/<lower-case UUID>) or of a resource group (/subscriptions/<lower-case UUID>/resourceGroups/<name>). Write it without a slash at its end."
  }
}

variable "subscription_id" {
  type        = string
  nullable    = false
  description = "Id of the subscription that `scope` is or lies in, as a lower-case UUID; role definitions are named through it."

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.subscription_id))
    error_message = "subscription_id must be a lower-case UUID such as 00000000-0000-0000-0000-000000000001. Give the id alone, without \"/subscriptions/\" before it."
  }
}

variable "group_ids" {
  type        = map(string)
  nullable    = false
  default     = {}
  description = "Object ids of groups by the names that `assignments` use for them; may be known only after apply."
}

variable "assignments" {
  type = map(object({
    group              = optional(string)
    principal_id       = optional(string)
    role_definition_id = string
    duration           = optional(string)
    condition          = optional(string)
    justification      = optional(string, "Landing zone")
  }))
  nullable    = false
  description = "Eligible role assignments by a key of their own: who (`group`, a name in `group_ids`, or `principal_id`), which role (`role_definition_id`, the bare GUID), for how long (`duration`, as `P365D`; without it for good) and, if wanted, an ABAC condition."

  validation {
    condition     = alltrue([for assignment in values(var.assignments) : (assignment.group == null) != (assignment.principal_id == null)])
    error_message = "Each assignment must have either group or principal_id. Leave one of them out."
  }

  validation {
    condition     = alltrue([for assignment in values(var.assignments) : can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", assignment.role_definition_id))])
    error_message = "Each role_definition_id must be the bare GUID of a role definition, in lower case, such as b24988ac-6180-42a0-ab88-20f7382dd24c for Contributor. Leave out what stands before the GUID in the full id."
  }

  validation {
    condition     = alltrue([for assignment in values(var.assignments) : assignment.duration == null || can(regex("^P([0-9]+[YMWD])+$", assignment.duration))])
    error_message = "Each duration must be a time in whole days or more as ISO 8601 writes it, such as P365D. Leave it out for an assignment for good."
  }
}
