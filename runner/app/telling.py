"""How a run went, read off its journal: what command line, page and API tell alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runner.app.walk import Ports
from runner.domain.events import Event, Kind, Step, steps_of
from runner.domain.run import Run
from runner.ports import Approval

INTERNAL = frozenset({Kind.INTENT, Kind.DONE})
"""Kinds of entries that are for the runner itself to go on with."""

_NOT_LOG = frozenset(Kind) - {Kind.LOG}  # of which there may be a hundred times as much


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
    events = ports.runs.events(run.id, kinds=_NOT_LOG)
    return Told(
        run=run,
        approvals=ports.runs.approvals(run.id),
        steps=steps_of(events),
        warnings=tuple(event.data for event in events if event.kind is Kind.WARNING),
        outputs={event.data["name"]: event.data["value"] for event in events if event.kind is Kind.OUTPUT},
        function=_answer(events),
    )


def for_people(events: tuple[Event, ...]) -> tuple[Event, ...]:
    """The entries that tell somebody something."""
    return tuple(event for event in events if event.kind not in INTERNAL)


def _answer(events: Sequence[Event]) -> dict[str, Any] | None:
    """What the function said in this run."""
    said = [
        event.data.get("result") for event in events if event.kind is Kind.DONE and event.data["what"] == "function"
    ]
    return said[-1] if said and isinstance(said[-1], dict) else None
