"""The agent among runs: claiming, reporting, aborting, stopping, dying."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from runner.agent.agent import Agent
from runner.domain.run import Status
from runner.errors import RemoteFailed
from runner.terraform import process
from tests.agent.mesh import Mesh
from tests.agent.test_terraform import statuses, steps
from tests.estate import eventually

MANUAL = {"type": "MANUAL"}


def slow(mesh: Mesh, script: str = "echo begun; exec sleep 600") -> dict[str, Any]:
    """A block that is at its pre-run script for long."""
    return mesh.terraform(preRunScript=script)


def at_the_script(run: dict[str, Any]) -> bool:
    return "begun" in str(steps(run).get("pre_run_script", {}).get("systemMessage"))


def claims(mesh: Mesh) -> list[int]:
    return [status for _, path, status, _ in mesh.stack.log if "/create" in path]


def kept(mesh: Mesh) -> int:
    with mesh.opened() as agent:
        return len(agent.kit.claims.all())


def no_process_of(run: str) -> bool:
    return process.found_with("LZR_AGENT_RUN", run) == []


def test_the_token_of_the_api_key_is_used_until_it_ends(mesh: Mesh) -> None:
    for _ in range(2):
        mesh.stack.enqueue(definition=MANUAL)
    with mesh.agent():
        eventually(lambda: len(claims(mesh)) > 5)
    assert len([path for _, path, _, _ in mesh.stack.log if path.endswith("/login")]) == 1


def test_a_token_that_ends_early_is_asked_for_anew(mesh: Mesh) -> None:
    with mesh.agent():
        eventually(lambda: claims(mesh))
        mesh.stack.fault(kind="expire")
        run = mesh.stack.wait(mesh.stack.enqueue(definition=MANUAL))
    assert run["status"] == "SUCCEEDED"


def test_everything_after_the_claim_goes_with_the_runs_own_token(mesh: Mesh) -> None:
    run = mesh.done(definition=mesh.terraform())
    after = [who for _, path, _, who in mesh.stack.log if run["uuid"] in path or run["block"] in path]
    assert set(after) == {"run", "run-basic"}


def test_an_api_user_with_a_password_still_works(mesh: Mesh) -> None:
    mesh.configure(api={"url": mesh.stack.url, "user": mesh.stack.username, "password": mesh.stack.password})
    assert mesh.done(definition=MANUAL)["status"] == "SUCCEEDED"


@pytest.mark.parametrize("status", [404, 409])
def test_nothing_to_do_is_no_error(mesh: Mesh, status: int) -> None:
    mesh.stack.fault(kind="status", path="create", method="POST", status=status, times=2)
    assert mesh.done(definition=MANUAL)["status"] == "SUCCEEDED"


def test_a_claim_whose_answer_is_lost_is_not_sent_again_before_its_time(mesh: Mesh) -> None:
    mesh.configure(errorSeconds=600)
    mesh.stack.fault(kind="drop", path="create", method="POST", when="after", times=1)
    lost = mesh.stack.enqueue(definition=MANUAL)
    other = mesh.stack.enqueue(definition=MANUAL)
    with mesh.agent():
        eventually(lambda: claims(mesh))
        threading.Event().wait(0.5)
    assert len(claims(mesh)) == 1
    assert (mesh.stack.run(lost)["status"], mesh.stack.run(other)["status"]) == ("IN_PROGRESS", "PENDING")


def test_being_registered_already_is_as_good(mesh: Mesh) -> None:
    mesh.stack.fault(kind="drop", path="status/source$", method="POST", when="after", times=1)
    assert mesh.done(definition=MANUAL)["status"] == "SUCCEEDED"
    assert 409 in [status for method, path, status, _ in mesh.stack.log if path.endswith("status/source")]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_registering_is_tried_again_when_it_is_told_to_wait(mesh: Mesh, status: int) -> None:
    mesh.stack.fault(kind="status", path="status/source$", method="POST", status=status, times=1, retryAfter=0)
    assert mesh.done(definition=MANUAL)["status"] == "SUCCEEDED"


def test_a_report_that_was_not_taken_is_told_again(mesh: Mesh) -> None:
    mesh.stack.fault(kind="status", path="status/source/", method="PATCH", status=503, times=2, retryAfter=0)
    run = mesh.done(definition=mesh.terraform())
    assert run["status"] == "SUCCEEDED"
    assert set(statuses(run).values()) == {"SUCCEEDED"}


def test_a_run_is_never_told_to_be_pending_and_only_changed_steps_are_sent(mesh: Mesh) -> None:
    uuid = mesh.stack.enqueue(definition=slow(mesh, mesh.until_opened("echo begun", "echo two")))
    with mesh.agent():
        mesh.stack.wait(uuid, until=at_the_script)
        mesh.gate.touch()
        run = mesh.stack.wait(uuid)
    bodies = [patch["body"] for patch in run["patches"]]
    assert {body["status"] for body in bodies} == {"IN_PROGRESS", "SUCCEEDED"}
    told = [{step["id"] for step in body["steps"]} for body in bodies]
    assert any("execute_tf" in ids and "sources" not in ids for ids in told)
    texts = [
        step["systemMessage"]
        for body in bodies
        for step in body["steps"]
        if step["id"] == "pre_run_script" and "systemMessage" in step
    ]
    assert texts[0] == "begun"
    assert texts[-1] == "begun\ntwo"


def test_an_abort_stops_the_run_and_nothing_more_is_told(mesh: Mesh) -> None:
    uuid = mesh.stack.enqueue(definition=slow(mesh))
    with mesh.agent():
        mesh.stack.wait(uuid, until=at_the_script)
        mesh.stack.abort(uuid, softly=True)
        eventually(lambda: no_process_of(uuid), "the script is stopped")
        eventually(lambda: kept(mesh) == 0)
    run = mesh.stack.run(uuid)
    assert run["status"] == "ABORTED"
    assert {patch["body"]["status"] for patch in run["patches"]} == {"IN_PROGRESS"}


def test_an_abort_on_the_server_is_no_error_for_the_agent(mesh: Mesh) -> None:
    uuid = mesh.stack.enqueue(definition=slow(mesh))
    with mesh.agent():
        mesh.stack.wait(uuid, until=at_the_script)
        mesh.stack.abort(uuid)
        eventually(lambda: no_process_of(uuid), "the script is stopped", within=20)
        assert mesh.stack.wait(mesh.stack.enqueue(definition=MANUAL))["status"] == "SUCCEEDED"


def test_a_run_that_is_canceled_where_the_agent_is_ends_as_aborted(mesh: Mesh) -> None:
    uuid = mesh.stack.enqueue(definition=slow(mesh))
    with mesh.agent() as agent:
        mesh.stack.wait(uuid, until=at_the_script)
        agent.kit.runs.request_cancel(uuid, by="me", now=agent.kit.tools.now())
        run = mesh.stack.wait(uuid)
        assert run["status"] == "ABORTED"
        assert statuses(run)["pre_run_script"] == "FAILED"
        assert agent.kit.runs.get(uuid).status is Status.CANCELED


def test_as_many_runs_as_allowed_are_at_work_at_once(mesh: Mesh) -> None:
    mesh.configure(maxConcurrentRuns=2)
    ids = [mesh.stack.enqueue(definition=slow(mesh)) for _ in range(3)]
    with mesh.agent():
        for uuid in ids[:2]:
            mesh.stack.wait(uuid, until=at_the_script)
        assert mesh.stack.run(ids[2])["status"] == "PENDING"
        mesh.stack.abort(ids[0])
        mesh.stack.wait(ids[2], until=at_the_script)


def test_a_kind_that_nobody_knows_is_reported_as_failed(mesh: Mesh) -> None:
    run = mesh.done(definition={"type": "PAPER_FORM"})
    assert run["status"] == "FAILED"
    assert "PAPER_FORM" in run["steps"][0]["systemMessage"]


def test_a_key_that_does_not_match_fails_the_run_at_once_with_what_to_do(mesh: Mesh) -> None:
    secret = [{"key": "password", "value": "p-a-s-s", "isSensitive": True}]
    mesh.configure(privateKey=other_key())
    run = mesh.done(definition=mesh.terraform(), inputs=secret)
    assert run["status"] == "FAILED"
    step = run["steps"][-1]
    assert "A secret cannot be decrypted: Of the input password" in step["userMessage"]
    assert "has to be entered again" in step["systemMessage"]


def other_key() -> str:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def test_a_store_shows_runs_of_meshstack_like_any_other(mesh: Mesh) -> None:
    run = mesh.done(behavior="DETECT", definition=mesh.terraform())
    with mesh.opened() as agent:
        found = agent.kit.runs.get(run["uuid"])
        assert (found.status, found.requested_by, found.tenant) == (Status.WAITING, "jdoe", run["block"])
        assert agent.kit.runs.review(found.id) is not None
    applied = mesh.done(definition=mesh.terraform(), block=run["block"])
    with mesh.opened() as agent:
        (approval,) = agent.kit.runs.approvals(applied["uuid"])
        assert (approval.by, approval.comment) == ("policy:meshstack", "ordered by jdoe")
        assert agent.kit.runs.get(run["uuid"]).status is Status.SUPERSEDED
        assert agent.kit.runs.get(applied["uuid"]).status is Status.APPLIED


# --- processes


def test_asked_to_stop_it_lets_runs_end_and_claims_no_more(mesh: Mesh) -> None:
    mesh.configure(graceSeconds=60, pollSeconds=600)  # no claim is on its way when it is told
    first = mesh.stack.enqueue(definition=slow(mesh, mesh.until_opened("echo begun")))
    process_ = mesh.start()
    assert process_.stderr is not None
    mesh.stack.wait(first, until=at_the_script)
    process_.send_signal(signal.SIGTERM)
    while "nothing more is claimed" not in process_.stderr.readline():
        pass
    second = mesh.stack.enqueue(definition=MANUAL)
    mesh.gate.touch()
    out, err = process_.communicate(timeout=60)
    assert process_.returncode == 0, err
    assert "no run is left" in out
    assert mesh.stack.run(first)["status"] == "SUCCEEDED"
    assert mesh.stack.run(second)["status"] == "PENDING"


def test_after_the_grace_a_run_is_stopped_and_told_as_aborted(mesh: Mesh) -> None:
    mesh.configure(graceSeconds=0.3)
    uuid = mesh.stack.enqueue(definition=slow(mesh))
    process_ = mesh.start()
    mesh.stack.wait(uuid, until=at_the_script)
    process_.send_signal(signal.SIGTERM)
    process_.communicate(timeout=60)
    run = mesh.stack.run(uuid)
    assert run["status"] == "ABORTED"
    assert steps(run)["pre_run_script"]["userMessage"] == "The runner is being stopped."
    assert no_process_of(uuid)


def test_what_a_killed_agent_had_claimed_is_told_as_failed_by_the_next_and_not_done_again(mesh: Mesh) -> None:
    uuid = mesh.stack.enqueue(definition=slow(mesh, "echo begun >> ../../../../ran; echo begun; exec sleep 600"))
    process_ = mesh.start()
    mesh.stack.wait(uuid, until=at_the_script)
    process_.kill()
    process_.wait()
    assert not no_process_of(uuid)
    assert kept(mesh) == 1
    with mesh.agent():
        run = mesh.stack.wait(uuid)
        eventually(lambda: kept(mesh) == 0)
    assert run["status"] == "FAILED"
    assert "The runner died while it was at: pre_run_script" in steps(run)["pre_run_script"]["userMessage"]
    assert statuses(run)["sources"] == "SUCCEEDED"
    assert statuses(run)["output"] == "FAILED"
    assert no_process_of(uuid)
    with mesh.opened() as agent:
        failed = agent.kit.runs.get(uuid)
        assert (failed.status, failed.failure and failed.failure.code) == (Status.FAILED, "agent-died")
        assert list(agent.kit.shelves.work.iterdir()) == []


def test_the_lost_run_is_told_as_soon_as_meshstack_is_there_again(mesh: Mesh) -> None:
    uuid = mesh.stack.enqueue(definition=slow(mesh))
    process_ = mesh.start()
    mesh.stack.wait(uuid, until=at_the_script)
    process_.kill()
    process_.wait()
    mesh.stack.fault(kind="status", path="status/source", status=500, times=3)
    with mesh.agent():
        assert mesh.stack.wait(uuid)["status"] == "FAILED"


def test_the_token_of_a_claim_is_sealed_in_the_store(mesh: Mesh) -> None:
    uuid = mesh.stack.enqueue(
        definition=slow(mesh),
        inputs=[{"key": "TOKEN", "value": "in-the-clear", "isSensitive": True, "isEnvironment": True}],
    )
    with mesh.agent():
        mesh.stack.wait(uuid, until=at_the_script)
        content = b"".join(path.read_bytes() for path in (mesh.directory / "store").glob("*.db*"))
        assert mesh.stack.token(uuid).encode() not in content
        assert b"in-the-clear" not in content
        mesh.stack.abort(uuid)


def test_its_port_tells_that_it_lives_and_how_it_does(mesh: Mesh) -> None:
    process_ = mesh.start()
    assert process_.stdout is not None
    line = process_.stdout.readline()
    address = next(word for word in line.split() if word.endswith("/healthz"))
    mesh.stack.wait(mesh.stack.enqueue(definition=MANUAL))

    def told() -> str:
        with urllib.request.urlopen(address) as answer:
            return str(answer.read().decode())

    eventually(lambda: "last successful claim: 20" in told())
    assert told().startswith("OK\n")
    with urllib.request.urlopen(address.replace("healthz", "metrics")) as answer:
        numbers = answer.read().decode()
    assert 'lzr_agent_runs_total{behavior="APPLY",kind="MANUAL",status="SUCCEEDED"} 1.0' in numbers
    assert 'lzr_agent_claims_total{result="run"} 1.0' in numbers


def test_a_single_run_is_claimed_executed_and_that_is_all(mesh: Mesh) -> None:
    first, second = (mesh.stack.enqueue(definition=MANUAL) for _ in range(2))
    process_ = mesh.start(EXECUTION_MODE="single-run")
    process_.communicate(timeout=60)
    assert process_.returncode == 0
    assert Counter(mesh.stack.run(uuid)["status"] for uuid in (first, second)) == {"SUCCEEDED": 1, "PENDING": 1}


def handed_over(mesh: Mesh, uuid: str) -> Path:
    """A run's file as a controller writes it: claimed by the controller, its secrets decrypted."""
    with mesh.opened() as agent:
        content = agent.kit.tools.api.claim()
        assert content is not None
        from runner.agent import envelope

        assert agent.kit.key is not None
        _, document = envelope.open_run(content, agent.kit.key, lambda value: None)
    file = mesh.directory / "run.json"
    file.write_text(json.dumps(document))
    return file


