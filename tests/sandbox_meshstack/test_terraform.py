"""The state service as the real Terraform meets it, by its http backend."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from runner.terraform.engine import discover
from tests.sandbox_meshstack.speaking import Claimed, Speaker

MODULE = 'resource "terraform_data" "one" {\n  input = "kept"\n}\n'


def terraform(run: Claimed, place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    token = run.document["spec"]["runToken"]
    return subprocess.run(
        [*discover(None).argv, *arguments, "-no-color", "-input=false"],
        cwd=place,
        env=os.environ | {"TF_HTTP_USERNAME": "x", "TF_HTTP_PASSWORD": token},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def prepared(run: Claimed, place: Path, *, locking: bool) -> Path:
    """The files that the public runner writes."""
    address = f"{run.link('meshstackBaseUrl')}/api/terraform/state/workspace/payments/buildingBlock/{run.block}"
    backend = {"address": address}
    if locking:
        lock = run.link("tfStateLock")
        backend |= {"lock_address": lock, "lock_method": "POST", "unlock_address": lock, "unlock_method": "DELETE"}
    (place / "backend.tf.json").write_text(json.dumps({"terraform": {"backend": {"http": backend}}}), encoding="utf-8")
    (place / "main.tf").write_text(MODULE, encoding="utf-8")
    assert terraform(run, place, "init").returncode == 0
    return place


@pytest.mark.parametrize("locking", [False, True])
def test_a_module_is_applied(speaker: Speaker, tmp_path: Path, locking: bool) -> None:
    run = speaker.working(locking=locking)
    place = prepared(run, tmp_path, locking=locking)
    ran = terraform(run, place, "apply", "-auto-approve")
    assert ran.returncode == 0, ran.stderr
    kept = speaker.mesh.state("payments", run.block)
    assert kept["state"]["resources"][0]["type"] == "terraform_data"
    assert kept["lock"] is None
    locked = [method for method, path, status, _ in speaker.mesh.log if path.endswith("/lock") and status == 200]
    assert locked == (["POST", "DELETE"] if locking else [])
    assert speaker.mesh.complaints == []


def test_who_holds_the_lock_is_told(speaker: Speaker, tmp_path: Path) -> None:
    run = speaker.working(locking=True)
    place = prepared(run, tmp_path, locking=True)
    info = {
        "ID": "3f1e",
        "Operation": "OperationTypeApply",
        "Who": "jane@laptop",
        "Version": "1",
        "Info": "",
        "Path": "",
    }
    speaker.mesh.hold_lock("payments", run.block, info, principal="jane")
    ran = terraform(run, place, "apply", "-auto-approve")
    assert ran.returncode != 0
    assert "already locked: ID=3f1e" in ran.stderr
    speaker.mesh.release_lock("payments", run.block)
    assert terraform(run, place, "apply", "-auto-approve", "-lock-timeout=5m").returncode == 0
    assert speaker.mesh.complaints == []
