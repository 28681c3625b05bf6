mock_provider "azapi" {}

variables {
  subscription_id      = "00000000-0000-0000-0000-000000000001"
  name                 = "lz"
  location             = "westeurope"
  blueprint_version_id = "/providers/Microsoft.Management/managementGroups/corp/providers/Microsoft.Blueprint/blueprints/lz/versions/v3"
}

run "parameters_are_wrapped_and_keep_their_types" {
  command = plan

  variables {
    parameters = { owner = "alice", count = 2, zones = ["1", "2"] }
  }

  assert {
    condition     = azapi_resource.this.body.properties.parameters.count.value == 2
    error_message = "A number must stay a number."
  }

  assert {
    condition     = azapi_resource.this.body.properties.parameters.zones.value[1] == "2"
    error_message = "A list must stay a list."
  }
}

run "the_identity_is_system_assigned_unless_one_is_given" {
  command = plan

  assert {
    condition     = azapi_resource.this.identity[0].type == "SystemAssigned"
    error_message = "Without an identity it must be system-assigned."
  }
}

run "a_given_identity_is_used" {
  command = plan

  variables {
    user_assigned_identity_id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/ids/providers/Microsoft.ManagedIdentity/userAssignedIdentities/deployer"
  }

  assert {
    condition     = azapi_resource.this.identity[0].type == "UserAssigned"
    error_message = "A given identity must be used."
  }
}

run "only_a_further_attempt_is_written_down" {
  command = plan

  assert {
    condition     = !can(azapi_resource.this.body.properties.description)
    error_message = "The first attempt must leave the description alone."
  }
}

run "a_further_attempt_changes_the_body" {
  command = plan

  variables {
    attempt = 2
  }

  assert {
    condition     = azapi_resource.this.body.properties.description == "Attempt 2"
    error_message = "Another attempt must be another body."
  }
}

run "a_blueprint_without_a_version_is_refused" {
  command = plan

  variables {
    blueprint_version_id = "/providers/Microsoft.Management/managementGroups/corp/providers/Microsoft.Blueprint/blueprints/lz"
  }

  expect_failures = [var.blueprint_version_id]
}

run "a_lock_mode_of_another_service_is_refused" {
  command = plan

  variables {
    lock_mode = "denyDelete"
  }

  expect_failures = [var.lock_mode]
}

run "a_sixth_excluded_principal_is_refused" {
  command = plan

  variables {
    excluded_principals = ["a", "b", "c", "d", "e", "f"]
  }

  expect_failures = [var.excluded_principals]
}

run "half_an_attempt_is_refused" {
  command = plan

  variables {
    attempt = 1.5
  }

  expect_failures = [var.attempt]
}