def test_a_run_in_a_file_needs_no_key_and_speaks_with_its_own_token_only(mesh: Mesh) -> None:
    inputs = [{"key": "region", "value": "decrypted", "isSensitive": True}]
    uuid = mesh.stack.enqueue(definition=mesh.terraform(), inputs=inputs)
    file = handed_over(mesh, uuid)
    logins = [path for _, path, _, _ in mesh.stack.log if path.endswith("/login")]
    process_ = mesh.start(
        EXECUTION_MODE="single-run",
        RUN_JSON_FILE_PATH=str(file),
        RUNNER_PRIVATE_KEY_FILE="/nowhere",
        RUNNER_API_URL="https://meshstack.invalid",
        RUNNER_API_CLIENT_SECRET="wrong",
    )
    _, err = process_.communicate(timeout=60)
    assert process_.returncode == 0, err
    assert mesh.stack.run(uuid)["outputs"]["region"]["value"] == "decrypted"
    assert [path for _, path, _, _ in mesh.stack.log if path.endswith("/login")] == logins


def test_a_single_run_that_fails_ends_well_once_that_was_told(mesh: Mesh) -> None:
    uuid = mesh.stack.enqueue(definition=mesh.terraform({"main.tf": "not HCL"}))
    process_ = mesh.start("--once")
    process_.communicate(timeout=60)
    assert process_.returncode == 0
    assert mesh.stack.run(uuid)["status"] == "FAILED"


