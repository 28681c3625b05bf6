"""What a landing zone's document says about deciding and versions, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runner.domain.harmless import plain
from runner.domain.landing_zone import ApprovalRules
from runner.web.pages.rendering import plural

_WHO = {
    "always": "a person, every time something changes",
    "when-destructive": "a person, where something is destroyed, replaced, taken away or given highest rights",
    "never": "nobody: what is planned runs on",
}
_THEN = {"ask": "a person decides", "allow": "it runs on", "deny": "nobody may approve it"}


@dataclass(frozen=True)
class Approval:
    """Who decides on plans of a landing zone: its policy, the rules that go before it, and the checks that look first."""

    who: str
    rules: tuple[str, ...]
    checks: tuple[str, ...]


def approval(rules: ApprovalRules) -> Approval:
    """The approval policy in words."""
    who = _WHO[rules.policy] + (", and never who asked" if rules.four_eyes else "")
    blocks = ", which blocks what it does not pass"
    return Approval(
        who=who,
        rules=tuple(plain(f"{one.name}: {_THEN[one.then]} where {one.when}") for one in rules.rules),
        checks=tuple(plain(one.name) + (blocks if one.blocks else "") for one in rules.checks),
    )


def versions(documented: Mapping[str, str], used: Mapping[str, Mapping[str, int]]) -> list[tuple[str, str, str]]:
    """What has a version, which is documented, and which are used by how many tenants; empty where there is none."""
    names = (*documented, *sorted(set(used) - set(documented)))
    return [(name, documented.get(name, ""), _many(used.get(name, {}))) for name in names]


def _many(used: Mapping[str, int]) -> str:
    return ", ".join(f"{version} ({plural(many, 'tenant')})" for version, many in used.items())
