"""What the API takes and gives. Moments are RFC 3339 in UTC; ids are opaque; codes are constant and to be programmed against."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from runner.domain.access import Warn
from runner.domain.actor import Actor, Role
from runner.domain.deletion import Deletion as AskedDeletion
from runner.domain.deletion import Standing
from runner.domain.events import Event as Journaled
from runner.domain.run import SCHEDULED, Behavior, Failure, Status
from runner.domain.run import Run as KeptRun
from runner.ports import Approval as KeptApproval
from runner.ports import FleetRow
from runner.ports import StateVersion as KeptVersion


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Wrong(BaseModel):
    """A single thing that is wrong: in the request, or (with file and line) in a document."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    field: str
    """Where: body.tenants.0, query.limit, or a field of the document."""
    message: str
    """What is wrong, without what was given."""
    file: str | None = None
    line: int | None = None
    column: int | None = None
    hint: str | None = None


class Problem(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    type: str
    title: str
    """What happened; the same for one code."""
    status: int
    detail: str
    """What it happened to, in full sentences."""
    code: str
    """Constant and kebab-case."""
    family: str
    """Who must act: input (whoever asked), refused (the reviewer), engine, remote (operations), canceled (nobody)."""
    hint: str
    """What to do."""
    problems: list[Wrong] | None = None
    """Single things that are wrong, with where they are."""


class Run(Model):
    """One attempt to bring a tenant to what its documents say."""

    id: str
    tenant: str
    landing_zone: str
    workspace: str
    behavior: Behavior
    status: Status
    requested_by: str
    reason: str
    created: datetime
    updated: datetime
    digest: str
    """What an approval names; empty until there is a review."""
    plan_only: bool
    """Whether it is applied only when somebody asks for that, although it is approved."""
    scheduled: bool
    continues: str | None
    """Id of the run that this one goes on with."""
    warnings: int
    risks: int
    """How many destructive ones."""
    counts: dict[str, int]
    failure: Failure | None

    @classmethod
    def of(cls, run: KeptRun) -> Run:
        """The run as the API tells it."""
        named = {name: getattr(run, name) for name in cls.model_fields if name in KeptRun.model_fields}
        continues = run.options.get("continues")
        return cls(
            **named,
            plan_only=bool(run.options.get("plan_only")),
            scheduled=bool(run.options.get(SCHEDULED)),
            continues=str(continues) if continues else None,
        )


class Approval(Model):
    """A decision on one digest that stands."""

    by: str
    at: datetime
    expires: datetime
    digest: str
    comment: str

    @classmethod
    def of(cls, kept: KeptApproval) -> Approval:
        """The approval as the API tells it."""
        return cls(by=kept.by, at=kept.at, expires=kept.expires, digest=kept.digest, comment=kept.comment)


class RunStep(Model):
    """A step of a run."""

    name: str
    status: Literal["running", "succeeded", "failed"]
    started: datetime
    seconds: float | None
    note: str


class RunDetails(Run):
    """A run with how it went: the same as `lzr run --json`, without its review."""

    approvals: list[Approval]
    """Those that stand, oldest first."""
    steps: list[RunStep]
    warnings_told: list[Warn]
    outputs: dict[str, Any]
    function: dict[str, Any] | None
    """What the landing zone's function answered."""


class Runs(Model):
    """Some runs, newest first."""

    items: list[Run]
    next: str | None
    """The cursor of what follows; none where nothing does."""


class Start(Model):
    """Which tenants to run, and how."""

    tenants: list[str] = Field(min_length=1, max_length=10_000)
    """Names of documented tenants."""
    behavior: Behavior = Behavior.APPLY
    """apply brings them to their documents, destroy lets them leave."""
    plan_only: bool = False
    """Whether an approved plan waits until somebody asks for it to be applied."""
    move_to: str | None = Field(default=None, max_length=200)
    """With destroy: id of the management group that the subscription moves to."""
    reason: str = Field(default="", max_length=255)
    """Why, for the record."""


class NotStarted(Model):
    """A tenant that may not be run now, and why."""

    tenant: str
    problem: Problem


class Started(Model):
    """What was started. A request is answered with 201 where anything was, else with the problem of its first tenant."""

    runs: list[Run]
    refused: list[NotStarted]


class Approve(Model):
    """An approval of exactly one review."""

    digest: str = Field(min_length=64, max_length=64, pattern="^[0-9a-f]{64}$")
    """The whole digest of the review that was seen."""
    confirmed: list[str] = Field(default=[], max_length=1000)
    """Names of the resource groups that are deleted with what is in them."""
    comment: str = Field(default="", max_length=2000)
    apply: bool | None = True
    """Whether a server applies it at once; null leaves that as the run was started."""


class Comment(Model):
    """A word for the record."""

    comment: str = Field(default="", max_length=2000)


class Reason(Model):
    """Why."""

    reason: str = Field(min_length=1, max_length=255)


class Event(Model):
    """An entry of a run's journal. `seq` grows; entries that are for the runner alone are left out."""

    seq: int
    at: datetime
    kind: str
    data: dict[str, Any]

    @classmethod
    def of(cls, event: Journaled) -> Event:
        """The event as the API tells it."""
        return cls(seq=event.seq, at=event.at, kind=event.kind.value, data=event.data)


class End(Model):
    """The run has ended; no status where it was forgotten."""

    status: Status | None


class Events(Model):
    """Entries of a run's journal, in order."""

    items: list[Event]
    after: int
    """What to ask for next: the number of the last entry that was looked at."""


class Tenant(Model):
    """A tenant as lists show it."""

    tenant: str
    landing_zone: str
    platform: str
    workspace: str
    documented: bool
    """Whether the documents still have it."""
    behind: bool
    """Whether the documents say something else than it was last brought to."""
    settled: datetime | None
    """When Azure was last found or made as documented."""
    drifted: datetime | None
    """Since when it is known to differ although the documents did not change."""
    run: Run | None
    """Its newest run."""

    @classmethod
    def of(cls, row: FleetRow) -> Tenant:
        """The row as the API tells it."""
        named = {name: getattr(row, name) for name in cls.model_fields if name != "run"}
        return cls(**named, run=Run.of(row.run) if row.run is not None else None)


class Tenants(Model):
    """Some tenants, and how many there are in all and of each kind."""

    items: list[Tenant]
    next: str | None
    counts: dict[str, int]
    """`all`, `drifted`, `behind`, `undocumented`, `never-run`, and the status of the newest run."""


class Zone(Model):
    """A landing zone with how many tenants it has."""

    name: str
    tenants: int
    documented: bool
    """Whether the documents still have it."""


class ZoneDetails(Zone):
    """A landing zone with what is documented of it. It refers to secrets and holds none."""

    document: dict[str, Any] | None
    """As `lzr schema LandingZone` describes it; none where it is documented no longer."""
    versions: dict[str, dict[str, int]]
    """How many of its tenants have which version of what it deploys, by the name of that, as of their last runs."""


class Zones(Model):
    """Landing zones by name."""

    items: list[Zone]


class Approvals(Model):
    """Approvals of a run that stand, oldest first."""

    items: list[Approval]


class StateVersion(Model):
    """One version of a tenant's managed state, without what is in it."""

    number: int
    serial: int
    lineage: str
    at: datetime
    by: str
    size: int
    sha256: str

    @classmethod
    def of(cls, kept: KeptVersion) -> StateVersion:
        """The version as the API tells it."""
        return cls(**{name: getattr(kept, name) for name in cls.model_fields})


class StateVersions(Model):
    """The history of a tenant's managed state, newest first."""

    items: list[StateVersion]


class Deletion(Model):
    """The deletion of a tenant that somebody asked for."""

    tenant: str
    standing: Standing
    reason: str
    requested_by: str
    requested: datetime
    decided_by: str
    decided: datetime | None
    comment: str

    @classmethod
    def of(cls, kept: AskedDeletion) -> Deletion:
        """The deletion as the API tells it."""
        return cls(**{name: getattr(kept, name) for name in cls.model_fields})


class Grant(Model):
    """A role and where it holds; no zones and no workspaces mean all."""

    role: Role
    zones: list[str]
    workspaces: list[str]


class Who(Model):
    """Who asks, and what they may do where."""

    id: str
    name: str
    person: bool
    grants: list[Grant]

    @classmethod
    def of(cls, actor: Actor) -> Who:
        """The actor as the API tells it."""
        grants = [Grant(role=one.role, zones=list(one.zones), workspaces=list(one.workspaces)) for one in actor.grants]
        return cls(id=actor.id, name=actor.name, person=actor.person, grants=grants)
