"""The agent: claims runs as long as it has a slot, executes each in a thread, a directory and process groups of its own, and leaves none
of them behind.

A claim is kept (its token sealed) before anything is told of it, and forgotten after its last report was taken. So whoever starts after
an agent that died finds what that one had taken, and reports it as failed: nothing of it is done again.
"""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from runner.agent import contract, envelope, landing_zone, pipelines, terraform_block
from runner.agent.contract import BlockRun, Status, Terraform
from runner.agent.landing_zone import Walk, is_landing_zone
from runner.agent.meshapi import LARGEST_RUN, Claim, claimed
from runner.agent.programs import Programs
from runner.agent.record import SOURCE, Record
from runner.agent.reporting import Reporter
from runner.agent.telemetry import Metrics, Tracing
from runner.agent.terraform_block import Executing, Result, Tools
from runner.domain import run as run_domain
from runner.domain.events import StepStatus, steps_of
from runner.domain.run import EXECUTING, Failure
from runner.errors import Canceled, InputError, RemoteFailed, RunnerError
from runner.logs import NAME, Redactor
from runner.ports import Liveness, Runs
from runner.store.claims import KeptClaim, SqlClaims

_LOG = logging.getLogger(NAME)
_PRUNE_EVERY = 20  # runs
_MANY = 10_000
_AT_ONCE = 10  # claims in a cycle of an agent without a limit
_UNKNOWN = ("run", "Run Building Block")


@dataclass(frozen=True)
class Shelves:
    """Where an agent keeps things: `work` is for the directories of runs, `cache` for providers and repositories, `zones` for the documents
    of landing zones that were ordered."""

    work: Path
    cache: Path
    zones: Path


