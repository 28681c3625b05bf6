"""A whole tenant on the sandbox's own emulator: made, left alone, drifted, healed, unmade, with faults on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.sandbox.azure.server import Sandbox
from tests.sandbox_provider.engine import Workspace, workspace

TENANT = "7d3f0c52-1111-4a6e-9c55-2a4b6f1d0001"
CLIENT = "7d3f0c52-aaaa-4a6e-9c55-2a4b6f1d0001"
SUBSCRIPTION = "4f1c2d30-0000-4000-8000-000000000001"
SUB = f"/subscriptions/{SUBSCRIPTION}"
CREDENTIALS = {"ARM_TENANT_ID": TENANT, "ARM_CLIENT_ID": CLIENT, "ARM_CLIENT_SECRET": "sandbox-runner-secret"}

CONFIGURATION = f"""
resource "azapi_resource" "rg" {{
  type                      = "Microsoft.Resources/resourceGroups@2022-09-01"
  parent_id                 = "{SUB}"
  name                      = "rg-checkout"
  location                  = "westeurope"
  tags                      = {{ owner = "ada" }}
  schema_validation_enabled = false
}}
resource "azapi_resource_action" "tag_off" {{
  for_each    = toset(["stage"])
  type        = "Microsoft.Resources/tags@2021-04-01"
  resource_id = "{SUB}/providers/Microsoft.Resources/tags/default"
  method      = "PATCH"
  when        = "destroy"
  body        = {{ operation = "Delete", properties = {{ tags = {{ (each.key) = "" }} }} }}
}}
resource "azapi_update_resource" "tags" {{
  type                    = "Microsoft.Resources/tags@2021-04-01"
  parent_id               = "{SUB}"
  name                    = "default"
  ignore_missing_property = false
  body                    = {{ properties = {{ tags = {{ stage = "dev" }} }} }}
  depends_on              = [azapi_resource_action.tag_off]
}}
resource "azuread_group_without_members" "owners" {{
  display_name            = "checkout-owners"
  security_enabled        = true
  prevent_duplicate_names = true
}}
resource "azapi_resource" "ra" {{
  type                      = "Microsoft.Authorization/roleAssignments@2022-04-01"
  parent_id                 = "{SUB}"
  name                      = uuidv5("url", "{SUB}|checkout-owners")
  schema_validation_enabled = false
  ignore_missing_property   = false
  body = {{ properties = {{
    principalId      = azuread_group_without_members.owners.object_id
    principalType    = "Group"
    roleDefinitionId = "{SUB}/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
  }} }}
  retry = {{ error_message_regex = ["PrincipalNotFound"], interval_seconds = 1 }}
}}
"""


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "sandbox") as running:
        yield running


@pytest.fixture
def tenant(tmp_path: Path, mirror: Path, sandbox: Sandbox) -> Workspace:
    environment = sandbox.engine_environment() | CREDENTIALS | {"LZR_SANDBOX_URL": sandbox.url}
    return workspace(tmp_path, mirror, environment)


def test_a_tenant_is_made_left_alone_healed_and_unmade(tenant: Workspace, sandbox: Sandbox) -> None:
    tenant.write(CONFIGURATION)
    ran = tenant.apply()
    assert ran.code == 0, ran.output
    assert tenant.plan().code == 0
    sandbox.drift(
        "PUT",
        f"{SUB}/resourceGroups/rg-checkout?api-version=2022-09-01",
        {"location": "westeurope", "tags": {"owner": "bo"}},
    )
    assert tenant.plan().code == 2
    assert tenant.actions() == {"azapi_resource.rg": ["update"]}
    assert tenant.apply().code == 0
    assert tenant.plan().code == 0
    ran = tenant.destroy()
    assert ran.code == 0, ran.output


def test_a_slow_throttled_and_forgetful_azure_makes_no_difference(tenant: Workspace, sandbox: Sandbox) -> None:
    sandbox.faults.load(
        [
            {"kind": "lag", "of": "groups", "hiddenFrom": "roleAssignments", "reads": 1},
            {"kind": "throttle", "method": "PUT", "path": "resourceGroups", "times": 1},
            {"kind": "drop", "method": "PUT", "path": "tags/default", "when": "after", "times": 1},
            {"kind": "operation", "method": "PUT", "path": "resourceGroups", "polls": 2, "times": 1},
        ]
    )
    tenant.write(CONFIGURATION)
    ran = tenant.apply()
    assert ran.code == 0, ran.output
    assert tenant.plan().code == 0


def test_a_managed_identity_makes_a_tenant_as_well(tenant: Workspace, sandbox: Sandbox) -> None:
    tenant.environment |= {"ARM_CLIENT_SECRET": "", "ARM_USE_MSI": "true"}
    tenant.write(CONFIGURATION)
    ran = tenant.apply()
    assert ran.code == 0, ran.output


def test_a_wrong_secret_is_a_diagnostic_that_does_not_quote_it(tenant: Workspace) -> None:
    tenant.environment["ARM_CLIENT_SECRET"] = "not-the-secret"
    tenant.write(CONFIGURATION)
    ran = tenant.apply()
    assert ran.code == 1
    assert "Asking the authority for a token failed: status 401, invalid_client" in ran.text
    assert "not-the-secret" not in ran.output