def test_a_wrong_api_key_is_told_in_words_and_asked_again_later(mesh: Mesh) -> None:
    mesh.complaints = ["POST /api/login: the API key is wrong"]
    process_ = mesh.start("--check", RUNNER_API_CLIENT_SECRET="wrong")
    _, err = process_.communicate(timeout=60)
    assert process_.returncode == 5
    assert "meshStack does not accept the runner's API key" in err


def test_the_check_says_what_is_there(mesh: Mesh) -> None:
    process_ = mesh.start("--check")
    out, _ = process_.communicate(timeout=60)
    assert process_.returncode == 0
    assert f"Signed in to {mesh.stack.url}" in out
    assert "Engines: terraform" in out


def test_no_secret_is_in_anything_that_an_agent_writes(mesh: Mesh) -> None:
    secrets = {"PASSWORD": "correct-horse", "KEY": "line one of it\nline two of it"}
    script = 'echo "$PASSWORD"; echo "$KEY"; printf %s "$PASSWORD" > "$MESHSTACK_USER_MESSAGE"; echo "$TF_HTTP_PASSWORD" >&2; exit 3'
    uuid = mesh.stack.enqueue(
        definition=mesh.terraform(preRunScript=script),
        inputs=[
            {"key": key, "value": value, "isSensitive": True, "isEnvironment": True} for key, value in secrets.items()
        ],
    )
    process_ = mesh.start("--once", LZR_LOG_LEVEL="debug")
    out, err = process_.communicate(timeout=60)
    run = mesh.stack.run(uuid)
    assert run["status"] == "FAILED"
    everything = out + err + json.dumps(run)
    everything += "".join(
        path.read_bytes().decode(errors="replace") for path in (mesh.directory / "store").rglob("*") if path.is_file()
    )
    for value in (
        "correct-horse",
        "line one of it",
        "line two of it",
        mesh.stack.token(uuid),
        mesh.stack.client_secret,
    ):
        assert value not in everything


