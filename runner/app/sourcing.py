"""Where a tenant's subscription comes from, looked up while planning: its document, the store, an order, a pool, or none of them yet.

Nothing is ordered here. What is found under the tenant's alias was made for it, whatever the store remembers, and is noted. A free
subscription of a pool is reserved, so that no other run plans with it; the reservation ends with the run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from runner.app.walk import Ports
from runner.domain import subscription
from runner.domain.access import Warn
from runner.domain.configuration import Placed, Snapshot, with_subscription
from runner.domain.facts import Source
from runner.domain.provisioning import PreProvisioned, Provisioning
from runner.domain.run import Behavior, Run
from runner.domain.subscription import GONE, Holding, Stage
from runner.errors import InputError, Refused
from runner.ports import Azure, SubscriptionFacts

_NEW = timedelta(hours=1)


@dataclass(frozen=True)
class Sourced:
    """The tenant on the subscription that it is planned for; `source` says what is still to be done until it is the tenant's."""

    placed: Placed
    source: Source
    warnings: tuple[Warn, ...] = ()


def find(run: Run, snapshot: Snapshot, azure: Azure, ports: Ports) -> Sourced:
    """Where the tenant's subscription comes from. InputError where there is none to be had by the documents; Refused where none is
    free, or the one that is named is another tenant's."""
    placed = snapshot.placed
    provisioning = placed.platform.spec.provisioning
    if placed.platform.spec.type != "azure":
        return Sourced(placed, Source())
    held, own = ports.holdings.of(placed.tenant.name), placed.tenant.spec.platform_tenant_id
    if own is not None:
        _refuse_another_tenants(own, placed, ports)
        if held is None or held.subscription != own or held.stage not in (Stage.HELD, Stage.OFFERED):
            return _there(placed, own, "existing", azure)
    if held is not None and held.subscription is not None and held.stage is Stage.HELD:
        return _held(placed, held, azure, ports)
    if run.behavior is Behavior.DESTROY:
        return _of_the_leaving(placed, held, azure, ports)
    if provisioning is None:
        raise _no_subscription(placed, "its platform has no provisioning")
    if provisioning.pre_provisioned is not None:
        return _from_the_pool(run, snapshot, provisioning.pre_provisioned, azure, ports)
    return _ordered(placed, provisioning, held, azure, ports)


def as_held(placed: Placed, ports: Ports) -> Placed:
    """The tenant on the subscription that is held for it, where its document names none; as it is where none is."""
    if placed.tenant.spec.platform_tenant_id is not None:
        return placed
    held = ports.holdings.of(placed.tenant.name)
    return placed if held is None or held.subscription is None else with_subscription(placed, held.subscription)


def refuse_taken_name(name: str, azure: Azure) -> None:
    """Refused where an enabled subscription has the name already: it may be the one that was ordered, and a second one costs money.
    One that is disabled does not count."""
    for found in azure.subscriptions.enabled():
        if found.display_name.casefold() == name.casefold():
            raise Refused(
                "A subscription has the name already",
                code="subscription-name-taken",
                detail=f'"{found.display_name}" is subscription {found.id}, and nothing says that it was made for this tenant.',
                hint="Write its id as spec.platformTenantId if it is the tenant's; otherwise change subscriptionNamePattern or rename it.",
            )


def cooling_down(placed: Placed, held: Holding | None, ports: Ports) -> str | None:
    """Until when nothing is ordered for the tenant because its last order was answered with an error; None when that is over."""
    provisioning = placed.platform.spec.provisioning
    if held is None or held.failed is None or provisioning is None:
        return None
    until = held.failed + provisioning.cooldown
    return f"{until:%Y-%m-%d %H:%M:%S} UTC" if ports.now() < until else None


def _held(placed: Placed, held: Holding, azure: Azure, ports: Ports) -> Sourced:
    """What is the tenant's; a subscription that was made a moment ago may not be seen by everybody in Azure yet."""
    found = str(held.subscription)
    new = held.how == "created" and ports.now() - held.at < _NEW
    if new and azure.resources.subscription(found) is None:
        return Sourced(with_subscription(placed, found), Source(how="created", stage="to-create", alias=held.alias))
    return _there(placed, found, held.how, azure)


def _there(placed: Placed, found: str, how: str, azure: Azure) -> Sourced:
    owners = azure.subscriptions.owners(found) if placed.platform.spec.provisioning is not None else ()
    source = Source.model_validate({"how": how, "owners": owners})
    return Sourced(with_subscription(placed, found), source)


def _of_the_leaving(placed: Placed, held: Holding | None, azure: Azure, ports: Ports) -> Sourced:
    """Also of one whose subscription was ordered and never seen: else it would be nobody's when it comes."""
    if held is not None and held.stage is Stage.ORDERED and (order := azure.subscriptions.ordered(held.alias)):
        if order.subscription is None and order.state == "Accepted":
            raise Refused(
                "The subscription is being created",
                code="subscription-not-there-yet",
                detail=f"It was ordered for {placed.tenant.name} as {held.alias}, and is not there yet.",
                hint="Run it again in some minutes.",
            )
        if order.subscription is not None:
            held = ports.holdings.made(
                placed.tenant.name, order.subscription, alias=held.alias, offered=False, now=ports.now()
            )
    if held is None or held.subscription is None or held.stage not in (Stage.HELD, Stage.OFFERED):
        raise _no_subscription(placed, "none was made or taken for it, so there is nothing to leave")
    return _there(placed, held.subscription, held.how, azure)


