"""Checking a store and rotating its key. Both may run while the store is in use."""

from __future__ import annotations

import hashlib
import sqlite3
import stat
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, select, text, update
from sqlalchemy.engine import Row

from runner.errors import Refused
from runner.store.database import Database
from runner.store.opening import DATABASE, Store
from runner.store.sealing import NEW_KEY, envelope_mark
from runner.store.tables import SEALED, STATES, Sealed, metadata, state_versions, store, tenants

_BATCH = 20


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be. `code` is constant and kebab-case; `text` is a full sentence."""

    code: str
    text: str


@dataclass(frozen=True)
class Checked:
    """What a check found, and how many rows of each table it went through."""

    findings: tuple[Finding, ...]
    counts: dict[str, int]


@dataclass(frozen=True)
class Rotation:
    """The key that seals from now on, those that are needed no longer, and how many envelopes were sealed again.

    Backups from before still need the key they were made under: `kept` is the file that has it now, where keys come from a file.
    """

    key: str
    given_up: tuple[str, ...]
    resealed: int
    kept: Path | None = None


def check(opened: Store) -> Checked:
    """Read everything: the files, the references, every sealed content and every state's hash."""
    findings = [*_of_files(opened), *_of_references(opened.database), *_of_newest(opened.database)]
    for sealed in SEALED:
        findings.extend(_of_sealed(opened.database, sealed))
    with opened.database.reading() as tx:
        counts = {
            table.name: tx.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        }
    return Checked(tuple(findings), counts)


def rotate_key(opened: Store) -> Rotation:
    """Seal everything with a new key and give up the old ones; killed at any point, all content opens and it can be run again.

    A key file gets the new key first, and in the end the old ones go into a file beside it. Where the key comes from a variable, its
    first key is the new one.
    """
    database, keyring = opened.database, opened.keyring
    with keyring.rotating():
        new = keyring.add() if keyring.path is not None else keyring.first()
        with database.writing() as tx:
            # waits for those who seal with the old key at this moment: see Database.seal
            before = tx.execute(select(store.c.key).with_for_update()).scalar_one()
            tx.execute(update(store).values(key=new))
            if before != new:
                told = {"from": before, "to": new}
                database.audit.enter(tx, "store-key-rotated", by="", details=told, now=datetime.now(UTC))
        resealed = sum(_reseal(database, sealed, new) for sealed in SEALED)
        if before == new and resealed == 0:
            raise Refused(
                "There is no new key to rotate to",
                code="store-rotation-needs-a-key",
                detail=f"Everything is sealed with {new}, the first key of the value.",
                hint=f"Make one ({NEW_KEY}), put it before the old one, parted by a comma, and restart every process.",
            )
        given_up, kept = _give_up_others(database, new)
    return Rotation(key=new, given_up=given_up, resealed=resealed, kept=kept)


def _give_up_others(database: Database, new: str) -> tuple[tuple[str, ...], Path | None]:
    """Forget the keys that nothing is sealed with any more, and say where they are kept. In the transaction, nobody seals anything
    meanwhile."""
    others = tuple(key for key in database.keyring.ids if key != new)
    with database.writing() as tx:
        current = tx.execute(select(store.c.key).with_for_update()).scalar_one()
        left = [tx.execute(select(*sealed.key).where(_other_key(sealed, new)).limit(1)).first() for sealed in SEALED]
        if current != new or any(left):
            return (), None
        kept = database.keyring.keep_only(new) if database.keyring.path is not None else None
    return others, kept


def _reseal(database: Database, sealed: Sealed, key: str) -> int:
    """Batch by batch, so that writers wait only briefly and a kill loses no more than one batch of work."""
    total = 0
    while True:
        with database.writing() as tx:
            _refuse_other_rotation(tx, key)
            batch = select(sealed.table).where(_other_key(sealed, key)).limit(_BATCH).with_for_update()
            rows = tx.execute(batch).all()
            for row in rows:
                owner = _owner(sealed, row)
                content = database.unseal(row.sealed, sealed=sealed, owner=owner)
                again = database.seal(tx, content, sealed=sealed, owner=owner)
                tx.execute(update(sealed.table).where(_is(sealed, row)).values(sealed=again))
        if not rows:
            return total
        total += len(rows)


