"""Look around in Azure before composing: what has to be known, and what has to be there."""

from __future__ import annotations

from runner.domain.access import Warn
from runner.domain.configuration import Leaving, Placed, management_group_for, subscription_id
from runner.domain.facts import Facts
from runner.errors import InputError
from runner.ports import Azure


def look_around(placed: Placed, leaving: Leaving | None, azure: Azure) -> Facts:
    """The facts a configuration is composed from. InputError where the documents name something that is not there."""
    resources = azure.resources
    wanted = subscription_id(placed)
    subscription = resources.subscription(wanted)
    if subscription is None:
        raise InputError(
            "No such subscription",
            code="unknown-subscription",
            detail=f"Subscription {wanted} of {placed.tenant.name} does not exist, "
            "or the runner's identity may not see it.",
            hint="Check spec.platformTenantId, and the role assignments of the service principal.",
        )
    target = management_group_for(placed, leaving)
    if target is not None and resources.management_group(target) is None:
        meant = resources.management_group_named(target)
        raise InputError(
            "No such management group",
            code="unknown-management-group",
            detail=f"There is no management group with the id {target!r}, or the runner may not read it.",
            hint=f"A group with that display name has the id {meant!r}: use the id."
            if meant
            else "Use the id, not the name.",
        )
    return Facts(
        subscription_name=subscription.display_name,
        subscription_state=subscription.state,
        management_group=subscription.management_group,
    )


def warnings_of(facts: Facts) -> tuple[Warn, ...]:
    """Azure refuses most changes on a subscription that is not enabled (states of Microsoft.Resources/subscriptions)."""
    if facts.subscription_state in ("", "Enabled", "Warned", "PastDue"):
        return ()
    return (
        Warn(
            code="subscription-not-enabled",
            text=f"The subscription is {facts.subscription_state}: Azure may refuse changes.",
        ),
    )
