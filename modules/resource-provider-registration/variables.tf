variable "subscription_id" {
  type        = string
  nullable    = false
  description = "Id of the subscription in which providers are registered, as a lower-case UUID."

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.subscription_id))
    error_message = "subscription_id must be a lower-case UUID such as 00000000-0000-0000-0000-000000000001. Give the id alone, without \"/subscriptions/\" before it."
  }
}

variable "namespaces" {
  type        = set(string)
  nullable    = false
  description = "Namespaces of the resource providers, as `Microsoft.ContainerService`."

  validation {
    condition     = alltrue([for namespace in var.namespaces : can(regex("^[A-Za-z0-9]+(\\.[A-Za-z0-9]+)+$", namespace))])
    error_message = "Each of the namespaces must be that of a resource provider, such as Microsoft.ContainerService. Leave out what follows a slash."
  }
}
