mock_provider "azapi" {
  mock_resource "azapi_resource" {
    defaults = {
      output = { client_id = "10000000-0000-0000-0000-000000000001", principal_id = "10000000-0000-0000-0000-000000000002" }
    }
  }
}

variables {
  resource_group_id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-pipeline"
  name              = "deployer"
  location          = "westeurope"
  credentials       = { main = { issuer = "https://token.pipelines.example", subject = "repo:corp/shop:ref:refs/heads/main" } }
}

run "a_credential_is_for_the_exchange_of_tokens" {
  command = plan

  assert {
    condition     = azapi_resource.credential["main"].body.properties.audiences[0] == "api://AzureADTokenExchange"
    error_message = "The audience must be that of the token exchange."
  }
}

run "an_issuer_without_tls_is_refused" {
  command = plan

  variables {
    credentials = { main = { issuer = "http://token.pipelines.example", subject = "x" } }
  }

  expect_failures = [var.credentials]
}

run "a_subscription_is_no_resource_group" {
  command = plan

  variables {
    resource_group_id = "/subscriptions/00000000-0000-0000-0000-000000000001"
  }

  expect_failures = [var.resource_group_id]
}
