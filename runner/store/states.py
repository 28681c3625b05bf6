"""Terraform states: versions with history, a lock that knows its run, and a fence. It reads no more of a state than its header.

The fence: each attempt to run an engine gets its own credential and the next number of its tenant. Only the newest attempt that is
not closed may write or lock, whatever an engine that was thought dead still tries. It protects the state, not Azure.

States are compressed before they are sealed: JSON of this kind shrinks about tenfold, and every version is kept. What compression
can leak is the length of content next to text that an attacker chooses, by many tries; whoever could read lengths here reads the
database, and every try is a reviewed run.

A password is kept as one SHA-256: it is 256 random bits, which nobody finds by trying, so a slow hash would only cost time on
each of the engine's requests.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.engine import Row

from runner.domain.state import REHEARSAL
from runner.errors import InputError, Refused
from runner.ports import Attempt, LockHolder, StateVersion
from runner.store.database import Database
from runner.store.tables import STATES, attempts, state_locks, state_versions, tenants

_SERIAL = re.compile(rb'("serial"\s*:\s*)(\d+)')
_LARGEST_SERIAL = 2**63 - 2
_REMEMBERED_ATTEMPTS = 20  # of each tenant; one that is older is not told that it is superseded, it is unknown
_FIELDS = tuple(StateVersion.__dataclass_fields__)
_COLUMNS = tuple(state_versions.c[name] for name in _FIELDS)

# built once: these run with each request of an engine, and building one takes longer than running it
_ATTEMPT = select(attempts).where(attempts.c.username == bindparam("named"))
_LOCK = select(state_locks).where(state_locks.c.tenant == bindparam("of"))
_NEWEST_WITH_CONTENT = (
    select(state_versions)
    .where(state_versions.c.tenant == bindparam("of"))
    .order_by(state_versions.c.number.desc())
    .limit(1)
)
_NEWEST = _NEWEST_WITH_CONTENT.with_only_columns(*_COLUMNS)
_COUNT_ON = (
    update(tenants)
    .where(tenants.c.tenant == bindparam("of"))
    .values(newest=tenants.c.newest + 1)
    .returning(tenants.c.newest)
)
_NOBODY = hashlib.sha256(secrets.token_bytes()).digest()


@dataclass(frozen=True)
class _State:
    """A state that can be kept: its header, and the content ready to be sealed."""

    serial: int
    lineage: str
    size: int
    sha256: str
    packed: bytes


class SqlStates:
    """Fulfils `States`. Keeps the newest `keep` versions of each tenant."""

    def __init__(self, database: Database, *, keep: int = 50) -> None:
        if keep < 1:
            raise ValueError("the newest version is always kept")
        self._database = database
        self._keep = keep

    def open_attempt(self, tenant: str, run: str, *, now: datetime) -> Attempt:
        username, password = secrets.token_hex(16), secrets.token_urlsafe(32)
        with self._database.writing() as tx:
            number = self._database.hold_tenant(tx, tenant).fence + 1
            tx.execute(update(tenants).where(tenants.c.tenant == tenant).values(fence=number))
            tx.execute(
                insert(attempts).values(
                    username=username,
                    tenant=tenant,
                    number=number,
                    run=run,
                    password_sha256=_hash(password),
                    opened=now,
                    closed=False,
                )
            )
            forgotten = (attempts.c.tenant == tenant) & (attempts.c.number <= number - _REMEMBERED_ATTEMPTS)
            tx.execute(delete(attempts).where(forgotten))
        return Attempt(tenant=tenant, run=run, number=number, username=username, password=password)

    def close_attempt(self, attempt: Attempt) -> None:
        with self._database.writing() as tx:
            tx.execute(update(attempts).where(attempts.c.username == attempt.username).values(closed=True))

    def authenticate(self, username: str, password: str) -> Attempt | None:
        with self._database.reading() as tx:
            row = tx.execute(_ATTEMPT, {"named": username}).one_or_none()
        known = hmac.compare_digest(row.password_sha256 if row else _NOBODY, _hash(password))
        if row is None or row.closed or not known:
            return None
        return Attempt(tenant=row.tenant, run=row.run, number=row.number, username=username, password=password)

    def current(self, tenant: str) -> tuple[StateVersion, bytes] | None:
        with self._database.reading() as tx:
            row = tx.execute(_NEWEST_WITH_CONTENT, {"of": tenant}).one_or_none()
        return None if row is None else (_version(row), self._content(row))

    def write(self, attempt: Attempt, content: bytes, *, lock_id: str | None, now: datetime) -> StateVersion:
        state = _readable(content)
        with self._database.writing() as tx:
            self._hold_newest_attempt(tx, attempt)
            lock = _lock_of(tx, attempt.tenant)
            if lock is not None and lock.id != lock_id:
                raise _locked(attempt.tenant, lock)
            newest = _newest(tx, attempt.tenant)
            if newest is not None and newest.sha256 == state.sha256:
                return newest
            _refuse_conflict(newest, state)
            return self._add(tx, attempt.tenant, state, by=attempt.run, now=now)

    def take_in(self, tenant: str, content: bytes, *, by: str, now: datetime) -> StateVersion:
        """Keep a state that an engine could not write itself, whoever has the lock; taking it in again changes nothing."""
        state = _readable(content)
        with self._database.writing() as tx:
            self._database.hold_tenant(tx, tenant)
            newest = _newest(tx, tenant)
            if newest is not None and newest.sha256 == state.sha256:
                return newest
            _refuse_conflict(newest, state)
            kept = self._add(tx, tenant, state, by=by, now=now)
            self._enter(tx, "state-taken-in", kept, {"sha256": kept.sha256})
            return kept

    def lock(self, attempt: Attempt, info: Mapping[str, Any], *, now: datetime) -> LockHolder | None:
        """Take the lock; taking it again with the same id is fine, for an engine repeats a request without an answer."""
        holder = _holder_from(info, attempt.run)
        with self._database.writing() as tx:
            self._hold_newest_attempt(tx, attempt)
            held = _lock_of(tx, attempt.tenant)
            if held is not None:
                return None if held.id == holder.id and held.run == holder.run else _lock_holder(held)
            tx.execute(insert(state_locks), {"tenant": attempt.tenant, "at": now, **_fields(holder)})
        return None

    def unlock(self, tenant: str, lock_id: str | None) -> bool:
        with self._database.writing() as tx:
            self._database.hold_tenant(tx, tenant)
            held = _lock_of(tx, tenant)
            if held is not None and lock_id not in (None, held.id):
                return False
            tx.execute(delete(state_locks).where(state_locks.c.tenant == tenant))
        return True

    def break_lock(self, tenant: str, lock_id: str, *, by: str, now: datetime) -> bool:
        with self._database.writing() as tx:
            self._database.hold_tenant(tx, tenant)
            held = _lock_of(tx, tenant)
            if held is None or held.id != lock_id:
                return False
            tx.execute(delete(state_locks).where(state_locks.c.tenant == tenant))
            told = {"lock": held.id, "operation": held.operation, "who": held.who, "run": held.run}
            self._database.audit.enter(tx, "state-unlocked", by=by, about=tenant, tenant=tenant, details=told, now=now)
        return True

    def holder(self, tenant: str) -> LockHolder | None:
        with self._database.reading() as tx:
            held = _lock_of(tx, tenant)
        return None if held is None else _lock_holder(held)

    def versions(self, tenant: str) -> tuple[StateVersion, ...]:
        query = select(*_COLUMNS).where(state_versions.c.tenant == tenant)
        with self._database.reading() as tx:
            return tuple(_version(row) for row in tx.execute(query.order_by(state_versions.c.number.desc())))

    def version(self, tenant: str, number: int) -> tuple[StateVersion, bytes]:
        with self._database.reading() as tx:
            row = _kept(tx, tenant, number)
        return _version(row), self._content(row)

    def roll_back(self, tenant: str, number: int, *, by: str, now: datetime) -> StateVersion:
        with self._database.writing() as tx:
            self._database.hold_tenant(tx, tenant)
            lock = _lock_of(tx, tenant)
            if lock is not None:
                raise _locked(tenant, lock)
            row = _kept(tx, tenant, number)
            newest = _newest(tx, tenant)
            if newest is None or newest.number == number:
                return _version(row)
            again = _readable(_with_serial(self._content(row), newest.serial + 1))
            _refuse_conflict(newest, again)
            kept = self._add(tx, tenant, again, by=by, now=now)
            self._enter(tx, "state-rolled-back", kept, {"back_to": number})
            return kept

    def tenants(self) -> tuple[str, ...]:
        query = select(tenants.c.tenant).where(tenants.c.newest > 0).order_by(tenants.c.tenant)
        with self._database.reading() as tx:
            return tuple(tx.execute(query).scalars())

    def forget(self, tenant: str) -> None:
        if not tenant.startswith(REHEARSAL):
            raise ValueError("a tenant's state is never forgotten")
        with self._database.writing() as tx:
            for table in (state_locks, state_versions, attempts, tenants):
                tx.execute(delete(table).where(table.c.tenant == tenant))

    def _hold_newest_attempt(self, tx: Connection, attempt: Attempt) -> None:
        """The fence: Refused unless this is the tenant's newest attempt and open, and no other is opened meanwhile."""
        fence = self._database.hold_tenant(tx, attempt.tenant).fence
        row = tx.execute(_ATTEMPT, {"named": attempt.username}).one_or_none()
        if row is None or row.closed or row.tenant != attempt.tenant or row.number != fence:
            raise Refused(
                "Another attempt took over this state",
                code="state-attempt-superseded",
                detail=f"Attempt {attempt.number} of run {attempt.run} may not change the state of {attempt.tenant} any "
                f"more; the newest attempt is number {fence}.",
                hint="Nothing was written. Look at the tenant's newest run: lzr runs",
            )

    def _add(self, tx: Connection, tenant: str, state: _State, *, by: str, now: datetime) -> StateVersion:
        number: int = tx.execute(_COUNT_ON, {"of": tenant}).scalar_one()
        version = StateVersion(
            tenant=tenant,
            number=number,
            serial=state.serial,
            lineage=state.lineage,
            at=now,
            by=by,
            size=state.size,
            sha256=state.sha256,
        )
        sealed = self._database.seal(tx, state.packed, sealed=STATES, owner=(tenant, number))
        tx.execute(insert(state_versions), {**_fields(version), "sealed": sealed})
        if number > self._keep:
            too_old = (state_versions.c.tenant == tenant) & (state_versions.c.number <= number - self._keep)
            tx.execute(delete(state_versions).where(too_old))
        return version

    def _enter(self, tx: Connection, what: str, kept: StateVersion, told: dict[str, Any]) -> None:
        told = {"version": kept.number, "serial": kept.serial, **told}
        self._database.audit.enter(
            tx, what, by=kept.by, about=kept.tenant, tenant=kept.tenant, details=told, now=kept.at
        )

    def _content(self, row: Row[Any]) -> bytes:
        packed = self._database.unseal(row.sealed, sealed=STATES, owner=(row.tenant, row.number))
        return zlib.decompress(packed)


