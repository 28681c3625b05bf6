"""`lzr sandbox` as people run it."""

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
import yaml
from click.testing import CliRunner

from runner.cli import run
from runner.cli.sandbox import sandbox as command
from runner.sandbox.azure.seed import DEFAULT
from runner.sandbox.azure.server import Sandbox
from tests.sandbox_azure.conftest import CHECKOUT, HOOKS, bearer


@pytest.fixture
def served(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "runner", "sandbox", "--dir", str(tmp_path)]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    ) as process:
        yield process
        process.kill()


def test_it_serves_until_it_is_told_to_stop(served: subprocess.Popen[str], tmp_path: Path) -> None:
    assert served.stdout is not None
    said = "".join(served.stdout.readline() for _ in range(8))
    assert f"export LZR_SANDBOX={tmp_path}" in said
    shown = CliRunner().invoke(command, ["show", "--json"], env={"LZR_SANDBOX": str(tmp_path)})
    assert json.loads(shown.output)["tenants"][0]["domain"] == "workloads.example"
    assert run(["sandbox", "--dir", str(tmp_path)]) == 3  # a second one on the same directory
    served.send_signal(signal.SIGTERM)
    assert served.wait(timeout=20) == 0
    assert not (tmp_path / "sandbox.json").exists()


def test_show_says_what_exists_in_plain_words(azure: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.write_handle()
    azure.put(
        f"{CHECKOUT}/resourceGroups/rg-one?api-version=2022-09-01", json={"location": "westeurope", "tags": {"a": "1"}}
    )
    invitation = {"invitedUserEmailAddress": "new@partner.example", "inviteRedirectUrl": "https://portal.azure.com"}
    azure.post("/v1.0/invitations", json=invitation)
    headers = bearer(azure, scope=f"{HOOKS}/.default") | {"x-mesh-project-identifier": "checkout\u202e"}
    raw = {name.encode(): value.encode() for name, value in headers.items()}
    azure.post(sandbox.function_url, headers=raw)
    told = CliRunner().invoke(command, ["--dir", str(sandbox.directory), "show"]).output
    for line in (
        "    Example (example)",
        "resource group rg-one in westeurope, 0 resources   [a=1]   (made by landing-zone-runner)",
        "landing-zone-runner is Owner on management group",
        "platform-team is Owner on subscription shared-resource-groups",
        "guest new@partner.example has not accepted yet   (made by landing-zone-runner)",
        "invited new@partner.example without mail, by landing-zone-runner",
        "group platform-team: emergency@workloads.example",
        "x-mesh-project-identifier: checkout",
    ):
        assert line in told
    assert "\u202e" not in told


def test_show_without_a_sandbox_says_how_to_start_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sandbox", "--dir", str(tmp_path), "show"]) == 2
    assert f"lzr sandbox --dir {tmp_path}" in capsys.readouterr().err


def test_a_wrong_seed_ends_with_the_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed = yaml.safe_load(DEFAULT.read_text(encoding="utf-8"))
    seed["azure"]["subscriptions"][0]["colour"] = "blue"
    (tmp_path / "seed.yaml").write_text(yaml.safe_dump(seed))
    assert run(["sandbox", "--dir", str(tmp_path), "--seed", str(tmp_path / "seed.yaml")]) == 2
    assert "azure.subscriptions.0.colour" in capsys.readouterr().err
