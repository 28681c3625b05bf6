"""Ordering, accepting, naming and cancelling subscriptions, on the sandbox's Azure; waiting takes no time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from runner.azure.connect import Connections
from runner.domain.subscription import Step
from runner.errors import Canceled, RemoteFailed
from runner.network.way_out import Network
from runner.ports import Order, Subscriptions
from runner.sandbox.azure.faults import read_fault
from runner.sandbox.azure.server import Sandbox
from tests.azure.scenes import SERVICE_PRINCIPAL, WORKLOAD, Scene, platform_at, seed_of
from tests.doubles.invitations import MemoryInvitations

OLD, HIDDEN, DISABLED = (f"4f1c2d30-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
SOMEBODY = "11111111-cccc-4000-8000-000000000001"
ENROLLMENT = "/providers/Microsoft.Billing/billingAccounts/1/enrollmentAccounts/2"
ROOT = f"/providers/Microsoft.Management/managementGroups/{WORKLOAD}"

AZURE = {
    "tenant": WORKLOAD,
    "managementGroups": [{"id": "corp"}],
    "subscriptions": [
        {"id": OLD, "name": "unused-1", "managementGroup": "corp"},
        {"id": DISABLED, "name": "unused-3", "managementGroup": "corp", "state": "Disabled"},
    ],
    "billingScopes": [{"id": ENROLLMENT, "creators": [SERVICE_PRINCIPAL]}],
    "roleAssignments": [{"principal": SERVICE_PRINCIPAL, "role": "Owner", "scope": ROOT}],
}


@dataclass
class Stage:
    """The port, the sandbox behind it, and what was waited for."""

    subscriptions: Subscriptions
    sandbox: Sandbox
    stop: threading.Event
    waited: list[float] = field(default_factory=list)

    def fault(self, **fault: Any) -> None:
        self.sandbox.faults.add(read_fault(fault))


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def stage(sandbox: Sandbox) -> Iterator[Stage]:
    seed = seed_of(Scene())
    seed["tenants"][0]["applications"].append({"name": "other", "clientId": SOMEBODY, "objectId": SOMEBODY})
    sandbox.world.seed(seed | {"azure": AZURE})
    sandbox.faults.clear()
    waited: list[float] = []
    stop = threading.Event()
    with Connections(
        network=Network(ca_file=sandbox.ca_file), secret=lambda reference: "secret", invitations=MemoryInvitations()
    ) as connections:
        azure = connections.connect(platform_at(sandbox.url, Scene()), stop=stop, sleep=waited.append)
        yield Stage(azure.subscriptions, sandbox, stop, waited)


def an_order(**more: str) -> Step:
    given = {"name": "one", "alias": "lzr-one", "billing_scope": ENROLLMENT, "workload": "Production"}
    return Step.model_validate({"kind": "create", "subscription": HIDDEN, **given, "management_group": "corp", **more})


def test_an_order_is_waited_for_until_its_subscription_is_there(stage: Stage) -> None:
    assert stage.subscriptions.ordered("lzr-one") is None
    stage.fault(kind="operation", path="aliases", polls=3)
    assert stage.subscriptions.order(an_order()) == Order("Accepted")
    stage.fault(kind="fail", method="GET", path="aliases", status=404, times=1)
    settled = stage.subscriptions.settled("lzr-one")
    assert settled is not None
    assert settled.state == "Succeeded"
    assert stage.waited == [1, 2, 4, 8]
    assert stage.subscriptions.appears(str(settled.subscription))
    made = [one for one in stage.subscriptions.enabled() if one.id == settled.subscription]
    assert [one.display_name for one in made] == ["one"]
    assert stage.subscriptions.order(an_order()) == settled


def test_what_never_comes_is_waited_for_a_while_and_no_longer(stage: Stage) -> None:
    assert stage.subscriptions.settled("lzr-one") is None
    assert sum(stage.waited) == 15 * 60
    assert stage.subscriptions.appears(HIDDEN) is False
    stage.waited.clear()
    offered = Step(kind="accept", subscription=HIDDEN, name="one")
    assert stage.subscriptions.accept(offered) is False
    assert sum(stage.waited) == 10 * 60


def test_waiting_ends_when_the_run_is_told_to_stop(stage: Stage) -> None:
    stage.fault(kind="operation", path="aliases", polls=1000)
    stage.subscriptions.order(an_order())
    stage.stop.set()
    with pytest.raises(Canceled):
        stage.subscriptions.settled("lzr-one")


def test_an_order_that_was_refused_is_sent_once(stage: Stage) -> None:
    stage.fault(kind="fail", method="PUT", path="aliases", status=500)
    with pytest.raises(RemoteFailed) as failed:
        stage.subscriptions.order(an_order())
    assert failed.value.status == 500
    assert len([call for call in stage.sandbox.world.calls if call.method == "PUT"]) == 1


def test_only_enabled_subscriptions_are_listed(stage: Stage) -> None:
    assert [(one.id, one.display_name) for one in stage.subscriptions.enabled()] == [(OLD, "unused-1")]


def test_direct_owners_are_told_given_and_dropped_and_inherited_ones_are_not_meant(stage: Stage) -> None:
    assert stage.subscriptions.owners(OLD) == ()
    for _ in range(2):
        stage.subscriptions.give_owner(OLD, SOMEBODY)
    assert stage.subscriptions.owners(OLD) == (SOMEBODY,)
    stage.subscriptions.give_owner(OLD, SERVICE_PRINCIPAL)
    for _ in range(2):
        stage.subscriptions.drop_owner(OLD, SERVICE_PRINCIPAL)
    assert stage.subscriptions.owners(OLD) == (SOMEBODY,)


def test_somebody_who_is_owner_by_another_assignment_is_left_so(stage: Stage) -> None:
    role = (
        f"/subscriptions/{OLD}/providers/Microsoft.Authorization/roleDefinitions/8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
    )
    path = f"/subscriptions/{OLD}/providers/Microsoft.Authorization/roleAssignments/{DISABLED}?api-version=2022-04-01"
    body = {"properties": {"roleDefinitionId": role, "principalId": SOMEBODY}}
    assert stage.sandbox.drift("PUT", path, body).status == 201
    stage.subscriptions.give_owner(OLD, SOMEBODY)
    assert stage.subscriptions.owners(OLD) == (SOMEBODY,)


def test_a_name_and_an_end_are_given(stage: Stage) -> None:
    stage.subscriptions.rename(OLD, "new")
    assert [one.display_name for one in stage.subscriptions.enabled()] == ["new"]
    stage.subscriptions.cancel(OLD)
    assert stage.subscriptions.enabled() == ()