@dataclass
class Agent:
    """One agent. `stop` ends it: no more claims, then a grace for the runs at work, then they are stopped."""

    tools: Tools
    key: RSAPrivateKey | None
    runs: Runs
    claims: SqlClaims
    liveness: Liveness
    executor: str
    redactor: Redactor
    client: httpx.Client
    shelves: Shelves
    engine_grace: timedelta
    metrics: Metrics
    tracing: Tracing
    walk: Walk
    stop: threading.Event
    hurry: threading.Event = field(default_factory=threading.Event)
    _work: dict[int, _Working] = field(default_factory=dict)
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
                pause = self.tools.config.error_seconds
            if pause:
                self.stop.wait(pause)
        self._drain()

    def _claim_some(self) -> float:
        """Claim while there are slots and runs; the seconds to wait then."""
        config = self.tools.config
        for _ in range(_AT_ONCE if config.max_concurrent_runs < 0 else config.slots):
            slot = self._slot()
            if slot is None:
                with self._free:
                    self._free.wait(1.0)
                return 0.0
            try:
                content = self.tools.api.claim()
            except Canceled:
                return 0.0
            except RunnerError as error:
                self.metrics.claims.labels("failed").inc()
                _LOG.error("claim_failed", extra={"code": error.code, "detail": error.detail, "hint": error.hint})
                return config.error_seconds
            self._last_claim = self.tools.now()
            self.metrics.claimed.set(self._last_claim.timestamp())
            self.metrics.claims.labels("nothing" if content is None else "run").inc()
            if content is None:
                return config.poll_seconds
            self._begin(slot, content)
            if self.stop.is_set():
                return 0.0
        return 0.0 if config.max_concurrent_runs > 0 else config.poll_seconds

    def _slot(self) -> int | None:
        with self._free:
            taken = self._work.keys()
            return next((n for n in range(self.tools.config.slots) if n not in taken), None)

    def _begin(self, slot: int, content: bytes) -> None:
        working = _Working(threading.Event())
        thread = threading.Thread(target=self._in_slot, args=(slot, content, working), name=f"run-{slot}", daemon=True)
        with self._free:
            self._work[slot] = working
            self.metrics.working.set(len(self._work))
        thread.start()

    def _in_slot(self, slot: int, content: bytes, working: _Working) -> None:
        try:
            self.execute(content, slot=slot, stop=working.stop, working=working)
        except Exception as error:  # noqa: BLE001 - a bug in one run must not take the others with it
            _LOG.error("run_failed_unexpectedly", exc_info=error)
        finally:
            with self._free:
                del self._work[slot]
                self.metrics.working.set(len(self._work))
                self._free.notify_all()
        self._prune()

    def _prune(self) -> None:
        """Now and then forget the oldest runs of meshStack, which keeps what became of them itself."""
        self._ended += 1
        if self._ended % _PRUNE_EVERY == 0:
            try:
                self.runs.forget(source=SOURCE, keep=self.tools.config.keep_runs)
            except RunnerError as error:
                _LOG.warning("runs_not_pruned", extra={"code": error.code, "detail": error.detail})

    def _drain(self) -> None:
        """Let runs at work end within the grace, then stop them; each reports its end."""
        deadline = monotonic() + self.tools.config.grace_seconds
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
        working = _Working(self.stop, drained=True)
        return self.execute(content, stop=self.stop, working=working, opened=opened)

    @property
    def health(self) -> str:
        """For `/healthz`."""
        last = self._last_claim.isoformat(timespec="seconds") if self._last_claim else "never"
        state = "draining" if self.stop.is_set() else "working"
        return f"OK\n{state}, {len(self._work)} runs at work, last successful claim: {last}\n"

    # --- one run

    def execute(
        self,
        content: bytes,
        *,
        slot: int = 0,
        stop: threading.Event,
        working: _Working | None = None,
        opened: bool = False,
    ) -> bool:
        """Execute a claimed run to its last report; whether meshStack took that. `opened` says that its secrets are in clear already."""
        config = self.tools.config
        try:
            document = json.loads(content)
            claim = claimed(document, base=config.api.url, source=config.runner_uuid)
        except (ValueError, AttributeError, TypeError, RecursionError):
            _LOG.error("claimed_run_unreadable", extra={"bytes": len(content)})
            return False
        working = working or _Working(stop)
        steps = _steps_of(content, config.landing_zones)
        with self._hiding() as hide, self.tracing.run(claim.run):
            hide(claim.token)
            reporter = Reporter(
                self.tools.api, claim, redact=self.redactor, stop=working.stop, wanted_stop=working.wanted_stop
            )
            try:
                # with the steps, for whoever would have to report it
                kept = json.dumps(
                    {**json.loads(claim.as_json()), "steps": steps, "block": _block_of(document)}
                ).encode()
                self.claims.keep(KeptClaim(claim.run, self.executor, self.tools.now(), kept))
                if len(content) > LARGEST_RUN:
                    raise _too_large(len(content))
                run, document = self._opened(content, document, hide, opened=opened)
            except (RunnerError, KeyError, TypeError, AttributeError, RecursionError) as error:
                taken = self._never_begun(claim, reporter, error if isinstance(error, RunnerError) else _unreadable())
            else:
                begun = _Begun(run, document, claim, reporter, steps, replace(self.tools, hide=hide))
                taken = self._told(begun, slot, working)
        if taken:
            self.claims.erase(claim.run)
        return taken

    @contextmanager
    def _hiding(self) -> Iterator[Callable[[str], None]]:
        """Secrets of one run: hidden while it goes on, and forgotten with it."""
        added: list[str] = []

        def hide(value: str) -> None:
            added.append(value)
            self.redactor.add(value)

        try:
            yield hide
        finally:
            for value in added:
                self.redactor.drop(value)

    def _told(self, begun: _Begun, slot: int, working: _Working) -> bool:
        """Execute it and tell all of it; whether the last report was taken."""
        run, reporter = begun.run, begun.reporter
        try:
            self.tools.api.register(begun.claim, reporter.expect(begun.steps))
        except RunnerError as error:
            _LOG.error("register_failed", extra={"run": run.id, "code": error.code, "detail": error.detail})
            if isinstance(error, RemoteFailed) and error.status in (401, 403, 404):
                return False
        reporter.start()
        kind, behavior = run.implementation.type, run.spec.behavior.value
        more: dict[str, Any]
        try:
            working.record = Record.begin(
                run, runs=self.runs, executor=self.executor, now=self.tools.now, redact=self.redactor
            )
            result = self._dispatch(begun, working.record, slot, working)
            status = Status.IN_PROGRESS if result.handed_over else Status.SUCCEEDED
            more = dict(result.more)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the run has to be reported
            status = self._failed(error, begun, working)
            more = {"summary": _shortly(error)}
        self.metrics.runs.labels(kind, behavior, status.value).inc()
        heard = reporter.finish(status, **more)
        self.metrics.reports.labels(str(heard.taken).lower()).inc()
        if not heard.taken:
            _LOG.error("last_report_not_taken", extra={"run": run.id, "status": heard.status})
        return heard.taken

    def _opened(
        self, content: bytes, document: dict[str, Any], hide: Callable[[str], None], *, opened: bool
    ) -> tuple[BlockRun, dict[str, Any]]:
        if not opened and self.key is not None:
            return envelope.open_run(content, self.key, hide)
        for one in document["spec"]["buildingBlock"]["spec"].get("inputs") or ():
            if one.get("isSensitive"):
                envelope.hide_all(one.get("value"), hide)
        return contract.read(content), document

    def _never_begun(self, claim: Claim, reporter: Reporter, error: RunnerError) -> bool:
        """A run that cannot even be read is reported all the same, or it would hang in meshStack for hours."""
        self.metrics.failures.labels(error.code).inc()
        _LOG.error(
            "run_unusable", extra={"run": claim.run, "code": error.code, "detail": error.detail, "hint": error.hint}
        )
        with suppress(RunnerError):
            self.tools.api.register(claim, reporter.expect([_UNKNOWN]))
        reporter.fail_from(_UNKNOWN[0], user=_shortly(error), system=_wholly(error))
        return reporter.finish(Status.FAILED, summary=_shortly(error)).taken

    def _dispatch(self, begun: _Begun, record: Record, slot: int, working: _Working) -> Result:
        source = begun.run.implementation
        if not isinstance(source, Terraform):
            return self._pipeline(begun, record, working)
        root = self.shelves.work / begun.run.id
        shutil.rmtree(root, ignore_errors=True)
        for folder in (root, root / "out"):
            folder.mkdir(mode=0o700, parents=True)
        programs = Programs(begun.run.id, root / "out", working.stop, self.engine_grace)
        try:
            if is_landing_zone(source, self.tools.config.landing_zones):
                return self._order(begun, record, programs, root, working)
            return self._terraform(begun, source, record, programs, root, slot, working)
        finally:
            programs.end_all()
            shutil.rmtree(root, ignore_errors=True)

    def _terraform(
        self,
        begun: _Begun,
        source: Terraform,
        record: Record,
        programs: Programs,
        root: Path,
        slot: int,
        working: _Working,
    ) -> Result:
        cache = self.shelves.cache / "providers" / str(slot)
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)

        def heard(lines: list[str]) -> None:
            begun.reporter.lines(executing.at, lines)
            record.log(lines)

        @contextmanager
        def measured(step: str) -> Iterator[None]:
            with self.metrics.timed("TERRAFORM", step), self.tracing.step(step):
                yield

        executing = Executing(
            run=begun.run,
            source=source,
            document=begun.document,
            claim=begun.claim,
            tools=begun.tools,
            reporter=begun.reporter,
            record=record,
            programs=replace(programs, on_lines=heard),
            root=root,
            cache=cache,
            measured=measured,
        )
        try:
            return executing.execute()
        finally:
            working.at = executing.at
            shutil.rmtree(executing.temporary, ignore_errors=True)  # it may be elsewhere than below the run's folder

    def _order(self, begun: _Begun, record: Record, programs: Programs, root: Path, working: _Working) -> Result:
        def wait(seconds: float) -> None:
            """A stop is passed on once, and then the end of it is waited for."""
            (threading.Event() if working.stop.is_set() else working.stop).wait(seconds)

        ordering = landing_zone.Ordering(
            run=begun.run,
            claim=begun.claim,
            api=self.tools.api,
            sources=self.tools.sources,
            walk=self.walk,
            reporter=begun.reporter,
            record=record,
            programs=programs,
            root=root,
            shelf=self.shelves.zones / begun.run.block.uuid,
            wait=wait,
            stopped=working.stop.is_set,
        )
        try:
            with self.metrics.timed("LANDING_ZONE", "order"), self.tracing.step("order"):
                return ordering.execute()
        finally:
            working.at = ordering.at

    def _pipeline(self, begun: _Begun, record: Record, working: _Working) -> Result:
        way = pipelines.Way(
            client=self.client,
            stop=working.stop,
            sleep=working.stop.wait,
            now=self.tools.now,
            poll=self.tools.config.poll_seconds,
        )
        kind, step = begun.run.implementation.type, begun.steps[0][0]
        with record.journal.step(step), self.metrics.timed(kind, step), self.tracing.step(step):
            outcome = pipelines.execute(begun.run, begun.document, begun.reporter, way)
        if outcome is pipelines.Outcome.FAILED and working.stop.is_set():
            raise Canceled
        if outcome is pipelines.Outcome.FAILED:
            raise RemoteFailed(
                "The pipeline failed",
                code="pipeline-failed",
                detail="Its steps say where.",
                hint="Look at the pipeline's own log.",
            )
        record.unchanged()
        return Result(handed_over=outcome is pipelines.Outcome.HANDED_OVER)

    def _failed(self, error: BaseException, begun: _Begun, working: _Working) -> Status:
        """Tell it everywhere; the status that the run ends with."""
        known = isinstance(error, RunnerError)
        code = error.code if isinstance(error, RunnerError) else "internal-error"
        at = working.at or begun.steps[0][0]
        self.metrics.failures.labels(code).inc()
        _LOG.log(
            logging.WARNING if isinstance(error, Canceled) else logging.ERROR,
            "run_failed",
            extra={"run": begun.run.id, "code": code, "detail": str(error) if known else type(error).__name__},
            exc_info=None if known else error,
        )
        if working.record is not None:
            with suppress(RunnerError):
                working.record.failed(error, step=at)
        why = "The runner is being stopped." if working.drained else "The run was stopped."
        user = why if isinstance(error, Canceled) else _shortly(error)
        begun.reporter.fail_from(at, user=user, system=_wholly(error))
        return Status.ABORTED if isinstance(error, Canceled) else Status.FAILED

    # --- after a death

    def _recover(self) -> None:
        """Report what an agent that is gone had claimed, each beside everything else: an engine may have to be waited for."""
        for kept in self.claims.all():
            gone = kept.executor != self.executor and not self.liveness.alive(kept.executor)
            if gone and kept.run not in self._lost:
                self._lost.add(kept.run)
                threading.Thread(target=self._bury, args=(kept,), name=f"lost-{kept.run[:8]}", daemon=True).start()

    def _bury(self, kept: KeptClaim) -> None:
        try:
            with self._hiding() as hide:
                hide(str(json.loads(kept.content)["token"]))
                self._report_lost(kept)
        except (RunnerError, ValueError, TypeError, KeyError, OSError) as error:
            told = error.detail if isinstance(error, RunnerError) else type(error).__name__
            _LOG.error("lost_run_not_reported", extra={"run": kept.run, "detail": told})
        finally:
            self._lost.discard(kept.run)  # if it is still there, the next look begins again

    def _report_lost(self, kept: KeptClaim) -> None:
        facts = json.loads(kept.content)
        steps = [(str(step), str(name)) for step, name in facts.pop("steps")]
        block = str(facts.pop("block", ""))
        claim = Claim(**facts)
        root = self.shelves.work / claim.run
        programs = Programs(claim.run, root, threading.Event(), self.engine_grace)
        self.walk.settle(claim.run)
        at = self._settle(claim, programs)
        rescued = self.tools.rescue.take_in(root, block=block, run=claim.run) if root.is_dir() else []
        shutil.rmtree(root, ignore_errors=True)
        told = " ".join(
            [
                f"The runner died while it was at: {at or 'the beginning'}. What was at work was brought to rest; "
                "nothing is done again.",
                *rescued,
            ]
        )
        ids = [step for step, _ in steps]
        reporter = Reporter(self.tools.api, claim, redact=self.redactor, stop=threading.Event())
        with suppress(RunnerError):
            self.tools.api.register(claim, reporter.expect(steps))
        reporter.fail_from(at if at in ids else ids[0], user=told, system=told)
        heard = reporter.tell_end(Status.FAILED, summary=told)
        _LOG.warning("lost_run_reported", extra={"run": claim.run, "taken": heard.taken, "step": at})
        gone = heard.status in (404, 410)
        if heard.taken or gone:
            self.claims.erase(claim.run)

    def _settle(self, claim: Claim, programs: Programs) -> str:
        """Bring what the dead one started to rest, and end the run here; the step that it was at."""
        programs.bring_to_rest()
        at = ""
        for run in self.runs.find(statuses=tuple(EXECUTING), limit=_MANY):
            if (run.options.get("meshstack") or {}).get("run") != claim.run:
                continue
            going = [step.name for step in steps_of(self.runs.events(run.id)) if step.status is StepStatus.RUNNING]
            at = going[-1] if going else ""
            failure = Failure(
                family="remote",
                code="agent-died",
                summary="The agent died",
                detail="Nothing of the run is done again.",
                hint="Look at the block in meshStack, and run it again.",
                step=at,
            )
            self.runs.move(
                run.id, run_domain.Status.FAILED, now=self.tools.now(), failure=failure, executor=self.executor
            )
        return at


