"""Several `lzr` processes on one store: on a directory, and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.domain.events import Kind
from runner.domain.run import Run, Status
from tests.estate import TENANT, Estate, eventually, opened_estate
from tests.faults.dying import Moment
from tests.faults.outcome import expect_whole, function_calls, statuses
from tests.postgres import Postgres

LOOK = "managementGroups/corp-online/subscriptions"  # what the engine asks while it plans
HELD = {"kind": "slow", "method": "GET", "path": LOOK, "seconds": 600}
EITHER = pytest.mark.parametrize("estate", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def estate(request: pytest.FixtureRequest, tmp_path: Path, sandbox_certificates: Path) -> Iterator[Estate]:
    on = getattr(request, "param", "sqlite")
    where = request.getfixturevalue("postgres_database") if on == "postgresql" else None
    with opened_estate(tmp_path / "estate", sandbox_certificates, where=where) as found:
        yield found


@pytest.mark.parametrize(("estate", "many"), [("sqlite", 10), ("postgresql", 4)], indirect=["estate"])
def test_of_many_that_apply_one_run_exactly_one_does(estate: Estate, many: int) -> None:
    run = estate.lzr("plan", estate.documents, "--json", code=6).run
    estate.lzr("approve", run["id"])
    racing = [estate.start("apply", run["id"], "--json") for _ in range(many)]
    codes = [estate.ended(process, code=None).code for process in racing]
    assert codes.count(0) == 1
    assert set(codes) == {0, 3}
    assert statuses(estate) == ["applied"]
    assert function_calls(estate) == 1
    with estate.store() as store:
        told = [event.data["status"] for event in store.runs.events(run["id"]) if event.kind == "status"]
    assert told.count("applying") == 1
    expect_whole(estate)


@EITHER
def test_a_tenant_is_planned_by_one_and_the_other_is_refused(estate: Estate) -> None:
    held = estate.fault(**HELD)
    first = estate.start("plan", estate.documents, "--json")
    eventually(lambda: estate.calls("GET", LOOK))
    refused = estate.lzr("plan", estate.documents, "--json", code=3).run
    assert refused["failure"]["code"] == "tenant-busy"
    estate.mend(held)
    (engine,) = estate.engines()
    engine.kill()
    estate.ended(first, code=4)
    assert statuses(estate) == ["failed", "failed"]


@EITHER
def test_live_work_is_never_taken_over_and_other_tenants_go_on_beside_it(estate: Estate) -> None:
    other = estate.add_tenant(2)
    estate.fault(**HELD, times=1)
    first = estate.start("plan", estate.documents, "--tenant", TENANT, "--json")
    eventually(lambda: estate.calls("GET", LOOK))
    (before,) = estate.runs(Status.PLANNING)
    beside = estate.lzr("plan", estate.documents, "--tenant", other, "--json", code=6)
    assert "Going on with" not in beside.stderr
    (after,) = estate.runs(Status.PLANNING)
    assert after == before
    assert first.poll() is None
    (engine,) = estate.engines()
    engine.kill()
    estate.ended(first, code=4)


def test_with_one_worker_one_engine_works_at_a_time_and_who_waits_for_it_can_be_canceled(estate: Estate) -> None:
    estate.add_tenant(2)
    estate.add_tenant(3)
    estate.fault(**HELD, times=1)
    process = estate.start("plan", estate.documents, "--json", settings={"LZR_WORKERS": 1})
    waiting = eventually(lambda: waiting_for_an_engine(estate), "another run has looked around and waits")
    assert waiting is not None
    estate.lzr("cancel", waiting.id)
    eventually(lambda: waiting_for_an_engine(estate, but=waiting), "the next waits in its place")
    (engine,) = estate.engines()
    engine.kill()
    estate.ended(process, code=None)
    assert sorted(run.status for run in estate.runs()) == ["canceled", "failed", "waiting"]


def waiting_for_an_engine(estate: Estate, *, but: Run | None = None) -> Run | None:
    with estate.store() as store:
        for run in store.runs.find(statuses=[Status.PLANNING]):
            said = [event.data["text"] for event in store.runs.events(run.id) if event.kind is Kind.LOG]
            if (but is None or run.id != but.id) and any(
                text.startswith("Waits until one of the other engines") for text in said
            ):
                return run
    return None


@pytest.mark.parametrize("estate", ["postgresql"], indirect=True)
def test_a_database_that_restarts_stops_no_apply(estate: Estate, postgres: Postgres) -> None:
    run = estate.lzr("plan", estate.documents, "--json", code=6).run
    estate.lzr("approve", run["id"])
    estate.fault(kind="slow", service="arm", method="PUT", path="resourceGroups", seconds=3)
    process = estate.start("apply", run["id"], "--json")
    eventually(lambda: estate.calls("PUT", "resourceGroups"))
    postgres.restart()
    assert estate.ended(process).run["status"] == "applied"
    expect_whole(estate)


def test_on_postgresql_too_the_work_of_the_dead_is_gone_on_with(
    tmp_path: Path, sandbox_certificates: Path, postgres_database: str
) -> None:
    with opened_estate(tmp_path / "estate", sandbox_certificates, where=postgres_database) as estate:
        run = estate.lzr("plan", estate.documents, "--json", code=6).run
        estate.lzr("approve", run["id"])
        estate.fault(kind="slow", service="function", method="POST", seconds=600)
        process = estate.start("apply", run["id"])
        eventually(lambda: estate.calls("POST", service="function"))
        estate.kill(process)
        estate.mend()
        estate.lzr("apply", run["id"])
        assert statuses(estate) == ["applied"]
        assert function_calls(estate) == 2
        expect_whole(estate)


@EITHER
def test_processes_that_begin_at_once_on_an_empty_store_do_not_get_into_each_others_way(estate: Estate) -> None:
    names = [TENANT, estate.add_tenant(2), estate.add_tenant(3)]
    started = [estate.start("plan", estate.documents, "--tenant", name, "--json") for name in names]
    told = [estate.ended(process, code=6).run for process in started]
    assert [run["tenant"] for run in told] == names
    assert {run["status"] for run in told} == {"waiting"}


def test_of_several_that_find_a_dead_one_exactly_one_goes_on_with_its_run(approved: Estate) -> None:
    (run,) = approved.runs()
    moment = Moment("intent", "terraform").as_argument()
    approved.ended(approved.start(moment, "apply", run.id, module="tests.faults.dying"), code=-9)
    racing = [approved.start("apply", run.id, "--json") for _ in range(4)]
    codes = [approved.ended(process, code=None).code for process in racing]
    assert codes.count(0) == 1
    assert set(codes) == {0, 3}
    assert statuses(approved) == ["interrupted", "applied"]
    assert function_calls(approved) == 1
    expect_whole(approved)


def test_a_newer_plan_voids_the_approval_of_an_older_one(estate: Estate) -> None:
    older = estate.lzr("plan", estate.documents, "--json", code=6).run
    estate.lzr("approve", older["id"])
    estate.lzr("plan", estate.documents, code=6)
    assert statuses(estate) == ["superseded", "waiting"]
    estate.lzr("apply", older["id"], code=3)
    assert estate.calls("PUT") == []
    with estate.store() as store:
        assert store.runs.approvals(older["id"]) == ()