def _refuse_other_rotation(tx: Connection, key: str) -> None:
    """On several machines, each with a key file of its own, two rotations would undo each other's work for ever."""
    current = tx.execute(select(store.c.key)).scalar_one()
    if current != key:
        raise Refused(
            "The key is being rotated already",
            code="store-rotation-under-way",
            detail=f"Another process rotates to {current}; this one was rotating to {key}.",
            hint="Wait for it to end, give every machine the same keys, then rotate once more.",
        )


def _other_key(sealed: Sealed, key: str) -> ColumnElement[bool]:
    return func.substr(sealed.table.c.sealed, 1, len(envelope_mark(key))) != envelope_mark(key)


def _is(sealed: Sealed, row: Row[Any]) -> ColumnElement[bool]:
    return and_(*[column == getattr(row, column.name) for column in sealed.key])


def _owner(sealed: Sealed, row: Row[Any]) -> tuple[str | int, ...]:
    return tuple(getattr(row, name) for name in sealed.owner)


# --- What a check looks at -------------------------------------------------------------------------------------------


def _of_files(opened: Store) -> Iterator[Finding]:
    if opened.directory is None:
        return
    for file in sorted(opened.directory.glob("*.db")):
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            yield Finding("file-too-open", f"Others may read {file}; run: chmod 600 {file}")
        yield from _of_file(file)


def _of_file(file: Path) -> Iterator[Finding]:
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            for (verdict,) in connection.execute("PRAGMA integrity_check(10)"):
                if verdict != "ok":
                    yield Finding("file-damaged", f"{file.name} is damaged: {verdict}.")
        except sqlite3.DatabaseError as error:
            yield Finding("file-damaged", f"{file.name} cannot be read ({error.sqlite_errorname}).")


def _of_references(database: Database) -> Iterator[Finding]:
    if not database.is_sqlite:  # PostgreSQL does not let them break
        return
    with database.reading() as tx:
        for table, row, parent, _ in tx.execute(text("PRAGMA foreign_key_check")):
            yield Finding("reference-broken", f"Row {row} of {table} in {DATABASE} refers to nothing in {parent}.")


def _of_newest(database: Database) -> Iterator[Finding]:
    newest = select(func.max(state_versions.c.number)).where(state_versions.c.tenant == tenants.c.tenant)
    wrong = select(tenants.c.tenant, tenants.c.newest).where(
        tenants.c.newest != func.coalesce(newest.scalar_subquery(), 0)
    )
    with database.reading() as tx:
        for tenant, number in tx.execute(wrong):
            yield Finding("state-missing", f"The newest state of {tenant}, version {number}, is gone.")


def _of_sealed(database: Database, sealed: Sealed) -> Iterator[Finding]:
    """One row at a time: the whole of it need not fit into memory."""
    with database.reading() as tx:
        keys = tx.execute(select(*sealed.key)).all()
    for key in keys:
        with database.reading() as tx:
            row = tx.execute(select(sealed.table).where(_is(sealed, key))).one_or_none()
        if row is None:
            continue  # an old version or a discarded bundle, removed meanwhile
        named = f"The {sealed.kind} of {' / '.join(str(part) for part in _owner(sealed, row))}"
        try:
            content = database.unseal(row.sealed, sealed=sealed, owner=_owner(sealed, row))
        except Refused as error:
            yield Finding(error.code, f"{named} does not open: {error.summary}.")
            continue
        if sealed is STATES and hashlib.sha256(zlib.decompress(content)).hexdigest() != row.sha256:
            yield Finding("state-changed", f"{named} is not what its hash says.")
