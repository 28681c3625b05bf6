"""Several servers on one store: any answers for all, each may be killed, and what nobody asked for comes by itself, once, and last."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from runner.ports import SCHEDULE
from runner.store.tables import runs
from tests.estate import TENANT, Estate, eventually, opened_estate
from tests.faults.outcome import expect_whole, function_calls, statuses
from tests.served import a_token, served

SUBSCRIPTION = "4f1c2d30-0000-4000-8000-000000000001"


@pytest.fixture
def shared(postgres_database: str, tmp_path: Path, sandbox_certificates: Path) -> Iterator[Estate]:
    """An estate on PostgreSQL whose zone runs on without asking, and is looked at only when somebody asks."""
    with opened_estate(tmp_path / "estate", sandbox_certificates, where=postgres_database) as estate:
        estate.decided_by("never")
        _looked_at(estate, "never")
        yield estate


def _looked_at(estate: Estate, every: str) -> None:
    estate.edit("LandingZone", lambda zone: zone["spec"].update(reconcileEvery=every))


def test_a_session_of_one_server_is_one_of_the_other_and_either_tells_all(shared: Estate) -> None:
    with served(shared, "--no-work") as first, served(shared, token=a_token(shared, "viewer")) as second:
        first.sign_in()
        (run,) = first.post("/runs", {"tenants": [TENANT]}, status=201)["runs"]
        cookies = {cookie.name: cookie.value or "" for cookie in first.client.cookies.jar}
        with httpx.Client(base_url=second.address, cookies=cookies, trust_env=False, timeout=60) as elsewhere:
            assert elsewhere.get("/api/v1/whoami").json() == first.get("/whoami")
        eventually(lambda: second.get(f"/runs/{run['id']}")["status"] == "applied")
        events = first.get(f"/runs/{run['id']}/events")["items"]
        middle = events[len(events) // 2]["seq"]
        with second.client.stream("GET", f"/api/v1/runs/{run['id']}/events/stream?after={middle}") as stream:
            ids = [int(line[4:]) for line in stream.iter_lines() if line.startswith("id: ")]
        told = [event["seq"] for event in events if event["seq"] > middle]
        assert ids[: len(told)] == told
        first.process.kill()
        assert second.get(f"/runs/{run['id']}")["status"] == "applied"
    expect_whole(shared)


def test_what_a_killed_server_was_applying_another_one_brings_to_its_end(estate: Estate) -> None:
    estate.decided_by("never")
    _looked_at(estate, "never")
    token = a_token(estate, "operator")
    held = estate.fault(kind="slow", service="arm", method="PUT", path="resourceGroups", seconds=3)
    soon = {"LZR_LIMITS__GRACE": "10"}  # how long its engine tries to hand in a state that nobody takes any more
    with served(estate, token=token, **soon) as first, served(estate, "--no-work", token=token) as second:
        (run,) = second.post("/runs", {"tenants": [TENANT]}, status=201)["runs"]
        eventually(lambda: estate.calls("PUT", "resourceGroups"))
        estate.kill(first.process)
        estate.mend(held)
        with served(estate, token=token):
            eventually(lambda: statuses(estate)[-1] == "applied")
        assert second.get(f"/runs/{run['id']}")["status"] in ("interrupted", "applied")
    assert statuses(estate) in (["interrupted", "applied"], ["applied"])
    assert function_calls(estate) == 1
    expect_whole(estate)


def test_a_tenant_that_was_never_run_is_planned_by_schedule_and_waits(estate: Estate) -> None:
    with served(estate, token=a_token(estate, "viewer")) as server:
        eventually(lambda: [run for run in server.get("/runs?status=waiting")["items"] if run["scheduled"]])
        (run,) = server.get("/runs")["items"]
        assert (run["requested_by"], run["risks"] > 0) == (SCHEDULE, True)
        tenant = server.get(f"/tenants/{TENANT}")
        assert (tenant["documented"], tenant["behind"], tenant["drifted"]) == (True, True, None)


def test_drift_is_seen_by_schedule_and_waits_until_somebody_has_it_repaired(approved: Estate) -> None:
    (run,) = approved.runs()
    approved.lzr("apply", run.id)
    tags = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Resources/tags/default?api-version=2021-04-01"
    approved.sandbox.drift("PATCH", tags, {"operation": "Delete", "properties": {"tags": {"lz_costCenter": ""}}})
    two_days_pass(approved)
    with served(approved, token=a_token(approved)) as server:
        (waits,) = eventually(lambda: server.get("/inbox")["items"])
        tenant = server.get(f"/tenants/{TENANT}")
        assert (waits["scheduled"], tenant["behind"], tenant["drifted"] is not None) == (True, False, True)
        assert server.get("/tenants?drifted=true")["counts"]["all"] == 1
        server.post(f"/runs/{waits['id']}/approve", {"digest": waits["digest"]})
        eventually(lambda: server.get(f"/runs/{waits['id']}")["status"] == "applied")
        assert server.get(f"/tenants/{TENANT}")["drifted"] is None


def test_what_waits_for_a_person_is_left_alone_by_the_schedule(approved: Estate) -> None:
    (run,) = approved.runs()
    two_days_pass(approved)
    other = approved.add_tenant(2)
    with served(approved, token=a_token(approved, "viewer")) as server:
        eventually(lambda: server.get(f"/tenants/{other}")["run"])
        assert [one["id"] for one in server.get(f"/runs?tenant={TENANT}")["items"]] == [run.id]
        assert server.get(f"/runs/{run.id}")["status"] == "approved"


def two_days_pass(estate: Estate) -> None:
    """Every run is older by that."""
    with estate.store() as store:
        known = store.runs.find(limit=100)
        with store.database.writing() as tx:
            for run in known:
                tx.execute(update(runs).where(runs.c.id == run.id).values(created=run.created - timedelta(days=2)))
