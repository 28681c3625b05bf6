"""What to do with runs whose process died. An interrupted apply is never repeated: it is settled, then planned afresh.

Settling: the engine that may still be at work is waited for or ended, the state it could not hand in is taken in, only then is the
lock released. The fresh plan takes over what was created without reaching the state (`app.adoption`), and runs on without a
person only where it merely finishes what was approved (`domain.review.strays`).
"""

from __future__ import annotations

import threading

from runner.app.reconcile import Ports, placed_of
from runner.domain.run import EXECUTING, Run, Status
from runner.ports import Liveness


def orphans(ports: Ports, liveness: Liveness) -> tuple[Run, ...]:
    """Runs at work, or about to be, in a process that is gone."""
    found = ports.runs.find(statuses=(*EXECUTING, Status.PENDING), limit=1000)
    gone = set(
        liveness.dead(sorted({run.executor for run in found if run.executor and run.executor != ports.executor}))
    )
    return tuple(run for run in found if run.executor in gone)


def settle(run: Run, ports: Ports, stop: threading.Event) -> Run:
    """Bring an interrupted apply to rest. The run ends as interrupted; `continuation` says what has to be planned next."""
    journal = ports.journal(run.id)
    ports.infrastructure.settle(run, placed_of(run).platform, journal=journal, stop=stop)
    ports.bundles.discard(run.id)
    ports.infrastructure.discard(run)
    return ports.runs.move(run.id, Status.INTERRUPTED, now=ports.now())


def continuation(run: Run, *, run_id: str, ports: Ports) -> Run:
    """A pending run that finishes an interrupted one, from the same documents."""
    now = ports.now()
    return ports.runs.create(
        run.model_copy(
            update={
                "id": run_id,
                "status": Status.PENDING,
                "created": now,
                "updated": now,
                "reason": f"continues {run.id}",
                "options": {**run.options, "continues": run.id},
                "executor": ports.executor,
                "digest": "",
                "failure": None,
                "engine": None,
                "warnings": 0,
            }
        )
    )
