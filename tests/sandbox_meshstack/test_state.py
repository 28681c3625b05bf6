"""Terraform state, with a lock and without."""

from __future__ import annotations

import base64
import hashlib
import json

import httpx

from tests.sandbox_meshstack.speaking import Claimed, Json, Speaker

STATE = {"version": 4, "serial": 1, "lineage": "a"}
INFO = {"ID": "lock-1", "Operation": "OperationTypeApply", "Who": "runner@here", "Info": "", "Path": ""}


def write(run: Claimed, state: Json, *, lock: str = "", **more: str) -> httpx.Response:
    content = json.dumps(state).encode()
    return run.state(
        "POST",
        params={"ID": lock} if lock else {},
        content=content,
        headers={
            "Content-Type": "application/json",
            "Content-MD5": base64.b64encode(hashlib.md5(content).digest()).decode(),
            **more,
        },
    )


def test_a_state_is_written_read_and_deleted_without_a_lock(speaker: Speaker) -> None:
    run = speaker.working()
    assert run.state("GET").status_code == 404
    assert write(run, STATE).status_code == 200
    assert run.state("GET").json() == STATE
    assert speaker.mesh.state("payments", run.block) == {"state": STATE, "lock": None, "writes": 1}
    assert run.state("DELETE").status_code == 200
    assert run.state("GET").status_code == 404
    assert speaker.mesh.complaints == []
    assert speaker.mesh.log[-1][3] == "run-basic"


def test_a_state_outlives_the_run_and_both_spellings_lead_to_it(speaker: Speaker) -> None:
    write(speaker.working(block="block-1"), STATE)
    later = speaker.working(block="block-1")
    where = "/api/terraform/state/workspace/payments/buildingblock/block-1"
    assert speaker.http.get(where, headers={"Authorization": later.token}).json() == STATE


def test_a_state_is_for_runs_of_its_block_alone(speaker: Speaker) -> None:
    mine, other = speaker.working(), speaker.working()
    where = f"/api/terraform/state/workspace/payments/buildingBlock/{mine.block}"
    assert speaker.http.get(where, headers={"Authorization": other.token}).status_code == 403
    refused = speaker.http.get(where, headers={"Authorization": speaker.own()})
    assert refused.status_code == 403
    assert "MANAGED_TFSTATE_LIST" in refused.json()["message"]
    assert speaker.http.get(where).status_code == 401
    assert len(speaker.mesh.complaints) == 3


def test_what_is_no_state_is_not_kept(speaker: Speaker) -> None:
    run = speaker.working()
    assert write(run, STATE, **{"Content-Type": "text/plain"}).status_code == 415
    assert write(run, STATE, **{"Content-MD5": "wrong"}).status_code == 400
    assert run.state("POST", content=b"x", headers={"Content-Type": "application/json"}).status_code == 400
    assert run.state("PUT").status_code == 405
    assert speaker.mesh.state("payments", run.block)["state"] is None
    assert len(speaker.mesh.complaints) == 4


def test_a_run_without_the_link_has_no_lock(speaker: Speaker) -> None:
    run = speaker.working()
    assert "tfStateLock" not in run.document["_links"]
    assert run.state("POST", lock=True, json=INFO).status_code == 404
    assert len(speaker.mesh.complaints) == 1


def test_a_lock_is_taken_shown_used_and_released(speaker: Speaker) -> None:
    run = speaker.working(locking=True)
    assert run.link("tfStateLock").endswith(f"/workspace/payments/buildingBlock/{run.block}/lock")
    assert run.state("GET", lock=True).status_code == 404
    assert run.state("POST", lock=True, json=INFO).status_code == 200
    shown = run.state("GET", lock=True).json()
    assert shown["lockInfo"] == INFO
    assert shown["holder"] == {"runUuid": run.uuid, "principal": "runner"}
    assert shown["createdOn"].endswith("Z")
    assert write(run, STATE, lock="lock-1").status_code == 200
    assert run.state("DELETE", lock=True, json=INFO).status_code == 200
    assert run.state("GET", lock=True).status_code == 404
    assert speaker.mesh.complaints == []


def test_a_lock_that_is_held_names_its_holder(speaker: Speaker) -> None:
    first = speaker.working(locking=True, block="block-1")
    first.state("POST", lock=True, json=INFO)
    second = speaker.working(locking=True, block="block-1")
    refused = second.state("POST", lock=True, json={"ID": "lock-2"})
    assert (refused.status_code, refused.json()) == (423, INFO)
    assert speaker.mesh.complaints == []  # to wait for a lock is no mistake
    assert second.state("DELETE", lock=True, json={"ID": "lock-2"}).status_code == 423
    assert len(speaker.mesh.complaints) == 1


def test_a_state_is_not_written_past_a_lock(speaker: Speaker) -> None:
    run = speaker.working(locking=True)
    run.state("POST", lock=True, json=INFO)
    assert write(run, STATE).status_code == 423
    assert write(run, STATE, lock="another").status_code == 423
    assert run.state("DELETE").status_code == 423
    assert len(speaker.mesh.complaints) == 3


def test_a_write_with_a_lock_that_was_broken_is_taken_and_complained_about(speaker: Speaker) -> None:
    run = speaker.working(locking=True)
    run.state("POST", lock=True, json=INFO)
    speaker.mesh.release_lock("payments", run.block)
    assert write(run, STATE, lock="lock-1").status_code == 200
    assert len(speaker.mesh.complaints) == 1
    assert run.state("DELETE", lock=True, json=INFO).status_code == 404


def test_a_lock_has_an_id(speaker: Speaker) -> None:
    run = speaker.working(locking=True)
    assert run.state("POST", lock=True, json={}).status_code == 400
    assert run.state("POST", lock=True, content=b"").status_code == 400
    assert run.state("PATCH", lock=True).status_code == 405


def test_a_person_can_hold_a_lock(speaker: Speaker, http: httpx.Client) -> None:
    run = speaker.working(locking=True)
    speaker.mesh.hold_lock("payments", run.block, INFO, principal="jane")
    assert run.state("GET", lock=True).json()["holder"] == {"principal": "jane"}
    where = f"/sandbox/state/payments/{run.block}"
    assert http.get(where).json()["lock"]["lockInfo"] == INFO
    assert http.delete(f"{where}/lock").status_code == 204
    assert http.put(f"{where}/lock", json={"ID": "lock-9"}).status_code == 204
    assert run.state("POST", lock=True, json=INFO).json()["ID"] == "lock-9"
    assert http.put(where, json=STATE).status_code == 204
    assert run.state("GET").json() == STATE
    speaker.mesh.put_state("payments", run.block, {"serial": 2})
    assert http.get(where).json()["state"] == {"serial": 2}
    assert http.post(where).status_code == 404
