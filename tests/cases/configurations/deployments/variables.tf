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

variable "groups" {
  description = "Entra groups to make, by role alias."
  type = map(object({
    display_name = string
    description  = optional(string, "")
  }))
  nullable = false
}

variable "existing_groups" {
  description = "Object ids of adopted groups, by role alias."
  type        = map(string)
  nullable    = false
}

variable "administrative_unit_id" {
  description = "Administrative unit the groups are put into; null for none."
  type        = string
  default     = null
}

variable "role_assignments" {
  description = "Azure roles of the groups."
  type = map(object({
    group              = string
    role_definition_id = string
    condition          = optional(string)
  }))
  nullable = false
}

variable "resource_groups" {
  description = "Resource groups, by lasting key."
  type = map(object({
    name     = string
    location = string
  }))
  nullable = false
}

variable "tags" {
  description = "Tags owned by the runner."
  type        = map(string)
  nullable    = false
}

variable "blueprints" {
  description = "Blueprint assignments, by name."
  type        = any # the values of parameters differ in type
  nullable    = false
}

variable "deployment_stacks" {
  description = "Deployment stacks, by name."
  type        = any # the values of parameters and templates differ in type
  nullable    = false
}
