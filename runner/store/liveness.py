"""Which processes are alive, known by locks that end with their holder and not by clocks that may be late.

With SQLite the lock is a locked file, which the operating system frees. With PostgreSQL it is a session's advisory lock, which the
server frees when the connection ends; a connection pooler in transaction mode would break that, so the address must lead to the
server itself.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from runner.errors import InputError, Refused
from runner.store.database import explained
from runner.store.filelocks import is_locked, locked

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_PATIENCE = timedelta(seconds=2)


class FileLiveness:
    """Fulfils `Liveness` with a locked file per executor in this directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def hold(self, executor: str) -> Iterator[None]:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        path = self._path(executor)
        with locked(path, patience=_PATIENCE) as held:
            if not held:
                raise _taken(executor)
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    def alive(self, executor: str) -> bool:
        return bool(executor) and is_locked(self._path(executor))

    def dead(self, executors: Sequence[str]) -> Iterator[str]:
        return (executor for executor in executors if not self.alive(executor))

    def _path(self, executor: str) -> Path:
        return self._directory / _checked(executor)


class PostgresLiveness:
    """Fulfils `Liveness` with a session advisory lock per executor, each on a connection of its own.

    When the connection is lost (a restart of the server, a failover) the lock is gone although the process lives. The holder
    notices within `interval`, connects again as often as it takes, and takes its lock back. `alive` says how it is now; `dead`
    looks for as long as `grace` at those whose lock is free and names who did not take it back, so a restart of the server makes
    nobody take over live work. A holder that cannot reach the server for longer may be taken over: it cannot write to the store
    either, its next move of the run is refused, and the fence keeps its engine from writing the state.
    """

    def __init__(
        self, engine: Engine, *, grace: timedelta = timedelta(seconds=15), interval: timedelta = timedelta(seconds=2)
    ) -> None:
        self._engine = engine
        self._grace = grace.total_seconds()
        self._interval = interval.total_seconds()

    @contextmanager
    def hold(self, executor: str) -> Iterator[None]:
        with explained():
            connection = self._locked_connection(_checked(executor))
        if connection is None:
            raise _taken(executor)
        stop = Event()
        keeper = Thread(target=self._keep, args=(connection, executor, stop), name="liveness", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            stop.set()
            keeper.join()

    def alive(self, executor: str) -> bool:
        return bool(executor) and not self._free([executor])

    def dead(self, executors: Sequence[str]) -> Iterator[str]:
        free = self._free([executor for executor in executors if executor])
        deadline = time.monotonic() + self._grace
        while free and time.monotonic() < deadline:
            time.sleep(min(self._interval, self._grace) / 4)
            free &= self._free(list(free))
        return (executor for executor in executors if not executor or executor in free)

    def _free(self, executors: Sequence[str]) -> frozenset[str]:
        """Those whose lock nobody holds; looking takes no lock, so it disturbs nobody who wants one."""
        held = text(
            "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 "
            "AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        with explained(), self._engine.connect() as connection:
            locks = frozenset(connection.execute(held).scalars())
        return frozenset(executor for executor in executors if _number(executor) not in locks)

    def _keep(self, connection: Connection | None, executor: str, stop: Event) -> None:
        while not stop.wait(self._interval):
            with suppress(SQLAlchemyError):  # also when no connection is free: it tries again
                if not _answers(connection):
                    _close(connection)
                    connection = None
                    connection = self._locked_connection(executor)
        if connection is not None:
            with suppress(SQLAlchemyError):  # only to be free at once: the end of the session frees it as well
                connection.execute(text("SELECT pg_advisory_unlock(:number)"), {"number": _number(executor)})
        _close(connection)

    def _locked_connection(self, executor: str) -> Connection | None:
        """A connection that holds the lock; None when another session has it."""
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        taken = False
        try:
            asked = text("SELECT pg_try_advisory_lock(:number)")
            taken = connection.execute(asked, {"number": _number(executor)}).scalar_one()
        finally:
            if not taken:
                _close(connection)
        return connection if taken else None


def _answers(connection: Connection | None) -> bool:
    if connection is None:
        return False
    try:
        connection.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return False
    return True


def _close(connection: Connection | None) -> None:
    """End the session: given back to the pool, the connection would keep the lock."""
    if connection is not None:
        connection.invalidate()
        connection.close()


def _number(executor: str) -> int:
    """The executor's lock: 64 bits of a hash, as PostgreSQL counts them (signed)."""
    digest = hashlib.sha256(b"lzr executor\0" + executor.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _checked(executor: str) -> str:
    if _NAME.fullmatch(executor) is None:
        raise InputError(
            "This is no name for an executor",
            code="executor-name-malformed",
            detail=f"{executor!r}: letters, digits, dots and dashes make a name, at most 128.",
        )
    return executor


def _taken(executor: str) -> Refused:
    return Refused(
        "A process of this name runs already",
        code="executor-runs-already",
        detail=f"Another process holds the lock of {executor}.",
        hint="Give each process its own name.",
    )
