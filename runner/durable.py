"""Runs as durable workflows: `plan_run` and `apply_run` on DBOS, one run per tenant at a time.

Each process has its own executor id, holds its liveness lock and listens to a queue of its own, so a run is executed by the process
somebody started it in, with that process's credentials and settings. Only runs of executors whose lock is free are taken over.
Queues are kept in the database and re-used by number; a queue that is not there yet is noticed by DBOS only after a second.

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
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from typing import Any, Self

from dbos import DBOS, DBOSConfig, Serializer, SetEnqueueOptions, SetWorkflowID
from dbos import error as dbos_error

from runner.app import recovery
from runner.app.journal import failure_of
from runner.app.reconcile import Interrupted, Ports, apply_run, end_badly, plan_run
from runner.domain.run import Failure, Run, Status
from runner.errors import Canceled, EngineFailed, InputError, Refused, RemoteFailed, RunnerError
from runner.ports import Liveness

# Changes only when the order of steps in a workflow changes. Runs in flight of another version are settled and planned afresh.
APPLICATION_VERSION = "1"
_LOOK_FOR_CANCEL = 0.3  # seconds
_POLL = 0.05
_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
_FAMILIES: dict[str, type[RunnerError]] = {
    family.family: family for family in (InputError, Refused, EngineFailed, RemoteFailed, Canceled)
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

    def __init__(self, *, ports: Ports, liveness: Liveness, database_url: str, workers: int) -> None:
        self.ports = ports
        self.liveness = liveness
        self.queue = ""
        self._workers = workers
        self._database_url = database_url
        self._stops: dict[str, threading.Event] = {}
        self._closing = threading.Event()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        global _active
        self._stack.enter_context(self.liveness.hold(self.ports.executor))
        self.queue = self._claim_queue()
        logging.getLogger("dbos").setLevel(logging.WARNING)
        config: DBOSConfig = {
            "name": "landing-zone-runner",
            "system_database_url": self._database_url,
            "application_version": APPLICATION_VERSION,
            "executor_id": self.ports.executor,
            "serializer": JsonSerializer(),
            "log_level": "WARNING",
            "use_listen_notify": False,
            "notification_listener_polling_interval_sec": _POLL,  # nobody listens, yet leaving waits for one round of it
        }
        DBOS(config=config)
        DBOS.listen_queues([self.queue])
        DBOS.launch()
        DBOS.register_queue(
            self.queue,
            worker_concurrency=self._workers,
            partition_concurrency=1,
            polling_interval_sec=_POLL,
            on_conflict="always_update",
        )
        self._clear_queue()
        _active = self
        watcher = threading.Thread(target=self._watch_for_cancel, name="watch-for-cancel", daemon=True)
        watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        global _active
        self._closing.set()
        DBOS.destroy()
        _active = None
        self._stack.close()

    def plan(self, run: Run) -> None:
        """Have the pending run planned."""
        self._enqueue("plan", run)

    def apply(self, run: Run) -> None:
        """Have the approved run applied."""
        self._enqueue("apply", run)

    def will_apply(self, run: Run) -> bool:
        """Whether this process applies the approved run by itself, because it continues an interrupted one."""
        return "continues" in run.options and run.executor == self.ports.executor

    def stop_all(self) -> None:
        """Ask every run of this process to stop; each ends in its own time."""
        for stop in list(self._stops.values()):
            stop.set()

    def take_over(self) -> tuple[Run, ...]:
        """Go on with the runs whose process died; which they are. Each is taken by one process only."""
        taken = []
        for run in recovery.orphans(self.ports, self.liveness):
            if not self.ports.runs.take_over(
                run.id, dead=run.executor, executor=self.ports.executor, now=self.ports.now()
            ):
                continue
            kind = "apply" if run.status is Status.APPLYING else "plan"
            try:
                DBOS.resume_workflow(f"{kind}-{run.id}", queue_name=self.queue)
            except dbos_error.DBOSNonExistentWorkflowError:  # it died between the row and the workflow
                self._enqueue(kind, run)
            taken.append(run)
        return tuple(taken)

    def stop_of(self, run_id: str) -> threading.Event:
        return self._stops.setdefault(run_id, threading.Event())

    def forget(self, run_id: str) -> None:
        self._stops.pop(run_id, None)

    def _enqueue(self, kind: str, run: Run) -> None:
        workflow = _plan_workflow if kind == "plan" else _apply_workflow
        with SetWorkflowID(f"{kind}-{run.id}"), SetEnqueueOptions(queue_partition_key=run.tenant):
            DBOS.enqueue_workflow(self.queue, workflow, run.id)

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

    def _clear_queue(self) -> None:
        """What a dead process had begun from this queue would hold its tenants' places in it for ever; `take_over` resumes it."""
        for found in DBOS.list_workflows(queue_name=self.queue, status="PENDING", load_input=False, load_output=False):
            if found.executor_id != self.ports.executor:
                DBOS.cancel_workflow(found.workflow_id)

    def _watch_for_cancel(self) -> None:
        while not self._closing.wait(_LOOK_FOR_CANCEL):
            for run_id, stop in list(self._stops.items()):
                if not stop.is_set() and self.ports.runs.cancel_requested(run_id):
                    stop.set()


_active: Durable | None = None


def _durable() -> Durable:
    if _active is None:
        raise RuntimeError("a workflow ran outside its process's Durable")
    return _active


@DBOS.workflow(name="plan_run")
def _plan_workflow(run_id: str) -> str:
    durable = _durable()
    try:
        planned = _once(
            "plan", lambda: plan_run(run_id, durable.ports, durable.stop_of(run_id)).model_dump(mode="json")
        )
    finally:
        durable.forget(run_id)
    run = Run.model_validate(planned)
    if run.status is Status.APPROVED and durable.will_apply(run):
        durable.apply(run)
    return run.status


@DBOS.workflow(name="apply_run")
def _apply_workflow(run_id: str) -> str:
    durable = _durable()
    stop = durable.stop_of(run_id)
    try:
        return apply_run(run_id, durable.ports, stop, _once).status
    except Interrupted:
        return _settle(run_id, durable, stop)
    finally:
        durable.forget(run_id)


def _settle(run_id: str, durable: Durable, stop: threading.Event) -> str:
    run = durable.ports.runs.get(run_id)
    try:
        settled = recovery.settle(run, durable.ports, stop)
        fresh_id: str = _once("continuation", lambda: new_id())
        durable.plan(recovery.continuation(settled, run_id=fresh_id, ports=durable.ports))
    except RunnerError as error:
        return end_badly(run, error, durable.ports).status
    return settled.status


def _once(name: str, action: Callable[[], Any]) -> Any:
    """The action's result, recorded: when the workflow runs again after its process died, a finished step is not repeated."""
    raised: list[BaseException] = []

    def step() -> dict[str, Any]:
        try:
            return {"result": action()}
        except BaseException as error:  # noqa: BLE001 - raised again below, outside of what DBOS records
            raised.append(error)
            return {"failure": failure_of(error).model_dump()}

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
