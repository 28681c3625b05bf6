"""Opening a store: a directory (SQLite) or a `postgresql://` address, with the keys to it.

In a directory: `store.db`, `alive/` (a locked file per living process), `in-use` (locked by everyone who has the store open), and,
where the key comes from a file there, `key`; other databases that belong to it (`*.db`) may lie there too. The directory is
0700 and every file 0600.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Engine

from runner.errors import Refused
from runner.store.audit import SqlAudit
from runner.store.bundles import SqlBundles
from runner.store.claims import SqlClaims
from runner.store.database import Database, postgres_engine, sqlite_engine, sqlite_engine_for_workflows
from runner.store.deletions import SqlDeletions
from runner.store.filelocks import locked
from runner.store.fleet import SqlFleet
from runner.store.holdings import SqlHoldings
from runner.store.invitations import SqlInvitations
from runner.store.liveness import FileLiveness, PostgresLiveness
from runner.store.outbox import SqlOutbox
from runner.store.received import SqlReceived
from runner.store.requests import SqlRequests
from runner.store.runs import SqlRuns
from runner.store.sealing import Keyring, cannot_write
from runner.store.sessions import SqlSessions
from runner.store.states import SqlStates
from runner.store.tokens import SqlTokens

DATABASE = "store.db"
WORKFLOWS = "durable.db"
ALIVE = "alive"
IN_USE = "in-use"
RESTORING = "restoring"


@dataclass(frozen=True)
class Store:
    """An open store. `directory` is None on PostgreSQL. Close it, or use it in a `with`."""

    runs: SqlRuns
    deletions: SqlDeletions
    states: SqlStates
    bundles: SqlBundles
    holdings: SqlHoldings
    claims: SqlClaims
    fleet: SqlFleet
    requests: SqlRequests
    received: SqlReceived
    outbox: SqlOutbox
    sessions: SqlSessions
    tokens: SqlTokens
    liveness: FileLiveness | PostgresLiveness
    keyring: Keyring
    database: Database
    directory: Path | None
    close: Callable[[], None]

    @property
    def audit(self) -> SqlAudit:
        return self.database.audit

    @property
    def engine(self) -> Engine:
        return self.database.engine

    def invitations(self, executor: str) -> SqlInvitations:
        """Invitations as this executor claims them."""
        return SqlInvitations(self.database, self.liveness, executor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_store(where: str | Path, keyring: Keyring, audit_keyring: Keyring, *, keep_versions: int = 50) -> Store:
    """Open the store, making or migrating it if need be; `keep_versions` of each tenant's state are kept. The first key of `audit_keyring`
    makes the MACs of the audit, the others are of entries that were made before. Refused where that key is kept with what it watches."""
    with ExitStack() as opened:
        directory = None if is_address(where) else Path(where).absolute()
        _expect_apart(directory, audit_keyring)
        if directory is None:
            engine = postgres_engine(str(where))
        else:
            prepare_directory(directory)
            opened.enter_context(_in_use(directory))
            engine = _engine_in(directory)
        opened.callback(engine.dispose)
        database = Database(engine, keyring, audit_keyring)
        database.prepare()
        if set(keyring.ids) & set(audit_keyring.ids):
            raise _not_apart("It is the store's own key.")
        liveness = PostgresLiveness(engine) if directory is None else FileLiveness(directory / ALIVE)
        return Store(
            runs=SqlRuns(database, liveness),
            deletions=SqlDeletions(database),
            states=SqlStates(database, keep=keep_versions),
            bundles=SqlBundles(database),
            holdings=SqlHoldings(database),
            claims=SqlClaims(database),
            fleet=SqlFleet(database),
            requests=SqlRequests(database),
            received=SqlReceived(database),
            outbox=SqlOutbox(database),
            sessions=SqlSessions(database),
            tokens=SqlTokens(database),
            liveness=liveness,
            keyring=keyring,
            database=database,
            directory=directory,
            close=opened.pop_all().close,
        )


@contextmanager
def workflow_engine(file: Path) -> Iterator[Engine]:
    """What DBOS keeps beside a store in a directory."""
    _make_private(file)
    engine = sqlite_engine_for_workflows(file)
    try:
        yield engine
    finally:
        engine.dispose()


def is_address(where: str | Path) -> bool:
    """Whether this is the address of a database server and not a directory."""
    return isinstance(where, str) and "://" in where


def prepare_directory(directory: Path) -> None:
    """Make the directory for its owner alone; Refused when others may change what is in it."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = stat.S_IMODE(directory.stat().st_mode)
    except OSError as error:
        raise cannot_write(directory, error) from error
    if mode & 0o022:
        raise Refused(
            "Others may write into the store's directory",
            code="store-directory-too-open",
            detail=f"{directory} has mode {mode:04o}.",
            hint=f"chmod 700 {directory}, or give a directory below it that does not exist yet",
        )


def _expect_apart(directory: Path | None, audit_keyring: Keyring) -> None:
    path = audit_keyring.path
    if directory is not None and path is not None and path.resolve().is_relative_to(directory.resolve()):
        raise _not_apart(f"{path} is in the store's directory.")


def _not_apart(detail: str) -> Refused:
    return Refused(
        "The audit's key is not kept apart",
        code="audit-key-not-apart",
        detail=f"{detail} Whoever can change the store could change its audit as well.",
        hint="Set LZR_AUDIT_KEY_FILE to a file elsewhere; one that is not there is made.",
    )


def _in_use(directory: Path) -> ExitStack:
    with ExitStack() as held:
        try:
            free = held.enter_context(locked(directory / IN_USE, shared=True))
        except OSError as error:
            raise cannot_write(directory, error) from error
        if not free:
            raise Refused(
                "The store is being restored",
                code="store-being-restored",
                detail=f"A restore into {directory} goes on.",
                hint="Wait for it to end.",
            )
        if (directory / RESTORING).exists():
            raise Refused(
                "A restore did not finish",
                code="store-half-restored",
                detail=f"{directory} may hold files of two stores.",
                hint="Run the same lzr store restore again.",
            )
        return held.pop_all()


def _engine_in(directory: Path) -> Engine:
    file = directory / DATABASE
    _make_private(file)
    for database in directory.glob("*.db"):
        _make_private(database)
    return sqlite_engine(file)


def _make_private(database: Path) -> None:
    """Have the file there for its owner alone. SQLite gives its -wal and -shm files the mode of the database."""
    try:
        os.close(os.open(database, os.O_RDWR | os.O_CREAT, 0o600))
        if stat.S_IMODE(database.stat().st_mode) & 0o077:
            database.chmod(0o600)
    except OSError as error:
        raise cannot_write(database, error) from error
