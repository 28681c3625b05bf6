"""Runs from the queue to their end: who may say what about one, and what meshStack keeps of it.

PENDING -> IN_PROGRESS by the claim -> SUCCEEDED, FAILED or ABORTED by a report, or ABORTED by a person.
"""

from __future__ import annotations

import base64
import binascii
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from runner.sandbox.meshstack.documents import Order
from runner.sandbox.meshstack.reports import Report, read_report, read_steps
from runner.sandbox.meshstack.wire import Answer, Json, Rejection

FINAL = frozenset({"SUCCEEDED", "FAILED", "ABORTED"})
MOST_STEPS = 50

Complain = Callable[[str], None]


@dataclass
class Run:
    """One run and everything that was said about it."""

    uuid: str
    order: Order
    token: str = field(repr=False)
    document: Json = field(repr=False)
    enqueued: datetime
    status: str = "PENDING"
    steps: dict[str, Json] = field(default_factory=dict)
    sources: dict[str, Json] = field(default_factory=dict)
    summary: str | None = None
    artifact: bytes | None = field(default=None, repr=False)
    changes_detected: bool | None = None
    patches: list[Json] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    claimed_by: str = ""
    claimed: datetime | None = None
    registered: datetime | None = None
    ended: datetime | None = None
    abort_asked: bool = False
    told_of_abort: bool = False

    @property
    def outputs(self) -> Json:
        """The outputs of all steps in one."""
        return {name: output for step in self.steps.values() for name, output in step.get("outputs", {}).items()}

    def sent(self) -> Json:
        """The document as the API shows it."""
        return {**self.document, "status": self.status}

    def described(self) -> Json:
        """Everything about it, for those who look from outside; no secret is in it."""
        return {
            "uuid": self.uuid,
            "behavior": self.order.behavior,
            "block": self.order.block,
            "workspace": self.order.workspace,
            "status": self.status,
            "steps": [dict(step) for step in self.steps.values()],
            "source": next(iter(self.sources.values()), None),
            "sources": list(self.sources.values()),
            "outputs": self.outputs,
            "summary": self.summary,
            "artifactSize": None if self.artifact is None else len(self.artifact),
            "changesDetected": self.changes_detected,
            "patches": list(self.patches),
            "warnings": list(self.warnings),
            "claimedBy": self.claimed_by,
            "enqueuedOn": _stamp(self.enqueued),
            "claimedOn": _stamp(self.claimed),
            "registeredOn": _stamp(self.registered),
            "finalOn": _stamp(self.ended),
        }


