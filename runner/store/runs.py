"""Runs, journals, reviews and approvals in the database. It keeps the rules between processes; it decides nothing about a run.

Rules that this adapter adds to the statuses' own, because only one transaction can keep them:

- Every change of status is journaled with the change, so the journal cannot disagree with the run.
- A run that executes moves under its own executor only, until that one is dead: live work is never taken over.
- Applying needs a standing approval of the run's digest that has not expired. Whatever leaves `approved` but to be applied, and
  any other digest, voids it.
- A run that ends takes what it reserved with it: a subscription of a pool that it did not claim is free again.
- A run that comes out of planning ends at once where somebody asked to cancel it, or where a newer run of the tenant was created
  meanwhile: it is canceled or superseded instead of waiting for a decision that nobody should take any more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, delete, exists, func, insert, or_, select, tuple_, update
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError

from runner.domain.actor import Grant
from runner.domain.events import Event, Kind
from runner.domain.run import (
    APPLY,
    DRIFTED,
    ENDED,
    ENDED_WELL,
    EXECUTING,
    OPEN,
    VERSIONS,
    EngineProcess,
    Failure,
    Run,
    Status,
)
from runner.domain.subscription import Stage
from runner.errors import InputError, Refused
from runner.ports import SCHEDULE, Approval, Liveness
from runner.store.database import Database
from runner.store.fleet import reached
from runner.store.tables import REPLACEABLE, approvals, bundles, events, holdings, reviews, runs, tenants

_FIELDS = tuple(Run.model_fields)
_ROW = select(*(runs.c[name] for name in (*_FIELDS, "cancel_requested")))  # without the snapshot, the largest by far
_LAST = chr(0x10FFFF)
_SHORTEST_ENDING = 5  # characters; what is shorter may be the ending of several
_LOOKED_THROUGH = 100_000  # ids, which takes less than a tenth of a second

# built once: these run with each line of an engine, and building one takes longer than running it
_HELD_FOR_JOURNAL = select(runs.c.id).where(runs.c.id == bindparam("of")).with_for_update(key_share=True)
_NEXT = select(func.coalesce(func.max(events.c.seq), 0) + 1).where(events.c.run == runs.c.id).scalar_subquery()
_ENTER = insert(events).from_select(
    ["run", "seq", "at", "kind", "data"],
    select(
        runs.c.id,
        _NEXT,
        *(bindparam(f"given_{c.name}", type_=c.type) for c in (events.c.at, events.c.kind, events.c.data)),
    ).where(runs.c.id == bindparam("of")),
)
_ENTER_ONE = _ENTER.returning(events.c.seq)
_STANDING = select(
    runs.c.id,
    runs.c.status,
    select(func.max(events.c.seq)).where(events.c.run == runs.c.id).scalar_subquery().label("seq"),
).where(runs.c.id.in_(bindparam("some", expanding=True)))
_FORGOTTEN_AT_ONCE = 500
_AT_ONCE = 500  # ids in one query
_CHANGED_NOTHING = (Status.UNCHANGED, Status.SUPERSEDED, Status.EXPIRED, Status.REJECTED)
_DECISIONS = frozenset({Status.APPROVED, Status.REJECTED, Status.CANCELED})
_EFFECTS = frozenset({Status.APPLYING, Status.APPLIED})
_INFORMS = frozenset({Kind.LOG, Kind.STEP_STARTED, Kind.STEP_SUCCEEDED, Kind.WARNING})


class SqlRuns:
    """Fulfils `Runs`."""

    def __init__(self, database: Database, liveness: Liveness) -> None:
        self._database = database
        self._liveness = liveness

    def create(self, run: Run, snapshot: Mapping[str, Any] = MappingProxyType({})) -> Run:
        """See Runs."""
        if run.status is not Status.PENDING:
            raise ValueError("a run begins as pending")
        with self._database.writing() as tx:
            self._database.hold_tenant(tx, run.tenant)
            kept = tx.execute(_ROW.where(runs.c.id == run.id)).one_or_none()
            if kept is not None:
                return _same(_run(kept), run)
            if run.requested_by == SCHEDULE:
                _refuse_in_place_of_another(tx, run.tenant)
            older = _ROW.where(runs.c.tenant == run.tenant, runs.c.status.in_(REPLACEABLE))
            for row in tx.execute(older.with_for_update()).all():
                self._advance(tx, row, Status.SUPERSEDED, now=run.created, by=run.id)
            tx.execute(insert(runs).values(id=run.id, tenant=run.tenant, snapshot=dict(snapshot), **_changing(run)))
            _journal(tx, run.id, Kind.STATUS, {"status": run.status.value}, now=run.created)
            if "meshstack" not in run.options:
                place = {"landing_zone": run.landing_zone, "workspace": run.workspace, "newest_run": run.id}
                tx.execute(update(tenants).where(tenants.c.tenant == run.tenant).values(**place))
            if run.requested_by != SCHEDULE:
                told = {"behavior": run.behavior.value, "reason": run.reason}
                self._enter(tx, "run-started", run, by=run.requested_by, told=told, now=run.created)
        return run

    def forget(self, *, source: str, keep: int) -> int:
        """Forget runs that came from this source, with journals, reviews and approvals, but for those at work and the newest `keep`; how
        many."""
        done = (*ENDED, Status.WAITING)
        older = select(runs.c.id).where(runs.c.source == source, runs.c.status.in_(done))
        older = older.order_by(runs.c.created.desc(), runs.c.id.desc()).offset(keep).limit(_FORGOTTEN_AT_ONCE)
        with self._database.writing() as tx:
            return _forgotten(tx, older)

    def prune(self, *, before: datetime, keep: int, limit: int = 500) -> int:
        """See Runs."""
        other = runs.alias()
        newer = select(func.count()).where(other.c.tenant == runs.c.tenant, other.c.created > runs.c.created)
        old = select(runs.c.id).where(
            runs.c.status.in_(_CHANGED_NOTHING), runs.c.created < before, newer.scalar_subquery() >= keep
        )
        with self._database.writing() as tx:
            return _forgotten(tx, old.limit(limit))

    def snapshot(self, run_id: str) -> dict[str, Any]:
        with self._database.reading() as tx:
            found: dict[str, Any] | None = tx.execute(
                select(runs.c.snapshot).where(runs.c.id == run_id)
            ).scalar_one_or_none()
        if found is None:
            raise _not_found(run_id)
        return found

    def get(self, run_id: str) -> Run:
        """The run with this id, or with a beginning or (of the newest runs) an ending that no other one has."""
        in_range = (runs.c.id >= run_id) & (runs.c.id < run_id + _LAST)
        where = "begin"
        with self._database.reading() as tx:
            found = tx.execute(_ROW.where(in_range).order_by(runs.c.id).limit(2)).all() if run_id else []
            if not found and len(run_id) >= _SHORTEST_ENDING:
                found, where = tx.execute(_ending(run_id)).all(), "end"
        if not found:
            raise _not_found(run_id)
        if len(found) > 1 and found[0].id != run_id:
            raise InputError(
                "Several runs are meant",
                code="run-ambiguous",
                detail=f"{found[0].id} and {found[1].id} {where} with {run_id}.",
                hint="Give more of the id.",
            )
        return _run(found[0])

    def find(
        self,
        *,
        tenant: str | None = None,
        statuses: Sequence[Status] | None = None,
        reach: Sequence[Grant] | None = None,
        zone: str | None = None,
        before: Run | None = None,
        newest: bool = False,
        limit: int = 50,
    ) -> tuple[Run, ...]:
        query: Select[Any] = _ROW.order_by(runs.c.created.desc(), runs.c.id.desc()).limit(limit)
        if tenant is not None:
            query = query.where(runs.c.tenant == tenant)
        if statuses is not None:
            query = query.where(runs.c.status.in_(statuses))
        if reach is not None:
            query = query.where(reached(reach, zone=runs.c.landing_zone, workspace=runs.c.workspace))
        if zone is not None:
            query = query.where(runs.c.landing_zone == zone)
        if before is not None:
            query = query.where(tuple_(runs.c.created, runs.c.id) < (before.created, before.id))
        if newest:
            later = runs.alias()
            since = tuple_(later.c.created, later.c.id) > tuple_(runs.c.created, runs.c.id)
            query = query.where(~exists().where(later.c.tenant == runs.c.tenant, since))
        with self._database.reading() as tx:
            return tuple(_run(row) for row in tx.execute(query))

    def unclaimed(self, *, limit: int) -> tuple[Run, ...]:
        query = _ROW.where(runs.c.status == Status.PENDING, runs.c.executor == "")
        query = query.order_by(runs.c.requested_by == SCHEDULE, runs.c.created, runs.c.id).limit(limit)
        with self._database.reading() as tx:
            return tuple(_run(row) for row in tx.execute(query))

    def to_apply(self, *, limit: int) -> tuple[Run, ...]:
        query = _ROW.where(runs.c.status == Status.APPROVED, runs.c.apply)
        query = query.order_by(runs.c.requested_by == SCHEDULE, runs.c.created, runs.c.id).limit(limit)
        with self._database.reading() as tx:
            return tuple(_run(row) for row in tx.execute(query))

    def waiting(
        self,
        reach: Sequence[Grant],
        *,
        zone: str | None = None,
        risky: bool = False,
        after: Run | None = None,
        limit: int = 100,
    ) -> tuple[Run, ...]:
        order = (runs.c.risks.desc(), runs.c.created, runs.c.id)
        query = _ROW.where(
            runs.c.status == Status.WAITING, reached(reach, zone=runs.c.landing_zone, workspace=runs.c.workspace)
        )
        if zone is not None:
            query = query.where(runs.c.landing_zone == zone)
        if risky:
            query = query.where(runs.c.risks > 0)
        if after is not None:
            younger = tuple_(runs.c.created, runs.c.id) > (after.created, after.id)
            query = query.where(or_(runs.c.risks < after.risks, and_(runs.c.risks == after.risks, younger)))
        with self._database.reading() as tx:
            return tuple(_run(row) for row in tx.execute(query.order_by(*order).limit(limit)))

    def move(
        self,
        run_id: str,
        to: Status,
        *,
        now: datetime,
        failure: Failure | None = None,
        executor: str | None = None,
        by: str = "",
    ) -> Run:
        try:
            with self._database.writing() as tx:
                row = self._hold(tx, run_id)
                self._refuse_take_over(row, to, executor)
                if to is Status.APPLYING and row.status is Status.APPROVED:
                    _refuse_unapproved(tx, row, now)
                return self._advance(tx, row, to, now=now, failure=failure, executor=executor, by=by)
        except IntegrityError:
            raise self._tenant_busy(run_id) from None

    def take_over(self, run_id: str, *, dead: str, executor: str, now: datetime) -> bool:
        """Make `executor` the run's, atomically; False when it is not the dead one's any more, has ended, or that one lives."""
        with self._database.writing() as tx:
            row = self._hold(tx, run_id)
            if row.status not in OPEN or row.executor != dead or self._liveness.alive(dead):
                return False
            tx.execute(update(runs).where(runs.c.id == run_id).values(executor=executor, updated=now))
        return True

    def note(
        self,
        run_id: str,
        *,
        engine: EngineProcess | None = None,
        digest: str | None = None,
        warnings: int | None = None,
        risks: int | None = None,
        counts: Mapping[str, int] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Run:
        with self._database.writing() as tx:
            run = _run(_locked(tx, run_id))
            facts: dict[str, Any] = {"engine": engine, "digest": digest, "warnings": warnings, "risks": risks}
            facts["counts"] = dict(counts) if counts is not None else None
            facts["options"] = {**run.options, **options} if options is not None else None
            noted = run.model_copy(update={name: fact for name, fact in facts.items() if fact is not None})
            _keep(tx, noted)
            if noted.digest != run.digest:
                _void(tx, run_id, unless=noted.digest)
        return noted

    def append(self, run_id: str, kind: Kind, data: Mapping[str, Any], *, now: datetime) -> Event:
        with self._database.writing(durable=kind not in _INFORMS) as tx:
            return _journal(tx, run_id, kind, data, now=now)

    def append_log(self, run_id: str, lines: Sequence[Mapping[str, Any]], *, now: datetime) -> None:
        entries = [{"of": run_id, "given_at": now, "given_kind": Kind.LOG, "given_data": dict(line)} for line in lines]
        if entries:
            with self._database.writing(durable=False) as tx:
                _hold_journal(tx, run_id)
                if tx.execute(_ENTER, entries).rowcount == 0:
                    raise _not_found(run_id)

    def standing(self, run_ids: Sequence[str]) -> dict[str, tuple[Status, int]]:
        found: dict[str, tuple[Status, int]] = {}
        with self._database.reading() as tx:
            for first in range(0, len(run_ids), _AT_ONCE):
                rows = tx.execute(_STANDING, {"some": run_ids[first : first + _AT_ONCE]})
                found.update({row.id: (row.status, row.seq or 0) for row in rows})
        return found

    def events(
        self, run_id: str, *, after: int = 0, limit: int | None = None, kinds: Collection[Kind] | None = None
    ) -> tuple[Event, ...]:
        query = select(events).where(events.c.run == run_id, events.c.seq > after).order_by(events.c.seq).limit(limit)
        if kinds is not None:
            query = query.where(events.c.kind.in_(sorted(kinds)))
        with self._database.reading() as tx:
            return tuple(Event(seq=row.seq, at=row.at, kind=row.kind, data=row.data) for row in tx.execute(query))

    def request_cancel(self, run_id: str, *, by: str, now: datetime) -> Run:
        with self._database.writing() as tx:
            row = self._hold(tx, run_id)
            if row.status not in EXECUTING:
                return self._advance(tx, row, Status.CANCELED, now=now, by=by)
            tx.execute(update(runs).where(runs.c.id == run_id).values(cancel_requested=True))
            run = _run(row)
            self._enter(tx, "run-cancel-asked", run, by=by, told={"status": run.status.value}, now=now)
            return run

    def ask_apply(self, run_id: str, *, options: Mapping[str, Any], by: str, now: datetime) -> Run:
        with self._database.writing() as tx:
            run = _run(self._hold(tx, run_id))
            if run.status is not Status.APPROVED:
                raise Refused(
                    "The run is not approved",
                    code="run-not-approved",
                    detail=f"Run {run.id} is {run.status}.",
                    hint=f"lzr review {run.id}",
                )
            asked = run.model_copy(update={"options": {**run.options, **options}})
            _keep(tx, asked)
            self._enter(tx, "run-apply-asked", run, by=by, told={"digest": run.digest}, now=now)
        return asked

    def cancel_requested(self, run_id: str) -> bool:
        """Whether somebody asked; a run that nobody knows was not asked about."""
        with self._database.reading() as tx:
            return bool(tx.execute(select(runs.c.cancel_requested).where(runs.c.id == run_id)).scalar_one_or_none())

    def keep_review(self, run_id: str, *, digest: str, review: Mapping[str, Any]) -> None:
        with self._database.writing() as tx:
            row = _locked(tx, run_id)
            replaced = or_(reviews.c.digest != row.digest, reviews.c.digest == digest)
            tx.execute(delete(reviews).where(reviews.c.run == run_id, replaced))
            tx.execute(insert(reviews).values(run=run_id, digest=digest, review=dict(review)))

    def review(self, run_id: str, *, digest: str | None = None) -> dict[str, Any] | None:
        which = runs.c.digest if digest is None else digest
        query = select(reviews.c.review).join(runs).where(runs.c.id == run_id, reviews.c.digest == which)
        with self._database.reading() as tx:
            found: dict[str, Any] | None = tx.execute(query).scalar_one_or_none()
        return found

    def approve(self, approval: Approval, *, now: datetime) -> Run:
        with self._database.writing() as tx:
            row = self._hold(tx, approval.run)
            _refuse_wrong_approval(row, approval, now)
            _run(row).to(Status.APPROVED, now=now)
            tx.execute(insert(approvals).values(**_fields(approval), voided=False))
            return self._advance(tx, row, Status.APPROVED, now=now, by=approval.by, comment=approval.comment)

    def approvals(self, run_id: str) -> tuple[Approval, ...]:
        """Those that stand, oldest first; the journal keeps who approved what was voided since."""
        query = select(approvals).where(approvals.c.run == run_id, approvals.c.voided.is_(False))
        with self._database.reading() as tx:
            return tuple(_approval(row) for row in tx.execute(query.order_by(approvals.c.id)))

    def approved_invocation(self, tenant: str) -> dict[str, Any] | None:
        query = select(tenants.c.invocation).where(tenants.c.tenant == tenant)
        with self._database.reading() as tx:
            found: dict[str, Any] | None = tx.execute(query).scalar_one_or_none()
        return found

    def keep_approved_invocation(self, tenant: str, invocation: Mapping[str, Any]) -> None:
        with self._database.writing() as tx:
            self._database.hold_tenant(tx, tenant)
            tx.execute(update(tenants).where(tenants.c.tenant == tenant).values(invocation=dict(invocation)))

    def adopted(self, tenant: str) -> dict[str, str]:
        query = select(tenants.c.adopted).where(tenants.c.tenant == tenant)
        with self._database.reading() as tx:
            found: dict[str, str] | None = tx.execute(query).scalar_one_or_none()
        return found or {}

    def keep_adopted(self, tenant: str, groups: Mapping[str, str]) -> None:
        with self._database.writing() as tx:
            known: dict[str, str] = self._database.hold_tenant(tx, tenant).adopted or {}
            tx.execute(update(tenants).where(tenants.c.tenant == tenant).values(adopted={**known, **groups}))

    def applied_documents(self, tenant: str) -> str | None:
        query = select(tenants.c.applied_documents).where(tenants.c.tenant == tenant)
        with self._database.reading() as tx:
            found: str | None = tx.execute(query).scalar_one_or_none()
        return found

    def granted(self, tenant: str) -> dict[str, list[str]]:
        query = select(tenants.c.granted).where(tenants.c.tenant == tenant)
        with self._database.reading() as tx:
            found: dict[str, list[str]] | None = tx.execute(query).scalar_one_or_none()
        return found or {}

    def keep_granted(self, tenant: str, group_id: str, object_id: str, *, granted: bool) -> None:
        with self._database.writing() as tx:
            known: dict[str, list[str]] = self._database.hold_tenant(tx, tenant).granted or {}
            others = [one for one in known.get(group_id, ()) if one != object_id]
            kept = {**known, group_id: [*others, object_id] if granted else others}
            tx.execute(update(tenants).where(tenants.c.tenant == tenant).values(granted=kept))

    def _advance(
        self,
        tx: Connection,
        row: Row[Any],
        to: Status,
        *,
        now: datetime,
        failure: Failure | None = None,
        executor: str | None = None,
        by: str = "",
        comment: str = "",
    ) -> Run:
        """Take the step, and the one that follows by itself; journal both. An approval that was not used is void then, and a plan
        that can no longer be applied is not kept."""
        run = _run(row)
        path = (to, *_at_once(tx, row, to))
        moved = run
        for status in path:
            moved = moved.to(status, now=now, failure=failure)
        if executor is not None:
            moved = moved.model_copy(update={"executor": executor})
        _keep(tx, moved)
        for status in path:
            _journal(tx, run.id, Kind.STATUS, {"status": status.value} | ({"by": by} if by else {}), now=now)
        if any(a is Status.APPROVED and b is not Status.APPLYING for a, b in pairwise((run.status, *path))):
            _void(tx, run.id)
        _note_of_tenant(tx, moved, now)
        if moved.status in ENDED:
            tx.execute(delete(bundles).where(bundles.c.run == run.id))
            tx.execute(delete(holdings).where(holdings.c.run == run.id, holdings.c.stage == Stage.RESERVED))
        for status in path:
            self._enter_step(tx, run.status, status, moved, by=by, comment=comment, now=now)
        return moved

    def _enter_step(
        self, tx: Connection, before: Status, to: Status, moved: Run, *, by: str, comment: str, now: datetime
    ) -> None:
        """What somebody decided, and what was done to Azure; not that nothing had to be done."""
        decided = by and to in _DECISIONS
        if decided or to in _EFFECTS or before is Status.APPLYING:
            failure = moved.failure
            told = {"digest": moved.digest, "comment": comment, "failure": failure.code if failure else ""}
            if failure is not None and to is Status.REJECTED:
                told["comment"] = failure.detail
            self._enter(tx, f"run-{to}", moved, by=by if decided else moved.executor, told=told, now=now)

    def _enter(self, tx: Connection, what: str, run: Run, *, by: str, told: Mapping[str, str], now: datetime) -> None:
        details = {name: text for name, text in told.items() if text}
        self._database.audit.enter(
            tx, what, by=by, about=run.id, tenant=run.tenant, zone=run.landing_zone, details=details, now=now
        )

    def _hold(self, tx: Connection, run_id: str) -> Row[Any]:
        """The run's row, after its tenant's: in this order everywhere, so that two who write never wait for each other."""
        tenant = tx.execute(select(runs.c.tenant).where(runs.c.id == run_id)).scalar_one_or_none()
        if tenant is None:
            raise _not_found(run_id)
        self._database.hold_tenant(tx, tenant)
        return _locked(tx, run_id)

    def _refuse_take_over(self, row: Row[Any], to: Status, executor: str | None) -> None:
        claims = executor is not None or to in EXECUTING
        elsewhere = claims and row.status in EXECUTING and row.executor != executor
        if elsewhere and self._liveness.alive(row.executor):
            raise Refused(
                "Another process executes the run",
                code="run-executed-elsewhere",
                detail=f"{row.executor} executes run {row.id} and is alive.",
                hint=f"lzr run {row.id}",
            )

    def _tenant_busy(self, run_id: str) -> Refused:
        tenant = self.get(run_id).tenant
        others = self.find(tenant=tenant, statuses=tuple(EXECUTING))
        named = f"run {others[0].id} ({others[0].status})" if others else "another run"
        return Refused(
            "Another run of the tenant executes",
            code="tenant-busy",
            detail=f"{tenant} is held by {named}.",
            hint="Wait for it to end, or cancel it.",
        )


def _at_once(tx: Connection, row: Row[Any], to: Status) -> tuple[Status, ...]:
    """What becomes of a run that would wait now: nothing else, or its end."""
    if row.status is not Status.PLANNING or to not in REPLACEABLE:
        return ()
    if row.cancel_requested:
        return (Status.CANCELED,)
    newer = select(runs.c.id).where(runs.c.tenant == row.tenant, runs.c.status.in_(REPLACEABLE), runs.c.id != row.id)
    return (Status.SUPERSEDED,) if tx.execute(newer).first() else ()


def _note_of_tenant(tx: Connection, run: Run, now: datetime) -> None:
    """What lists of tenants tell without looking into any run."""
    known = update(tenants).where(tenants.c.tenant == run.tenant)
    if run.status in ENDED_WELL:
        versions = run.options.get(VERSIONS)
        tx.execute(known.values(settled=now, drifted=None, applied_documents=run.documents, versions=versions))
    elif run.status is Status.WAITING and run.options.get(DRIFTED):
        tx.execute(known.where(tenants.c.drifted.is_(None)).values(drifted=now))


def _forgotten(tx: Connection, chosen: Select[Any]) -> int:
    gone = list(tx.execute(chosen).scalars())
    for table in (events, reviews, approvals, bundles):
        tx.execute(delete(table).where(table.c.run.in_(gone)))
    tx.execute(delete(runs).where(runs.c.id.in_(gone)))
    return len(gone)


def _keep(tx: Connection, run: Run) -> None:
    tx.execute(update(runs).where(runs.c.id == run.id).values(_changing(run)))


def _changing(run: Run) -> dict[str, Any]:
    return {**run.model_dump(exclude={"id", "tenant"}), "apply": bool(run.options.get(APPLY))}


def _journal(tx: Connection, run_id: str, kind: Kind, data: Mapping[str, Any], *, now: datetime) -> Event:
    _hold_journal(tx, run_id)
    entry = {"of": run_id, "given_at": now, "given_kind": kind, "given_data": dict(data)}
    seq = tx.execute(_ENTER_ONE, entry).scalar_one_or_none()
    if seq is None:
        raise _not_found(run_id)
    return Event(seq=seq, at=now, kind=kind, data=dict(data))


def _hold_journal(tx: Connection, run_id: str) -> None:
    """Let nobody else add to it. On SQLite nobody can: this transaction is the only one that writes."""
    if tx.dialect.name != "sqlite":
        tx.execute(_HELD_FOR_JOURNAL, {"of": run_id})


def _void(tx: Connection, run_id: str, *, unless: str | None = None) -> None:
    standing = update(approvals).where(approvals.c.run == run_id, approvals.c.voided.is_(False))
    if unless is not None:
        standing = standing.where(approvals.c.digest != unless)
    tx.execute(standing.values(voided=True))


def _locked(tx: Connection, run_id: str) -> Row[Any]:
    row = tx.execute(_ROW.where(runs.c.id == run_id).with_for_update()).one_or_none()
    if row is None:
        raise _not_found(run_id)
    return row


def _refuse_in_place_of_another(tx: Connection, tenant: str) -> None:
    if tx.execute(select(runs.c.id).where(runs.c.tenant == tenant, runs.c.status.in_(OPEN)).limit(1)).first():
        raise Refused(
            "Another run is open",
            code="run-open",
            detail=f"{tenant} has a run that is not over, and none by schedule takes its place.",
            hint="The schedule looks again by itself.",
        )


def _refuse_wrong_approval(row: Row[Any], approval: Approval, now: datetime) -> None:
    if not row.digest or row.digest != approval.digest:
        raise Refused(
            "The approval is for another plan",
            code="approval-for-another-digest",
            detail=f"Run {row.id} has digest {row.digest or '(none yet)'}; approved was {approval.digest}.",
            hint=f"Look at what the run will do now: lzr run {row.id}",
        )
    if approval.expires <= now:
        raise Refused(
            "The approval has expired already",
            code="approval-expired",
            detail=f"It was good until {approval.expires.isoformat()}.",
            hint="Approve again.",
        )


def _refuse_unapproved(tx: Connection, row: Row[Any], now: datetime) -> None:
    standing = select(approvals.c.id).where(
        approvals.c.run == row.id,
        approvals.c.digest == row.digest,
        approvals.c.voided.is_(False),
        approvals.c.expires > now,
    )
    if tx.execute(standing).first() is None:
        raise Refused(
            "The run has no approval that stands",
            code="run-not-approved",
            detail=f"Run {row.id} may not be applied: its approval has expired, or is for something else.",
            hint=f"lzr run {row.id}",
        )


def _ending(end: str) -> Select[Any]:
    """Up to two runs whose ids end so. No index leads there, so not all ids that ever were are looked through."""
    newest = select(runs.c.id).order_by(runs.c.id.desc()).limit(_LOOKED_THROUGH).subquery()
    last = func.substr(newest.c.id, func.length(newest.c.id) - len(end) + 1, type_=runs.c.id.type)
    return _ROW.join(newest, newest.c.id == runs.c.id).where(last == end).order_by(runs.c.id).limit(2)


def _same(kept: Run, asked: Run) -> Run:
    if (kept.tenant, kept.created, kept.requested_by) == (asked.tenant, asked.created, asked.requested_by):
        return kept
    raise Refused("There is a run with this id", code="run-exists", detail=f"Run {kept.id} is another one.")


def _run(row: Row[Any]) -> Run:
    return Run.model_validate({name: getattr(row, name) for name in _FIELDS})


def _fields(approval: Approval) -> dict[str, Any]:
    return {name: getattr(approval, name) for name in Approval.__dataclass_fields__}


def _approval(row: Row[Any]) -> Approval:
    return Approval(**{name: getattr(row, name) for name in Approval.__dataclass_fields__})


def _not_found(run_id: str) -> InputError:
    return InputError("There is no such run", code="run-not-found", detail=f"No run is {run_id!r}.", hint="lzr runs")
