"""Blueprints of a landing zone through the command line, on days before, in and after the end of the service."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from runner.sandbox.azure.estate import OWNER
from tests.estate import TENANT, Estate, Ran

SUBSCRIPTION = "4f1c2d30-0000-4000-8000-000000000001"
GROUP = "/providers/Microsoft.Management/managementGroups/corp-online/providers/Microsoft.Blueprint/blueprints"
ASSIGNMENTS = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Blueprint/blueprintAssignments"
AZURE_BLUEPRINTS = "7d3f0c52-bbbb-4a6e-9c55-2a4b6f1d0071"

LOG = {"name": "log", "lockMode": "AllResourcesDoNotDelete"}
BEGAN = datetime.now(UTC)
OPEN, NO_NEW = "2026-09-01T12:00:00+00:00", "2026-11-20T12:00:00+00:00"
FROZEN, GONE = "2027-01-10T12:00:00+00:00", "2027-02-10T12:00:00+00:00"


def publish(estate: Estate, name: str, version: str, day: int, **properties: Any) -> None:
    """A published version of a blueprint in the landing zone's management group."""
    given = {
        "parameters": {"workspaceIdentifier": {"type": "string"}, "size": {"type": "int", "defaultValue": 1}},
        "resourceGroups": {},
        "status": {"timeCreated": f"2026-01-{day:02}T10:00:00.1234567Z"},
        **properties,
    }
    with estate.sandbox.world.lock:
        resources = estate.sandbox.world.estate.resources
        for id_, type_ in (
            (f"{GROUP}/{name}", "blueprints"),
            (f"{GROUP}/{name}/versions/{version}", "blueprints/versions"),
        ):
            resources[id_.lower()] = {
                "id": id_,
                "name": id_.rpartition("/")[2],
                "type": f"Microsoft.Blueprint/{type_}",
                "properties": given,
            }


def artifact(estate: Estate, blueprint: str, version: str, name: str, kind: str, **properties: Any) -> None:
    id_ = f"{GROUP}/{blueprint}/versions/{version}/artifacts/{name}"
    with estate.sandbox.world.lock:
        estate.sandbox.world.estate.resources[id_.lower()] = {
            "id": id_,
            "name": name,
            "kind": kind,
            "type": "Microsoft.Blueprint/blueprints/versions/artifacts",
            "properties": properties,
        }


def with_blueprints(estate: Estate, *blueprints: dict[str, Any]) -> None:
    given = [{"location": "westeurope", **one} for one in blueprints]
    estate.edit("LandingZone", lambda zone: zone["spec"].update(blueprints=given, approval={"policy": "never"}))


def assigned(estate: Estate) -> dict[str, dict[str, Any]]:
    with estate.sandbox.world.lock:
        found = estate.sandbox.world.estate.resources.items()
        return {str(one["name"]): one for key, one in found if key.startswith(f"{ASSIGNMENTS}/".lower())}


def version_of(estate: Estate, name: str) -> str:
    return str(assigned(estate)[name]["properties"]["blueprintId"].rpartition("/")[2])


def on(estate: Estate, day: str, *arguments: object, code: int | None = 0) -> Ran:
    moment = datetime.fromisoformat(day) + (datetime.now(UTC) - BEGAN)  # so that what is later here is later there
    return estate.ended(estate.start(moment.isoformat(), *arguments, module="tests.at_a_time"), code=code)


def reconciled(estate: Estate, day: str, code: int = 0) -> dict[str, Any]:
    return on(estate, day, "reconcile", "documents", "--json", code=code).run


def sentences(run: dict[str, Any]) -> str:
    return str([one["text"] for one in run["review"]["sentences"]])


def warnings(run: dict[str, Any]) -> dict[str, str]:
    return {one["code"]: one["text"] for one in run["review"]["warnings"]}


def owners(estate: Estate) -> list[str]:
    with estate.sandbox.world.lock:
        held = estate.sandbox.world.estate.roles_of(AZURE_BLUEPRINTS)
        return [one["properties"]["scope"] for one in held if OWNER in one["properties"]["roleDefinitionId"]]


