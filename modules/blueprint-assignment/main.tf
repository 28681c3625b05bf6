resource "azapi_resource" "this" {
  type      = "Microsoft.Blueprint/blueprintAssignments@2018-11-01-preview"
  parent_id = "/subscriptions/${var.subscription_id}"
  name      = var.name
  location  = var.location

  identity {
    type         = var.user_assigned_identity_id == null ? "SystemAssigned" : "UserAssigned"
    identity_ids = var.user_assigned_identity_id == null ? [] : [var.user_assigned_identity_id]
  }

  body = {
    properties = merge(
      {
        blueprintId    = var.blueprint_version_id
        parameters     = { for name, value in var.parameters : name => { value = value } }
        resourceGroups = {} # required, also where there is nothing to say: names and locations are the blueprint's own

        locks = {
          mode               = var.lock_mode
          excludedPrincipals = var.excluded_principals
          excludedActions    = var.excluded_actions
        }
      },

      # After an assignment that failed, the state is what the configuration says, and nothing would try again. In the body,
      # and not in a header: with that alone the provider promises the old output and then breaks its promise.
      var.attempt == 1 ? {} : { description = "Attempt ${var.attempt}" }
    )
  }

  ignore_casing           = true
  ignore_missing_property = false # the default hides that somebody took an exception or a parameter away

  # What is sent is decided here; a catalogue of types inside the provider must not refuse or change it by its version.
  schema_validation_enabled = false

  response_export_values = { state = "properties.provisioningState" }

  # Azure Blueprints needs Owner on the subscription, and a role that was given just now takes a while to be known.
  retry = {
    error_message_regex  = ["AuthorizationFailed", "PrincipalNotFound"]
    interval_seconds     = 10
    max_interval_seconds = 60
  }

  timeouts {
    create = "90m"
    update = "90m"
    delete = "90m"
  }
}
