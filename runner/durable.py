"""Runs as durable workflows: `plan_run` and `apply_run` on DBOS, one run per tenant at a time.

Each process has its own executor id, holds its liveness lock and listens to a queue of its own, so a run is executed by the process
somebody started it in, with that process's credentials and settings. Only runs of executors whose lock is free are taken over.
Queues are kept in the database and reused by number; a queue that is not there yet is noticed by DBOS only after a second. What a
dead process left in one is taken out of it before anybody listens to it again.

The run's row says whose it is, and only the row: a workflow that is begun twice finds there that the run is not its own. Before a
process is left, everything it has at work comes to rest, for nobody would serve its engines' states any more.

What DBOS keeps is JSON of references: run ids, step names, results of steps (object ids, group ids, statuses). An error inside a step is
recorded as a failure's words, never as an exception. DBOS's recovery at launch looks for its own executor id, which is new, so
it finds nothing: takeover is this module's (`take_over`).
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import datetime
from itertools import count
from typing import Any, Self

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError

from runner.app import recovery
from runner.app.applying import apply_run
from runner.app.journal import failure_of
from runner.app.planning import plan_run
from runner.app.walk import Interrupted, Ports, Prepared, begin, end_badly
from runner.domain.run import SCHEDULED, Failure, Run, Status
from runner.errors import Canceled, EngineFailed, InputError, Refused, RemoteFailed, RunnerError
from runner.imports import only_named, put_off
from runner.ports import Liveness
from runner.store.database import explained

with (
    put_off("psycopg", "errors"),  # SQLite does without
    only_named("sqlalchemy.orm", "Session", "sessionmaker"),  # for DBOS's datasources, which are not used here
    only_named("sqlalchemy.ext.asyncio", "AsyncConnection", "AsyncEngine", "AsyncSession", "async_sessionmaker"),
):
    from dbos import DBOS, DBOSClient, DBOSConfig, Serializer, SetEnqueueOptions, SetWorkflowID

# Changes only when the order of steps in a workflow changes. Runs in flight of another version are settled and planned afresh.
APPLICATION_VERSION = "1"
_APPLICATION = "landing-zone-runner"
_LOOK_FOR_CANCEL = 0.5  # seconds
_NOTICE = 0.05  # seconds until a flag of this process is seen
_POLL = 0.1  # seconds between looks into the queue; what waits there waits for an engine as well
_CONNECTIONS = 8  # to DBOS's database beside those of the workers, for its own threads
_LEAVE = 0.03  # seconds between DBOS's looks at whether it is to end
_AT_ONCE = 2  # runs for each worker: one that has the engine, and one that looks around before it or calls the function after it
_AWAY = 1.0  # between tries to reach a store that is away
_STOPPED = "stopped"  # option of a run whose process was asked to stop while it was applied
_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
_FAMILIES: dict[str, type[RunnerError]] = {
    family.family: family for family in (InputError, Refused, EngineFailed, RemoteFailed, Canceled, Interrupted)
}


class JsonSerializer(Serializer):
    """DBOS's default is pickle, which runs code when read; everything kept here is plain JSON."""

    def serialize(self, data: Any) -> str:
        return json.dumps(data, default=lambda value: {"unserializable": type(value).__name__})

    def deserialize(cls, serialized_data: str) -> Any:  # noqa: N805 - DBOS names it so
        return json.loads(serialized_data)

    def name(self) -> str:
        return "json"


