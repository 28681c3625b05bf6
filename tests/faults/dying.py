"""`lzr` that dies at a chosen moment: `python -m tests.faults.dying MOMENT argument…`.

A moment is an entry of a run's journal, and whether the process dies before it is committed or after, as if by `kill -9`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.pool import Pool
from sqlalchemy.sql.dml import Insert

from runner.cli import run


@dataclass(frozen=True)
class Moment:
    """The `nth` journal entry of a kind that says `value` somewhere; `before` it is kept, or right after."""

    kind: str
    value: str
    before: bool = False
    nth: int = 1

    def __str__(self) -> str:
        return f"{'before' if self.before else 'after'} {self.kind} {self.value}"

    def as_argument(self) -> str:
        return json.dumps(asdict(self))


def die_at(moment: Moment) -> None:
    """End this process without any clean-up as soon as it comes there."""
    here = threading.local()
    hits = count(1)

    @event.listens_for(Engine, "before_execute")
    def _(_connection: Connection, statement: Any, many: Any, given: Any, _options: Any) -> None:
        if not isinstance(statement, Insert) or statement.table.name != "events":
            return
        for entry in many or [given]:
            said = json.dumps(entry["given_data"], default=str)
            if str(entry["given_kind"]) == moment.kind and moment.value in said and next(hits) == moment.nth:
                here.now = True

    @event.listens_for(Engine, "commit")
    def _(_connection: Connection) -> None:
        if moment.before and getattr(here, "now", False):
            os.kill(os.getpid(), signal.SIGKILL)

    @event.listens_for(Pool, "checkin")
    def _(_connection: object, _record: object) -> None:
        if getattr(here, "now", False):
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    die_at(Moment(**json.loads(sys.argv[1])))
    sys.exit(run(sys.argv[2:]))
