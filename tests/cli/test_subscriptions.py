"""Where a tenant's subscription comes from, through the command line: real processes, the real terraform, a sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from runner.domain.run import Status
from runner.domain.subscription import Stage
from tests.estate import TENANT, Estate, eventually
from tests.faults.dying import Moment

OWN = "7d3f0c52-bbbb-4a6e-9c55-2a4b6f1d0001"
EMERGENCY = "7d3f0c52-bbbb-4a6e-9c55-2a4b6f1d0002"  # the hooks' principal: some principal that is not the runner
ENROLLMENT = "/providers/Microsoft.Billing/billingAccounts/1234567/enrollmentAccounts/654321"
NAME = "payments.checkout-dev"
ALIASES = "/providers/Microsoft.Subscription/aliases"


def enrolled(estate: Estate, **provisioning: Any) -> None:
    """The tenant names no subscription; its platform orders them under an enrollment, unless something else is given."""
    source = provisioning or {"enterpriseEnrollment": {"enrollmentAccountId": ENROLLMENT}}

    def change(platform: dict[str, Any]) -> None:
        spec = platform["spec"]
        spec["servicePrincipal"]["objectId"] = OWN
        spec["subscriptionNamePattern"] = "#{workspaceIdentifier}.#{projectIdentifier}"
        spec["provisioning"] = {"subscriptionOwnerObjectIds": [EMERGENCY], **source}

    estate.edit("AzurePlatform", change)
    estate.edit("Tenant", lambda tenant: tenant["spec"].pop("platformTenantId", None))


def named(estate: Estate, name: str = NAME) -> list[dict[str, Any]]:
    return [one for one in estate.world()["subscriptions"] if one["displayName"] == name]


def owners(estate: Estate, subscription: str) -> set[str]:
    """Principals that are Owner right at the subscription."""
    return {
        one["principalId"]
        for one in estate.world()["roleAssignments"]
        if one["role"] == "Owner" and one["scope"] == f"/subscriptions/{subscription}"
    }


def test_a_subscription_is_ordered_and_the_rest_runs_on_as_it_was_shown(estate: Estate) -> None:
    enrolled(estate)
    shown = estate.lzr("plan", "documents", code=6).stdout
    assert "the new subscription" in shown
    assert "Orders a new subscription, which costs money" in shown
    assert not estate.calls("PUT", ALIASES)
    (run,) = estate.runs()
    estate.lzr("approve", run.id)
    ended = estate.lzr("apply", run.id, "--json").run
    assert ended["status"] == "applied", ended
    assert ended["options"]["continues"] == run.id
    assert ended["approvals"][0]["by"] == f"policy:continues-{run.id}"
    (made,) = named(estate)
    assert made["managementGroup"] == "corp-online"
    assert len(estate.calls("PUT", ALIASES)) == 1
    assert EMERGENCY in owners(estate, made["id"])
    assert OWN not in owners(estate, made["id"])
    assert [one["name"] for one in made["resourceGroups"]] == ["rg-network-checkout-dev"]
    assert estate.lzr("reconcile", "documents", "--json").run["status"] == "unchanged"


def approved(estate: Estate) -> str:
    planned = estate.lzr("plan", "documents", "--json", code=6).run
    estate.lzr("approve", planned["id"])
    return str(planned["id"])


def holding(estate: Estate, tenant: str = TENANT) -> Any:
    with estate.store() as store:
        return store.holdings.of(tenant)


def in_the_tree(estate: Estate, subscription: str) -> dict[str, Any]:
    (found,) = [one for one in estate.world()["subscriptions"] if one["id"] == subscription]
    return dict(found)


# --- ordering --------------------------------------------------------------------------------------------------------


def test_a_group_that_is_known_before_keeps_the_preview_equal_by_its_names(estate: Estate) -> None:
    """The names of role assignments are made from the subscription's id: they are known in the preview, and others afterwards."""
    enrolled(estate)
    (workloads, *_) = estate.world()["tenants"]
    (team,) = [group["id"] for group in workloads["groups"] if group["displayName"] == "platform-team"]
    adopted = {"projectRoleRef": {"name": "Project Admin"}, "objectId": team}
    estate.edit("Tenant", lambda tenant: tenant["spec"].update(existingGroups=[adopted]))
    ended = estate.lzr("apply", approved(estate), "--json").run
    assert (ended["status"], ended["failure"]) == ("applied", None)
    (made,) = named(estate)
    assert {team, EMERGENCY} <= owners(estate, made["id"])


