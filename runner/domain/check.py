"""What an external check says of a plan: by its exit code whether it passed, and in its output why.

Exit 0 is passed, 1 is failed, and anything else could not be run. The output is text, or one JSON object:
`{"summary": "…", "findings": ["…"], "monthlyCost": 12.5, "currency": "EUR"}`, every field of it optional.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

from runner.domain.access import Frozen

MOST_FINDINGS = 50
LONGEST_TEXT = 500  # characters of a summary or finding

Outcome = Literal["passed", "failed", "could-not-run"]


class CheckResult(Frozen):
    """What one check said. `cost` is in `currency` per month, None where the check told none; `more` is how many findings were left out."""

    name: str
    blocks: bool
    outcome: Outcome
    summary: str = ""
    findings: tuple[str, ...] = ()
    more: int = 0
    cost: float | None = None
    currency: str = ""

    @property
    def stops(self) -> bool:
        """Whether nobody may approve the plan because of it."""
        return self.blocks and self.outcome != "passed"


class Cost(Frozen):
    """What the plan costs per month, by the first check that told; without one it is not `known`."""

    known: bool = False
    monthly: float = 0.0
    currency: str = ""


def read(name: str, output: str, code: int, *, blocks: bool, redact: Callable[[str], str]) -> CheckResult:
    """What a check said that ended by itself with this exit code. The output is not trusted: texts are redacted and bounded, and what is
    not as it should be is left out."""
    outcome: Outcome = "passed" if code == 0 else "failed" if code == 1 else "could-not-run"
    told = _told(output)
    lines = [line.strip() for line in output.splitlines() if line.strip()] if told is None else []
    given = told or {}
    findings = given.get("findings")
    texts = [*lines[1:], *(findings if isinstance(findings, list) else ())]
    summary = given.get("summary") if told is not None else (lines[0] if lines else "")
    if not summary and outcome == "could-not-run":
        summary = f"It ended with {code}."
    cost = given.get("monthlyCost")
    known = isinstance(cost, int | float) and not isinstance(cost, bool) and _is_sum(cost)
    return CheckResult(
        name=name,
        blocks=blocks,
        outcome=outcome,
        summary=_bounded(summary, redact),
        findings=tuple(_bounded(text, redact) for text in texts[:MOST_FINDINGS]),
        more=max(0, len(texts) - MOST_FINDINGS),
        cost=float(cost) if known and cost is not None else None,
        currency=_bounded(given.get("currency"), redact)[:10] if known else "",
    )


def could_not_run(name: str, why: str, *, blocks: bool) -> CheckResult:
    """The result of a check that has none."""
    return CheckResult(name=name, blocks=blocks, outcome="could-not-run", summary=why)


def cost_of(results: Iterable[CheckResult]) -> Cost:
    """What the plan costs."""
    for result in results:
        if result.cost is not None:
            return Cost(known=True, monthly=result.cost, currency=result.currency)
    return Cost()


def _told(output: str) -> dict[str, Any] | None:
    try:
        found = json.loads(output)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _is_sum(number: float) -> bool:
    try:
        return math.isfinite(float(number))
    except OverflowError:
        return False


def _bounded(value: object, redact: Callable[[str], str]) -> str:
    """Redacted before it is cut: half a secret would not be known any more."""
    if value is None:
        return ""
    text = " ".join(redact(value if isinstance(value, str) else json.dumps(value)).split())
    text = text.encode("utf-8", errors="replace").decode("utf-8")  # JSON may hold halves of characters
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"
