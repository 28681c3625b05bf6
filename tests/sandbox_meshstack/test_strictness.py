"""What a runner that does something wrong is told, and that it is written down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from runner.sandbox.meshstack.front import LARGEST_BODY
from runner.sandbox.meshstack.server import MeshStack
from tests.sandbox_meshstack.speaking import CREATE, MANUAL, Json, Speaker, headers


def test_a_wrong_secret_is_refused(speaker: Speaker) -> None:
    assert speaker.login(clientSecret="guess").status_code == 401
    assert speaker.mesh.complaints == ["POST /api/login: the API key is wrong"]


def test_signing_in_is_done_with_json(speaker: Speaker) -> None:
    assert speaker.http.post("/api/login", data={"client_id": "a"}).status_code == 415
    assert speaker.http.post("/api/login", json={"clientId": "a"}).status_code == 400
    assert speaker.http.post("/api/login", json=[]).status_code == 400
    assert speaker.http.get("/api/login").status_code == 405
    assert len(speaker.mesh.complaints) == 4


def test_a_token_runs_out(directory: Path) -> None:
    times = [datetime(2026, 1, 1, tzinfo=UTC)]
    with MeshStack(directory, now=lambda: times[-1]) as mesh, httpx.Client(base_url=mesh.url, trust_env=False) as http:
        speaker = Speaker(mesh, http)
        own, lasts = speaker.own(), speaker.login().json()["expires_in"]
        times.append(times[0] + timedelta(seconds=lasts - 1))
        assert speaker.claim(own).status_code == 404
        times.append(times[0] + timedelta(seconds=lasts))
        assert speaker.claim(own).status_code == 401
        assert mesh.complaints == [f"POST {CREATE}: the token has run out"]


@pytest.mark.parametrize("credential", ["", "Bearer nobody", "Basic bm9ib2R5OjE=", "Basic ?", "Digest a"])
def test_nobody_else_can_claim(speaker: Speaker, credential: str) -> None:
    speaker.mesh.enqueue(definition=MANUAL)
    given = headers(credential) if credential else {"Accept": headers("")["Accept"]}
    got = speaker.http.post(CREATE, params={"forRunnerUuid": speaker.mesh.runner_uuid}, headers=given)
    assert got.status_code == 401
    assert len(speaker.mesh.complaints) == 1


def test_a_run_cannot_claim_another(speaker: Speaker) -> None:
    run = speaker.claimed()
    assert speaker.claim(run.token).status_code == 401


@pytest.mark.parametrize("accept", ["", "*/*", "application/json"])
def test_a_claim_asks_for_the_media_type(speaker: Speaker, accept: str) -> None:
    assert speaker.claim(Accept=accept).status_code == 406
    assert len(speaker.mesh.complaints) == 1


def test_a_claim_names_the_runner_and_has_no_body(speaker: Speaker) -> None:
    given = headers(speaker.own())
    assert speaker.http.post(CREATE, headers=given).status_code == 400
    assert speaker.http.post(CREATE, params={"forRunnerUuid": "another"}, headers=given).status_code == 403
    mine = {"forRunnerUuid": speaker.mesh.runner_uuid}
    assert speaker.http.post(CREATE, params=mine, headers=given, content=b"{}").status_code == 400
    assert len(speaker.mesh.complaints) == 3


def test_bodies_have_the_media_type(speaker: Speaker) -> None:
    run = speaker.working()
    given = headers(run.token) | {"Content-Type": "application/json"}
    for method, name in (("POST", "registerSource"), ("PATCH", "updateSource")):
        got = speaker.http.request(method, run.link(name, sourceId="me"), json={}, headers=given)
        assert got.status_code == 415
    assert len(speaker.mesh.complaints) == 2


def test_the_token_of_one_run_opens_no_other(speaker: Speaker) -> None:
    one, other = speaker.working(), speaker.working()
    assert one.report(credential=other.token, status="FAILED").status_code == 401
    assert one.register("you", credential=other.token).status_code == 401
    assert one.seen["status"] == "IN_PROGRESS"
    assert len(speaker.mesh.complaints) == 2


def test_to_register_twice_is_a_conflict_and_no_harm(speaker: Speaker) -> None:
    run = speaker.working()
    assert run.register().status_code == 409
    assert speaker.mesh.complaints == []


@pytest.mark.parametrize("body", [{"source": {}}, {"source": None}, {"steps": [{}]}, {"steps": [{"id": 1}]}])
def test_a_registration_has_a_source_and_steps_have_ids(speaker: Speaker, body: Json) -> None:
    assert speaker.claimed().register(**body).status_code == 400
    assert len(speaker.mesh.complaints) == 1


def test_a_run_that_was_not_claimed_is_nobodys(speaker: Speaker) -> None:
    waiting = speaker.mesh.enqueue(definition=MANUAL)
    where = f"/api/meshobjects/meshbuildingblockruns/{waiting}/status/source"
    given = headers(speaker.own())
    assert speaker.http.post(where, json={"source": {"id": "me"}}, headers=given).status_code == 400
    assert speaker.http.patch(f"{where}/me", json={}, headers=given).status_code == 409
    assert len(speaker.mesh.complaints) == 2


def test_a_source_that_was_not_registered_is_not_heard(speaker: Speaker) -> None:
    assert speaker.claimed().report(status="FAILED").status_code == 404
    assert len(speaker.mesh.complaints) == 1


def test_a_run_is_never_reported_as_pending(speaker: Speaker) -> None:
    run = speaker.working()
    assert run.report(status="PENDING").status_code == 500
    assert run.seen["patches"][0]["answered"] == 500
    assert speaker.mesh.complaints[0].endswith("the run itself was reported as PENDING")


@pytest.mark.parametrize(
    "body",
    [
        {"status": "DONE"},
        {"steps": [{"status": "FAILED"}]},
        {"steps": [{"id": "a", "status": "DONE"}]},
        {"steps": [{"id": "a", "userMessage": 1}]},
        {"steps": [{"id": "a", "outputs": {"b": {"value": 1, "type": "LIST"}}}]},
        {"steps": {}},
        {"artifact": "?"},
        {"changesDetected": "yes"},
    ],
)
def test_a_report_that_is_none_changes_nothing(speaker: Speaker, body: Json) -> None:
    run = speaker.working(behavior="DETECT")
    assert run.report(**body).status_code == 400
    assert (run.seen["status"], run.seen["artifactSize"]) == ("IN_PROGRESS", None)
    assert len(speaker.mesh.complaints) == 1


def test_a_body_is_sixteen_mebibytes_at_most(speaker: Speaker) -> None:
    run = speaker.working()
    assert run.report(steps=[{"id": "a", "systemMessage": "x" * (LARGEST_BODY - 1000)}]).status_code == 200
    assert run.report(steps=[{"id": "a", "systemMessage": "y" * LARGEST_BODY}]).status_code == 413
    assert run.seen["steps"][0]["systemMessage"][0] == "x"
    assert len(speaker.mesh.complaints) == 1


def test_more_than_fifty_steps_are_taken_and_complained_about(speaker: Speaker) -> None:
    run = speaker.claimed()
    assert run.register(steps=[{"id": str(number)} for number in range(50)]).status_code == 200
    assert speaker.mesh.complaints == []
    assert run.report(steps=[{"id": "one more"}]).status_code == 200
    assert len(run.seen["steps"]) == 51
    assert speaker.mesh.complaints == [f"the run {run.uuid} has 51 steps, which should not exceed 50"]


def test_what_belongs_to_a_dry_run_is_told_of_no_other(speaker: Speaker) -> None:
    run = speaker.working()
    assert run.report(status="SUCCEEDED", changesDetected=True).status_code == 200
    assert len(speaker.mesh.complaints) == 1


def test_a_run_that_is_over_stays_as_it_is(speaker: Speaker) -> None:
    run = speaker.working()
    run.report(status="SUCCEEDED")
    repeated = run.report(status="SUCCEEDED")
    assert repeated.status_code == 409
    assert "runAborted" not in repeated.json()
    assert speaker.mesh.complaints == []  # its answer may have been lost
    assert run.report(status="FAILED").status_code == 409
    assert run.seen["status"] == "SUCCEEDED"
    assert len(speaker.mesh.complaints) == 1


def test_who_reports_on_an_aborted_run_is_told_once(speaker: Speaker) -> None:
    run = speaker.working()
    speaker.mesh.abort(run.uuid)
    told = run.report(status="IN_PROGRESS")
    assert (told.status_code, told.json()) == (409, {"runAborted": True})
    assert speaker.mesh.complaints == []
    assert run.report(status="IN_PROGRESS").json() == {"runAborted": True}
    assert len(speaker.mesh.complaints) == 1
    assert speaker.mesh.wait(run.uuid)["status"] == "ABORTED"


def test_an_abort_can_be_told_by_the_answer_to_a_report(speaker: Speaker) -> None:
    run = speaker.working()
    speaker.mesh.abort(run.uuid, softly=True)
    assert run.seen["status"] == "IN_PROGRESS"
    told = run.report(status="IN_PROGRESS", steps=[{"id": "a", "status": "IN_PROGRESS"}])
    assert (told.status_code, told.json()) == (200, {"runAborted": True})
    assert run.seen["status"] == "ABORTED"
    assert speaker.mesh.complaints == []
    assert run.report(status="FAILED").status_code == 409
    assert len(speaker.mesh.complaints) == 1


def test_a_run_that_was_aborted_in_the_queue_is_not_handed_out(speaker: Speaker) -> None:
    speaker.mesh.abort(speaker.mesh.enqueue(definition=MANUAL))
    assert speaker.claim().status_code == 404


def test_a_runner_may_abort_its_run_itself(speaker: Speaker) -> None:
    run = speaker.working()
    assert run.report(status="ABORTED").json() == {"runAborted": False}
    assert run.seen["status"] == "ABORTED"
    assert run.report(status="ABORTED").status_code == 409


def test_a_plan_is_for_the_run_alone(speaker: Speaker) -> None:
    dry = speaker.working(behavior="DETECT")
    run = speaker.claimed(predecessor=dry.uuid)
    plan, wanted = run.link("planArtifact"), {"Accept": "application/octet-stream"}
    assert speaker.http.get(plan, headers={**wanted, "Authorization": speaker.own()}).status_code == 401
    assert speaker.http.get(plan, headers={**wanted, "Authorization": dry.token}).status_code == 401
    assert speaker.http.get(plan, headers=headers(run.token)).status_code == 406
    assert len(speaker.mesh.complaints) == 3
    assert speaker.http.get(plan, headers={**wanted, "Authorization": run.token}).status_code == 404  # it left none
    assert len(speaker.mesh.complaints) == 3
    none = dry.link("self") + "/plan-artifact"
    assert speaker.http.get(none, headers={**wanted, "Authorization": dry.token}).status_code == 404
    assert len(speaker.mesh.complaints) == 4


def test_what_is_not_there_is_not_there(speaker: Speaker) -> None:
    own = headers(speaker.own())
    for path in ("/api/meshobjects/meshbuildingblockruns/nobody", "/api/nothing", "/api/meshobjects/a/b/c"):
        assert speaker.http.get(path, headers=own).status_code == 404
    assert len(speaker.mesh.complaints) == 3


def test_whoever_waits_is_told_how_the_run_stands(speaker: Speaker) -> None:
    run = speaker.working()
    run.report(steps=[{"id": "init", "status": "IN_PROGRESS"}])
    with pytest.raises(TimeoutError, match="IN_PROGRESS after 0 s: init IN_PROGRESS"):
        speaker.mesh.wait(run.uuid, timeout=0)
    assert speaker.mesh.wait(run.uuid, until=lambda seen: bool(seen["steps"]))["steps"][0]["id"] == "init"
