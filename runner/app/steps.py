"""Carry out the reviewed steps about a tenant's subscription, each at most once however often its process dies.

An order is noted in the store before it is sent, and looked for before it is sent again. Azure keeps one subscription for an alias,
so what is sent twice under the same one is answered with what is there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from runner.app.journal import RunJournal
from runner.app.sourcing import cooling_down, refuse_taken_name
from runner.app.walk import Ports, raise_if_stopped
from runner.domain.configuration import Placed
from runner.domain.review import Review
from runner.domain.subscription import AFTERWARDS, GONE, Holding, Stage, Step, sentence
from runner.errors import Refused, RemoteFailed
from runner.ports import Azure, Order

Once = Callable[[str, Callable[[], Any]], Any]


def before_terraform(
    placed: Placed, made: Review, azure: Azure, ports: Ports, journal: RunJournal, stop: threading.Event, once: Once
) -> None:
    """The steps that go before Terraform. Of a preview only those that make the subscription the tenant's; the rest is planned anew."""
    steps = [step for step in made.steps if step.kind not in AFTERWARDS]
    if made.facts.source.to_come:
        steps = [step for step in steps if step.kind in ("create", "accept")]
    real = made.subscription
    for step in steps:
        raise_if_stopped(stop)
        act = partial(_act, step.model_copy(update={"subscription": real}), placed, made, azure, ports, journal, stop)
        real = str(once(_named(step), act) or real)


def after_terraform(
    placed: Placed, made: Review, azure: Azure, ports: Ports, journal: RunJournal, stop: threading.Event, once: Once
) -> None:
    """The steps that follow on everything else."""
    for step in made.steps:
        if step.kind in AFTERWARDS:
            raise_if_stopped(stop)
            once(_named(step), partial(_act, step, placed, made, azure, ports, journal, stop))


def let_go(made: Review, ports: Ports) -> None:
    """The tenant has left: nothing is held for it any more, but that a cancelled subscription was its own is remembered."""
    held = ports.holdings.of(made.tenant)
    cancelled = made.facts.subscription_state in GONE or any(step.kind == "cancel" for step in made.steps)
    if held is not None and cancelled and held.subscription == made.subscription:
        ports.holdings.cancelled(made.tenant, now=ports.now())
    else:
        ports.holdings.give_up(made.tenant)


def _named(step: Step) -> str:
    about = step.name if step.kind == "await-assignment" else step.principal
    return f"{step.kind} {about}".strip()


def _act(
    step: Step,
    placed: Placed,
    made: Review,
    azure: Azure,
    ports: Ports,
    journal: RunJournal,
    stop: threading.Event,
) -> str | None:
    """One step; the subscription's id where the step finds it out."""
    subscriptions = azure.subscriptions
    with journal.step(_WORDS[step.kind]) as note:
        match step.kind:
            case "create":
                found = _create(step, placed, azure, ports, journal, stop)
                note(found)
                return found
            case "accept":
                if not subscriptions.accept(step) or not subscriptions.appears(step.subscription):
                    raise _takes_long(f"The ownership of {step.subscription} is not accepted yet.")
                ports.holdings.accepted(placed.tenant.name, now=ports.now())
            case "claim":
                _claim(step, placed, made, azure, ports)
            case "rename":
                subscriptions.rename(step.subscription, step.name)
            case "give-owner":
                subscriptions.give_owner(step.subscription, step.principal)
            case "drop-own-owner":
                _drop_own_owner(step, azure, journal)
            case "await-assignment":
                if not azure.deployments.assignment_goes(step.subscription, step.name):
                    raise _assignment_stays(step)
            case "drop-blueprints-owner":
                subscriptions.drop_owner(step.subscription, step.principal)
            case "cancel":
                seen = azure.resources.subscription(step.subscription)
                if seen is not None and not _is_cancelled(seen.state, made.facts.subscription_state):
                    subscriptions.cancel(step.subscription)
        journal.log("info", sentence(step, made.scope))
    return None


_WORDS = {
    "create": "create the subscription",
    "accept": "accept the ownership",
    "claim": "claim the subscription",
    "rename": "rename the subscription",
    "give-owner": "make an owner",
    "drop-own-owner": "give up the own Owner",
    "await-assignment": "wait for the blueprint assignment to go",
    "drop-blueprints-owner": "take Owner from Azure Blueprints",
    "cancel": "cancel the subscription",
}


# --- creating --------------------------------------------------------------------------------------------------------


