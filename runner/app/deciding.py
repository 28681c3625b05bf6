"""What a landing zone's policy says of a plan: its checks look at it, and its rules say who decides."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from runner.app.journal import RunJournal
from runner.app.reviewing import SCHEDULED
from runner.app.walk import Ports
from runner.domain import policy
from runner.domain.access import Warn
from runner.domain.check import CheckResult
from runner.domain.configuration import Placed
from runner.domain.policy import Unanswered
from runner.domain.review import Review
from runner.domain.run import Run


def looked_at(
    made: Review,
    placed: Placed,
    run: Run,
    document: Mapping[str, Any] | None,
    ports: Ports,
    journal: RunJournal,
    stop: threading.Event,
    *,
    drifted: bool,
) -> Review:
    """The review with what the zone's checks found in the plan (`document`, without secrets) and what its rules say of all that; as it is
    where nobody has to decide anything."""
    approval = placed.zone.spec.approval
    if made.nothing_to_decide:
        return made
    results: list[CheckResult] = []
    for asked in approval.checks:
        with journal.step(f"check {asked.name}") as note:
            results.append(ports.checks.run(asked, document or {}, stop=stop))
            note(results[-1].outcome.replace("-", " "))
    made = made.model_copy(update={"checks": tuple(results)})
    if not approval.rules:
        return made
    with journal.step("ask the policy") as note:
        scheduled = bool(run.options.get(SCHEDULED))
        given = policy.variables(made, placed, run, now=ports.now(), scheduled=scheduled, drifted=drifted)
        said = ports.expressions.evaluate([rule.when for rule in approval.rules], given)
        verdict = policy.verdict(approval.rules, said)
        note(f"{verdict.rule}: {verdict.then}" if verdict is not None else "no rule decides")
    warnings = tuple(
        Warn(code="rule-not-evaluated", text=f"The rule {rule.name} could not be evaluated: {ports.redact(one.why)}.")
        for rule, one in zip(approval.rules, said, strict=False)
        if isinstance(one, Unanswered)
    )
    return made.model_copy(update={"verdict": verdict, "warnings": (*made.warnings, *warnings)})
