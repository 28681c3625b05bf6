"""Connections and transactions: what SQLite and PostgreSQL need to keep the same promises.

SQLite runs in WAL mode, so readers and the writer do not wait for each other. A writer begins with `BEGIN IMMEDIATE`: a
transaction that read first and wants to write later would fail instead of waiting. A durable transaction (states, approvals,
statuses, intents) is on the disk when it returns (`synchronous=FULL`, PostgreSQL's default); a journal line that only informs may
be lost when the machine loses power (`NORMAL`, `synchronous_commit=off`), never when the process dies, and never out of order.

What a driver reports is told apart by its error numbers, never by its words.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event, Lock
from time import monotonic
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Table, Text, bindparam, create_engine, event, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Row, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from runner.domain.run import Status
from runner.errors import InputError, Refused, RemoteFailed, RunnerError
from runner.store.audit import SqlAudit
from runner.store.sealing import Keyring
from runner.store.tables import RUNS_TO_APPLY, SCHEMA_VERSION, Sealed, metadata, runs, store, tenants

BUSY_TIMEOUT = timedelta(seconds=15)


def _from_before_the_first_release(connection: Connection) -> None:
    raise Refused(
        "The store was made by a version that was never released",
        code="store-of-no-release",
        detail="Its tables are others, and nothing is known of what lies in them.",
        hint="Export states that matter with the version that made it (lzr state show TENANT --raw), then begin with a new store.",
    )


def _with_versions_and_apply(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE tenants ADD COLUMN versions TEXT"))
    connection.execute(text("ALTER TABLE runs ADD COLUMN apply BOOLEAN NOT NULL DEFAULT false"))
    wanted = runs.c.options.cast(Text).contains('"apply":true')
    connection.execute(update(runs).where(runs.c.status == Status.APPROVED, wanted).values(apply=True))
    RUNS_TO_APPLY.create(connection)


MIGRATIONS: Sequence[Callable[[Connection], None]] = (_from_before_the_first_release, _with_versions_and_apply)
"""The step from schema version n to n + 1 is at place n - 1; all of them run in one transaction."""

_TENANT = select(tenants).where(tenants.c.tenant == bindparam("named")).with_for_update()
_KEY = select(store.c.key).with_for_update(read=True)
_SCHEMA_LOCK = 0x6C7A7201  # PostgreSQL advisory lock: one process at a time makes or migrates the schema


class Database:
    """One open database and the keys to its sealed columns."""

    def __init__(self, engine: Engine, keyring: Keyring, audit_keyring: Keyring) -> None:
        self.engine = engine
        self.keyring = keyring
        self.audit = SqlAudit(self, audit_keyring)
        self.is_sqlite = engine.dialect.name == "sqlite"
        # SQLite has one writer: threads queue here, in order, instead of polling the file
        self._writer = Lock()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with explained(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Connection]:
        """A transaction that writes; never begun within another one of the same thread. IntegrityError is the caller's."""
        if self.is_sqlite:
            with self._writer, self._transaction(begin=_BEGIN_DURABLE if durable else _BEGIN_QUICK) as connection:
                yield connection
        else:
            with self._transaction() as connection:
                if not durable:
                    connection.execute(text("SET LOCAL synchronous_commit TO off"))
                yield connection

    @contextmanager
    def _transaction(self, **options: Any) -> Iterator[Connection]:
        with explained(), self.engine.connect() as connection:
            chosen = connection.execution_options(**options)
            with chosen.begin():
                yield chosen

    def hold_tenant(self, connection: Connection, tenant: str) -> Row[Any]:
        """The tenant's row, made where there is none; nobody else writes about this tenant until the transaction ends."""
        row = connection.execute(_TENANT, {"named": tenant}).one_or_none()
        if row is None:
            self._insert_new(connection, tenants, {"tenant": tenant, "fence": 0, "newest": 0})
            return connection.execute(_TENANT, {"named": tenant}).one()
        return row

    def seal(self, connection: Connection, content: bytes, *, sealed: Sealed, owner: tuple[str | int, ...]) -> bytes:
        """An envelope for a row that this transaction writes.

        The key is the one the store names, and stays so until the transaction ends: a rotation waits for this one, so nothing
        is sealed with a key after it was given up.
        """
        key = connection.execute(_KEY).scalar_one()
        return self.keyring.seal(content, key=key, kind=sealed.kind, owner=owner)

    def unseal(self, envelope: bytes, *, sealed: Sealed, owner: tuple[str | int, ...]) -> bytes:
        """The content of an envelope; Refused when it is not this owner's."""
        return self.keyring.open(envelope, kind=sealed.kind, owner=owner)

    def prepare(self) -> None:
        """Make or migrate the schema; Refused when it is newer than this program, sealed with another key, or the audit's is gone."""
        with self.writing() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _SCHEMA_LOCK})
            metadata.create_all(connection, tables=[store])
            row = connection.execute(select(store)).one_or_none()
            if row is None:
                metadata.create_all(connection)
                values = {"id": 1, "schema_version": SCHEMA_VERSION, "key": self.keyring.first()}
                connection.execute(store.insert().values(values))
                self.audit.begin(connection)
                return
            _migrate(connection, row.schema_version)
            self.keyring.require(row.key)
            self.audit.expect_key(connection)

    def _insert_new(self, connection: Connection, table: Table, values: dict[str, Any]) -> None:
        """Insert the row unless it is there, also when another transaction inserts it at this moment."""
        if self.is_sqlite:
            connection.execute(sqlite.insert(table).values(values).on_conflict_do_nothing())
        else:
            connection.execute(postgresql.insert(table).values(values).on_conflict_do_nothing())


