"""The ready checks of examples/policy: what they make of what conftest, checkov and infracost print. The programs are stand-ins here."""

from __future__ import annotations

import json
import os
import shlex
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runner.domain.approval import ExternalCheck
from runner.domain.check import CheckResult
from runner.policy.checks import CheckCommands

EXAMPLE = Path(__file__).parents[2] / "examples" / "policy"

# as conftest 0.60, checkov 3.2 and infracost 0.10 print them, shortened
CONFTEST = [
    {
        "filename": "plan.json",
        "namespace": "main",
        "successes": 1,
        "warnings": [{"msg": "a would be deleted", "metadata": {"query": "data.main.warn"}}],
        "failures": [{"msg": "b: blobs would be public"}],
    }
]
CHECKOV = {
    "check_type": "terraform_plan",
    "results": {
        "failed_checks": [{"check_id": "CKV_AZURE_33", "check_name": "Ensure logging", "resource": "azurerm_x.y"}]
    },
    "summary": {"passed": 3, "failed": 1},
}
INFRACOST = {"currency": "EUR", "totalMonthlyCost": "12.5", "summary": {"totalUnsupportedResources": 0}}


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory on PATH, beside what scripts need."""
    directory = tmp_path / "bin"
    directory.mkdir()
    (directory / "python3").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(directory))
    return directory


def checked(name: str) -> CheckResult:
    commands = CheckCommands(directory=EXAMPLE / "checks", limit=timedelta(seconds=60), redact=str)
    return commands.run(ExternalCheck(name=name, blocks=True), {"resource_changes": []}, stop=threading.Event())


def prints(programs: Path, name: str, told: Any, *, code: int = 0) -> None:
    text = told if isinstance(told, str) else json.dumps(told)
    (programs / name).write_text(f"#!/bin/sh\necho {shlex.quote(text)}\nexit {code}\n", encoding="utf-8")
    (programs / name).chmod(0o755)


@pytest.mark.parametrize("name", ["conftest", "checkov", "infracost"])
def test_without_its_program_a_check_could_not_be_run(name: str, programs: Path) -> None:
    found = checked(name)
    assert (found.outcome, found.summary) == ("could-not-run", f"{name} is not on PATH")


@pytest.mark.parametrize("name", ["conftest", "checkov", "infracost"])
def test_a_program_that_fails_otherwise_could_not_be_run(name: str, programs: Path) -> None:
    prints(programs, name, "oh no", code=1)
    assert checked(name).outcome == "could-not-run"


def test_failures_of_conftest_fail_the_check_and_warnings_do_not(programs: Path) -> None:
    prints(programs, "conftest", CONFTEST, code=1)
    found = checked("conftest")
    assert (found.outcome, found.summary) == ("failed", "1 passed, 1 warnings, 1 failures")
    assert found.findings == ("b: blobs would be public", "warning: a would be deleted")
    prints(programs, "conftest", [{**CONFTEST[0], "failures": None}])
    assert checked("conftest").outcome == "passed"


def test_failed_checks_of_checkov_fail_the_check(programs: Path) -> None:
    prints(programs, "checkov", CHECKOV, code=1)
    found = checked("checkov")
    assert (found.outcome, found.findings) == ("failed", ("CKV_AZURE_33 azurerm_x.y: Ensure logging",))
    prints(programs, "checkov", {"passed": 0, "failed": 0})  # what it prints where there is nothing to look at
    assert checked("checkov").outcome == "passed"


def test_infracost_tells_the_cost_where_every_price_is_known(programs: Path) -> None:
    prints(programs, "infracost", INFRACOST)
    found = checked("infracost")
    assert (found.outcome, found.cost, found.currency) == ("passed", 12.5, "EUR")
    prints(programs, "infracost", {**INFRACOST, "summary": {"totalUnsupportedResources": 2}})
    assert checked("infracost").cost is None


def test_the_scripts_can_be_executed_as_they_are_in_the_repository() -> None:
    assert all(os.access(EXAMPLE / "checks" / name, os.X_OK) for name in ("conftest", "checkov", "infracost"))
