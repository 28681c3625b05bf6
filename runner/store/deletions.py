"""Deletions of tenants in the database: one for each tenant, the newest, and its tombstone until the tenant is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.engine import Row

from runner.domain.deletion import Deletion, Standing
from runner.errors import InputError, Refused
from runner.store.database import Database
from runner.store.tables import deletions

_ROW = select(*(deletions.c[name] for name in Deletion.model_fields))  # without the tombstone


class SqlDeletions:
    """Fulfils `Deletions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, deletion: Deletion, snapshot: Mapping[str, Any]) -> Deletion:
        """See Deletions."""
        with self._database.writing() as tx:
            self._database.hold_tenant(tx, deletion.tenant)
            known = _of(tx, deletion.tenant)
            if known is not None and known.under_way:
                raise Refused(
                    "The deletion is under way already",
                    code="deletion-under-way",
                    detail=f"{known.requested_by} asked for the deletion of {known.tenant} before; it is {known.standing}.",
                    hint=f"lzr tenant show {known.tenant}",
                )
            tx.execute(delete(deletions).where(deletions.c.tenant == deletion.tenant))
            tx.execute(insert(deletions).values(**deletion.model_dump(), snapshot=dict(snapshot)))
            told = {"reason": deletion.reason}
            self._database.audit.enter(
                tx,
                "deletion-asked",
                by=deletion.requested_by,
                about=deletion.tenant,
                tenant=deletion.tenant,
                details=told,
                now=deletion.requested,
            )
        return deletion

    def of(self, tenant: str) -> Deletion | None:
        """See Deletions."""
        with self._database.reading() as tx:
            return _of(tx, tenant)

    def find(self, standings: Sequence[Standing]) -> tuple[Deletion, ...]:
        """See Deletions."""
        query = _ROW.where(deletions.c.standing.in_(standings)).order_by(deletions.c.requested, deletions.c.tenant)
        with self._database.reading() as tx:
            return tuple(_deletion(row) for row in tx.execute(query))

    def tombstone(self, tenant: str) -> dict[str, Any] | None:
        """See Deletions."""
        query = select(deletions.c.snapshot).where(deletions.c.tenant == tenant)
        with self._database.reading() as tx:
            found: dict[str, Any] | None = tx.execute(query).scalar_one_or_none()
        return found

    def move(self, tenant: str, to: Standing, *, by: str, now: datetime, comment: str = "") -> Deletion:
        """See Deletions."""
        with self._database.writing() as tx:
            self._database.hold_tenant(tx, tenant)
            known = _of(tx, tenant)
            if known is None:
                raise InputError(
                    "Nobody asked for that deletion",
                    code="no-deletion",
                    detail=f"There is no request to delete {tenant!r}.",
                    hint="lzr tenants leaving lists those there are.",
                )
            moved = known.to(to, by=by, comment=comment, now=now)
            kept = {} if moved.under_way else {"snapshot": None}
            tx.execute(update(deletions).where(deletions.c.tenant == tenant).values(**moved.model_dump(), **kept))
            told = {"comment": comment} if comment else {}
            self._database.audit.enter(tx, f"deletion-{to}", by=by, about=tenant, tenant=tenant, details=told, now=now)
        return moved

    def forget(self, tenant: str) -> bool:
        """See Deletions."""
        with self._database.writing() as tx:
            return tx.execute(delete(deletions).where(deletions.c.tenant == tenant)).rowcount > 0


def _of(tx: Connection, tenant: str) -> Deletion | None:
    row = tx.execute(_ROW.where(deletions.c.tenant == tenant)).one_or_none()
    return None if row is None else _deletion(row)


def _deletion(row: Row[Any]) -> Deletion:
    return Deletion.model_validate({name: getattr(row, name) for name in Deletion.model_fields})
