"""What is around the runner fails: Azure throttles or breaks, the function says no, the disk or the clock is not as hoped."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest

from runner.domain.run import Status
from runner.errors import Refused
from runner.ports import Approval
from tests.estate import Estate
from tests.faults.outcome import expect_at_rest, expect_whole, function_calls, statuses


def test_throttling_and_short_failures_go_by_unnoticed(estate: Estate) -> None:
    estate.decided_by("never")
    for service in ("arm", "graph"):
        estate.fault(kind="throttle", service=service, times=2, retry_after=0)
        estate.fault(kind="fail", service=service, status=503, method="GET", after=3, times=1)
    estate.fault(kind="throttle", service="graph", method="POST", path="members/", times=2, retry_after=0)
    estate.fault(kind="fail", service="graph", method="POST", path="members/", status=503, times=2)
    estate.fault(kind="drop", service="graph", method="POST", path="members/", when="after", times=1)
    assert estate.lzr("reconcile", estate.documents, "--json").run["status"] == "applied"
    assert function_calls(estate) == 1
    expect_whole(estate)


def test_when_members_cannot_be_added_the_run_says_so_and_the_next_adds_them(approved: Estate) -> None:
    broken = approved.fault(kind="fail", service="graph", method="POST", path="members/", status=403)
    (run,) = approved.runs()
    failed = approved.lzr("apply", run.id, "--json", code=5).run
    assert (failed["status"], failed["failure"]["step"]) == ("failed", "change access")
    assert function_calls(approved) == 0
    expect_at_rest(approved)
    approved.mend(broken)
    approved.decided_by("never")
    done = approved.lzr("reconcile", approved.documents, "--json").run
    assert done["review"]["changes"] == []
    assert len(done["review"]["access"]["additions"]) == 4
    expect_whole(approved)


def test_a_function_that_fails_fails_its_run_and_is_called_again_by_the_next(approved: Estate) -> None:
    broken = approved.fault(kind="fail", service="function", status=500)
    (run,) = approved.runs()
    failed = approved.lzr("apply", run.id, "--json", code=5).run
    assert failed["failure"]["code"] == "function-failed"
    assert failed["failure"]["step"] == "call the function"
    assert failed["function"]["status"] == 500
    approved.mend(broken)
    approved.decided_by("never")
    done = approved.lzr("reconcile", approved.documents, "--json").run
    assert (done["status"], done["function"]["status"]) == ("unchanged", 200)
    assert statuses(approved) == ["failed", "unchanged"]
    assert function_calls(approved) == 2
    expect_whole(approved)


def test_what_azure_made_and_did_not_answer_is_made_whole_by_the_next(approved: Estate) -> None:
    """The engine keeps both as tainted. They stay: deleting the group is forbidden, and without the roles nobody could work."""
    broken = approved.fault(
        kind="drop", service="arm", method="PUT", path="resourceGroups|roleAssignments", when="after"
    )
    (run,) = approved.runs()
    assert approved.lzr("apply", run.id, "--json", code=4).run["failure"]["code"] == "engine-apply-failed"
    approved.mend(broken)
    approved.decided_by("never")
    done = approved.lzr("reconcile", approved.documents, "--json").run
    assert done["review"]["counts"]["destroy"] == 0
    expect_whole(approved)
    assert not approved.lzr("plan", approved.documents, "--json").run["changes"]


def test_an_approval_that_has_expired_opens_nothing(estate: Estate) -> None:
    run = estate.lzr("plan", estate.documents, "--json", code=6).run
    with estate.store() as store:
        waiting = store.runs.get(run["id"])
        then = waiting.created - timedelta(hours=9)
        ended = then + timedelta(hours=8)
        approval = Approval(run=waiting.id, digest=waiting.digest, by="somebody", at=then, expires=ended)
        store.runs.approve(approval, now=then)
        assert store.bundles.open(waiting.id, waiting.tenant)
    refused = estate.lzr("apply", run["id"], code=3).stderr
    assert "is expired" in refused
    assert f"lzr plan {estate.documents}" in refused
    assert statuses(estate) == ["expired"]
    assert estate.calls("PUT") == []
    with estate.store() as store, pytest.raises(Refused):
        store.bundles.open(waiting.id, waiting.tenant)
    expect_at_rest(estate)


def test_a_work_directory_that_cannot_be_used_is_no_bug(estate: Estate) -> None:
    in_the_way = estate.directory / "a-file"
    in_the_way.touch()
    failed = estate.lzr("plan", estate.documents, "--json", code=5, LZR_WORK_DIR=in_the_way / "work").run
    assert failed["failure"]["code"] == "work-directory-unusable"
    assert str(in_the_way) in failed["failure"]["detail"]
    assert [run.status for run in estate.runs()] == [Status.FAILED]


def test_a_disk_that_is_full_for_the_engine_fails_the_plan_and_nothing_is_left(estate: Estate) -> None:
    """A limit on the size of files stands for the full disk: the engine cannot write its plan."""
    engine = estate.directory / "terraform"
    real = shutil.which("terraform")
    engine.write_text(f'#!/bin/sh\n[ "$1" = plan ] && ulimit -f 8\nexec {real} "$@"\n', encoding="utf-8")
    engine.chmod(0o755)
    failed = estate.lzr("plan", estate.documents, "--json", code=4, LZR_ENGINE=engine).run
    assert failed["failure"]["code"] == "engine-plan-failed"
    assert "file too large" in failed["failure"]["detail"]
    expect_at_rest(estate)
    assert estate.lzr("plan", estate.documents, "--json", code=6).run["status"] == "waiting"
