"""Claims of invitations in the database, so that runs of all processes see one another's.

A claim lives as long as its process, known by its lock (see `liveness`), or until it is given up. Every change names the claim that
it takes the place of, so of several who see one that died exactly one gets it.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, insert, select, update
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError

from runner.ports import Claim, Liveness
from runner.store.database import Database
from runner.store.tables import invitations


class SqlInvitations:
    """Fulfils `Invitations` for this executor, who holds its lock meanwhile."""

    def __init__(self, database: Database, liveness: Liveness, executor: str) -> None:
        self._database = database
        self._liveness = liveness
        self._executor = executor

    def claim(self, entra_tenant: str, address: str, *, now: datetime, believed: timedelta) -> Claim | str | None:
        wanted = Claim(entra_tenant.casefold(), address.casefold(), uuid.uuid4().hex)
        with self._database.reading() as tx:
            found = tx.execute(select(invitations).where(_is(wanted))).one_or_none()
        if found is None:
            return self._take(wanted, now)
        if found.object_id is not None:
            # longer ago the directory itself says whether the guest is there still
            return str(found.object_id) if now - found.at < believed else self._replace(found, wanted, now)
        if list(self._liveness.dead([found.executor])):
            return self._replace(found, replace(wanted, inherited=True), now)
        return None

    def sent(self, claim: Claim, object_id: str, *, now: datetime) -> None:
        with self._database.writing() as tx:
            tx.execute(update(invitations).where(_is(claim), _held(claim)).values(object_id=object_id, at=now))

    def give_up(self, claim: Claim, *, refused: bool = False) -> None:
        mine = (_is(claim), _held(claim))
        with self._database.writing() as tx:
            tx.execute(
                delete(invitations).where(*mine) if refused else update(invitations).where(*mine).values(executor="")
            )

    def _take(self, wanted: Claim, now: datetime) -> Claim | None:
        try:
            with self._database.writing() as tx:
                key = {"entra_tenant": wanted.entra_tenant, "address": wanted.address}
                tx.execute(insert(invitations).values(**key, **self._claimed(wanted, now)))
        except IntegrityError:
            return None  # somebody else was quicker
        return wanted

    def _replace(self, found: Row[Any], wanted: Claim, now: datetime) -> Claim | None:
        """The claim in place of the one that was found; None when that is another one by now, or was sent after all."""
        still = (invitations.c.claim == found.claim, invitations.c.object_id.is_not_distinct_from(found.object_id))
        with self._database.writing() as tx:
            changed = tx.execute(
                update(invitations).where(_is(wanted), *still).values(self._claimed(wanted, now))
            ).rowcount
        return wanted if changed else None

    def _claimed(self, claim: Claim, now: datetime) -> dict[str, Any]:
        return {"claim": claim.id, "executor": self._executor, "at": now, "object_id": None}


def _is(claim: Claim) -> ColumnElement[bool]:
    return and_(invitations.c.entra_tenant == claim.entra_tenant, invitations.c.address == claim.address)


def _held(claim: Claim) -> ColumnElement[bool]:
    return and_(invitations.c.claim == claim.id, invitations.c.object_id.is_(None))
