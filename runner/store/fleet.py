"""All tenants at once, for lists: one row of `tenants` each, with its newest run beside it. No list reads a snapshot, review or journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, false, func, not_, or_, select, true, update
from sqlalchemy.engine import Row

from runner.domain.actor import Grant
from runner.domain.run import OPEN, Run, Status
from runner.ports import Documented, FleetFilter, FleetOrder, FleetPlace, FleetRow
from runner.store.database import Database
from runner.store.tables import runs, tenants

_RUN = tuple(Run.model_fields)
_AT_ONCE = 500
_OF_RUN = [runs.c[name].label(f"run_{name}") for name in _RUN]
_TENANT = (
    tenants.c.tenant,
    tenants.c.landing_zone,
    tenants.c.platform,
    tenants.c.workspace,
    tenants.c.documents,
    tenants.c.applied_documents,
    tenants.c.settled,
    tenants.c.drifted,
)
_BESIDE = tenants.outerjoin(runs, runs.c.id == tenants.c.newest_run)
_LISTED = or_(tenants.c.documents.is_not(None), tenants.c.newest_run.is_not(None))
_BEHIND = and_(tenants.c.documents.is_not(None), func.coalesce(tenants.c.applied_documents, "") != tenants.c.documents)
_ORDERS: dict[FleetOrder, ColumnElement[Any]] = {
    "tenant": tenants.c.tenant,
    "landing_zone": tenants.c.landing_zone,
    "status": runs.c.status,
    "drifted": tenants.c.drifted,
    "settled": tenants.c.settled,
    "updated": runs.c.updated,
}


class SqlFleet:
    """Fulfils `Fleet`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def know(self, documented: Collection[Documented]) -> int:
        """See Fleet. Only what changed is written, so that many servers with the same documents do not wait for each other."""
        wanted = {one.tenant: one for one in documented}
        columns = select(*_TENANT[:5])
        with self._database.reading() as tx:
            known = {row.tenant: row for row in tx.execute(columns)}
        fresh = [one for one in wanted.values() if one.tenant not in known]
        moved = [one for one in wanted.values() if one.tenant in known and _told(known[one.tenant]) != one]
        gone = sorted(name for name, row in known.items() if row.documents is not None and name not in wanted)
        for first in range(0, len(fresh), _AT_ONCE):
            with self._database.writing() as tx:
                for one in fresh[first : first + _AT_ONCE]:
                    self._database.hold_tenant(tx, one.tenant)
                    _keep(tx, one)
        for first in range(0, len(moved), _AT_ONCE):
            with self._database.writing() as tx:
                for one in sorted(moved[first : first + _AT_ONCE], key=lambda one: one.tenant):
                    _keep(tx, one)
        for first in range(0, len(gone), _AT_ONCE):
            some = gone[first : first + _AT_ONCE]
            with self._database.writing() as tx:
                tx.execute(update(tenants).where(tenants.c.tenant.in_(some)).values(documents=None))
        return len(fresh) + len(moved) + len(gone)

    def page(
        self,
        chosen: FleetFilter,
        *,
        order: FleetOrder = "tenant",
        descending: bool = False,
        after: FleetPlace | None = None,
        offset: int = 0,
        limit: int = 100,
    ) -> tuple[FleetRow, ...]:
        """See Fleet."""
        by = _ORDERS[order]
        query = _selected(chosen)
        if after is not None:
            query = query.where(_behind(after, by, descending=descending))
        query = query.order_by(by.is_(None), by.desc() if descending else by.asc(), tenants.c.tenant)
        with self._database.reading() as tx:
            return tuple(_row(row) for row in tx.execute(query.offset(offset).limit(limit)))

    def of(self, tenant: str) -> FleetRow | None:
        """See Fleet."""
        query = select(*_TENANT, *_OF_RUN).select_from(_BESIDE).where(tenants.c.tenant == tenant, _LISTED)
        with self._database.reading() as tx:
            row = tx.execute(query).one_or_none()
        return _row(row) if row is not None else None

    def counts(self, chosen: FleetFilter) -> dict[str, int]:
        """See Fleet."""
        found = _where(chosen)
        columns = {
            "all": true(),
            "drifted": tenants.c.drifted.is_not(None),
            "undocumented": tenants.c.documents.is_(None),
            "behind": _BEHIND,
            "never-run": tenants.c.newest_run.is_(None),
        }
        columns |= {status.value: and_(runs.c.status.is_not(None), runs.c.status == status) for status in Status}
        sums = [func.coalesce(func.sum(case((which, 1), else_=0)), 0).label(name) for name, which in columns.items()]
        with self._database.reading() as tx:
            row = tx.execute(select(*sums).select_from(_BESIDE).where(*found)).one()
        return {name: int(value) for name, value in zip(columns, row, strict=True)}

    def zones(self, reach: Sequence[Grant]) -> dict[str, int]:
        """See Fleet."""
        where = (_LISTED, reached(reach, zone=tenants.c.landing_zone, workspace=tenants.c.workspace))
        query = select(tenants.c.landing_zone, func.count().label("many")).where(
            *where, tenants.c.landing_zone.is_not(None)
        )
        with self._database.reading() as tx:
            rows = tx.execute(query.group_by(tenants.c.landing_zone).order_by(tenants.c.landing_zone))
            return {row.landing_zone: row.many for row in rows}

    def versions(self, zone: str, reach: Sequence[Grant]) -> dict[str, dict[str, int]]:
        """See Fleet."""
        here = (_LISTED, tenants.c.landing_zone == zone, tenants.c.versions.is_not(None))
        query = select(tenants.c.versions, func.count().label("many")).where(
            *here, reached(reach, zone=tenants.c.landing_zone, workspace=tenants.c.workspace)
        )
        found: dict[str, Counter[str]] = {}
        with self._database.reading() as tx:
            for row in tx.execute(query.group_by(tenants.c.versions)):
                for name, version in row.versions.items():
                    found.setdefault(name, Counter())[version] += row.many
        return {
            name: dict(sorted(many.items(), key=lambda one: (-one[1], one[0]))) for name, many in sorted(found.items())
        }

    def due(self, zone: str, *, before: datetime, limit: int) -> dict[str, datetime | None]:
        """See Fleet."""
        query = (
            select(tenants.c.tenant, runs.c.created)
            .select_from(_BESIDE)
            .where(
                tenants.c.landing_zone == zone,
                tenants.c.documents.is_not(None),
                or_(
                    tenants.c.newest_run.is_(None),
                    and_(runs.c.created < before, runs.c.status.not_in(sorted(OPEN))),
                ),
            )
            .order_by(runs.c.created.is_not(None), runs.c.created, tenants.c.tenant)
            .limit(limit)
        )
        with self._database.reading() as tx:
            return {row.tenant: row.created for row in tx.execute(query)}


