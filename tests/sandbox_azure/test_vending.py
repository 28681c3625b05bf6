"""Subscriptions that are ordered, accepted, renamed and cancelled, as Azure does it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from runner.sandbox.azure.faults import LateFailure, Slowly
from runner.sandbox.azure.server import Sandbox
from tests.sandbox_azure.conftest import CHECKOUT, CORP, RUNNER_OBJECT, SHARED, WORKLOADS, bearer

ALIAS = "/providers/Microsoft.Subscription/aliases/lzr-one?api-version=2021-10-01"
BILLING = "/providers/Microsoft.Billing/billingAccounts"
ENROLLMENT = f"{BILLING}/1234567/enrollmentAccounts/654321"
SECTION = f"{BILLING}/corp/billingProfiles/main/invoiceSections/workloads"
VENDOR = "7d3f0c52-aaaa-4a6e-9c55-2a4b6f1d0022"


def order(azure: httpx.Client, *, scope: str = ENROLLMENT, headers: Any = None, **more: Any) -> httpx.Response:
    properties = {"displayName": "one", "workload": "Production", "billingScope": scope, "additionalProperties": more}
    return azure.put(ALIAS, json={"properties": properties}, headers=headers)


def properties(azure: httpx.Client, headers: Any = None) -> dict[str, Any]:
    found: dict[str, Any] = azure.get(ALIAS, headers=headers).json()["properties"]
    return found


def test_an_order_is_accepted_and_becomes_a_subscription_whose_owner_is_who_ordered(azure: httpx.Client) -> None:
    assert azure.get(ALIAS).status_code == 404
    group = "/providers/Microsoft.Management/managementGroups/corp-online"
    answer = order(azure, managementGroupId=group)
    assert (answer.status_code, answer.json()["properties"]["provisioningState"]) == (201, "Accepted")
    made = properties(azure)
    assert made["provisioningState"] == "Succeeded"
    scope = f"/subscriptions/{made['subscriptionId']}"
    assert azure.get(f"{scope}?api-version=2022-12-01").json()["displayName"] == "one"
    assert azure.get(f"{group}{scope}?api-version=2020-05-01").status_code == 200
    listed = azure.get(f"{scope}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01").json()
    assert RUNNER_OBJECT in [
        one["properties"]["principalId"] for one in listed["value"] if one["properties"]["scope"] == scope
    ]


def test_who_orders_again_under_an_alias_gets_what_is_there(azure: httpx.Client, sandbox: Sandbox) -> None:
    order(azure)
    first = properties(azure)["subscriptionId"]
    before = len(sandbox.world.estate.subscriptions)
    again = order(azure)
    assert (again.status_code, again.json()["properties"]["subscriptionId"]) == (200, first)
    assert len(sandbox.world.estate.subscriptions) == before


def test_a_creation_that_fails_late_leaves_no_subscription_and_can_be_tried_again(
    azure: httpx.Client, sandbox: Sandbox
) -> None:
    fault = sandbox.faults.add(Slowly(path="aliases", polls=1, error=LateFailure(code="Quota")))
    before = len(sandbox.world.estate.subscriptions)
    order(azure)
    assert [properties(azure)["provisioningState"] for _ in range(2)] == ["Accepted", "Failed"]
    assert len(sandbox.world.estate.subscriptions) == before
    sandbox.faults.clear(fault)
    assert order(azure).status_code == 201
    assert properties(azure)["provisioningState"] == "Succeeded"


@pytest.mark.parametrize(
    ("scope", "more", "expected"),
    [
        (SECTION, {}, (403, "UserNotAuthorized")),
        (f"{BILLING}/1234567/enrollmentAccounts/0", {}, (404, "BillingScopeNotFound")),
        (ENROLLMENT, {"managementGroupId": "Corp Online"}, (400, "ManagementGroupNotFound")),
    ],
)
def test_what_the_billing_scope_or_the_group_does_not_allow_is_refused(
    scope: str, more: dict[str, Any], expected: tuple[int, str], azure: httpx.Client
) -> None:
    answer = order(azure, scope=scope, **more)
    assert (answer.status_code, answer.json()["error"]["code"]) == expected
    assert azure.get(ALIAS).status_code == 404


def test_an_offer_from_another_tenant_is_seen_only_when_its_owner_has_accepted_it(
    azure: httpx.Client, anonymous: httpx.Client
) -> None:
    own = {"Authorization": azure.headers["Authorization"]}
    vendor = bearer(anonymous, tenant=CORP, client_id=VENDOR, secret="sandbox-vendor-secret")
    order(azure, scope=SECTION, headers=vendor, subscriptionTenantId=WORKLOADS, subscriptionOwnerId=RUNNER_OBJECT)
    made = properties(azure, vendor)
    assert made["acceptOwnershipState"] == "Pending"
    assert azure.get(ALIAS, headers=own).status_code == 404
    subscription = f"/subscriptions/{made['subscriptionId']}?api-version=2022-12-01"
    assert azure.get(subscription, headers=own).status_code == 404
    offer = f"/providers/Microsoft.Subscription/subscriptions/{made['subscriptionId']}"
    accepted = azure.post(
        f"{offer}/acceptOwnership?api-version=2021-10-01", json={"properties": {"displayName": "two"}}, headers=own
    )
    assert accepted.status_code == 202
    status = azure.get(f"{offer}/acceptOwnershipStatus?api-version=2021-10-01", headers=own).json()
    assert status["acceptOwnershipState"] == "Completed"
    assert azure.get(subscription, headers=own).json()["displayName"] == "two"


def test_a_subscription_is_renamed_and_cancelled_with_what_is_in_it_only_when_told_so(azure: httpx.Client) -> None:
    rename = f"{CHECKOUT}/providers/Microsoft.Subscription/rename?api-version=2021-10-01"
    assert azure.post(rename, json={"subscriptionName": "new"}).status_code == 200
    assert azure.get(f"{CHECKOUT}?api-version=2022-12-01").json()["displayName"] == "new"
    cancel = f"{SHARED}/providers/Microsoft.Subscription/cancel?api-version=2021-10-01"
    assert azure.post(cancel).status_code == 400
    assert azure.post(f"{cancel}&IgnoreResourceCheck=true").status_code == 200
    assert azure.get(f"{SHARED}?api-version=2022-12-01").json()["state"] == "Disabled"
    assert azure.post(f"{cancel}&IgnoreResourceCheck=true").status_code == 409
