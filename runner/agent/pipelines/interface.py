"""What a kind of pipeline needs to be carried out, and what comes of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

import httpx

from runner.agent.contract import Status
from runner.errors import Canceled


class Told(Protocol):
    """What may be told to meshStack about the steps of a run. Safe to use from any thread; somebody else sends it."""

    def step(
        self,
        id: str,  # noqa: A002 - as the API calls it
        name: str,
        status: Status,
        *,
        user: str = "",
        system: str = "",
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """A step as it is now; the texts replace those told before."""
        ...


class Outcome(StrEnum):
    """What the run is when a kind is through with it. HANDED_OVER: it stays in progress, and the pipeline reports its end."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    HANDED_OVER = "HANDED_OVER"


@dataclass(frozen=True)
class Way:
    """How to get out, and how long to wait. `stop` is set when meshStack aborted the run or the agent drains; `sleep` ends early then."""

    client: httpx.Client
    stop: threading.Event
    sleep: Callable[[float], object]
    now: Callable[[], datetime]
    poll: float = 10.0
    patience: float = 1800.0

    def check(self) -> None:
        """Raise Canceled when the run is told to stop."""
        if self.stop.is_set():
            raise Canceled

    def pause(self, seconds: float) -> None:
        """Wait; Canceled as soon as the run is told to stop."""
        self.check()
        self.sleep(seconds)
        self.check()


class Watch:
    """Measures patience, from its making on: by the clock and by what was waited, whichever is further."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._begun = way.now()
        self._waited = 0.0

    def pause(self, seconds: float) -> None:
        """See Way; what was waited counts, a moment at least."""
        self._way.pause(seconds)
        self._waited += max(seconds, 1.0)

    @property
    def over(self) -> bool:
        """Whether patience is at its end."""
        elapsed = (self._way.now() - self._begun).total_seconds()
        return max(elapsed, self._waited) >= self._way.patience
