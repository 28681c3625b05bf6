"""The approval policy of a landing zone: what its rules may ask about, and what follows from their answers.

Rules are CEL expressions over the review (https://github.com/google/cel-spec/blob/master/doc/langdef.md). What evaluates them is a port
(`Expressions`): that is bounded in time and memory, and sees nothing but the variables made here. They are evaluated when the plan is
made, and what they said is part of the review and so of its digest. Those that deny at some time are asked again later, for nothing else
of the review can change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runner.domain import wording
from runner.domain.access import Frozen
from runner.domain.approval import ApprovalRule
from runner.domain.check import cost_of
from runner.domain.configuration import Placed
from runner.domain.plan import Action, ResourceChange
from runner.domain.review import Review, Verdict
from runner.domain.run import Run


class Unanswered(Frozen):
    """An expression that could not be evaluated, and why."""

    why: str


Evaluated = bool | Unanswered

_CHANGE = {"type": "azapi_resource", "resource": "Microsoft.Resources/resourceGroups", "action": "create"}
_ROLE = {"name": "Owner", "id": wording.OWNER, "to": "payments.checkout-dev-admin", "highest": True, "eligible": False}


@dataclass(frozen=True)
class Variable:
    """A variable of expressions: what it means, and one value it may have. Fields of `open` ones are not known beforehand."""

    kind: str
    meaning: str
    example: Any
    open: bool = False


VARIABLES: Mapping[str, Variable] = {
    "counts": Variable(
        "map of int",
        "how many things the plan would `add`, `change`, `destroy`, `forget` and `import`, how many `records` of the state change, and "
        "how many `resources` there are afterwards",
        {"add": 1, "change": 1, "destroy": 1, "forget": 1, "import": 1, "records": 1, "resources": 2},
    ),
    "changes": Variable(
        "list of maps",
        "each Terraform change: `type` (Terraform's), `resource` (Azure's type, empty where there is none), `action` (create, read, "
        "update, replace, delete, forget), `address`, `block` (of the root module)",
        [
            {
                **_CHANGE,
                "address": "module.resource_group_network.azapi_resource.this",
                "block": "resource_group_network",
            }
        ],
    ),
    "roles": Variable(
        "list of maps",
        "each Azure role that is given: `name`, `id`, `scope`, `to` (a group's alias or a principal), `highest` (Owner and its like), "
        "`eligible` (may be activated)",
        [{**_ROLE, "scope": "/subscriptions/00000000-0000-0000-0000-000000000000"}],
    ),
    "members": Variable(
        "map of lists",
        "people who are `added` to groups and `removed`: maps with `person` and `group`",
        {
            "added": [{"person": "dev@corp.example", "group": "payments.checkout-dev-user"}],
            "removed": [{"person": "old@corp.example", "group": "payments.checkout-dev-user"}],
        },
    ),
    "guests": Variable("list of strings", "addresses that are invited", ["dev@partner.example"]),
    "steps": Variable(
        "list of strings", "what is done about the subscription itself (order, rename, cancel, …)", ["order"]
    ),
    "risks": Variable(
        "list of strings", "codes of the review's risks, as `deletes` or `gives-highest-rights`", ["deletes"]
    ),
    "warnings": Variable("list of strings", "codes of the review's warnings", ["person-not-found"]),
    "behavior": Variable("string", "`apply`, or `destroy` where the tenant leaves", "apply"),
    "zone": Variable("string", "the landing zone's name", "corp-online"),
    "tenant": Variable("string", "the tenant's name", "payments.checkout-dev"),
    "workspace": Variable("string", "the workspace's identifier", "payments"),
    "project": Variable("string", "the project's identifier", "checkout-dev"),
    "platform": Variable("string", "the platform's name", "azure"),
    "tags": Variable(
        "map of strings",
        "the tenant's tags by name, several values joined by a comma",
        {"costCenter": "4711"},
        open=True,
    ),
    "asker": Variable("string", "who asked for the run", "ops@corp.example"),
    "reason": Variable("string", "the reason they gave", "CHG0042"),
    "now": Variable(
        "timestamp",
        'when it is asked: as the plan is made, approved and applied; `now.getHours("Europe/Berlin")` is the hour there',
        "2027-01-04T09:30:00Z",
    ),
    "scheduled": Variable("bool", "nobody asked but the zone's schedule", True),
    "drift": Variable("bool", "somebody changed something behind the runner's back", True),
    "cost": Variable(
        "map",
        "what a check says it costs: `known`, `monthly` (0.0 where it is not known), `currency`",
        {"known": True, "monthly": 12.5, "currency": "EUR"},
    ),
    "checks": Variable(
        "map of strings",
        "what each check said, by its name: passed, failed or could-not-run",
        {"conftest": "passed"},
        open=True,
    ),
}

_OF_TIMES = (
    "FullYear",
    "Month",
    "DayOfYear",
    "DayOfMonth",
    "Date",
    "DayOfWeek",
    "Hours",
    "Minutes",
    "Seconds",
    "Milliseconds",
)
_OF_TEXTS = ("size", "contains", "startsWith", "endsWith", "matches")
_CONVERSIONS = ("timestamp", "duration", "string", "int", "uint", "double", "bytes", "type", "dyn", "has")
FUNCTIONS = frozenset({*_OF_TEXTS, *_CONVERSIONS, *(f"get{part}" for part in _OF_TIMES)})
"""What expressions may call, beside operators and the macros all, exists, exists_one, filter and map."""


def variables(
    review: Review, placed: Placed, run: Run, *, now: datetime, scheduled: bool, drifted: bool
) -> dict[str, Any]:
    """What the rules are evaluated over: JSON; `now` is a text in ISO 8601 that becomes a timestamp. `drifted` says that something differs
    although the documents are those that were applied last."""
    shown = [change for change in review.changes if not wording.is_bookkeeping(change)]
    return {
        "counts": dict(review.counts),
        "changes": [_told(change) for change in shown],
        "roles": [role for change in shown for role in _role(change, review.subscription)],
        "members": {
            "added": [{"person": one.person, "group": one.group_name} for one in review.access.additions],
            "removed": [{"person": one.label, "group": one.group_name} for one in review.access.removals],
        },
        "guests": [one.email for one in review.access.invitations],
        "steps": [step.kind for step in review.steps],
        "risks": [risk.code for risk in review.risks],
        "warnings": [warning.code for warning in review.warnings],
        "behavior": str(review.behavior),
        "zone": placed.zone.name,
        "tenant": placed.tenant.name,
        "workspace": placed.tenant.spec.workspace_identifier,
        "project": placed.tenant.spec.project_identifier,
        "platform": placed.platform.metadata.name,
        "tags": placed.tenant.tags,
        "asker": run.requested_by,
        "reason": run.reason,
        "now": now.isoformat(),
        "scheduled": scheduled,
        "drift": drifted or bool(review.drift),
        "cost": cost_of(review.checks).model_dump(),
        "checks": {check.name: check.outcome for check in review.checks},
    }


def _told(change: ResourceChange) -> dict[str, str]:
    return {
        "type": change.type,
        "resource": _azure_type(change),
        "action": str(change.action),
        "address": change.address,
        "block": change.block,
    }


def _azure_type(change: ResourceChange) -> str:
    """Azure's type without the version, of the providers that name it (azapi)."""
    for side in (change.after, change.before):
        named = side.get("type") if isinstance(side, dict) else None
        if isinstance(named, str) and "/" in named:
            return named.partition("@")[0]
    return ""


