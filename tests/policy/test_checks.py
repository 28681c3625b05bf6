"""Check commands, with real scripts: what they are told, what they say, and what they cannot do to the runner."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from runner.domain.approval import ExternalCheck
from runner.domain.check import CheckResult
from runner.errors import Canceled
from runner.policy.checks import CheckCommands
from tests.estate import eventually

PLAN = {"format_version": "1.2", "resource_changes": [{"address": "a"}]}
Checked = Callable[..., CheckResult]


def is_gone(pid: int) -> bool:
    """Whether nothing of the process is at work any more; who inherits it may not have noticed yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def checked(tmp_path: Path) -> Checked:
    """Runs a shell script as a check."""

    def run(script: str, *, limit: float = 30, stop: threading.Event | None = None, plan: Any = PLAN) -> CheckResult:
        file = tmp_path / "conftest"
        file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        file.chmod(0o755)
        commands = CheckCommands(
            directory=tmp_path, limit=timedelta(seconds=limit), redact=lambda text: text.replace("hunter2", "(hidden)")
        )
        return commands.run(ExternalCheck(name="conftest", blocks=True), plan, stop=stop or threading.Event())

    return run


def test_the_exit_code_says_whether_it_passed(checked: Checked) -> None:
    outcomes = {code: checked(f"echo told; exit {code}") for code in (0, 1, 2, 127)}
    assert [found.outcome for found in outcomes.values()] == ["passed", "failed", "could-not-run", "could-not-run"]
    assert all(found.summary == "told" for found in outcomes.values())
    assert [found.stops for found in outcomes.values()] == [False, True, True, True]
    assert checked("exit 3").summary == "It ended with 3."


def test_it_gets_the_plan_in_a_file_for_its_owner_that_is_gone_afterwards(checked: Checked) -> None:
    found = checked('echo "$#"; stat -c "%a" "$1"; cat "$1"; echo; echo "$1"; stat -c "%a" "$(dirname "$1")"')
    arguments, mode, plan, path, directory = (found.summary, *found.findings)
    assert (arguments, mode, directory) == ("1", "600", "700")
    assert json.loads(plan) == PLAN
    assert not Path(path).exists()


def test_nothing_of_the_runners_environment_reaches_it_but_what_is_meant_for_checks(
    checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LZR_STORE_KEY", "canary")
    monkeypatch.setenv("ARM_CLIENT_SECRET", "canary")
    monkeypatch.setenv("CHECK_INFRACOST_API_KEY", "for-infracost")
    found = checked("env")
    seen = {line.partition("=")[0] for line in (found.summary, *found.findings)}
    assert seen <= {
        "PATH",
        "LANG",
        "HTTPS_PROXY",
        "NO_PROXY",
        "SSL_CERT_FILE",
        "HOME",
        "TMPDIR",
        "PWD",
        "_",
        "SHLVL",
        "OLDPWD",
        "INFRACOST_API_KEY",
    }
    assert "INFRACOST_API_KEY=for-infracost" in (found.summary, *found.findings)
    assert "canary" not in str(found)


def test_json_gives_summary_findings_and_cost(checked: Checked) -> None:
    told = {"summary": "2 problems", "findings": ["one", {"two": 2}], "monthlyCost": 12.5, "currency": "EUR", "else": 1}
    found = checked(f"echo '{json.dumps(told)}'; exit 1")
    assert found == CheckResult(
        name="conftest",
        blocks=True,
        outcome="failed",
        summary="2 problems",
        findings=("one", '{"two": 2}'),
        cost=12.5,
        currency="EUR",
    )


@pytest.mark.parametrize(
    "told",
    [
        '{"monthlyCost": "12"}',
        '{"monthlyCost": true}',
        '{"monthlyCost": NaN}',
        '{"findings": 3}',
        '{"summary": null}',
        "[1]",
    ],
)
def test_what_is_not_as_it_should_be_is_left_out(checked: Checked, told: str) -> None:
    found = checked(f"echo '{told}'")
    assert (found.outcome, found.cost, found.findings) == ("passed", None, ())


def test_what_it_says_is_redacted_and_bounded(checked: Checked) -> None:
    found = checked('echo "the password is hunter2"; seq 1 200; yes x | head -c 5000 | tr -d "\\n"')
    assert found.summary == "the password is (hidden)"
    assert len(found.findings) == 50
    assert found.more == 151
    assert max(map(len, found.findings)) <= 500


def test_one_that_takes_too_long_is_ended_with_everything_that_it_started(checked: Checked, tmp_path: Path) -> None:
    began = time.monotonic()
    found = checked(f'sleep 300 & echo "$!" > {tmp_path}/child; wait', limit=1)
    assert time.monotonic() - began < 20
    assert (found.outcome, found.stops) == ("could-not-run", True)
    assert "longer than 1 s" in found.summary
    child = int((tmp_path / "child").read_text(encoding="utf-8"))
    eventually(lambda: is_gone(child))


def test_one_that_has_ended_leaves_nothing_behind_that_could_hold_the_run_up(checked: Checked, tmp_path: Path) -> None:
    found = checked(f'sleep 300 & echo "$!" > {tmp_path}/child; echo fine')
    assert (found.outcome, found.summary) == ("passed", "fine")
    child = int((tmp_path / "child").read_text(encoding="utf-8"))
    eventually(lambda: is_gone(child))


@pytest.mark.parametrize("where", ["1", "2"])
def test_one_that_writes_without_end_is_ended(checked: Checked, where: str) -> None:
    found = checked(f"yes >&{where}")
    assert found.outcome == "could-not-run"
    assert "more than 1024 KiB" in found.summary


def test_a_run_that_is_canceled_does_not_wait_for_it(checked: Checked) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Canceled):
        checked("sleep 300", stop=stop)


@pytest.mark.parametrize("name", ["absent", "not-executable", "directory"])
def test_a_check_that_is_not_there_could_not_be_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "not-executable").write_text("#!/bin/sh\n", encoding="utf-8")
    (tmp_path / "directory").mkdir()
    commands = CheckCommands(directory=tmp_path, limit=timedelta(seconds=5), redact=str)
    found = commands.run(ExternalCheck(name=name, blocks=True), PLAN, stop=threading.Event())
    assert (found.outcome, found.stops) == ("could-not-run", True)
    assert name in found.summary


def test_without_a_directory_no_check_can_be_run() -> None:
    commands = CheckCommands(directory=None, limit=timedelta(seconds=5), redact=str)
    found = commands.run(ExternalCheck(name="conftest"), PLAN, stop=threading.Event())
    assert (found.outcome, found.stops, found.summary) == ("could-not-run", False, "LZR_CHECKS is not set.")


def test_one_that_cannot_be_started_could_not_be_run(tmp_path: Path) -> None:
    (tmp_path / "conftest").write_text("#!/nowhere/python\n", encoding="utf-8")
    (tmp_path / "conftest").chmod(0o755)
    commands = CheckCommands(directory=tmp_path, limit=timedelta(seconds=5), redact=str)
    found = commands.run(ExternalCheck(name="conftest"), PLAN, stop=threading.Event())
    assert found.outcome == "could-not-run"
    assert str(os.fspath(tmp_path)) not in found.summary
