mock_provider "azapi" {
  mock_data "azapi_resource_list" {
    defaults = {
      output = { names = [] }
    }
  }
}

variables {
  management_group_id = "corp"
  subscription_id     = "00000000-0000-0000-0000-000000000001"
}

run "every_character_that_azure_allows_in_an_id_is_accepted" {
  command = plan

  variables {
    management_group_id = "A-z_0.(9)"
  }
}

run "a_display_name_is_not_an_id" {
  command = plan

  variables {
    management_group_id = "Corp Landing Zones"
  }

  expect_failures = [var.management_group_id]
}

run "a_full_resource_id_is_not_the_id_of_the_group" {
  command = plan

  variables {
    management_group_id = "/providers/Microsoft.Management/managementGroups/corp"
  }

  expect_failures = [var.management_group_id]
}

run "an_id_is_not_empty" {
  command = plan

  variables {
    management_group_id = ""
  }

  expect_failures = [var.management_group_id]
}

run "an_id_has_at_most_90_characters" {
  command = plan

  variables {
    management_group_id = "a123456789b123456789c123456789d123456789e123456789f123456789g123456789h123456789i123456789j"
  }

  expect_failures = [var.management_group_id]
}

run "a_subscription_id_is_lower_case" {
  command = plan

  variables {
    subscription_id = "ABCDEF00-0000-0000-0000-000000000001"
  }

  expect_failures = [var.subscription_id]
}

run "a_subscription_id_stands_without_a_path" {
  command = plan

  variables {
    subscription_id = "/subscriptions/00000000-0000-0000-0000-000000000001"
  }

  expect_failures = [var.subscription_id]
}
