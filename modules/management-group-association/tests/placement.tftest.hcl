mock_provider "azapi" {
  mock_data "azapi_resource_list" {
    defaults = {
      output = { names = ["99999999-0000-0000-0000-00000000000A", "ABCDEF00-0000-0000-0000-000000000001"] }
    }
  }
}

variables {
  management_group_id = "corp"
  subscription_id     = "abcdef00-0000-0000-0000-000000000001"
}

run "a_subscription_is_put_on_the_wanted_group" {
  command = plan

  assert {
    condition     = azapi_resource_action.place.resource_id == "/providers/Microsoft.Management/managementGroups/corp/subscriptions/abcdef00-0000-0000-0000-000000000001"
    error_message = "The action must go to the association of the subscription with the group."
  }

  assert {
    condition     = azapi_resource_action.place.method == "PUT"
    error_message = "Only PUT moves a subscription without passing through the root group."
  }
}

run "an_id_in_other_case_is_the_same_subscription" {
  command = plan

  assert {
    condition     = terraform_data.placement.input == "in place"
    error_message = "A subscription that Azure lists in upper case is in place."
  }
}

run "a_placement_that_is_read_back_succeeds" {
  command = apply

  assert {
    condition     = output.management_group_id == "corp"
    error_message = "The module must give the id of the group."
  }
}

run "an_apply_that_did_not_move_the_subscription_fails" {
  command = apply

  override_data {
    target = data.azapi_resource_list.before
    values = {
      output = { names = [] }
    }
  }

  override_data {
    target = data.azapi_resource_list.after
    values = {
      output = { names = ["99999999-0000-0000-0000-00000000000a"] }
    }
  }

  expect_failures = [data.azapi_resource_list.after]
}
