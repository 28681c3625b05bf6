"""Where a tenant's subscription comes from, through the command line: real processes, the real terraform, a sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from runner.domain.run import Status
from runner.domain.subscription import Stage
from tests.estate import TENANT, Estate, eventually

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