def test_a_deployment_stack_is_part_of_the_preview_and_runs_on_with_it(estate: Estate) -> None:
    enrolled(estate)
    template = {"parameters": {"SubscriptionId": {"type": "string"}}, "resources": []}
    stack = {"name": "base", "location": "westeurope", "template": template}
    estate.edit("LandingZone", lambda zone: zone["spec"].update(deploymentStacks=[stack]))
    ended = estate.lzr("apply", approved(estate), "--json").run
    assert (ended["status"], ended["failure"]) == ("applied", None)
    (made,) = named(estate)
    (put,) = estate.calls("PUT", "deploymentStacks")
    assert made["id"] in put.path


def test_building_blocks_wait_for_the_subscription_and_for_an_approval_of_their_own(estate: Estate) -> None:
    enrolled(estate)
    inputs = {"subscription_id": {"tenant": "subscriptionId"}, "namespaces": {"value": ["Microsoft.Web"]}}
    block = {"key": "providers", "source": "resource-provider-registration", "inputs": inputs}
    estate.edit("LandingZone", lambda zone: zone["spec"].update(buildingBlocks=[block]))
    planned = estate.lzr("plan", "documents", "--json", code=6).run
    assert "planned once the subscription is there" in str(planned["warnings"])
    estate.lzr("approve", planned["id"])
    waiting = estate.lzr("apply", planned["id"], "--json", code=6).run
    assert "building block providers" in str(waiting["review"]["sentences"])
    estate.lzr("approve", waiting["id"])
    assert estate.lzr("apply", waiting["id"], "--json").run["status"] == "applied"
    assert len(named(estate)) == 1
    assert estate.lzr("reconcile", "documents", "--json").run["status"] == "unchanged"


def test_what_differs_from_the_preview_is_asked_about_and_the_subscription_stays_the_tenants(estate: Estate) -> None:
    enrolled(estate)
    run = approved(estate)
    held = estate.fault(kind="slow", method="GET", path="aliases", after=1, times=1, seconds=600)
    process = estate.start("apply", run, "--json")
    eventually(lambda: estate.calls("PUT", ALIASES))
    group = {"displayName": f"{NAME}-user", "mailEnabled": False, "mailNickname": "x", "securityEnabled": True}
    assert estate.sandbox.drift("POST", "/v1.0/groups", group).status == 201
    estate.kill(process)
    estate.mend(held)
    waits = estate.lzr("apply", run, "--json", code=6).run
    assert waits["options"]["continues"] == run
    assert [one["code"] for one in waits["warnings"] if one["code"] == "not-covered-by-approval"]
    (made,) = named(estate)
    assert holding(estate).subscription == made["id"]
    assert made["resourceGroups"] == []
    estate.lzr("approve", waits["id"])
    assert estate.lzr("apply", waits["id"], "--json").run["status"] == "applied"
    assert len(estate.calls("PUT", ALIASES)) == 1


def test_killed_between_the_creation_and_its_record_it_goes_on_with_the_one_subscription(estate: Estate) -> None:
    enrolled(estate)
    run = approved(estate)
    held = estate.fault(kind="slow", method="GET", path="aliases", after=1, times=1, seconds=600)
    process = estate.start("apply", run)
    eventually(lambda: estate.calls("PUT", ALIASES))
    estate.kill(process)
    estate.mend(held)
    assert holding(estate).stage is Stage.ORDERED
    again = estate.lzr("apply", run, "--json")
    assert "Going on with" in again.stderr
    assert again.run["status"] == "applied"
    assert len(named(estate)) == len(estate.calls("PUT", ALIASES)) == 1
    assert [one.status for one in estate.runs()] == [Status.APPLIED, Status.APPLIED]


@pytest.mark.parametrize(
    "moment",
    [
        Moment("step-succeeded", "create the subscription"),
        Moment("status", "pending"),
        Moment("status", "applied"),
        Moment("step-succeeded", "give up the own Owner"),
    ],
    ids=str,
)
def test_wherever_it_is_killed_one_subscription_is_made_and_finished(moment: Moment, estate: Estate) -> None:
    enrolled(estate)
    run = approved(estate)
    estate.ended(estate.start(moment.as_argument(), "apply", run, module="tests.faults.dying"), code=-9)
    ended = estate.lzr("apply", run, "--json").run
    assert (ended["status"], ended["failure"]) == ("applied", None)
    (made,) = named(estate)
    assert len(estate.calls("PUT", ALIASES)) == 1
    assert EMERGENCY in owners(estate, made["id"])
    assert OWN not in owners(estate, made["id"])


