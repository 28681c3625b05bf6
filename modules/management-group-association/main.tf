locals {
  type  = "Microsoft.Management/managementGroups/subscriptions@2020-05-01"
  group = "/providers/Microsoft.Management/managementGroups/${var.management_group_id}"

  names    = { names = "not_null(value, `[]`)[].name" } # Azure answers null for a group without subscriptions
  uncached = { "Cache-Control" = "no-cache" }           # a cached reply may show the place before the last move

  in_place = contains([for name in data.azapi_resource_list.before.output.names : lower(name)], var.subscription_id)
}

data "azapi_resource_list" "before" {
  type                   = local.type
  parent_id              = local.group
  headers                = local.uncached
  response_export_values = local.names
}

# The only thing that may show a change while the subscription is elsewhere. timestamp() is unknown while planning, so
# then the input is unknown too and an update is planned; applying it always yields the same words, so that the next
# plan is empty. A plain `input = local.in_place` would show one more change after every placement.
resource "terraform_data" "placement" {
  input = local.in_place ? "in place" : replace(timestamp(), "/^.*$/", "in place")
}

# PUT on the wanted group moves the subscription out of whatever group it is in. An action and not an azapi_resource:
# that one would DELETE the old association first, and the subscription would pass through the root group, outside the
# policies and roles of both groups. An action makes no call when it is destroyed.
resource "azapi_resource_action" "place" {
  type        = local.type
  resource_id = "${local.group}/subscriptions/${var.subscription_id}"
  method      = "PUT"

  # Rights on a new subscription, and a move that has just been made, take some minutes to reach every region.
  retry = {
    error_message_regex  = ["AuthorizationFailed", "Conflict"]
    interval_seconds     = 10
    max_interval_seconds = 60
  }

  timeouts {
    create = "10m"
    update = "10m"
  }

  lifecycle {
    replace_triggered_by = [terraform_data.placement]
  }
}

# An action keeps nothing that a later plan could compare, and its reply is not proof of the place: read it back. With
# nothing to place this is one more GET of the plan; after a placement it is read during the apply, which fails here.
data "azapi_resource_list" "after" {
  type                   = local.type
  parent_id              = local.group
  headers                = local.uncached
  response_export_values = local.names

  depends_on = [azapi_resource_action.place]

  lifecycle {
    postcondition {
      condition     = contains([for name in self.output.names : lower(name)], var.subscription_id)
      error_message = "Subscription ${var.subscription_id} must be in management group \"${var.management_group_id}\", but Azure does not list it there. If it was placed just now, plan again in some minutes: an empty plan means that the place has settled. Otherwise somebody has moved it: the next plan shows that and moves it back, and the activity log of the management group says who it was."
    }
  }
}
