"""What has to be true after a fault and its recovery, whatever the fault was."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from runner.domain.run import OPEN, Run
from tests.estate import TENANT, Estate

GROUPS = {f"{TENANT}-{alias}" for alias in ("admin", "user", "reader")}


def expect_at_rest(estate: Estate) -> None:
    """No engine at work, no lock, no run that is still open, no workspace with a plan or a state in it."""
    assert estate.engines() == []
    with estate.store() as store:
        assert store.states.holder(TENANT) is None
    assert [run.status for run in estate.runs() if run.status in OPEN] == []
    assert [path for path in (estate.work / "runs").rglob("*") if path.suffix in (".tfplan", ".tfstate")] == []


def expect_whole(estate: Estate) -> None:
    """Everything that was approved exists once, and the state knows all of it."""
    expect_at_rest(estate)
    expect_once(estate)
    world, state = estate.world(), outcome(estate)
    groups = {group["displayName"]: group["id"] for group in groups_of(world)}
    assert set(groups) == GROUPS
    assert set(state["outputs"]["group_ids"]["value"].values()) == set(groups.values())
    instances = [i for resource in state["resources"] if resource["mode"] == "managed" for i in resource["instances"]]
    assert not [instance for instance in instances if instance.get("status") == "tainted"]
    known = {str(instance["attributes"].get("id")).lower() for instance in instances}
    assert {f"/groups/{group}" for group in groups.values()} <= known
    made = [call.path.partition("?")[0].lower() for call in estate.calls("PUT") if call.status == 201]
    assert set(made) <= known
    assert len(made) == 4  # a resource group and three role assignments
    members = {group["displayName"]: len(group["members"]) for group in groups_of(world)}
    assert members == {f"{TENANT}-admin": 1, f"{TENANT}-user": 2, f"{TENANT}-reader": 1}


def expect_once(estate: Estate) -> None:
    """Nothing was made twice: of every creation that Azure carried out there is one."""
    created = [call for call in estate.calls("PUT") if call.status == 201]
    assert max(Counter(call.path for call in created).values(), default=0) <= 1
    assert len([call for call in estate.calls("POST", "/beta/groups") if call.status == 201]) <= len(GROUPS)
    names = Counter(group["displayName"] for group in groups_of(estate.world()))
    assert max(names.values(), default=0) <= 1
    guests = Counter(user["mail"] for tenant in estate.world()["tenants"] for user in tenant["users"])
    assert guests["dev2@partner.example"] <= 2  # at home and as a guest


def groups_of(world: dict[str, Any]) -> list[dict[str, Any]]:
    """The groups that the runner made."""
    found = [group for tenant in world["tenants"] for group in tenant["groups"]]
    return [group for group in found if group["displayName"].startswith(TENANT)]


def outcome(estate: Estate) -> dict[str, Any]:
    """The tenant's newest state."""
    with estate.store() as store:
        current = store.states.current(TENANT)
    assert current is not None
    state: dict[str, Any] = json.loads(current[1])
    return state


def statuses(estate: Estate) -> list[str]:
    """Of the tenant's runs, oldest first."""
    return [str(run.status) for run in estate.runs(tenant=TENANT)]


def function_calls(estate: Estate) -> int:
    return len(estate.calls("POST", service="function"))


def warnings_of(estate: Estate, run: Run) -> list[str]:
    """Codes of the run's warnings."""
    with estate.store() as store:
        return [str(event.data["code"]) for event in store.runs.events(run.id) if event.kind == "warning"]


def texts(estate: Estate, run: Run) -> list[str]:
    """The lines of the run's log."""
    with estate.store() as store:
        return [str(event.data["text"]) for event in store.runs.events(run.id) if event.kind == "log"]