def test_an_answer_that_was_lost_is_looked_for_and_not_asked_again(estate: Estate) -> None:
    enrolled(estate)
    estate.fault(kind="drop", method="PUT", path="aliases", when="after")
    failed = estate.lzr("apply", approved(estate), "--json", code=5).run["failure"]
    assert failed["code"] == "subscription-creation-failed"
    estate.mend()
    planned = estate.lzr("plan", "documents", "--json", code=6).run
    assert [one["kind"] for one in planned["review"]["steps"]] == ["give-owner", "drop-own-owner"]
    assert planned["warnings"][0]["code"] != "subscription-cooling-down"
    estate.lzr("approve", planned["id"])
    assert estate.lzr("apply", planned["id"], "--json").run["status"] == "applied"
    assert len(named(estate)) == len(estate.calls("PUT", ALIASES)) == 1


def test_after_an_error_nothing_is_ordered_before_the_cooldown_is_over(estate: Estate) -> None:
    enrolled(estate)
    estate.fault(kind="fail", method="PUT", path="aliases", status=500, times=1)
    estate.lzr("apply", approved(estate), code=5)
    planned = estate.lzr("plan", "documents", "--json", code=6).run
    assert "subscription-cooling-down" in [one["code"] for one in planned["warnings"]]
    estate.lzr("approve", planned["id"])
    refused = estate.lzr("apply", planned["id"], "--json", code=3).run["failure"]
    assert refused["code"] == "subscription-cooling-down"
    assert "before 20" in refused["detail"]
    assert len(estate.calls("PUT", ALIASES)) == 1
    enrolled(
        estate,
        enterpriseEnrollment={"enrollmentAccountId": ENROLLMENT, "subscriptionCreationErrorCooldownSec": 0},
    )
    assert estate.lzr("apply", approved(estate), "--json").run["status"] == "applied"
    assert len(named(estate)) == 1


def test_a_creation_that_fails_late_is_an_error_with_a_cooldown_and_is_tried_again_after_it(estate: Estate) -> None:
    enrolled(estate)
    estate.fault(kind="operation", method="PUT", path="aliases", polls=0, error={"code": "Quota"}, times=1)
    failed = estate.lzr("apply", approved(estate), "--json", code=5).run["failure"]
    assert failed["code"] == "subscription-creation-failed"
    assert estate.lzr("apply", approved(estate), "--json", code=3).run["failure"]["code"] == "subscription-cooling-down"
    assert holding(estate).failed is not None
    enrolled(
        estate,
        enterpriseEnrollment={"enrollmentAccountId": ENROLLMENT, "subscriptionCreationErrorCooldownSec": 0},
    )
    assert estate.lzr("apply", approved(estate), "--json").run["status"] == "applied"
    assert len(named(estate)) == 1


def test_while_it_is_not_found_yet_it_is_waited_for(estate: Estate) -> None:
    enrolled(estate)
    run = approved(estate)
    estate.fault(kind="fail", method="GET", path="aliases", status=404, after=1, times=1)
    estate.fault(kind="fail", method="GET", path="^/subscriptions/[0-9a-f-]+[?]", status=404, times=2)
    assert estate.lzr("apply", run, "--json").run["status"] == "applied"
    assert len(named(estate)) == len(estate.calls("PUT", ALIASES)) == 1


def test_a_slow_creation_ends_at_once_when_it_is_canceled_and_the_next_run_goes_on_with_it(estate: Estate) -> None:
    enrolled(estate)
    run = approved(estate)
    estate.fault(kind="operation", method="PUT", path="aliases", polls=4)
    process = estate.start("apply", run, "--json")
    eventually(lambda: len(estate.calls("GET", ALIASES)) >= 3)
    estate.lzr("cancel", run)
    assert estate.ended(process, code=130).run["status"] == "canceled"
    assert estate.lzr("apply", approved(estate), "--json").run["status"] == "applied"
    assert len(named(estate)) == len(estate.calls("PUT", ALIASES)) == 1


