variable "scope" {
  type        = string
  nullable    = false
  description = "ARM id of the subscription or resource group that carries the tags."

  validation {
    condition     = can(regex("^/subscriptions/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(/resourceGroups/[^/]{1,90})?$", var.scope))
    error_message = "scope must be the ARM id of a subscription (/subscriptions/<lower-case UUID>) or of a resource group (/subscriptions/<lower-case UUID>/resourceGroups/<name>). Write it without a slash at its end."
  }
}

variable "tags" {
  type        = map(string)
  nullable    = false
  description = "Tags to keep on `scope`, name to value. Tags that are not listed are left alone; tags that were listed before are removed."

  validation {
    condition     = length(var.tags) <= 50
    error_message = "tags must hold at most 50 tags, as many as Azure keeps on one scope. Map fewer tags."
  }

  validation {
    condition     = alltrue([for name in keys(var.tags) : can(regex("^[^<>%&\\\\?/[:cntrl:]]{1,512}$", name))])
    error_message = "Each tag name must be 1 to 512 characters without <, >, %, &, \\, ?, / and without control characters. Rename the tag."
  }

  validation {
    condition     = alltrue([for name in keys(var.tags) : !can(regex("(?i)^(microsoft|azure|windows)", name))])
    error_message = "A tag name must not begin with microsoft, azure or windows, in any case: Azure keeps these for itself. Put a prefix of your own before it."
  }

  validation {
    condition     = alltrue([for value in values(var.tags) : try(length(value) <= 256, false)])
    error_message = "Each tag value must be a text of at most 256 characters (it may be empty, not null). Shorten it."
  }

  validation {
    condition     = length(distinct([for name in keys(var.tags) : lower(name)])) == length(var.tags)
    error_message = "Tag names must differ in more than case: Azure keeps one tag for \"Env\" and \"env\". Remove one of them."
  }
}