def _refuse_another_tenants(own: str, placed: Placed, ports: Ports) -> None:
    holder = ports.holdings.holder(own)
    if holder is not None and holder.tenant != placed.tenant.name:
        raise Refused(
            "The subscription is another tenant's",
            code="subscription-taken",
            detail=f"The runner made or took {own} for the tenant {holder.tenant}; {placed.tenant.name} names it as its own.",
            hint="Give each tenant a subscription of its own, or let the other one leave first.",
        )


def _from_the_pool(run: Run, snapshot: Snapshot, pool: PreProvisioned, azure: Azure, ports: Ports) -> Sourced:
    prefix = pool.unused_subscription_name_prefix
    pooled = [one for one in azure.subscriptions.enabled() if one.display_name.startswith(prefix)]
    free = sorted((one for one in pooled if one.id not in snapshot.others), key=lambda one: (one.display_name, one.id))
    held = ports.holdings.reserve(run.tenant, [one.id for one in free], run=run.id, now=ports.now())
    if held is None or held.subscription is None:
        raise Refused(
            "No free subscription",
            code="pool-empty",
            detail=f"Of the enabled subscriptions whose names begin with {prefix!r} ({len(pooled)} may be seen), each is reserved for "
            "or belongs to another tenant.",
            hint="Put more subscriptions into the pool, or decide on runs that wait: lzr runs --status waiting",
        )
    there = _there(snapshot.placed, held.subscription, "claimed", azure)
    return Sourced(there.placed, there.source.model_copy(update={"stage": "to-claim"}))


def _ordered(placed: Placed, provisioning: Provisioning, held: Holding | None, azure: Azure, ports: Ports) -> Sourced:
    """Ordered before, under one of the tenant's aliases, or to be ordered under the first that is free."""
    tenant, agreement = placed.tenant.name, provisioning.customer_agreement
    crossing = agreement is not None and agreement.crosses_tenants
    for alias in subscription.aliases_of(placed, held):
        order = azure.subscriptions.ordered(alias)
        if order is None or order.state != "Succeeded" or order.subscription is None:
            return _to_order(
                placed, alias, new=order is None and not _is_ordered(held), held=held, azure=azure, ports=ports
            )
        seen = azure.resources.subscription(order.subscription)
        if seen is not None and seen.state in GONE:
            continue  # cancelled since: another one may be ordered
        warnings: tuple[Warn, ...] = ()
        if not _is_ordered(held):
            text = f"The subscription {order.subscription} was made for the tenant before (alias {alias}), and is its own again."
            warnings = (Warn(code="subscription-made-before", text=text),)
        made = ports.holdings.made(tenant, order.subscription, alias=alias, offered=crossing, now=ports.now())
        if made.stage is Stage.OFFERED or seen is None:
            source = Source(how="created", stage="to-accept" if crossing else "to-create", alias=alias)
            return Sourced(with_subscription(placed, order.subscription), source, warnings)
        return replace(_there(placed, order.subscription, "created", azure), warnings=warnings)
    raise Refused(
        "Too many subscriptions were ordered for the tenant",
        code="aliases-used-up",
        detail=f"{subscription.MOST_ALIASES} subscriptions were made for {tenant}, and all of them are disabled.",
        hint=f"Delete aliases that are not needed any more: az account alias delete --name {subscription.alias_of(placed)}",
    )


def _is_ordered(held: Holding | None) -> bool:
    return held is not None and held.stage is Stage.ORDERED


def _to_order(placed: Placed, alias: str, *, new: bool, held: Holding | None, azure: Azure, ports: Ports) -> Sourced:
    if new:
        refuse_taken_name(subscription.name_of(placed), azure)
    warnings: tuple[Warn, ...] = ()
    if until := cooling_down(placed, held, ports):
        text = f"The last order was answered with an error ({held.failure if held else ''}): nothing is ordered before {until}."
        warnings = (Warn(code="subscription-cooling-down", text=text),)
    source = Source(how="created", stage="to-create", alias=alias)
    return Sourced(with_subscription(placed, subscription.placeholder(placed)), source, warnings)


def to_come(placed: Placed, subscription_id: str) -> SubscriptionFacts:
    """What a subscription that nobody can look into yet will be when it is there."""
    group = placed.zone.spec.azure_management_group_id
    return SubscriptionFacts(
        id=subscription_id,
        display_name=subscription.name_of(placed),
        state="",
        above=(group,) if group else (),
    )


def _no_subscription(placed: Placed, why: str) -> InputError:
    return InputError(
        "The tenant has no subscription",
        code="no-subscription",
        detail=f"{placed.tenant.name} names none in spec.platformTenantId, and {why}.",
        hint="Write the subscription's id as spec.platformTenantId, or spec.provisioning of the platform.",
    )