def test_a_new_tenant_gets_the_latest_version_with_its_values_and_then_nothing_changes(estate: Estate) -> None:
    publish(estate, "lz", "v1", 1)
    publish(estate, "lz", "v10", 10)
    publish(estate, "lz", "v9", 9)
    publish(estate, "log", "1.0", 1, parameters={})
    with_blueprints(
        estate,
        {"name": "lz", "maxAutoUpgradeVersion": "v1", "lockMode": "AllResourcesReadOnly", "parameters": {"size": "3"}},
        LOG,
    )

    made = reconciled(estate, OPEN)

    assert made["status"] == "applied"
    found = assigned(estate)["lz"]["properties"]
    assert version_of(estate, "lz") == "v10"
    assert found["parameters"] == {"workspaceIdentifier": {"value": "payments"}, "size": {"value": 3}}
    assert found["locks"]["mode"] == "AllResourcesReadOnly"
    assert assigned(estate)["log"]["properties"]["locks"]["mode"] == "AllResourcesDoNotDelete"
    assert owners(estate) == [f"/subscriptions/{SUBSCRIPTION}"]
    assert "Assign the blueprint lz (v10)" in sentences(made)
    assert "to Azure Blueprints" in str(made["review"]["risks"])
    assert "2027-01-31" in warnings(made)["blueprints-end"]

    with_blueprints(estate, {"name": "lz", "lockMode": "AllResourcesReadOnly", "parameters": {"size": "3"}}, LOG)
    again = reconciled(estate, OPEN)
    assert (again["status"], sentences(again)) == ("unchanged", "[]")


def test_an_assigned_tenant_moves_to_the_maximum_also_backwards_but_not_without_a_word(estate: Estate) -> None:
    publish(estate, "lz", "v1", 1)
    with_blueprints(estate, {"name": "lz"})
    reconciled(estate, OPEN)
    publish(estate, "lz", "v2", 2)
    publish(estate, "lz", "v3", 3)
    assert reconciled(estate, OPEN)["status"] == "unchanged"

    with_blueprints(estate, {"name": "lz", "maxAutoUpgradeVersion": "v2"})
    moved = reconciled(estate, NO_NEW)
    assert version_of(estate, "lz") == "v2"
    assert "Move the blueprint lz on" in sentences(moved)
    assert "from v1 to v2" in sentences(moved)

    with_blueprints(estate, {"name": "lz", "maxAutoUpgradeVersion": "v7"})
    assert "no version v7" in warnings(reconciled(estate, NO_NEW))["blueprint-version-unknown"]
    assert version_of(estate, "lz") == "v2"

    with_blueprints(estate, {"name": "lz", "maxAutoUpgradeVersion": "v1"})
    back = reconciled(estate, NO_NEW)
    assert version_of(estate, "lz") == "v1"
    assert "goes back from version v2 to v1" in warnings(back)["blueprint-downgrade"]
    assert "downgrades-blueprint" in str(back["review"]["risks"])


def test_another_name_makes_another_assignment_and_the_old_one_stays_until_somebody_removes_it(estate: Estate) -> None:
    publish(estate, "old", "v1", 1)
    publish(estate, "new", "v1", 1)
    with_blueprints(estate, {"name": "old"})
    reconciled(estate, OPEN)

    with_blueprints(estate, {"name": "new"})
    renamed = reconciled(estate, OPEN)
    assert renamed["status"] == "applied"
    assert set(assigned(estate)) == {"old", "new"}
    assert "Leave the blueprint assignment old" in sentences(renamed)

    after = reconciled(estate, OPEN)
    assert after["status"] == "unchanged"
    assert "assignment old (old v1)" in warnings(after)["blueprint-left"]
    shown = estate.lzr("tenant", "show", TENANT, "documents").stdout
    assert "old" in shown
    assert "not managed" in shown

    assert estate.sandbox.drift("DELETE", f"{ASSIGNMENTS}/old?api-version=2018-11-01-preview").status == 202
    for _ in range(4):
        estate.sandbox.drift("GET", f"{ASSIGNMENTS}/old?api-version=2018-11-01-preview")
    assert "blueprint-left" not in warnings(reconciled(estate, OPEN))


def test_a_user_assigned_identity_needs_no_owner(estate: Estate) -> None:
    publish(estate, "lz", "v1", 1)
    identity = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ids/providers/Microsoft.ManagedIdentity/userAssignedIdentities/deployer"
    given = {"resourceId": identity, "objectId": "55555555-5555-4555-8555-555555555555"}
    with_blueprints(estate, {"name": "lz", "userAssignedIdentity": given})

    reconciled(estate, OPEN)

    assert list(assigned(estate)["lz"]["identity"]["userAssignedIdentities"]) == [identity]
    assert assigned(estate)["lz"]["properties"]["provisioningState"] == "succeeded"
    assert owners(estate) == []


def test_static_and_undeclared_parameters_are_told_and_never_passed(estate: Estate) -> None:
    publish(estate, "lz", "v1", 1)
    artifact(estate, "lz", "v1", "tags", "policyAssignment", parameters={"colour": {"value": "red"}})
    with_blueprints(estate, {"name": "lz", "parameters": {"colour": "blue", "shape": "round"}})

    made = reconciled(estate, OPEN)

    said = str([one["text"] for one in made["review"]["warnings"]])
    assert "colour: it is static, its value is fixed in the artifact tags" in said
    assert "shape: it declares no such parameter" in said
    assert list(assigned(estate)["lz"]["properties"]["parameters"]) == ["workspaceIdentifier"]