@pytest.mark.parametrize("state", ["Enabled", "Disabled"])
def test_an_enabled_subscription_of_the_name_is_in_the_way_and_a_disabled_one_is_not(
    state: str, estate: Estate
) -> None:
    enrolled(estate)
    with estate.sandbox.world.lock:
        other = estate.sandbox.world.estate.subscriptions["4f1c2d30-0000-4000-8000-000000000001"]
        other.display_name, other.state = NAME, state
    if state == "Disabled":
        assert estate.lzr("apply", approved(estate), "--json").run["status"] == "applied"
        assert len(named(estate)) == 2
    else:
        failure = estate.lzr("plan", "documents", "--json", code=3).run["failure"]
        assert failure["code"] == "subscription-name-taken"
        assert other.id in failure["detail"]


def test_without_another_owner_the_runner_stays_owner_and_says_so(estate: Estate) -> None:
    enrolled(estate)
    estate.edit("AzurePlatform", lambda one: one["spec"]["provisioning"].pop("subscriptionOwnerObjectIds"))
    estate.edit("LandingZone", lambda zone: zone["spec"]["azureRoleMappings"].pop(0))
    ended = estate.lzr("apply", approved(estate), "--json").run
    assert "own-owner-stays" in [one["code"] for one in ended["warnings"]]
    (made,) = named(estate)
    assert owners(estate, made["id"]) == {OWN}


# --- under a customer agreement --------------------------------------------------------------------------------------

VENDOR = {
    "clientId": "7d3f0c52-aaaa-4a6e-9c55-2a4b6f1d0022",
    "auth": {"type": "credential", "credential": {"env": "LZ_VENDOR_SECRET"}},
}
RUNNER = {
    "clientId": "7d3f0c52-aaaa-4a6e-9c55-2a4b6f1d0001",
    "auth": {"type": "credential", "credential": {"env": "LZ_CLIENT_SECRET"}},
}
WORKLOADS, CORP = "7d3f0c52-1111-4a6e-9c55-2a4b6f1d0001", "7d3f0c52-1111-4a6e-9c55-2a4b6f1d0002"
BILLING = "/providers/Microsoft.Billing/billingAccounts"


def test_under_an_agreement_of_another_tenant_the_ownership_is_accepted(estate: Estate) -> None:
    agreement = {
        "billingScope": f"{BILLING}/corp/billingProfiles/main/invoiceSections/workloads",
        "sourceServicePrincipal": VENDOR,
        "sourceEntraTenant": CORP,
        "destinationEntraId": WORKLOADS,
    }
    enrolled(estate, customerAgreement=agreement)
    estate.environment["LZ_VENDOR_SECRET"] = "sandbox-vendor-secret"
    run = approved(estate)
    assert "moves from Entra tenant" in estate.lzr("review", run).stdout
    estate.fault(kind="fail", method="POST", path="acceptOwnership", status=404, times=1)
    ended = estate.lzr("apply", run, "--json").run
    assert (ended["status"], ended["failure"]) == ("applied", None)
    (made,) = named(estate)
    assert made["managementGroup"] == "corp-online"
    assert {EMERGENCY} <= owners(estate, made["id"])
    assert OWN not in owners(estate, made["id"])
    assert len(estate.calls("PUT", ALIASES)) == 1
    assert estate.lzr("reconcile", "documents", "--json").run["status"] == "unchanged"


def test_killed_before_the_ownership_is_accepted_it_is_accepted_then(estate: Estate) -> None:
    agreement = {
        "billingScope": f"{BILLING}/corp/billingProfiles/main/invoiceSections/workloads",
        "sourceServicePrincipal": VENDOR,
        "sourceEntraTenant": CORP,
        "destinationEntraId": WORKLOADS,
    }
    enrolled(estate, customerAgreement=agreement)
    estate.environment["LZ_VENDOR_SECRET"] = "sandbox-vendor-secret"
    estate.fault(kind="operation", method="POST", path="acceptOwnership", polls=1, times=1, error={"code": "Expired"})
    failed = estate.lzr("apply", approved(estate), "--json", code=5).run["failure"]
    assert failed["code"] == "ownership-offer-expired"
    assert holding(estate).stage is Stage.OFFERED
    with estate.sandbox.world.lock:  # somebody offers it again
        for alias in estate.sandbox.world.estate.aliases.values():
            alias.properties["acceptOwnershipState"] = "Pending"
    planned = estate.lzr("plan", "documents", "--json", code=6).run
    assert [one["kind"] for one in planned["review"]["steps"]] == ["accept", "give-owner", "drop-own-owner"]
    estate.lzr("approve", planned["id"])
    assert estate.lzr("apply", planned["id"], "--json").run["status"] == "applied"
    assert len(named(estate)) == len(estate.calls("PUT", ALIASES)) == 1


