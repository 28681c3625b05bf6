"""Following a pipeline until it has ended, and telling its parts as steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runner.agent.contract import Status
from runner.agent.pipelines.interface import Told, Watch, Way
from runner.errors import RemoteFailed

MOST_PARTS = 49  # meshStack asks for at most 50 steps, and one is the trigger


@dataclass(frozen=True)
class Part:
    """A job or stage, as a step."""

    id: str
    name: str
    status: Status
    user: str
    system: str


@dataclass(frozen=True)
class Look:
    """A pipeline at one moment. `succeeded` is None while it is at work; `parts` are those that can be seen."""

    parts: tuple[Part, ...]
    succeeded: bool | None
    user: str
    system: str


def follow(look: Callable[[], Look], told: Told, way: Way, watch: Watch, *, what: str) -> Look:
    """Look again and again until the pipeline has ended; a part is told when it is new or has changed.

    A look that fails for the moment is made up for by the next one. RemoteFailed when patience ends first; Canceled when the run is
    told to stop.
    """
    shown: dict[str, Part] = {}
    trouble = ""
    while True:
        way.check()
        try:
            seen = look()
        except RemoteFailed as error:
            if not error.temporary:
                raise
            trouble = f" The last look failed: {error.detail}"
        else:
            trouble = ""
            _tell(seen.parts, shown, told)
            if seen.succeeded is not None:
                return seen
        if watch.over:
            raise RemoteFailed(
                "The pipeline did not end in time",
                code="pipeline-timeout",
                detail=f"{what} was followed for {way.patience / 60:g} minutes. It was not stopped and may still be at work.{trouble}",
                hint="Look at the pipeline. One that takes longer should run asynchronously and report by itself.",
            )
        watch.pause(way.poll)


def _tell(parts: tuple[Part, ...], shown: dict[str, Part], told: Told) -> None:
    for part in parts:
        if shown.get(part.id) == part or (part.id not in shown and len(shown) >= MOST_PARTS):
            continue
        shown[part.id] = part
        told.step(part.id, part.name, part.status, user=part.user, system=part.system)