def reached(reach: Sequence[Grant], *, zone: ColumnElement[Any], workspace: ColumnElement[Any]) -> ColumnElement[bool]:
    """What any of these grants reaches."""
    ways = [
        and_(
            zone.in_(grant.zones) if grant.zones else true(),
            workspace.in_(grant.workspaces) if grant.workspaces else true(),
        )
        for grant in reach
    ]
    return or_(*ways) if ways else false()


def _selected(chosen: FleetFilter) -> Select[Any]:
    return select(*_TENANT, *_OF_RUN).select_from(_BESIDE).where(*_where(chosen))


def _where(chosen: FleetFilter) -> list[ColumnElement[bool]]:
    found = [_LISTED, reached(chosen.reach, zone=tenants.c.landing_zone, workspace=tenants.c.workspace)]
    if chosen.zone is not None:
        found.append(tenants.c.landing_zone == chosen.zone)
    if chosen.text:
        found.append(
            or_(
                tenants.c.tenant.icontains(chosen.text, autoescape=True),
                tenants.c.workspace.icontains(chosen.text, autoescape=True),
            )
        )
    if chosen.statuses:
        ran = runs.c.status.in_([status for status in chosen.statuses if status is not None])
        found.append(or_(ran, tenants.c.newest_run.is_(None)) if None in chosen.statuses else ran)
    if chosen.drifted is not None:
        found.append(tenants.c.drifted.is_not(None) if chosen.drifted else tenants.c.drifted.is_(None))
    if chosen.documented is not None:
        found.append(tenants.c.documents.is_not(None) if chosen.documented else tenants.c.documents.is_(None))
    if chosen.behind is not None:
        found.append(_BEHIND if chosen.behind else not_(_BEHIND))
    return found


def _behind(place: FleetPlace, by: ColumnElement[Any], *, descending: bool) -> ColumnElement[bool]:
    named = tenants.c.tenant > place.tenant
    if place.value is None:
        return and_(by.is_(None), named)
    beyond = by < place.value if descending else by > place.value
    return or_(beyond, and_(by == place.value, named), by.is_(None))


def _keep(tx: Connection, one: Documented) -> None:
    values = {
        "landing_zone": one.landing_zone,
        "platform": one.platform,
        "workspace": one.workspace,
        "documents": one.digest,
    }
    tx.execute(update(tenants).where(tenants.c.tenant == one.tenant).values(**values))


def _told(row: Any) -> Documented:
    return Documented(row.tenant, row.landing_zone or "", row.platform or "", row.workspace or "", row.documents or "")


def _row(row: Row[Any]) -> FleetRow:
    run = {name: getattr(row, f"run_{name}") for name in _RUN}
    return FleetRow(
        tenant=row.tenant,
        landing_zone=row.landing_zone or "",
        platform=row.platform or "",
        workspace=row.workspace or "",
        documented=row.documents is not None,
        behind=row.documents is not None and row.applied_documents != row.documents,
        settled=row.settled,
        drifted=row.drifted,
        run=Run.model_validate(run) if run["id"] is not None else None,
    )
