"""What a test does with a meshStack that runs in its own process; the same as `/sandbox/…` from outside, and waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from runner.sandbox.meshstack.runs import FINAL
from runner.sandbox.meshstack.wire import Json
from runner.sandbox.meshstack.world import World


class Inside:
    """Orders, looks, faults and waiting. Safe to use from any thread."""

    def __init__(self) -> None:
        self._world_or_none: World | None = None

    @property
    def _world(self) -> World:
        if self._world_or_none is None:
            raise RuntimeError("the sandbox has something in it only once it runs")
        return self._world_or_none

    def enqueue(self, **order: Any) -> str:
        """Queue a run and return its id. The names are those of `documents.Order`, as here or in camelCase."""
        with self._world.changed:
            run = self._world.enqueue(order)
            self._world.changed.notify_all()
            return run.uuid

    def run(self, uuid: str) -> Json:
        """Everything about one run."""
        with self._world.changed:
            return self._world.runs.found(uuid).described()

    def token(self, uuid: str) -> str:
        """The run's own token."""
        with self._world.changed:
            return self._world.runs.found(uuid).token

    def artifact(self, uuid: str) -> bytes | None:
        """The plan that a run left."""
        with self._world.changed:
            return self._world.runs.found(uuid).artifact

    def wait(self, uuid: str, timeout: float = 60, *, until: Callable[[Json], bool] | None = None) -> Json:
        """Wait until a run is over, or until something else is true of it; TimeoutError tells how it stands."""
        enough = until or (lambda run: run["status"] in FINAL)
        ends = time.monotonic() + timeout
        with self._world.changed:
            while not enough(found := self.run(uuid)):
                left = ends - time.monotonic()
                if left <= 0:
                    steps = ", ".join(f"{step['id']} {step['status']}" for step in found["steps"]) or "no steps"
                    raise TimeoutError(f"the run {uuid} is {found['status']} after {timeout:g} s: {steps}")
                self._world.changed.wait(left)
            return found

    def abort(self, uuid: str, *, softly: bool = False) -> None:
        """Abort a run at once; or, softly, when its runner is told by the answer to its next report."""
        with self._world.changed:
            self._world.runs.abort(self._world.runs.found(uuid), softly=softly)
            self._world.changed.notify_all()

    def fault(self, **fault: Any) -> None:
        """Switch on a fault, named as in `faults.Fault`."""
        with self._world.changed:
            self._world.break_something(fault)

    def mend(self) -> None:
        """Switch all faults off."""
        with self._world.changed:
            self._world.faults.clear()

    def next_pipeline(self, conclusion: str = "success", *, polls: int = 3) -> None:
        """Choose how the next pipeline ends, and at which poll."""
        with self._world.changed:
            self._world.pipelines.plan(conclusion, polls)

    def state(self, workspace: str, block: str) -> Json:
        """The Terraform state of a block, its lock, and how often it was written."""
        with self._world.changed:
            return self._world.states.described((workspace, block))

    def put_state(self, workspace: str, block: str, state: Json) -> None:
        """Set the Terraform state of a block."""
        with self._world.changed:
            self._world.states.put((workspace, block), state)

    def hold_lock(self, workspace: str, block: str, info: Json, *, principal: str, run: str = "") -> None:
        """Lock a state for a person, or for a run that has gone. `info` is Terraform's, with its `ID`."""
        with self._world.changed:
            self._world.states.hold((workspace, block), info, principal=principal, run=run)

    def release_lock(self, workspace: str, block: str) -> None:
        """Unlock a state whoever holds it."""
        with self._world.changed:
            self._world.states.release((workspace, block))

    @property
    def complaints(self) -> list[str]:
        """What clients did wrong so far."""
        with self._world.changed:
            return list(self._world.complaints)

    @property
    def log(self) -> list[tuple[str, str, int, str]]:
        """Method, path, status and kind of credential of all calls but those to `/sandbox`; status 0 stands for a cut connection."""
        with self._world.changed:
            return [(entry.method, entry.path, entry.status, entry.who) for entry in self._world.log]

    @property
    def pipelines(self) -> list[Json]:
        """The pipelines that were started, with what was sent."""
        with self._world.changed:
            return [one.described() for one in self._world.pipelines.started]
