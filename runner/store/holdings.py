"""Subscriptions that the runner makes or takes for tenants, in the database: one row for a tenant, and each subscription once.

Two processes that want the same subscription of a pool are told apart by the database's constraint: one inserts, the other takes the
next. Reservations end with their run, in the transaction that ends it (see `runs`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError

from runner.domain.run import ENDED
from runner.domain.subscription import Holding, Stage
from runner.errors import Refused
from runner.store.database import Database
from runner.store.tables import holdings, runs

_FIELDS = tuple(Holding.model_fields)


class SqlHoldings:
    """Fulfils `Holdings`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, tenant: str) -> Holding | None:
        with self._database.reading() as tx:
            return _holding(tx.execute(select(holdings).where(holdings.c.tenant == tenant)).one_or_none())

    def holder(self, subscription: str) -> Holding | None:
        query = select(holdings).where(holdings.c.subscription == subscription.lower())
        with self._database.reading() as tx:
            return _holding(tx.execute(query).one_or_none())

    def reserve(self, tenant: str, candidates: Sequence[str], *, run: str, now: datetime) -> Holding | None:
        with self._database.reading() as tx:
            rows = tx.execute(select(holdings.c.subscription, holdings.c.tenant)).all()
        holders = {row.subscription: row.tenant for row in rows}
        free = [one for one in map(str.lower, candidates) if holders.get(one, tenant) == tenant]
        for subscription in sorted(
            free, key=lambda one: one not in holders
        ):  # what is reserved for it already goes first
            try:
                with self._database.writing() as tx:
                    return self._reserve(tx, tenant, subscription, run, now)
            except IntegrityError:
                continue  # another process was quicker
        return None

    def claim(self, tenant: str, subscription: str, *, run: str, now: datetime) -> Holding:
        with self._database.writing() as tx:
            held = self._held(tx, tenant)
            if held is None or held.subscription != subscription.lower():
                raise _not_reserved(tenant, subscription)
            if held.stage is Stage.HELD:
                return held
            if held.run != run:
                raise _not_reserved(tenant, subscription)
            return _keep(tx, held, stage=Stage.HELD, run="", at=now)

    def order(self, tenant: str, alias: str, *, now: datetime) -> Holding:
        with self._database.writing() as tx:
            held = self._held(tx, tenant)
            if held is None:
                made = Holding(tenant=tenant, how="created", stage=Stage.ORDERED, alias=alias, at=now)
                tx.execute(insert(holdings).values(**made.model_dump()))
                return made
            if held.stage not in (Stage.ORDERED, Stage.CANCELLED):
                raise _held_already(tenant, held)
            fresh: dict[str, Any] = {
                "how": "created",
                "stage": Stage.ORDERED,
                "subscription": None,
                "failed": None,
                "failure": "",
            }
            return _keep(tx, held, alias=alias, at=now, **fresh)

    def failed(self, tenant: str, why: str, *, now: datetime) -> Holding:
        with self._database.writing() as tx:
            return _keep(tx, self._expected(tx, tenant, Stage.ORDERED), failed=now, failure=why)

    def made(self, tenant: str, subscription: str, *, alias: str, offered: bool, now: datetime) -> Holding:
        stage, wanted = Stage.OFFERED if offered else Stage.HELD, subscription.lower()
        try:
            with self._database.writing() as tx:
                held = self._held(tx, tenant)
                if held is None:
                    values = {"tenant": tenant, "how": "created", "stage": stage, "subscription": wanted}
                    made = Holding.model_validate({**values, "alias": alias, "at": now})
                    tx.execute(insert(holdings).values(**made.model_dump()))
                    return made
                if held.subscription == wanted and held.stage is not Stage.CANCELLED:
                    return held
                if held.stage not in (Stage.ORDERED, Stage.CANCELLED):
                    raise _held_already(tenant, held)
                changed: dict[str, Any] = {
                    "how": "created",
                    "subscription": wanted,
                    "stage": stage,
                    "failed": None,
                    "failure": "",
                }
                return _keep(tx, held, alias=alias, at=now, **changed)
        except IntegrityError:
            other = self.holder(wanted)
            raise Refused(
                "The subscription is another tenant's",
                code="subscription-taken",
                detail=f"{wanted} is held for {other.tenant if other else 'another tenant'}, and not for {tenant}.",
                hint="lzr runs shows what was done for either of them.",
            ) from None

    def accepted(self, tenant: str, *, now: datetime) -> Holding:
        with self._database.writing() as tx:
            held = self._held(tx, tenant)
            if held is not None and held.stage is Stage.HELD:
                return held
            return _keep(tx, self._expected(tx, tenant, Stage.OFFERED), stage=Stage.HELD, at=now)

    def cancelled(self, tenant: str, *, now: datetime) -> None:
        with self._database.writing() as tx:
            held = self._held(tx, tenant)
            if held is not None:
                _keep(tx, held, stage=Stage.CANCELLED, at=now, run="")

    def give_up(self, tenant: str) -> None:
        with self._database.writing() as tx:
            self._database.hold_tenant(tx, tenant)
            tx.execute(delete(holdings).where(holdings.c.tenant == tenant))

    def _reserve(self, tx: Connection, tenant: str, subscription: str, run: str, now: datetime) -> Holding:
        held = self._held(tx, tenant)
        status = tx.execute(
            select(runs.c.status).where(runs.c.id == run).with_for_update(read=True)
        ).scalar_one_or_none()
        if status is None or status in ENDED:
            raise Refused(
                "The run has ended", code="run-has-ended", detail=f"Run {run} has ended, and can reserve nothing."
            )
        values = {"stage": Stage.RESERVED, "subscription": subscription, "run": run, "at": now}
        if held is None:
            made = Holding.model_validate({"tenant": tenant, "how": "claimed", **values})
            tx.execute(insert(holdings).values(**made.model_dump()))
            return made
        if held.stage not in (Stage.RESERVED, Stage.CANCELLED):
            raise _held_already(tenant, held)
        return _keep(tx, held, how="claimed", alias="", **values)

    def _held(self, tx: Connection, tenant: str) -> Holding | None:
        """What is held, after the tenant's row: nobody else changes it until the transaction ends."""
        self._database.hold_tenant(tx, tenant)
        return _holding(tx.execute(select(holdings).where(holdings.c.tenant == tenant)).one_or_none())

    def _expected(self, tx: Connection, tenant: str, stage: Stage) -> Holding:
        held = self._held(tx, tenant)
        if held is None or held.stage is not stage:
            raise (
                _held_already(tenant, held)
                if held
                else Refused("Nothing is held", code="nothing-held", detail=f"No subscription is ordered for {tenant}.")
            )
        return held


def _keep(tx: Connection, held: Holding, **changed: Any) -> Holding:
    tx.execute(update(holdings).where(holdings.c.tenant == held.tenant).values(**changed))
    return held.model_copy(update=changed)


def _holding(row: Row[Any] | None) -> Holding | None:
    return None if row is None else Holding.model_validate({name: getattr(row, name) for name in _FIELDS})


def _not_reserved(tenant: str, subscription: str) -> Refused:
    return Refused(
        "The reservation is gone",
        code="reservation-gone",
        detail=f"The subscription {subscription} is not reserved for {tenant} by this run any more.",
        hint="Plan the tenant again.",
    )


def _held_already(tenant: str, held: Holding) -> Refused:
    return Refused(
        "A subscription is held already",
        code="subscription-held",
        detail=f"For {tenant} there is {held.subscription or held.alias} already ({held.stage}).",
        hint="Plan the tenant again.",
    )
