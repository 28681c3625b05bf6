"""What to do with runs whose process died. An interrupted apply is never repeated: it is settled, then planned afresh.

Settling: the engine that may still be at work is waited for or ended, the state it could not hand in is taken in, only then is the
lock released. The fresh plan takes over what was created without reaching the state (`app.adoption`), and runs on without a
person only where it merely finishes what was approved (`domain.review.strays`).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from runner.app.walk import Ports, is_of_meshstack, snapshot_of
from runner.domain.run import ENDED, EXECUTING, Run, Status
from runner.errors import Canceled
from runner.ports import Liveness

_MANY = 100_000  # runs that one process may have begun at once


def orphans(ports: Ports, liveness: Liveness) -> tuple[Run, ...]:
    """Runs at work, or about to be, in a process that is gone; oldest first. About to be is also what continues another run and was
    approved for that: nobody else would apply it.

    One whose engine may still work on another machine is left alone, until somebody asks to cancel it.
    """
    found = [
        run
        for run in ports.runs.find(statuses=(*EXECUTING, Status.PENDING, Status.APPROVED), limit=_MANY)[::-1]
        if (run.status is not Status.APPROVED or "continues" in run.options) and not is_of_meshstack(run)
    ]
    others = sorted({run.executor for run in found if run.executor and run.executor != ports.executor})
    gone = set(liveness.dead(others))
    return tuple(run for run in found if run.executor in gone and not _out_of_sight(run, ports))


def settle(run: Run, ports: Ports, stop: threading.Event) -> None:
    """Bring an interrupted apply to rest. Raises Canceled where somebody wants the run to end with that."""
    platform = snapshot_of(run, ports).placed.platform
    ports.infrastructure.settle(run, platform, journal=ports.journal(run.id), stop=stop)
    if stop.is_set():
        raise Canceled(detail="It had been interrupted; the engine is at rest and its state is taken in.")


def continuation(run: Run, *, run_id: str, ports: Ports) -> Run:
    """The pending run that finishes an interrupted one, or one that made the subscription first, from the same documents; made once,
    however often this is asked for."""
    for known in ports.runs.find(tenant=run.tenant, statuses=(Status.PENDING,)):
        if known.options.get("continues") == run.id:
            return known
    now = ports.now()
    return ports.runs.create(
        run.model_copy(
            update={
                "id": run_id,
                "status": Status.PENDING,
                "created": now,
                "updated": now,
                "reason": f"continues {run.id}",
                "options": {**{k: v for k, v in run.options.items() if k != "imports"}, "continues": run.id},
                "executor": ports.executor,
                "digest": "",
                "failure": None,
                "engine": None,
                "warnings": 0,
                "risks": 0,
                "counts": {},
            }
        ),
        ports.runs.snapshot(run.id),
    )


def heir_of(run: Run, ports: Ports) -> Run:
    """The newest run that continues this one, however often it was interrupted; itself where none does."""
    return heir_among(ports.runs.find(tenant=run.tenant), run)


def heir_among(runs: Sequence[Run], run: Run) -> Run:
    """The same among these runs of the tenant, newest first."""
    for younger in runs[::-1]:
        if younger.options.get("continues") == run.id:
            run = younger
    return run


def end_interrupted(run: Run, ports: Ports) -> Run:
    """End a settled run whose continuation is there."""
    ports.bundles.discard(run.id)
    ports.infrastructure.discard(run)
    return ports.runs.move(run.id, Status.INTERRUPTED, now=ports.now(), executor=ports.executor)


def end_prepared(run: Run, ports: Ports) -> Run:
    """End a run that made the subscription, and whose continuation is there."""
    ports.bundles.discard(run.id)
    ports.infrastructure.discard(run)
    return ports.runs.move(run.id, Status.APPLIED, now=ports.now(), executor=ports.executor)


def sweep(ports: Ports) -> None:
    """Remove what runs left on disk that have ended otherwise than by their own process."""
    left = ports.infrastructure.on_disk()
    standing = ports.runs.standing(left)
    for run_id in left:
        if run_id in standing and standing[run_id][0] in ENDED:
            ports.infrastructure.discard(ports.runs.get(run_id))


def _out_of_sight(run: Run, ports: Ports) -> bool:
    return (
        run.status is Status.APPLYING
        and ports.infrastructure.may_work_elsewhere(run)
        and not ports.runs.cancel_requested(run.id)
    )