def _readable(content: bytes) -> _State:
    """Its header; InputError when this is no state, so that nothing unreadable is ever kept as one."""
    try:
        header = json.loads(content)
        serial, lineage = header["serial"], header["lineage"]
        known = type(serial) is int and 0 <= serial <= _LARGEST_SERIAL and isinstance(lineage, str) and lineage
    except (ValueError, KeyError, TypeError, RecursionError):
        known = False
    if not known:
        raise InputError(
            "This is no Terraform state",
            code="state-not-readable",
            detail=f"{len(content)} bytes without a serial number and a lineage.",
        )
    digest = hashlib.sha256(content).hexdigest()
    return _State(serial=serial, lineage=lineage, size=len(content), sha256=digest, packed=zlib.compress(content))


def _with_serial(content: bytes, serial: int) -> bytes:
    """The same state with another serial number. Nothing else is touched: printing it again could round its numbers."""
    wanted = json.loads(content) | {"serial": serial}
    for match in _SERIAL.finditer(content):
        candidate = content[: match.start(2)] + str(serial).encode() + content[match.end(2) :]
        if json.loads(candidate) == wanted:
            return candidate
    raise InputError("This is no Terraform state", code="state-not-readable", detail="Its serial number is not found.")


def _refuse_conflict(newest: StateVersion | None, state: _State) -> None:
    if newest is None or (state.lineage == newest.lineage and state.serial > newest.serial):
        return
    raise Refused(
        "The state is not a successor of the one that is kept",
        code="state-conflict",
        detail=f"Kept is serial {newest.serial} of lineage {newest.lineage}, given was serial {state.serial} of lineage "
        f"{state.lineage}, with other content.",
        hint="Nothing was written. Plan again.",
    )


