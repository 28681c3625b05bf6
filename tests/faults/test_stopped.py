"""Runs that are asked to stop: by `lzr cancel` in another process, by SIGINT and by SIGTERM."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from runner.domain.run import Status
from tests.estate import Estate, eventually
from tests.faults.outcome import expect_at_rest, expect_whole, function_calls, statuses, texts

Stop = Callable[[Estate, "subprocess.Popen[str]"], object]


def by_command(estate: Estate, process: subprocess.Popen[str]) -> None:
    (run,) = estate.runs(Status.PLANNING, Status.APPLYING)
    assert "Asked" in estate.lzr("cancel", run.id).stdout


def by_termination(estate: Estate, process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)


def test_a_plan_that_is_interrupted_ends_at_once_and_leaves_nothing(estate: Estate) -> None:
    estate.fault(kind="slow", method="GET", path="managementGroups/corp-online/subscriptions", seconds=600)
    process = estate.start("plan", estate.documents, settings={"LZR_LIMITS__GRACE": "PT2S"})
    eventually(lambda: estate.calls("GET", "managementGroups/corp-online/subscriptions"))
    process.send_signal(signal.SIGINT)
    estate.ended(process, code=130)
    assert statuses(estate) == ["canceled"]
    expect_at_rest(estate)


@pytest.mark.parametrize("stop", [by_command, by_termination])
def test_an_apply_that_is_stopped_saves_its_state_and_is_finished_by_the_next(approved: Estate, stop: Stop) -> None:
    approved.fault(kind="slow", service="arm", method="PUT", path="resourceGroups", seconds=3)
    (run,) = approved.runs()
    process = approved.start("apply", run.id)
    eventually(lambda: approved.calls("PUT", "resourceGroups"))
    stop(approved, process)
    approved.ended(process, code=130)
    assert statuses(approved) == ["canceled"]
    assert function_calls(approved) == 0
    expect_at_rest(approved)
    approved.mend()
    approved.decided_by("never")
    assert approved.lzr("reconcile", approved.documents, "--json").run["status"] == "applied"
    expect_whole(approved)


def test_a_cancel_is_noticed_within_a_second(estate: Estate) -> None:
    estate.fault(kind="slow", method="GET", path="managementGroups/corp-online/subscriptions", seconds=600)
    process = estate.start("plan", estate.documents)
    eventually(lambda: estate.calls("GET", "managementGroups/corp-online/subscriptions"))
    with estate.store() as store:
        (run,) = store.runs.find(statuses=(Status.PLANNING,))
        store.runs.request_cancel(run.id, by="somebody", now=run.created)
        asked = time.monotonic()
        eventually(lambda: any("nterrupt" in text for text in texts(estate, run)), "the engine is asked to stop")
    assert time.monotonic() - asked < 1
    (engine,) = estate.engines()
    engine.kill()
    estate.ended(process, code=130)


def test_between_two_members_no_further_one_is_added(approved: Estate) -> None:
    approved.fault(kind="slow", service="graph", method="POST", path="members/", seconds=1.5)
    (run,) = approved.runs()
    process = approved.start("apply", run.id)
    eventually(lambda: approved.calls("POST", "members/"))
    approved.lzr("cancel", run.id)
    approved.ended(process, code=130)
    assert 1 <= len(approved.calls("POST", "members/")) < 4
    assert function_calls(approved) == 0
    approved.mend()
    approved.decided_by("never")
    approved.lzr("reconcile", approved.documents)
    assert statuses(approved) == ["canceled", "applied"]
    expect_whole(approved)


def test_asked_twice_the_runner_leaves_at_once_and_the_next_brings_the_engine_to_rest_and_finishes_nothing(
    approved: Estate,
) -> None:
    approved.fault(kind="slow", service="arm", method="PUT", path="resourceGroups", seconds=3)
    (run,) = approved.runs()
    process = approved.start("apply", run.id, settings={"LZR_LIMITS__GRACE": "PT5S"})
    assert process.stderr is not None
    eventually(lambda: approved.calls("PUT", "resourceGroups"))
    process.send_signal(signal.SIGINT)
    while "Once more" not in process.stderr.readline():
        pass
    eventually(lambda: "stopped" in approved.runs()[0].options, "the store knows of it")
    process.send_signal(signal.SIGINT)
    assert approved.ended(process, code=None).code == -signal.SIGINT  # which a shell tells as 130
    assert approved.runs()[0].status is Status.APPLYING
    again = approved.lzr("apply", run.id, code=130)
    assert "Going on with" in again.stderr
    assert statuses(approved) == ["canceled"]
    assert any(
        text.startswith("Took in the state") for text in texts(approved, run)
    )  # the engine was not interrupted twice
    assert function_calls(approved) == 0
    expect_at_rest(approved)
    approved.mend()
    approved.decided_by("never")
    assert approved.lzr("reconcile", approved.documents, "--json").run["status"] == "applied"
    expect_whole(approved)


def test_a_plan_whose_process_was_stopped_and_left_is_not_planned_again(estate: Estate) -> None:
    """One has the engine, one waits for it, one has not begun: none of them goes on in the next process."""
    estate.add_tenant(2)
    estate.add_tenant(3)
    estate.fault(kind="slow", method="GET", path="managementGroups/corp-online/subscriptions", seconds=600)
    process = estate.start("plan", estate.documents, settings={"LZR_WORKERS": "1"})
    eventually(lambda: estate.calls("GET", "managementGroups/corp-online/subscriptions"))
    process.send_signal(signal.SIGINT)
    eventually(lambda: not estate.runs(Status.PENDING), "the store knows of it")
    estate.kill(process)
    estate.mend()
    estate.lzr("plan", estate.documents, "--tenant", estate.add_tenant(3), code=6, LZR_LIMITS__GRACE="PT2S")
    assert [run.status for run in estate.runs()] == [Status.CANCELED] * 3 + [Status.WAITING]
    assert estate.engines() == []


def test_runs_that_wait_for_their_turn_do_not_begin_any_more(estate: Estate) -> None:
    """One has the engine, one has looked around and waits for it, one has not begun."""
    estate.add_tenant(2)
    estate.add_tenant(3)
    estate.decided_by("never")
    estate.fault(kind="slow", method="GET", path="managementGroups/corp-online/subscriptions", seconds=600)
    process = estate.start("reconcile", estate.documents, settings={"LZR_WORKERS": "1", "LZR_LIMITS__GRACE": "PT2S"})
    eventually(lambda: estate.calls("GET", "managementGroups/corp-online/subscriptions"))
    assert len(estate.runs(Status.PENDING)) == 1
    process.send_signal(signal.SIGTERM)
    estate.ended(process, code=130)
    assert [run.status for run in estate.runs()] == [Status.CANCELED] * 3
    assert estate.calls("PUT") == []
    assert estate.engines() == []
