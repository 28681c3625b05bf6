"""What can be broken on purpose: and that none of it is a complaint about the client."""

from __future__ import annotations

import contextlib
import threading
import time

import httpx
import pytest

from runner.errors import InputError
from runner.sandbox.meshstack.server import MeshStack
from tests.sandbox_meshstack.speaking import CREATE, MANUAL, Speaker


def test_an_answer_can_be_a_status_with_a_time_to_wait(speaker: Speaker) -> None:
    own = speaker.own()
    speaker.mesh.enqueue(definition=MANUAL)
    speaker.mesh.fault(kind="status", path="/create$", method="POST", status=429, retry_after=7, times=1)
    got = speaker.claim(own)
    assert (got.status_code, got.headers["Retry-After"]) == (429, "7")
    assert speaker.claim(own).status_code == 201
    assert [status for _, path, status, _ in speaker.mesh.log if path == CREATE] == [429, 201]
    assert speaker.mesh.complaints == []


def test_a_fault_lasts_until_it_is_mended(speaker: Speaker) -> None:
    speaker.mesh.fault(kind="status", status=503)
    assert [speaker.login().status_code for _ in range(3)] == [503] * 3
    speaker.mesh.mend()
    assert speaker.login().status_code == 200


def test_some_calls_pass_first(speaker: Speaker) -> None:
    speaker.mesh.fault(kind="status", status=502, skip=1, times=2)
    assert [speaker.login().status_code for _ in range(4)] == [200, 502, 502, 200]


def test_a_connection_is_cut_before_anything_happened(speaker: Speaker) -> None:
    own = speaker.own()
    uuid = speaker.mesh.enqueue(definition=MANUAL)
    speaker.mesh.fault(kind="drop", path="/create$", times=1)
    with pytest.raises(httpx.TransportError):
        speaker.claim(own)
    assert speaker.mesh.run(uuid)["status"] == "PENDING"
    assert speaker.mesh.log[-1] == ("POST", CREATE, 0, "key")


def test_a_connection_is_cut_after_the_effect(speaker: Speaker) -> None:
    run = speaker.working()
    speaker.mesh.fault(kind="drop", method="PATCH", when="after", times=1)
    with pytest.raises(httpx.TransportError):
        run.report(status="SUCCEEDED")
    assert run.seen["status"] == "SUCCEEDED"
    assert run.report(status="SUCCEEDED").status_code == 409
    assert speaker.mesh.complaints == []


def test_an_effect_can_be_hidden_behind_a_status(speaker: Speaker) -> None:
    run = speaker.claimed()
    speaker.mesh.fault(kind="status", status=504, path="/status/source$", when="after", times=1)
    assert run.register().status_code == 504
    assert run.register().status_code == 409


def test_an_answer_can_take_its_time(speaker: Speaker) -> None:
    speaker.mesh.fault(kind="slow", seconds=0.05, times=1)
    began = time.monotonic()
    assert speaker.login().status_code == 200
    assert time.monotonic() - began >= 0.05


def test_a_slow_answer_does_not_keep_the_server_from_stopping(speaker: Speaker) -> None:
    run = speaker.working()
    speaker.mesh.fault(kind="slow", seconds=3600, when="after")

    def report() -> None:
        with contextlib.suppress(httpx.TransportError):  # answered or cut, as it happens
            run.report(steps=[{"id": "a"}])

    thread = threading.Thread(target=report)
    thread.start()
    speaker.mesh.wait(run.uuid, until=lambda seen: bool(seen["steps"]))
    speaker.mesh.__exit__(None, None, None)
    thread.join(timeout=30)
    assert not thread.is_alive()


def test_tokens_of_the_key_expire_at_once(speaker: Speaker) -> None:
    own, run = speaker.own(), speaker.working()
    speaker.mesh.fault(kind="expire")
    assert speaker.claim(own).status_code == 401
    assert run.report(status="IN_PROGRESS").status_code == 200
    assert speaker.claim().status_code == 404
    assert speaker.mesh.complaints == []


def test_tokens_of_runs_can_expire_just_before_a_call(speaker: Speaker) -> None:
    run = speaker.working()
    speaker.mesh.fault(kind="expire", tokens="runs", method="PATCH", path="/source/", times=1)
    assert run.report(status="FAILED").status_code == 401
    assert run.report(status="FAILED", credential=speaker.own()).status_code == 200
    assert speaker.mesh.complaints == []


def test_faults_can_be_set_from_outside_and_do_not_touch_the_sandbox_itself(
    http: httpx.Client, speaker: Speaker
) -> None:
    assert http.post("/sandbox/faults", json={"kind": "status", "retryAfter": 1}).status_code == 204
    assert speaker.login().status_code == 503
    assert http.delete("/sandbox/faults").status_code == 204
    assert speaker.login().status_code == 200


@pytest.mark.parametrize("wrong", [{"kind": "flood"}, {"kind": "status", "path": "("}, {"kind": "drop", "often": 1}])
def test_a_wrong_fault_is_refused(mesh: MeshStack, http: httpx.Client, wrong: dict[str, object]) -> None:
    assert http.post("/sandbox/faults", json=wrong).status_code == 400
    with pytest.raises(InputError):
        mesh.fault(**wrong)
