"""The deletion of a tenant through the command line: asked for, decided, planned and carried out, with its documents and without."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.estate import TENANT, Estate

ASK = ("tenant", "delete", TENANT, "documents", "--reason", "project ended")


@pytest.fixture
def applied(estate: Estate) -> Estate:
    """The demo, applied; its zone decides by policy but where a person is needed."""
    estate.decided_by("never")
    assert estate.lzr("reconcile", "documents", "--json").run["status"] == "applied"
    return estate


def members(estate: Estate) -> int:
    found = [group for tenant in estate.world()["tenants"] for group in tenant["groups"]]
    return sum(len(group["members"]) for group in found if group["displayName"].startswith("payments.checkout-dev"))


def without_document(estate: Estate) -> None:
    for file in (estate.documents / "tenants").glob("*.yaml"):
        file.unlink()


def left(estate: Estate, *arguments: object) -> dict[str, Any]:
    """Planned to leave, approved and applied; what was planned."""
    planned = estate.lzr("destroy", TENANT, *arguments, "--json", code=6).run
    estate.lzr("approve", planned["id"])
    assert estate.lzr("apply", planned["id"], "--json").run["status"] == "applied"
    return planned


def gone(estate: Estate) -> bool:
    world = json.dumps(estate.world())
    return "payments.checkout-dev-admin" not in world and "rg-network-checkout-dev" not in world


def test_asked_for_it_is_reconciled_without_access_until_it_is_declined(applied: Estate) -> None:
    assert members(applied) == 4
    assert "approve-deletion" in applied.lzr(*ASK).stdout
    ended = applied.lzr("reconcile", "documents", "--json").run
    assert (ended["status"], ended["behavior"]) == ("applied", "apply")
    assert "deletion-requested" in [warning["code"] for warning in ended["warnings"]]
    assert members(applied) == 0
    assert not ended["review"]["changes"]
    assert applied.lzr("reconcile", "documents", "--json").run["status"] == "unchanged"

    refused = applied.lzr("destroy", TENANT, "--in", "documents", code=3).stderr
    assert "not approved" in refused
    assert "project ended" in refused
    assert "under way" in applied.lzr(*ASK, code=3).stderr

    assert "stays" in applied.lzr("tenant", "decline-deletion", TENANT, "--comment", "still needed").stdout
    assert applied.lzr("reconcile", "documents", "--json").run["status"] == "applied"
    assert members(applied) == 4


def test_once_approved_it_only_leaves_and_then_stays_away_until_it_is_purged(applied: Estate) -> None:
    applied.lzr(*ASK)
    approved = applied.lzr("tenant", "approve-deletion", TENANT, "--comment", "agreed", "--json").json()
    assert (approved["standing"], approved["comment"]) == ("approved", "agreed")
    assert TENANT in applied.lzr("tenants", "leaving").stdout
    assert "lzr destroy" in applied.lzr("reconcile", "documents", code=3).stderr
    left(applied, "--in", "documents")
    assert gone(applied)
    assert "No tenant leaves." in applied.lzr("tenants", "leaving").stdout
    refused = applied.lzr("reconcile", "documents", code=3).stderr
    assert "was deleted" in refused
    assert "lzr tenant purge" in refused
    applied.lzr("tenant", "purge", TENANT)
    assert applied.lzr("reconcile", "documents", "--json").run["status"] == "applied"


def test_a_tenant_that_leaves_does_not_keep_the_others_from_being_reconciled(applied: Estate) -> None:
    other = applied.add_tenant(2)
    applied.lzr(*ASK)
    applied.lzr("tenant", "approve-deletion", TENANT)
    ran = applied.lzr("reconcile", "documents", "--json", code=3)
    assert (ran.run["tenant"], ran.run["status"]) == (other, "applied")
    assert TENANT in ran.stderr


def test_without_its_document_it_leaves_as_its_tombstone_says_in_the_zone_of_now(applied: Estate) -> None:
    applied.lzr(*ASK)
    applied.lzr("tenant", "approve-deletion", TENANT)
    without_document(applied)
    assert TENANT in applied.lzr("tenants", "leaving").stdout
    applied.edit("AzurePlatform", lambda one: one["spec"].update(skipUserGroupPermissionCleanup=True))
    planned = left(applied, "--in", "documents")
    assert planned["review"]["counts"]["forget"] > 0
    assert "payments.checkout-dev-admin" in json.dumps(applied.world())
    assert "rg-network-checkout-dev" not in json.dumps(applied.world())
    shown = applied.lzr("tenant", "show", TENANT, "documents", "--json").json()
    assert (shown["document"], shown["deletion"]["standing"]) == ("", "gone")
    assert any("payments.checkout-dev-admin" in one["text"] for one in shown["leftovers"])


def test_without_any_documents_it_leaves_as_its_last_run_knew_it(applied: Estate) -> None:
    nowhere = applied.directory / "nowhere"
    nowhere.mkdir()
    assert "documented no longer" in applied.lzr("destroy", TENANT, "--in", nowhere, code=6).stderr
    left(applied, "--in", nowhere)
    assert gone(applied)
    assert members(applied) == 0


def test_a_platform_that_moved_since_makes_the_approval_of_an_undocumented_leaving_void(applied: Estate) -> None:
    without_document(applied)
    planned = applied.lzr("destroy", TENANT, "--in", "documents", "--json", code=6).run
    applied.lzr("approve", planned["id"])
    applied.edit("AzurePlatform", lambda one: one["spec"].update(skipUserGroupPermissionCleanup=True))
    failed = applied.lzr("apply", planned["id"], "--json", code=3).run
    assert failed["failure"]["code"] == "plan-outdated"
    assert not gone(applied)


def test_who_was_never_there_cannot_leave(estate: Estate) -> None:
    nowhere = estate.directory / "nowhere"
    nowhere.mkdir()
    assert "There is no such tenant" in estate.lzr("destroy", "payments.nobody", "--in", nowhere, code=2).stderr
    assert "There is no such tenant" in estate.lzr("destroy", "payments.nobody", "--in", "documents", code=2).stderr


def test_what_was_decided_after_a_plan_makes_its_approval_void(applied: Estate) -> None:
    applied.decided_by("always")
    applied.edit("Tenant", lambda one: one["spec"]["projectTags"].update(costCenter=["9"]))
    waiting = applied.lzr("plan", "documents", "--json", code=6).run
    applied.lzr("approve", waiting["id"])
    applied.lzr(*ASK)
    failed = applied.lzr("apply", waiting["id"], "--json", code=3).run
    assert "the deletion of the tenant (now requested)" in failed["failure"]["detail"]

    applied.lzr("tenant", "approve-deletion", TENANT)
    leaving = applied.lzr("destroy", TENANT, "--in", "documents", "--json", code=6).run
    applied.lzr("approve", leaving["id"])
    applied.lzr("tenant", "decline-deletion", TENANT)
    assert "is canceled" in applied.lzr("apply", leaving["id"], code=3).stderr
    assert not gone(applied)


def test_a_zone_may_approve_by_itself_and_let_its_policy_decide_the_leaving(applied: Estate) -> None:
    applied.edit("LandingZone", lambda zone: zone["spec"].update(automateDeletionApproval=True))
    asked = applied.lzr(*ASK, "--json").json()
    assert (asked["standing"], asked["decided_by"]) == ("approved", "zone:corp-online")
    ended = applied.lzr("destroy", TENANT, "--in", "documents", "--json").run
    assert (ended["status"], ended["approvals"][0]["by"]) == ("applied", "policy:never")
    assert gone(applied)


def test_a_reason_is_needed_and_has_a_length(estate: Estate) -> None:
    for reason, said in (("", "needs a reason"), ("x" * 256, "at most 255")):
        assert said in estate.lzr("tenant", "delete", TENANT, "documents", "--reason", reason, code=2).stderr
    estate.lzr("tenant", "delete", TENANT, "documents", "--reason", "x" * 255)


def test_who_decides_about_nothing_is_told_so(estate: Estate) -> None:
    for command in ("approve-deletion", "decline-deletion"):
        assert "Nobody asked" in estate.lzr("tenant", command, TENANT, code=2).stderr
    assert "Nobody asked" in estate.lzr("tenant", "purge", TENANT).stdout
    estate.lzr(*ASK)
    assert "--yes" in estate.lzr("tenant", "purge", TENANT, code=3).stderr
    estate.lzr("tenant", "purge", TENANT, "--yes")
    assert "No tenant leaves." in estate.lzr("tenants", "leaving").stdout


def test_a_platform_that_keeps_permissions_keeps_them_also_while_a_deletion_waits(applied: Estate) -> None:
    applied.edit("AzurePlatform", lambda one: one["spec"].update(skipUserGroupPermissionCleanup=True))
    applied.lzr(*ASK)
    ended = applied.lzr("reconcile", "documents", "--json").run
    assert ended["status"] == "unchanged"
    assert members(applied) == 4


def test_a_leaving_tenant_is_shown_with_what_is_still_there(applied: Estate) -> None:
    applied.lzr(*ASK)
    assert "asked for by" in applied.lzr("tenant", "show", TENANT, "documents").stdout
    applied.lzr("tenant", "approve-deletion", TENANT)
    told = applied.lzr("tenant", "show", TENANT, "documents", "--json").json()
    still = {one["name"] for one in told["items"] if not one["matches"]}
    assert {"rg-network-checkout-dev", "payments.checkout-dev-admin", "lz_costCenter"} <= still
    left(applied, "--in", "documents")
    told = applied.lzr("tenant", "show", TENANT, "documents", "--json").json()
    assert [one for one in told["items"] if not one["matches"]] == []
    assert told["subscription"]["state"] == "Enabled"
