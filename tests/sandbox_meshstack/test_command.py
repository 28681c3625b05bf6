"""`meshstack` as people run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from runner.cli.sandbox_meshstack import meshstack
from runner.errors import InputError, Refused
from runner.sandbox.meshstack.places import running_handle
from runner.sandbox.meshstack.server import MeshStack

COMMAND = "from runner.cli.sandbox_meshstack import meshstack; meshstack()"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-c", COMMAND, "--dir", str(tmp_path)]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    ) as process:
        yield process
        process.kill()


def test_it_serves_until_it_is_told_to_stop(served: subprocess.Popen[str], tmp_path: Path) -> None:
    assert served.stdout is not None
    said = "".join(served.stdout.readline() for _ in range(10))
    handle = json.loads((tmp_path / "meshstack.json").read_text(encoding="utf-8"))
    assert handle["pid"] == served.pid
    for told in (handle["url"], handle["gitHttpsUrl"], handle["gitSshUrl"], handle["configFile"], handle["gitRoot"]):
        assert told in said
    order = said.partition("curl -d '")[2].partition("'")[0]
    assert httpx.post(f"{handle['url']}/sandbox/runs", content=order, trust_env=False).status_code == 201
    second = CliRunner().invoke(meshstack, ["--dir", str(tmp_path)])
    assert isinstance(second.exception, Refused)
    served.send_signal(signal.SIGTERM)
    assert "has stopped" in served.stdout.read()
    assert served.wait(timeout=20) == 0
    assert not (tmp_path / "meshstack.json").exists()


def test_a_handle_that_nobody_answers_is_no_sandbox(tmp_path: Path) -> None:
    with MeshStack(tmp_path) as mesh:
        handle = mesh.handle()
        assert running_handle(tmp_path) == handle
    left_behind: list[object] = [handle, {"url": "x"}, []]
    for left in left_behind:
        (tmp_path / "meshstack.json").write_text(json.dumps(left), encoding="utf-8")
        assert running_handle(tmp_path) is None


def test_a_port_that_is_taken_is_told(mesh: MeshStack, tmp_path: Path) -> None:
    port = int(mesh.url.rpartition(":")[2])
    with pytest.raises(InputError, match="The port is taken"), MeshStack(tmp_path, port=port):
        pass


def test_there_is_no_address_before_it_runs(tmp_path: Path) -> None:
    stopped = MeshStack(tmp_path)
    with pytest.raises(RuntimeError, match="only while it runs"):
        _ = stopped.url
    with pytest.raises(RuntimeError, match="once it runs"):
        _ = stopped.complaints
