"""What has to be done about a tenant's subscription beside Terraform: a list of steps, from documents and what was found.

Creating, claiming, accepting, renaming and cancelling are steps of Python and never resources of Terraform: a creation that failed is
tainted in a state, and the next plan would order a second subscription. An order is known by its alias, a name that Azure keeps:
it is made from the names of platform and tenant alone, so that whoever asks again, in any run and from any machine, asks about
the same order. Renaming the platform's or the tenant's document therefore makes it another tenant, with another subscription.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Literal

from runner.domain import naming
from runner.domain.access import Frozen, Warn
from runner.domain.configuration import Placed, roles_of
from runner.domain.facts import Facts, Source
from runner.domain.provisioning import CustomerAgreement, EnterpriseEnrollment
from runner.domain.wording import OWNER

MOST_ALIASES = 9  # subscriptions of one tenant, one after the other, each of them cancelled before the next was made
# state of Microsoft.Resources/subscriptions: nothing can be made in these, and nothing brings them back by itself
GONE = frozenset({"Disabled", "Deleted"})
_NAMESPACE = uuid.UUID("0b6c2c1e-6f0a-4d0e-9a53-8f4c1f8f7a11")
_LONGEST_READABLE = 36  # of the 63 characters that an alias may have


class Stage(StrEnum):
    """How far a subscription that the runner makes or takes for a tenant has come."""

    RESERVED = "reserved"  # of a pool, for as long as one run is open
    ORDERED = "ordered"  # an order was sent, or is about to be; its subscription is not known
    OFFERED = "offered"  # made, and its ownership is to be accepted
    HELD = "held"  # the tenant's
    CANCELLED = "cancelled"  # was the tenant's, who has left; kept so that it is not taken for its own again


class Holding(Frozen):
    """A subscription that the runner makes or took for a tenant. `at` is when it came to this stage, `run` who reserves it; `failed` is
    when the creation answered with an error last, and `failure` with which. `alias` is empty where the subscription was claimed."""

    tenant: str
    how: Literal["created", "claimed"]
    stage: Stage
    subscription: str | None = None
    alias: str = ""
    run: str = ""
    at: datetime
    failed: datetime | None = None
    failure: str = ""


Kind = Literal[
    "create",
    "claim",
    "accept",
    "rename",
    "give-owner",
    "drop-own-owner",
    "await-assignment",
    "drop-blueprints-owner",
    "cancel",
]


class Step(Frozen):
    """One thing that is done about a subscription. `name` is the one it gets (or a blueprint assignment's that goes), `before` the one
    it has; `principal` is who gets or loses Owner. The rest is what an order says: `owner` only where another identity orders it."""

    kind: Kind
    subscription: str
    name: str = ""
    before: str = ""
    principal: str = ""
    alias: str = ""
    billing_scope: str = ""
    workload: str = ""
    management_group: str = ""
    from_tenant: str = ""
    to_tenant: str = ""
    owner: str = ""


AFTERWARDS = frozenset({"drop-own-owner", "await-assignment", "drop-blueprints-owner", "cancel"})
"""Steps that follow on Terraform; all others go before it."""


def name_of(placed: Placed) -> str:
    """The name of a subscription that is made or claimed for the tenant. PatternWrong where it cannot be filled in."""
    values = naming.variables(placed.platform, placed.tenant)
    return naming.render(placed.platform.spec.subscription_name_pattern or "", values)


def alias_of(placed: Placed, number: int = 1) -> str:
    """The tenant's alias: `lzr-`, the beginning of its name, a hash of platform and tenant; for a later subscription of the same
    tenant its number. At most 63 of letters, digits and `-_.`, as Azure wants it."""
    whole = f"{placed.platform.name}/{placed.tenant.name}"
    readable = re.sub(r"[^A-Za-z0-9._-]", "-", placed.tenant.name)[:_LONGEST_READABLE]
    suffix = f"-{number}" if number > 1 else ""
    return f"lzr-{readable}-{sha256(whole.encode()).hexdigest()[:16]}{suffix}"


def aliases_of(placed: Placed, held: Holding | None) -> tuple[str, ...]:
    """The tenant's aliases in order, from the one that is ordered on; and only those after the one of its last subscription where that was
    cancelled when it left.

    Azure may tell for days that a cancelled subscription is only warned, so its state is not enough to go by.
    """
    aliases = tuple(alias_of(placed, number) for number in range(1, MOST_ALIASES + 1))
    if held is None or held.alias not in aliases:
        return aliases
    return aliases[aliases.index(held.alias) + (held.stage is Stage.CANCELLED) :]


def placeholder(placed: Placed) -> str:
    """The id that stands for a subscription that is not there yet: the same for a tenant always, and never a real one, which are
    random UUIDs (version 4)."""
    return str(uuid.uuid5(_NAMESPACE, f"{placed.platform.name}/{placed.tenant.name}"))


def steps_of(placed: Placed, facts: Facts, subscription: str, *, leaving: bool) -> tuple[Step, ...]:
    """What is to be done about the subscription with this id (or its placeholder), in order."""
    if placed.platform.spec.type != "azure":
        return ()
    if leaving:
        return tuple(_cancellation(placed, facts, subscription))
    return (
        *_coming(placed, facts.source, subscription),
        *_taking(placed, facts, subscription),
        *_owners(placed, facts.source, subscription),
    )


def warnings_of(placed: Placed, facts: Facts) -> tuple[Warn, ...]:
    """What people should know about where the subscription comes from."""
    own = placed.platform.spec.service_principal.object_id
    if facts.source.how != "created" or own is None or _others_own(placed, own):
        return ()
    text = "The runner stays Owner of the subscription: no configured owner and no group gets Owner in its place."
    return (Warn(code="own-owner-stays", text=text),)


def _coming(placed: Placed, source: Source, subscription: str) -> Iterator[Step]:
    provisioning, zone = placed.platform.spec.provisioning, placed.zone.spec
    if provisioning is None or not source.to_come:
        return
    name, group = name_of(placed), zone.azure_management_group_id or ""
    agreement = provisioning.customer_agreement
    crossing = agreement is not None and agreement.crosses_tenants
    if source.stage == "to-create" and provisioning.orders is not None:
        yield Step(
            kind="create",
            subscription=subscription,
            name=name,
            alias=source.alias,
            management_group="" if crossing else group,  # a group of one tenant cannot take a subscription of another
            **_order(placed, provisioning.orders),
        )
    if crossing and agreement is not None:
        yield Step(
            kind="accept",
            subscription=subscription,
            name=name,
            management_group=group,
            from_tenant=agreement.source_entra_tenant,
            to_tenant=agreement.destination_entra_id,
        )


def _order(placed: Placed, source: EnterpriseEnrollment | CustomerAgreement) -> dict[str, Any]:
    if isinstance(source, EnterpriseEnrollment):
        return {"billing_scope": source.enrollment_account_id, "workload": source.subscription_offer_type}
    return {
        "billing_scope": source.billing_scope,
        "workload": "Production",
        "to_tenant": source.destination_entra_id,
        "owner": placed.platform.spec.service_principal.object_id or "",
    }


def _taking(placed: Placed, facts: Facts, subscription: str) -> Iterator[Step]:
    """Claim, and rename: once what is taken from a pool, and later only where the platform says so."""
    spec, source, now = placed.platform.spec, facts.source, facts.subscription_name
    if source.how == "existing" or source.to_come or spec.provisioning is None:
        return
    name, pool = name_of(placed), spec.provisioning.pre_provisioned
    if source.stage == "to-claim":
        yield Step(kind="claim", subscription=subscription, name=name, before=now)
    unnamed = source.how == "claimed" and pool is not None and now.startswith(pool.unused_subscription_name_prefix)
    if now != name and (unnamed or source.stage == "to-claim" or spec.update_subscription_name):
        yield Step(kind="rename", subscription=subscription, name=name, before=now)


def _owners(placed: Placed, source: Source, subscription: str) -> Iterator[Step]:
    spec = placed.platform.spec
    if spec.provisioning is None:
        return
    own = spec.service_principal.object_id
    for owner in spec.provisioning.subscription_owner_object_ids:
        if owner not in source.owners:
            yield Step(kind="give-owner", subscription=subscription, principal=owner)
    temporary = source.how == "created" and own is not None and (source.to_come or own in source.owners)
    if own is not None and temporary and _others_own(placed, own):
        yield Step(kind="drop-own-owner", subscription=subscription, principal=own)


def _others_own(placed: Placed, own: str) -> bool:
    """Whether somebody else than the runner is, or becomes, Owner directly and without a condition."""
    provisioning = placed.platform.spec.provisioning
    configured = provisioning.subscription_owner_object_ids if provisioning else ()
    by_group = (
        definition.azure_role_definition_id == OWNER and definition.abac_condition is None
        for role in roles_of(placed)
        for definition in role.definitions
    )
    return any(owner != own for owner in configured) or any(by_group)


def _cancellation(placed: Placed, facts: Facts, subscription: str) -> Iterator[Step]:
    if placed.zone.spec.automate_deletion_replication and facts.subscription_state not in GONE:
        yield Step(kind="cancel", subscription=subscription, before=facts.subscription_name)


# --- words -----------------------------------------------------------------------------------------------------------

_SIGNS: Mapping[Kind, str] = {
    "create": "+",
    "claim": "+",
    "give-owner": "+",
    "drop-own-owner": "-",
    "drop-blueprints-owner": "-",
    "cancel": "-",
}


def sign(step: Step) -> str:
    """What happens, as for changes of Terraform: `+` is made, `~` changes, `-` goes."""
    return _SIGNS.get(step.kind, "~")


def sentence(step: Step, scope: str) -> str:
    """The step in plain words; `scope` is what the subscription is called."""
    match step.kind:
        case "create":
            where = f", in management group {step.management_group}" if step.management_group else ""
            return (
                f'Order the new subscription "{step.name}" ({step.workload}) from {step.billing_scope}{where}; '
                f"known in Azure by the alias {step.alias}"
            )
        case "claim":
            return f'Take the free subscription "{step.before}" ({step.subscription}) for the tenant'
        case "accept":
            return f"Accept the ownership of {scope}: it moves from Entra tenant {step.from_tenant} to {step.to_tenant}"
        case "rename":
            return f'Rename the subscription "{step.before}" to "{step.name}"'
        case "give-owner":
            return f"Make {step.principal} Owner of {scope} directly (subscriptionOwnerObjectIds)"
        case "drop-own-owner":
            return f"Give up the runner's own Owner ({step.principal}) on {scope} at the end, once others are Owner"
        case "await-assignment":
            return f"Wait until the blueprint assignment {step.name} is gone from {scope}"
        case "drop-blueprints-owner":
            return f"Take Owner on {scope} away from Azure Blueprints ({step.principal}) once its assignments are gone"
        case "cancel":
            return f'Cancel the subscription "{step.before}" ({step.subscription}) at the end, whatever is in it'


def risk(step: Step, scope: str) -> tuple[str, str, bool] | None:
    """Code and text of what a step risks, and whether a person should decide where policy lets harmless things pass."""
    match step.kind:
        case "create":
            return "orders-subscription", f'Orders a new subscription, which costs money: "{step.name}"', True
        case "claim":
            text = f'Takes the subscription "{step.before}" ({step.subscription}) out of the pool for good'
            return "takes-subscription", text, False
        case "accept":
            text = f"Moves the ownership of {scope} from Entra tenant {step.from_tenant} to {step.to_tenant}"
            return "moves-ownership", text, True
        case "give-owner":
            return "gives-highest-rights", f"Makes {step.principal} Owner of {scope} directly", True
        case "cancel":
            text = (
                f'Cancels the subscription "{step.before}": everything in it stops, and Azure deletes it for good later'
            )
            return "cancels-subscription", text, True
        case _:
            return None
