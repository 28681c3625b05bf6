locals {
  start_date = var.start_date == null ? terraform_data.start.output : var.start_date
}

# Azure takes no month that is over for a new budget, so the default is the month in which it is made. Kept here, or each
# month would bring another plan.
resource "terraform_data" "start" {
  input = formatdate("YYYY-MM-01'T'00:00:00'Z'", plantimestamp())

  lifecycle {
    ignore_changes = [input]
  }
}

resource "azapi_resource" "this" {
  type      = "Microsoft.Consumption/budgets@2023-11-01"
  parent_id = var.scope
  name      = var.name

  body = {
    properties = {
      category   = "Cost"
      amount     = var.amount
      timeGrain  = var.time_grain
      timePeriod = merge({ startDate = local.start_date }, var.end_date == null ? {} : { endDate = var.end_date })

      notifications = {
        for name, notification in var.notifications : name => {
          enabled       = true
          operator      = notification.operator
          threshold     = notification.threshold
          thresholdType = notification.threshold_type
          contactEmails = notification.contact_emails
          contactRoles  = notification.contact_roles
          contactGroups = notification.contact_groups
        }
      }
    }
  }

  ignore_casing           = true
  ignore_missing_property = false # the default hides that somebody took a notification away

  # What is sent is decided here; a catalogue of types inside the provider must not refuse or change it by its version.
  schema_validation_enabled = false

  # Cost Management learns of a new subscription some minutes late.
  retry = {
    error_message_regex  = ["AuthorizationFailed", "RBACAccessDenied"]
    interval_seconds     = 10
    max_interval_seconds = 60
  }

  timeouts {
    create = "10m"
  }
}
