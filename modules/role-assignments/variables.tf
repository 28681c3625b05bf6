variable "scope" {
  type        = string
  nullable    = false
  description = "ARM id of the subscription or resource group that the roles are given on."

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

  validation {
    condition     = startswith("${var.scope}/", "/subscriptions/${var.subscription_id}/")
    error_message = "subscription_id must be the subscription that scope is or lies in. Give both the same id."
  }
}

variable "assignments" {
  type = map(object({
    principal_id       = string
    role_definition_id = string
    condition          = optional(string)
    description        = optional(string)
    principal_type     = optional(string, "Group")
  }))
  nullable    = false
  description = "Role assignments by a key of their own: who (`principal_id`, may be known only after apply), which role (`role_definition_id`, the bare GUID) and, if wanted, an ABAC condition."

  validation {
    condition     = alltrue([for assignment in values(var.assignments) : can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", assignment.role_definition_id))])
    error_message = "Each role_definition_id must be the bare GUID of a role definition, in lower case, such as b24988ac-6180-42a0-ab88-20f7382dd24c for Contributor. Leave out what stands before the GUID in the full id."
  }

  validation {
    condition     = alltrue([for assignment in values(var.assignments) : can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", assignment.principal_id))])
    error_message = "Each principal_id must be the object id of a group, user or service principal, a lower-case UUID. Use the object id that Entra shows, not a name, a mail address or an application (client) id."
  }

  validation {
    condition     = alltrue([for assignment in values(var.assignments) : contains(["Group", "ServicePrincipal", "User"], assignment.principal_type)])
    error_message = "Each principal_type must be Group, ServicePrincipal or User, written exactly so. Leave it out for a group."
  }

  validation {
    condition     = alltrue([for assignment in values(var.assignments) : assignment.condition == null || try(length(trimspace(assignment.condition)) > 0, false)])
    error_message = "Each condition must be an ABAC expression. Leave the condition out for an assignment without one: an empty text gives the role without any condition."
  }

  validation {
    condition     = length(distinct([for key, assignment in var.assignments : try("${assignment.principal_id}|${assignment.role_definition_id}", key)])) == length(var.assignments)
    error_message = "Each assignment must give another role or go to another principal: Azure allows one assignment of a role to a principal on a scope. Remove the one that is listed twice, or join their conditions."
  }
}
