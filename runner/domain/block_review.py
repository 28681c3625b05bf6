"""What a run of a meshStack building block would do, in plain words: the block's own code, so told by addresses and not by meaning."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from typing import Literal

from runner.domain import wording
from runner.domain.access import Frozen
from runner.domain.plan import Action, Plan, ResourceChange
from runner.domain.review import Sentence

_ORDER = {Action.DELETE: 0, Action.REPLACE: 1, Action.FORGET: 2, Action.UPDATE: 3, Action.CREATE: 4}
_TOLD = 20


class BlockReview(Frozen):
    """Everything that a plan of a building block would do. `predecessor` says that the plan is one that meshStack had kept."""

    kind: Literal["building-block"] = "building-block"
    run: str
    block: str
    name: str
    behavior: str
    source: str
    commit: str
    engine: str
    engine_version: str
    providers: dict[str, str]
    plan_file: str
    predecessor: bool
    sentences: tuple[Sentence, ...]
    changes: tuple[ResourceChange, ...]
    drift: tuple[ResourceChange, ...]
    counts: dict[str, int]

    @cached_property
    def digest(self) -> str:
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def nothing_changes(self) -> bool:
        return not self.changes


def told(plan: Plan) -> tuple[tuple[Sentence, ...], dict[str, int]]:
    """Sentences of a plan, worst first, and how many things are added, changed and destroyed."""
    shown = sorted(plan.changes, key=lambda change: _ORDER.get(change.action, 5))
    signs = [wording.SIGNS[change.action] for change in shown]
    sentences = tuple(
        Sentence(sign=sign, text=wording.by_address(change), address=change.address)
        for sign, change in zip(signs, shown, strict=True)
    )
    counts = {
        "add": signs.count("+") + signs.count("±"),
        "change": signs.count("~"),
        "destroy": signs.count("-") + signs.count("±"),
        "forget": signs.count("."),
        "resources": plan.resources,
    }
    return sentences, counts


def in_words(counts: dict[str, int], sentences: Sequence[Sentence], *, done: bool) -> str:
    """A plan, or what was done, as text for the person who ordered the block."""
    if not sentences:
        return "Nothing changes." if not done else "Nothing had to be changed."
    verbs = ("added", "changed", "destroyed") if done else ("to add", "to change", "to destroy")
    head = ", ".join(f"{counts[key]} {verb}" for key, verb in zip(("add", "change", "destroy"), verbs, strict=True))
    lines = [f"{one.sign} {one.text}" for one in sentences[:_TOLD]]
    more = [f"and {len(sentences) - _TOLD} more"] if len(sentences) > _TOLD else []
    return "\n".join([f"{head}.", *lines, *more])


def in_markdown(counts: dict[str, int], sentences: Sequence[Sentence], *, done: bool) -> str:
    """The same as Markdown."""
    head, *lines = in_words(counts, sentences, done=done).split("\n")
    return "\n".join([f"**{head}**", *([""] if lines else []), *(f"- `{line}`" for line in lines)])
