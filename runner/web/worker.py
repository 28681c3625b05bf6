"""What a server does beside answering: executes runs that wait for anybody, goes on with those of dead servers, and looks at tenants by
schedule. All of it is read off the store, so several servers share it and each may die."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from runner.app import recovery, reviewing
from runner.documents import Documents
from runner.domain.actor import Grant, Role
from runner.domain.landing_zone import NEVER
from runner.domain.run import APPLY, EXECUTING, SCHEDULED, Run
from runner.domain.schedule import at_once, due_at
from runner.durable import Durable
from runner.errors import Refused, RunnerError
from runner.ports import SCHEDULE
from runner.store.opening import Store
from runner.web.gate import LONGEST
from runner.web.server import Server

log = logging.getLogger("lzr")

_SCHEDULER = "scheduler"  # held by the server that looks for tenants that are due
_AT_ONCE = 100  # runs that are looked at with one step
_LOOK = timedelta(minutes=1)
_LOOK_AT_FILES = timedelta(seconds=2)
_TAKE_OVER = timedelta(seconds=5)
_REPEATED = timedelta(days=1)  # how long a request may be sent again under its key
_KEPT_OF_EACH = 10  # newest runs of a tenant, however old
_HISTORY = timedelta(days=1)  # of ended workflows, which nobody reads


class Worker:
    """The background of one server, which executes runs where it has a `durable`. `step` is called about once a second, by one thread."""

    def __init__(self, server: Server, durable: Durable | None, store: Store) -> None:
        self._server = server
        self._durable = durable
        self._store = store
        self._due: dict[str, datetime] = {}
        self.draining = threading.Event()

    def step(self) -> None:
        """Do what is to be done now. What goes wrong is logged and tried again with the next step."""
        self._every("read documents", _LOOK_AT_FILES, self._server.shelf.look)
        if self.draining.is_set():
            return
        if (durable := self._durable) is not None:
            self._every("take over", _TAKE_OVER, durable.take_over)
            self._every("take up", timedelta(0), lambda: self._take_up(durable))
            self._every("sweep", _LOOK, lambda: recovery.sweep(self._server.ports))
            self._every("forget workflows", _LOOK, lambda: durable.forget(before=self._server.now - _HISTORY))
        self._every("expire", _LOOK, self._expire)
        self._every("schedule", _LOOK, self._schedule)
        self._every("forget", _LOOK, self._forget)

    def _every(self, name: str, period: timedelta, work: Callable[[], object]) -> None:
        now = self._server.now
        if now < self._due.get(name, now):
            return
        self._due[name] = now + period
        try:
            work()
        except RunnerError as error:
            log.warning("background_failed", extra={"work": name, "code": error.code, "detail": error.detail})
        except Exception as error:
            log.error("background_failed", exc_info=error, extra={"work": name})

    def _take_up(self, durable: Durable) -> None:
        """Begin what waits for anybody, what people asked for first, as far as there is room."""
        if durable.room:
            self._apply_approved(durable)
        if durable.room:
            self._plan_unclaimed(durable)

    def _apply_approved(self, durable: Durable) -> None:
        for run in self._server.ports.runs.to_apply(limit=_AT_ONCE):
            if "continues" not in run.options and durable.room and self._free(run):
                with suppress(Refused):  # another server was quicker
                    durable.apply(run)

    def _plan_unclaimed(self, durable: Durable) -> None:
        runs = self._server.ports.runs
        for run in runs.unclaimed(limit=_AT_ONCE):
            room = durable.room_for_scheduled if run.options.get(SCHEDULED) else durable.room
            if room and self._free(run) and self._mine(run):
                durable.plan(runs.get(run.id))

    def _free(self, run: Run) -> bool:
        """Whether nothing else executes for the tenant."""
        return not self._server.ports.runs.find(tenant=run.tenant, statuses=tuple(EXECUTING), limit=1)

    def _mine(self, run: Run) -> bool:
        ports = self._server.ports
        return ports.runs.take_over(run.id, dead="", executor=ports.executor, now=ports.now())

    def _expire(self) -> None:
        reviewing.expire(self._server.ports, after=self._server.review_expires)

    def _forget(self) -> None:
        """Keep the store from growing with every day on which nothing changed. A little each time: nobody waits for it."""
        now = self._server.now
        self._server.ports.runs.prune(before=now - self._server.keep_quiet_runs, keep=_KEPT_OF_EACH)
        self._store.sessions.prune(before=now - LONGEST)
        self._store.requests.prune(before=now - _REPEATED)
        self._store.received.prune(before=now)

    def _schedule(self) -> None:
        """Create runs for tenants that are due; one server at a time does it, so that none gets two."""
        with suppress(Refused), self._store.liveness.hold(_SCHEDULER):
            read = self._server.shelf.shelved.read
            if read is None:
                return
            counts = self._server.fleet.zones((Grant(role=Role.VIEWER),))
            for zone in read.zones.values():
                every = zone.spec.reconcile_every
                if every == NEVER:
                    continue
                most = at_once(counts.get(zone.name, 0), every, look=_LOOK)
                for tenant in self._due_in(zone.name, every, most):
                    if tenant in read.tenants:
                        with suppress(Refused):  # it is being deleted
                            self._start(read, tenant)

    def _due_in(self, zone: str, every: timedelta, most: int) -> list[str]:
        now = self._server.now
        found = self._server.fleet.due(zone, before=now - every, limit=4 * most)
        return [name for name, last in found.items() if last is None or due_at(name, last, every) <= now][:most]

    def _start(self, read: Documents, tenant: str) -> None:
        reviewing.start(
            read.for_run(tenant),
            run_id=self._server.new_id(),
            source=self._server.shelf.source,
            by=SCHEDULE,
            ports=self._server.ports,
            reason="by the landing zone's schedule",
            options={SCHEDULED: True, APPLY: True, "asked_by": SCHEDULE},
            anywhere=True,
        )
