"""One command line: followed through a file, stopped gently, then surely."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from runner.domain.run import EngineProcess
from runner.terraform import process
from tests.engine.programs import gone, program

LONG = timedelta(minutes=5)
SHORT = timedelta(milliseconds=400)


def run(
    argv: list[str],
    tmp_path: Path,
    *,
    on_line: Callable[[str], None] = lambda line: None,
    stop: threading.Event | None = None,
    limit: timedelta = LONG,
    grace: timedelta = LONG,
    on_start: Callable[[EngineProcess], None] = lambda started: None,
) -> process.Ended:
    def on_lines(lines: list[str]) -> None:
        for line in lines:
            on_line(line)

    return process.run(
        argv,
        cwd=tmp_path,
        env={"PATH": os.defpath},
        output=tmp_path / "output",
        on_lines=on_lines,
        stop=stop or threading.Event(),
        limit=limit,
        grace=grace,
        on_start=on_start,
    )


def test_every_line_is_passed_on_in_order(tmp_path: Path) -> None:
    lines: list[str] = []
    ended = run(program("talks", "20000"), tmp_path, on_line=lines.append)
    assert ended == process.Ended(code=0)
    assert lines == [f"line {number}" for number in range(20000)]


def test_bytes_that_are_no_text_are_replaced_and_a_last_line_needs_no_end(tmp_path: Path) -> None:
    lines: list[str] = []
    run(program("bytes"), tmp_path, on_line=lines.append)
    assert lines == ["café \N{REPLACEMENT CHARACTER} end", "no newline"]


def test_the_output_is_a_private_file(tmp_path: Path) -> None:
    run(program("talks", "1"), tmp_path)
    assert (tmp_path / "output").stat().st_mode & 0o777 == 0o600


def test_nothing_of_the_environment_is_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "canary")
    lines: list[str] = []
    run(program("environment"), tmp_path, on_line=lines.append)
    assert set(lines) <= {"PATH", "LC_CTYPE"}  # Python itself sets LC_CTYPE (PEP 538)


def test_asked_to_stop_it_is_interrupted_once_and_may_save(tmp_path: Path) -> None:
    stop = threading.Event()
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        stop.set()

    ended = run(program("gentle"), tmp_path, on_line=on_line, stop=stop)
    assert ended == process.Ended(code=1, stopped=process.Stopped.ASKED)
    assert lines == ["ready", "saved"]


def test_one_that_ignores_the_interrupt_is_killed_with_its_children(tmp_path: Path) -> None:
    stop = threading.Event()
    children: list[int] = []

    def on_line(line: str) -> None:
        children.append(int(line.split()[1]))
        stop.set()

    ended = run(program("stubborn"), tmp_path, on_line=on_line, stop=stop, grace=SHORT)
    assert (ended.code, ended.stopped, ended.killed) == (-signal.SIGKILL, process.Stopped.ASKED, True)
    assert gone(children[0])


def test_children_that_outlive_it_are_ended(tmp_path: Path) -> None:
    children: list[int] = []
    ended = run(program("leaves-a-child"), tmp_path, on_line=lambda line: children.append(int(line.split()[1])))
    assert ended.code == 0
    assert gone(children[0])


def test_at_its_limit_it_is_stopped_and_that_is_told_apart(tmp_path: Path) -> None:
    ended = run(program("waits"), tmp_path, limit=SHORT, grace=SHORT)
    assert ended.stopped is process.Stopped.LIMIT


def test_an_error_while_listening_stops_it_before_it_is_raised(tmp_path: Path) -> None:
    started: list[EngineProcess] = []

    def on_line(line: str) -> None:
        raise LookupError(line)

    with pytest.raises(LookupError):
        run(program("waits"), tmp_path, on_line=on_line, on_start=started.append, grace=SHORT)
    assert gone(started[0].pid)


def test_a_process_is_known_by_number_start_and_host(tmp_path: Path) -> None:
    started: list[EngineProcess] = []
    stop = threading.Event()

    def on_line(line: str) -> None:
        if line != "ready":
            return
        (found,) = started
        assert process.still_runs(found)
        assert not process.still_runs(found.model_copy(update={"started": found.started - 5}))
        assert not process.still_runs(found.model_copy(update={"host": "elsewhere"}))
        stop.set()

    run(program("gentle"), tmp_path, on_line=on_line, on_start=started.append, stop=stop)
    assert not process.still_runs(started[0])


def test_the_engine_goes_on_when_its_runner_is_killed(tmp_path: Path) -> None:
    """The reason for the file: with a pipe it would die of SIGPIPE."""
    runner = subprocess.Popen(
        [sys.executable, "-m", "tests.engine.orphan_maker", str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert runner.stdout is not None
    with runner.stdout:
        found = EngineProcess.model_validate_json(runner.stdout.readline())
    runner.kill()
    runner.wait()
    assert process.still_runs(found)
    (tmp_path / "go").touch()
    assert process.outlive(found, patience=LONG, grace=LONG, stop=threading.Event())
    assert (tmp_path / "output").read_text(encoding="utf-8").endswith("done\n")


def test_an_orphan_that_does_not_end_in_time_is_ended(tmp_path: Path) -> None:
    orphan = subprocess.Popen(program("stubborn"), stdout=subprocess.PIPE, start_new_session=True, text=True)
    assert orphan.stdout is not None
    with orphan.stdout:
        child = int(orphan.stdout.readline().split()[1])
    found = EngineProcess(pid=orphan.pid, started=process.started_at(orphan.pid), host=os.uname().nodename)
    reaper = threading.Thread(target=orphan.wait)
    reaper.start()
    assert not process.outlive(found, patience=SHORT, grace=SHORT, stop=threading.Event())
    reaper.join()
    assert orphan.returncode == -signal.SIGKILL
    assert gone(child)
