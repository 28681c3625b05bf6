"""The end of Azure Blueprints: what the service still does at which date, and what people are told of it.

Microsoft retires it in steps: https://learn.microsoft.com/azure/governance/blueprints (retirement page, read in November 2026): no new
assignments from 2026-10-31, no changes of assignments after 2026-12-31, and the API is gone on 2027-01-31. What blueprints deployed
stays; locks stop working then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from enum import StrEnum

from runner.domain.access import Warn
from runner.errors import InputError

NO_NEW_ASSIGNMENTS = date(2026, 10, 31)
FROZEN_AFTER = date(2026, 12, 31)
GONE = date(2027, 1, 31)


class Phase(StrEnum):
    """How far the end of Azure Blueprints has come."""

    OPEN = "open"
    NO_NEW = "no new assignments"
    FROZEN = "frozen"
    GONE = "gone"


def phase(now: datetime) -> Phase:
    """What Azure Blueprints still does at this moment."""
    today = now.astimezone(UTC).date()
    if today >= GONE:
        return Phase.GONE
    if today > FROZEN_AFTER:
        return Phase.FROZEN
    return Phase.NO_NEW if today >= NO_NEW_ASSIGNMENTS else Phase.OPEN


def warnings_of(phase: Phase, managed: Sequence[str], released: Sequence[str]) -> Iterator[Warn]:
    """What is to be said of blueprints that are managed now, and of those that no longer can be."""
    if managed:
        when = (
            f"makes no new assignments from {NO_NEW_ASSIGNMENTS} on"
            if phase is Phase.OPEN
            else f"changes none after {FROZEN_AFTER}"
        )
        instead = "lzr migrate blueprint writes the deployment stack that takes its place"
        text = f"Azure Blueprints {when} and ends on {GONE}. {instead}."
        yield Warn(code="blueprints-end", text=text)
    if released and phase is Phase.FROZEN:
        text = (
            f"Azure Blueprints changes nothing any more: {', '.join(released)} stays assigned as it is, no longer managed, until "
            f"{GONE}, when its locks stop working."
        )
        yield Warn(code="blueprints-frozen", text=text)
    if released and phase is Phase.GONE:
        ended = f"Azure Blueprints has ended on {GONE}: {', '.join(released)} is not assigned any more."
        text = f"{ended} What it deployed is still there."
        yield Warn(code="blueprints-gone", text=text)


def replaced(name: str) -> Warn:
    """A blueprint that is not assigned any more, because a deployment stack has its name."""
    text = (
        f"The blueprint {name} is not assigned: Azure makes no new assignments since {NO_NEW_ASSIGNMENTS}. The deployment "
        f"stack {name} takes its place."
    )
    return Warn(code="blueprint-replaced", text=text)


def retired(name: str, *, zone: str, tenant: str) -> InputError:
    """The error of a blueprint that would have to be assigned anew, with the way out."""
    return InputError(
        "Azure Blueprints assigns nothing new",
        code="blueprints-retired",
        detail=f"The landing zone {zone} has the blueprint {name}, which {tenant} is not assigned yet, and "
        f"Azure makes no new assignments since {NO_NEW_ASSIGNMENTS}.",
        hint=f"lzr migrate blueprint {zone}  writes the deployment stack that takes its place.",
    )
