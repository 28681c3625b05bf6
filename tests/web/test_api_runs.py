"""Runs, reviews and decisions over the API, on a real server with a real store."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, get_args

import httpx
import pytest

from runner.domain.events import Kind
from runner.domain.review import Review
from runner.domain.run import Status
from runner.errors import RemoteFailed
from runner.ports import FleetOrder
from runner.web.protection import csrf_of
from tests.store.making import a_waiting_run
from tests.web.api_server import API, Served
from tests.web.serving import TENANT, ada

pytest_plugins = ("tests.web.api_fixtures",)

WISH = {"tenants": [TENANT], "reason": "new cost centre"}


def code(answer: httpx.Response) -> tuple[int, str]:
    """The status and the problem's code."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["type"] == f"urn:lzr:problem:{problem['code']}"
    return answer.status_code, problem["code"]


def test_a_run_is_started_looked_at_approved_and_told_of(served: Served) -> None:
    client, run = served.client(), served.waiting(reason="new cost centre")
    told = client.get(f"/runs/{run.id}").json()
    assert (told["status"], told["reason"], told["plan_only"]) == ("waiting", "new cost centre", False)
    review = client.get(f"/runs/{run.id}/review")
    assert review.headers["etag"] == f'"{run.digest}"'
    assert Review.model_validate(review.json()).digest == run.digest
    wish = {"digest": run.digest, "comment": "as agreed"}
    approved = client.post(f"/runs/{run.id}/approve", json=wish).json()
    assert approved["status"] == "approved"
    (approval,) = client.get(f"/runs/{run.id}/approvals").json()["items"]
    assert (approval["digest"], approval["comment"]) == (run.digest, "as agreed")
    assert approval == approved["approvals"][0]
    assert client.post(f"/runs/{run.id}/cancel").json()["status"] == "canceled"
    assert code(client.post(f"/runs/{run.id}/cancel")) == (409, "run-has-ended")


def test_what_a_person_has_not_seen_whole_is_not_approved(served: Served) -> None:
    client, run = served.client(), served.waiting()
    other = {"digest": "0" * 64}
    assert code(client.post(f"/runs/{run.id}/approve", json=other)) == (409, "digest-mismatch")
    beginning = {"digest": run.digest[:12]}
    assert code(client.post(f"/runs/{run.id}/approve", json=beginning)) == (422, "request-wrong")
    assert code(client.post(f"/runs/{run.id[:-1]}/approve", json={"digest": run.digest})) == (404, "run-not-found")
    assert served.ports.runs.get(run.id).status is Status.WAITING


def test_contents_are_deleted_only_where_their_group_is_named(served: Served) -> None:
    client, run = served.client(), served.waiting(contents=("rg-network",))
    wish = {"digest": run.digest, "confirmed": ["rg-other"]}
    assert code(client.post(f"/runs/{run.id}/approve", json=wish)) == (409, "contents-not-confirmed")
    wish["confirmed"] = ["rg-network"]
    assert client.post(f"/runs/{run.id}/approve", json=wish).json()["status"] == "approved"


def test_a_rejected_run_has_ended_and_says_by_whom(served: Served) -> None:
    client, run = served.client(), served.waiting()
    told = client.post(f"/runs/{run.id}/reject", json={"comment": "wrong landing zone"}).json()
    assert told["status"] == "rejected"
    assert told["failure"]["detail"] == "wrong landing zone"
    assert code(client.post(f"/runs/{run.id}/approve", json={"digest": run.digest})) == (409, "run-not-waiting")


def test_what_was_only_planned_is_applied_when_somebody_asks(served: Served) -> None:
    client, run = served.client(), served.waiting(plan_only=True)
    assert code(client.post(f"/runs/{run.id}/apply")) == (409, "run-not-approved")
    wish = {"digest": run.digest, "apply": False}
    client.post(f"/runs/{run.id}/approve", json=wish)
    assert not served.ports.runs.get(run.id).options.get("apply")
    assert client.post(f"/runs/{run.id}/apply").status_code == 200
    assert served.ports.runs.get(run.id).options["apply"] is True


def test_what_only_the_runner_understands_is_not_told(served: Served) -> None:
    run = served.waiting()
    for told in (served.client().get(f"/runs/{run.id}"), served.client().get("/runs")):
        for inside in ("executor", "engine", "source", "options", "snapshot", str(served.documents)):
            assert f'"{inside}"' not in told.text
            assert served.ports.executor not in told.text


