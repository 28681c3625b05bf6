"""CEL expressions, evaluated in a process of their own: what they give, what is wrong with them, and what hostile ones cannot do."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runner.domain import policy
from runner.domain.policy import Unanswered
from runner.policy.expressions import CelExpressions

FULL, EMPTY = policy.samples("true")
CEL = CelExpressions()


def said(*expressions: str, **more: Any) -> tuple[policy.Evaluated, ...]:
    return CEL.evaluate(expressions, {**FULL, **more})


def test_rules_are_evaluated_in_order_up_to_the_first_that_is_true() -> None:
    assert said("counts.destroy == 0", "counts.nope == 1", "counts.add == 1", "true") == (
        False,
        Unanswered(why="there is no 'nope'"),
        True,
    )


def test_what_gives_neither_true_nor_false_is_no_answer() -> None:
    answers = said("counts.add", "zone", "null", "1/0 == 1", "zone +", "nowhere == 1", "cost.monthly == cost")
    assert answers[0] == Unanswered(why="it gives a number instead of true or false")
    assert all(isinstance(answer, Unanswered) for answer in answers[:6])


def test_hours_are_told_in_utc_or_in_the_time_zone_that_is_named() -> None:
    at_night = "2026-11-27T23:30:00+00:00"  # a Friday
    berlin = 'now.getHours("Europe/Berlin") == 0 && now.getDayOfWeek("Europe/Berlin") == 6 && now.getDate("Europe/Berlin") == 28'
    assert said("now.getHours() != 23", "now.getDayOfWeek() != 5", f"!({berlin})", "true", now=at_night) == (
        False,
        False,
        False,
        True,
    )
    assert said('now > timestamp("2026-11-27T23:29:59Z")', now=at_night) == (True,)


def test_an_expression_that_would_never_end_is_ended_and_those_after_it_are_evaluated() -> None:
    changes = FULL["changes"] * 2_000
    forever = "changes.all(a, changes.all(b, changes.all(c, a.type == b.type)))"
    answers = CelExpressions(seconds=1).evaluate((forever, "counts.add == 2", "true"), {**FULL, "changes": changes})
    assert isinstance(answers[0], Unanswered)
    assert answers[1:] == (False, True)


def test_three_thousand_changes_are_no_matter() -> None:
    assert said('changes.all(c, c.action == "create")', changes=FULL["changes"] * 3_000) == (True,)


def test_what_is_wrong_with_an_expression_is_told_before_there_is_a_review() -> None:
    wrong = {
        "counts.destroy =": "This is no CEL expression: ERROR",
        "destroy == 0": "There is no variable destroy.",
        "counts.destroyed == 0": "This expression cannot be evaluated: there is no 'destroyed'.",
        "counts.add == 0 && counts.nope == 1": "This expression cannot be evaluated: there is no 'nope'.",
        "counts.add > 0 && counts.nope == 1": "This expression cannot be evaluated: there is no 'nope'.",
        "size(changes)": "This expression gives a number instead of true or false.",
        "exec('rm')": "There is no function exec.",
        'zone.matches("(")': "This expression cannot be evaluated: ",
        "zone * 2 == 1": "This expression cannot be evaluated: ",
        f"{'(' * 300}true{')' * 300}": "This is no CEL expression: ERROR",
    }
    for expression, problem in zip(wrong, CEL.problems(tuple(wrong)), strict=True):
        assert problem.startswith(wrong[expression]), expression
        assert "\n" not in problem


def test_the_expressions_of_the_documentation_are_right() -> None:
    right = (
        "counts.destroy == 0 && size(roles) == 0",
        'changes.all(c, c.block == "tags") && members.removed.size() == 0',
        'roles.exists(r, r.highest && r.scope.startsWith("/subscriptions/"))',
        'now.getHours("Europe/Berlin") < 8 || now.getDayOfWeek("Europe/Berlin") in [0, 6]',
        'has(tags.environment) && tags.environment == "production"',
        '"environment" in tags && tags["environment"] == "production"',
        "cost.known && cost.monthly < 100.0",
        "cost.known && cost.monthly < 100",
        'checks.conftest == "passed" || scheduled && drift',
        'reason.matches("^CHG[0-9]+$") && asker.endsWith("@corp.example")',
    )
    assert CEL.problems(right) == ("",) * len(right)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=20))
def test_whatever_is_written_there_is_a_word_about_each(expressions: list[str]) -> None:
    problems = CEL.problems(expressions)
    assert len(problems) == len(expressions)
    answers = CEL.evaluate(expressions, EMPTY)
    assert True in answers or len(answers) == len(expressions)


def test_who_has_no_rules_loads_no_library_for_them() -> None:
    loaded = "import sys, runner.wiring, runner.app.planning, runner.cli.work; print('cel' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
