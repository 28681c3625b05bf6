"""The record of who did what, written in the transaction that does it: nothing that is recorded can be done without its entry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.engine import Row

from runner.domain.audit import BEGINNING, Entry, Head
from runner.store.sealing import Keyring
from runner.store.tables import audit, audit_head, kept_text

if TYPE_CHECKING:
    from runner.store.database import Database

_AT_ONCE = 1000
_HEAD = select(audit_head).where(audit_head.c.id == 1)


class SqlAudit:
    """Fulfils `Audit`."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    def record(
        self,
        what: str,
        *,
        by: str,
        about: str = "",
        zone: str = "",
        details: Mapping[str, Any] | None = None,
        now: datetime,
    ) -> None:
        """See Audit."""
        with self._database.writing() as tx:
            self.enter(tx, what, by=by, about=about, zone=zone, details=details, now=now)

    def enter(
        self,
        tx: Connection,
        what: str,
        *,
        by: str,
        about: str = "",
        zone: str = "",
        details: Mapping[str, Any] | None = None,
        now: datetime,
    ) -> None:
        """Add an entry in this transaction. Nobody else adds one until it ends, so enter late in it."""
        head = tx.execute(_HEAD.with_for_update()).one()
        unsigned = Entry(
            number=head.number + 1,
            at=now,
            by=kept_text(by),
            what=what,
            about=kept_text(about),
            zone=kept_text(zone),
            details=dict(details or {}),
            key=self._keyring.first(),
        )
        entry = unsigned.model_copy(update={"mac": self.mac(unsigned.key, unsigned.content(head.mac)) or ""})
        tx.execute(insert(audit).values(**entry.model_dump()))
        tx.execute(update(audit_head).values(number=entry.number, mac=entry.mac))

    def mac(self, key: str, content: bytes) -> str | None:
        """The MAC under this key; None where it is not among the audit's keys."""
        return self._keyring.mac(content, key=key) if self._keyring.holds(key) else None

    def head(self) -> Head:
        """See Audit."""
        with self._database.reading() as tx:
            row = tx.execute(_HEAD).one()
        return Head(number=row.number, mac=row.mac)

    def entries(self, *, after: int = 0, about: str | None = None) -> Iterator[Entry]:
        """See Audit."""
        while True:
            query = select(audit).where(audit.c.number > after).order_by(audit.c.number).limit(_AT_ONCE)
            if about is not None:
                query = query.where(audit.c.about == about)
            with self._database.reading() as tx:
                rows = tx.execute(query).all()
            yield from (_entry(row) for row in rows)
            if len(rows) < _AT_ONCE:
                return
            after = rows[-1].number


def begin(tx: Connection) -> None:
    """The head of a chain without entries."""
    tx.execute(insert(audit_head).values(id=1, number=0, mac=BEGINNING))


def _entry(row: Row[Any]) -> Entry:
    return Entry(**{name: getattr(row, name) for name in Entry.model_fields})