class Durable:
    """Starts runs as workflows in this process, carries cancellation to them, and takes over what dead processes left.

    One per process: DBOS is global.
    """

    def __init__(
        self, *, ports: Ports, liveness: Liveness, database_url: str, engine: Engine | None, workers: int
    ) -> None:
        self.ports = ports
        self.liveness = liveness
        self.queue = ""
        self.taken: set[str] = set()  # runs that were taken over here, and those that continue them
        self._workers = workers
        self._database_url = database_url
        self._engine = engine
        self._stops: dict[str, threading.Event] = {}
        self._stopping = False
        self._wish_kept: set[str] = set()  # runs of which the store knows that they are to stop
        self._at_work: set[str] = set()
        self._plans: deque[tuple[str, Run, str]] = deque()  # in this process and not yet in the queue
        self._applies: deque[tuple[str, Run, str]] = deque()
        self._scheduled: deque[tuple[str, Run, str]] = deque()
        self._scheduled_at_work: set[str] = set()
        self._rest = threading.Condition()
        self._closing = threading.Event()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        global _active
        self._stack.enter_context(self.liveness.hold(self.ports.executor))
        logging.getLogger("dbos").setLevel(logging.ERROR)
        self.queue = self._claim_queue()
        self._prepare_queue()
        config: DBOSConfig = {
            "name": _APPLICATION,
            "system_database_url": self._database_url,
            "system_database_engine": self._engine,
            "db_engine_kwargs": {"pool_size": _CONNECTIONS + _AT_ONCE * self._workers},
            "application_version": APPLICATION_VERSION,
            "executor_id": self.ports.executor,
            "serializer": JsonSerializer(),
            "log_level": "ERROR",
            "use_listen_notify": False,
            "notification_listener_polling_interval_sec": _LEAVE,  # nobody listens, yet leaving waits for one round of it
        }
        with explained():
            DBOS(config=config)
            DBOS.listen_queues([self.queue])
            DBOS.launch()
        _active = self
        watcher = threading.Thread(target=self._watch_for_cancel, name="watch-for-cancel", daemon=True)
        watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        global _active
        self.rest()
        self._closing.set()
        DBOS.destroy()
        _active = None
        self._stack.close()

    def plan(self, run: Run) -> None:
        """Have the pending run planned."""
        self._enqueue("plan", run)

    def apply(self, run: Run) -> None:
        """Have the approved run applied. It is this process's from here on, or it ends with the reason why it may not be applied.

        Refused when another process was quicker.
        """
        begun = begin(run.id, Status.APPLYING, self.ports)
        if begun.status is not Status.APPLYING:
            return
        if begun.executor != self.ports.executor:
            raise Refused(
                "Another process executes the run",
                code="run-executed-elsewhere",
                detail=f"{begun.executor} began to apply run {run.id} before.",
                hint=f"lzr run {run.id} --follow",
            )
        self._enqueue("apply", begun)

    def will_apply(self, run: Run) -> bool:
        """Whether this process applies the approved run by itself, because it continues an interrupted one."""
        return "continues" in run.options and run.executor == self.ports.executor

    def stop_all(self) -> None:
        """Ask every run of this process to stop, also those that have not begun; each ends in its own time.

        Safe in a signal handler: it takes no lock, for the interrupted thread may hold it. The store learns of it a moment later.
        """
        self._stopping = True

    @property
    def stopping(self) -> bool:
        """Whether this process was asked to stop."""
        return self._stopping

    @property
    def working(self) -> bool:
        """Whether anything is at work here, or about to be. Safe in a signal handler as well."""
        return bool(self._at_work or self._plans or self._applies or self._scheduled)

    @property
    def room(self) -> bool:
        """Whether another run would soon begin here."""
        return len(self._at_work) + len(self._plans) + len(self._applies) < _AT_ONCE * self._workers

    @property
    def room_for_scheduled(self) -> bool:
        """Whether a run that nobody asked for would soon begin here."""
        return len(self._scheduled_at_work) + len(self._scheduled) < self._most_scheduled

    @property
    def _most_scheduled(self) -> int:
        return max(1, _AT_ONCE * self._workers // 2)

    def rest(self) -> None:
        """Wait until nothing that was begun in this process is at work any more."""
        with self._rest:
            self._rest.wait_for(lambda: not self.working)

    def forget(self, *, before: datetime, limit: int = 500) -> int:
        """Forget workflows that ended before this moment; how many. Their runs tell all there is to know, and none of them is resumed."""
        with explained():
            ended = DBOS.list_workflows(
                status=["SUCCESS", "ERROR", "CANCELLED"],
                completed_before=before.isoformat(),
                limit=limit,
                load_input=False,
                load_output=False,
            )
            if ended:
                DBOS.delete_workflows([one.workflow_id for one in ended])
        return len(ended)

    def take_over(self) -> tuple[Run, ...]:
        """Go on with the runs whose process died; which they are. Each is taken by one process only."""
        taken = []
        for run in recovery.orphans(self.ports, self.liveness):
            if not self.ports.runs.take_over(
                run.id, dead=run.executor, executor=self.ports.executor, now=self.ports.now()
            ):
                continue
            self.taken.add(run.id)  # before: what continues it may be there at once
            if run.status is Status.APPROVED:
                self.apply(run)
            else:
                self._resume("apply" if run.status is Status.APPLYING else "plan", run)
            taken.append(run)
        return tuple(taken)

    def stop_of(self, run_id: str) -> threading.Event:
        stop = self._stops.setdefault(run_id, threading.Event())
        if self._asked_to_stop(run_id) or self.ports.runs.get(run_id).options.get(_STOPPED):
            stop.set()
        return stop

    def stop_anew(self, run_id: str) -> threading.Event:
        """For a run that was stopped before: set only when somebody asks once more."""
        stop = self._stops[run_id] = threading.Event()
        return stop

    def ended(self, kind: str, run_id: str) -> None:
        self._stops.pop(run_id, None)
        self._ended(f"{kind}-{run_id}")
        self._feed()

    def _resume(self, kind: str, run: Run) -> None:
        """Go on with a dead process's workflow where it stopped; with a new one where there is none to go on with."""
        name = f"{kind}-{run.id}"
        found = DBOS.get_workflow_status(name)
        if found is None:  # the process died between the row and the workflow
            self._enqueue(kind, run)
        elif found.status in ("SUCCESS", "ERROR"):
            self._enqueue(kind, run, suffix=f"-{self.ports.executor}")
        else:
            with self._rest:
                self._at_work.add(name)
            try:
                with explained():
                    DBOS.resume_workflow(name, queue_name=self.queue)
            except BaseException:
                self._ended(name)
                raise

    def _enqueue(self, kind: str, run: Run, *, suffix: str = "") -> None:
        """Have it begin in its turn: what is to be applied goes first, so that one tenant is finished before the next begins; what nobody
        asked for goes last, and never takes more than half of the places."""
        turn = self._applies if kind == "apply" else self._scheduled if run.options.get(SCHEDULED) else self._plans
        with self._rest:
            turn.append((kind, run, suffix))
        self._feed()

    def _feed(self) -> None:
        """Give DBOS no more than it can soon begin: it looks through all of its queue many times a second."""
        while True:
            with self._rest:
                waiting = self._applies or self._plans
                if not waiting and len(self._scheduled_at_work) < self._most_scheduled:
                    waiting = self._scheduled
                if not waiting or len(self._at_work) >= _AT_ONCE * self._workers:
                    return
                kind, run, suffix = waiting.popleft()
                name = f"{kind}-{run.id}"
                self._at_work.add(name)
                if run.options.get(SCHEDULED):
                    self._scheduled_at_work.add(name)
            workflow = _plan_workflow if kind == "plan" else _apply_workflow
            options = SetEnqueueOptions(queue_partition_key=run.tenant)
            try:
                with explained(), SetWorkflowID(name + suffix), options:
                    DBOS.enqueue_workflow(self.queue, workflow, run.id)
            except Exception as error:  # noqa: BLE001 - the end of a run that could not even begin
                _end(run.id, error, self)
                self._ended(name)

    def _ended(self, name: str) -> None:
        with self._rest:
            self._at_work.discard(name)
            self._scheduled_at_work.discard(name)
            self._rest.notify_all()

    def _claim_queue(self) -> str:
        """The first queue that no living process listens to; its number is held like an executor's id."""
        for number in count(1):
            name = f"runs-{number}"
            if self.liveness.alive(name):
                continue
            try:
                self._stack.enter_context(self.liveness.hold(name))
            except Refused:
                continue
            return name
        raise AssertionError("count() ends")

    def _prepare_queue(self) -> None:
        """Have the queue there before DBOS is launched, which notices a new one only after a second, and have it empty."""
        client = DBOSClient(
            system_database_url=self._database_url,
            system_database_engine=self._engine,
            application_name=_APPLICATION,
            serializer=JsonSerializer(),
            lazy=True,
            retry_connection_errors=False,
        )
        try:
            try:
                self._register_queue(client)
            except DatabaseError:  # no process has made its tables yet; where the database is away, this says so
                DBOS.migrate(self._database_url)
                self._register_queue(client)
            # What a dead process left would begin here by itself, or hold its tenant's place for ever.
            left = client.list_workflows(
                queue_name=self.queue, status=["PENDING", "ENQUEUED"], load_input=False, load_output=False
            )
            client.cancel_workflows([found.workflow_id for found in left])
        finally:
            client.destroy()

    def _register_queue(self, client: DBOSClient) -> None:
        client.register_queue(
            self.queue,
            worker_concurrency=_AT_ONCE * self._workers,
            partition_concurrency=1,
            polling_interval_sec=_POLL,
        )

    def _watch_for_cancel(self) -> None:
        stopping = False
        while self._pause(stopping):
            stopping = self._stopping
            with suppress(RemoteFailed):  # a store that is away is asked again
                for run_id, stop in list(self._stops.items()):
                    if not stop.is_set() and self._asked_to_stop(run_id):
                        stop.set()
                if stopping:
                    self._keep_wish_to_stop()

    def _pause(self, stopping: bool) -> bool:
        """Wait until it is time to look again, or this process is asked to stop; False when it is over."""
        until = time.monotonic() + _LOOK_FOR_CANCEL
        while not self._closing.wait(_NOTICE):  # a signal handler can do no more than set a flag
            if time.monotonic() >= until or self._stopping is not stopping:
                return True
        return False

    def _keep_wish_to_stop(self) -> None:
        """Have the store know, once for each run, that it is to stop: this process may be left before the run has ended, and who
        takes the run over must not finish it then.

        With an apply it is noted beside, and not as a request to cancel: that one also tells other machines that the engine of
        the run is gone (`recovery.orphans`), and here the engine may be at work for a while yet.
        """
        for status in (Status.APPLYING, Status.PLANNING, Status.PENDING):
            for run in self.ports.runs.find(statuses=(status,), limit=1000):
                if run.executor != self.ports.executor or run.id in self._wish_kept:
                    continue
                with suppress(Refused):  # it has ended meanwhile
                    if status is Status.APPLYING:
                        self.ports.runs.note(run.id, options={_STOPPED: True})
                    else:
                        self.ports.runs.request_cancel(run.id, by=self.ports.executor, now=self.ports.now())
                self._wish_kept.add(run.id)

    def _asked_to_stop(self, run_id: str) -> bool:
        return self._stopping or self.ports.runs.cancel_requested(run_id)


_active: Durable | None = None


def _durable() -> Durable:
    if _active is None:
        raise RuntimeError("a workflow ran outside its process's Durable")
    return _active


@DBOS.workflow(name="plan_run")
def _plan_workflow(run_id: str) -> str:
    durable = _durable()
    try:
        stop = durable.stop_of(run_id)
        if stop.is_set():
            _end_planning(run_id, durable, stop)
        planned = _once("plan", lambda: plan_run(run_id, durable.ports, stop).model_dump(mode="json"))
        run = Run.model_validate(planned)
        if run.status is Status.APPROVED and durable.will_apply(run):
            durable.apply(run)
        return run.status
    except Exception as error:  # noqa: BLE001 - the end of a run, once more: its own could not be recorded
        return _end(run_id, error, durable)
    finally:
        durable.ended("plan", run_id)


@DBOS.workflow(name="apply_run")
def _apply_workflow(run_id: str) -> str:
    durable = _durable()
    try:
        stop = durable.stop_of(run_id)
        try:
            return apply_run(run_id, durable.ports, stop, _once).status
        except Interrupted:
            return _settle(run_id, durable, stop)
        except Prepared:
            return _continue(durable.ports.runs.get(run_id), durable, end=recovery.end_prepared)
    except Exception as error:  # noqa: BLE001 - as above
        return _end(run_id, error, durable)
    finally:
        durable.ended("apply", run_id)


def _end_planning(run_id: str, durable: Durable, stop: threading.Event) -> None:
    """End the engine of a process that died while it planned a run that is to stop; of any other run there is none yet."""
    run = durable.ports.runs.get(run_id)
    if run.status is Status.PLANNING and run.executor == durable.ports.executor:
        recovery.settle(run, durable.ports, stop)


def _settle(run_id: str, durable: Durable, stop: threading.Event) -> str:
    """Bring an interrupted apply to rest and have it continued."""
    run = durable.ports.runs.get(run_id)
    if run.options.get(_STOPPED):  # its engine was interrupted then, and interrupted twice it abandons its state
        recovery.settle(run, durable.ports, durable.stop_anew(run_id))
        raise Canceled(detail="It had been stopped; the engine is at rest and its state is taken in.")
    recovery.settle(run, durable.ports, stop)
    return _continue(run, durable, end=recovery.end_interrupted)


def _continue(run: Run, durable: Durable, *, end: Callable[[Run, Ports], Run]) -> str:
    """Have the run continued by another one, which is there before this one ends."""
    fresh_id: str = _once("continuation", lambda: new_id())
    fresh = recovery.continuation(run, run_id=fresh_id, ports=durable.ports)
    ended = end(run, durable.ports)
    if fresh.executor == durable.ports.executor:
        if run.id in durable.taken:
            durable.taken.add(fresh.id)
        durable.plan(fresh)
    return ended.status


def _end(run_id: str, error: Exception, durable: Durable) -> str:
    """End a run whose work is over; with a store that is away, as soon as it is back: until then the run would seem at work."""
    while True:
        try:
            return end_badly(durable.ports.runs.get(run_id), error, durable.ports).status
        except RemoteFailed as away:
            if not away.temporary:
                raise
            threading.Event().wait(_AWAY)


def _once(name: str, action: Callable[[], Any]) -> Any:
    """The action's result, recorded: when the workflow runs again after its process died, a finished step is not repeated."""
    raised: list[BaseException] = []

    def step() -> dict[str, Any]:
        try:
            return {"result": action()}
        except BaseException as error:  # noqa: BLE001 - raised again below, outside of what DBOS records
            raised.append(error)
            return {"failure": failure_of(error, redact=_durable().ports.redact).model_dump()}

    answer: dict[str, Any] = DBOS.run_step({"name": name}, step)
    if raised:
        raise raised[0]
    if "failure" in answer:
        raise _revived(Failure.model_validate(answer["failure"]))
    return answer["result"]


def _revived(failure: Failure) -> RunnerError:
    family = _FAMILIES.get(failure.family, RunnerError)
    return family(failure.summary, code=failure.code, detail=failure.detail, hint=failure.hint)


def new_id() -> str:
    """A run id that sorts by time and that a person can type the end of: milliseconds in Crockford's base 32, then chance."""
    number = (time.time_ns() // 1_000_000 << 35) | secrets.randbits(35)
    return "".join(_BASE32[number >> shift & 31] for shift in range(80, -5, -5))
