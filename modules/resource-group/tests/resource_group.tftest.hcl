# Plans only: prevent_destroy would keep `terraform test` from cleaning up after an apply.
mock_provider "azapi" {}

variables {
  subscription_id = "00000000-0000-0000-0000-000000000001"
  name            = "rg-shop"
  location        = "westeurope"
}

run "the_id_is_known_before_the_group_exists" {
  command = plan

  assert {
    condition     = output.id == "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-shop"
    error_message = "The id must be readable in the first plan."
  }

  assert {
    condition     = output.name == "rg-shop"
    error_message = "The module must give the name of the group."
  }
}

run "a_name_may_hold_letters_of_every_script" {
  command = plan

  variables {
    name = "rg-Größe_(1).日本"
  }
}

run "a_name_does_not_end_with_a_period" {
  command = plan

  variables {
    name = "rg-shop."
  }

  expect_failures = [var.name]
}

run "a_name_has_no_spaces_or_slashes" {
  command = plan

  variables {
    name = "rg shop/1"
  }

  expect_failures = [var.name]
}

run "a_name_is_not_empty" {
  command = plan

  variables {
    name = ""
  }

  expect_failures = [var.name]
}

run "a_name_has_at_most_90_characters" {
  command = plan

  variables {
    name = "a123456789b123456789c123456789d123456789e123456789f123456789g123456789h123456789i123456789j"
  }

  expect_failures = [var.name]
}

run "a_location_is_not_a_display_name" {
  command = plan

  variables {
    location = "West Europe"
  }

  expect_failures = [var.location]
}

run "a_subscription_id_is_a_lower_case_uuid" {
  command = plan

  variables {
    subscription_id = "/subscriptions/00000000-0000-0000-0000-000000000001"
  }

  expect_failures = [var.subscription_id]
}