def test_agents_of_one_store_do_not_take_each_other_for_dead(mesh: Mesh) -> None:
    uuid = mesh.stack.enqueue(definition=slow(mesh))
    with mesh.agent():
        mesh.stack.wait(uuid, until=at_the_script)
        other: Agent
        with mesh.opened() as other:
            other._recover()
            assert other._lost == set()
        assert mesh.stack.run(uuid)["status"] == "IN_PROGRESS"
        mesh.stack.abort(uuid)


def test_a_run_whose_token_ends_is_reported_with_the_runners_own(mesh: Mesh) -> None:
    uuid = mesh.stack.enqueue(definition=slow(mesh, mesh.until_opened("echo begun", "echo later")))
    with mesh.agent():
        mesh.stack.wait(uuid, until=at_the_script)
        mesh.stack.fault(kind="expire")
        mesh.stack.fault(kind="expire", tokens="runs")
        mesh.gate.touch()
        run = mesh.stack.wait(uuid)
    assert run["status"] == "FAILED"  # its state cannot be reached any more
    assert "later" in steps(run)["pre_run_script"]["systemMessage"]


def test_a_secret_in_a_variable_that_is_not_called_sensitive_is_neither_told_nor_kept(mesh: Mesh) -> None:
    secret = [{"key": "region", "value": "a-secret-region", "isSensitive": True}]
    for behavior in ("DETECT", "APPLY"):
        run = mesh.done(behavior=behavior, definition=mesh.terraform(), inputs=secret)
        assert run["status"] == "SUCCEEDED"
        assert (
            "a-secret-region" not in json.dumps([{**step, "outputs": None} for step in run["steps"]]) + run["summary"]
        )
        kept = b"".join(path.read_bytes() for path in (mesh.directory / "store").glob("*.db*"))
        assert b"a-secret-region" not in kept
    assert run["outputs"]["region"]["value"] == "a-secret-region"  # meshStack is told what the block gives


