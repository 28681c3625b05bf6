"""The record of who did what, written in the transaction that does it: nothing that is recorded can be done without its entry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, insert, or_, select, update
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError

from runner.domain.audit import BEGINNING, Entry, Head, KnownHead, Mac, Wrong, verify
from runner.errors import Refused
from runner.store.sealing import Keyring
from runner.store.tables import audit, audit_head, kept_text

if TYPE_CHECKING:
    from runner.store.database import Database

_AT_ONCE = 1000
_HEAD = select(audit_head).where(audit_head.c.id == 1)
_STRAY = select(audit.c.number).where(audit.c.number > select(audit_head.c.number).scalar_subquery())


class SqlAudit:
    """Fulfils `Audit`."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring
        self._mac = macs(keyring)

    def record(
        self,
        what: str,
        *,
        by: str,
        about: str = "",
        tenant: str = "",
        zone: str = "",
        details: Mapping[str, Any] | None = None,
        now: datetime,
    ) -> None:
        """See Audit."""
        with self._database.writing() as tx:
            self.enter(tx, what, by=by, about=about, tenant=tenant, zone=zone, details=details, now=now)

    def enter(
        self,
        tx: Connection,
        what: str,
        *,
        by: str,
        about: str = "",
        tenant: str = "",
        zone: str = "",
        details: Mapping[str, Any] | None = None,
        now: datetime,
    ) -> None:
        """Add an entry, as the last thing of this transaction: nobody else adds one until it ends, and whoever has the chain must wait for
        nothing else."""
        head = _held(tx)
        unsigned = Entry(
            number=head.number + 1,
            at=now,
            by=kept_text(by),
            what=what,
            about=kept_text(about),
            tenant=kept_text(tenant),
            zone=kept_text(zone),
            details=dict(details or {}),
            key=self._keyring.first(),
        )
        entry = unsigned.model_copy(update={"mac": self._mac(unsigned.key, unsigned.content(head.mac)) or ""})
        try:
            tx.execute(insert(audit).values(**entry.model_dump()))
        except IntegrityError:
            raise _altered(f"Entry {entry.number} is there already, after the chain's end.") from None
        moved = self._sealed(entry.number, entry.mac)
        if not self._follows(
            tx, head
        ):  # what was done to the chain stays visible: its end never gets a good seal again
            moved = moved.model_copy(update={"seal": ""})
        tx.execute(update(audit_head).values(**moved.model_dump()))

    def head(self) -> Head:
        """See Audit."""
        with self._database.reading() as tx:
            found = _head(tx)
        if found is None:
            raise _altered("The chain's end is not there.")
        return found

    def entries(self, *, after: int = 0, about: str | None = None, since: datetime | None = None) -> Iterator[Entry]:
        """See Audit."""
        while True:
            query = select(audit).where(audit.c.number > after).order_by(audit.c.number).limit(_AT_ONCE)
            if about is not None:
                query = query.where(or_(audit.c.about == about, audit.c.tenant == about))
            if since is not None:
                query = query.where(audit.c.at >= since)
            with self._database.reading() as tx:
                rows = tx.execute(query).all()
            yield from (_entry(row) for row in rows)
            if len(rows) < _AT_ONCE:
                return
            after = rows[-1].number

    def verify(self, known: tuple[KnownHead, ...] = ()) -> Iterator[Wrong]:
        """See Audit."""
        with self._database.reading() as tx:
            end, stray = _head(tx), tx.execute(_STRAY.order_by(audit.c.number).limit(1)).scalar_one_or_none()
        until = end.number if end is not None else None
        yield from verify(self._until(until), self._mac, head=lambda: end, known=known)
        if stray is not None:
            text = f"Entry {stray} stands after the chain's end."
            yield Wrong(number=stray, code="entry-out-of-place", text=text)

    def _until(self, last: int | None) -> Iterator[Entry]:
        """Without what is added meanwhile."""
        for entry in self.entries():
            if last is not None and entry.number > last:
                return
            yield entry

    def begin(self, tx: Connection) -> None:
        """A chain without entries, in a new store."""
        tx.execute(insert(audit_head).values(id=1, **self._sealed(0, BEGINNING).model_dump()))

    def expect_key(self, tx: Connection) -> None:
        """Refused where the key of a chain that has begun is gone: another one made by itself would hide that. One that was given in its
        place is taken."""
        head = _head(tx)
        if head is not None and not self._keyring.ids:
            self._keyring.require(head.key)

    def _sealed(self, number: int, mac: str) -> Head:
        head = Head(number=number, mac=mac, key=self._keyring.first())
        return head.model_copy(update={"seal": self._mac(head.key, head.content()) or ""})

    def _follows(self, tx: Connection, head: Head) -> bool:
        """Whether the end bears its seal. One by a key that is not here any more is believed where the last entry is by that key as well,
        which `verify` tells."""
        seal = self._mac(head.key, head.content())
        if seal is not None:
            return seal == head.seal
        last = tx.execute(select(audit.c.key).where(audit.c.number == head.number)).scalar_one_or_none()
        return last == head.key


def macs(keyring: Keyring) -> Mac:
    """MACs under the keys of this ring."""
    return lambda key, content: keyring.mac(content, key=key) if keyring.holds(key) else None


def _held(tx: Connection) -> Head:
    found = _head(tx, hold=True)
    if found is None:
        raise _altered("The chain's end is not there.")
    return found


def _head(tx: Connection, *, hold: bool = False) -> Head | None:
    row = tx.execute(_HEAD.with_for_update() if hold else _HEAD).one_or_none()
    return None if row is None else Head(number=row.number, mac=row.mac, key=row.key, seal=row.seal)


def _altered(detail: str) -> Refused:
    return Refused(
        "The audit was changed by something else",
        code="audit-altered",
        detail=f"{detail} Nothing is done that cannot be recorded.",
        hint="lzr audit verify says what else is wrong. Restore a backup: lzr store restore ARCHIVE --force",
    )


def _entry(row: Row[Any]) -> Entry:
    return Entry(**{name: getattr(row, name) for name in Entry.model_fields})