Steps = tuple[tuple[str, str], ...]


def _block_of(document: dict[str, Any]) -> str:
    try:
        return str(document["spec"]["buildingBlock"]["uuid"])
    except (KeyError, TypeError):
        return ""


def _steps_of(content: bytes, zones: tuple[str, ...]) -> Steps:
    """Ids and names of the steps that the run will have."""
    try:
        run = contract.read(content)
    except RunnerError:
        return (_UNKNOWN,)
    if isinstance(run.implementation, Terraform):
        is_zone = is_landing_zone(run.implementation, zones)
        return landing_zone.STEPS if is_zone else terraform_block.steps_of(run)
    return (pipelines.STEPS.get(run.implementation.type, _UNKNOWN),)


@dataclass(frozen=True)
class _Begun:
    """A run that was claimed, opened and can be told of. The tools hide what it hides."""

    run: BlockRun
    document: dict[str, Any]
    claim: Claim
    reporter: Reporter
    steps: Steps
    tools: Tools


@dataclass
class _Working:
    """A run in a slot."""

    stop: threading.Event
    record: Record | None = None
    drained: bool = False
    at: str = ""

    def wanted_stop(self) -> bool:
        """Whether somebody asked with `lzr cancel`, as far as the store can tell."""
        with suppress(RunnerError):
            return self.record is not None and self.record.cancel_requested()
        return False


def _unreadable() -> RunnerError:
    return InputError(
        "The run cannot be read",
        code="run-unreadable",
        detail="meshStack sent a run that has no building block or no definition.",
        hint="Look whether meshStack is newer than this runner.",
    )


def _too_large(size: int) -> RunnerError:
    return InputError(
        "The run is too large",
        code="run-too-large",
        detail=f"It has {size // 1024 // 1024} MiB; {LARGEST_RUN // 1024 // 1024} are read.",
        hint="Give the building block smaller inputs.",
    )


def _shortly(error: BaseException) -> str:
    """For the one who ordered the block."""
    if isinstance(error, Canceled):
        return "The run was stopped."
    if isinstance(error, RunnerError):
        first = error.detail.split("\n")[0]
        return f"{error.summary}: {first}" if first else error.summary
    return "The runner has a bug. Its log says more."


def _wholly(error: BaseException) -> str:
    """For the platform's operator."""
    if not isinstance(error, RunnerError):
        return f"The runner has a bug ({type(error).__name__}). Please report it with the runner's log."
    return "\n".join(text for text in (f"{error.summary} ({error.code})", error.detail, error.hint) if text)
