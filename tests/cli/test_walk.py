"""The main job through the command line: real processes, the real terraform, a sandbox."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from runner.domain.run import Status
from runner.sandbox.azure.server import Sandbox
from tests.estate import TENANT, Estate

SUBSCRIPTION = "4f1c2d30-0000-4000-8000-000000000001"
FUNCTION = "/api/onboard"
NETWORK = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-network-checkout-dev"
KEEPME = f"{NETWORK}/providers/Microsoft.Storage/storageAccounts/keepme?api-version=2023-01-01"


def approved(estate: Estate, *arguments: str) -> str:
    """Plan the demo's tenant and approve it; the run's id."""
    planned = estate.lzr("plan", "documents", "--json", *arguments, code=6).run
    estate.lzr("approve", planned["id"], "--digest", planned["digest"][:12])
    return str(planned["id"])


def costs(center: str, tenant: dict[str, Any]) -> None:
    tenant["spec"]["projectTags"]["costCenter"] = [center]


def applied(estate: Estate) -> None:
    estate.lzr("apply", approved(estate))


def test_a_tenant_is_planned_reviewed_approved_and_applied(estate: Estate) -> None:
    planned = estate.lzr("plan", "documents", code=6)
    assert "Gives Owner on the subscription" in planned.stdout
    assert "from management group sandbox to corp-online" in planned.stdout
    assert "dev2@partner.example" in planned.stdout
    assert "is invited as a guest first, no mail sent" in planned.stdout
    assert "old.name@corp.example" in planned.stdout
    assert "the sandbox's stand-ins" in planned.stdout
    assert not [call for call in estate.calls("PUT") if call.service == "arm"]
    assert not estate.calls("POST", "/groups")
    (run,) = estate.runs()

    assert "Another digest" in estate.lzr("approve", run.id, "--digest", "0123456789ab", code=3).stderr
    assert "too short" in estate.lzr("approve", run.id, "--digest", run.digest[:7], code=2).stderr
    estate.lzr("approve", run.id, "--digest", run.digest[:12], "--comment", "looks right")
    ended = estate.lzr("apply", run.id, "--json").run
    assert ended["status"] == "applied"
    assert ended["approvals"][0]["comment"] == "looks right"
    assert ended["function"]["status"] == 200
    assert set(ended["outputs"]["group_ids"]) == {"admin", "user", "reader"}
    assert [warning["code"] for warning in ended["warnings"]] == ["person-not-found"]

    shown = estate.lzr("sandbox", "show").stdout
    assert "payments.checkout-dev-admin is Owner on subscription payments-checkout-dev" in shown
    assert "lz_costCenter=4711" in shown
    assert "rg-network-checkout-dev in westeurope" in shown
    assert estate.lzr("store", "check").code == 0


def test_again_nothing_changes_and_the_function_is_still_called(estate: Estate) -> None:
    applied(estate)
    before = len(estate.calls("POST", FUNCTION))
    again = estate.lzr("reconcile", "documents", "--json").run
    assert (again["status"], again["changes"]) == ("unchanged", False)
    assert again["approvals"][0]["by"] == "policy:as-approved-before"
    assert len(estate.calls("POST", FUNCTION)) == before + 1
    assert "is as it should be" in estate.lzr("reconcile", "documents").stdout


def test_another_function_call_is_asked_about_although_nothing_changes(estate: Estate) -> None:
    applied(estate)
    before = len(estate.calls("POST", FUNCTION))
    estate.edit("Tenant", lambda tenant: tenant["spec"]["projectTags"].update(dataClass=["secret"]))
    waits = estate.lzr("reconcile", "documents", "--json", code=6).run
    assert waits["status"] == "waiting"
    assert [risk["code"] for risk in waits["review"]["risks"]] == ["new-function-call"]
    assert len(estate.calls("POST", FUNCTION)) == before


def test_drift_is_shown_and_repaired_after_approval(estate: Estate) -> None:
    applied(estate)
    place = f"/providers/Microsoft.Management/managementGroups/sandbox/subscriptions/{SUBSCRIPTION}"
    estate.sandbox.drift("PUT", f"{place}?api-version=2020-05-01", {})
    tags = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Resources/tags/default?api-version=2021-04-01"
    estate.sandbox.drift("PATCH", tags, {"operation": "Delete", "properties": {"tags": {"lz_costCenter": ""}}})

    shown = estate.lzr("plan", "documents", code=6).stdout
    assert "Changed behind the runner's back" in shown
    assert "from management group sandbox to corp-online" in shown
    assert "lz_costCenter" in shown
    run = estate.runs(Status.WAITING)[-1]
    estate.lzr("approve", run.id)
    estate.lzr("apply", run.id)
    assert estate.lzr("reconcile", "documents", "--json").run["status"] == "unchanged"
    assert not [call for call in estate.calls("DELETE") if "managementGroups" in call.path]


def test_a_stranger_in_a_group_is_a_reviewed_removal_and_a_new_person_an_addition(estate: Estate) -> None:
    applied(estate)
    estate.edit("Tenant", lambda tenant: tenant["spec"]["users"].pop(1))
    found = estate.lzr("plan", "documents", "--json", code=6).run["review"]["access"]
    assert [removal["group_name"] for removal in found["removals"]] == ["payments.checkout-dev-user"]
    assert found["additions"] == []
    assert found["invitations"] == []


def test_documents_that_moved_make_an_approval_void(estate: Estate) -> None:
    run = approved(estate)
    estate.edit("Tenant", lambda tenant: tenant["spec"].update(projectName="renamed"))
    ended = estate.lzr("apply", run, "--json", code=3).run
    assert ended["failure"]["code"] == "plan-outdated"
    assert "the documents" in ended["failure"]["detail"]
    assert not [call for call in estate.calls("PUT") if call.service == "arm"]


def test_documents_in_another_file_that_say_the_same_leave_an_approval_standing(estate: Estate) -> None:
    run = approved(estate)
    (tenant,) = (estate.documents / "tenants").glob("*.yaml")
    tenant.rename(tenant.with_name("renamed.yaml"))
    assert estate.lzr("apply", run, "--json").run["status"] == "applied"


def test_a_tenant_that_is_not_there_begins_nothing(estate: Estate) -> None:
    wrong = estate.lzr("plan", "documents", "--tenant", TENANT, "--tenant", "payments.chekout-dev", code=2)
    assert "payments.checkout-dev" in wrong.stderr
    assert estate.runs() == ()


def test_a_state_that_moved_makes_an_approval_void(estate: Estate) -> None:
    for cost_center in ("4711", "0815"):
        estate.edit("Tenant", partial(costs, cost_center))
        applied(estate)
    estate.edit("Tenant", lambda tenant: tenant["spec"]["projectTags"].update(costCenter=["4712"]))
    run = approved(estate)
    estate.lzr("state", "rollback", TENANT, "1", "--yes")
    assert "the state" in estate.lzr("apply", run, "--json", code=3).run["failure"]["detail"]


def test_a_newer_plan_supersedes_one_that_waits_and_voids_its_approval(estate: Estate) -> None:
    first = approved(estate)
    estate.lzr("plan", "documents", code=6)
    assert estate.lzr("apply", first, code=3).stderr
    assert [run.status for run in estate.runs()] == [Status.SUPERSEDED, Status.WAITING]


def test_a_tenant_leaves_after_approval_and_its_subscription_stays_where_it_is(estate: Estate) -> None:
    applied(estate)
    calls = len(estate.calls("POST", FUNCTION))
    waits = estate.lzr("destroy", TENANT, "--in", "documents", "--reason", "project ended", "--json", code=6).run
    assert waits["review"]["counts"]["destroy"] == 8
    estate.lzr("approve", waits["id"])
    assert "has left" in estate.lzr("apply", waits["id"]).stdout
    world = json.dumps(estate.world())
    assert "payments.checkout-dev-admin" not in world
    assert "lz_workspace" not in world
    assert "createdBy" in world
    assert "rg-network-checkout-dev" not in world
    assert len(estate.calls("POST", FUNCTION)) == calls
    assert not [call for call in estate.calls("DELETE") if "managementGroups" in call.path]
    assert json.loads(estate.lzr("state", "show", TENANT, "--raw").stdout)["resources"] == []


def test_a_resource_group_with_contents_is_deleted_only_when_its_name_is_given(estate: Estate) -> None:
    applied(estate)
    estate.sandbox.drift("PUT", KEEPME, {"location": "westeurope"})
    waits = estate.lzr("destroy", TENANT, "--in", "documents", "--json", code=6).run
    assert waits["review"]["contents"][0]["resources"][0].endswith("keepme")
    refused = estate.lzr("approve", waits["id"], code=3)
    assert "--confirm-delete rg-network-checkout-dev" in refused.stderr
    estate.lzr("approve", waits["id"], "--confirm-delete", "rg-network-checkout-dev")
    estate.lzr("apply", waits["id"])
    assert "keepme" not in json.dumps(estate.world())


def test_what_came_into_a_resource_group_after_the_review_is_never_deleted_unseen(estate: Estate) -> None:
    applied(estate)
    waits = estate.lzr("destroy", TENANT, "--in", "documents", "--json", code=6).run
    assert waits["review"]["contents"] == []
    estate.lzr("approve", waits["id"])
    estate.sandbox.drift("PUT", KEEPME, {"location": "westeurope"})
    ended = estate.lzr("apply", waits["id"], "--json", code=3).run
    assert ended["failure"]["code"] == "plan-outdated"
    assert "the contents of the resource group rg-network-checkout-dev" in ended["failure"]["detail"]
    assert estate.calls("DELETE") == []


def test_a_plan_that_was_made_for_one_azure_is_not_applied_to_another(
    estate: Estate, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = approved(estate)
    with Sandbox(tmp_path_factory.mktemp("other")) as other:
        other.write_handle()
        ended = estate.lzr("apply", run, "--json", code=3, LZR_SANDBOX=other.directory).run
        assert "the cloud" in ended["failure"]["detail"]
        assert not [call for call in other.world.calls if call.method == "PUT"]


def test_a_managed_identity_signs_both_halves_in(estate: Estate) -> None:
    """People (azure-identity in this process) and infrastructure (the providers), each by the endpoint that it is told."""

    def managed(platform: dict[str, Any]) -> None:
        platform["spec"]["servicePrincipal"]["auth"] = {"type": "managedIdentity"}

    estate.edit("AzurePlatform", managed)
    applied(estate)
    assert "payments.checkout-dev-admin is Owner" in estate.lzr("sandbox", "show").stdout


def test_a_plan_of_a_tenant_that_is_as_it_should_be_leaves_nothing_to_apply(estate: Estate) -> None:
    applied(estate)
    before = len(estate.calls("POST", FUNCTION))
    looked = estate.lzr("plan", "documents")
    assert "is as it should be" in looked.stdout
    assert "the function is called when it is reconciled" in looked.stdout
    assert estate.runs()[-1].status is Status.UNCHANGED
    assert len(estate.calls("POST", FUNCTION)) == before


def test_a_call_that_was_approved_and_failed_is_made_again_without_asking_and_the_one_before_it_is_not(
    estate: Estate,
) -> None:
    applied(estate)
    estate.edit("Tenant", lambda tenant: tenant["spec"]["projectTags"].update(dataClass=["secret"]))
    run = approved(estate)
    broken = estate.fault(kind="fail", service="function", status=503)
    estate.lzr("apply", run, code=5)
    estate.mend(broken)
    assert estate.lzr("reconcile", "documents", "--json").run["status"] == "unchanged"
    estate.edit("Tenant", lambda tenant: tenant["spec"]["projectTags"].update(dataClass=["internal"]))
    assert estate.lzr("reconcile", "documents", "--json", code=6).run["status"] == "waiting"


def platform_team(estate: Estate) -> str:
    """Object id of a group that exists in the sandbox, with a member of its own."""
    groups = [group for tenant in estate.world()["tenants"] for group in tenant["groups"]]
    (found,) = [str(group["id"]) for group in groups if group["displayName"] == "platform-team"]
    return found


def test_an_existing_group_is_told_by_its_own_name_and_one_that_is_not_there_is_an_error(estate: Estate) -> None:
    existing = [{"projectRoleRef": {"name": "Project User"}, "objectId": platform_team(estate)}]
    estate.edit("Tenant", lambda tenant: tenant["spec"].update(existingGroups=existing))
    shown = estate.lzr("plan", "documents", code=6).stdout
    assert "to everybody in the existing group platform-team" in shown
    assert "dev2@partner.example  into platform-team" in shown
    existing[0]["objectId"] = "99999999-0000-4000-8000-000000000001"
    estate.edit("Tenant", lambda tenant: tenant["spec"].update(existingGroups=existing))
    assert estate.lzr("plan", "documents", "--json", code=2).run["failure"]["code"] == "unknown-group"


def test_who_was_put_into_an_existing_group_leaves_it_again_and_nobody_else_does(estate: Estate) -> None:
    existing = [{"projectRoleRef": {"name": "Project User"}, "objectId": platform_team(estate)}]
    estate.edit("Tenant", lambda tenant: tenant["spec"].update(existingGroups=existing))
    applied(estate)
    estate.edit("Tenant", lambda tenant: tenant["spec"].update(users=[]))
    found = estate.lzr("plan", "documents", "--json", code=6).run["review"]["access"]["removals"]
    ours = [one for one in found if one["group_name"] == "platform-team"]
    assert len(ours) == 2
    assert not any("emergency" in one["label"] for one in ours)


def test_policy_decides_where_the_zone_says_so_but_never_that_a_tenant_leaves(estate: Estate) -> None:
    estate.decided_by("never")
    ended = estate.lzr("reconcile", "documents", "--json").run
    assert (ended["status"], ended["approvals"][0]["by"]) == ("applied", "policy:never")
    estate.lzr("destroy", TENANT, "--in", "documents", code=6)


def test_four_eyes_are_refused_without_sign_in(estate: Estate) -> None:
    estate.edit("LandingZone", lambda zone: zone["spec"]["approval"].update(fourEyes=True))
    waits = estate.lzr("plan", "documents", "--json", code=6).run
    assert "Four eyes need sign-in" in estate.lzr("approve", waits["id"], code=3).stderr


def test_a_review_that_waited_too_long_is_not_approved_any_more(estate: Estate) -> None:
    waits = estate.lzr("plan", "documents", "--json", code=6).run
    refused = estate.lzr("approve", waits["id"], code=3, LZR_REVIEW_EXPIRES="0.001").stderr
    assert "The review is too old" in refused
    assert f"lzr plan {estate.documents} --tenant {TENANT}" in refused
    assert [run.status for run in estate.runs()] == [Status.EXPIRED]
    assert "it waited too long" in estate.lzr("approve", waits["id"], code=3).stderr


def test_a_rejected_run_is_not_applied(estate: Estate) -> None:
    waits = estate.lzr("plan", "documents", "--json", code=6).run
    estate.lzr("reject", waits["id"], "--comment", "wrong zone")
    estate.lzr("apply", waits["id"], code=3)
    assert "wrong zone" in estate.lzr("run", waits["id"]).stdout


def test_a_management_group_by_its_display_name_is_told_with_the_id_it_probably_meant(estate: Estate) -> None:
    estate.edit("LandingZone", lambda zone: zone["spec"].update(azureManagementGroupId="Decommissioned"))
    estate.edit("LandingZone", lambda zone: zone["spec"].update(azureManagementGroupId="no-such-group"))
    ended = estate.lzr("plan", "documents", "--json", code=2).run
    assert ended["failure"]["code"] == "unknown-management-group"


def test_the_local_backend_keeps_the_state_in_a_file(estate: Estate) -> None:
    directory = estate.directory / "states"
    estate.edit(
        "AzurePlatform", lambda p: p["spec"].update(stateBackend={"type": "local", "directory": str(directory)})
    )
    applied(estate)
    state = json.loads((directory / f"{TENANT}.tfstate").read_text(encoding="utf-8"))
    assert len(state["resources"]) > 5
    assert estate.lzr("reconcile", "documents", "--json").run["status"] == "unchanged"


def test_a_rendered_directory_is_what_a_plan_uses(estate: Estate) -> None:
    estate.lzr("render", TENANT, "--in", "documents", "--out", "rendered")
    planned = estate.lzr("plan", "documents", "--json", code=6).run
    told = estate.lzr("render", TENANT, "--in", "documents", "--out", "again").stdout
    assert planned["review"]["bundle"]["configuration"][:12] in told
    estate.lzr("render", TENANT, "--in", "documents", "--out", "rendered", code=2)


def test_runs_and_a_run_tell_what_happened(estate: Estate) -> None:
    run = approved(estate, "--reason", "new project")
    estate.lzr("apply", run)
    assert run in estate.lzr("runs").stdout
    told = estate.lzr("run", run).stdout
    assert "new project" in told
    assert "approved by" in told
    assert "group_ids" in told
    log = estate.lzr("run", run, "--log").stdout
    assert "▸ apply" in log
    assert "Added dev1@corp.example to payments.checkout-dev-admin" in log
    with estate.store() as store:
        answers = [event.data["result"] for event in store.runs.events(run) if event.data.get("what") == "function"]
    assert answers[0]["body"] in told.partition("call the function")[2]
    everything = estate.lzr("review", run[-6:], "--all").stdout
    assert "x-mesh-tag-data-class: internal" in everything
    assert "is invited: dev2@partner.example, link leads to https://" in everything
    assert estate.lzr("review", run, "--json").json()["id"] == run
