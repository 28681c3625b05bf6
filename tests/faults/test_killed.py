"""`kill -9` of the runner at each step, and what the next command makes of it. (While the engine works: `test_engine_at_work`.)"""

from __future__ import annotations

import pytest

from tests.estate import Estate
from tests.faults.dying import Moment
from tests.faults.outcome import expect_once, expect_whole, function_calls, statuses

CONTINUED = ["interrupted", "applied"]
RESUMED = ["applied"]


@pytest.mark.parametrize(
    ("moment", "expected", "calls"),
    [
        (Moment("status", "applying"), RESUMED, 1),
        (Moment("step-started", "check the approval"), RESUMED, 1),
        (Moment("intent", "terraform"), CONTINUED, 1),
        (Moment("step-succeeded", "apply"), CONTINUED, 1),
        (Moment("done", "terraform"), RESUMED, 1),
        (Moment("log", "Added", nth=2), RESUMED, 1),
        (Moment("step-started", "call the function"), RESUMED, 1),
        (Moment("done", "function", before=True), RESUMED, 2),
        (Moment("status", "applied", before=True), RESUMED, 1),
    ],
    ids=str,
)
def test_a_killed_apply_is_finished_and_nothing_is_made_twice(
    approved: Estate, moment: Moment, expected: list[str], calls: int
) -> None:
    (run,) = approved.runs()
    approved.ended(approved.start(moment.as_argument(), "apply", run.id, module="tests.faults.dying"), code=-9)
    again = approved.lzr("apply", run.id, "--json")
    assert f"Going on with {run.tenant}" in again.stderr
    assert again.run["status"] == "applied"
    assert statuses(approved) == expected
    assert function_calls(approved) == calls
    expect_whole(approved)


@pytest.mark.parametrize(
    "moment",
    [
        Moment("step-started", "take in the state"),
        Moment("status", "pending"),
        Moment("status", "interrupted"),
        Moment("status", "approved"),
    ],
    ids=str,
)
def test_a_recovery_that_is_killed_is_recovered_from(approved: Estate, moment: Moment) -> None:
    (run,) = approved.runs()
    first = Moment("intent", "terraform").as_argument()
    approved.ended(approved.start(first, "apply", run.id, module="tests.faults.dying"), code=-9)
    approved.ended(approved.start(moment.as_argument(), "apply", run.id, module="tests.faults.dying"), code=-9)
    assert approved.lzr("apply", run.id, "--json").run["status"] == "applied"
    assert statuses(approved) == CONTINUED
    expect_whole(approved)


@pytest.mark.parametrize(
    "moment",
    [
        Moment("status", "pending"),
        Moment("step-started", "initialise"),
        Moment("status", "waiting", before=True),
    ],
    ids=str,
)
def test_a_killed_plan_is_planned_again(estate: Estate, moment: Moment) -> None:
    process = estate.start(moment.as_argument(), "plan", estate.documents, module="tests.faults.dying")
    estate.ended(process, code=-9)
    (first,) = estate.runs()
    again = estate.lzr("plan", estate.documents, "--json", code=6)
    assert statuses(estate) == ["superseded", "waiting"]
    assert again.run["id"] != first.id
    assert again.run["review"]["counts"]["add"] == 8
    assert "Going on with" in again.stderr
    expect_once(estate)
    with estate.store() as store:
        assert store.states.holder(first.tenant) is None


def test_a_command_with_a_wrong_argument_does_not_first_finish_what_a_dead_process_left(estate: Estate) -> None:
    moment = Moment("status", "pending").as_argument()
    estate.ended(estate.start(moment, "plan", estate.documents, module="tests.faults.dying"), code=-9)
    for wrong in (
        ("plan", estate.documents, "--tenant", "payments.chekout-dev"),
        ("reconcile", estate.directory / "nowhere"),
        ("destroy", "payments.chekout-dev", "--in", estate.documents),
        ("apply", "no-such-run"),
    ):
        assert "Going on with" not in estate.lzr(*wrong, code=2).stderr
    assert statuses(estate) == ["pending"]


def test_after_the_review_nothing_is_lost_with_the_process(estate: Estate) -> None:
    moment = Moment("status", "waiting").as_argument()
    estate.ended(estate.start(moment, "plan", estate.documents, module="tests.faults.dying"), code=-9)
    (run,) = estate.runs()
    estate.lzr("approve", run.id, "--digest", run.digest[:12])
    assert estate.lzr("apply", run.id, "--json").run["status"] == "applied"
    expect_whole(estate)
