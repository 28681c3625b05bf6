"""Runs that an agent had claimed and could not report, because it died: brought to rest, and told as failed."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from contextlib import suppress

from runner.agent.contract import Status
from runner.agent.kit import Kit
from runner.agent.meshapi import Claim
from runner.agent.programs import Programs
from runner.agent.reporting import Reporter
from runner.domain import run as run_domain
from runner.domain.events import StepStatus, steps_of
from runner.domain.run import EXECUTING, Failure
from runner.errors import RunnerError
from runner.logs import NAME
from runner.store.claims import KeptClaim

_LOG = logging.getLogger(NAME)
_MANY = 10_000


def report(kept: KeptClaim, kit: Kit) -> None:
    """Report a run as failed that an agent which is gone had claimed; nothing of it is done again."""
    facts = json.loads(kept.content)
    steps = [(str(step), str(name)) for step, name in facts.pop("steps")]
    block = str(facts.pop("block", ""))
    claim = Claim(**facts)
    root = kit.shelves.work / claim.run
    programs = Programs(claim.run, root, threading.Event(), kit.engine_grace)
    kit.walk.settle(claim.run)
    at = _settle(claim, programs, kit)
    rescued = kit.tools.rescue.take_in(root, block=block, run=claim.run) if root.is_dir() else []
    shutil.rmtree(root, ignore_errors=True)
    told = " ".join(
        [
            f"The runner died while it was at: {at or 'the beginning'}. What was at work was brought to rest; "
            "nothing is done again.",
            *rescued,
        ]
    )
    ids = [step for step, _ in steps]
    reporter = Reporter(kit.tools.api, claim, redact=kit.redactor, stop=threading.Event())
    with suppress(RunnerError):
        kit.tools.api.register(claim, reporter.expect(steps))
    reporter.fail_from(at if at in ids else ids[0], user=told, system=told)
    heard = reporter.tell_end(Status.FAILED, summary=told)
    _LOG.warning("lost_run_reported", extra={"run": claim.run, "taken": heard.taken, "step": at})
    gone = heard.status in (404, 410)
    if heard.taken or gone:
        kit.claims.erase(claim.run)


def _settle(claim: Claim, programs: Programs, kit: Kit) -> str:
    """Bring what the dead one started to rest, and end the run here; the step that it was at."""
    programs.bring_to_rest()
    at = ""
    for run in kit.runs.find(statuses=tuple(EXECUTING), limit=_MANY):
        if (run.options.get("meshstack") or {}).get("run") != claim.run:
            continue
        going = [step.name for step in steps_of(kit.runs.events(run.id)) if step.status is StepStatus.RUNNING]
        at = going[-1] if going else ""
        failure = Failure(
            family="remote",
            code="agent-died",
            summary="The agent died",
            detail="Nothing of the run is done again.",
            hint="Look at the block in meshStack, and run it again.",
            step=at,
        )
        kit.runs.move(run.id, run_domain.Status.FAILED, now=kit.tools.now(), failure=failure, executor=kit.executor)
    return at
