mock_provider "azapi" {}

variables {
  scope           = "/subscriptions/00000000-0000-0000-0000-000000000001"
  subscription_id = "00000000-0000-0000-0000-000000000001"
  assignments = {
    reader = {
      principal_id       = "aaaaaaaa-0000-0000-0000-000000000001"
      role_definition_id = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
    }
    limited = {
      principal_id       = "aaaaaaaa-0000-0000-0000-000000000001"
      role_definition_id = "f58310d9-a9f6-439a-9e8d-f62e7b41a168"
      condition          = "@Resource[x] StringEquals 'y'"
      description        = "May give the reader role on"
      principal_type     = "User"
    }
  }
}

run "the_role_is_named_through_the_subscription" {
  command = plan

  assert {
    condition     = azapi_resource.this["reader"].body.properties.roleDefinitionId == "/subscriptions/00000000-0000-0000-0000-000000000001/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
    error_message = "Azure answers with the long form; another form is an update in every plan."
  }
}

run "the_name_is_made_of_scope_principal_and_role" {
  command = plan

  assert {
    condition     = azapi_resource.this["reader"].name == uuidv5("url", "/subscriptions/00000000-0000-0000-0000-000000000001|aaaaaaaa-0000-0000-0000-000000000001|acdd72a7-3385-48ef-bd42-f606fba81ae7")
    error_message = "The name must be the same for the same scope, principal and role."
  }
}

run "the_name_does_not_depend_on_the_condition" {
  command = plan

  variables {
    assignments = {
      other_key = {
        principal_id       = "aaaaaaaa-0000-0000-0000-000000000001"
        role_definition_id = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
        condition          = "@Resource[x] StringEquals 'z'"
      }
    }
  }

  assert {
    condition     = azapi_resource.this["other_key"].name == uuidv5("url", "/subscriptions/00000000-0000-0000-0000-000000000001|aaaaaaaa-0000-0000-0000-000000000001|acdd72a7-3385-48ef-bd42-f606fba81ae7")
    error_message = "A change of the condition must be an update, not a replace."
  }
}

run "a_group_is_meant_unless_told_otherwise" {
  command = plan

  assert {
    condition     = azapi_resource.this["reader"].body.properties.principalType == "Group" && azapi_resource.this["limited"].body.properties.principalType == "User"
    error_message = "principal_type must be passed on, Group by default."
  }
}

run "a_condition_goes_with_its_version" {
  command = plan

  assert {
    condition     = azapi_resource.this["limited"].body.properties.condition == "@Resource[x] StringEquals 'y'" && azapi_resource.this["limited"].body.properties.conditionVersion == "2.0"
    error_message = "A condition needs version 2.0."
  }
}

run "without_condition_and_description_null_says_so" {
  command = plan

  assert {
    condition     = toset(keys(azapi_resource.this["reader"].body.properties)) == toset(keys(azapi_resource.this["limited"].body.properties))
    error_message = "azapi takes a body that only loses keys for no change: every key must always be there."
  }

  assert {
    condition     = azapi_resource.this["reader"].body.properties.condition == null && azapi_resource.this["reader"].body.properties.conditionVersion == null
    error_message = "An assignment without a condition must say so with null."
  }
}

run "a_removed_condition_is_seen" {
  command = plan

  assert {
    condition     = azapi_resource.this["limited"].ignore_missing_property == false
    error_message = "With the default a removed condition is invisible."
  }
}

run "a_resource_group_can_be_the_scope" {
  command = plan

  variables {
    scope = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-shop"
  }

  assert {
    condition     = azapi_resource.this["reader"].parent_id == "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-shop"
    error_message = "The assignment must lie on the scope."
  }
}

run "the_ids_come_back_by_the_same_keys" {
  command = apply

  assert {
    condition     = toset(keys(output.assignment_ids)) == toset(["limited", "reader"])
    error_message = "assignment_ids must have the keys of assignments."
  }
}

run "no_assignments_are_fine" {
  command = plan

  variables {
    assignments = {}
  }

  assert {
    condition     = output.assignment_ids == {}
    error_message = "Without assignments there are no ids."
  }
}

run "a_scope_is_a_subscription_or_resource_group" {
  command = plan

  variables {
    scope = "/providers/Microsoft.Management/managementGroups/corp"
  }

  expect_failures = [var.scope]
}

run "a_scope_does_not_end_with_a_slash" {
  command = plan

  variables {
    scope = "/subscriptions/00000000-0000-0000-0000-000000000001/"
  }

  expect_failures = [var.scope]
}

run "the_subscription_is_that_of_the_scope" {
  command = plan

  variables {
    subscription_id = "00000000-0000-0000-0000-000000000002"
  }

  expect_failures = [var.subscription_id]
}

run "a_subscription_id_is_a_lower_case_uuid" {
  command = plan

  variables {
    subscription_id = "main"
  }

  expect_failures = [var.subscription_id]
}

run "a_role_is_named_by_its_bare_guid" {
  command = plan

  variables {
    assignments = {
      reader = {
        principal_id       = "aaaaaaaa-0000-0000-0000-000000000001"
        role_definition_id = "/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
      }
    }
  }

  expect_failures = [var.assignments]
}

run "a_principal_is_named_by_its_object_id" {
  command = plan

  variables {
    assignments = {
      reader = {
        principal_id       = "alice@example.com"
        role_definition_id = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
      }
    }
  }

  expect_failures = [var.assignments]
}

run "a_principal_is_not_null" {
  command = plan

  variables {
    assignments = {
      reader = {
        principal_id       = null
        role_definition_id = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
      }
    }
  }

  expect_failures = [var.assignments]
}

run "a_principal_type_is_one_that_azure_knows" {
  command = plan

  variables {
    assignments = {
      reader = {
        principal_id       = "aaaaaaaa-0000-0000-0000-000000000001"
        role_definition_id = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
        principal_type     = "group"
      }
    }
  }

  expect_failures = [var.assignments]
}

run "an_empty_condition_is_refused" {
  command = plan

  variables {
    assignments = {
      reader = {
        principal_id       = "aaaaaaaa-0000-0000-0000-000000000001"
        role_definition_id = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
        condition          = " "
      }
    }
  }

  expect_failures = [var.assignments]
}

run "one_role_goes_to_one_principal_once" {
  command = plan

  variables {
    assignments = {
      first = {
        principal_id       = "aaaaaaaa-0000-0000-0000-000000000001"
        role_definition_id = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
      }
      second = {
        principal_id       = "aaaaaaaa-0000-0000-0000-000000000001"
        role_definition_id = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
        condition          = "@Resource[x] StringEquals 'y'"
      }
    }
  }

  expect_failures = [var.assignments]
}