def test_secrets_of_a_run_are_forgotten_with_it(mesh: Mesh) -> None:
    secret = [{"key": "region", "value": "a-secret-region", "isSensitive": True}]
    with mesh.agent() as agent:
        eventually(lambda: claims(mesh))
        before = agent.kit.redactor("a-secret-region")
        mesh.stack.wait(mesh.stack.enqueue(definition=slow(mesh, "true"), inputs=secret))
        eventually(lambda: agent._work == {})
        assert before == agent.kit.redactor("a-secret-region") == "a-secret-region"
        assert len(agent.kit.redactor._known) < 40  # the key's lines and the API's token


def test_the_oldest_runs_are_forgotten_here_for_meshstack_keeps_them(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.agent.agent._PRUNE_EVERY", 2)
    mesh.configure(keepRuns=10)
    ids = [mesh.stack.enqueue(definition=MANUAL) for _ in range(14)]
    with mesh.agent() as agent:
        for uuid in ids:
            mesh.stack.wait(uuid)
        eventually(lambda: len(agent.kit.runs.find(limit=100)) <= 11, "the oldest are forgotten")


def test_what_meshstack_decides_is_shown_here_and_not_decided(mesh: Mesh) -> None:
    run = mesh.done(behavior="DETECT", definition=mesh.terraform())["uuid"]

    def lzr(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "runner", *arguments],
            env=mesh.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    shown = lzr("review", run)
    assert "1 to add" in shown.stdout
    assert "The decision is made in meshStack." in shown.stdout
    assert json.loads(lzr("review", run, "--json").stdout)["changes"] is True
    for command in ("approve", "reject"):
        refused = lzr(command, run)
        assert (refused.returncode, "That is decided in meshStack" in refused.stderr) == (3, True)
    assert "execute_tf" in lzr("run", run).stdout
    assert run in lzr("runs").stdout


def test_a_claim_that_cannot_be_kept_is_told_as_failed_and_not_begun(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise RemoteFailed("The store cannot be written", code="store-cannot-write", detail="It is away.")

    monkeypatch.setattr("runner.store.claims.SqlClaims.keep", away)
    run = mesh.done(definition=mesh.terraform())
    assert run["status"] == "FAILED"
    assert "The store cannot be written" in run["summary"]
    assert mesh.stack.git.fetches == 0
    assert no_process_of(run["uuid"])


def test_while_the_store_is_away_nothing_is_claimed(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def away(*_: object) -> None:
        asked.append(1)
        raise RemoteFailed("The store cannot be read", code="store-away", detail="It is away.", temporary=True)

    uuid = mesh.stack.enqueue(definition=MANUAL)
    with monkeypatch.context() as patched:
        patched.setattr("runner.store.claims.SqlClaims.all", away)
        with mesh.agent():
            eventually(lambda: len(asked) > 2)
            assert claims(mesh) == []
            patched.undo()
            assert mesh.stack.wait(uuid)["status"] == "SUCCEEDED"