@pytest.mark.parametrize(
    ("properties", "code", "words"),
    [
        ({"resourceGroups": {"ProdRG": {"location": "westeurope"}}}, "blueprint-open-resource-groups", "ProdRG"),
        ({"parameters": {"costCentre": {"type": "string"}}}, "parameters-missing", "costCentre"),
    ],
)
def test_what_cannot_be_given_is_told_before_anything_is_planned(
    estate: Estate, properties: dict[str, Any], code: str, words: str
) -> None:
    publish(estate, "lz", "v1", 1, **properties)
    with_blueprints(estate, {"name": "lz"})

    failed = reconciled(estate, OPEN, code=2)

    assert failed["failure"]["code"] == code
    assert words in failed["failure"]["detail"]
    assert assigned(estate) == {}


def test_a_blueprint_that_is_not_there_is_told_with_its_management_group(estate: Estate) -> None:
    with_blueprints(estate, {"name": "lz", "managementGroupId": "corp"})

    failed = reconciled(estate, OPEN, code=2)

    assert failed["failure"]["code"] == "unknown-blueprint"
    assert "management group corp" in failed["failure"]["detail"]


def test_an_assignment_that_exists_is_taken_over_and_cannot_be_moved(estate: Estate) -> None:
    publish(estate, "lz", "v1", 1)
    with_blueprints(estate, {"name": "lz"})
    reconciled(estate, OPEN)
    estate.lzr("state", "show", TENANT)
    held = assigned(estate)["lz"]
    held["location"] = "northeurope"

    failed = reconciled(estate, OPEN, code=2)
    assert failed["failure"]["code"] == "blueprint-assignment-elsewhere"
    assert "northeurope" in failed["failure"]["hint"]


def test_an_assignment_of_somebody_else_is_taken_over_after_approval_also_when_nothing_new_is_assigned(
    estate: Estate,
) -> None:
    publish(estate, "lz", "v1", 1)
    body = {
        "identity": {"type": "SystemAssigned"},
        "location": "westeurope",
        "properties": {
            "blueprintId": f"{GROUP}/lz/versions/v1",
            "parameters": {"workspaceIdentifier": {"value": "payments"}},
            "resourceGroups": {},
        },
    }
    assert estate.sandbox.drift("PUT", f"{ASSIGNMENTS}/lz?api-version=2018-11-01-preview", body).status == 201
    with_blueprints(estate, {"name": "lz"})

    waiting = reconciled(estate, NO_NEW, code=6)
    assert "Take over what exists: the blueprint assignment lz" in sentences(waiting)
    on(estate, NO_NEW, "approve", waiting["id"])
    on(estate, NO_NEW, "apply", waiting["id"])
    assert reconciled(estate, NO_NEW)["status"] == "unchanged"


def test_a_failed_assignment_is_tried_again_by_the_next_run_and_then_is_quiet(estate: Estate) -> None:
    publish(estate, "lz", "v1", 1)
    with_blueprints(estate, {"name": "lz"})
    reconciled(estate, OPEN)
    publish(estate, "lz", "v2", 2)
    late = {"code": "DeploymentFailed", "message": "x"}
    estate.fault(kind="operation", method="PUT", path="blueprintAssignments/lz", polls=1, error=late, times=1)
    with_blueprints(estate, {"name": "lz", "maxAutoUpgradeVersion": "v2"})

    assert reconciled(estate, OPEN, code=4)["status"] == "failed"
    assert assigned(estate)["lz"]["properties"]["provisioningState"] == "failed"

    again = reconciled(estate, OPEN)
    assert again["status"] == "applied"
    assert "assigned for the 2. time" in warnings(again)["assigned-again"]
    assert assigned(estate)["lz"]["properties"]["provisioningState"] == "succeeded"
    assert reconciled(estate, OPEN)["status"] == "unchanged"


def test_a_first_assignment_that_failed_is_not_removed_to_be_made_again(estate: Estate) -> None:
    publish(estate, "lz", "v1", 1)
    with_blueprints(estate, {"name": "lz"})
    late = {"code": "DeploymentFailed", "message": "x"}
    estate.fault(kind="operation", method="PUT", path="blueprintAssignments/lz", polls=1, error=late, times=1)
    assert reconciled(estate, OPEN, code=4)["status"] == "failed"

    again = reconciled(estate, NO_NEW)  # a new one could not be made any more

    assert again["status"] == "applied"
    assert not estate.calls("DELETE", "blueprintAssignments")
    assert reconciled(estate, NO_NEW)["status"] == "unchanged"


