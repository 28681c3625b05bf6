"""Requests that may be sent twice and are done once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from runner.errors import InputError, Refused
from runner.ports import Repeated
from runner.store.database import Database
from runner.store.tables import requests


class SqlRequests:
    """Fulfils `Requests`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(
        self, actor: str, key: str, *, fingerprint: str, runs: Mapping[str, str], now: datetime, patience: timedelta
    ) -> Repeated:
        """See Requests."""
        values = {"actor": actor, "key": key, "fingerprint": fingerprint, "at": now, "runs": dict(runs)}
        try:
            with self._database.writing() as tx:
                tx.execute(insert(requests).values(values))
        except IntegrityError:
            known = self._known(actor, key, fingerprint, now, patience)
            return known or self.begin(actor, key, fingerprint=fingerprint, runs=runs, now=now, patience=patience)
        return Repeated(now, runs, None)

    def _known(self, actor: str, key: str, fingerprint: str, now: datetime, patience: timedelta) -> Repeated | None:
        with self._database.reading() as tx:
            row = tx.execute(select(requests).where(requests.c.actor == actor, requests.c.key == key)).one_or_none()
        if row is None:  # forgotten at this moment
            return None
        if row.fingerprint != fingerprint:
            raise InputError(
                "The idempotency key was used for another request",
                code="idempotency-key-reused",
                detail="A key stands for one request; this one asks for something else.",
                hint="Give each request a new key.",
            )
        if row.answer is None and now < row.at + patience:
            raise Refused(
                "The same request is under way",
                code="request-under-way",
                detail="It was sent before and is not answered yet.",
                hint="Send it again in a moment, with the same key.",
            )
        return Repeated(row.at, row.runs, row.answer)

    def answered(self, actor: str, key: str, answer: Mapping[str, Any]) -> None:
        """See Requests."""
        mine = update(requests).where(requests.c.actor == actor, requests.c.key == key)
        with self._database.writing() as tx:
            tx.execute(mine.values(answer=dict(answer)))

    def forget(self, actor: str, key: str) -> None:
        """See Requests."""
        with self._database.writing() as tx:
            tx.execute(delete(requests).where(requests.c.actor == actor, requests.c.key == key))

    def prune(self, *, before: datetime) -> int:
        """See Requests."""
        with self._database.writing() as tx:
            return int(tx.execute(delete(requests).where(requests.c.at < before)).rowcount)