def test_within_one_tenant_nothing_is_accepted(estate: Estate) -> None:
    agreement = {
        "billingScope": f"{BILLING}/workloads/billingProfiles/main/invoiceSections/own",
        "sourceServicePrincipal": RUNNER,
        "sourceEntraTenant": WORKLOADS,
        "destinationEntraId": WORKLOADS,
    }
    enrolled(estate, customerAgreement=agreement)
    estate.decided_by("never")
    assert estate.lzr("reconcile", "documents", "--json").run["status"] == "applied"
    assert not estate.calls("POST", "acceptOwnership")
    assert len(named(estate)) == 1


# --- from a pool -----------------------------------------------------------------------------------------------------

POOL = {"preProvisioned": {"unusedSubscriptionNamePrefix": "unused-pool-"}}
FIRST, SECOND = "4f1c2d30-0000-4000-8000-000000000002", "4f1c2d30-0000-4000-8000-000000000003"


def test_a_free_subscription_is_taken_and_renamed(estate: Estate) -> None:
    enrolled(estate, **POOL)
    run = approved(estate)
    shown = estate.lzr("review", run).stdout
    assert f'Take the free subscription "unused-pool-001" ({FIRST})' in shown
    assert holding(estate).stage is Stage.RESERVED
    assert estate.lzr("apply", run, "--json").run["id"] == run
    found = in_the_tree(estate, FIRST)
    assert (found["displayName"], found["managementGroup"]) == (NAME, "corp-online")
    assert owners(estate, FIRST) >= {EMERGENCY}
    assert holding(estate).stage is Stage.HELD
    assert estate.lzr("reconcile", "documents", "--json").run["status"] == "unchanged"


def test_what_is_rejected_is_free_for_the_next(estate: Estate) -> None:
    enrolled(estate, **POOL)
    other = estate.add_tenant(9)
    estate.edit("Tenant", lambda tenant: tenant["spec"].pop("platformTenantId", None), name=other)
    first = estate.lzr("plan", "documents", "--tenant", TENANT, "--json", code=6).run
    second = estate.lzr("plan", "documents", "--tenant", other, "--json", code=6).run
    assert [one["review"]["subscription"] for one in (first, second)] == [FIRST, SECOND]
    estate.lzr("reject", first["id"])
    assert holding(estate) is None
    third = estate.lzr("plan", "documents", "--tenant", TENANT, "--json", code=6).run
    assert third["review"]["subscription"] == FIRST
    again = estate.lzr("plan", "documents", "--tenant", other, "--json", code=6).run
    assert again["review"]["subscription"] == SECOND


def test_of_two_runners_that_want_the_last_one_exactly_one_gets_it(estate: Estate) -> None:
    enrolled(estate, **POOL)
    tenants = [TENANT, *(estate.add_tenant(number) for number in (7, 8, 9))]
    estate.edit("Tenant", lambda tenant: tenant["spec"].pop("platformTenantId", None))
    racing = [estate.start("plan", "documents", "--tenant", one, "--json") for one in tenants]
    ended = [estate.ended(process, code=None) for process in racing]
    assert sorted(one.code for one in ended) == [3, 3, 6, 6]
    taken = [one.run["review"]["subscription"] for one in ended if one.code == 6]
    assert sorted(taken) == [FIRST, SECOND]
    assert {one.run["failure"]["code"] for one in ended if one.code == 3} == {"pool-empty"}


def test_a_subscription_that_a_document_names_is_not_free(estate: Estate) -> None:
    enrolled(estate, **POOL)
    estate.add_tenant(2)
    planned = estate.lzr("plan", "documents", "--tenant", TENANT, "--json", code=6).run
    assert planned["review"]["subscription"] == SECOND