def test_several_tenants_are_started_and_those_that_cannot_are_told(served: Served) -> None:
    answer = served.client().post("/runs", json={"tenants": [TENANT, "nobody.knows-it", TENANT]})
    assert answer.status_code == 201
    assert [run["tenant"] for run in answer.json()["runs"]] == [TENANT]
    (refused,) = answer.json()["refused"]
    assert (refused["tenant"], refused["problem"]["code"]) == ("nobody.knows-it", "tenant-unknown")
    assert code(served.client().post("/runs", json={"tenants": ["nobody.knows-it"]})) == (404, "tenant-unknown")


def test_wrong_documents_are_told_with_their_places(served: Served) -> None:
    (file,) = (served.documents / "tenants").iterdir()
    file.write_text(file.read_text(encoding="utf-8").replace("corp-online", "nowhere"), encoding="utf-8")
    answer = served.client().post("/runs", json=WISH)
    assert answer.status_code == 422
    (problem,) = answer.json()["problems"]
    assert (problem["field"], problem["line"]) == ("spec.landingZoneRef.name", 8)
    assert problem["file"].endswith(file.name)


# --- Sent twice --------------------------------------------------------------------------------------------------------


def test_a_request_that_is_sent_twice_is_done_once_also_by_another_server(served: Served) -> None:
    headers = {"Idempotency-Key": "0b5e1f3c"}
    first = served.client().post("/runs", json=WISH, headers=headers)
    assert first.status_code == 201
    assert served.client().post("/runs", json=WISH, headers=headers).json() == first.json()
    with served.beside() as url:
        token = served.client().headers["Authorization"]
        again = httpx.post(
            f"{url}/api/v1/runs", json=WISH, headers={**headers, "Authorization": token}, trust_env=False
        )
    assert (again.status_code, again.json()) == (201, first.json())
    assert len(served.ports.runs.find()) == 1


def test_a_key_stands_for_one_request_of_one_actor(served: Served) -> None:
    headers = {"Idempotency-Key": "0b5e1f3c"}
    served.client().post("/runs", json=WISH, headers=headers)
    other = served.client().post("/runs", json={**WISH, "reason": "another"}, headers=headers)
    assert code(other) == (422, "idempotency-key-reused")
    assert served.client("operator").post("/runs", json=WISH, headers=headers).status_code == 201
    assert len(served.ports.runs.find()) == 2


def test_a_request_that_is_under_way_is_not_begun_again_until_its_server_is_taken_for_dead(served: Served) -> None:
    headers, requests, now = {"Idempotency-Key": "0b5e1f3c"}, served.store.requests, served.ports.now()
    started = served.client().post("/runs", json=WISH, headers=headers).json()["runs"][0]
    requests.prune(before=now + timedelta(days=1))
    actor = served.client().get("/whoami").json()["id"]

    def left(since: timedelta) -> None:
        """A server began the request and died over it."""
        requests.forget(actor, "0b5e1f3c")
        requests.begin(
            actor, "0b5e1f3c", fingerprint=fingerprint, runs={TENANT: run_id}, now=now - since, patience=since
        )

    served.client().post("/runs", json=WISH, headers=headers)
    with served.store.database.reading() as tx:
        from runner.store.tables import requests as table

        fingerprint = tx.execute(table.select()).one().fingerprint
    run_id = "01jd8k3v9rj3w5f0k2m7q4x8zt"
    left(timedelta(seconds=5))
    assert code(served.client().post("/runs", json=WISH, headers=headers)) == (409, "request-under-way")
    left(timedelta(minutes=5))
    for _ in range(2):
        answer = served.client().post("/runs", json=WISH, headers=headers).json()
        assert [run["id"] for run in answer["runs"]] == [run_id]
    assert started["id"] != run_id


@pytest.mark.parametrize("database", ["served", "served_by_postgres"])
def test_a_request_that_is_sent_at_the_same_moment_is_done_once(database: str, request: pytest.FixtureRequest) -> None:
    served: Served = request.getfixturevalue(database)
    headers = {"Authorization": served.client().headers["authorization"], "Idempotency-Key": "0b5e1f3c"}
    with served.beside() as other, ThreadPoolExecutor(8) as pool:
        # FastAPI makes an application's routes with its first request, and not well for two at the same moment in one process
        for url in (served.url, other):
            httpx.get(f"{url}/api/v1/whoami", headers=headers, trust_env=False, timeout=30).raise_for_status()
        sent = [
            pool.submit(httpx.post, f"{url}/api/v1/runs", json=WISH, headers=headers, trust_env=False, timeout=30)
            for url in (served.url, other) * 4
        ]
        answers = [one.result() for one in sent]
    done = [answer for answer in answers if answer.status_code == 201]
    assert done
    assert all(answer.json() == done[0].json() for answer in done)
    assert {code(answer) for answer in answers if answer not in done} <= {(409, "request-under-way")}
    assert len(served.ports.runs.find()) == 1


