variable "groups" {
  type = map(object({
    display_name = string
    description  = optional(string, "")
  }))
  nullable    = false
  description = "Groups to keep, keyed by the alias of the role whose people they hold."

  validation {
    condition     = alltrue([for group in values(var.groups) : try(length(group.display_name) >= 1 && length(group.display_name) <= 256, false)])
    error_message = "Each group must have a display_name of 1 to 256 characters. Shorten or complete the group name pattern."
  }

  validation {
    condition     = length(distinct([for key, group in var.groups : try(lower(group.display_name), key)])) == length(var.groups)
    error_message = "Each group must have a display_name of its own; names that differ only in case count as equal. Make the role's alias or group suffix part of the group name pattern."
  }
}

variable "administrative_unit_id" {
  type        = string
  default     = null
  description = "Object id of the administrative unit that the groups belong to; null for none."

  validation {
    condition     = var.administrative_unit_id == null || can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.administrative_unit_id))
    error_message = "administrative_unit_id must be the object id of an administrative unit, a lower-case UUID such as 00000000-0000-0000-0000-000000000001, or null. Its display name does not do."
  }
}
