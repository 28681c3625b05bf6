mock_provider "azapi" {}

variables {
  scope = "/subscriptions/00000000-0000-0000-0000-000000000001"
  tags  = { "mesh-env" = "prod", "mesh-owner" = "" }
}

run "the_tags_are_laid_over_those_of_the_scope" {
  command = plan

  assert {
    condition     = azapi_update_resource.tags[0].body.properties.tags == tomap({ "mesh-env" = "prod", "mesh-owner" = "" })
    error_message = "The update must carry exactly the wanted tags."
  }

  assert {
    condition     = azapi_update_resource.tags[0].ignore_missing_property == false
    error_message = "With the default a removed tag is invisible."
  }
}

run "the_removal_of_a_tag_depends_on_its_name_only" {
  command = plan

  assert {
    condition     = azapi_resource_action.tag_off["mesh-env"].body.properties.tags == { "mesh-env" = "" }
    error_message = "A body that holds the value would change with it, which azapi 2.12 cannot apply."
  }

  assert {
    condition     = alltrue([for action in azapi_resource_action.tag_off : action.when == "destroy"])
    error_message = "A tag must be removed only when it is dropped."
  }
}

run "without_tags_nothing_is_called" {
  command = plan

  variables {
    tags = {}
  }

  assert {
    condition     = length(azapi_update_resource.tags) == 0 && length(azapi_resource_action.tag_off) == 0
    error_message = "An empty map must need no call."
  }
}

run "the_tags_come_back" {
  command = plan

  assert {
    condition     = output.tags == tomap({ "mesh-env" = "prod", "mesh-owner" = "" })
    error_message = "The module must give the tags that it keeps."
  }
}

run "a_resource_group_can_carry_the_tags" {
  command = plan

  variables {
    scope = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-shop"
  }

  assert {
    condition     = azapi_resource_action.tag_off["mesh-env"].resource_id == "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-shop/providers/Microsoft.Resources/tags/default"
    error_message = "The tags must be those of the scope."
  }
}

run "a_scope_is_a_subscription_or_resource_group" {
  command = plan

  variables {
    scope = "00000000-0000-0000-0000-000000000001"
  }

  expect_failures = [var.scope]
}

run "fifty_tags_are_accepted" {
  command = plan

  variables {
    tags = { for number in range(50) : "tag-${number}" => "x" }
  }
}

run "fifty_one_tags_are_too_many" {
  command = plan

  variables {
    tags = { for number in range(51) : "tag-${number}" => "x" }
  }

  expect_failures = [var.tags]
}

run "a_name_holds_no_character_that_azure_forbids" {
  command = plan

  variables {
    tags = { "a/b" = "x" }
  }

  expect_failures = [var.tags]
}

run "a_name_holds_no_backslash" {
  command = plan

  variables {
    tags = { "a\\b" = "x" }
  }

  expect_failures = [var.tags]
}

run "a_name_holds_no_line_break" {
  command = plan

  variables {
    tags = { "a\nb" = "x" }
  }

  expect_failures = [var.tags]
}

run "a_name_is_not_empty" {
  command = plan

  variables {
    tags = { "" = "x" }
  }

  expect_failures = [var.tags]
}

run "a_name_has_at_most_512_characters" {
  command = plan

  variables {
    tags = { (join("", [for number in range(513) : "a"])) = "x" }
  }

  expect_failures = [var.tags]
}

run "a_name_does_not_begin_with_what_azure_keeps_for_itself" {
  command = plan

  variables {
    tags = { "Azure-env" = "x" }
  }

  expect_failures = [var.tags]
}

run "a_value_has_at_most_256_characters" {
  command = plan

  variables {
    tags = { "mesh-env" = join("", [for number in range(257) : "a"]) }
  }

  expect_failures = [var.tags]
}

run "a_value_is_not_null" {
  command = plan

  variables {
    tags = { "mesh-env" = null }
  }

  expect_failures = [var.tags]
}

run "names_differ_in_more_than_case" {
  command = plan

  variables {
    tags = { "Env" = "x", "env" = "y" }
  }

  expect_failures = [var.tags]
}