def _migrate(connection: Connection, version: int) -> None:
    if version > SCHEMA_VERSION:
        raise Refused(
            "The store is newer than this program",
            code="store-is-newer",
            detail=f"It has schema version {version}; this program knows versions up to {SCHEMA_VERSION}.",
            hint="Use the program that last wrote it, or restore a backup that was made before the upgrade.",
        )
    for step in MIGRATIONS[version - 1 :]:
        step(connection)
    if version < SCHEMA_VERSION:
        connection.execute(update(store).values(schema_version=SCHEMA_VERSION))


# --- Engines ---------------------------------------------------------------------------------------------------------

_BEGIN_DURABLE = ("PRAGMA synchronous=FULL", "BEGIN IMMEDIATE")
_BEGIN_QUICK = ("PRAGMA synchronous=NORMAL", "BEGIN IMMEDIATE")


def sqlite_engine(file: Path) -> Engine:
    """An engine on this file, which is made if need be."""
    engine = _sqlite_engine(file, isolation_level=None, synchronous="FULL")  # the driver begins nothing by itself

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        driver: Any = (
            connection.connection.driver_connection
        )  # past SQLAlchemy, which takes longer than the statements do
        for statement in connection.get_execution_options().get("begin", ("BEGIN",)):
            driver.execute(statement)

    return engine


def sqlite_engine_for_workflows(file: Path) -> Engine:
    """An engine as DBOS makes one (a write begins at once), but with a write-ahead log.

    What it says may be lost when the machine loses power: a step that was done is then done again, which every step bears.
    """
    return _sqlite_engine(file, isolation_level="IMMEDIATE", synchronous="NORMAL")


def _sqlite_engine(file: Path, *, isolation_level: Literal["IMMEDIATE"] | None, synchronous: str) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(file)),
        hide_parameters=True,
        pool_size=4,
        max_overflow=12,  # who comes later waits its turn; every connection has a page cache
        pool_timeout=BUSY_TIMEOUT.total_seconds(),
    )

    @event.listens_for(engine, "connect")
    def _(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = isolation_level
        connection.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT.total_seconds() * 1000)}")
        _use_write_ahead_log(connection)
        for pragma in (
            "foreign_keys=ON",
            f"synchronous={synchronous}",
            "cache_size=-250",  # KiB for each connection: the whole runner lives in 120 MB
        ):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """SQLite does not wait for this one where several make the same new file at once, whatever its busy timeout."""
    deadline = monotonic() + BUSY_TIMEOUT.total_seconds()
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _SQLITE_BUSY or monotonic() > deadline:
                raise
            Event().wait(0.01)


def postgres_engine(address: str) -> Engine:
    """An engine on this `postgresql://` address."""
    try:
        url = make_url(address)
        known = url.drivername in ("postgresql", "postgres", "postgresql+psycopg")
    except (ArgumentError, ValueError):
        known = False
    if not known:
        raise InputError(  # without the address: it holds the password
            "The address of the store is malformed",
            code="store-address-malformed",
            detail="It is no postgresql:// address.",
            hint="postgresql://user:password@host:5432/database, or the path of a directory",
        )
    reach = {
        "connect_timeout": 10,
        "keepalives": 1,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=4,
        max_overflow=36,
        pool_timeout=BUSY_TIMEOUT.total_seconds(),
        connect_args={"application_name": "lzr", **reach},
    )

    @event.listens_for(engine, "connect")
    def _(connection: Any, _record: object) -> None:
        connection.execute(f"SET lock_timeout = '{BUSY_TIMEOUT.total_seconds():.0f}s'")
        connection.commit()

    return engine


