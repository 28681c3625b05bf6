locals {
  type         = "Microsoft.Resources/subscriptions@2022-12-01"
  subscription = "/subscriptions/${var.subscription_id}"
  registered   = { for namespace, provider in data.azapi_resource_action.before : namespace => contains(["Registered", "Registering"], provider.output.state) }
}

data "azapi_resource_action" "before" {
  for_each = var.namespaces

  type                   = local.type
  resource_id            = local.subscription
  action                 = "providers/${each.key}"
  method                 = "GET"
  response_export_values = { state = "registrationState" }
}

# The only thing that may show a change while a provider is not registered: timestamp() is unknown while planning, so then an
# update is planned, and applying it always yields the same word.
resource "terraform_data" "registration" {
  for_each = var.namespaces

  input = local.registered[each.key] ? "registered" : replace(timestamp(), "/^.*$/", "registered")
}

# Azure answers at once and registers within minutes. Nobody waits for that: what needs the provider is refused until then with
# an error that says so, and an action makes no call when it is destroyed, so nothing is ever unregistered.
resource "azapi_resource_action" "register" {
  for_each = var.namespaces

  type        = local.type
  resource_id = local.subscription
  action      = "providers/${each.key}/register"
  method      = "POST"

  lifecycle {
    replace_triggered_by = [terraform_data.registration[each.key]]
  }
}
