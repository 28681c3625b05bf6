"""What can be switched to go wrong, and that it stops when it should."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from runner.errors import InputError
from runner.sandbox.azure.faults import Change, Drop, Fail, Lag, Meanwhile, Slow, Throttle, read_fault
from runner.sandbox.azure.server import Sandbox
from tests.sandbox_azure.conftest import CHECKOUT, WORKLOADS, token

SUBSCRIPTION = f"{CHECKOUT}?api-version=2022-12-01"
GROUP = {"displayName": "team", "mailEnabled": False, "mailNickname": "team", "securityEnabled": True}


def _assign(azure: httpx.Client, principal: str, name: str) -> httpx.Response:
    path = f"{CHECKOUT}/providers/Microsoft.Authorization/roleAssignments/{name}?api-version=2022-04-01"
    role = "/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
    return azure.put(
        path, json={"properties": {"principalId": principal, "principalType": "Group", "roleDefinitionId": role}}
    )


def test_a_throttled_call_says_when_to_come_back(azure: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.faults.add(Throttle(path="^/subscriptions/", after=1, times=2, retry_after=7))
    answers = [azure.get(SUBSCRIPTION) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 429, 429, 200]
    assert answers[1].headers["retry-after"] == "7"
    assert answers[1].json()["error"]["code"] == "TooManyRequests"


def test_every_service_throttles_in_its_own_words(azure: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.faults.add(Throttle())
    assert azure.get("/v1.0/users").json()["error"]["innerError"]["request-id"]
    assert token(azure).json()["error"] == "temporarily_unavailable"


def test_a_throttled_step_of_a_batch_leaves_the_others_alone(azure: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.faults.add(Throttle(service="graph", path="/organization", times=1))
    requests = [
        {"id": str(number), "method": "GET", "url": url} for number, url in enumerate(["/organization", "/domains"])
    ]
    answers = azure.post("/v1.0/$batch", json={"requests": requests}).json()["responses"]
    assert [answer["status"] for answer in answers] == [429, 200]
    assert answers[0]["headers"]["Retry-After"] == "1"


def test_somebody_changes_a_thing_right_after_a_call(azure: httpx.Client, sandbox: Sandbox) -> None:
    tags = f"{CHECKOUT}/providers/Microsoft.Resources/tags/default?api-version=2021-04-01"
    change = Change(path=tags, body={"properties": {"tags": {"by": "somebody"}}})
    sandbox.faults.add(Meanwhile(method="PUT", path="tags/default", times=1, change=change))

    ours = azure.put(tags, json={"properties": {"tags": {"by": "us"}}})

    assert ours.json()["properties"]["tags"] == {"by": "us"}
    assert azure.get(tags).json()["properties"]["tags"] == {"by": "somebody"}


def test_a_change_that_cannot_be_made_meanwhile_fails_the_call_that_it_belongs_to(
    azure: httpx.Client, sandbox: Sandbox
) -> None:
    sandbox.faults.add(Meanwhile(path="^/subscriptions/", change=Change(path="/nowhere")))
    assert azure.get(SUBSCRIPTION).json()["error"]["code"] == "SandboxFault"
    with pytest.raises(InputError, match="path"):
        read_fault({"kind": "meanwhile", "change": {"path": "nowhere"}})


def test_a_bucket_empties_and_fills_again(azure: httpx.Client, sandbox: Sandbox) -> None:
    now = datetime.now(UTC)
    sandbox.world.now = lambda: now
    sandbox.faults.add(Throttle(service="arm", bucket=3, refill=0.5))
    assert [azure.get(SUBSCRIPTION).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert azure.get(SUBSCRIPTION).headers["retry-after"] == "2"
    sandbox.world.now = lambda: now + timedelta(seconds=2)
    assert [azure.get(SUBSCRIPTION).status_code for _ in range(2)] == [200, 429]


def test_a_failure_comes_instead_of_the_effect(azure: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fail(method="put", path="resourceGroups", status=503, code="ServerBusy", times=1))
    path = f"{CHECKOUT}/resourceGroups/rg-one?api-version=2022-09-01"
    failed = azure.put(path, json={"location": "westeurope"})
    assert (failed.status_code, failed.json()["error"]["code"]) == (503, "ServerBusy")
    assert azure.get(path).status_code == 404
    assert azure.put(path, json={"location": "westeurope"}).status_code == 201


def test_a_dropped_call_has_its_effect_or_not(azure: httpx.Client, sandbox: Sandbox) -> None:
    path = f"{CHECKOUT}/resourceGroups/{{}}?api-version=2022-09-01"
    sandbox.faults.add(Drop(method="PUT", path="rg-before", when="before", times=1))
    sandbox.faults.add(Drop(method="PUT", path="rg-after", when="after", times=1))
    for name in ("rg-before", "rg-after"):
        with pytest.raises(httpx.TransportError):
            azure.put(path.format(name), json={"location": "westeurope"})
    assert azure.get(path.format("rg-before")).status_code == 404
    assert azure.get(path.format("rg-after")).status_code == 200


def test_a_slow_call_does_not_hold_up_others(azure: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.faults.add(Slow(path="resourceGroups", seconds=0.2))
    started = time.monotonic()
    azure.get(f"{CHECKOUT}/resourceGroups?api-version=2022-09-01")
    assert time.monotonic() - started >= 0.2


def test_a_new_group_is_not_seen_by_role_assignments_at_first(azure: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.faults.add(Lag(of="groups", hidden_from="roleAssignments", reads=2))
    group = azure.post("/v1.0/groups", json=GROUP).json()["id"]
    assert azure.get(f"/v1.0/groups/{group}").status_code == 200
    name = "0c1d7a3e-2222-4000-8000-000000000001"
    answers = [_assign(azure, group, name) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [400, 400, 201]
    assert answers[0].json()["error"]["code"] == "PrincipalNotFound"


def test_a_new_guest_is_not_seen_by_the_directory_at_first(azure: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.faults.add(Lag(of="users", hidden_from="directory", reads=2))
    invitation = {"invitedUserEmailAddress": "new@partner.example", "inviteRedirectUrl": "https://portal.azure.com"}
    guest = azure.post("/v1.0/invitations", json=invitation).json()["invitedUser"]["id"]
    group = azure.post("/v1.0/groups", json=GROUP).json()["id"]
    assert azure.get("/v1.0/users", params={"$filter": "mail eq 'new@partner.example'"}).json()["value"] == []
    reference = {"@odata.id": f"x/{guest}"}
    statuses = [azure.post(f"/v1.0/groups/{group}/members/$ref", json=reference).status_code for _ in range(2)]
    assert statuses == [404, 204]


def test_lag_can_last_a_while_instead(azure: httpx.Client, sandbox: Sandbox) -> None:
    now = datetime.now(UTC)
    sandbox.faults.add(Lag(hidden_from="directory", reads=0, seconds=30))
    group = azure.post("/v1.0/groups", json=GROUP)
    assert group.status_code == 201
    assert azure.get(f"/v1.0/groups/{group.json()['id']}").status_code == 404
    sandbox.world.now = lambda: now + timedelta(seconds=31)
    assert azure.get(f"/v1.0/groups/{group.json()['id']}").status_code == 200


def test_faults_are_switched_from_another_process(azure: httpx.Client) -> None:
    made = azure.post("/sandbox/faults", json={"kind": "throttle", "path": "/subscriptions", "retryAfter": 3})
    assert made.status_code == 201
    assert azure.get(SUBSCRIPTION).headers["retry-after"] == "3"
    (listed,) = azure.get("/sandbox/faults").json()["value"]
    assert (listed["id"], listed["struck"]) == (made.json()["id"], 1)
    assert azure.delete(f"/sandbox/faults/{listed['id']}").status_code == 204
    assert azure.delete(f"/sandbox/faults/{listed['id']}").status_code == 404
    assert azure.get(SUBSCRIPTION).status_code == 200
    azure.put("/sandbox/faults", json=[{"kind": "fail", "status": 500}, {"kind": "slow", "seconds": 0.01}])
    assert azure.get(SUBSCRIPTION).status_code == 500
    assert azure.delete("/sandbox/faults").status_code == 204
    assert azure.get(SUBSCRIPTION).status_code == 200


@pytest.mark.parametrize(
    ("fault", "key"),
    [
        ({"kind": "earthquake"}, "kind"),
        ({"kind": "fail", "status": 200}, "status"),
        ({"kind": "throttle", "path": "("}, "path"),
        ({"kind": "lag", "readz": 1}, "readz"),
        ("throttle", ""),
    ],
)
def test_a_wrong_fault_is_told_by_its_key(fault: Any, key: str, azure: httpx.Client) -> None:
    with pytest.raises(InputError) as caught:
        read_fault(fault)
    assert key in caught.value.detail
    azure.post("/sandbox/faults", json={"kind": "slow", "seconds": 0.001})
    assert azure.put("/sandbox/faults", json=[fault]).status_code == 422
    assert len(azure.get("/sandbox/faults").json()["value"]) == 1  # what was on stays on


def test_what_somebody_does_in_the_portal_meets_no_faults(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fail(status=500))
    sandbox.faults.add(Lag(hidden_from="directory"))
    assert sandbox.drift("POST", "/v1.0/groups", GROUP).status == 201
    assert sandbox.drift("POST", "/v1.0/groups", GROUP, tenant=WORKLOADS).status == 201
    assert sandbox.drift("GET", "/v1.0/groups", tenant="nowhere.example").status == 404
    assert len(sandbox.drift("GET", "/v1.0/groups").body["value"]) == 3
