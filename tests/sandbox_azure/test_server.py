"""The server: certificates, handle, proxy, its own address, the log."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import ssl
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from runner.errors import InputError
from runner.sandbox import certificates
from runner.sandbox.azure.hosts import CERTIFIED, LOOPBACK
from runner.sandbox.azure.server import Sandbox
from runner.sandbox.handle import read_handle, write_handle
from tests.sandbox_azure.conftest import CHECKOUT, bearer, token


def test_certificates_are_made_once_and_their_keys_are_private(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    first = certificates.ensure(tmp_path / "new", names=CERTIFIED, now=now)
    kept = first.ca_file.read_bytes()
    certificates.ensure(tmp_path / "new", names=CERTIFIED, now=now + timedelta(days=700))
    assert first.ca_file.read_bytes() == kept
    for key in (tmp_path / "new").glob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


@pytest.mark.parametrize("spoil", ["expired", "names", "broken"])
def test_certificates_that_no_longer_serve_are_made_anew(spoil: str, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    found = certificates.ensure(tmp_path, names=CERTIFIED, now=now)
    kept = found.ca_file.read_bytes()
    if spoil == "broken":
        found.server_file.write_text("nothing")
    names = (*CERTIFIED, "another.example") if spoil == "names" else CERTIFIED
    certificates.ensure(tmp_path, names=names, now=now + timedelta(days=800 if spoil == "expired" else 0))
    assert found.ca_file.read_bytes() != kept


def test_a_handle_leads_to_the_sandbox_and_goes_with_it(tmp_path: Path) -> None:
    with Sandbox(tmp_path) as sandbox:
        sandbox.write_handle()
        handle = read_handle(tmp_path)
        assert (handle.url, handle.host, handle.pid) == (sandbox.url, sandbox.host, os.getpid())
        assert handle.engine_environment() == sandbox.engine_environment()
        trust = ssl.create_default_context(cafile=handle.ca_file)
        assert httpx.get(f"{handle.url}/sandbox/world", verify=trust).status_code == 200
    with pytest.raises(InputError) as caught:
        read_handle(tmp_path)
    assert caught.value.code == "sandbox-absent"


def test_a_handle_that_nobody_answers_is_stale(tmp_path: Path) -> None:
    with Sandbox(tmp_path) as sandbox:
        handle = sandbox.handle()
    write_handle(tmp_path, handle)
    with pytest.raises(InputError) as caught:
        read_handle(tmp_path)
    assert caught.value.code == "sandbox-stale"
    (tmp_path / "sandbox.json").write_text(json.dumps(dataclasses.asdict(handle) | {"color": "blue"}))
    with pytest.raises(InputError) as caught:
        read_handle(tmp_path)
    assert caught.value.code == "sandbox-handle-unreadable"


def test_reading_a_handle_imports_nothing_heavy() -> None:
    check = "import sys, runner.sandbox.handle, runner.sandbox.azure; print([name for name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout
    assert not [
        name for name in ("starlette", "uvicorn", "cryptography", "pydantic", "httpx", "yaml") if f"'{name}'" in found
    ]


def test_a_taken_port_is_told(sandbox: Sandbox, directory: Path) -> None:
    port = int(sandbox.host.split(":")[1])
    with pytest.raises(InputError, match="port"), Sandbox(directory, port=port):
        pass


def test_the_environment_for_the_engine_holds_no_credential(sandbox: Sandbox) -> None:
    found = sandbox.engine_environment()
    assert found["ARM_METADATA_HOSTNAME"] == sandbox.host
    assert found["ARM_RESOURCE_MANAGER_AUDIENCE"] == f"{sandbox.url}/"
    assert not [name for name in found if "SECRET" in name or "CLIENT" in name]


def test_the_proxy_carries_azures_names_and_nothing_else(sandbox: Sandbox, trust: ssl.SSLContext) -> None:
    with httpx.Client(proxy=sandbox.proxy_url, verify=trust) as client:
        for host in (
            "login.microsoftonline.com",
            "login.windows.net",
            "login.microsoftonline.us",
            "login.chinacloudapi.cn",
        ):
            assert client.get(f"https://{host}/common/v2.0/.well-known/openid-configuration").status_code == 200
        for host in ("management.azure.com", "management.usgovcloudapi.net", "management.chinacloudapi.cn"):
            assert client.get(f"https://{host}{CHECKOUT}?api-version=2022-12-01").status_code == 401
        assert client.get("https://graph.microsoft.com/v1.0/users").status_code == 401
        for url in ("https://example.com", "https://management.azure.com:8443/", "https://evil-azurewebsites.net"):
            with pytest.raises(httpx.ProxyError, match="403"):
                client.get(url)
        assert client.get("http://management.azure.com/").status_code == 403


def test_the_proxy_carries_the_sandboxs_own_address_by_each_of_its_names(
    sandbox: Sandbox, trust: ssl.SSLContext
) -> None:
    port = sandbox.host.split(":")[1]
    with httpx.Client(proxy=sandbox.proxy_url, verify=trust) as client:
        for name in LOOPBACK:
            assert client.get(f"https://{name}:{port}/metadata/endpoints").status_code == 200
            with pytest.raises(httpx.ProxyError, match="403"):
                client.get(f"https://{name}:{int(port) - 1}/metadata/endpoints")


def test_its_own_address_is_not_reached_by_azures_names(sandbox: Sandbox, trust: ssl.SSLContext) -> None:
    with httpx.Client(proxy=sandbox.proxy_url, verify=trust) as client:
        for host in ("management.azure.com", "graph.microsoft.com", "login.microsoftonline.com", "x.azurewebsites.net"):
            assert client.get(f"https://{host}/sandbox/world").status_code in (400, 401, 404)


def test_a_host_that_it_does_not_stand_for_is_misdirected(anonymous: httpx.Client) -> None:
    answer = anonymous.get("/sandbox/world", headers={"Host": "rebound.example"})
    assert answer.status_code == 421


def test_the_log_tells_calls_and_never_what_they_carried(azure: httpx.Client, sandbox: Sandbox) -> None:
    azure.delete("/sandbox/calls")
    secret = token(azure).json()["access_token"]
    azure.get(f"{CHECKOUT}?api-version=2022-12-01")
    logged = azure.get("/sandbox/calls").json()["value"]
    assert [(one["method"], one["status"], one["service"]) for one in logged] == [
        ("POST", 200, "login"),
        ("GET", 200, "arm"),
    ]
    assert logged[1]["caller"] == "landing-zone-runner"
    assert secret not in json.dumps(logged)
    assert "sandbox-runner-secret" not in json.dumps(logged)


def test_nothing_is_written_to_pythons_log(azure: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        azure.get(f"{CHECKOUT}?api-version=2022-12-01", headers=bearer(azure))
    assert not [record for record in caplog.records if record.name.startswith(("uvicorn", "runner"))]


def test_the_memory_of_calls_has_an_end(sandbox: Sandbox) -> None:
    assert sandbox.world.calls.maxlen
    assert sandbox.world.function_calls.maxlen


def test_somebody_in_the_portal_can_change_things_from_another_process(azure: httpx.Client) -> None:
    change = {"method": "PUT", "path": f"/providers/Microsoft.Management/managementGroups/corp-online{CHECKOUT}"}
    assert azure.post("/sandbox/drift", json=change).status_code == 200
    moved = azure.get(f"/providers/Microsoft.Management/managementGroups/corp-online{CHECKOUT}?api-version=2020-05-01")
    assert moved.status_code == 200
    azure.put(f"{CHECKOUT}/resourceGroups/rg-one?api-version=2022-09-01", json={"location": "westeurope"})
    assert (
        azure.post("/sandbox/drift", json={"method": "DELETE", "path": f"{CHECKOUT}/resourceGroups/rg-one"}).status_code
        == 202
    )
    assert azure.get(f"{CHECKOUT}/resourceGroups/rg-one?api-version=2022-09-01").status_code == 404
    assert azure.post("/sandbox/drift", json={"path": "nowhere"}).status_code == 400


def test_what_is_made_is_attributed(azure: httpx.Client, sandbox: Sandbox) -> None:
    azure.put(f"{CHECKOUT}/resourceGroups/rg-one?api-version=2022-09-01", json={"location": "westeurope"})
    sandbox.drift("PUT", f"{CHECKOUT}/resourceGroups/rg-two", {"location": "westeurope"})
    groups = sandbox.world.snapshot()["subscriptions"][0]["resourceGroups"]
    assert [(one["name"], one["madeBy"]) for one in groups] == [
        ("rg-one", "landing-zone-runner"),
        ("rg-two", "somebody in the portal"),
    ]


def test_a_body_that_is_too_large_is_refused(azure: httpx.Client) -> None:
    answer = azure.put(f"{CHECKOUT}/resourceGroups/rg-one?api-version=2022-09-01", content=b"x" * (5 * 1024 * 1024))
    assert answer.status_code == 413
