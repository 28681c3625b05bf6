variable "scope" {
  type        = string
  nullable    = false
  description = "ARM id of the subscription or resource group that the budget is for."

  validation {
    condition     = can(regex("^/subscriptions/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(/resourceGroups/[^/]{1,90})?$", var.scope))
    error_message = "scope must be the ARM id of a subscription (/subscriptions/<lower-case UUID>) or of a resource group (/subscriptions/<lower-case UUID>/resourceGroups/<name>). Write it without a slash at its end."
  }
}

variable "name" {
  type        = string
  nullable    = false
  default     = "monthly"
  description = "Name of the budget."

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,63}$", var.name))
    error_message = "name must be 1 to 63 letters, digits, hyphens or underscores. Change the name."
  }
}

variable "amount" {
  type        = number
  nullable    = false
  description = "Amount of the budget in the currency of the invoice."

  validation {
    condition     = var.amount > 0
    error_message = "amount must be above 0. Give the amount for one period."
  }
}

variable "time_grain" {
  type        = string
  nullable    = false
  default     = "Monthly"
  description = "The period that the amount is for: `Monthly`, `Quarterly` or `Annually`."

  validation {
    condition     = contains(["Monthly", "Quarterly", "Annually"], var.time_grain)
    error_message = "time_grain must be Monthly, Quarterly or Annually, written exactly so. Leave it out for a month."
  }
}

variable "start_date" {
  type        = string
  default     = null
  description = "First of a month from which the budget counts, as 2027-01-01T00:00:00Z; null for the month in which it is made."

  validation {
    condition     = var.start_date == null || can(regex("^[0-9]{4}-[0-9]{2}-01T00:00:00Z$", var.start_date))
    error_message = "start_date must be the first of a month, such as 2027-01-01T00:00:00Z. Leave it out for this month."
  }
}

variable "end_date" {
  type        = string
  default     = null
  description = "When the budget ends, as 2027-12-31T00:00:00Z; null for ten years, which is Azure's default."

  validation {
    condition     = var.end_date == null || can(regex("^[0-9]{4}-[0-9]{2}-[0-9]{2}T00:00:00Z$", var.end_date))
    error_message = "end_date must be a day, such as 2027-12-31T00:00:00Z. Leave it out for a budget that goes on."
  }
}

variable "notifications" {
  type = map(object({
    threshold      = number
    operator       = optional(string, "GreaterThan")
    threshold_type = optional(string, "Actual")
    contact_emails = optional(list(string), [])
    contact_roles  = optional(list(string), [])
    contact_groups = optional(list(string), [])
  }))
  nullable    = false
  default     = {}
  description = "Who is told at which percentage, by a name of its own: at most 5, each with `contact_emails`, `contact_roles` (as `Owner`) or `contact_groups` (ids of action groups)."

  validation {
    condition     = length(var.notifications) <= 5
    error_message = "notifications must be at most 5: Azure takes no more. Join those with the same threshold."
  }

  validation {
    condition     = alltrue([for notification in values(var.notifications) : notification.threshold > 0 && notification.threshold <= 1000])
    error_message = "Each threshold must be a percentage above 0 and up to 1000. Write 80 for 80 %."
  }

  validation {
    condition     = alltrue([for notification in values(var.notifications) : length(notification.contact_emails) + length(notification.contact_roles) + length(notification.contact_groups) > 0])
    error_message = "Each notification must have somebody to tell. Give contact_emails, contact_roles or contact_groups."
  }

  validation {
    condition     = alltrue([for notification in values(var.notifications) : contains(["Actual", "Forecasted"], notification.threshold_type) && contains(["EqualTo", "GreaterThan", "GreaterThanOrEqualTo"], notification.operator)])
    error_message = "Each threshold_type must be Actual or Forecasted, and each operator EqualTo, GreaterThan or GreaterThanOrEqualTo. Leave them out for Actual and GreaterThan."
  }
}
