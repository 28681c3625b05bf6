"""A run: one attempt to bring one tenant to what its documents say, and the statuses it may pass through."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from runner.domain.access import Frozen
from runner.errors import Refused


class Behavior(StrEnum):
    """What a run is for: bring the tenant to its documents, or let it leave."""

    APPLY = "apply"
    DESTROY = "destroy"


class Status(StrEnum):
    """Where a run stands. Waiting is not running: only PLANNING and APPLYING hold the tenant."""

    PENDING = "pending"
    PLANNING = "planning"
    WAITING = "waiting"  # reviewed, waits for a person
    APPROVED = "approved"  # by a person or by policy; may be applied
    APPLYING = "applying"
    APPLIED = "applied"
    UNCHANGED = "unchanged"  # nothing to do (the function was called where there is one)
    REJECTED = "rejected"
    SUPERSEDED = "superseded"  # a newer plan of the tenant took its place
    EXPIRED = "expired"
    FAILED = "failed"
    CANCELED = "canceled"
    INTERRUPTED = "interrupted"  # the process died while applying; another run continues it


# A status that follows itself is one that another process may take over after the first one died.
NEXT: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.PLANNING, Status.CANCELED, Status.SUPERSEDED, Status.FAILED}),
    Status.PLANNING: frozenset(
        {Status.WAITING, Status.APPROVED, Status.UNCHANGED, Status.FAILED, Status.CANCELED, Status.PLANNING}
    ),
    Status.WAITING: frozenset(
        {Status.APPROVED, Status.REJECTED, Status.SUPERSEDED, Status.EXPIRED, Status.CANCELED, Status.FAILED}
    ),
    Status.APPROVED: frozenset(
        {
            Status.APPLYING,
            Status.WAITING,
            Status.REJECTED,
            Status.SUPERSEDED,
            Status.EXPIRED,
            Status.CANCELED,
            Status.FAILED,
        }
    ),
    Status.APPLYING: frozenset(
        {Status.APPLIED, Status.UNCHANGED, Status.FAILED, Status.CANCELED, Status.INTERRUPTED, Status.APPLYING}
    ),
}

EXECUTING = frozenset({Status.PLANNING, Status.APPLYING})
OPEN = frozenset({Status.PENDING, Status.PLANNING, Status.WAITING, Status.APPROVED, Status.APPLYING})
ENDED = frozenset(status for status in Status if status not in NEXT)
ENDED_WELL = frozenset({Status.APPLIED, Status.UNCHANGED})

APPLY = "apply"  # option of a run that a server applies as soon as it is approved
SCHEDULED = "scheduled"  # option of a run that nobody asked for but its zone's schedule
VERSIONS = "versions"  # option of a run: which versions the tenant has when it ends well, see `domain.versions`
DRIFTED = "drifted"  # option of a run that found a difference although the documents were those that were applied last

_TURN = {
    "input": "The author of the documents, or of the settings, has to act.",
    "refused": "Nothing is broken: it was not the moment, or not allowed.",
    "engine": "Terraform could not do it; the module or what it met in Azure is the place to look.",
    "remote": "Something outside did not answer as it should; operations have to look.",
    "internal-error": "This is a bug of the runner.",
}


class Failure(Frozen):
    """Why a run ended badly; the same fields as an error."""

    family: str
    code: str
    summary: str
    detail: str = ""
    hint: str = ""
    step: str = ""

    @property
    def turn(self) -> str:
        """Whose turn it is, in a sentence; empty where that is not known."""
        return _TURN.get(self.family, "")


class EngineProcess(Frozen):
    """The engine that a run started: enough to find it again, and to know that it is not another process of the same number."""

    pid: int
    started: float
    host: str


class Run(Frozen):
    """One attempt. `source` is where the documents came from; what they said is the run's `Snapshot`, kept beside it, and `documents`
    its digest. `counts` and `risks` (how many destructive ones) are the review's, for lists that do not read it."""

    id: str
    tenant: str
    landing_zone: str
    behavior: Behavior
    status: Status
    requested_by: str
    reason: str = ""
    created: datetime
    updated: datetime
    source: str = ""
    workspace: str = ""
    documents: str = ""
    options: dict[str, Any] = {}
    executor: str = ""
    digest: str = ""
    failure: Failure | None = None
    engine: EngineProcess | None = None
    warnings: int = 0
    risks: int = 0
    counts: dict[str, int] = {}

    @property
    def open(self) -> bool:
        """Whether it has not ended."""
        return self.status in OPEN

    def to(self, status: Status, *, now: datetime, failure: Failure | None = None) -> Run:
        """The run in its next status; Refused when the step is not allowed from here."""
        if status not in NEXT.get(self.status, frozenset()):
            raise Refused(
                "The run cannot go there",
                code="run-not-in-that-status",
                detail=f"Run {self.id} is {self.status}; {status} does not follow from that.",
                hint=f"lzr run {self.id}",
            )
        return self.model_copy(update={"status": status, "updated": now, "failure": failure or self.failure})
