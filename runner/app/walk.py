"""What planning and applying a run have in common: what they need from outside, how a run begins, and how it ends badly."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runner.app.journal import RunJournal, failure_of
from runner.domain.configuration import Import, Leaving, Snapshot
from runner.domain.events import Kind
from runner.domain.platform import AzurePlatform
from runner.domain.review import Review
from runner.domain.run import Behavior, Failure, Run, Status
from runner.errors import Canceled, Refused, RunnerError
from runner.ports import Azure, Bundles, Checks, Deletions, Expressions, Holdings, Infrastructure, Modules, Runs

log = logging.getLogger("lzr")


@dataclass(frozen=True)
class Ports:
    """Everything the walk needs from outside."""

    runs: Runs
    deletions: Deletions
    bundles: Bundles
    holdings: Holdings
    infrastructure: Infrastructure
    modules: Modules
    checks: Checks
    expressions: Expressions
    azure: Callable[[AzurePlatform, threading.Event], AbstractContextManager[Azure]]
    reread: Callable[[Run, Snapshot], str | None]
    now: Callable[[], datetime]
    redact: Callable[[str], str]
    executor: str

    def journal(self, run_id: str) -> RunJournal:
        return RunJournal(self.runs, run_id, self.now, self.redact)


class Interrupted(RunnerError):
    """An apply of this run began and its end is not known."""

    family = "interrupted"


class Prepared(Exception):
    """The subscription is there; the rest, which was shown as a preview, is planned against it by the run that continues this one."""


def begin(run_id: str, status: Status, ports: Ports) -> Run:
    """The run at work in this process; or as it is, where it has ended meanwhile or another process has it. One that waits for its
    turn and may not begin fails with the reason."""
    run = ports.runs.get(run_id)
    if run.status is status and run.executor == ports.executor:
        return run
    try:
        return ports.runs.move(run_id, status, now=ports.now(), executor=ports.executor)
    except Refused as refused:
        run = ports.runs.get(run_id)
        return end_badly(run, refused, ports) if run.status in (Status.PENDING, Status.APPROVED) else run


def review_of(run: Run, ports: Ports) -> Review:
    """The review that was kept for the run; Refused when there is none, and of a building block, which meshStack decides on."""
    return as_review(run, ports.runs.review(run.id))


def as_review(run: Run, kept: Mapping[str, Any] | None) -> Review:
    """What was kept of the run's review as a review; see `review_of`."""
    refuse_of_meshstack(run)
    if kept is None:
        raise Refused(
            "Nothing to decide yet", code="no-review", detail=f"Run {run.id} has no review.", hint=f"lzr run {run.id}"
        )
    return Review.model_validate(kept)


def is_of_meshstack(run: Run) -> bool:
    """Whether an agent claimed the run from a meshStack: then nobody else executes it, or decides on it."""
    return "meshstack" in run.options


def refuse_of_meshstack(run: Run) -> None:
    """Refused for a run that meshStack decides on."""
    if is_of_meshstack(run):
        raise Refused(
            "That is decided in meshStack",
            code="decided-in-meshstack",
            detail=f"Run {run.id} belongs to a building block.",
            hint=f"Approve or abort it there; lzr review {run.id} shows what it would do.",
        )


def snapshot_of(run: Run, ports: Ports) -> Snapshot:
    return Snapshot.model_validate(ports.runs.snapshot(run.id))


def leaving_of(run: Run) -> Leaving | None:
    return Leaving(move_to=run.options.get("move_to")) if run.behavior is Behavior.DESTROY else None


def imports_of(run: Run) -> tuple[Import, ...]:
    return tuple(Import.model_validate(item) for item in run.options.get("imports", ()))


def end_badly(run: Run, error: BaseException, ports: Ports) -> Run:
    """The end of a run that did not succeed: status and failure by the error's family; a bug is logged with its traceback.

    The run as it is, where it has ended otherwise meanwhile or another process has taken it over.
    """
    failed = [event.data["name"] for event in ports.runs.events(run.id) if event.kind is Kind.STEP_FAILED]
    failure = failure_of(error, redact=ports.redact, step=failed[-1] if failed else "")
    if failure.family == "internal-error":
        log.error("run_failed", exc_info=error, extra={"run": run.id, "tenant": run.tenant})
    status = Status.CANCELED if isinstance(error, Canceled) else Status.FAILED
    try:
        ended = ports.runs.move(
            run.id, status, now=ports.now(), failure=with_hint(failure, run), executor=ports.executor
        )
    except Refused as refused:
        log.warning("run_ended_elsewhere", extra={"run": run.id, "tenant": run.tenant, "reason": refused.code})
        ended = ports.runs.get(run.id)
    else:
        ports.infrastructure.discard(run)
    if not isinstance(error, Exception):
        raise error
    return ended


def with_hint(failure: Failure, run: Run) -> Failure:
    return failure if failure.hint else failure.model_copy(update={"hint": f"lzr run {run.id}"})


def raise_if_stopped(stop: threading.Event) -> None:
    if stop.is_set():
        raise Canceled(detail="Canceled between two steps; what was done before stays.")
