"""Blueprint assignments, deployment stacks and what building blocks need, as Azure answers; and how they are read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from runner.sandbox.azure.server import Sandbox
from tests.sandbox_azure.conftest import CHECKOUT

DEFINITION = "/providers/Microsoft.Management/managementGroups/corp/providers/Microsoft.Blueprint/blueprints/lz"
ASSIGNMENT = f"{CHECKOUT}/providers/Microsoft.Blueprint/blueprintAssignments/lz"
BLUEPRINT = "?api-version=2018-11-01-preview"
STACK = f"{CHECKOUT}/providers/Microsoft.Resources/deploymentStacks/lz?api-version=2024-03-01"
GROUP = "7d3f0c52-bbbb-4a6e-9c55-2a4b6f1d0001"


@pytest.fixture
def blueprint(sandbox: Sandbox) -> Sandbox:
    """A published version of a blueprint with one parameter and one resource group."""
    sandbox.world.estate.resources[f"{DEFINITION}/versions/v1".lower()] = {
        "id": f"{DEFINITION}/versions/v1",
        "name": "v1",
        "type": "Microsoft.Blueprint/blueprints/versions",
        "properties": {"parameters": {"owner": {"type": "string"}}, "resourceGroups": {}},
    }
    return sandbox


def wanted(*, identity: str = "UserAssigned", **properties: Any) -> dict[str, Any]:
    return {
        "identity": {"type": identity, "userAssignedIdentities": {"/x": {}}},
        "location": "westeurope",
        "properties": {
            "blueprintId": f"{DEFINITION}/versions/v1",
            "parameters": {"owner": {"value": "a"}},
            "resourceGroups": {},
            **properties,
        },
    }


def assign(azure: httpx.Client, **given: Any) -> httpx.Response:
    return azure.put(f"{ASSIGNMENT}{BLUEPRINT}", json=wanted(**given))


def test_an_assignment_is_deployed_while_somebody_looks(azure: httpx.Client, blueprint: Sandbox) -> None:
    assert azure.get(f"{ASSIGNMENT}{BLUEPRINT}").status_code == 404
    made = assign(azure)
    assert made.status_code == 201
    states = [made.json()["properties"]["provisioningState"]]
    while states[-1] not in ("succeeded", "failed"):
        states.append(azure.get(f"{ASSIGNMENT}{BLUEPRINT}").json()["properties"]["provisioningState"])
    assert states == ["creating", "waiting", "deploying", "succeeded"]
    listed = azure.get(f"{ASSIGNMENT.rpartition('/')[0]}{BLUEPRINT}").json()["value"]
    assert [one["name"] for one in listed] == ["lz"]


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"blueprintId": f"{DEFINITION}/versions/v9"}, "BlueprintNotFound"),
        ({"parameters": {}}, "MissingBlueprintParameters"),
        ({"parameters": {"owner": {"value": "a"}, "colour": {"value": "red"}}}, "InvalidBlueprintParameters"),
        ({"resourceGroups": None}, "InvalidBlueprintAssignment"),
    ],
)
def test_an_assignment_that_does_not_fit_is_refused(
    azure: httpx.Client, blueprint: Sandbox, properties: dict[str, Any], code: str
) -> None:
    assert assign(azure, **properties).json()["error"]["code"] == code


def test_a_failed_assignment_says_why_only_among_its_operations(azure: httpx.Client, blueprint: Sandbox) -> None:
    assign(azure, identity="SystemAssigned")
    for _ in range(3):
        found = azure.get(f"{ASSIGNMENT}{BLUEPRINT}").json()["properties"]
    assert found["provisioningState"] == "failed"
    assert "error" not in str(found).lower()
    (operation,) = azure.get(f"{ASSIGNMENT}/assignmentOperations{BLUEPRINT}").json()["value"]
    assert "not Owner" in str(operation)


def test_a_deletion_is_answered_at_once_and_takes_some_looks(azure: httpx.Client, blueprint: Sandbox) -> None:
    assign(azure)
    answer = azure.delete(f"{ASSIGNMENT}{BLUEPRINT}")
    assert answer.status_code == 202
    assert "Location" not in answer.headers
    states = []
    while (found := azure.get(f"{ASSIGNMENT}{BLUEPRINT}")).status_code == 200:
        states.append(found.json()["properties"]["provisioningState"])
    assert set(states) == {"deleting"}
    assert azure.delete(f"{ASSIGNMENT}{BLUEPRINT}").status_code == 204


def test_who_azure_blueprints_is_can_be_asked_before_anything_is_assigned(azure: httpx.Client) -> None:
    found = azure.post(f"{ASSIGNMENT}/whoIsBlueprint{BLUEPRINT}").json()
    assert found == {"objectId": "7d3f0c52-bbbb-4a6e-9c55-2a4b6f1d0071"}


@pytest.mark.parametrize(
    ("today", "first", "again"), [("2026-10-30", 201, 201), ("2026-11-01", 403, 201), ("2027-01-02", 403, 403)]
)
def test_it_ends_as_microsoft_says_where_the_seed_asks_for_it(
    blueprint: Sandbox, today: str, first: int, again: int
) -> None:
    blueprint.world.estate.blueprints_retire = True

    def on(moment: datetime) -> int:
        """What a PUT by somebody in the portal is answered that day; tokens would be too old or too new."""
        blueprint.world.now = lambda: moment
        return blueprint.drift("PUT", f"{ASSIGNMENT}{BLUEPRINT}", wanted()).status

    that_day = datetime.fromisoformat(today).replace(hour=12, tzinfo=UTC)
    assert on(that_day) == first
    on(datetime(2026, 10, 1, tzinfo=UTC))
    assert on(that_day) == again
    blueprint.world.now = lambda: datetime(2027, 1, 31, tzinfo=UTC)
    assert blueprint.drift("GET", f"{ASSIGNMENT}{BLUEPRINT}").status == 404


def stack(azure: httpx.Client, **properties: Any) -> httpx.Response:
    given = {
        "template": {"resources": []},
        "actionOnUnmanage": {"resources": "detach"},
        "denySettings": {"mode": "denyDelete"},
        **properties,
    }
    return azure.put(STACK, json={"location": "westeurope", "properties": given})


def test_a_stack_makes_its_resource_groups_and_lists_the_rest(azure: httpx.Client) -> None:
    template = {
        "parameters": {"who": {"type": "string"}, "where": {"type": "string", "defaultValue": "West Europe"}},
        "resources": [
            {
                "type": "Microsoft.Resources/resourceGroups",
                "name": "[concat('rg-', parameters('who'))]",
                "location": "[parameters('where')]",
            },
            {"type": "Microsoft.Authorization/policyAssignments", "name": "tags"},
        ],
        "outputs": {"id": {"type": "string", "value": "[subscription().subscriptionId]"}},
    }
    answer = stack(azure, template=template, parameters={"who": {"value": "a"}})
    assert answer.status_code == 201
    assert "template" not in answer.json()["properties"]
    found = azure.get(STACK).json()["properties"]
    while found["provisioningState"] == "deploying":
        found = azure.get(STACK).json()["properties"]
    assert [(one["id"].rpartition("/")[2], one["denyStatus"]) for one in found["resources"]] == [
        ("rg-a", "denyDelete"),
        ("tags", "denyDelete"),
    ]
    assert found["outputs"]["id"]["value"] == CHECKOUT.rpartition("/")[2]
    group = azure.get(f"{CHECKOUT}/resourceGroups/rg-a?api-version=2022-09-01").json()
    assert group["location"] == "westeurope"


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"template": None}, "InvalidRequestContent"),
        ({"templateLink": {"id": "/nowhere"}, "template": None}, "TemplateSpecVersionNotFound"),
        ({"parameters": {"colour": {"value": "red"}}}, "InvalidTemplate"),
        ({"denySettings": None}, "InvalidRequestContent"),
    ],
)
def test_a_stack_that_does_not_fit_is_refused(azure: httpx.Client, properties: dict[str, Any], code: str) -> None:
    assert stack(azure, **properties).json()["error"]["code"] == code


def test_an_eligibility_is_asked_for_once_and_taken_away_by_a_request(azure: httpx.Client) -> None:
    requests = f"{CHECKOUT}/providers/Microsoft.Authorization/roleEligibilityScheduleRequests"
    instances = f"{CHECKOUT}/providers/Microsoft.Authorization/roleEligibilityScheduleInstances?api-version=2020-10-01"
    role = f"{CHECKOUT}/providers/Microsoft.Authorization/roleDefinitions/b24988ac-6180-42a0-ab88-20f7382dd24c"

    def ask(name: str, kind: str) -> int:
        properties = {"principalId": GROUP, "roleDefinitionId": role, "requestType": kind}
        return azure.put(f"{requests}/{name}?api-version=2020-10-01", json={"properties": properties}).status_code

    assert ask("one", "AdminRemove") == 400
    assert ask("one", "AdminAssign") == 201
    assert ask("one", "AdminAssign") == 409
    assert ask("two", "AdminAssign") == 400
    assert ask("two", "AdminUpdate") == 201
    assert len(azure.get(instances).json()["value"]) == 1
    assert ask("three", "AdminRemove") == 201
    assert azure.get(instances).json()["value"] == []


def test_a_managed_identity_has_a_principal_that_roles_can_be_given_to(azure: httpx.Client, sandbox: Sandbox) -> None:
    group = f"{CHECKOUT}/resourceGroups/rg-x"
    azure.put(f"{group}?api-version=2022-09-01", json={"location": "westeurope"})
    path = f"{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/deployer?api-version=2023-01-31"
    first = azure.put(path, json={"location": "westeurope"}).json()["properties"]
    assert azure.put(path, json={"location": "westeurope"}).json()["properties"] == first
    home = sandbox.world.directories[sandbox.world.estate.tenant_id]
    assert home.kind_of(first["principalId"]) == "ServicePrincipal"
    assert azure.delete(path).status_code == 200
    assert home.kind_of(first["principalId"]) is None