def _create(step: Step, placed: Placed, azure: Azure, ports: Ports, journal: RunJournal, stop: threading.Event) -> str:
    """Id of the subscription under the step's alias: found, waited for, or ordered where nothing says that it ever was."""
    tenant = placed.tenant.name
    held = ports.holdings.of(tenant)
    if held is None or held.subscription is None or held.stage is Stage.CANCELLED:
        order = azure.subscriptions.ordered(step.alias)
        if order is None or order.state == "Failed":
            order = _send(step, order, held, placed, azure, ports, journal, stop)
        elif held is None or held.stage is Stage.CANCELLED:
            ports.holdings.order(tenant, step.alias, now=ports.now())
        if order.state != "Succeeded":
            order = azure.subscriptions.settled(step.alias) or order
        if order.state == "Failed":
            raise _failed(placed, "the creation failed", ports)
        if order.state != "Succeeded" or order.subscription is None:
            raise _takes_long(f"The subscription ordered as {step.alias} is not there yet.")
        held = ports.holdings.made(
            tenant, order.subscription, alias=step.alias, offered=_crosses(placed), now=ports.now()
        )
    found = str(held.subscription)
    if held.stage is Stage.HELD and not azure.subscriptions.appears(found):
        raise _takes_long(f"The subscription {found} was made, and is not to be seen yet.")
    return found


def _crosses(placed: Placed) -> bool:
    provisioning = placed.platform.spec.provisioning
    agreement = provisioning.customer_agreement if provisioning else None
    return agreement is not None and agreement.crosses_tenants


def _send(
    step: Step,
    known: Order | None,
    held: Holding | None,
    placed: Placed,
    azure: Azure,
    ports: Ports,
    journal: RunJournal,
    stop: threading.Event,
) -> Order:
    """Send the order, unless the last one was answered with an error a short while ago."""
    if known is not None and (held is None or held.failed is None):  # it failed, and nobody noted when
        ports.holdings.order(placed.tenant.name, step.alias, now=ports.now())
        raise _failed(placed, "the creation failed", ports)
    if until := cooling_down(placed, held, ports):
        raise Refused(
            "Too early to order again",
            code="subscription-cooling-down",
            detail=f"The last order for {placed.tenant.name} was answered with an error ({held.failure if held else ''}). The subscription "
            f"may still appear, so none is ordered before {until}.",
            hint="Run it again then; if the subscription appears meanwhile, it is found.",
        )
    if known is None:
        refuse_taken_name(step.name, azure)
    raise_if_stopped(stop)
    ports.holdings.order(placed.tenant.name, step.alias, now=ports.now())
    journal.intent(f"order {step.alias}")
    try:
        return azure.subscriptions.order(step)
    except RemoteFailed as error:
        raise _failed(placed, error.detail, ports, status=error.status) from error


def _failed(placed: Placed, why: str, ports: Ports, *, status: int | None = None) -> RemoteFailed:
    """The error of a creation, after it was noted."""
    held = ports.holdings.failed(placed.tenant.name, ports.redact(why)[:500], now=ports.now())
    return RemoteFailed(
        "The subscription could not be created",
        code="subscription-creation-failed",
        detail=f"{why} It may be there late, so none is ordered before {cooling_down(placed, held, ports) or 'the next run'}.",
        hint="Look at what Azure says; then run it again. An order that succeeded after all is found by its alias.",
        status=status,
    )


def _takes_long(detail: str) -> RemoteFailed:
    return RemoteFailed(
        "It takes longer than usual",
        code="subscription-not-there-yet",
        detail=f"{detail} Nothing is lost: the next run of the tenant goes on waiting, and orders nothing.",
        hint="Run it again in some minutes.",
        temporary=True,
    )


def _assignment_stays(step: Step) -> RemoteFailed:
    return RemoteFailed(
        "It takes longer than usual",
        code="blueprint-assignment-stays",
        detail=f"Azure still deletes the blueprint assignment {step.name}; Azure Blueprints stays Owner of the subscription until then.",
        hint="Run it again in some minutes; if it fails, the assignment's page in the portal says why.",
        temporary=True,
    )


# --- claiming, and the end -------------------------------------------------------------------------------------------


def _claim(step: Step, placed: Placed, made: Review, azure: Azure, ports: Ports) -> None:
    """Refused where the subscription is not any more what it was when it was shown."""
    held = ports.holdings.of(placed.tenant.name)
    seen = azure.resources.subscription(step.subscription)
    claimed = held is not None and held.stage is Stage.HELD and held.subscription == step.subscription
    if not claimed and (seen is None or seen.state != "Enabled" or seen.display_name != step.before):
        now = f'"{seen.display_name}" and {seen.state}' if seen else "not to be seen"
        raise Refused(
            "The plan is out of date",
            code="plan-outdated",
            detail=f'The free subscription {step.subscription} was "{step.before}" in the review and is {now} now.',
            hint="Plan the tenant again.",
        )
    ports.holdings.claim(placed.tenant.name, step.subscription, run=made.run, now=ports.now())


def _is_cancelled(now: str, before: str) -> bool:
    """A cancelled subscription is warned for a while before it is disabled; one that was warned in the review was not cancelled by that."""
    return now in GONE or (now == "Warned" and before != "Warned")


def _drop_own_owner(step: Step, azure: Azure, journal: RunJournal) -> None:
    """Never before somebody else is Owner: a subscription without one is nobody's."""
    owners = azure.subscriptions.owners(step.subscription)
    if step.principal not in owners:
        return
    if not set(owners) - {step.principal}:
        journal.warn("own-owner-stays", "The runner stays Owner of the subscription: nobody else is Owner directly.")
        return
    azure.subscriptions.drop_owner(step.subscription, step.principal)
