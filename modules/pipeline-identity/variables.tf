variable "resource_group_id" {
  type        = string
  nullable    = false
  description = "ARM id of the resource group that the identity lies in."

  validation {
    condition     = can(regex("^/subscriptions/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/resourceGroups/[^/]{1,90}$", var.resource_group_id))
    error_message = "resource_group_id must be the ARM id of a resource group (/subscriptions/<lower-case UUID>/resourceGroups/<name>). Write it without a slash at its end."
  }
}

variable "name" {
  type        = string
  nullable    = false
  description = "Name of the identity."

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{2,127}$", var.name))
    error_message = "name must be 3 to 128 letters, digits, hyphens or underscores, and must begin with a letter or digit. Change the name or the name pattern."
  }
}

variable "location" {
  type        = string
  nullable    = false
  description = "Azure region of the identity, in lower case and without spaces."

  validation {
    condition     = can(regex("^[a-z0-9]+$", var.location))
    error_message = "location must be the short name of an Azure region, in lower case and without spaces. Write \"westeurope\", not \"West Europe\"."
  }
}

variable "credentials" {
  type = map(object({
    issuer    = string
    subject   = string
    audiences = optional(list(string), ["api://AzureADTokenExchange"])
  }))
  nullable    = false
  default     = {}
  description = "Whose tokens the identity trusts, by the credential's name: `issuer` and `subject` of the pipeline's token."

  validation {
    condition     = length(var.credentials) <= 20
    error_message = "credentials must be at most 20: Azure takes no more for one identity. Make another identity."
  }

  validation {
    condition     = alltrue([for name, credential in var.credentials : can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{2,119}$", name)) && can(regex("^https://", credential.issuer)) && length(credential.subject) > 0])
    error_message = "Each credential must have a name of 3 to 120 letters, digits, hyphens or underscores, an issuer that begins with https://, and a subject. Copy issuer and subject from a token of the pipeline."
  }
}
