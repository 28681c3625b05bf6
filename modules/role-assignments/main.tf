locals {
  subscription = "/subscriptions/${var.subscription_id}"
}

resource "azapi_resource" "this" {
  for_each = var.assignments

  type      = "Microsoft.Authorization/roleAssignments@2022-04-01"
  parent_id = var.scope

  # Azure allows changing neither principal nor role of an assignment; in the name, a change of them is a clean replace.
  # The same three always give the same name, so that a lost state is found again and not doubled.
  name = uuidv5("url", lower("${var.scope}|${each.value.principal_id}|${each.value.role_definition_id}"))

  # null says "none" and is compared like any other value. A key that is left out is not: azapi takes a body that only
  # loses keys for no change, and a condition that is no longer wanted would stay.
  body = {
    properties = {
      principalId      = each.value.principal_id
      principalType    = each.value.principal_type # or Azure looks up a principal that may not be replicated yet
      condition        = each.value.condition
      conditionVersion = each.value.condition == null ? null : "2.0"
      description      = each.value.description

      # The form that Azure answers with. The one without subscription comes back with it: an update in every plan.
      roleDefinitionId = "${local.subscription}/providers/Microsoft.Authorization/roleDefinitions/${each.value.role_definition_id}"
    }
  }

  ignore_casing           = true
  ignore_missing_property = false # the default hides that somebody removed a condition

  # What is sent is decided here; a catalogue of types inside the provider must not refuse or change it by its version.
  schema_validation_enabled = false

  # A group made in the same run is not known to every region of Azure at once.
  retry = {
    error_message_regex  = ["PrincipalNotFound"]
    interval_seconds     = 5
    max_interval_seconds = 30
  }

  timeouts {
    create = "10m"
  }
}
