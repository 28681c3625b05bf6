"""Schemathesis sends what the description allows and what it does not: no answer is a bug, none is otherwise than described."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.web.api import streams
from runner.web.api.openapi import description
from tests.web.api_server import Served
from tests.web.serving import TENANT

pytest_plugins = ("tests.web.api_fixtures",)

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = 8  # of each operation and phase


@pytest.mark.parametrize("database", ["served", "served_by_postgres"])
def test_the_api_is_as_described_whatever_is_sent(
    database: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_LONGEST", 0.1)  # a stream that does not end is none to compare
    served: Served = request.getfixturevalue(database)
    run = [served.waiting() for _ in range(3)][-1]
    schema, token = tmp_path / "api.json", served.client().headers["authorization"]
    schema.write_text(json.dumps(description()), encoding="utf-8")
    arguments = ["run", schema, "--url", served.url, "-H", f"Authorization: {token}", "--checks", "all"]
    bounded = ["--max-examples", EXAMPLES, "--generation-deterministic", "--no-color"]
    hooks = {"SCHEMATHESIS_HOOKS": "tests.web.schemathesis_hooks", "KNOWN": f"run_id={run.id},name={TENANT}"}
    ran = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", *map(str, [*arguments, *bounded])],
        env={**os.environ, **hooks, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        cwd=tmp_path,  # where it keeps what it found
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-2_000:]
    assert f"Tested: {sum(map(len, description()['paths'].values()))}" in ran.stdout