def test_no_new_assignment_is_made_once_azure_makes_none_and_the_way_out_is_told(estate: Estate) -> None:
    publish(estate, "lz", "v1", 1)
    with_blueprints(estate, {"name": "lz"})

    failed = reconciled(estate, NO_NEW, code=2)

    assert failed["failure"]["code"] == "blueprints-retired"
    assert failed["failure"]["hint"].startswith("lzr migrate blueprint corp-online")


def test_a_stack_of_the_same_name_takes_the_place_of_a_blueprint_that_cannot_be_assigned(estate: Estate) -> None:
    publish(estate, "lz", "v1", 1)
    with_blueprints(estate, {"name": "lz"})
    stack = {"name": "lz", "location": "westeurope", "template": {"resources": []}}
    estate.edit("LandingZone", lambda zone: zone["spec"].update(deploymentStacks=[stack]))

    made = reconciled(estate, NO_NEW)

    assert made["status"] == "applied"
    assert assigned(estate) == {}
    assert "takes its place" in warnings(made)["blueprint-replaced"]


def test_after_the_freeze_assignments_leave_the_state_untouched_and_in_the_end_nobody_asks_for_them(
    estate: Estate,
) -> None:
    publish(estate, "lz", "v1", 1)
    with_blueprints(estate, {"name": "lz"})
    reconciled(estate, OPEN)
    before = json.dumps(assigned(estate))

    frozen = reconciled(estate, FROZEN)
    assert "Leave the blueprint assignment lz" in sentences(frozen)
    assert "stays assigned as it is" in warnings(frozen)["blueprints-frozen"]
    assert json.dumps(assigned(estate)) == before
    assert owners(estate) == [f"/subscriptions/{SUBSCRIPTION}"]
    assert reconciled(estate, FROZEN)["status"] == "unchanged"

    asked = len(estate.calls(path="Microsoft.Blueprint"))
    gone = reconciled(estate, GONE)
    assert "has ended on 2027-01-31" in warnings(gone)["blueprints-gone"]
    assert len(estate.calls(path="Microsoft.Blueprint")) == asked


def test_a_tenant_that_leaves_has_its_assignment_removed_before_azure_blueprints_loses_owner(estate: Estate) -> None:
    publish(estate, "lz", "v1", 1)
    with_blueprints(estate, {"name": "lz"})
    reconciled(estate, OPEN)

    waiting = on(estate, OPEN, "destroy", TENANT, "--in", "documents", "--json", code=6).run
    said = json.dumps(waiting["review"], ensure_ascii=False)
    assert "Remove the blueprint assignment lz" in said
    on(estate, OPEN, "approve", waiting["id"], "--confirm-delete", "rg-network-checkout-dev", code=None)
    on(estate, OPEN, "apply", waiting["id"])

    assert assigned(estate) == {}
    assert owners(estate) == []
    removed = [call.path for call in estate.calls("DELETE") if "roleAssignments" in call.path]
    looked = [call for call in estate.calls("GET", "blueprintAssignments/lz") if call.status == 404]
    assert looked
    assert removed


def test_a_leaving_that_azure_did_not_come_to_an_end_with_is_finished_by_the_next_run(estate: Estate) -> None:
    publish(estate, "lz", "v1", 1)
    with_blueprints(estate, {"name": "lz"})
    reconciled(estate, OPEN)
    first = on(estate, OPEN, "destroy", TENANT, "--in", "documents", "--json", code=6).run
    on(estate, OPEN, "approve", first["id"])
    slow = estate.fault(kind="operation", method="DELETE", path="blueprintAssignments/lz", polls=1000)
    refused = estate.fault(
        kind="fail", service="arm", method="GET", path="blueprintAssignments/lz", after=1, status=403, code="Forbidden"
    )
    assert on(estate, OPEN, "apply", first["id"], "--json", code=5).run["status"] == "failed"
    assert owners(estate) == [f"/subscriptions/{SUBSCRIPTION}"]

    estate.mend(slow)
    estate.mend(refused)
    with estate.sandbox.world.lock:
        for operation in estate.sandbox.world.estate.pending.values():
            operation.polls = 2
    again = on(estate, OPEN, "destroy", TENANT, "--in", "documents", "--json", code=6).run
    assert {step["kind"] for step in again["review"]["steps"]} == {"await-assignment", "drop-blueprints-owner"}
    on(estate, OPEN, "approve", again["id"])
    assert on(estate, OPEN, "apply", again["id"], "--json").run["status"] == "applied"
    assert assigned(estate) == {}
    assert owners(estate) == []
