"""The contract of `Runs`, held by the store on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from runner.domain.events import Kind
from runner.domain.run import EXECUTING, NEXT, EngineProcess, Failure, Run, Status
from runner.errors import InputError, Refused
from runner.ports import SCHEDULE, Runs
from runner.store import tables
from runner.store.liveness import FileLiveness, PostgresLiveness
from runner.store.opening import Store
from runner.store.runs import SqlRuns
from tests.store.making import HOUR, NOW, a_run, a_waiting_run, an_approval, an_approved_run, opened


@pytest.fixture
def runs(store: Store) -> Runs:
    return store.runs


def statuses(runs: Runs, run_id: str = "r1") -> list[str]:
    return [event.data["status"] for event in runs.events(run_id) if event.kind is Kind.STATUS]


class TestKeeping:
    def test_a_run_comes_back_as_it_was_kept(self, runs: Runs) -> None:
        run = a_run(
            reason="weil's nötig ist 🚀",
            source="/etc/tenants/shop.yaml",
            options={"refresh": True},
            engine=EngineProcess(pid=1, started=1.5, host="h"),
            warnings=3,
        )
        snapshot = {"tenant": {"tags": ["a", None, 1.5]}}
        assert runs.create(run, snapshot) == run
        assert runs.get("r1") == run
        assert runs.snapshot("r1") == snapshot

    def test_a_moment_of_another_zone_comes_back_as_the_same_moment_in_utc(self, runs: Runs) -> None:
        created = datetime(2026, 3, 4, 7, 0, tzinfo=timezone(timedelta(hours=5, minutes=30)))
        runs.create(a_run(created=created))
        kept = runs.get("r1").created
        assert kept == created
        assert kept.tzinfo is UTC

    def test_text_that_a_database_cannot_keep_loses_those_signs_only(self, runs: Runs) -> None:
        runs.create(a_run(reason="a\0b\ud800c"))
        reason = runs.get("r1").reason
        assert (reason[0], reason[2], reason[-1]) == ("a", "b", "c")

    def test_creating_the_same_run_again_changes_nothing(self, runs: Runs) -> None:
        runs.create(a_run())
        moved = runs.move("r1", Status.PLANNING, now=NOW)
        assert runs.create(a_run()) == moved
        assert statuses(runs) == ["pending", "planning"]

    def test_another_run_with_the_same_id_is_refused(self, runs: Runs) -> None:
        runs.create(a_run())
        with pytest.raises(Refused) as refused:
            runs.create(a_run(tenant="other"))
        assert refused.value.code == "run-exists"

    def test_facts_are_noted_beside_the_status(self, runs: Runs) -> None:
        runs.create(a_run(options={"a": 1, "b": 1}))
        engine = EngineProcess(pid=4, started=2.0, host="h")
        runs.note("r1", engine=engine, warnings=2)
        noted = runs.note("r1", digest="d", options={"b": 2, "c": 3})
        assert noted == runs.get("r1")
        assert (noted.engine, noted.warnings, noted.digest) == (engine, 2, "d")
        assert noted.options == {"a": 1, "b": 2, "c": 3}
        assert noted.status is Status.PENDING

    @pytest.mark.parametrize(
        "call",
        [
            lambda runs: runs.get("nope"),
            lambda runs: runs.get(""),
            lambda runs: runs.snapshot("nope"),
            lambda runs: runs.get("no\0pe"),
            lambda runs: runs.move("nope", Status.PLANNING, now=NOW),
            lambda runs: runs.note("nope", digest="d"),
            lambda runs: runs.append("nope", Kind.LOG, {}, now=NOW),
            lambda runs: runs.request_cancel("nope", by="a", now=NOW),
            lambda runs: runs.keep_review("nope", digest="d", review={}),
            lambda runs: runs.approve(an_approval("nope"), now=NOW),
        ],
    )
    def test_a_run_that_is_not_there_is_an_input_error(self, runs: Runs, call: Callable[[Runs], object]) -> None:
        runs.create(a_run())
        with pytest.raises(InputError) as error:
            call(runs)
        assert error.value.code == "run-not-found"


class TestFinding:
    def test_the_beginning_of_an_id_is_enough_when_it_is_unambiguous(self, runs: Runs) -> None:
        for run_id in ("ab", "abc1", "abd2", "é1"):
            runs.create(a_run(run_id, tenant=run_id))
        assert runs.get("abc").id == "abc1"
        assert runs.get("ab").id == "ab"
        assert runs.get("é").id == "é1"
        with pytest.raises(InputError) as error:
            runs.get("a")
        assert error.value.code == "run-ambiguous"

    def test_the_end_of_an_id_is_enough_when_nothing_begins_like_it_and_it_is_unambiguous(self, runs: Runs) -> None:
        for run_id in ("01aa-12345", "01bb-é2345", "01cc-xyzzy", "01dd-xyzzy", "12345-long", "2345"):
            runs.create(a_run(run_id, tenant=run_id))
        assert runs.get("-12345").id == "01aa-12345"
        assert runs.get("é2345").id == "01bb-é2345"
        assert runs.get("12345").id == "12345-long"
        assert runs.get("dd-xyzzy").id == "01dd-xyzzy"
        with pytest.raises(InputError) as error:
            runs.get("xyzzy")
        assert error.value.code == "run-ambiguous"
        assert "01cc-xyzzy and 01dd-xyzzy end with" in error.value.detail
        for wrong in ("yzzy", "-XYZZY", "%12345", "_12345", "0001aa-12345"):
            with pytest.raises(InputError) as error:
                runs.get(wrong)
            assert error.value.code == "run-not-found"

    def test_wildcards_and_other_cases_are_no_beginning(self, runs: Runs) -> None:
        runs.create(a_run("abc"))
        for wrong in ("%", "_bc", "AB", "a*"):
            with pytest.raises(InputError):
                runs.get(wrong)

    def test_runs_are_found_newest_first(self, runs: Runs) -> None:
        for day in range(1, 6):
            runs.create(a_run(f"r{day}", tenant=f"t{day % 2}", created=NOW + timedelta(days=day)))
        assert [run.id for run in runs.find()] == ["r5", "r4", "r3", "r2", "r1"]
        assert [run.id for run in runs.find(limit=2)] == ["r5", "r4"]
        assert [run.id for run in runs.find(tenant="t1")] == ["r5", "r3", "r1"]
        assert [run.id for run in runs.find(statuses=[Status.PENDING])] == ["r5", "r4"]
        assert [run.id for run in runs.find(tenant="t1", statuses=[Status.SUPERSEDED])] == ["r3", "r1"]
        assert [run.id for run in runs.find(newest=True)] == ["r5", "r4"]
        assert runs.find(newest=True, statuses=[Status.SUPERSEDED]) == ()
        assert runs.find(statuses=[]) == ()
        assert runs.find(tenant="nobody") == ()


WAYS: dict[Status, tuple[Status, ...]] = {
    Status.PENDING: (),
    Status.PLANNING: (Status.PLANNING,),
    Status.WAITING: (Status.PLANNING, Status.WAITING),
    Status.APPROVED: (Status.PLANNING, Status.WAITING, Status.APPROVED),
    Status.APPLYING: (Status.PLANNING, Status.WAITING, Status.APPROVED, Status.APPLYING),
    Status.APPLIED: (Status.PLANNING, Status.WAITING, Status.APPROVED, Status.APPLYING, Status.APPLIED),
    Status.UNCHANGED: (Status.PLANNING, Status.UNCHANGED),
    Status.REJECTED: (Status.PLANNING, Status.WAITING, Status.REJECTED),
    Status.SUPERSEDED: (Status.SUPERSEDED,),
    Status.EXPIRED: (Status.PLANNING, Status.WAITING, Status.EXPIRED),
    Status.FAILED: (Status.FAILED,),
    Status.CANCELED: (Status.CANCELED,),
    Status.INTERRUPTED: (Status.PLANNING, Status.WAITING, Status.APPROVED, Status.APPLYING, Status.INTERRUPTED),
}


def brought_to(runs: Runs, status: Status, run_id: str) -> None:
    runs.create(a_run(run_id, tenant=run_id))
    runs.note(run_id, digest="d1")
    for step in WAYS[status]:
        if step is Status.APPROVED:
            runs.approve(an_approval(run_id), now=NOW)
        else:
            runs.move(run_id, step, now=NOW)


class TestMoving:
    @pytest.mark.parametrize("status", Status)
    def test_a_run_goes_where_its_status_leads_and_nowhere_else(self, runs: Runs, status: Status) -> None:
        for to in Status:
            run_id = f"{status}-{to}"
            brought_to(runs, status, run_id)
            if to in NEXT.get(status, ()):
                moved = runs.move(run_id, to, now=NOW + HOUR / 2)
                assert (moved.status, moved.updated) == (to, NOW + HOUR / 2)
                assert runs.get(run_id) == moved
            else:
                with pytest.raises(Refused) as refused:
                    runs.move(run_id, to, now=NOW)
                assert refused.value.code == "run-not-in-that-status"
                assert runs.get(run_id).status is status

    def test_a_failure_is_kept_with_the_run(self, runs: Runs) -> None:
        failure = Failure(family="engine", code="plan-failed", summary="No", detail="d", hint="h", step="plan")
        runs.create(a_run())
        runs.move("r1", Status.FAILED, now=NOW, failure=failure)
        assert runs.get("r1").failure == failure

    def test_every_change_of_status_is_in_the_journal(self, store: Store) -> None:
        an_approved_run(store)
        store.runs.move("r1", Status.APPLYING, now=NOW)
        store.runs.move("r1", Status.APPLIED, now=NOW)
        assert statuses(store.runs) == ["pending", "planning", "waiting", "approved", "applying", "applied"]


class TestOneRunPerTenant:
    @pytest.mark.parametrize("executing", sorted(EXECUTING))
    def test_a_second_run_is_created_but_does_not_execute_beside_the_first(self, runs: Runs, executing: Status) -> None:
        runs.create(a_run("r1"))
        runs.note("r1", digest="d1")
        for step in WAYS[executing]:
            if step is Status.APPROVED:
                runs.approve(an_approval("r1"), now=NOW)
            else:
                runs.move("r1", step, now=NOW)
        runs.create(a_run("r2"))
        with pytest.raises(Refused) as refused:
            runs.move("r2", Status.PLANNING, now=NOW)
        assert refused.value.code == "tenant-busy"
        assert "r1" in refused.value.detail
        runs.move("r1", Status.FAILED, now=NOW)
        assert runs.move("r2", Status.PLANNING, now=NOW).status is Status.PLANNING

    def test_runs_of_different_tenants_execute_at_once(self, runs: Runs) -> None:
        for tenant in ("a", "b"):
            runs.create(a_run(tenant, tenant=tenant))
            runs.move(tenant, Status.PLANNING, now=NOW)
        assert len(runs.find(statuses=tuple(EXECUTING))) == 2

    @pytest.mark.parametrize("status", [Status.PENDING, Status.WAITING, Status.APPROVED])
    def test_a_newer_run_supersedes_one_that_waits(self, runs: Runs, status: Status) -> None:
        runs.create(a_run("r1"))
        runs.note("r1", digest="d1")
        for step in WAYS[status]:
            if step is Status.APPROVED:
                runs.approve(an_approval("r1"), now=NOW)
            else:
                runs.move("r1", step, now=NOW)
        runs.create(a_run("r2", created=NOW + HOUR))
        old = runs.get("r1")
        assert (old.status, old.updated) == (Status.SUPERSEDED, NOW + HOUR)
        assert runs.approvals("r1") == ()
        assert runs.events("r1")[-1].data == {"status": "superseded", "by": "r2"}

    @pytest.mark.parametrize(
        "status", [Status.PENDING, Status.PLANNING, Status.WAITING, Status.APPROVED, Status.APPLYING]
    )
    def test_a_run_by_schedule_takes_the_place_of_none(self, runs: Runs, status: Status) -> None:
        brought_to(runs, status, "r1")
        with pytest.raises(Refused) as refused:
            runs.create(a_run("r2", tenant="r1", requested_by=SCHEDULE, created=NOW + HOUR))
        assert refused.value.code == "run-open"
        assert runs.get("r1").status is status
        assert runs.find(tenant="r1") == (runs.get("r1"),)

    def test_the_plan_of_a_run_that_ended_is_not_kept(self, store: Store) -> None:
        a_waiting_run(store)
        store.bundles.seal("r1", "acme.shop.prod", b"plan")
        store.runs.create(a_run("r2"))
        with pytest.raises(Refused):
            store.bundles.open("r1", "acme.shop.prod")

    def test_an_interrupted_run_is_left_to_those_who_recover_it(self, runs: Runs) -> None:
        brought_to(runs, Status.INTERRUPTED, "r1")
        runs.create(a_run("r2", tenant="r1"))
        assert runs.get("r1").status is Status.INTERRUPTED

    def test_a_run_that_was_planned_while_a_newer_one_was_created_is_superseded_at_once(self, runs: Runs) -> None:
        runs.create(a_run("r1"))
        runs.move("r1", Status.PLANNING, now=NOW)
        runs.create(a_run("r2"))
        assert runs.move("r1", Status.WAITING, now=NOW).status is Status.SUPERSEDED
        assert statuses(runs) == ["pending", "planning", "waiting", "superseded"]
        assert runs.get("r2").status is Status.PENDING

    def test_an_approval_by_policy_does_not_help_a_run_that_a_newer_one_replaces(self, runs: Runs) -> None:
        runs.create(a_run("r1"))
        runs.move("r1", Status.PLANNING, now=NOW)
        runs.note("r1", digest="d1")
        runs.create(a_run("r2"))
        assert runs.approve(an_approval(by="policy:auto"), now=NOW).status is Status.SUPERSEDED
        assert runs.approvals("r1") == ()

    def test_of_many_who_create_at_once_the_tenant_keeps_one_open_run(self, runs: Runs) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: runs.create(a_run(f"r{number}")), range(24)))
        assert len(runs.find(statuses=[Status.PENDING])) == 1
        assert len(runs.find(statuses=[Status.SUPERSEDED])) == 23

    def test_of_many_who_start_a_run_at_once_one_gets_it(self, store: Store) -> None:
        an_approved_run(store)
        executors = [f"e{number}" for number in range(8)]

        def start(executor: str) -> bool:
            try:
                store.runs.move("r1", Status.APPLYING, now=NOW, executor=executor)
            except Refused:
                return False
            return True

        with ExitStack() as alive, ThreadPoolExecutor(8) as pool:
            for executor in executors:
                alive.enter_context(store.liveness.hold(executor))
            assert sum(pool.map(start, executors)) == 1


class TestExecutors:
    @pytest.fixture
    def impatient(self, store: Store, tmp_path: Path) -> tuple[Runs, FileLiveness | PostgresLiveness]:
        """Runs that believe at once that an executor is dead when its lock is free."""
        if store.directory is None:
            liveness: FileLiveness | PostgresLiveness = PostgresLiveness(store.engine, grace=timedelta())
        else:
            liveness = FileLiveness(store.directory / "alive")
        return SqlRuns(store.database, liveness), liveness

    def test_live_work_is_not_taken_over(self, impatient: tuple[Runs, FileLiveness | PostgresLiveness]) -> None:
        runs, liveness = impatient
        runs.create(a_run())
        with liveness.hold("first"):
            runs.move("r1", Status.PLANNING, now=NOW, executor="first")
            for executor in ("second", None):
                with pytest.raises(Refused) as refused:
                    runs.move("r1", Status.PLANNING, now=NOW, executor=executor)
                assert refused.value.code == "run-executed-elsewhere"
            with pytest.raises(Refused):
                runs.move("r1", Status.WAITING, now=NOW, executor="second")
        assert runs.get("r1").executor == "first"

    def test_the_work_of_a_dead_executor_is_taken_over(
        self, impatient: tuple[Runs, FileLiveness | PostgresLiveness]
    ) -> None:
        runs, _ = impatient
        runs.create(a_run())
        runs.move("r1", Status.PLANNING, now=NOW, executor="first")
        assert runs.move("r1", Status.PLANNING, now=NOW, executor="second").executor == "second"

    def test_a_run_is_taken_over_once_and_from_the_dead_only(
        self, impatient: tuple[Runs, FileLiveness | PostgresLiveness]
    ) -> None:
        runs, liveness = impatient
        runs.create(a_run(executor="first"))
        with liveness.hold("first"):
            assert not runs.take_over("r1", dead="first", executor="second", now=NOW)
        assert runs.take_over("r1", dead="first", executor="second", now=NOW)
        assert not runs.take_over("r1", dead="first", executor="third", now=NOW)
        assert runs.get("r1").executor == "second"
        runs.move("r1", Status.CANCELED, now=NOW)
        assert not runs.take_over("r1", dead="second", executor="third", now=NOW)

    def test_an_executor_may_repeat_its_own_step(self, impatient: tuple[Runs, FileLiveness | PostgresLiveness]) -> None:
        runs, liveness = impatient
        runs.create(a_run())
        with liveness.hold("first"):
            for _ in range(2):
                assert runs.move("r1", Status.PLANNING, now=NOW, executor="first").executor == "first"
            assert runs.move("r1", Status.WAITING, now=NOW).executor == "first"


class TestJournal:
    def test_entries_are_numbered_and_come_in_order(self, runs: Runs) -> None:
        runs.create(a_run())
        appended = runs.append("r1", Kind.LOG, {"text": "a\0b\ud800", "n": [1, None]}, now=NOW + HOUR)
        entries = runs.events("r1")
        assert [entry.seq for entry in entries] == [1, 2]
        assert entries[-1] == appended
        assert (appended.at, appended.data["text"]) == (NOW + HOUR, "a\0b\ud800")
        assert runs.events("r1", after=1) == (appended,)
        assert runs.events("r1", after=2) == ()
        assert runs.events("r1", kinds={appended.kind}, limit=1) == (appended,)
        assert runs.events("r1", kinds={Kind.OUTPUT}) == ()

    def test_journals_of_two_runs_are_apart(self, runs: Runs) -> None:
        runs.create(a_run("r1", tenant="a"))
        runs.create(a_run("r2", tenant="b"))
        assert runs.append("r2", Kind.LOG, {}, now=NOW).seq == 2
        assert len(runs.events("r1")) == 1

    def test_threads_that_append_at_once_lose_nothing(self, runs: Runs) -> None:
        runs.create(a_run())
        kinds = [Kind.LOG, Kind.INTENT, Kind.DONE, Kind.WARNING]
        with ThreadPoolExecutor(8) as pool:
            done = list(pool.map(lambda n: runs.append("r1", kinds[n % 4], {"n": n}, now=NOW), range(80)))
        assert sorted(entry.seq for entry in done) == list(range(2, 82))
        assert {entry.data.get("n") for entry in runs.events("r1", after=1)} == set(range(80))

    def test_lines_of_a_log_are_added_together_and_in_order(self, runs: Runs) -> None:
        runs.create(a_run())
        runs.append_log("r1", [{"n": n} for n in range(3)], now=NOW)
        runs.append_log("r1", [], now=NOW)
        runs.append_log("r1", [{"n": 3}], now=NOW)
        assert [(e.seq, e.kind, e.data) for e in runs.events("r1", after=1)] == [
            (n + 2, Kind.LOG, {"n": n}) for n in range(4)
        ]

    def test_how_runs_stand_is_seen_in_one_look(self, runs: Runs) -> None:
        runs.create(a_run("r1", tenant="a"))
        runs.create(a_run("r2", tenant="b"))
        runs.append("r2", Kind.LOG, {}, now=NOW)
        asked = ["r1", "r2", *(f"unknown-{n}" for n in range(1200))]
        assert runs.standing(asked) == {"r1": (Status.PENDING, 1), "r2": (Status.PENDING, 2)}
        assert runs.standing([]) == {}


class TestCanceling:
    @pytest.mark.parametrize("status", [Status.PENDING, Status.WAITING, Status.APPROVED])
    def test_a_run_that_does_not_execute_is_canceled_at_once(self, runs: Runs, status: Status) -> None:
        brought_to(runs, status, "r1")
        assert runs.request_cancel("r1", by="anna", now=NOW).status is Status.CANCELED
        assert runs.events("r1")[-1].data == {"status": "canceled", "by": "anna"}
        assert runs.approvals("r1") == ()

    @pytest.mark.parametrize("status", sorted(EXECUTING))
    def test_a_run_that_executes_is_asked_to_stop(self, runs: Runs, status: Status) -> None:
        brought_to(runs, status, "r1")
        assert not runs.cancel_requested("r1")
        assert runs.request_cancel("r1", by="anna", now=NOW).status is status
        assert runs.request_cancel("r1", by="bert", now=NOW).status is status
        assert runs.cancel_requested("r1")

    def test_a_run_that_ended_is_not_canceled(self, runs: Runs) -> None:
        brought_to(runs, Status.APPLIED, "r1")
        with pytest.raises(Refused):
            runs.request_cancel("r1", by="anna", now=NOW)
        assert not runs.cancel_requested("r1")

    def test_a_plan_that_is_ready_after_the_request_does_not_wait_for_approval(self, runs: Runs) -> None:
        brought_to(runs, Status.PLANNING, "r1")
        runs.request_cancel("r1", by="anna", now=NOW)
        assert runs.move("r1", Status.WAITING, now=NOW).status is Status.CANCELED
        assert statuses(runs) == ["pending", "planning", "waiting", "canceled"]


class TestApproving:
    def test_an_approval_is_kept_and_moves_the_run(self, store: Store) -> None:
        a_waiting_run(store)
        approval = an_approval(comment="fine")
        assert store.runs.approve(approval, now=NOW).status is Status.APPROVED
        assert store.runs.approvals("r1") == (approval,)
        assert store.runs.events("r1")[-1].data == {"status": "approved", "by": "bert@example.com"}

    @pytest.mark.parametrize(
        ("digest", "approval", "code"),
        [
            ("d2", an_approval(digest="d1"), "approval-for-another-digest"),
            ("", an_approval(digest=""), "approval-for-another-digest"),
            ("d1", an_approval(expires=NOW), "approval-expired"),
        ],
    )
    def test_an_approval_of_something_else_is_refused(
        self, store: Store, digest: str, approval: object, code: str
    ) -> None:
        a_waiting_run(store, digest=digest)
        with pytest.raises(Refused) as refused:
            store.runs.approve(approval, now=NOW)  # type: ignore[arg-type]
        assert refused.value.code == code
        assert store.runs.get("r1").status is Status.WAITING
        assert store.runs.approvals("r1") == ()

    def test_a_run_is_approved_once(self, store: Store) -> None:
        an_approved_run(store)
        with pytest.raises(Refused):
            store.runs.approve(an_approval(by="carla"), now=NOW)
        assert [approval.by for approval in store.runs.approvals("r1")] == ["bert@example.com"]

    def test_a_run_without_an_approval_is_not_applied(self, store: Store) -> None:
        a_waiting_run(store)
        store.runs.move("r1", Status.APPROVED, now=NOW)
        with pytest.raises(Refused) as refused:
            store.runs.move("r1", Status.APPLYING, now=NOW)
        assert refused.value.code == "run-not-approved"

    def test_a_run_is_not_applied_after_its_approval_expired(self, store: Store) -> None:
        an_approved_run(store)
        with pytest.raises(Refused) as refused:
            store.runs.move("r1", Status.APPLYING, now=NOW + HOUR)
        assert refused.value.code == "run-not-approved"
        assert store.runs.move("r1", Status.APPLYING, now=NOW + HOUR - timedelta(seconds=1)).status is Status.APPLYING

    def test_another_digest_voids_the_approval(self, store: Store) -> None:
        an_approved_run(store)
        store.runs.note("r1", digest="d1")
        assert len(store.runs.approvals("r1")) == 1
        store.runs.note("r1", digest="d2")
        assert store.runs.approvals("r1") == ()
        with pytest.raises(Refused):
            store.runs.move("r1", Status.APPLYING, now=NOW)

    def test_a_withdrawn_approval_does_not_come_back(self, store: Store) -> None:
        an_approved_run(store)
        store.runs.move("r1", Status.WAITING, now=NOW)
        store.runs.move("r1", Status.APPROVED, now=NOW)
        with pytest.raises(Refused):
            store.runs.move("r1", Status.APPLYING, now=NOW)

    def test_the_approval_of_an_applied_run_stays(self, store: Store) -> None:
        an_approved_run(store)
        store.runs.move("r1", Status.APPLYING, now=NOW)
        store.runs.move("r1", Status.APPLIED, now=NOW)
        assert store.runs.approvals("r1") == (an_approval(),)


class TestReviews:
    def test_a_review_is_shown_for_the_digest_it_was_made_of(self, runs: Runs) -> None:
        runs.create(a_run())
        assert runs.review("r1") is None
        runs.keep_review("r1", digest="d1", review={"changes": ["a"]})
        runs.note("r1", digest="d1")
        assert runs.review("r1") == {"changes": ["a"]}
        runs.keep_review("r1", digest="d1", review={"changes": ["b"]})
        assert runs.review("r1") == {"changes": ["b"]}

    def test_the_review_before_is_kept_for_who_has_it_before_their_eyes(self, runs: Runs) -> None:
        runs.create(a_run())
        for digest in ("d1", "d2", "d3"):
            runs.keep_review("r1", digest=digest, review={"changes": [digest]})
            runs.note("r1", digest=digest)
        assert runs.review("r1") == {"changes": ["d3"]}
        assert runs.review("r1", digest="d2") == {"changes": ["d2"]}
        assert runs.review("r1", digest="d1") is None

    def test_a_review_of_another_digest_is_not_shown(self, runs: Runs) -> None:
        runs.create(a_run())
        runs.keep_review("r1", digest="d1", review={})
        runs.note("r1", digest="d2")
        assert runs.review("r1") is None

    def test_the_last_approved_call_is_kept_by_tenant(self, runs: Runs) -> None:
        assert runs.approved_invocation("t") is None
        runs.keep_approved_invocation("t", {"url": "https://a"})
        runs.keep_approved_invocation("t", {"url": "https://b"})
        assert runs.approved_invocation("t") == {"url": "https://b"}
        assert runs.approved_invocation("u") is None

    def test_adopted_groups_are_kept_by_tenant_and_name(self, runs: Runs) -> None:
        assert runs.adopted("t") == {}
        runs.keep_adopted("t", {"a": "1", "b": "2"})
        runs.keep_adopted("t", {"b": "3"})
        assert runs.adopted("t") == {"a": "1", "b": "3"}
        assert runs.adopted("u") == {}


def test_what_one_process_decides_the_other_reads_at_once(store: Store, where: str | Path, key: Path) -> None:
    with opened(where, key) as other:
        a_waiting_run(store)
        other.runs.approve(an_approval(), now=NOW)
        assert store.runs.get("r1").status is Status.APPROVED
        store.runs.move("r1", Status.APPLYING, now=NOW)
        other.runs.request_cancel("r1", by="a", now=NOW)
        assert store.runs.cancel_requested("r1")


def test_the_oldest_runs_of_a_source_are_forgotten_but_for_those_at_work(runs: Runs) -> None:
    for number in range(6):
        run = a_run(id=f"m{number}", tenant=f"block-{number}", source="there", created=NOW + number * HOUR)
        runs.create(run)
        if number != 1:
            runs.move(run.id, Status.CANCELED, now=NOW)
    runs.create(a_run(id="other", tenant="elsewhere", source="here", created=NOW - HOUR))
    assert runs.forget(source="there", keep=2) == 3
    assert {run.id for run in runs.find()} == {"m1", "m4", "m5", "other"}
    assert runs.events("m0") == ()
    assert runs.forget(source="there", keep=2) == 0


def test_every_field_of_a_run_has_a_column() -> None:
    assert set(Run.model_fields) <= set(tables.runs.columns.keys())
