mock_provider "azuread" {
  mock_data "azuread_client_config" {
    defaults = {
      object_id = "aaaaaaaa-0000-0000-0000-000000000001"
    }
  }
}

variables {
  groups = {
    admin  = { display_name = "dev.shop-admin" }
    reader = { display_name = "dev.shop-reader", description = "May look" }
  }
}

run "each_group_is_a_security_group_of_a_name_of_its_own" {
  command = plan

  assert {
    condition     = alltrue([for group in azuread_group_without_members.this : group.security_enabled && group.prevent_duplicate_names])
    error_message = "Every group must be a security group whose name nobody else has."
  }
}

run "the_caller_owns_each_group" {
  command = plan

  assert {
    condition     = alltrue([for group in azuread_group_without_members.this : group.owners == toset(["aaaaaaaa-0000-0000-0000-000000000001"])])
    error_message = "The caller must be the owner of every group."
  }
}

run "a_description_is_sent_only_when_there_is_one" {
  command = plan

  assert {
    condition     = azuread_group_without_members.this["reader"].description == "May look" && azuread_group_without_members.this["admin"].description == null
    error_message = "An empty description must be left out."
  }
}

run "groups_can_belong_to_an_administrative_unit" {
  command = plan

  variables {
    administrative_unit_id = "bbbbbbbb-0000-0000-0000-000000000001"
  }

  assert {
    condition     = azuread_group_without_members.this["admin"].administrative_unit_ids == toset(["bbbbbbbb-0000-0000-0000-000000000001"])
    error_message = "Every group must be made inside the administrative unit."
  }
}

run "the_ids_come_back_by_the_same_keys" {
  command = apply

  assert {
    condition     = output.group_ids == { for key, group in azuread_group_without_members.this : key => group.object_id }
    error_message = "group_ids must have the keys of groups."
  }
}

run "no_groups_are_fine" {
  command = plan

  variables {
    groups = {}
  }

  assert {
    condition     = output.group_ids == {}
    error_message = "Without groups there are no ids."
  }
}

run "names_that_differ_only_in_case_are_equal" {
  command = plan

  variables {
    groups = {
      admin  = { display_name = "dev.shop" }
      reader = { display_name = "DEV.shop" }
    }
  }

  expect_failures = [var.groups]
}

run "a_name_is_not_empty" {
  command = plan

  variables {
    groups = { admin = { display_name = "" } }
  }

  expect_failures = [var.groups]
}

run "a_name_is_not_null" {
  command = plan

  variables {
    groups = { admin = { display_name = null } }
  }

  expect_failures = [var.groups]
}

run "a_name_has_at_most_256_characters" {
  command = plan

  variables {
    groups = { admin = { display_name = join("", [for number in range(257) : "a"]) } }
  }

  expect_failures = [var.groups]
}

run "an_administrative_unit_is_named_by_its_object_id" {
  command = plan

  variables {
    administrative_unit_id = "Landing Zones"
  }

  expect_failures = [var.administrative_unit_id]
}
