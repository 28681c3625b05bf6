"""Looking at tenants through the command line: what one is and should be, and subscriptions that nobody documents."""

from __future__ import annotations

from typing import Any

from tests.estate import TENANT, Estate

SUBSCRIPTION = "/subscriptions/4f1c2d30-0000-4000-8000-000000000001"
CORP = "/providers/Microsoft.Management/managementGroups/corp-online/subscriptions"


def shown(estate: Estate, **settings: Any) -> dict[str, Any]:
    found: dict[str, Any] = estate.lzr("tenant", "show", TENANT, "documents", "--json", **settings).json()
    return found


def wrong(told: dict[str, Any]) -> dict[tuple[str, str], tuple[str, str]]:
    return {(one["kind"], one["name"]): (one["should"], one["found"]) for one in told["items"] if not one["matches"]}


def test_a_tenant_is_shown_before_after_and_when_somebody_changed_it(estate: Estate) -> None:
    before = shown(estate)
    assert before["subscription"]["state"] == "Enabled"
    assert (before["lastRun"], before["state"]["versions"], before["deletion"]) == (None, 0, None)
    assert wrong(before)["management group", "corp-online"] == ("corp-online", "sandbox")
    assert ("group", "payments.checkout-dev-admin") in wrong(before)
    assert not [call for call in estate.calls() if call.service == "arm" and call.method not in ("GET", "POST")]

    estate.decided_by("never")
    run = estate.lzr("reconcile", "documents", "--json").run
    after = shown(estate)
    assert wrong(after) == {}
    assert {one["kind"] for one in after["items"]} == {
        "management group",
        "resource group",
        "group",
        "members",
        "role",
        "tag",
    }
    assert (after["lastRun"]["id"], after["lastRun"]["status"]) == (run["id"], "applied")
    assert after["state"]["versions"] > 0
    assert [warning["code"] for warning in after["warnings"]] == ["person-not-found"]
    assert ".yaml:" in after["document"]

    tags = {"operation": "Merge", "properties": {"tags": {"lz_costCenter": "1"}}}
    path = f"{SUBSCRIPTION}/providers/Microsoft.Resources/tags/default?api-version=2021-04-01"
    assert estate.sandbox.drift("PATCH", path, tags).status == 200
    assert wrong(shown(estate)) == {("tag", "lz_costCenter"): ("4711", "1")}
    words = estate.lzr("tenant", "show", TENANT, "documents").stdout
    assert "is 1, should be 4711" in words
    assert run["id"] in words


def test_what_the_store_knows_is_shown_also_when_azure_says_nothing(estate: Estate) -> None:
    estate.fault(kind="fail", service="arm", status=400)
    told = estate.lzr("tenant", "show", TENANT, "documents", "--json", code=5).json()
    assert (told["tenant"], told["items"]) == (TENANT, [])
    assert told["failure"]["summary"]
    words = estate.lzr("tenant", "show", TENANT, "documents", code=5).stdout
    assert "Azure could not be looked at" in words
    assert "last run       none" in words


def test_only_what_nobody_documents_below_the_zones_groups_is_listed(estate: Estate) -> None:
    assert "is documented" in estate.lzr("tenants", "unmanaged", "documents").stdout
    for number in (1, 2):
        path = f"{CORP}/4f1c2d30-0000-4000-8000-00000000000{number}?api-version=2020-05-01"
        assert estate.sandbox.drift("PUT", path, {}).status == 200
    found = estate.lzr("tenants", "unmanaged", "documents", "--json").json()
    assert found["unmanaged"] == [
        {
            "id": "4f1c2d30-0000-4000-8000-000000000002",
            "name": "unused-pool-001",
            "state": "Enabled",
            "managementGroup": "corp-online",
            "platform": found["unmanaged"][0]["platform"],
        }
    ]
    words = estate.lzr("tenants", "unmanaged", "documents").stdout
    assert "unused-pool-001" in words
    assert "payments-checkout-dev" not in words
    estate.add_tenant(2)
    assert estate.lzr("tenants", "unmanaged", "documents", "--json").json()["unmanaged"] == []


def test_a_management_group_that_cannot_be_read_is_told(estate: Estate) -> None:
    estate.edit("LandingZone", lambda zone: zone["spec"].update(azureManagementGroupId="nowhere"))
    assert "nowhere" in estate.lzr("tenants", "unmanaged", "documents", code=2).stdout
