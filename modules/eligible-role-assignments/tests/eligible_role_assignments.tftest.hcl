mock_provider "azapi" {
  mock_data "azapi_resource_list" {
    defaults = {
      output = { held = [] }
    }
  }
}

variables {
  scope           = "/subscriptions/00000000-0000-0000-0000-000000000001"
  subscription_id = "00000000-0000-0000-0000-000000000001"
  group_ids       = { admin = "10000000-0000-0000-0000-000000000001" }
  assignments = {
    operators = { group = "admin", role_definition_id = "b24988ac-6180-42a0-ab88-20f7382dd24c" }
  }
}

run "a_group_is_found_by_its_name_and_is_eligible_for_good" {
  command = plan

  assert {
    condition     = azapi_resource_action.request["operators"].body.properties.principalId == "10000000-0000-0000-0000-000000000001"
    error_message = "The group must be found by its name."
  }

  assert {
    condition     = azapi_resource_action.request["operators"].body.properties.scheduleInfo.expiration.type == "NoExpiration"
    error_message = "Without a duration it must not end."
  }
}

run "both_a_group_and_a_principal_are_refused" {
  command = plan

  variables {
    assignments = {
      operators = {
        group              = "admin"
        principal_id       = "10000000-0000-0000-0000-000000000001"
        role_definition_id = "b24988ac-6180-42a0-ab88-20f7382dd24c"
      }
    }
  }

  expect_failures = [var.assignments]
}

run "a_role_by_its_name_is_refused" {
  command = plan

  variables {
    assignments = { operators = { group = "admin", role_definition_id = "Contributor" } }
  }

  expect_failures = [var.assignments]
}

run "hours_are_no_duration" {
  command = plan

  variables {
    assignments = {
      operators = { group = "admin", role_definition_id = "b24988ac-6180-42a0-ab88-20f7382dd24c", duration = "PT8H" }
    }
  }

  expect_failures = [var.assignments]
}
