"""What happened in a run, in order: one append-only list from which page, command line and API read steps, log and result."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from runner.domain.access import Frozen


class Kind(StrEnum):
    """Kinds of events; the fields of `data` are named in each comment."""

    STATUS = "status"  # status
    STEP_STARTED = "step-started"  # name
    STEP_SUCCEEDED = "step-succeeded"  # name, seconds, note?
    STEP_FAILED = "step-failed"  # name, seconds, code, summary, detail, hint
    LOG = "log"  # step, level, text
    INTENT = "intent"  # what, key: recorded before an effect outside
    DONE = "done"  # what, key, result
    WARNING = "warning"  # code, text
    OUTPUT = "output"  # name, value (never a sensitive one)


class Event(Frozen):
    """One entry of a run's journal."""

    seq: int
    at: datetime
    kind: Kind
    data: dict[str, Any] = Field(default_factory=dict)


class StepStatus(StrEnum):
    """How a step stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Step(Frozen):
    """A step as read off the journal; of a step that ran again, the last time."""

    name: str
    status: StepStatus
    started: datetime
    seconds: float | None = None
    note: str = ""


def steps_of(events: Iterable[Event]) -> tuple[Step, ...]:
    """The steps of a run in the order in which they first started."""
    steps: dict[str, Step] = {}
    for event in events:
        name = event.data.get("name", "")
        if event.kind is Kind.STEP_STARTED:
            steps[name] = Step(name=name, status=StepStatus.RUNNING, started=event.at)
        elif event.kind in (Kind.STEP_SUCCEEDED, Kind.STEP_FAILED) and name in steps:
            ended = StepStatus.SUCCEEDED if event.kind is Kind.STEP_SUCCEEDED else StepStatus.FAILED
            note = str(event.data.get("note") or event.data.get("summary") or "")
            steps[name] = steps[name].model_copy(
                update={"status": ended, "seconds": event.data.get("seconds"), "note": note}
            )
    return tuple(steps.values())
