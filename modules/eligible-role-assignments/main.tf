locals {
  requests     = "${var.scope}/providers/Microsoft.Authorization/roleEligibilityScheduleRequests"
  type         = "Microsoft.Authorization/roleEligibilityScheduleRequests@2020-10-01"
  subscription = "/subscriptions/${var.subscription_id}"

  wanted = {
    for key, assignment in var.assignments : key => {
      principal_id       = assignment.group == null ? assignment.principal_id : var.group_ids[assignment.group]
      role_definition_id = "${local.subscription}/providers/Microsoft.Authorization/roleDefinitions/${assignment.role_definition_id}"
      condition          = assignment.condition
      duration           = assignment.duration
      justification      = assignment.justification
    }
  }

  # Role definitions are compared by their GUIDs: Azure names them through whatever scope it likes.
  held = [
    for instance in data.azapi_resource_list.eligible.output.held :
    lower("${instance.principal}|${reverse(split("/", instance.role))[0]}")
  ]
  is_held = {
    for key, assignment in var.assignments :
    key => contains(local.held, lower("${local.wanted[key].principal_id}|${assignment.role_definition_id}"))
  }
}

data "azapi_resource_list" "eligible" {
  type                   = "Microsoft.Authorization/roleEligibilityScheduleInstances@2020-10-01"
  parent_id              = var.scope
  query_parameters       = { "$filter" = ["atScope()"] }
  response_export_values = { held = "value[].{principal: properties.principalId, role: properties.roleDefinitionId}" }
}

# Gives each request a name of its own. An eligibility that is wanted and not there (it ran out, or somebody took it away)
# makes the last part unknown while planning, and so another request; afterwards it is always the same word.
resource "terraform_data" "request" {
  for_each = var.assignments

  triggers_replace = [
    local.wanted[each.key].principal_id,
    each.value.role_definition_id,
    each.value.condition,
    each.value.duration,
    local.is_held[each.key] ? "held" : replace(timestamp(), "/^.*$/", "held"),
  ]
}

# Follows on the principal and the role alone: what is eligible again only because it ran out must not be removed before.
resource "terraform_data" "removal" {
  for_each = var.assignments

  triggers_replace = [local.wanted[each.key].principal_id, each.value.role_definition_id]
}

# Takes the eligibility away; no call until it is destroyed. The body depends on what makes a new resource only: the provider
# fails an apply that changes the body of such an action in place.
resource "azapi_resource_action" "remove" {
  for_each = var.assignments

  type        = local.type
  resource_id = "${local.requests}/${uuidv5("url", terraform_data.removal[each.key].id)}"
  method      = "PUT"
  when        = "destroy"

  body = {
    properties = {
      principalId      = local.wanted[each.key].principal_id
      roleDefinitionId = local.wanted[each.key].role_definition_id
      requestType      = "AdminRemove"
    }
  }

  lifecycle {
    replace_triggered_by = [terraform_data.removal[each.key]]
    ignore_changes       = [body, resource_id]
  }
}

# A request is made once, and Azure keeps it. So it is an action, made anew under another name where something changes.
resource "azapi_resource_action" "request" {
  for_each = var.assignments

  type        = local.type
  resource_id = "${local.requests}/${terraform_data.request[each.key].id}"
  method      = "PUT"

  body = {
    properties = {
      principalId      = local.wanted[each.key].principal_id
      roleDefinitionId = local.wanted[each.key].role_definition_id
      requestType      = local.is_held[each.key] ? "AdminUpdate" : "AdminAssign"
      justification    = each.value.justification
      condition        = each.value.condition
      conditionVersion = each.value.condition == null ? null : "2.0"

      scheduleInfo = {
        expiration = {
          type     = each.value.duration == null ? "NoExpiration" : "AfterDuration"
          duration = each.value.duration
        }
      }
    }
  }

  # A group made in the same run is not known to every region of Azure at once.
  retry = {
    error_message_regex  = ["PrincipalNotFound", "SubjectNotFound"]
    interval_seconds     = 5
    max_interval_seconds = 30
  }

  timeouts {
    create = "10m"
  }

  lifecycle {
    replace_triggered_by = [terraform_data.request[each.key]]
    ignore_changes       = [body, resource_id]
  }

  depends_on = [azapi_resource_action.remove]
}
