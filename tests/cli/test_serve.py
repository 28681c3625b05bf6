"""`lzr serve`: who may use it, what it executes, and what it refuses to begin with."""

from __future__ import annotations

import json
import signal
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from runner.domain.signature import Key, verified
from runner.sandbox.azure.hosts import CERTIFIED
from runner.sandbox.certificates import ensure
from tests.azure.loopback import Loopback, Reply
from tests.channels.conftest import SIGNING
from tests.estate import TENANT, Estate, eventually
from tests.served import a_token, served


def test_whoever_sits_at_the_machine_plans_approves_and_applies_on_it(estate: Estate) -> None:
    with served(estate) as server:
        assert server.client.get("/api/v1/whoami").status_code == 401
        server.sign_in()
        who = server.get("/whoami")
        assert who["id"].startswith("os:")
        assert not who["person"]
        (run,) = server.post("/runs", {"tenants": [TENANT]}, status=201)["runs"]
        path = f"/runs/{run['id']}"
        eventually(lambda: server.get(path)["status"] == "waiting")
        server.post(f"{path}/approve", {"digest": server.get(path)["digest"], "apply": True})
        eventually(lambda: server.get(path)["status"] == "applied")
        server.process.send_signal(signal.SIGTERM)
        ran = estate.ended(server.process)
        assert "The server has stopped." in ran.stderr
        assert server.code not in ran.stderr
    with estate.store() as store:
        assert store.runs.get(run["id"]).requested_by == f"{who['name']} ({who['id']})"


def test_a_server_that_only_answers_leaves_the_work_to_others_of_its_store(estate: Estate) -> None:
    estate.decided_by("never")
    token = a_token(estate, "operator")
    with served(estate, "--no-work", token=token) as answers:
        (run,) = answers.post("/runs", {"tenants": [TENANT]}, status=201)["runs"]
        assert answers.get(f"/runs/{run['id']}")["status"] == "pending"
        with served(estate, token=token) as works:
            eventually(lambda: answers.get(f"/runs/{run['id']}")["status"] == "applied")
            assert works.get(f"/runs/{run['id']}/events")["items"] == answers.get(f"/runs/{run['id']}/events")["items"]
            works.process.kill()
        assert answers.get(f"/runs/{run['id']}")["status"] == "applied"


def _configured(directory: Path, **more: object) -> tuple[Path, int]:
    """A configuration with these fields for a server on a free port, and the port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    file = directory / "server.yaml"
    file.write_text(yaml.safe_dump({"publicUrl": f"http://localhost:{port}", **more}))
    return file, port


def test_a_configured_server_takes_tokens_and_logs_requests_as_json(estate: Estate, tmp_path: Path) -> None:
    token = a_token(estate, "viewer")
    config, port = _configured(tmp_path)
    with served(
        estate,
        "--port",
        port,
        "--config",
        config,
        "--no-work",
        "--behind-proxy",
        "127.0.0.1",
        token=token,
        LZR_LOG_LEVEL="info",
    ) as server:
        assert server.address == f"http://localhost:{port}"
        server.client.headers["x-forwarded-for"] = "192.0.2.7"
        assert server.client.get("/api/v1/whoami", params={"secret": "in-query"}).status_code == 200
        assert server.client.get("/sign-in", headers={"host": "127.0.0.1"}).status_code == 422
        assert "takes tokens only" in server.client.get("/sign-in").text
        server.process.send_signal(signal.SIGINT)
        ran = estate.ended(server.process)
    lines = [json.loads(line) for line in ran.stderr.splitlines() if line.startswith("{")]
    (answered, *_) = [one for one in lines if one["event"] == "answered"]
    assert (answered["path"], answered["status"], answered["client"]) == ("/api/v1/whoami", 200, "192.0.2.7")
    assert "in-query" not in ran.stderr
    assert token not in ran.stderr


def test_people_are_told_of_what_waits_and_of_what_was_applied(
    estate: Estate, sandbox_certificates: Path, tmp_path: Path
) -> None:
    token = a_token(estate)
    certificates = ensure(sandbox_certificates, names=CERTIFIED, now=datetime.now(UTC))
    with Loopback(certificates, lambda received: Reply(204)) as receiver:
        url = f"{receiver.url}/lzr"
        told = {
            "name": "inventory",
            "type": "webhook",
            "url": url,
            "secrets": [{"env": "HOOK"}],
            "events": ["waiting", "applied"],
        }
        notifications = {"allowedHosts": ["127.0.0.1"], "channels": [told]}
        config, port = _configured(tmp_path, notifications=notifications)
        with served(estate, "--port", port, "--config", config, token=token, HOOK=SIGNING) as server:
            (run,) = server.post("/runs", {"tenants": [TENANT]}, status=201)["runs"]
            eventually(lambda: receiver.requests)
            digest = server.get(f"/runs/{run['id']}")["digest"]
            server.post(f"/runs/{run['id']}/approve", {"digest": digest, "apply": True})
            eventually(lambda: len(receiver.requests) > 1)
        ids = set()
        for received, event in zip(receiver.requests, ("run.waiting", "run.applied"), strict=True):
            headers = {name.lower(): value.decode() for name, value in received.headers}
            ids.add(verified([Key.standard(SIGNING)], headers, received.body, now=datetime.now(UTC))[0])
            assert received.json["type"] == event
            assert received.json["data"]["url"] == f"{server.address}/runs/{run['id']}"
        assert len(ids) == 2


def test_others_cannot_reach_a_server_where_nobody_has_to_sign_in(estate: Estate) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "lzr.example"):
        assert "Others could reach this server" in refused(estate, "--host", host)


def refused(estate: Estate, *arguments: object) -> str:
    return estate.lzr("serve", estate.documents, *arguments, code=2).stderr


def test_a_configuration_that_is_wrong_is_told_with_its_places(estate: Estate, tmp_path: Path) -> None:
    config = tmp_path / "server.yaml"
    config.write_text("publicUrl: lzr.example\naccess:\n  - role: boss\n    groups: [a]\n")
    told = refused(estate, "--config", config)
    assert f"{config}:1" in told
    assert f"{config}:3" in told
    assert "cannot be read" in refused(estate, "--config", tmp_path / "missing.yaml")


@pytest.mark.parametrize("proxy", ["proxy.example", "10.0.0.0/99", "*", ""])
def test_a_proxy_is_an_address_or_a_network(estate: Estate, proxy: str) -> None:
    assert "neither an address nor a network" in refused(estate, "--behind-proxy", proxy)


def test_an_address_that_is_taken_is_told(estate: Estate) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "The address cannot be used" in refused(estate, "--no-work", "--port", taken.getsockname()[1])
