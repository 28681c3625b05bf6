mock_provider "azapi" {}

variables {
  scope  = "/subscriptions/00000000-0000-0000-0000-000000000001"
  amount = 500
}

run "notifications_are_on_and_have_their_defaults" {
  command = plan

  variables {
    notifications = { most = { threshold = 80, contact_emails = ["team@corp.example"] } }
  }

  assert {
    condition     = azapi_resource.this.body.properties.notifications.most.enabled && azapi_resource.this.body.properties.notifications.most.thresholdType == "Actual"
    error_message = "A notification must be on, and about what was spent."
  }
}

run "a_given_start_is_used" {
  command = plan

  variables {
    start_date = "2027-01-01T00:00:00Z"
  }

  assert {
    condition     = azapi_resource.this.body.properties.timePeriod.startDate == "2027-01-01T00:00:00Z"
    error_message = "A given start must be used."
  }
}

run "a_start_within_a_month_is_refused" {
  command = plan

  variables {
    start_date = "2027-01-15T00:00:00Z"
  }

  expect_failures = [var.start_date]
}

run "nothing_is_no_amount" {
  command = plan

  variables {
    amount = 0
  }

  expect_failures = [var.amount]
}

run "a_notification_without_anybody_is_refused" {
  command = plan

  variables {
    notifications = { most = { threshold = 80 } }
  }

  expect_failures = [var.notifications]
}

run "a_management_group_is_no_scope" {
  command = plan

  variables {
    scope = "/providers/Microsoft.Management/managementGroups/corp"
  }

  expect_failures = [var.scope]
}
