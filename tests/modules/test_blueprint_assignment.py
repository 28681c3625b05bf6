"""A blueprint assignment: moved to another version in place, healed, tried again after a failure, taken over as it is."""

from __future__ import annotations

from typing import Any

import pytest

from runner.sandbox.azure.estate import OWNER
from runner.sandbox.azure.faults import LateFailure, Slowly
from tests.modules.workbench import SUBSCRIPTION, SUBSCRIPTION_ID, Bench

ID = f"{SUBSCRIPTION}/providers/Microsoft.Blueprint/blueprintAssignments/lz"
CALL = f"{ID}?api-version=2018-11-01-preview"
ADDRESS = "module.blueprint_lz.azapi_resource.this"
DEFINITION = "/providers/Microsoft.Management/managementGroups/corp/providers/Microsoft.Blueprint/blueprints/lz"
IDENTITY = f"{SUBSCRIPTION}/resourceGroups/ids/providers/Microsoft.ManagedIdentity/userAssignedIdentities/deployer"
PRINCIPAL = "7d3f0c52-bbbb-4a6e-9c55-2a4b6f1d0071"  # Azure Blueprints, by the default seed


@pytest.fixture
def azure(bench: Bench) -> Bench:
    """An Azure with two versions of a blueprint, where Azure Blueprints is Owner of the subscription."""
    estate = bench.azure.world.estate
    for version in ("v1", "v2"):
        estate.resources[f"{DEFINITION}/versions/{version}".lower()] = {
            "id": f"{DEFINITION}/versions/{version}",
            "name": version,
            "type": "Microsoft.Blueprint/blueprints/versions",
            "properties": {
                "parameters": {"owner": {"type": "string"}, "count": {"type": "int", "defaultValue": 1}},
                "resourceGroups": {},
            },
        }
    name = "7d3f0c52-dddd-4a6e-9c55-2a4b6f1d0001"
    role = f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{OWNER}"
    assignment = f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleAssignments/{name}?api-version=2022-04-01"
    body = {"properties": {"principalId": PRINCIPAL, "roleDefinitionId": role}}
    assert bench.azure.drift("PUT", assignment, body).status == 201
    return bench


def build(bench: Bench, *, version: str = "v1", attempt: int = 1, more: str = "", block: str = "") -> None:
    bench.build(
        f"""
        module "blueprint_lz" {{
          source               = "./modules/blueprint-assignment"
          subscription_id      = "{SUBSCRIPTION_ID}"
          name                 = "lz"
          location             = "westeurope"
          blueprint_version_id = "{DEFINITION}/versions/{version}"
          parameters           = {{ owner = "alice", count = 2 }}
          attempt              = {attempt}
          {more}
        }}
        output "state" {{ value = module.blueprint_lz.state }}
        output "principal" {{ value = module.blueprint_lz.principal_id }}
        {block}
        """
    )


def held(bench: Bench) -> dict[str, Any]:
    return bench.azure.world.estate.resources[ID.lower()]


@pytest.fixture
def made(azure: Bench) -> Bench:
    build(azure)
    azure.reconcile()
    return azure


def test_it_is_made_with_one_put_and_waited_for(azure: Bench) -> None:
    build(azure)

    assert azure.reconcile() == [f"PUT {CALL}"]
    assert azure.output("state") == "succeeded"
    assert held(azure)["properties"]["parameters"] == {"owner": {"value": "alice"}, "count": {"value": 2}}
    assert azure.output("principal") == held(azure)["identity"]["principalId"]


def test_the_second_plan_is_empty(made: Bench) -> None:
    made.forget_calls()

    assert made.plan() == {}
    assert made.calls() == [f"GET {CALL}"]


def test_another_version_is_assigned_in_place(made: Bench) -> None:
    build(made, version="v2")

    assert made.plan() == {ADDRESS: "update"}
    assert made.reconcile() == [f"PUT {CALL}"]
    assert held(made)["properties"]["blueprintId"].endswith("/versions/v2")
    assert made.plan() == {}


@pytest.mark.parametrize("mode", ["AllResourcesReadOnly", "AllResourcesDoNotDelete"])
def test_a_lock_that_somebody_changed_is_shown_and_healed(azure: Bench, mode: str) -> None:
    build(azure, more=f'lock_mode = "{mode}"\nexcluded_principals = ["{PRINCIPAL}"]')
    azure.reconcile()
    held(azure)["properties"]["locks"] = {"mode": "None", "excludedPrincipals": [], "excludedActions": []}

    assert azure.plan() == {ADDRESS: "update"}
    azure.apply()
    assert held(azure)["properties"]["locks"]["mode"] == mode
    assert held(azure)["properties"]["locks"]["excludedPrincipals"] == [PRINCIPAL]
    assert azure.plan() == {}


def test_a_failed_change_is_tried_again_by_another_attempt_only(made: Bench) -> None:
    made.azure.faults.add(Slowly(method="PUT", path="blueprintAssignments/lz", polls=1, error=LateFailure(), times=1))
    build(made, version="v2")
    made.failure("apply", "-auto-approve")
    assert held(made)["properties"]["provisioningState"] == "failed"

    build(made, version="v2", attempt=2)
    assert made.plan() == {ADDRESS: "update"}
    made.apply()
    assert made.output("state") == "succeeded"
    assert made.plan() == {}


def test_without_azure_blueprints_as_owner_the_assignment_fails(azure: Bench) -> None:
    for one in azure.azure.world.estate.roles_of(PRINCIPAL):
        azure.azure.world.estate.remove_role_assignment(one["id"])
    build(azure)

    azure.failure("apply", "-auto-approve")
    assert held(azure)["properties"]["provisioningState"] == "failed"


def test_a_user_assigned_identity_needs_no_owner_and_has_no_principal_here(azure: Bench) -> None:
    for one in azure.azure.world.estate.roles_of(PRINCIPAL):
        azure.azure.world.estate.remove_role_assignment(one["id"])
    build(azure, more=f'user_assigned_identity_id = "{IDENTITY}"')
    azure.reconcile()

    assert list(held(azure)["identity"]["userAssignedIdentities"]) == [IDENTITY]
    assert azure.output("state") == "succeeded"
    assert azure.plan() == {}


def test_a_parameter_that_the_version_does_not_declare_is_azures_error(azure: Bench) -> None:
    build(azure)
    version = azure.azure.world.estate.resources[f"{DEFINITION}/versions/v1".lower()]
    version["properties"]["parameters"].pop("count")

    assert "declares no parameter 'count'" in azure.failure("apply", "-auto-approve")


def test_destroying_returns_while_azure_is_still_deleting(made: Bench) -> None:
    made.build("")

    assert made.reconcile() == [f"DELETE {CALL}"]
    assert held(made)["properties"]["provisioningState"] == "deleting"


def test_what_exists_is_taken_over_with_one_put_and_then_quiet(made: Bench) -> None:
    made.build("removed {\n from = module.blueprint_lz\n lifecycle {\n destroy = false\n }\n}")
    assert made.reconcile() == []
    build(made, block=f'import {{\n to = {ADDRESS}\n id = "{CALL}"\n}}')

    assert made.reconcile() in ([], [f"PUT {CALL}"])
    assert made.plan() == {}
    assert held(made)["properties"]["provisioningState"] == "succeeded"