def _role(change: ResourceChange, subscription: str) -> Iterator[dict[str, Any]]:
    """The role that a change gives; one that goes is none."""
    if change.action not in (Action.CREATE, Action.UPDATE, Action.REPLACE):
        return
    eligible = wording.eligibility_of(change)
    role = eligible[1] if eligible else wording.role_of(change) or wording.role_in(change)
    if not role:
        return
    after = change.after if isinstance(change.after, dict) else {}
    body = after.get("body")
    properties = body.get("properties") if isinstance(body, dict) else None
    principal = properties.get("principalId") if isinstance(properties, dict) else None
    to = change.key.rpartition("/")[0] if change.block == "roles" else str(principal or "")
    yield {
        "name": wording.ROLE_NAMES.get(role, role),
        "id": role,
        "scope": str(after.get("parent_id") or f"/subscriptions/{subscription}"),
        "to": to or change.key,
        "highest": role in wording.HIGHEST_ROLES,
        "eligible": eligible is not None,
    }


def verdict(rules: Sequence[ApprovalRule], answers: Sequence[Evaluated]) -> Verdict | None:
    """What the first rule says whose expression is true; None where there is none. A rule that could not be evaluated might have been
    that one: then a person decides, but where a later one denies."""
    failed = ""
    for rule, answer in zip(rules, answers, strict=False):
        if isinstance(answer, Unanswered):
            failed = failed or rule.name
        elif answer:
            if failed and rule.then != "deny":
                break
            return Verdict(rule=rule.name, then=rule.then, message=rule.message)
    message = "It could not be evaluated, so a person decides."
    return Verdict(rule=failed, then="ask", message=message) if failed else None


def may_deny_later(rules: Sequence[ApprovalRule]) -> bool:
    """Whether what the rules say may become `deny` while a run waits: one denies, and one asks about the time."""
    return any(rule.then == "deny" for rule in rules) and any(_TIME.search(rule.when) for rule in rules)


# --- looking at expressions before there is a review --------------------------------------------------------------------

_TIME = re.compile(r"\bnow\b")
_BOUND = re.compile(r"\.\s*(?:all|exists|exists_one|filter|map)\s*\(\s*([A-Za-z_]\w*)\s*,")
_FIELD = re.compile(r"\b(tags|checks)\s*(?:\.\s*([A-Za-z_]\w*)|\[\s*(?:\"([^\"\\]+)\"|'([^'\\]+)')\s*\])")


def bound(expression: str) -> frozenset[str]:
    """Names that macros of the expression introduce."""
    return frozenset(_BOUND.findall(expression))


def samples(expression: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two sets of variables to try an expression with: one where there is something of everything, and one with nothing. Open ones have
    what the expression asks for."""
    full = {name: variable.example for name, variable in VARIABLES.items()}
    for name, *keys in _FIELD.findall(expression):
        full[name] = {**full[name], next(filter(None, keys)): "passed"}
    empty = {name: emptied(value) if name != "now" else value for name, value in full.items()}
    empty |= {name: full[name] for name, variable in VARIABLES.items() if variable.open}
    return full, empty


def emptied(value: Any) -> Any:
    """The same shape with nothing in it."""
    match value:
        case bool():
            return False
        case dict():
            return {key: emptied(part) for key, part in value.items()}
        case str():
            return ""
        case list():
            return []
        case _:
            return type(value)(0)


def table() -> str:
    """All variables as a Markdown table, for the README."""
    lines = ["| variable | type | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {variable.kind} | {variable.meaning} |" for name, variable in VARIABLES.items()]
    return "\n".join(lines) + "\n"
