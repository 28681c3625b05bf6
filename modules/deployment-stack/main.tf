resource "azapi_resource" "this" {
  type      = "Microsoft.Resources/deploymentStacks@2024-03-01"
  parent_id = "/subscriptions/${var.subscription_id}"
  name      = var.name
  location  = var.location

  # merge, and not null for what is left out: the template and its link are only written, and Azure takes no null for them.
  body = {
    properties = merge(
      var.template == null ? {} : { template = var.template },
      var.template_spec_version_id == null ? {} : { templateLink = { id = var.template_spec_version_id } },
      {
        # After a deployment that failed, the state is what the configuration says, and nothing would try again. In the body,
        # and not in a header: with that alone the provider promises the old output and then breaks its promise.
        description = var.attempt == 1 ? var.description : "${var.description} (attempt ${var.attempt})"

        parameters = { for name, value in var.parameters : name => { value = value } }

        actionOnUnmanage = {
          resources        = var.action_on_unmanage.resources
          resourceGroups   = var.action_on_unmanage.resource_groups
          managementGroups = "detach"
        }

        denySettings = {
          mode               = var.deny_settings.mode
          applyToChildScopes = var.deny_settings.apply_to_child_scopes
          excludedPrincipals = var.deny_settings.excluded_principals
          excludedActions    = var.deny_settings.excluded_actions
        }
      }
    )
  }

  ignore_casing = true

  # The default stays: the reply leaves out the template and its link, and with false each plan would want to write them
  # again. So a change of them shows by the description, which the reply has.
  ignore_missing_property = true

  # What is sent is decided here; a catalogue of types inside the provider must not refuse or change it by its version.
  schema_validation_enabled = false

  response_export_values = {
    state     = "properties.provisioningState"
    outputs   = "properties.outputs"
    resources = "properties.resources[].id"
  }

  # These are read from the state when the stack is deleted: a change of them has to be applied before.
  delete_query_parameters = {
    "unmanageAction.Resources"        = [var.action_on_unmanage.resources]
    "unmanageAction.ResourceGroups"   = [var.action_on_unmanage.resource_groups]
    "unmanageAction.ManagementGroups" = ["detach"]
    "bypassStackOutOfSyncError"       = ["true"]
  }

  timeouts {
    create = "90m"
    update = "90m"
    delete = "90m"
  }
}
