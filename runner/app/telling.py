"""How a run went, read off its journal: what command line, page and API tell alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runner.app.walk import Ports
from runner.domain.events import Event, Kind, Step, steps_of
from runner.domain.run import Run
from runner.ports import Approval

INTERNAL = frozenset({Kind.INTENT, Kind.DONE})
"""Kinds of entries that are for the runner itself to go on with."""


@dataclass(frozen=True)
class Told:
    """A run beside its review. `function` is what the landing zone's function answered."""

    run: Run
    approvals: tuple[Approval, ...]
    steps: tuple[Step, ...]
    warnings: tuple[dict[str, Any], ...]
    outputs: dict[str, Any]
    function: dict[str, Any] | None


def told(run: Run, ports: Ports) -> Told:
    """How the run went, as far as it did."""
    events = ports.runs.events(run.id)
    return Told(
        run=run,
        approvals=ports.runs.approvals(run.id),
        steps=steps_of(events),
        warnings=tuple(event.data for event in events if event.kind is Kind.WARNING),
        outputs={event.data["name"]: event.data["value"] for event in events if event.kind is Kind.OUTPUT},
        function=answer_of(run, ports),
    )


def answer_of(run: Run, ports: Ports) -> dict[str, Any] | None:
    """What the function said in this run."""
    found = ports.journal(run.id).result("function")
    return found if isinstance(found, dict) else None


def for_people(events: tuple[Event, ...]) -> tuple[Event, ...]:
    """The entries that tell somebody something."""
    return tuple(event for event in events if event.kind not in INTERNAL)
