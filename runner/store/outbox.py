"""Notices on their way, for all servers of one store.

A letter is kept in the transaction that notes how far runs were looked at, so none is forgotten by a process that dies; the unique
index over channel, run and occasion lets several servers look at the same runs. A taker pushes the letter's time ahead by its lease:
when it dies the letter is due again, and a taker that comes back too late is known by the number of its try.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Row

from runner.domain.notice import TOLD, Notice
from runner.domain.run import Run
from runner.ports import Dead, Letter
from runner.store.database import Database
from runner.store.tables import channels as known_channels
from runner.store.tables import letters, lookout, runs

_RUN = tuple(Run.model_fields)
_AT_ONCE = 500


class SqlOutbox:
    """Fulfils `Outbox`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = sqlite.insert if database.is_sqlite else postgresql.insert

    def begun(self, channels: Sequence[str], *, now: datetime) -> dict[str, datetime]:
        """See Outbox."""
        query = select(known_channels).where(known_channels.c.channel.in_(channels))
        with self._database.reading() as tx:
            found = {row.channel: row.begun for row in tx.execute(query)}
        fresh = [{"channel": name, "begun": now} for name in channels if name not in found]
        if not fresh:
            return found
        with self._database.writing() as tx:
            tx.execute(self._insert(known_channels).on_conflict_do_nothing(), fresh)
            return {row.channel: row.begun for row in tx.execute(query)}

    def changed(self, *, since: datetime, after: str = "", limit: int) -> tuple[Run, ...]:
        """See Outbox."""
        query = (
            select(*(runs.c[name] for name in _RUN))
            .where(tuple_(runs.c.updated, runs.c.id) > (since, after), runs.c.status.in_(sorted(TOLD)))
            .order_by(runs.c.updated, runs.c.id)
            .limit(limit)
        )
        with self._database.reading() as tx:
            return tuple(Run.model_validate(row._asdict()) for row in tx.execute(query))

    def seen(self, *, now: datetime) -> datetime:
        """See Outbox."""
        with self._database.reading() as tx:
            found: datetime | None = tx.execute(select(lookout.c.seen)).scalar_one_or_none()
        if found is not None:
            return found
        with self._database.writing() as tx:
            tx.execute(self._insert(lookout).values(id=1, seen=now).on_conflict_do_nothing())
            made: datetime = tx.execute(select(lookout.c.seen)).scalar_one()
        return made

    def put(self, several: Sequence[Letter], *, seen: datetime, now: datetime) -> int:
        """See Outbox."""
        new = 0
        with self._database.writing() as tx:
            for letter in sorted(
                several, key=lambda one: one.id
            ):  # in one order, so that no two servers wait for each other
                kept = self._insert(letters).values(**_values(letter), put=now, due=now).on_conflict_do_nothing()
                new += len(tx.execute(kept.returning(letters.c.id)).all())
            tx.execute(update(lookout).where(lookout.c.seen < seen).values(seen=seen))
        return new

    def take(self, channels: Collection[str], *, now: datetime, lease: timedelta) -> Letter | None:
        """See Outbox."""
        due = select(letters.c.id).where(letters.c.due <= now, letters.c.channel.in_(sorted(channels)))
        first = due.order_by(letters.c.due, letters.c.id).limit(1).with_for_update(skip_locked=True)
        with self._database.writing() as tx:
            chosen = tx.execute(first).scalar_one_or_none()
            if chosen is None:
                return None
            taken = update(letters).where(letters.c.id == chosen)
            taken = taken.values(due=now + lease, tries=letters.c.tries + 1)
            return _letter(tx.execute(taken.returning(*letters.c)).one())

    def sent(self, letter: Letter, *, now: datetime) -> None:
        """See Outbox."""
        self._note(letter, due=None, sent=now, code="", detail="")

    def put_off(self, letter: Letter, *, until: datetime, code: str, detail: str) -> None:
        """See Outbox."""
        self._note(letter, due=until, code=code, detail=detail)

    def bury(self, letter: Letter, *, now: datetime, code: str, detail: str) -> None:
        """See Outbox."""
        self._note(letter, due=None, dead=now, code=code, detail=detail)

    def _note(self, letter: Letter, **values: Any) -> None:
        mine = update(letters).where(
            letters.c.id == letter.id, letters.c.tries == letter.tries, letters.c.due.is_not(None)
        )
        with self._database.writing() as tx:
            tx.execute(mine.values(**values))

    def due(self, channels: Collection[str]) -> datetime | None:
        """See Outbox."""
        query = select(func.min(letters.c.due)).where(letters.c.channel.in_(sorted(channels)))
        with self._database.reading() as tx:
            found: datetime | None = tx.execute(query).scalar_one()
        return found

    def dead(self, *, limit: int = 1000) -> tuple[Dead, ...]:
        """See Outbox."""
        query = select(letters).where(letters.c.dead.is_not(None))
        query = query.order_by(letters.c.dead.desc(), letters.c.id).limit(limit)
        with self._database.reading() as tx:
            return tuple(Dead(_letter(row), row.dead, row.code, row.detail) for row in tx.execute(query))

    def revive(self, ids: Collection[str] | None, *, now: datetime) -> int:
        """See Outbox."""
        anew = update(letters).where(letters.c.dead.is_not(None)).values(dead=None, due=now, tries=0)
        if ids is not None:
            anew = anew.where(letters.c.id.in_(sorted(ids)))
        with self._database.writing() as tx:
            return int(tx.execute(anew).rowcount)

    def prune(self, *, before: datetime) -> int:
        """See Outbox."""
        old = select(letters.c.id).where(letters.c.put < before).limit(_AT_ONCE)
        with self._database.writing() as tx:
            return int(tx.execute(delete(letters).where(letters.c.id.in_(old))).rowcount)


def _values(letter: Letter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "channel": letter.channel,
        "run": letter.notice.run,
        "occasion": letter.occasion,
        "notice": letter.notice.model_dump(mode="json"),
        "tries": 0,
        "code": "",
        "detail": "",
    }


def _letter(row: Row[Any]) -> Letter:
    return Letter(row.id, row.channel, row.occasion, Notice.model_validate(row.notice), row.tries)
