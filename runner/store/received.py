"""Webhooks that came, by their ids."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, insert
from sqlalchemy.exc import IntegrityError

from runner.store.database import Database
from runner.store.tables import received


class SqlReceived:
    """Fulfils `Received`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, webhook: str, message: str, *, until: datetime) -> bool:
        """See Received."""
        try:
            with self._database.writing() as tx:
                tx.execute(insert(received).values(webhook=webhook, message=message, until=until))
        except IntegrityError:
            return False
        return True

    def forget(self, webhook: str, message: str) -> None:
        """See Received."""
        with self._database.writing() as tx:
            tx.execute(delete(received).where(received.c.webhook == webhook, received.c.message == message))

    def prune(self, *, before: datetime) -> int:
        """See Received."""
        with self._database.writing() as tx:
            return int(tx.execute(delete(received).where(received.c.until < before)).rowcount)