# --- What went wrong -------------------------------------------------------------------------------------------------

_SQLITE_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SQLITE_CANNOT_WRITE = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_TOOBIG,
}
_SQLITE_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# https://www.postgresql.org/docs/15/errcodes-appendix.html
_POSTGRES_BUSY = {"40001", "40P01", "55P03", "57014"}
_POSTGRES_CANNOT_WRITE = {"53100", "53200", "25006", "54000", "58030"}
_POSTGRES_DAMAGED = {"XX001", "XX002"}
_POSTGRES_AWAY = ("08", "57P", "53300")
_POSTGRES_NOT_LET_IN = ("28", "3D", "42501")


@contextmanager
def explained() -> Iterator[None]:
    """Turn what a driver raises in here into an error that says who must act."""
    try:
        yield
    except IntegrityError:
        raise
    except NoConnectionFree as error:
        raise _busy("All connections to the store are in use.") from error
    except DBAPIError as error:
        raise (_explanation(error) or error) from error.orig
    except sqlite3.Error as error:  # of a connection that was made without an engine
        raise (_of_sqlite(error) or error) from error


def _explanation(error: DBAPIError) -> RunnerError | None:
    """None for what only a bug can cause."""
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(cause)
    state = getattr(cause, "sqlstate", None)
    if state is None and (error.connection_invalidated or _is_operational(cause)):
        said = " ".join(str(cause).split())  # of where and why; libpq never repeats the password
        return _unreachable(f"The connection to PostgreSQL cannot be made or was lost: {said}.", temporary=True)
    return _of_postgres(state or "")


def _of_sqlite(error: sqlite3.Error) -> RunnerError | None:
    # both are missing where the driver itself raised
    number, name = getattr(error, "sqlite_errorcode", 0) & 0xFF, getattr(error, "sqlite_errorname", "no number")
    if number in _SQLITE_BUSY:
        return _busy(f"Another process wrote for longer than {BUSY_TIMEOUT.total_seconds():.0f} seconds ({name}).")
    if number in _SQLITE_CANNOT_WRITE:
        return _cannot_write(f"SQLite answers {name}.")
    if number in _SQLITE_DAMAGED:
        return _damaged(f"SQLite answers {name}.")
    return None


def _of_postgres(state: str) -> RunnerError | None:
    if state in _POSTGRES_BUSY:
        return _busy(f"PostgreSQL answers {state}.")
    if state in _POSTGRES_CANNOT_WRITE:
        return _cannot_write(f"PostgreSQL answers {state}.")
    if state in _POSTGRES_DAMAGED:
        return _damaged(f"PostgreSQL answers {state}.")
    if state.startswith(_POSTGRES_NOT_LET_IN):
        return _unreachable(f"PostgreSQL answers {state}.", temporary=False)
    if state.startswith(_POSTGRES_AWAY):
        return _unreachable(f"PostgreSQL answers {state}.", temporary=True)
    return None


def _is_operational(cause: BaseException | None) -> bool:
    from psycopg import OperationalError  # only where PostgreSQL is used: its library need not be there otherwise

    return isinstance(cause, OperationalError)


def _busy(detail: str) -> RemoteFailed:
    hint = "Try again; if it stays so, look for a process that holds the store."
    return RemoteFailed("The store is busy", code="store-busy", detail=detail, hint=hint, temporary=True)


def _cannot_write(detail: str) -> RemoteFailed:
    return RemoteFailed(
        "The store cannot be written",
        code="store-cannot-write",
        detail=f"{detail} What was stored before is whole; this change was not kept.",
        hint="Make room on the disk, check who owns the files, then try again.",
    )


def _damaged(detail: str) -> RemoteFailed:
    hint = "lzr store check, then lzr store restore from the last backup"
    return RemoteFailed("The store is damaged", code="store-damaged", detail=detail, hint=hint)


def _unreachable(detail: str, *, temporary: bool) -> RemoteFailed:
    hint = "Check the address of the store, its credentials and that the server runs."
    return RemoteFailed(
        "The store cannot be reached", code="store-unreachable", detail=detail, hint=hint, temporary=temporary
    )
