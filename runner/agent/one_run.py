"""One claimed run, from its claim to its last report.

A claim is kept (its token sealed) before anything is told of it, and forgotten after its last report was taken.
"""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

from runner.agent import contract, envelope, landing_zone, pipelines, terraform_block
from runner.agent.contract import BlockRun, Status, Terraform
from runner.agent.kit import Kit
from runner.agent.landing_zone import is_landing_zone
from runner.agent.meshapi import LARGEST_RUN, Claim, claimed
from runner.agent.programs import Programs
from runner.agent.record import Record
from runner.agent.reporting import Reporter
from runner.agent.terraform_block import Executing, Result, Tools
from runner.errors import Canceled, InputError, RemoteFailed, RunnerError
from runner.logs import NAME
from runner.store.claims import KeptClaim

_LOG = logging.getLogger(NAME)
UNKNOWN = ("run", "Run Building Block")


@dataclass(frozen=True)
class Execution:
    """Executes claimed runs, any number of them at once."""

    kit: Kit

    def execute(self, content: bytes, working: Working, *, slot: int = 0, opened: bool = False) -> bool:
        """Execute a claimed run to its last report; whether meshStack took that. `opened` says that its secrets are in clear already."""
        config = self.kit.tools.config
        try:
            document = json.loads(content)
            claim = claimed(document, base=config.api.url, source=config.runner_uuid)
        except (ValueError, AttributeError, TypeError, RecursionError):
            _LOG.error("claimed_run_unreadable", extra={"bytes": len(content)})
            return False
        steps = _steps_of(content, config.landing_zones)
        with self.kit.hiding() as hide, self.kit.tracing.run(claim.run):
            hide(claim.token)
            reporter = Reporter(
                self.kit.tools.api, claim, redact=self.kit.redactor, stop=working.stop, wanted_stop=working.wanted_stop
            )
            try:
                # with the steps, for whoever would have to report it
                kept = json.dumps({**vars(claim), "steps": steps, "block": _block_of(document)}).encode()
                self.kit.claims.keep(KeptClaim(claim.run, self.kit.executor, self.kit.tools.now(), kept))
                if len(content) > LARGEST_RUN:
                    raise _too_large(len(content))
                run, document = self._opened(content, document, hide, opened=opened)
            except (RunnerError, KeyError, TypeError, AttributeError, RecursionError) as error:
                taken = self._never_begun(claim, reporter, error if isinstance(error, RunnerError) else _unreadable())
            else:
                begun = _Begun(run, document, claim, reporter, steps, replace(self.kit.tools, hide=hide))
                taken = self._told(begun, slot, working)
        if taken:
            self.kit.claims.erase(claim.run)
        return taken

    def _told(self, begun: _Begun, slot: int, working: Working) -> bool:
        """Execute it and tell all of it; whether the last report was taken."""
        run, reporter = begun.run, begun.reporter
        try:
            self.kit.tools.api.register(begun.claim, reporter.expect(begun.steps))
        except RunnerError as error:
            _LOG.error("register_failed", extra={"run": run.id, "code": error.code, "detail": error.detail})
            if isinstance(error, RemoteFailed) and error.status in (401, 403, 404):
                return False
        reporter.start()
        kind, behavior = run.implementation.type, run.spec.behavior.value
        facts = {"run": run.id, "block": run.block.uuid, "kind": kind, "behavior": behavior}
        _LOG.info("run_begun", extra=facts)
        began = monotonic()
        more: dict[str, Any]
        try:
            working.record = Record.begin(
                run, runs=self.kit.runs, executor=self.kit.executor, now=self.kit.tools.now, redact=self.kit.redactor
            )
            result = self._dispatch(begun, working.record, slot, working)
            status = Status.IN_PROGRESS if result.handed_over else Status.SUCCEEDED
            more = dict(result.more)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the run has to be reported
            status = self._failed(error, begun, working)
            more = {"summary": shortly(error)}
        self.kit.metrics.runs.labels(kind, behavior, status.value).inc()
        heard = reporter.finish(status, **more)
        self.kit.metrics.reports.labels(str(heard.taken).lower()).inc()
        if not heard.taken:
            _LOG.error("last_report_not_taken", extra={"run": run.id, "status": heard.status})
        _LOG.info("run_ended", extra={**facts, "status": status.value, "seconds": round(monotonic() - began, 2)})
        return heard.taken

    def _opened(
        self, content: bytes, document: dict[str, Any], hide: Callable[[str], None], *, opened: bool
    ) -> tuple[BlockRun, dict[str, Any]]:
        if not opened and self.kit.key is not None:
            return envelope.open_run(content, self.kit.key, hide)
        for one in document["spec"]["buildingBlock"]["spec"].get("inputs") or ():
            if one.get("isSensitive"):
                envelope.hide_all(one.get("value"), hide)
        return contract.read(content), document

    def _never_begun(self, claim: Claim, reporter: Reporter, error: RunnerError) -> bool:
        """A run that cannot even be read is reported all the same, or it would hang in meshStack for hours."""
        self.kit.metrics.failures.labels(error.code).inc()
        _LOG.error(
            "run_unusable", extra={"run": claim.run, "code": error.code, "detail": error.detail, "hint": error.hint}
        )
        with suppress(RunnerError):
            self.kit.tools.api.register(claim, reporter.expect([UNKNOWN]))
        reporter.fail_from(UNKNOWN[0], user=shortly(error), system=wholly(error))
        return reporter.finish(Status.FAILED, summary=shortly(error)).taken

    def _dispatch(self, begun: _Begun, record: Record, slot: int, working: Working) -> Result:
        source = begun.run.implementation
        if not isinstance(source, Terraform):
            return self._pipeline(begun, record, working)
        root = self.kit.shelves.work / begun.run.id
        shutil.rmtree(root, ignore_errors=True)
        for folder in (root, root / "out"):
            folder.mkdir(mode=0o700, parents=True)
        programs = Programs(begun.run.id, root / "out", working.stop, self.kit.engine_grace)
        try:
            if is_landing_zone(source, self.kit.tools.config.landing_zones):
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
        working: Working,
    ) -> Result:
        cache = self.kit.shelves.cache / "providers" / str(slot)
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)

        def heard(lines: list[str]) -> None:
            begun.reporter.lines(executing.at, lines)
            record.log(lines)

        @contextmanager
        def measured(step: str) -> Iterator[None]:
            with self.kit.metrics.timed("TERRAFORM", step), self.kit.tracing.step(step):
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

    def _order(self, begun: _Begun, record: Record, programs: Programs, root: Path, working: Working) -> Result:
        def wait(seconds: float) -> None:
            """A stop is passed on once, and then the end of it is waited for."""
            (threading.Event() if working.stop.is_set() else working.stop).wait(seconds)

        ordering = landing_zone.Ordering(
            run=begun.run,
            claim=begun.claim,
            api=self.kit.tools.api,
            sources=self.kit.tools.sources,
            walk=self.kit.walk,
            reporter=begun.reporter,
            record=record,
            programs=programs,
            root=root,
            shelf=self.kit.shelves.zones / begun.run.block.uuid,
            wait=wait,
            stopped=working.stop.is_set,
        )
        try:
            with self.kit.metrics.timed("LANDING_ZONE", "order"), self.kit.tracing.step("order"):
                return ordering.execute()
        finally:
            working.at = ordering.at

    def _pipeline(self, begun: _Begun, record: Record, working: Working) -> Result:
        way = pipelines.Way(
            client=self.kit.client,
            stop=working.stop,
            sleep=working.stop.wait,
            now=self.kit.tools.now,
            poll=self.kit.tools.config.poll_seconds,
        )
        kind, step = begun.run.implementation.type, begun.steps[0][0]
        with record.journal.step(step), self.kit.metrics.timed(kind, step), self.kit.tracing.step(step):
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

    def _failed(self, error: BaseException, begun: _Begun, working: Working) -> Status:
        """Tell it everywhere; the status that the run ends with."""
        known = isinstance(error, RunnerError)
        code = error.code if isinstance(error, RunnerError) else "internal-error"
        at = working.at or begun.steps[0][0]
        self.kit.metrics.failures.labels(code).inc()
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
        user = why if isinstance(error, Canceled) else shortly(error)
        begun.reporter.fail_from(at, user=user, system=wholly(error))
        return Status.ABORTED if isinstance(error, Canceled) else Status.FAILED


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
        return (UNKNOWN,)
    if isinstance(run.implementation, Terraform):
        is_zone = is_landing_zone(run.implementation, zones)
        return landing_zone.STEPS if is_zone else terraform_block.steps_of(run)
    return (pipelines.STEPS.get(run.implementation.type, UNKNOWN),)


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
class Working:
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


def shortly(error: BaseException) -> str:
    """For the one who ordered the block."""
    if isinstance(error, Canceled):
        return "The run was stopped."
    if isinstance(error, RunnerError):
        first = error.detail.split("\n")[0]
        return f"{error.summary}: {first}" if first else error.summary
    return "The runner has a bug. Its log says more."


def wholly(error: BaseException) -> str:
    """For the platform's operator."""
    if not isinstance(error, RunnerError):
        return f"The runner has a bug ({type(error).__name__}). Please report it with the runner's log."
    return "\n".join(text for text in (f"{error.summary} ({error.code})", error.detail, error.hint) if text)
