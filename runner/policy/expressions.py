"""The `Expressions` port: CEL by the Rust library `cel`, in a process of its own with limits of time and memory.

The library is not imported here: a runner whose zones have no rules neither loads nor starts anything.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from runner.domain import policy
from runner.domain.policy import Evaluated, Unanswered
from runner.policy import bounded

_WAITING = 12  # times the seconds that it may work: a busy machine may let it wait
_MOST_OUTPUT = 4 * 1024 * 1024
_TOO_MUCH = Unanswered(why="it takes too long, or too much memory")


@dataclass(frozen=True)
class CelExpressions:
    """A process may work for these `seconds`. Each expression that ends it (by its limits, or by a fault of the library) is one that could
    not be evaluated; those after it are evaluated all the same."""

    seconds: int = 5

    def evaluate(self, expressions: Sequence[str], variables: Mapping[str, Any]) -> tuple[Evaluated, ...]:
        answers: list[Evaluated] = []
        while len(answers) < len(expressions) and True not in answers:
            rest = [(expression, variables) for expression in expressions[len(answers) :]]
            told = self._told(rest, first=True)
            answers += map(_answer, told)
            if not (answers and answers[-1] is True) and len(told) < len(rest):
                answers.append(_TOO_MUCH)
        return tuple(answers)

    def problems(self, expressions: Sequence[str]) -> tuple[str, ...]:
        problems: list[str] = []
        while len(problems) < len(expressions):
            rest = expressions[len(problems) :]
            told = self._told([(one, sample) for one in rest for sample in policy.samples(one)], first=False)
            whole = len(told) // 2
            problems += [_problem(rest[at], told[2 * at : 2 * at + 2]) for at in range(whole)]
            if whole < len(rest):
                problems.append(f"This expression cannot be used: {_TOO_MUCH.why}.")
        return tuple(problems)

    def _told(self, asked: Sequence[tuple[str, Mapping[str, Any]]], *, first: bool) -> list[dict[str, Any]]:
        ended = bounded.run(
            [sys.executable, "-I", str(Path(__file__).with_name("evaluating.py"))],
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            cwd=Path(tempfile.gettempdir()),
            limit=timedelta(seconds=_WAITING * self.seconds),
            most_output=_MOST_OUTPUT,
            stdin=json.dumps({"of": asked, "first": first, "seconds": self.seconds}).encode(),
        )
        lines = ended.output.split(b"\n")[:-1]  # one that was not ended is none
        return [json.loads(line) for line in lines]


def _answer(told: Mapping[str, Any]) -> Evaluated:
    if "wrong" in told:
        return Unanswered(why=told["wrong"])
    return told["value"] if "value" in told else Unanswered(why=f"it gives {told['kind']} instead of true or false")


def _problem(expression: str, told: Sequence[Mapping[str, Any]]) -> str:
    """What is wrong with an expression that was tried on both sets of variables; empty where nothing is."""
    if not told[0]["parsed"]:
        return f"This is no CEL expression: {told[0]['wrong']}."
    known = policy.VARIABLES.keys() | policy.bound(expression)
    if strange := [name for name in told[0]["variables"] if name not in known]:
        return f"There is no variable {strange[0]}."
    named = [
        one for one in told[0]["functions"] if one.isidentifier() and not one.startswith("_")
    ]  # the others are operators
    if strange := [one for one in named if one not in policy.FUNCTIONS]:
        return f"There is no function {strange[0]}."
    for one in told:
        if "wrong" in one:
            return f"This expression cannot be evaluated: {one['wrong']}."
        if "kind" in one:
            return f"This expression gives {one['kind']} instead of true or false."
    return ""
