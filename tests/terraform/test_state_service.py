"""The loopback state service: its protocol by plain requests, and the real Terraform against it."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from runner.ports import Attempt
from runner.store.opening import Store
from runner.terraform.state_service import StateService
from tests.engine.run import terraform
from tests.postgres import Postgres
from tests.store.making import NOW, a_state, opened

TENANT = "acme.shop.prod"
TERRAFORM = terraform()
LOCK = {"ID": "l1", "Operation": "OperationTypePlan", "Who": "anna@host", "Created": "2026-03-04T05:06:07Z"}


@pytest.fixture
def service(file_store: Store) -> Iterator[StateService]:
    with StateService(file_store.states, now=lambda: NOW, largest=1_000_000) as service:
        yield service


@pytest.fixture
def attempt(file_store: Store) -> Attempt:
    return file_store.states.open_attempt(TENANT, "r1", now=NOW)


@dataclass(frozen=True)
class Caller:
    """An engine's side of the protocol, one request at a time."""

    client: httpx.Client
    environment: Mapping[str, str]

    def __call__(self, method: str, body: bytes | Mapping[str, Any] = b"", **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(dict(body)).encode()
        lock_id = headers.pop("lock_id", None)
        return self.client.request(
            method,
            self.environment["TF_HTTP_ADDRESS"],
            params={"ID": lock_id} if lock_id else None,
            auth=(self.environment["TF_HTTP_USERNAME"], self.environment["TF_HTTP_PASSWORD"]),
            content=content,
            headers={"Content-MD5": md5(content)} | headers,
        )


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as client:
        yield client


@pytest.fixture
def call(service: StateService, attempt: Attempt, client: httpx.Client) -> Caller:
    return Caller(client, service.environment(attempt))


class Listener(logging.Handler):
    """Hears what a logging set-up of the program would hear; pytest's own listens to loggers that are turned off too."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.heard: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record)


def md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()


class TestProtocol:
    def test_there_is_no_state_before_the_first_was_written(self, call: Caller) -> None:
        assert call("GET").status_code == 404

    def test_a_state_is_read_as_it_was_written(self, call: Caller, file_store: Store) -> None:
        assert call("POST", a_state()).status_code == 200
        answer = call("GET")
        assert (answer.status_code, answer.content) == (200, a_state())
        assert file_store.states.versions(TENANT)[0].at == NOW

    def test_a_lock_is_held_by_one(self, call: Caller, file_store: Store) -> None:
        assert call("LOCK", LOCK).status_code == 200
        assert call("LOCK", LOCK).status_code == 200
        refused = call("LOCK", LOCK | {"ID": "l2"})
        assert (refused.status_code, refused.json()) == (423, LOCK)
        holder = file_store.states.holder(TENANT)
        assert holder is not None
        assert holder.run == "r1"

    def test_only_the_holder_of_the_lock_writes(self, call: Caller) -> None:
        call("LOCK", LOCK)
        assert call("POST", a_state()).status_code == 423
        assert call("POST", a_state(), lock_id="l2").status_code == 423
        assert call("POST", a_state(), lock_id="l1").status_code == 200

    def test_a_lock_is_released_by_its_id_only(self, call: Caller) -> None:
        call("LOCK", LOCK)
        refused = call("UNLOCK", LOCK | {"ID": "l2"})
        assert (refused.status_code, refused.json()) == (423, LOCK)
        assert call("UNLOCK").status_code == 400
        assert call("UNLOCK", LOCK).status_code == 200
        assert call("LOCK", LOCK | {"ID": "l2"}).status_code == 200

    def test_a_superseded_attempt_reads_but_does_not_change_anything(self, call: Caller, file_store: Store) -> None:
        call("POST", a_state())
        file_store.states.open_attempt(TENANT, "r2", now=NOW)
        assert call("GET").status_code == 200
        for refused in (call("LOCK", LOCK), call("POST", a_state(2))):
            assert refused.status_code == 409
            assert refused.json()["code"] == "state-attempt-superseded"
            assert "newest attempt is number 2" in refused.json()["ID"]
        assert len(file_store.states.versions(TENANT)) == 1

    def test_a_superseded_attempt_still_releases_its_own_lock(self, call: Caller, file_store: Store) -> None:
        call("LOCK", LOCK)
        file_store.states.open_attempt(TENANT, "r2", now=NOW)
        assert call("UNLOCK", LOCK).status_code == 200
        assert file_store.states.holder(TENANT) is None

    def test_a_body_that_did_not_arrive_whole_is_not_kept(self, call: Caller) -> None:
        assert call("POST", a_state(), **{"Content-MD5": md5(b"other")}).status_code == 400
        assert call("POST", a_state(), **{"Content-MD5": "rubbish"}).status_code == 400
        assert call("GET").status_code == 404

    def test_what_is_no_state_or_no_lock_is_not_kept(self, call: Caller) -> None:
        assert call("POST", b"hello").status_code == 400
        assert call("POST").status_code == 400
        assert call("LOCK", b"[]").status_code == 400
        assert call("LOCK", b"[" * 100_000).status_code == 400

    def test_a_conflicting_state_is_refused(self, call: Caller) -> None:
        call("POST", a_state(5))
        refused = call("POST", a_state(4))
        assert (refused.status_code, refused.json()["code"]) == (409, "state-conflict")

    def test_a_state_that_is_too_large_is_refused(self, call: Caller) -> None:
        too_large = b"x" * 1_000_001
        assert call("POST", too_large).status_code == 413
        streamed = call.client.post(
            call.environment["TF_HTTP_ADDRESS"],
            auth=(call.environment["TF_HTTP_USERNAME"], call.environment["TF_HTTP_PASSWORD"]),
            content=iter([too_large[:600_000], too_large[:600_000]]),
        )
        assert streamed.status_code == 413

    def test_other_methods_and_paths_are_not_there(self, call: Caller, service: StateService) -> None:
        assert call("DELETE").status_code == 405
        assert call.client.get(f"http://127.0.0.1:{service.port}/").status_code == 404

    def test_an_answer_does_not_wait_for_a_delayed_acknowledgement(self, call: Caller) -> None:
        call("POST", a_state())

        def seconds() -> float:
            started = time.perf_counter()
            call("GET")
            return time.perf_counter() - started

        assert min(seconds() for _ in range(10)) < 0.035  # Nagle's algorithm would make each of them 0.04

    def test_many_runs_are_served_at_once(self, service: StateService, file_store: Store) -> None:
        def walk(number: int) -> list[int]:
            attempt = file_store.states.open_attempt(f"tenant-{number}", f"r{number}", now=NOW)
            with httpx.Client(trust_env=False) as client:
                call = Caller(client, service.environment(attempt))
                answers = [call("LOCK", LOCK), call("POST", a_state(number + 1), lock_id="l1"), call("GET")]
                answers.append(call("UNLOCK", LOCK))
                assert json.loads(answers[2].content)["serial"] == number + 1
                return [answer.status_code for answer in answers]

        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(walk, range(48))) == [[200, 200, 200, 200]] * 48


class TestCredentials:
    @pytest.mark.parametrize(
        "header", ["", "Basic", "Basic !!!", "Basic /w==", "Bearer eA==", "Basic eDp5", "Basic Og=="]
    )
    def test_without_a_credential_there_is_nothing(self, call: Caller, header: str) -> None:
        for method in ("GET", "POST", "LOCK", "UNLOCK"):
            address = call.environment["TF_HTTP_ADDRESS"]
            answer = call.client.request(method, address, content=a_state(), headers={"Authorization": header})
            assert (answer.status_code, answer.content) == (401, b"")

    def test_a_closed_attempt_is_let_in_no_more(self, call: Caller, file_store: Store, attempt: Attempt) -> None:
        call("POST", a_state())
        file_store.states.close_attempt(attempt)
        assert call("GET").status_code == 401

    def test_a_credential_opens_one_tenant_only(
        self, service: StateService, call: Caller, file_store: Store, client: httpx.Client
    ) -> None:
        call("POST", a_state())
        other = file_store.states.open_attempt("other", "r2", now=NOW)
        wrong = Caller(
            client,
            service.environment(other) | {"TF_HTTP_ADDRESS": call.environment["TF_HTTP_ADDRESS"]},
        )
        for answer in (wrong("GET"), wrong("POST", a_state(2)), wrong("LOCK", LOCK), wrong("UNLOCK", LOCK)):
            assert answer.status_code == 403
        assert call("GET").content == a_state()

    def test_a_tenant_may_have_any_name(self, service: StateService, file_store: Store, client: httpx.Client) -> None:
        for name in ("a/b", "../a", "a b?c#d", "größe", "%2e"):
            call = Caller(client, service.environment(file_store.states.open_attempt(name, "r", now=NOW)))
            assert call("POST", a_state()).status_code == 200
        assert set(file_store.states.tenants()) == {"a/b", "../a", "a b?c#d", "größe", "%2e"}

    def test_nothing_of_a_credential_or_a_state_is_logged(self, call: Caller) -> None:
        listener = Listener(logging.DEBUG)
        root, level = logging.getLogger(), logging.getLogger().level
        root.addHandler(listener)
        root.setLevel(logging.DEBUG)
        try:
            call("POST", a_state(secret="canary-in-state"))
            call("GET")
            call("LOCK", b"rubbish")
        finally:
            root.setLevel(level)
            root.removeHandler(listener)
        said = "\n".join(record.getMessage() for record in listener.heard)
        loggers = {record.name for record in listener.heard}
        assert "httpcore.http11" in loggers
        assert call.environment["TF_HTTP_PASSWORD"] not in said
        assert "canary-in-state" not in said
        assert "uvicorn.access" not in loggers


def test_it_listens_on_loopback_only_and_stops(file_store: Store) -> None:
    with StateService(file_store.states) as service:
        port = service.port
        assert httpx.get(f"http://127.0.0.1:{port}/state/t", trust_env=False).status_code == 401
        listening = Path("/proc/net/tcp").read_text().splitlines() if Path("/proc/net/tcp").exists() else []
        assert all(line.split()[1].startswith("0100007F") for line in listening if f":{port:04X} " in line)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/state/t", trust_env=False)


def test_while_the_store_is_away_an_engine_is_told_to_try_again(
    postgres: Postgres, postgres_database: str, key: Path, client: httpx.Client
) -> None:
    with opened(postgres_database, key) as store, StateService(store.states) as service:
        call = Caller(client, service.environment(store.states.open_attempt(TENANT, "r1", now=NOW)))
        assert call("POST", a_state()).status_code == 200
        postgres.stop()
        try:
            away = call("GET")
        finally:
            postgres.start()
        assert (away.status_code, away.json()["code"]) == (503, "store-unreachable")
        assert call("GET").content == a_state()


# --- The real engine -------------------------------------------------------------------------------------------------

CONFIGURATION = """
terraform {
  backend "http" {}
}
variable "generation" { default = "1" }
resource "terraform_data" "plain" {
  count = 3
  input = "${var.generation}-${count.index}"
}
"""
# says that it was made by opening one pipe, and ends when the other one is opened
WAITING = """
resource "terraform_data" "slow" {
  triggers_replace = var.generation
  depends_on       = [terraform_data.plain]
  provisioner "local-exec" {
    command = "echo started > started; cat finish"
  }
}
"""


@dataclass(frozen=True)
class Engine:
    """Terraform in its own directory with its own environment."""

    directory: Path
    environment: Mapping[str, str]

    def with_credential_of(self, attempt: Attempt, service: StateService) -> Engine:
        return Engine(self.directory, dict(self.environment) | service.environment(attempt))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self._command(*arguments), **self._where(), capture_output=True, text=True, timeout=120)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        output = (self.directory / "output").open("wb")
        with output:
            return subprocess.Popen(self._command(*arguments), **self._where(), stdout=output, stderr=output)

    def _command(self, *arguments: str) -> list[str]:
        return [TERRAFORM, arguments[0], "-no-color", *arguments[1:]]

    def _where(self) -> dict[str, Any]:
        return {"cwd": self.directory, "env": dict(self.environment)}


@pytest.fixture
def bare_engine(tmp_path: Path) -> Engine:
    directory = tmp_path / "work"
    directory.mkdir()
    (directory / "main.tf").write_text(CONFIGURATION)
    (tmp_path / "terraformrc").write_text("")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TF_CLI_CONFIG_FILE": str(tmp_path / "terraformrc"),
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
    }
    return Engine(directory, environment)


@pytest.fixture
def engine(bare_engine: Engine, service: StateService, attempt: Attempt) -> Engine:
    engine = bare_engine.with_credential_of(attempt, service)
    assert engine.run("init").returncode == 0
    return engine


class TestTerraform:
    def test_it_plans_and_applies_and_leaves_no_lock(self, engine: Engine, file_store: Store) -> None:
        assert engine.run("plan", "-out=plan").returncode == 0
        applied = engine.run("apply", "plan")
        assert applied.returncode == 0, applied.stderr
        assert engine.run("plan", "-detailed-exitcode").returncode == 0
        (version,) = file_store.states.versions(TENANT)
        assert (version.serial, version.by) == (1, "r1")
        assert file_store.states.holder(TENANT) is None

    def test_the_credential_is_in_none_of_its_files(self, engine: Engine, attempt: Attempt) -> None:
        engine.run("plan", "-out=plan")
        unpacked = engine.directory / "unpacked"
        shutil.unpack_archive(engine.directory / "plan", unpacked, format="zip")
        for file in engine.directory.rglob("*"):
            assert not file.is_file() or attempt.password.encode() not in file.read_bytes()

    def test_it_names_who_has_the_lock(self, engine: Engine, file_store: Store, attempt: Attempt) -> None:
        file_store.states.lock(attempt, LOCK | {"ID": "the-lock-of-run-r0"}, now=NOW)
        refused = engine.run("plan")
        assert refused.returncode == 1
        assert "the-lock-of-run-r0" in refused.stderr

    def test_it_says_that_its_attempt_is_superseded(self, engine: Engine, file_store: Store) -> None:
        file_store.states.open_attempt(TENANT, "r2", now=NOW)
        refused = engine.run("plan")
        assert refused.returncode == 1
        assert "Another attempt took over this state" in " ".join(refused.stderr.split())

    def test_it_does_not_reach_the_state_of_another_tenant(
        self, engine: Engine, service: StateService, file_store: Store
    ) -> None:
        engine.run("apply", "-auto-approve")
        other = engine.with_credential_of(file_store.states.open_attempt("other", "r2", now=NOW), service)
        addresses = ("TF_HTTP_ADDRESS", "TF_HTTP_LOCK_ADDRESS", "TF_HTTP_UNLOCK_ADDRESS")
        wrong = Engine(
            engine.directory, {**other.environment, **{name: engine.environment[name] for name in addresses}}
        )
        refused = wrong.run("apply", "-auto-approve", "-var=generation=2")
        assert refused.returncode == 1
        assert "invalid auth" in refused.stderr
        assert len(file_store.states.versions(TENANT)) == 1
        assert file_store.states.current("other") is None

    def test_a_superseded_apply_leaves_its_state_to_be_taken_in(
        self, engine: Engine, service: StateService, file_store: Store
    ) -> None:
        (engine.directory / "slow.tf").write_text(WAITING)
        os.mkfifo(engine.directory / "started")
        os.mkfifo(engine.directory / "finish")
        applying = engine.start("apply", "-auto-approve")
        assert (engine.directory / "started").read_text() == "started\n"

        newer = file_store.states.open_attempt(TENANT, "r2", now=NOW)
        (engine.directory / "finish").write_text("go on\n")
        assert applying.wait(60) == 1
        assert b"HTTP error: 409" in (engine.directory / "output").read_bytes()

        errored = (engine.directory / "errored.tfstate").read_bytes()
        version = file_store.states.take_in(TENANT, errored, by="anna", now=NOW)
        assert version.serial >= 1
        assert file_store.states.unlock(TENANT, None)
        after = engine.with_credential_of(newer, service).run("plan", "-detailed-exitcode")
        assert after.returncode == 0, after.stdout

    def test_a_killed_engine_leaves_a_lock_that_names_its_run(
        self, engine: Engine, service: StateService, file_store: Store
    ) -> None:
        (engine.directory / "slow.tf").write_text(WAITING)
        os.mkfifo(engine.directory / "started")
        os.mkfifo(engine.directory / "finish")
        applying = engine.start("apply", "-auto-approve")
        assert (engine.directory / "started").read_text() == "started\n"
        applying.kill()
        applying.wait(60)
        (engine.directory / "finish").write_text("the shell that outlived it ends\n")

        holder = file_store.states.holder(TENANT)
        assert holder is not None
        assert (holder.run, holder.operation) == ("r1", "OperationTypeApply")
        newer = engine.with_credential_of(file_store.states.open_attempt(TENANT, "r2", now=NOW), service)
        refused = newer.run("plan")
        assert refused.returncode == 1
        assert holder.id in refused.stderr
        file_store.states.unlock(TENANT, holder.id)
        assert newer.run("plan").returncode == 0
