mock_provider "azapi" {
  mock_data "azapi_resource_action" {
    defaults = {
      output = { state = "NotRegistered" }
    }
  }
}

variables {
  subscription_id = "00000000-0000-0000-0000-000000000001"
  namespaces      = ["Microsoft.Web"]
}

run "each_namespace_is_registered" {
  command = plan

  assert {
    condition     = azapi_resource_action.register["Microsoft.Web"].action == "providers/Microsoft.Web/register"
    error_message = "The provider must be registered."
  }
}

run "a_resource_type_is_no_namespace" {
  command = plan

  variables {
    namespaces = ["Microsoft.Web/sites"]
  }

  expect_failures = [var.namespaces]
}
