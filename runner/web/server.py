"""What every request and every piece of background work is done with. Made once, holds nothing about anybody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from runner.app.walk import Ports
from runner.ports import Audit, Fleet, Requests, States
from runner.web.shelf import Shelf


@dataclass(frozen=True)
class Server:
    """A server's means. `public_url` is how people reach it, without a slash at its end; `works` says whether this process executes
    runs."""

    ports: Ports
    fleet: Fleet
    states: States
    requests: Requests
    audit: Audit
    shelf: Shelf
    review_expires: timedelta
    public_url: str
    works: bool
    keep_quiet_runs: timedelta
    new_id: Callable[[], str]

    @property
    def now(self) -> datetime:
        """This moment."""
        return self.ports.now()
