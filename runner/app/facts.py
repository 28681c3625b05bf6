"""Look around in Azure before composing: what has to be known, and what has to be there."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from runner.app.sourcing import to_come
from runner.domain import tagging
from runner.domain.access import Warn
from runner.domain.configuration import (
    Leaving,
    Placed,
    Snapshot,
    management_group_for,
    resource_groups_of,
    subscription_id,
)
from runner.domain.facts import Facts, Source
from runner.errors import InputError
from runner.ports import Azure, ManagementGroupFacts, ResourceManager

EXISTING = Source()
LIST_LOCATIONS = 'az account list-locations --query "[*].name" --out tsv | sort'


def look_around(
    placed: Placed, leaving: Leaving | None, azure: Azure, tags: Mapping[str, str], source: Source = EXISTING
) -> Facts:
    """The facts a configuration is composed from; `tags` are those that its scope has now. InputError where the documents name
    something that is not there."""
    resources = azure.resources
    wanted = subscription_id(placed)
    subscription = to_come(placed, wanted) if source.to_come else resources.subscription(wanted)
    if subscription is None:
        raise InputError(
            "No such subscription",
            code="unknown-subscription",
            detail=f"Subscription {wanted} of {placed.tenant.name} does not exist, "
            "or the runner's identity may not see it.",
            hint="Check spec.platformTenantId, and the role assignments of the service principal."
            if source.how == "existing"
            else "If it is gone for good, name another one in spec.platformTenantId; else look at the service principal's rights.",
        )
    if leaving is None:
        _locations_exist(placed, resources)
    mapped = tagging.tags_of(placed.platform, placed.zone, placed.tenant).tags
    return Facts(
        subscription_name=subscription.display_name,
        subscription_state=subscription.state,
        above=subscription.above,
        tag_spellings=tagging.spellings(mapped, tags),
        source=source,
    )


def the_group(placed: Placed, leaving: Leaving | None, resources: ResourceManager) -> ManagementGroupFacts | None:
    """The management group that the subscription belongs into; InputError where there is none with that id."""
    target = management_group_for(placed, leaving)
    if target is None or (found := resources.management_group(target)) is not None:
        return found if target else None
    meant = resources.management_group_named(target)
    raise InputError(
        "No such management group",
        code="unknown-management-group",
        detail=f"There is no management group with the id {target!r}, or the runner may not read it.",
        hint=f"A group with that display name has the id {meant!r}: use the id."
        if meant
        else "Use the id, not the name.",
    )


def warnings_of(facts: Facts) -> tuple[Warn, ...]:
    """Azure refuses most changes on a subscription that is not enabled (states of Microsoft.Resources/subscriptions)."""
    warnings: list[Warn] = []
    if facts.subscription_state not in ("", "Enabled", "Warned", "PastDue"):
        text = f"The subscription is {facts.subscription_state}: Azure may refuse changes."
        warnings.append(Warn(code="subscription-not-enabled", text=text))
    if facts.access_suspended:
        text = "Somebody asked to delete this tenant: nobody has access to it until that is declined (lzr tenant show)."
        warnings.append(Warn(code="deletion-requested", text=text))
    return tuple(warnings)


def overlapping(snapshot: Snapshot, own: ManagementGroupFacts | None, resources: ResourceManager) -> tuple[Warn, ...]:
    """Landing zones whose management groups are one, or one below the other: what is meant for one reaches the other's tenants."""
    warnings: list[Warn] = []
    if own is None:
        return ()
    above = {group.lower() for group in own.above}
    seen: dict[str, ManagementGroupFacts | None] = {}
    for zone, group in snapshot.neighbours.items():
        how = ""
        if group.lower() == own.id.lower():
            how = "is the same"
        elif group.lower() in above:
            how = "is above it"
        else:
            if group.lower() not in seen:
                seen[group.lower()] = resources.management_group(group)
            found = seen[group.lower()]
            if found and own.id.lower() in {name.lower() for name in found.above}:
                how = "is below it"
        if how:
            text = (
                f"The management group {group} of the landing zone {zone} {how} (this one's: {own.id}): policies and roles of the "
                "one reach tenants of the other. Better keep the groups of landing zones beside each other."
            )
            warnings.append(Warn(code="management-groups-overlap", text=text))
    return tuple(warnings)


def _locations_exist(placed: Placed, resources: ResourceManager) -> None:
    wanted = {group["location"] for group in resource_groups_of(placed).values()}
    known = resources.locations(subscription_id(placed)) if wanted else ()
    field = "spec.azureRgLocation" if placed.platform.spec.type == "azurerg" else "spec.resourceGroups"
    for location in sorted(wanted - set(known)) if known else ():
        near = get_close_matches(location, known, n=1)
        raise InputError(
            "No such location",
            code="unknown-location",
            detail=f"The landing zone {placed.zone.name} has resource groups in {location!r} ({field}), which the subscription "
            "cannot use.",
            hint=f"Did you mean {near[0]}?" if near else LIST_LOCATIONS,
        )