def test_a_request_of_which_nothing_was_done_may_be_sent_again(served: Served) -> None:
    headers = {"Idempotency-Key": "0b5e1f3c"}
    (file,) = (served.documents / "tenants").iterdir()
    right = file.read_text(encoding="utf-8")
    file.write_text("kind: nonsense", encoding="utf-8")
    assert code(served.client().post("/runs", json=WISH, headers=headers)) == (422, "documents-wrong")
    file.write_text(right, encoding="utf-8")
    assert served.client().post("/runs", json=WISH, headers=headers).status_code == 201


# --- Lists -------------------------------------------------------------------------------------------------------------


def test_runs_are_listed_page_by_page_newest_first(served: Served) -> None:
    client = served.client()
    ids = [served.started().id for _ in range(5)][::-1]
    seen, cursor = [], None
    while True:
        page = client.get("/runs", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [run["id"] for run in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
        served.started()  # what is new comes before, and moves nothing
    assert seen == ids
    assert [run["id"] for run in client.get("/runs", params={"status": "superseded", "limit": 500}).json()["items"]][
        -4:
    ] == ids[1:]
    assert client.get("/runs", params={"zone": "elsewhere"}).json() == {"items": [], "next": None}
    assert client.get("/runs", params={"tenant": TENANT, "status": ["pending", "failed"]}).json()["items"]


def test_tenants_are_listed_page_by_page_in_any_order_whatever_goes_meanwhile(served: Served) -> None:
    client = served.client()
    for number in range(7):
        a_waiting_run(served.store, f"t{number}", tenant=f"größe.{number}", risks=number % 2)

    def listed(path: str, **asked: Any) -> Iterator[dict[str, Any]]:
        cursor = None
        while True:
            page = client.get(path, params=asked | {"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
            yield from page["items"]
            if (cursor := page["next"]) is None:
                return

    for order in get_args(FleetOrder):
        whole = client.get("/tenants", params={"order": order, "descending": True, "limit": 100}).json()["items"]
        assert list(listed("/tenants", order=order, descending=True)) == whole
    seen = []
    for run in listed("/inbox"):
        seen.append(run["id"])
        served.ports.runs.move(run["id"], Status.REJECTED, now=served.ports.now(), by="anna")
    assert seen == ["t1", "t3", "t5", "t0", "t2", "t4", "t6"]


def _cursor(*parts: object) -> str:
    return urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("order", "cursor"),
    [
        ("tenant", _cursor("tenants by drifted", [None, "a"])),
        ("tenant", _cursor("tenants by tenant", [None, "a"])),
        ("tenant", _cursor("tenants by tenant", 100)),
        ("status", _cursor("tenants by status", ["nonsense", "a"])),
        ("drifted", _cursor("tenants by drifted", ["failed", "a"])),
        ("drifted", _cursor("tenants by drifted", ["2026-01-01T00:00:00", "a"])),
        ("drifted", _cursor("tenants by drifted", ["0001-01-01T00:00:00+23:00", "a"])),
        ("updated", _cursor("tenants by updated", ["2026-01-01T00:00:00+00:00", ["a"]])),
    ],
)
def test_what_is_no_cursor_of_this_order_of_tenants_is_refused(served: Served, order: str, cursor: str) -> None:
    answer = served.client().get("/tenants", params={"order": order, "cursor": cursor})
    assert code(answer) == (422, "cursor-wrong")


@pytest.mark.parametrize(
    "cursor", ["nonsense", "WyJydW5zIiwiMDFqIl0", "WyJpbmJveCIsMV0", "W10", "\u0000", "WyJydW5zIixbXV0"]
)
def test_what_is_no_cursor_of_the_list_is_refused(served: Served, cursor: str) -> None:
    assert code(served.client().get("/runs", params={"cursor": cursor})) == (422, "cursor-wrong")


def test_the_inbox_has_what_waits_for_a_decision(served: Served) -> None:
    run = served.waiting()
    assert [one["id"] for one in served.client("approver").get("/inbox").json()["items"]] == [run.id]
    assert served.client("viewer").get("/inbox").json()["items"] == []


def test_tenants_are_listed_with_where_they_stand(served: Served) -> None:
    client, run = served.client(), served.waiting()
    listed = client.get("/tenants", params={"text": "checkout", "behind": True, "documented": True}).json()
    (tenant,) = listed["items"]
    assert (tenant["tenant"], tenant["run"]["id"], tenant["behind"]) == (TENANT, run.id, True)
    assert listed["counts"]["waiting"] == 1
    assert client.get(f"/tenants/{TENANT}").json() == tenant
    assert client.get("/tenants", params={"behind": False}).json()["items"] == []
    assert code(client.get("/tenants/nobody")) == (404, "tenant-unknown")


def test_a_landing_zone_is_told_with_its_document(served: Served) -> None:
    (zone,) = served.client().get("/zones").json()["items"]
    assert zone == {"name": "corp-online", "tenants": 1, "documented": True}
    told = served.client().get("/zones/corp-online").json()
    assert told["document"]["metadata"] == {"name": "corp-online"}
    assert code(served.client().get("/zones/nowhere")) == (404, "zone-unknown")


def test_a_state_is_told_of_without_what_is_in_it(served: Served) -> None:
    content = b'{"version": 4, "serial": 1, "lineage": "5a1e", "outputs": {"password": {"value": "hunter2"}}}'
    served.store.states.take_in(TENANT, content, by="somebody", now=served.ports.now())
    told = served.client().get(f"/tenants/{TENANT}/state-versions")
    assert told.json()["items"][0]["serial"] == 1
    assert "hunter2" not in told.text


def test_a_deletion_is_asked_for_and_decided_on(served: Served) -> None:
    client, path = served.client(), f"/tenants/{TENANT}/deletion"
    assert code(client.get(path)) == (404, "deletion-unknown")
    assert code(client.post(f"{path}/approve", json={})) == (404, "no-deletion")
    asked = client.post(path, json={"reason": "project ended"})
    assert (asked.status_code, asked.json()["standing"]) == (201, "requested")
    assert code(served.client("operator").post(f"{path}/approve", json={})) == (403, "not-allowed")
    assert client.post(f"{path}/approve", json={"comment": "agreed"}).json()["standing"] == "approved"
    assert client.get(path).json()["comment"] == "agreed"
    assert code(client.post("/runs", json=WISH))[0] == 409  # it leaves, and is not reconciled any more


# --- Who may ------------------------------------------------------------------------------------------------------------


def test_each_role_does_what_is_its_own(served: Served) -> None:
    run = served.waiting()
    approve, reject = (f"/runs/{run.id}/{what}" for what in ("approve", "reject"))
    assert code(served.client("").get("/runs")) == (401, "not-signed-in")
    assert served.client("").get("/runs").headers["www-authenticate"] == "Bearer"
    for role in ("viewer", "approver"):
        assert code(served.client(role).post("/runs", json=WISH)) == (403, "not-allowed")
        assert code(served.client(role).post(f"/runs/{run.id}/cancel")) == (403, "not-allowed")
    for role in ("viewer", "operator"):
        assert code(served.client(role).post(approve, json={"digest": run.digest})) == (403, "not-allowed")
        assert code(served.client(role).post(reject, json={})) == (403, "not-allowed")
    assert served.client("approver").post(reject, json={}).status_code == 200


def test_what_is_out_of_reach_does_not_exist(served: Served) -> None:
    run = served.waiting()
    elsewhere = served.client("admin", zones=("elsewhere",))
    for path in (
        f"/runs/{run.id}",
        f"/runs/{run.id}/review",
        f"/runs/{run.id}/events",
        f"/runs/{run.id}/events/stream",
    ):
        assert code(elsewhere.get(path)) == (404, "run-not-found")
    assert code(elsewhere.post(f"/runs/{run.id}/approve", json={"digest": run.digest})) == (404, "run-not-found")
    assert code(elsewhere.get(f"/tenants/{TENANT}")) == (404, "tenant-unknown")
    assert code(elsewhere.get(f"/tenants/{TENANT}/state-versions")) == (404, "tenant-unknown")
    assert code(elsewhere.post(f"/tenants/{TENANT}/deletion", json={"reason": "x"})) == (404, "tenant-unknown")
    assert code(elsewhere.get("/zones/corp-online")) == (404, "zone-unknown")
    assert code(elsewhere.post("/runs", json=WISH)) == (404, "tenant-unknown")
    for path in ("/runs", "/tenants", "/zones", "/inbox"):
        assert elsewhere.get(path).json()["items"] == []


def test_the_beginning_of_an_id_tells_nothing_of_runs_that_have_it(served: Served) -> None:
    """Several runs with it were once named, whoever asked."""
    runs = [served.started(), served.started()]
    for client in (served.client(), served.client("viewer", zones=("elsewhere",))):
        for beginning in ("0", runs[0].id[:8], runs[0].id[-6:]):
            answer = client.get(f"/runs/{beginning}")
            assert code(answer) == (404, "run-not-found")
            assert not [run for run in runs if run.id in answer.text]


def test_a_browser_session_changes_something_only_with_the_token_of_its_page(served: Served) -> None:
    person = served.site.person(ada())
    browser, path = person.client, f"{API}/runs"
    assert browser.get(f"{API}/whoami").json()["person"] is True
    assert code(browser.post(path, json=WISH)) == (403, "csrf")
    headers = {"X-CSRF-Token": csrf_of(person.cookie)}
    assert browser.post(path, json=WISH, headers=headers).status_code == 201
    elsewhere = {**headers, "Origin": "https://evil.example"}
    assert code(browser.post(path, json=WISH, headers=elsewhere)) == (403, "csrf")


# --- Errors -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tenants": []}, "body.tenants"),
        ({"tenants": ["x"], "behavior": "explode"}, "body.behavior"),
        ({"tenants": ["x"], "unknown": 1}, "body.unknown"),
        ({"tenants": [7]}, "body.tenants[0]"),
        ([], "body"),
    ],
)
def test_a_wrong_request_is_told_where_it_is_wrong(served: Served, body: object, field: str) -> None:
    answer = served.client().post("/runs", json=body)
    assert code(answer) == (422, "request-wrong")
    assert answer.json()["problems"][0]["field"] == field


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000, b'{"tenants": ' + b"9" * 5000 + b"}"])
def test_what_is_no_json_is_a_wrong_request(served: Served, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    assert code(served.client().post("/runs", content=content, headers=headers))[0] in (400, 422)


def test_a_value_in_a_wrong_place_is_not_repeated(served: Served) -> None:
    run = served.waiting()
    wish = {"digest": "hunter2-canary", "confirmed": "hunter2-canary", "apply": "hunter2-canary"}
    assert "hunter2" not in served.client().post(f"/runs/{run.id}/approve", json=wish).text


def test_too_large_a_body_is_refused_said_or_not(served: Served) -> None:
    large = b'{"tenants": ["' + b"x" * (2 * 1024 * 1024) + b'"]}'
    headers = {"Content-Type": "application/json"}
    assert code(served.client().post("/runs", content=large, headers=headers)) == (413, "too-large")
    pieces = (large[at : at + 65536] for at in range(0, len(large), 65536))
    assert code(served.client().post("/runs", content=pieces, headers=headers)) == (413, "too-large")


def test_what_is_not_there_is_a_problem_too(served: Served) -> None:
    assert code(served.client().get("/nothing/here")) == (404, "not-found")
    answer = served.client().request("DELETE", "/runs")
    assert code(answer) == (405, "method-not-allowed")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "POST"}


