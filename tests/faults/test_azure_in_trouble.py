"""Azure in trouble while everything is switched on: throttled, late, failing now and later, and changed by others in between.

Whatever happens, a run either gets through or fails with a reason, the next ones finish what was begun, and then nothing changes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.estate import Estate
from tests.everything import BEFORE_THE_END, switch_on

SUBSCRIPTION = "4f1c2d30-0000-4000-8000-000000000001"
BEGAN = datetime.now(UTC)

# Each long operation, by method and a part of its path.
OPERATIONS = {
    "management group": ("PUT", r"managementGroups/corp-online/subscriptions/"),
    "resource group": ("PUT", r"resourceGroups/rg-network[^/]*\?"),
    "role assignment": ("PUT", r"roleAssignments/"),
    "tags": ("PUT", r"tags/default"),
    "blueprint": ("PUT", r"blueprintAssignments/lz"),
    "deployment stack": ("PUT", r"deploymentStacks/base"),
    "budget": ("PUT", r"budgets/monthly"),
    "eligible role": ("PUT", r"roleEligibilityScheduleRequests/"),
    "identity": ("PUT", r"userAssignedIdentities/deployer[^/]*\?"),
}
LATE = {"resource group", "blueprint", "deployment stack"}


def reconciled(estate: Estate) -> dict[str, Any]:
    moment = datetime.fromisoformat(BEFORE_THE_END) + (datetime.now(UTC) - BEGAN)
    started = estate.start(moment.isoformat(), "reconcile", "documents", "--json", module="tests.at_a_time")
    return estate.ended(started, code=None).run


def settled(estate: Estate, *, within: int) -> list[dict[str, Any]]:
    """Runs until nothing changes any more; each that failed said why, and said it without a bug."""
    runs: list[dict[str, Any]] = []
    for _ in range(within):
        runs.append(reconciled(estate))
        if runs[-1]["status"] == "unchanged":
            return runs
        if runs[-1]["status"] == "failed":
            failure = runs[-1]["failure"]
            assert failure["family"] in ("engine", "remote"), failure
            assert failure["detail"], failure
        else:
            assert runs[-1]["status"] == "applied", runs[-1]
    raise AssertionError([(run["status"], run.get("failure")) for run in runs])


def whole(estate: Estate) -> None:
    """Everything that was asked for is there, once."""
    with estate.sandbox.world.lock:
        found = estate.sandbox.world.estate
        resources = [one for key, one in found.resources.items() if f"/subscriptions/{SUBSCRIPTION}" in key]
        groups = [group for group in found.resource_groups if SUBSCRIPTION in group]
        placed = found.subscriptions[SUBSCRIPTION].management_group
        directory = estate.sandbox.world.directories[found.tenant_id]
        named = [group.attributes["displayName"] for group in directory.groups.values()]
    kinds: dict[str, int] = {}
    for one in resources:
        kinds[one["type"].rpartition("/")[2]] = kinds.get(one["type"].rpartition("/")[2], 0) + 1
    assert placed == "corp-online"
    assert kinds["blueprintAssignments"] == 2
    assert kinds["deploymentStacks"] == 1
    assert kinds["budgets"] == 1
    assert kinds["roleEligibilityScheduleInstances"] == 1
    assert kinds["federatedIdentityCredentials"] == 2
    assert len(groups) == len(set(groups))
    assert {group.rpartition("/")[2] for group in groups} >= {
        "rg-network-checkout-dev",
        "base-payments",
        "rg-checkout-dev-extra",
    }
    for role in ("admin", "user", "reader"):
        assert named.count(f"payments.checkout-dev-{role}") == 1


def test_with_everything_switched_on_the_second_plan_is_empty(estate: Estate) -> None:
    switch_on(estate)

    first, second = settled(estate, within=2)

    assert (first["status"], second["status"]) == ("applied", "unchanged")
    assert second["review"]["changes"] == []
    assert second["review"]["drift"] == []
    whole(estate)


def test_throttled_everywhere_one_run_gets_through(estate: Estate) -> None:
    switch_on(estate)
    for service in ("arm", "graph"):
        for after in (2, 9, 20, 33):
            estate.fault(kind="throttle", service=service, after=after, times=1, retryAfter=0)

    first, _ = settled(estate, within=2)

    assert first["status"] == "applied"
    whole(estate)


def test_groups_that_are_seen_late_cost_nothing_but_time(estate: Estate) -> None:
    switch_on(estate)
    estate.fault(kind="lag", of="groups", hiddenFrom="roleAssignments", reads=3)

    first, _ = settled(estate, within=2)

    assert first["status"] == "applied"
    whole(estate)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_that_fails_once_is_finished_by_this_run_or_the_next(estate: Estate, operation: str) -> None:
    switch_on(estate)
    method, path = OPERATIONS[operation]
    estate.fault(kind="fail", service="arm", method=method, path=path, status=500, code="InternalServerError", times=4)

    settled(estate, within=4)

    whole(estate)


@pytest.mark.parametrize("operation", sorted(LATE))
def test_an_operation_that_fails_late_is_tried_again_and_nothing_is_removed_for_it(
    estate: Estate, operation: str
) -> None:
    switch_on(estate)
    method, path = OPERATIONS[operation]
    error = {"code": "DeploymentFailed", "message": "the sandbox says so"}
    estate.fault(kind="operation", method=method, path=path, polls=2, error=error, times=1)

    runs = settled(estate, within=4)

    assert runs[0]["status"] == "failed"
    assert not [call for call in estate.calls("DELETE") if operation.split(maxsplit=1)[0] in call.path.lower()]
    whole(estate)


def test_answers_that_get_lost_make_nothing_twice(estate: Estate) -> None:
    switch_on(estate)
    for path in ("deploymentStacks/base", "resourceGroups/rg-network", "budgets/monthly"):
        estate.fault(kind="drop", service="arm", method="PUT", path=path, when="after", times=1)

    settled(estate, within=4)

    whole(estate)


def test_a_subscription_that_somebody_moves_meanwhile_is_back_in_the_end(estate: Estate) -> None:
    switch_on(estate)
    change = {
        "method": "PUT",
        "path": f"/providers/Microsoft.Management/managementGroups/sandbox/subscriptions/{SUBSCRIPTION}?api-version=2020-05-01",
    }
    estate.fault(
        kind="meanwhile",
        service="arm",
        method="PUT",
        path="managementGroups/corp-online/subscriptions",
        change=change,
        times=1,
    )

    settled(estate, within=4)

    whole(estate)
