"""The contract of `Fleet`, and of the lists of runs that are narrowed to what somebody may see, on SQLite and on PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from typing import get_args

import pytest

from runner.app.reviewing import every_run
from runner.domain.actor import Grant, Role
from runner.domain.run import Status
from runner.ports import SCHEDULE, Documented, FleetFilter, FleetOrder, FleetPlace
from runner.store.opening import Store
from tests.store.making import HOUR, NOW, a_run, a_waiting_run, an_approved_run

EVERYWHERE = (Grant(role=Role.VIEWER),)
ALL = FleetFilter(reach=EVERYWHERE)


def documented(tenant: str, zone: str = "corp", *, workspace: str = "acme", digest: str = "d") -> Documented:
    return Documented(tenant=tenant, landing_zone=zone, platform="azure", workspace=workspace, digest=digest)


def names(store: Store, chosen: FleetFilter = ALL, **order: object) -> list[str]:
    return [row.tenant for row in store.fleet.page(chosen, **order)]  # type: ignore[arg-type]


class TestKnowing:
    def test_documented_tenants_are_there_before_any_run(self, store: Store) -> None:
        assert store.fleet.know([documented("a.one"), documented("a.two", "lab")]) == 2
        first, second = store.fleet.page(ALL)
        assert (first.tenant, first.landing_zone, first.platform, first.workspace) == ("a.one", "corp", "azure", "acme")
        assert (first.documented, first.behind, first.run, first.settled, first.drifted) == (
            True,
            True,
            None,
            None,
            None,
        )
        assert second.landing_zone == "lab"

    def test_only_what_changed_is_written_again(self, store: Store) -> None:
        store.fleet.know([documented("a.one"), documented("a.two")])
        assert store.fleet.know([documented("a.one"), documented("a.two")]) == 0
        assert store.fleet.know([documented("a.one", digest="e"), documented("a.two")]) == 1

    def test_a_tenant_without_document_and_runs_is_not_listed_any_more(self, store: Store) -> None:
        store.fleet.know([documented("a.one"), documented("a.two")])
        store.runs.create(a_run("r1", "a.one"))
        store.fleet.know([])
        (left,) = store.fleet.page(ALL)
        assert (left.tenant, left.documented) == ("a.one", False)
        assert store.fleet.of("a.two") is None

    def test_more_tenants_than_one_statement_holds_are_known_at_once(self, store: Store) -> None:
        store.fleet.know([documented(f"a.{number:04}") for number in range(1100)])
        assert store.fleet.counts(ALL)["all"] == 1100
        assert store.fleet.know([]) == 1100


class TestStanding:
    def test_the_newest_run_stands_beside_its_tenant(self, store: Store) -> None:
        store.runs.create(a_run("r1", "a.one", workspace="acme"))
        store.runs.create(a_run("r2", "a.one", workspace="acme", created=NOW + HOUR, updated=NOW + HOUR))
        (row,) = store.fleet.page(ALL)
        assert row.run == store.runs.get("r2")
        assert store.fleet.of("a.one") == row

    def test_a_building_blocks_run_is_no_tenant_of_the_fleet(self, store: Store) -> None:
        store.runs.create(a_run("r1", "block-1", options={"meshstack": {"run": "x"}}))
        assert store.fleet.page(ALL) == ()

    def test_an_applied_tenant_is_settled_until_its_documents_change(self, store: Store) -> None:
        store.fleet.know([documented("a.one", digest="d")])
        an_approved_run(store, "r1", tenant="a.one", documents="d")
        store.runs.move("r1", Status.APPLYING, now=NOW)
        store.runs.move("r1", Status.APPLIED, now=NOW + HOUR)
        row = store.fleet.of("a.one")
        assert row is not None
        assert (row.settled, row.behind) == (NOW + HOUR, False)
        assert store.runs.applied_documents("a.one") == "d"
        store.fleet.know([documented("a.one", digest="e")])
        assert names(store, FleetFilter(reach=EVERYWHERE)) == ["a.one"]
        assert store.fleet.counts(ALL)["behind"] == 1

    def test_drift_is_known_from_when_it_was_first_seen_until_it_is_gone(self, store: Store) -> None:
        store.runs.create(a_run("r1", "a.one", options={"drifted": True}))
        store.runs.move("r1", Status.PLANNING, now=NOW)
        store.runs.move("r1", Status.WAITING, now=NOW + HOUR)
        store.runs.create(a_run("r2", "a.one", options={"drifted": True}))
        store.runs.move("r2", Status.PLANNING, now=NOW)
        store.runs.move("r2", Status.WAITING, now=NOW + 2 * HOUR)
        row = store.fleet.of("a.one")
        assert row is not None
        assert row.drifted == NOW + HOUR
        assert names(store, FleetFilter(reach=EVERYWHERE, drifted=True)) == ["a.one"]
        store.runs.create(a_run("r3", "a.one"))
        store.runs.move("r3", Status.PLANNING, now=NOW)
        store.runs.move("r3", Status.UNCHANGED, now=NOW + 3 * HOUR)
        assert names(store, FleetFilter(reach=EVERYWHERE, drifted=True)) == []

    def test_versions_are_those_of_the_last_run_that_ended_well(self, store: Store) -> None:
        def ended(run: str, tenant: str, version: str, status: Status) -> None:
            versions = {"blueprint baseline": version, "deployment stack net": "1"}
            an_approved_run(store, run, tenant=tenant, landing_zone="corp", options={"versions": versions})
            store.runs.move(run, Status.APPLYING, now=NOW)
            store.runs.move(run, status, now=NOW)

        ended("r1", "a.one", "v1", Status.APPLIED)
        ended("r2", "a.two", "v2", Status.APPLIED)
        ended("r3", "a.three", "v2", Status.APPLIED)
        ended("r4", "a.one", "v3", Status.FAILED)
        a_waiting_run(store, "r5", tenant="a.four", landing_zone="corp", options={"versions": {"x": "1"}})
        used = {"blueprint baseline": {"v2": 2, "v1": 1}, "deployment stack net": {"1": 3}}
        assert store.fleet.versions("corp", EVERYWHERE) == used
        assert list(store.fleet.versions("corp", EVERYWHERE)["blueprint baseline"]) == ["v2", "v1"]
        assert store.fleet.versions("other", EVERYWHERE) == {}
        assert store.fleet.versions("corp", (Grant(role=Role.VIEWER, zones=("other",)),)) == {}


class TestChoosing:
    @pytest.fixture(autouse=True)
    def _fleet(self, store: Store) -> None:
        store.fleet.know(
            [
                documented("a.one", "corp", workspace="acme"),
                documented("a.two", "lab", workspace="acme"),
                documented("b.100%", "corp", workspace="beta"),
            ]
        )
        a_waiting_run(store, "r1", tenant="a.one", landing_zone="corp", workspace="acme")

    def test_rows_are_chosen_by_zone_text_status_and_document(self, store: Store) -> None:
        assert names(store, FleetFilter(reach=EVERYWHERE, zone="corp")) == ["a.one", "b.100%"]
        assert names(store, FleetFilter(reach=EVERYWHERE, text="TWO")) == ["a.two"]
        assert names(store, FleetFilter(reach=EVERYWHERE, text="0%")) == ["b.100%"]
        assert names(store, FleetFilter(reach=EVERYWHERE, text="_")) == []
        assert names(store, FleetFilter(reach=EVERYWHERE, statuses=(Status.WAITING,))) == ["a.one"]
        assert names(store, FleetFilter(reach=EVERYWHERE, statuses=(None, Status.FAILED))) == ["a.two", "b.100%"]
        assert names(store, FleetFilter(reach=EVERYWHERE, documented=False)) == []

    def test_only_what_a_grant_reaches_is_seen(self, store: Store) -> None:
        in_corp = (Grant(role=Role.VIEWER, zones=("corp",), workspaces=("acme",)),)
        of_beta = (Grant(role=Role.VIEWER, workspaces=("beta",)),)
        assert names(store, FleetFilter(reach=in_corp)) == ["a.one"]
        assert names(store, FleetFilter(reach=in_corp + of_beta)) == ["a.one", "b.100%"]
        assert names(store, FleetFilter(reach=())) == []
        assert store.fleet.counts(FleetFilter(reach=of_beta))["all"] == 1
        assert store.fleet.zones(of_beta) == {"corp": 1}
        assert store.runs.find(reach=of_beta) == ()
        assert [run.id for run in store.runs.find(reach=in_corp)] == ["r1"]
        assert store.runs.waiting(of_beta) == ()
        assert [run.id for run in store.runs.waiting(in_corp)] == ["r1"]

    def test_rows_come_in_every_order_with_what_has_no_value_last(self, store: Store) -> None:
        assert names(store, order="tenant", descending=True) == ["b.100%", "a.two", "a.one"]
        assert names(store, order="status") == ["a.one", "a.two", "b.100%"]
        assert names(store, order="updated", descending=True) == ["a.one", "a.two", "b.100%"]
        assert names(store, offset=1, limit=1) == ["a.two"]

    @pytest.mark.parametrize("descending", [False, True])
    @pytest.mark.parametrize("order", get_args(FleetOrder))
    def test_rows_that_follow_a_place_are_those_that_come_after_it(
        self, store: Store, order: FleetOrder, descending: bool
    ) -> None:
        for number in range(6):  # some alike, and some without a value
            tenant = f"c.{number}"
            an_approved_run(store, f"c{number}", tenant=tenant, created=NOW + number // 2 * HOUR)
            if number % 3:
                store.runs.move(f"c{number}", Status.APPLYING, now=NOW)
                store.runs.move(f"c{number}", Status.APPLIED, now=NOW + number // 3 * HOUR)
        whole = store.fleet.page(ALL, order=order, descending=descending)
        assert len(whole) == 9
        for seen in range(1, len(whole) + 1):
            place = FleetPlace.of(whole[seen - 1], order)
            follow = store.fleet.page(ALL, order=order, descending=descending, after=place)
            assert follow == whole[seen:], place

    def test_counts_say_how_many_stand_where(self, store: Store) -> None:
        counts = store.fleet.counts(ALL)
        assert (counts["all"], counts["waiting"], counts["never-run"], counts["applied"]) == (3, 1, 2, 0)

    def test_due_are_those_without_an_open_run_the_oldest_first(self, store: Store) -> None:
        an_approved_run(store, "r9", tenant="b.100%", landing_zone="corp")
        store.runs.move("r9", Status.APPLYING, now=NOW)
        store.runs.move("r9", Status.APPLIED, now=NOW)
        assert store.fleet.due("corp", before=NOW + HOUR, limit=9) == {"b.100%": NOW}  # a.one waits for somebody
        assert store.fleet.due("corp", before=NOW, limit=9) == {}
        assert store.fleet.due("lab", before=NOW - 365 * 24 * HOUR, limit=9) == {"a.two": None}


class TestRuns:
    def test_the_riskiest_wait_first_and_among_equals_the_oldest(self, store: Store) -> None:
        for number, risks in enumerate((0, 2, 0, 1)):
            a_waiting_run(
                store, f"r{number}", tenant=f"t{number}", created=NOW + timedelta(minutes=number), risks=risks
            )
        assert [run.id for run in store.runs.waiting(EVERYWHERE)] == ["r1", "r3", "r0", "r2"]
        assert [run.id for run in store.runs.waiting(EVERYWHERE, after=store.runs.get("r1"), limit=2)] == ["r3", "r0"]
        seen = store.runs.move("r3", Status.REJECTED, now=NOW, by="anna")
        assert [run.id for run in store.runs.waiting(EVERYWHERE, after=seen)] == ["r0", "r2"]
        assert [run.id for run in store.runs.waiting(EVERYWHERE, risky=True)] == ["r1"]

    def test_what_waits_may_be_narrowed_to_a_zone(self, store: Store) -> None:
        a_waiting_run(store, "r1", tenant="t1", landing_zone="corp")
        a_waiting_run(store, "r2", tenant="t2", landing_zone="lab")
        assert [run.id for run in store.runs.waiting(EVERYWHERE, zone="lab")] == ["r2"]

    def test_older_runs_follow_from_the_last_one_seen(self, store: Store) -> None:
        for number in range(4):
            store.runs.create(a_run(f"r{number}", f"t{number}", landing_zone="corp" if number % 2 else "lab"))
        seen = store.runs.find(limit=2)
        assert [run.id for run in seen] == ["r3", "r2"]
        assert [run.id for run in store.runs.find(before=seen[-1])] == ["r1", "r0"]
        assert [run.id for run in store.runs.find(zone="corp")] == ["r3", "r1"]

    def test_old_runs_that_changed_nothing_are_forgotten_but_for_the_newest_of_each_tenant(self, store: Store) -> None:
        for number in range(6):
            store.runs.create(a_run(f"q{number}", "a.one", created=NOW + number * HOUR))
            store.runs.move(f"q{number}", Status.PLANNING, now=NOW)
            store.runs.move(f"q{number}", Status.UNCHANGED, now=NOW)
        an_approved_run(store, "x1", tenant="a.two")
        store.runs.move("x1", Status.APPLYING, now=NOW)
        store.runs.move("x1", Status.APPLIED, now=NOW)
        store.runs.create(a_run("x2", "a.two", created=NOW + HOUR))
        assert store.runs.prune(before=NOW + 5 * HOUR, keep=2) == 4
        assert [run.id for run in store.runs.find(tenant="a.one")] == ["q5", "q4"]
        assert store.runs.prune(before=NOW + 99 * HOUR, keep=0, limit=1) == 1
        assert [run.id for run in store.runs.find(tenant="a.two")] == ["x2", "x1"]

    def test_what_anybody_may_take_comes_oldest_first_and_what_nobody_asked_for_last(self, store: Store) -> None:
        store.runs.create(a_run("r1", "t1", requested_by=SCHEDULE))
        store.runs.create(a_run("r2", "t2", created=NOW + HOUR))
        store.runs.create(a_run("r3", "t3"))
        store.runs.create(a_run("r4", "t4", executor="somebody"))
        a_waiting_run(store, "r5", tenant="t5")
        assert [run.id for run in store.runs.unclaimed(limit=9)] == ["r3", "r2", "r1"]
        assert store.runs.take_over("r3", dead="", executor="me", now=NOW)
        assert not store.runs.take_over("r3", dead="", executor="you", now=NOW)
        assert [run.id for run in store.runs.unclaimed(limit=1)] == ["r2"]

    def test_what_is_to_be_applied_comes_as_it_was_asked_for_and_people_first(self, store: Store) -> None:
        for number, (by, options) in enumerate(
            ((SCHEDULE, {"apply": True}), ("anna", {"apply": True}), ("bert", {}), ("carl", {"apply": True}))
        ):
            moment = NOW + number * timedelta(minutes=1)
            an_approved_run(store, f"r{number}", tenant=f"t{number}", requested_by=by, options=options, created=moment)
        assert [run.id for run in store.runs.to_apply(limit=9)] == ["r1", "r3", "r0"]
        store.runs.ask_apply("r2", options={"apply": True}, by="bert", now=NOW)
        store.runs.note("r1", options={"apply": False})
        assert [run.id for run in store.runs.to_apply(limit=2)] == ["r2", "r3"]

    def test_every_run_of_a_status_is_seen_however_many_there_are(self, store: Store) -> None:
        for number in range(503):
            store.runs.create(a_run(f"r{number:03}", f"t{number}"))
        assert len({run.id for run in every_run(store.runs, Status.PENDING)}) == 503