def test_a_store_that_is_away_is_told_as_such_and_a_bug_without_its_words(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise RemoteFailed("The store does not answer", code="store-unreachable", temporary=True)

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("hunter2")

    monkeypatch.setattr(type(served.ports.runs), "find", away)
    assert code(served.client().get("/runs")) == (503, "store-unreachable")
    monkeypatch.setattr(type(served.ports.runs), "find", broken)
    answer = served.client().get("/runs")
    assert code(answer) == (500, "internal-error")
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text


def test_the_journal_is_told_in_parts_without_what_is_for_the_runner_alone(served: Served) -> None:
    run = served.waiting()
    for number in range(5):
        served.ports.runs.append(run.id, Kind.LOG, {"step": "plan", "text": f"line {number}"}, now=served.ports.now())
    served.ports.runs.append(run.id, Kind.INTENT, {"what": "x", "key": "hunter2"}, now=served.ports.now())
    told, after = [], 0
    while True:
        page = served.client().get(f"/runs/{run.id}/events", params={"after": after, "limit": 2}).json()
        told += [event["seq"] for event in page["items"]]
        if page["after"] == after:
            break
        after = page["after"]
    assert told == list(range(1, 9))
    assert after == 9


def test_it_is_the_same_on_postgresql(served_by_postgres: Served) -> None:
    served = served_by_postgres
    test_a_run_is_started_looked_at_approved_and_told_of(served)
    headers = {"Idempotency-Key": "0b5e1f3c"}
    first = served.client().post("/runs", json=WISH, headers=headers).json()
    assert served.client().post("/runs", json=WISH, headers=headers).json() == first
    assert served.client().get("/runs", params={"tenant": "\u0000"}).json()["items"] == []
    for path in ("/runs", "/inbox", "/tenants", "/zones", f"/tenants/{TENANT}"):
        assert served.client().get(path).status_code == 200