def test_a_free_subscription_that_changed_since_the_review_is_not_taken(estate: Estate) -> None:
    enrolled(estate, **POOL)
    run = approved(estate)
    rename = f"/subscriptions/{FIRST}/providers/Microsoft.Subscription/rename?api-version=2021-10-01"
    estate.sandbox.drift("POST", rename, {"subscriptionName": "somebody-elses"})
    assert estate.lzr("apply", run, "--json", code=3).run["failure"]["code"] == "plan-outdated"
    assert holding(estate) is None
    assert in_the_tree(estate, FIRST)["displayName"] == "somebody-elses"


# --- names and the end -----------------------------------------------------------------------------------------------


def test_it_is_renamed_later_only_where_the_platform_says_so(estate: Estate) -> None:
    enrolled(estate, **POOL)
    estate.lzr("apply", approved(estate))
    longer = "#{workspaceIdentifier}.#{projectIdentifier}-v2"
    estate.edit("AzurePlatform", lambda one: one["spec"].update(subscriptionNamePattern=longer))
    assert estate.lzr("reconcile", "documents", "--json").run["status"] == "unchanged"
    estate.edit("AzurePlatform", lambda one: one["spec"].update(updateSubscriptionName=True))
    planned = estate.lzr("plan", "documents", "--json", code=6).run
    assert [one["kind"] for one in planned["review"]["steps"]] == ["rename"]
    estate.lzr("approve", planned["id"])
    estate.lzr("apply", planned["id"])
    assert in_the_tree(estate, FIRST)["displayName"] == f"{NAME}-v2"


def test_a_subscription_that_its_document_names_keeps_its_name_and_gets_the_configured_owners(estate: Estate) -> None:
    enrolled(estate, **POOL)
    own = "4f1c2d30-0000-4000-8000-000000000001"
    estate.edit("Tenant", lambda tenant: tenant["spec"].update(platformTenantId=own))
    estate.edit("AzurePlatform", lambda one: one["spec"].update(updateSubscriptionName=True))
    estate.lzr("apply", approved(estate))
    assert in_the_tree(estate, own)["displayName"] == "payments-checkout-dev"
    assert EMERGENCY in owners(estate, own)
    assert holding(estate) is None


def test_a_tenant_that_leaves_has_its_subscription_cancelled_last_where_the_zone_says_so_now(estate: Estate) -> None:
    enrolled(estate)
    estate.lzr("apply", approved(estate))
    (first,) = named(estate)
    estate.edit("LandingZone", lambda zone: zone["spec"].update(automateDeletionReplication=True))
    planned = estate.lzr("destroy", TENANT, "--in", "documents", "--json", code=6).run
    assert planned["review"]["risks"][0]["code"] == "cancels-subscription"
    assert in_the_tree(estate, first["id"])["state"] == "Enabled"
    estate.lzr("approve", planned["id"])
    estate.lzr("apply", planned["id"])
    assert in_the_tree(estate, first["id"])["state"] == "Disabled"
    calls = [f"{call.method} {call.path}" for call in estate.calls(service="arm") if call.method in ("DELETE", "POST")]
    assert "/cancel" in calls[-1]
    assert holding(estate).stage is Stage.CANCELLED
    again = estate.lzr("destroy", TENANT, "--in", "documents", "--json", code=2).run
    assert again["failure"]["code"] == "no-subscription"

    estate.lzr("tenant", "purge", TENANT)
    with estate.sandbox.world.lock:  # as Azure tells of one that was cancelled a short while ago
        estate.sandbox.world.estate.subscriptions[first["id"]].state = "Warned"
    estate.lzr("apply", approved(estate))  # the tenant comes back: a new subscription, under the next alias
    (second,) = [one for one in named(estate) if one["state"] == "Enabled"]
    assert second["id"] == holding(estate).subscription != first["id"]


def test_without_that_it_is_left_and_is_the_tenants_again_when_it_comes_back(estate: Estate) -> None:
    enrolled(estate)
    estate.lzr("apply", approved(estate))
    planned = estate.lzr("destroy", TENANT, "--in", "documents", "--json", code=6).run
    assert planned["review"]["steps"] == []
    estate.lzr("approve", planned["id"])
    estate.lzr("apply", planned["id"])
    assert holding(estate) is None
    estate.lzr("tenant", "purge", TENANT)
    again = estate.lzr("apply", approved(estate), "--json").run
    assert "subscription-made-before" in [one["code"] for one in again["warnings"]]
    (made,) = named(estate)
    assert made["state"] == "Enabled"
    assert len(estate.calls("PUT", ALIASES)) == 1
