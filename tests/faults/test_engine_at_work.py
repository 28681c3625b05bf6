"""The runner, the engine, or both are killed while the engine has a creation in flight."""

from __future__ import annotations

import subprocess

import pytest

from runner.domain.run import Run, Status
from tests.estate import TENANT, Estate, eventually
from tests.faults.outcome import expect_at_rest, expect_once, expect_whole, groups_of, statuses, texts, warnings_of

HELD = 600.0  # seconds; nobody waits so long: the engine is killed before


def in_flight(estate: Estate, run: Run) -> subprocess.Popen[str]:
    """An apply whose resource group is made in Azure, which does not say so for long; everything else is done."""
    estate.fault(kind="slow", service="arm", method="PUT", path="resourceGroups", seconds=HELD)
    process = estate.start("apply", run.id, "--json", settings={"LZR_LIMITS__GRACE": "PT5S"})
    eventually(lambda: estate.calls("PUT", "resourceGroups"), "the creation begins")
    eventually(lambda: len([c for c in estate.calls("PUT") if c.status == 201]) == 4, "all else is made")
    return process


def expect_to_be_taken_in(estate: Estate, waiting: Run) -> None:
    """The review shows what exists already, and would make none of it a second time."""
    assert waiting.status is Status.WAITING
    with estate.store() as store:
        review = store.runs.review(waiting.id)
    assert review is not None
    imported = [change["address"] for change in review["changes"] if change["importing"]]
    assert len([address for address in imported if "roles" in address]) == 3
    assert len([address for address in imported if "group" in address]) == len(groups_of(estate.world())) + 1
    assert len(imported) == 7
    expect_once(estate)


def take_in_and_apply(estate: Estate, waiting: Run) -> None:
    """After a person saw what exists already, the state knows it, and nothing is made a second time."""
    expect_to_be_taken_in(estate, waiting)
    estate.mend()
    estate.lzr("approve", waiting.id)
    assert estate.lzr("apply", waiting.id, "--json").run["status"] == "applied"
    expect_whole(estate)


def test_an_engine_that_outlives_its_runner_is_waited_for_and_what_remains_is_done_without_asking(
    approved: Estate,
) -> None:
    """It fails at a role assignment, makes all the rest, and cannot hand in its state."""
    approved.fault(kind="fail", service="arm", method="PUT", path="roleAssignments", status=400, times=1)
    approved.fault(kind="slow", service="arm", method="PUT", path="resourceGroups", seconds=3)
    (run,) = approved.runs()
    process = approved.start("apply", run.id, settings={"LZR_LIMITS__GRACE": "PT5S"})
    eventually(lambda: approved.calls("PUT", "resourceGroups"))
    approved.kill(process)
    assert len(approved.engines()) == 1
    again = approved.lzr("apply", run.id, "--json").run
    assert again["status"] == "applied"
    assert again["approvals"][0]["by"] == f"policy:continues-{run.id}"
    assert [change["module"] for change in again["review"]["changes"]] == ["module.roles"]
    assert statuses(approved) == ["interrupted", "applied"]
    assert any(text.startswith("Took in the state") for text in texts(approved, run))
    expect_whole(approved)


def test_one_that_does_not_come_to_an_end_is_ended_and_what_it_made_is_asked_about(approved: Estate) -> None:
    (run,) = approved.runs()
    approved.kill(in_flight(approved, run))
    impatient = {"LZR_LIMITS__APPLY": "PT1S", "LZR_LIMITS__GRACE": "PT1S"}
    again = approved.lzr("apply", run.id, "--json", code=6, **impatient)
    assert again.run["status"] == "waiting"
    interrupted, waiting = approved.runs()
    assert interrupted.status is Status.INTERRUPTED
    assert "not-covered-by-approval" in warnings_of(approved, waiting)
    assert approved.engines() == []
    take_in_and_apply(approved, waiting)


def test_an_engine_that_is_killed_fails_its_run_and_leaves_no_lock(approved: Estate) -> None:
    (run,) = approved.runs()
    process = in_flight(approved, run)
    (engine,) = approved.engines()
    engine.kill()
    failed = approved.ended(process, code=4).run
    assert (failed["status"], failed["failure"]["code"]) == ("failed", "engine-apply-failed")
    expect_at_rest(approved)
    approved.decided_by("never")
    approved.lzr("reconcile", approved.documents, code=6)  # policy decides nothing about what is taken in
    *_, waiting = approved.runs()
    take_in_and_apply(approved, waiting)


def test_when_both_are_killed_what_the_engine_left_at_work_is_ended(approved: Estate) -> None:
    (run,) = approved.runs()
    process = in_flight(approved, run)
    (engine,) = approved.engines()
    plugins = engine.children(recursive=True)
    approved.kill(process)
    engine.kill()
    approved.lzr("apply", run.id, code=6)
    eventually(lambda: not any(plugin.is_running() and plugin.status() != "zombie" for plugin in plugins), within=10)
    interrupted, waiting = approved.runs()
    assert interrupted.status is Status.INTERRUPTED
    expect_to_be_taken_in(approved, waiting)


@pytest.mark.parametrize("who", ["the runner", "the engine"])
def test_a_plan_that_is_killed_at_work_leaves_no_lock_and_no_engine(estate: Estate, who: str) -> None:
    held = estate.fault(kind="slow", method="GET", path="managementGroups/corp-online/subscriptions", seconds=HELD)
    process = estate.start("plan", estate.documents)
    eventually(lambda: estate.calls("GET", "managementGroups/corp-online/subscriptions"))
    (engine,) = estate.engines()
    with estate.store() as store:
        assert store.states.holder(TENANT) is not None
    if who == "the runner":
        estate.kill(process)
    else:
        engine.kill()
        estate.ended(process, code=4)
    estate.mend(held)
    assert estate.lzr("plan", estate.documents, "--json", code=6).run["status"] == "waiting"
    assert statuses(estate) == ["failed" if who == "the engine" else "superseded", "waiting"]
    assert estate.engines() == []
    with estate.store() as store:
        assert store.states.holder(TENANT) is None


def test_an_engine_on_another_machine_is_left_alone_until_somebody_says_it_is_gone(approved: Estate) -> None:
    (run,) = approved.runs()
    approved.kill(in_flight(approved, run))
    with approved.store() as store:
        noted = store.runs.get(run.id).engine
        assert noted is not None
        store.runs.note(run.id, engine=noted.model_copy(update={"host": "another-machine"}))
    refused = approved.lzr("reconcile", approved.documents, "--json", code=3).run
    assert refused["failure"]["code"] == "tenant-busy"
    assert run.id in refused["failure"]["detail"]
    assert len(approved.engines()) == 1
    approved.lzr("cancel", run.id)
    for engine in approved.engines():
        engine.kill()
    approved.lzr("plan", approved.documents, code=6)
    assert statuses(approved) == ["canceled", "failed", "waiting"]
    *_, waiting = approved.runs()
    expect_to_be_taken_in(approved, waiting)
