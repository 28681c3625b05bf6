"""The agent: claims runs as long as it has a slot, executes each in a thread, a directory and process groups of its own, and leaves none
of them behind.

Whoever starts after an agent that died finds what that one had claimed, and reports it as failed: nothing of it is done again.
"""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic

from runner.agent import lost
from runner.agent.kit import Kit
from runner.agent.one_run import Execution, Working
from runner.agent.record import SOURCE
from runner.errors import Canceled, RunnerError
from runner.logs import NAME
from runner.store.claims import KeptClaim

_LOG = logging.getLogger(NAME)
_PRUNE_EVERY = 20  # runs
_AT_ONCE = 10  # claims in a cycle of an agent without a limit


@dataclass
class Agent:
    """One agent. `stop` ends it: no more claims, then a grace for the runs at work, then they are stopped."""

    kit: Kit
    stop: threading.Event
    hurry: threading.Event = field(default_factory=threading.Event)
    _work: dict[int, Working] = field(default_factory=dict)
    _free: threading.Condition = field(default_factory=threading.Condition)
    _last_claim: datetime | None = None
    _lost: set[str] = field(default_factory=set)
    _ended: int = 0

    # --- the loop

    def poll(self) -> None:
        """Claim and execute until `stop`, then drain."""
        while not self.stop.is_set():
            try:
                self._recover()
                pause = self._claim_some()
            except RunnerError as error:  # the store is away: nothing is claimed that could not be kept
                _LOG.error("agent_waits", extra={"code": error.code, "detail": error.detail, "hint": error.hint})
                pause = self.kit.tools.config.error_seconds
            if pause:
                self.stop.wait(pause)
        self._drain()

    def _claim_some(self) -> float:
        """Claim while there are slots and runs; the seconds to wait then."""
        config = self.kit.tools.config
        for _ in range(_AT_ONCE if config.max_concurrent_runs < 0 else config.slots):
            slot = self._slot()
            if slot is None:
                with self._free:
                    self._free.wait(1.0)
                return 0.0
            try:
                content = self.kit.tools.api.claim()
            except Canceled:
                return 0.0
            except RunnerError as error:
                self.kit.metrics.claims.labels("failed").inc()
                _LOG.error("claim_failed", extra={"code": error.code, "detail": error.detail, "hint": error.hint})
                return config.error_seconds
            self._last_claim = self.kit.tools.now()
            self.kit.metrics.claimed.set(self._last_claim.timestamp())
            self.kit.metrics.claims.labels("nothing" if content is None else "run").inc()
            if content is None:
                return config.poll_seconds
            self._begin(slot, content)
            if self.stop.is_set():
                return 0.0
        return 0.0 if config.max_concurrent_runs > 0 else config.poll_seconds

    def _slot(self) -> int | None:
        with self._free:
            taken = self._work.keys()
            return next((n for n in range(self.kit.tools.config.slots) if n not in taken), None)

    def _begin(self, slot: int, content: bytes) -> None:
        working = Working(threading.Event())
        thread = threading.Thread(target=self._in_slot, args=(slot, content, working), name=f"run-{slot}", daemon=True)
        with self._free:
            self._work[slot] = working
            self.kit.metrics.working.set(len(self._work))
        thread.start()

    def _in_slot(self, slot: int, content: bytes, working: Working) -> None:
        try:
            Execution(self.kit).execute(content, working, slot=slot)
        except Exception as error:  # noqa: BLE001 - a bug in one run must not take the others with it
            _LOG.error("run_failed_unexpectedly", exc_info=error)
        finally:
            with self._free:
                del self._work[slot]
                self.kit.metrics.working.set(len(self._work))
                self._free.notify_all()
        self._prune()

    def _prune(self) -> None:
        """Now and then forget the oldest runs of meshStack, which keeps what became of them itself."""
        self._ended += 1
        if self._ended % _PRUNE_EVERY == 0:
            try:
                self.kit.runs.forget(source=SOURCE, keep=self.kit.tools.config.keep_runs)
            except RunnerError as error:
                _LOG.warning("runs_not_pruned", extra={"code": error.code, "detail": error.detail})

    def _drain(self) -> None:
        """Let runs at work end within the grace, then stop them; each reports its end."""
        deadline = monotonic() + self.kit.tools.config.grace_seconds
        with self._free:
            while self._work and monotonic() < deadline and not self.hurry.is_set():
                self._free.wait(0.2)
            for working in self._work.values():
                working.drained = True
                working.stop.set()
            while self._work:
                self._free.wait(0.2)

    def single(self, content: bytes, *, opened: bool) -> bool:
        """Execute this run and no other; whether its end was reported. It is stopped as soon as the agent is."""
        working = Working(self.stop, drained=True)
        return Execution(self.kit).execute(content, working, opened=opened)

    @property
    def health(self) -> str:
        """For `/healthz`."""
        last = self._last_claim.isoformat(timespec="seconds") if self._last_claim else "never"
        state = "draining" if self.stop.is_set() else "working"
        return f"OK\n{state}, {len(self._work)} runs at work, last successful claim: {last}\n"

    # --- after a death

    def _recover(self) -> None:
        """Report what an agent that is gone had claimed, each beside everything else: an engine may have to be waited for."""
        for kept in self.kit.claims.all():
            gone = kept.executor != self.kit.executor and not self.kit.liveness.alive(kept.executor)
            if gone and kept.run not in self._lost:
                self._lost.add(kept.run)
                threading.Thread(target=self._bury, args=(kept,), name=f"lost-{kept.run[:8]}", daemon=True).start()

    def _bury(self, kept: KeptClaim) -> None:
        try:
            with self.kit.hiding() as hide:
                hide(str(json.loads(kept.content)["token"]))
                lost.report(kept, self.kit)
        except (RunnerError, ValueError, TypeError, KeyError, OSError) as error:
            told = error.detail if isinstance(error, RunnerError) else type(error).__name__
            _LOG.error("lost_run_not_reported", extra={"run": kept.run, "detail": told})
        finally:
            self._lost.discard(kept.run)  # if it is still there, the next look begins again