class Runs:
    """All runs. Guarded by meshStack's lock."""

    def __init__(self, now: Callable[[], datetime], complain: Complain) -> None:
        self._now = now
        self._complain = complain
        self._runs: dict[str, Run] = {}
        self._queue: deque[str] = deque()

    def add(self, run: Run) -> None:
        """Put a run at the end of the queue."""
        self._runs[run.uuid] = run
        self._queue.append(run.uuid)

    def all(self) -> list[Run]:
        """All runs, the oldest first."""
        return list(self._runs.values())

    def found(self, uuid: str, *, blame: bool = True) -> Run:
        """One run; a 404 where there is none."""
        if uuid not in self._runs:
            raise Rejection(404, f"there is no run {uuid}", blame=blame)
        return self._runs[uuid]

    def number(self, block: str) -> int:
        """The number of the next run of this block."""
        return 1 + sum(run.order.block == block for run in self._runs.values())

    def claim(self, by: str) -> Run:
        """Hand out the oldest that waits; a 404 where none does."""
        if not self._queue:
            raise Rejection(404, "no run waits for this runner", blame=False)
        run = self._runs[self._queue.popleft()]
        run.status, run.claimed, run.claimed_by = "IN_PROGRESS", self._now(), by
        return run

    def register(self, run: Run, body: Json) -> Answer:
        """Take a source of status for a run that is in progress, once."""
        source = body.get("source")
        if not isinstance(source, dict) or not isinstance(source.get("id"), str) or not source["id"]:
            raise Rejection(400, "source.id is wanted")
        if run.status == "PENDING":
            raise Rejection(400, f"the run {run.uuid} was not claimed")
        self._refuse_ended(run, status="", saying="registered for")
        if source["id"] in run.sources:
            raise Rejection(409, f"the source {source['id']} is registered already", blame=False)
        steps = read_steps(body.get("steps"))
        run.sources[source["id"]] = source
        run.registered = run.registered or self._now()
        self._upsert(run, steps)
        return Answer(200, {"source": source})

    def report(self, run: Run, source: str, body: Json) -> Answer:
        """Take a report of a registered source, as long as the run is in progress."""
        entry: Json = {"receivedOn": _stamp(self._now()), "source": source, "body": body, "answered": 200}
        run.patches.append(entry)
        try:
            return self._report(run, source, body)
        except Rejection as rejection:
            entry["answered"] = rejection.status
            raise

    def _report(self, run: Run, source: str, body: Json) -> Answer:
        report = read_report(body)
        self._refuse_ended(run, status=report.status or "", saying="reported on")
        if run.status != "IN_PROGRESS":
            raise Rejection(409, f"the run {run.uuid} is {run.status}")
        if source not in run.sources:
            raise Rejection(404, f"the source {source} is not registered for the run {run.uuid}")
        self._take(run, report)
        if run.abort_asked and run.status not in FINAL:
            self._end(run, "ABORTED")
            run.told_of_abort = True
        return Answer(200, {"runAborted": run.abort_asked})

    def abort(self, run: Run, *, softly: bool = False) -> None:
        """Stop a run at once; or, softly, as soon as its runner was told by the answer to its next report."""
        if run.status in FINAL:
            raise Rejection(409, f"the run {run.uuid} is {run.status}", blame=False)
        if softly and run.status == "IN_PROGRESS":
            run.abort_asked = True
            return
        if run.uuid in self._queue:
            self._queue.remove(run.uuid)
        self._end(run, "ABORTED")
        run.abort_asked = True

    def plan(self, run: Run) -> bytes:
        """The plan that a run is to apply: the one its predecessor made."""
        if "planArtifact" not in run.document["_links"]:
            raise Rejection(404, f"the run {run.uuid} has no plan to apply")
        artifact = self.found(run.order.predecessor or "").artifact
        if artifact is None:
            raise Rejection(404, f"the run {run.order.predecessor} left no plan", blame=False)
        return artifact

    def _take(self, run: Run, report: Report) -> None:
        if run.order.behavior != "DETECT" and (report.artifact is not None or report.changes_detected is not None):
            self._complain(
                f"the run {run.uuid}: artifact and changesDetected are for DETECT, this is {run.order.behavior}"
            )
        self._upsert(run, report.steps)
        if report.artifact is not None:
            run.artifact = _decoded(report.artifact)
        run.summary = report.summary if report.summary is not None else run.summary
        run.changes_detected = run.changes_detected if report.changes_detected is None else report.changes_detected
        if report.status in FINAL:
            self._end(run, report.status)

    def _upsert(self, run: Run, steps: list[Json]) -> None:
        for step in steps:
            kept = run.steps.setdefault(step["id"], {"id": step["id"], "displayName": step["id"], "status": "PENDING"})
            kept.update({name: value for name, value in step.items() if value is not None})
        if len(run.steps) > MOST_STEPS and steps:
            self._complain(f"the run {run.uuid} has {len(run.steps)} steps, which should not exceed {MOST_STEPS}")

    def _end(self, run: Run, status: str) -> None:
        missing = [name for name in run.order.expected_outputs if name not in run.outputs]
        if status == "SUCCEEDED" and run.order.behavior == "APPLY" and missing:
            run.warnings.append(f"outputs are missing: {', '.join(missing)}")
            status = "FAILED"
        unfinished = [step["id"] for step in run.steps.values() if step["status"] not in FINAL]
        if status == "SUCCEEDED" and unfinished:
            run.warnings.append(f"steps are not finished: {', '.join(unfinished)}")
        run.status, run.ended = status, self._now()

    def _refuse_ended(self, run: Run, *, status: str, saying: str) -> None:
        """A client that was told of the abort, or ended the run itself, has nothing more to say; to repeat the end is no harm."""
        if run.status not in FINAL:
            return
        if run.abort_asked:
            blame, run.told_of_abort = run.told_of_abort, True
            raise Rejection(
                409, f"the run {run.uuid} was {saying} after its abort was told", body={"runAborted": True}, blame=blame
            )
        raise Rejection(409, f"the run {run.uuid} was {saying} after it was {run.status}", blame=status != run.status)


def _decoded(artifact: Any) -> bytes:
    try:
        return base64.b64decode(artifact, validate=True)
    except (binascii.Error, ValueError):
        raise Rejection(400, "artifact is not base64") from None


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
