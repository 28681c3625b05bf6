"""The schema: one for SQLite and PostgreSQL. It knows names, types and constraints; it refuses to know who reads or writes.

Rules that must hold between processes are constraints here, so that no forgotten `if` can break them: one executing run per
tenant, one run per tenant that is pending or waits, one standing approval per run, one journal entry per place, one state
version per number, one claim per invited address, one tenant per subscription that the runner makes or takes.

What can hold a secret is in the `sealed` columns alone (see `SEALED`) and is bytes; no text column ever holds one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Enum,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypeDecorator,
    and_,
    event,
    false,
)
from sqlalchemy.engine import Dialect

from runner.domain.deletion import Standing
from runner.domain.events import Kind
from runner.domain.run import EXECUTING, Behavior, Status
from runner.domain.subscription import Stage

SCHEMA_VERSION = 3
"""Counts up with every change of the tables; `database.MIGRATIONS` then says how the step is taken."""


def kept_text(text: str) -> str:
    """The text as both databases can keep it."""
    return text.replace("\0", "\ufffd").encode("utf-8", "surrogatepass").decode("utf-8", "replace")


class Words(TypeDecorator[str]):
    """Text that sorts by code point on both databases, so that the beginning of an id is a range of an index.

    What one of them cannot keep (PostgreSQL no NUL, neither a lone surrogate) becomes the replacement character, instead of a
    failure far from whoever sent it.
    """

    impl = Text().with_variant(Text(collation="C"), "postgresql")
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else kept_text(value)


class Moment(TypeDecorator[datetime]):
    """A point in time; aware and UTC on its way in and out. SQLite keeps no zone, PostgreSQL answers in the session's."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone is ambiguous")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Json(TypeDecorator[Any]):
    """A JSON value as ASCII text: escapes keep NUL and lone surrogates, which no text column can."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


def _one_of(words: type[StrEnum]) -> Enum:
    """The values of an enumeration, checked by the database as well."""
    return Enum(
        words,
        native_enum=False,
        create_constraint=True,
        name=f"known_{words.__name__.lower()}",
        values_callable=lambda members: [member.value for member in members],
    )


metadata = MetaData()

store = Table(
    "store",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("schema_version", Integer, nullable=False),
    Column("key", Words, nullable=False),  # id of the key that seals now; never the key
    CheckConstraint("id = 1", name="one_row"),
)

tenants = Table(  # the row that writers of one tenant lock; its counters never go back
    "tenants",
    metadata,
    Column("tenant", Words, primary_key=True),
    Column("fence", Integer, nullable=False),  # number of the newest attempt
    Column("newest", Integer, nullable=False),  # number of the newest state version
    Column("invocation", Json),  # the function call that was last approved
    Column("adopted", Json),  # groups that existed already: object ids by name
    Column("granted", Json),  # whom the runner put into groups that it did not make
    Column("landing_zone", Words),  # as documented last, or as of its newest run
    Column("platform", Words),
    Column("workspace", Words),
    Column("documents", Words),  # digest of what is documented; none where the tenant is documented no longer
    Column("newest_run", Words),  # none where it was never run, or belongs to a building block
    Column("applied_documents", Words),  # digest of what Azure was last brought to
    Column("settled", Moment),  # when Azure was last found or made as documented
    Column("drifted", Moment),  # since when it is known to differ although the documents did not change
    Column("versions", Json),  # of what its landing zone deploys, as of then: by name
    Index("tenants_of_zone", "landing_zone", "tenant"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Words, primary_key=True),
    Column("tenant", Words, ForeignKey("tenants.tenant"), nullable=False),
    Column("landing_zone", Words, nullable=False),
    Column("behavior", _one_of(Behavior), nullable=False),
    Column("status", _one_of(Status), nullable=False),
    Column("requested_by", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("created", Moment, nullable=False),
    Column("updated", Moment, nullable=False),
    Column("source", Words, nullable=False),
    Column("workspace", Words, nullable=False),
    Column("documents", Words, nullable=False),
    Column("snapshot", Json, nullable=False),
    Column("options", Json, nullable=False),
    Column("executor", Words, nullable=False),
    Column("digest", Words, nullable=False),
    Column("failure", Json),
    Column("engine", Json),
    Column("warnings", Integer, nullable=False),
    Column("risks", Integer, nullable=False),
    Column("counts", Json, nullable=False),
    Column("cancel_requested", Boolean, nullable=False, default=False),
    Column("apply", Boolean, nullable=False, server_default=false()),  # as the option of that name says
)

REPLACEABLE = frozenset({Status.PENDING, Status.WAITING, Status.APPROVED})
"""Open and not executing: what a newer run of the tenant takes the place of."""


def _where_status(statuses: frozenset[Status]) -> dict[str, Any]:
    condition = runs.c.status.in_(sorted(statuses))
    return {"sqlite_where": condition, "postgresql_where": condition}


Index("runs_one_executing", runs.c.tenant, unique=True, **_where_status(EXECUTING))
Index("runs_one_replaceable", runs.c.tenant, unique=True, **_where_status(REPLACEABLE))
Index("runs_newest", runs.c.created, runs.c.id)
Index("runs_of_tenant", runs.c.tenant, runs.c.created, runs.c.id)
Index("runs_in_status", runs.c.status, runs.c.created, runs.c.id)
Index("runs_changed", runs.c.updated, runs.c.id)
_to_apply = and_(runs.c.status == Status.APPROVED, runs.c.apply)
RUNS_TO_APPLY = Index("runs_to_apply", runs.c.created, sqlite_where=_to_apply, postgresql_where=_to_apply)

events = Table(
    "events",
    metadata,
    Column("run", Words, ForeignKey("runs.id"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("at", Moment, nullable=False),
    Column("kind", _one_of(Kind), nullable=False),
    Column("data", Json, nullable=False),
    PrimaryKeyConstraint("run", "seq"),
)

reviews = Table(
    "reviews",
    metadata,
    Column("run", Words, ForeignKey("runs.id"), primary_key=True),
    Column("digest", Words, primary_key=True),
    Column("review", Json, nullable=False),
)

approvals = Table(
    "approvals",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run", Words, ForeignKey("runs.id"), nullable=False),
    Column("digest", Words, nullable=False),
    Column("by", Words, nullable=False),
    Column("at", Moment, nullable=False),
    Column("expires", Moment, nullable=False),
    Column("comment", Words, nullable=False),
    Column("voided", Boolean, nullable=False),  # no longer counts: superseded, withdrawn, or the digest moved
)
Index(
    "approvals_one_standing",
    approvals.c.run,
    unique=True,
    sqlite_where=approvals.c.voided.is_(False),
    postgresql_where=approvals.c.voided.is_(False),
)

bundles = Table(
    "bundles",
    metadata,
    Column("run", Words, ForeignKey("runs.id"), primary_key=True),
    Column("tenant", Words, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

attempts = Table(
    "attempts",
    metadata,
    Column("username", Words, primary_key=True),
    Column("tenant", Words, ForeignKey("tenants.tenant"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("run", Words, nullable=False),
    Column("password_sha256", LargeBinary, nullable=False),
    Column("opened", Moment, nullable=False),
    Column("closed", Boolean, nullable=False, default=False),
    Index("attempts_of_tenant", "tenant", "number", unique=True),
)

state_versions = Table(
    "state_versions",
    metadata,
    Column("tenant", Words, ForeignKey("tenants.tenant"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("serial", BigInteger, nullable=False),
    Column("lineage", Words, nullable=False),
    Column("at", Moment, nullable=False),
    Column("by", Words, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Words, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "number"),
)

state_locks = Table(
    "state_locks",
    metadata,
    Column("tenant", Words, ForeignKey("tenants.tenant"), primary_key=True),
    Column("id", Words, nullable=False),
    Column("operation", Words, nullable=False),
    Column("who", Words, nullable=False),
    Column("created", Words, nullable=False),
    Column("run", Words, nullable=False),
    Column("at", Moment, nullable=False),
    Column("info", Json, nullable=False),
)

deletions = Table(  # the newest one of each tenant
    "deletions",
    metadata,
    Column("tenant", Words, ForeignKey("tenants.tenant"), primary_key=True),
    Column("standing", _one_of(Standing), nullable=False),
    Column("reason", Words, nullable=False),
    Column("requested_by", Words, nullable=False),
    Column("requested", Moment, nullable=False),
    Column("source", Words, nullable=False),
    Column("decided_by", Words, nullable=False),
    Column("decided", Moment),
    Column("comment", Words, nullable=False),
    Column("ended", Moment),
    Column("snapshot", Json),  # the tombstone: what the documents said; none any more once the deletion has ended
)

invitations = Table(
    "invitations",
    metadata,
    Column("entra_tenant", Words, nullable=False),
    Column("address", Words, nullable=False),  # without capitals
    Column("claim", Words, nullable=False),
    Column("executor", Words, nullable=False),  # who claims it; empty when given up
    Column("at", Moment, nullable=False),
    Column("object_id", Words),  # of the guest, once the invitation was sent
    PrimaryKeyConstraint("entra_tenant", "address"),
)

holdings = Table(  # subscriptions that the runner makes or takes for tenants
    "holdings",
    metadata,
    Column("tenant", Words, ForeignKey("tenants.tenant"), primary_key=True),
    Column("how", Words, nullable=False),
    Column("stage", _one_of(Stage), nullable=False),
    Column("subscription", Words, unique=True),  # in small letters; not known while it is ordered
    Column("alias", Words, nullable=False),
    Column("run", Words, nullable=False),  # that reserves it; empty otherwise
    Column("at", Moment, nullable=False),
    Column("failed", Moment),
    Column("failure", Words, nullable=False),
)

sessions = Table(  # of people who signed in on a page; what opens one is kept nowhere
    "sessions",
    metadata,
    Column("cookie_sha256", LargeBinary, primary_key=True),
    Column("who", Json, nullable=False),
    Column("created", Moment, nullable=False),
    Column("seen", Moment, nullable=False),
    Index("sessions_by_age", "created"),
)

tokens = Table(  # by which programs speak to a server
    "tokens",
    metadata,
    Column("id", Words, primary_key=True),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("name", Words, nullable=False),
    Column("grants", Json, nullable=False),
    Column("created_by", Words, nullable=False),
    Column("created", Moment, nullable=False),
    Column("expires", Moment, nullable=False),
    Column("revoked", Moment),
    Column("seen", Moment),
)

requests = Table(  # to start runs, each of which its sender may repeat
    "requests",
    metadata,
    Column("actor", Words, nullable=False),
    Column("key", Words, nullable=False),
    Column("fingerprint", Words, nullable=False),
    Column("at", Moment, nullable=False),
    Column("runs", Json, nullable=False),  # ids by tenant
    Column("answer", Json),  # none while it is under way, or its server died
    PrimaryKeyConstraint("actor", "key"),
    Index("requests_by_age", "at"),
)

audit = Table(  # who did what; see domain.audit
    "audit",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("by", Words, nullable=False),
    Column("what", Words, nullable=False),
    Column("about", Words, nullable=False),
    Column("tenant", Words, nullable=False),
    Column("zone", Words, nullable=False),
    Column("details", Json, nullable=False),
    Column("key", Words, nullable=False),
    Column("mac", Words, nullable=False),
    Index("audit_about", "about", "number"),
    Index("audit_tenant", "tenant", "number"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("mac", Words, nullable=False),
    Column("key", Words, nullable=False),
    Column("seal", Words, nullable=False),
    CheckConstraint("id = 1", name="one_head"),
)


def _once_made(dialect: str, statement: str) -> None:
    ddl: Any = DDL(statement)  # type: ignore[no-untyped-call]
    event.listen(audit, "after_create", ddl.execute_if(dialect=dialect))


# The chain shows what was changed; these keep it from happening by mistake.
for _statement in ("UPDATE", "DELETE"):
    _once_made(
        "sqlite",
        f"CREATE TRIGGER audit_no_{_statement.lower()} BEFORE {_statement} ON audit "
        "BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END",
    )
_once_made(  # INSERT OR REPLACE fires no trigger of DELETE
    "sqlite",
    "CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE number = NEW.number) "
    "BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END",
)
_once_made(
    "postgresql",
    "CREATE FUNCTION audit_only_added_to() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the audit is only added to'; END $$",
)
_once_made(
    "postgresql",
    "CREATE TRIGGER audit_only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_only_added_to()",
)

received = Table(  # webhooks that came
    "received",
    metadata,
    Column("webhook", Words, nullable=False),
    Column("message", Words, nullable=False),
    Column("until", Moment, nullable=False),
    PrimaryKeyConstraint("webhook", "message"),
    Index("received_by_age", "until"),
)

channels = Table(  # that were ever told anything, or could have been
    "channels",
    metadata,
    Column("channel", Words, primary_key=True),
    Column("begun", Moment, nullable=False),
)

lookout = Table(  # up to when runs were looked at for something to tell
    "lookout",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seen", Moment, nullable=False),
    CheckConstraint("id = 1", name="one_lookout"),
)

letters = Table(  # notices, each for one channel; they outlive their runs
    "letters",
    metadata,
    Column("id", Words, primary_key=True),
    Column("channel", Words, nullable=False),
    Column("run", Words, nullable=False),
    Column("occasion", Words, nullable=False),
    Column("notice", Json, nullable=False),
    Column("put", Moment, nullable=False),
    Column("due", Moment),  # none when it is sent, or dead
    Column("tries", Integer, nullable=False),
    Column("sent", Moment),
    Column("dead", Moment),
    Column("code", Words, nullable=False),  # why it was not taken the last time
    Column("detail", Words, nullable=False),
    Index("letters_once", "channel", "run", "occasion", unique=True),
    Index("letters_due", "due", "id"),
    Index("letters_dead", "dead", "id"),
    Index("letters_by_age", "put"),
)

claims = Table(  # runs of a meshStack that this store's agents have taken and not reported to their end
    "claims",
    metadata,
    Column("run", Words, primary_key=True),
    Column("executor", Words, nullable=False),
    Column("at", Moment, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)


@dataclass(frozen=True)
class Sealed:
    """A table with sealed content: `kind` and the values of the `owner` columns are bound into each envelope."""

    kind: str
    table: Table
    owner: tuple[str, ...]

    @property
    def key(self) -> tuple[Column[Any], ...]:
        return tuple(self.table.primary_key.columns)


BUNDLES = Sealed("bundle", bundles, ("run", "tenant"))
STATES = Sealed("state", state_versions, ("tenant", "number"))
CLAIMS = Sealed("claim", claims, ("run",))
SIGN_INS = Sealed("sign-in", sessions, ())  # in cookies of browsers, for minutes: a rotation leaves them alone
SEALED = (BUNDLES, STATES, CLAIMS)