def _locked(tenant: str, lock: Row[Any]) -> Refused:
    return Refused(
        "The state is locked",
        code="state-locked",
        detail=f"Run {lock.run} holds the state of {tenant} for {lock.operation} since {lock.created} (lock {lock.id}).",
        hint="Wait for that run to end.",
    )


def _holder_from(info: Mapping[str, Any], run: str) -> LockHolder:
    lock_id = info.get("ID")
    if not isinstance(lock_id, str) or not lock_id:
        raise InputError("This is no lock", code="state-lock-not-readable", detail="A lock info needs an ID.")
    return LockHolder(
        id=lock_id,
        operation=str(info.get("Operation", "")),
        who=str(info.get("Who", "")),
        created=str(info.get("Created", "")),
        run=run,
        info=dict(info),
    )


def _lock_of(tx: Connection, tenant: str) -> Row[Any] | None:
    return tx.execute(_LOCK, {"of": tenant}).one_or_none()


def _newest(tx: Connection, tenant: str) -> StateVersion | None:
    row = tx.execute(_NEWEST, {"of": tenant}).one_or_none()
    return None if row is None else _version(row)


def _kept(tx: Connection, tenant: str, number: int) -> Row[Any]:
    query = select(state_versions).where(state_versions.c.tenant == tenant, state_versions.c.number == number)
    row = tx.execute(query).one_or_none()
    if row is None:
        raise InputError(
            "There is no such version",
            code="state-version-not-found",
            detail=f"{tenant} has no state version {number}.",
            hint=f"lzr state versions {tenant}",
        )
    return row


def _version(row: Row[Any]) -> StateVersion:
    return StateVersion(**{name: getattr(row, name) for name in _FIELDS})


def _lock_holder(row: Row[Any]) -> LockHolder:
    return LockHolder(**{name: getattr(row, name) for name in LockHolder.__dataclass_fields__})


def _fields(value: StateVersion | LockHolder) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def _hash(password: str) -> bytes:
    return hashlib.sha256(password.encode("utf-8", "surrogatepass")).digest()
