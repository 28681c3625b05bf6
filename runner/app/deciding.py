"""What a landing zone's policy says of a plan: its checks look at it, and its rules say who decides."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.app.journal import RunJournal
from runner.app.walk import Ports
from runner.domain import policy
from runner.domain.access import Warn
from runner.domain.check import CheckResult
from runner.domain.configuration import Placed
from runner.domain.landing_zone import ApprovalRules
from runner.domain.policy import Unanswered
from runner.domain.review import Review, Verdict
from runner.domain.run import DRIFTED, SCHEDULED, Run
from runner.errors import Refused
from runner.ports import Expressions


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
    for check in approval.checks:
        with journal.step(f"check {check.name}") as note:
            results.append(ports.checks.run(check, document or {}, stop=stop))
            note(results[-1].outcome.replace("-", " "))
    made = made.model_copy(update={"checks": tuple(results)})
    if not approval.rules:
        return made
    with journal.step("ask the policy") as note:
        said = _asked_now(run, made, placed, ports, drifted=drifted)
        note(f"{said.verdict.rule}: {said.verdict.then}" if said.verdict is not None else "no rule decides")
    warnings = tuple(
        Warn(code="rule-not-evaluated", text=f"The rule {name} could not be evaluated: {ports.redact(why)}.")
        for name, why in said.unanswered.items()
    )
    return made.model_copy(update={"verdict": said.verdict, "warnings": (*made.warnings, *warnings)})


def expect_not_denied_now(run: Run, made: Review, placed: Placed, ports: Ports) -> None:
    """Refused (`policy-denies-now`) where a rule that asks about the time denies what it did not deny when the plan was made."""
    if not policy.may_deny_later(placed.zone.spec.approval.rules):
        return
    said = _asked_now(run, made, placed, ports, drifted=bool(run.options.get(DRIFTED)))
    if said.verdict is not None and said.verdict.then == "deny":
        raise Refused(
            "The policy denies it at this time",
            code="policy-denies-now",
            detail=f"{said.verdict.denial}. It did not when the plan was made.",
            hint="Wait until the rule does not deny it any more.",
        )


def _asked_now(run: Run, made: Review, placed: Placed, ports: Ports, *, drifted: bool) -> Said:
    scheduled = bool(run.options.get(SCHEDULED))
    given = policy.variables(made, placed, run, now=ports.now(), scheduled=scheduled, drifted=drifted)
    return asked(placed.zone.spec.approval, given, ports.expressions)


@dataclass(frozen=True)
class Said:
    """What a zone's rules said: None where no rule decides. `unanswered` has why rules could not be evaluated, by their names."""

    verdict: Verdict | None
    unanswered: Mapping[str, str]


def asked(approval: ApprovalRules, variables: Mapping[str, Any], expressions: Expressions) -> Said:
    """Ask the rules over these variables."""
    answers = expressions.evaluate([rule.when for rule in approval.rules], variables)
    unanswered = {
        rule.name: answer.why
        for rule, answer in zip(approval.rules, answers, strict=False)
        if isinstance(answer, Unanswered)
    }
    return Said(policy.verdict(approval.rules, answers), unanswered)
