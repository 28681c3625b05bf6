mock_provider "azapi" {}

variables {
  subscription_id = "00000000-0000-0000-0000-000000000001"
  name            = "lz"
  location        = "westeurope"
  description     = "lz 1.0"
  template        = { resources = [] }
}

run "a_template_is_written_and_no_link" {
  command = plan

  assert {
    condition     = can(azapi_resource.this.body.properties.template) && !can(azapi_resource.this.body.properties.templateLink)
    error_message = "A template must be written alone."
  }
}

run "a_template_spec_is_linked_and_no_template_written" {
  command = plan

  variables {
    template                 = null
    template_spec_version_id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/specs/providers/Microsoft.Resources/templateSpecs/lz/versions/1.0"
  }

  assert {
    condition     = can(azapi_resource.this.body.properties.templateLink.id) && !can(azapi_resource.this.body.properties.template)
    error_message = "A template spec must be linked alone."
  }
}

run "nothing_is_deleted_unless_it_is_said" {
  command = plan

  assert {
    condition     = azapi_resource.this.delete_query_parameters["unmanageAction.ResourceGroups"][0] == "detach"
    error_message = "What is deployed must stay by default."
  }

  assert {
    condition     = azapi_resource.this.body.properties.denySettings.mode == "none"
    error_message = "Nothing must be denied by default."
  }
}

run "a_further_attempt_is_in_the_description" {
  command = plan

  variables {
    attempt = 3
  }

  assert {
    condition     = azapi_resource.this.body.properties.description == "lz 1.0 (attempt 3)"
    error_message = "Another attempt must be another body."
  }
}

run "both_a_template_and_a_spec_are_refused" {
  command = plan

  variables {
    template_spec_version_id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/specs/providers/Microsoft.Resources/templateSpecs/lz/versions/1.0"
  }

  expect_failures = [var.template]
}

run "a_spec_without_a_version_is_refused" {
  command = plan

  variables {
    template                 = null
    template_spec_version_id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/specs/providers/Microsoft.Resources/templateSpecs/lz"
  }

  expect_failures = [var.template_spec_version_id]
}

run "a_lock_mode_of_another_service_is_refused" {
  command = plan

  variables {
    deny_settings = { mode = "AllResourcesReadOnly" }
  }

  expect_failures = [var.deny_settings]
}

run "an_unknown_action_is_refused" {
  command = plan

  variables {
    action_on_unmanage = { resources = "keep" }
  }

  expect_failures = [var.action_on_unmanage]
}
