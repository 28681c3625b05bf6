"""One command line of the engine: started apart, followed through a file, stopped gently and then surely.

The engine writes to a file and the runner reads that file. With a pipe the engine would die with its reader (SIGPIPE about 4 s
after a `kill -9` of the runner, observed with terraform 1.11.4), lose the resource in flight and leave its lock behind.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from threading import Event, Thread
from time import monotonic

import psutil

from runner.domain.run import EngineProcess

_FAR_BEHIND = 4 * 1024 * 1024  # bytes
_AT_ONCE = 16  # pieces of 64 KiB between two looks at the clock
_TICK = 0.2  # seconds between looks at the output and at `stop`; the end of the process is noticed at once


class Stopped(StrEnum):
    """Why we stopped the engine; it cannot be read off its exit code."""

    ASKED = "asked"
    LIMIT = "limit"
    OUTPUT = "output"


@dataclass(frozen=True)
class Ended:
    """How it ended. `killed` says that it did not stop by itself within the grace, so what it was doing is unknown."""

    code: int
    stopped: Stopped | None = None
    killed: bool = False


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    output: Path,
    on_lines: Callable[[list[str]], None],
    stop: Event,
    limit: timedelta,
    grace: timedelta,
    on_start: Callable[[EngineProcess], None] = lambda process: None,
    stdin: Path | None = None,
    most_output: int | None = None,
    as_group: bool = False,
    whole: bool = True,
) -> Ended:
    """Run to the end and call `on_lines` with what it has written since the last look, complete lines only. `stdin` is a file that it
    reads; with `most_output` it is stopped once it has written more bytes than that, and killed at four times as many; `as_group` is for
    scripts, whose programs have to hear of it as well. Not `whole`: of who writes faster than can be read, parts are left out.

    When `stop` is set or `limit` passes, the engine gets one SIGINT (it finishes its step and saves its state; a second one would
    make it abandon the state) and after `grace` its whole process group SIGKILL. An error in `on_lines` or `on_start` stops it in
    the same way before it is raised.
    """
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o600)
    given = os.open(stdin or os.devnull, os.O_RDONLY)
    try:
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=dict(env),
            stdin=given,
            stdout=descriptor,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # else Ctrl-C reaches it too, and a second SIGINT abandons state
        )
    finally:
        os.close(descriptor)
        os.close(given)
    ended = Event()
    Thread(target=_wait, args=(process, ended), name=f"wait-{process.pid}", daemon=True).start()
    stopped: Stopped | None = None
    deadline = monotonic() + limit.total_seconds()

    def has_written(times: int) -> bool:
        return most_output is not None and output.stat().st_size > times * most_output

    over = Event()
    lines = _lines(output, over, skipping=not whole)
    try:
        on_start(EngineProcess(pid=process.pid, started=started_at(process.pid), host=socket.gethostname()))
        while not ended.wait(_TICK):
            _pass_on(lines, on_lines)
            full = has_written(1)
            if stop.is_set() or full or monotonic() > deadline:
                stopped = Stopped.ASKED if stop.is_set() else Stopped.OUTPUT if full else Stopped.LIMIT
                break
    except BaseException:
        _end(process, ended, grace)
        raise

    def waits_on() -> bool:
        _pass_on(lines, on_lines)
        return not has_written(4)

    killed = _end(process, ended, grace, waits_on=waits_on, as_group=as_group)
    over.set()
    while _pass_on(lines, on_lines):
        pass
    return Ended(code=process.returncode, stopped=stopped, killed=killed)


def started_at(pid: int) -> float:
    """Start time of a process in seconds since the epoch; 0 when there is none (any more)."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def still_runs(process: EngineProcess) -> bool:
    """Whether that very process still runs on this machine: same number, same start time, and no zombie."""
    if is_elsewhere(process) or not process.started or not process.pid:
        return False
    try:
        found = psutil.Process(process.pid)
        return abs(found.create_time() - process.started) < 1 and found.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def about_to_start(now: datetime) -> EngineProcess:
    """What is noted before an engine is started: the machine it will be on, should nobody live to note more."""
    return EngineProcess(pid=0, started=now.timestamp(), host=socket.gethostname())


def is_elsewhere(process: EngineProcess) -> bool:
    """Whether it was started on another machine, where nobody here sees it."""
    return process.host != socket.gethostname()


def outlive(process: EngineProcess, *, patience: timedelta, grace: timedelta, stop: Event) -> bool:
    """Wait for an engine that another runner started, then end it. True when it ended by itself within `patience`."""
    deadline = monotonic() + patience.total_seconds()
    while still_runs(process):
        if monotonic() > deadline or stop.wait(_TICK):
            break
    else:
        return True
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGINT)
    deadline = monotonic() + grace.total_seconds()
    while still_runs(process) and monotonic() < deadline:
        Event().wait(_TICK)
    if still_runs(process):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return False


def found_with(variable: str, value: str) -> list[EngineProcess]:
    """The processes of this machine that were started with this environment variable: an engine, its plugins, and theirs."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(variable) == value:
                found.append(EngineProcess(pid=process.pid, started=process.create_time(), host=socket.gethostname()))
    return [one for one in found if still_runs(one)]


def leads(process: EngineProcess) -> bool:
    """Whether it leads its process group, as an engine does and its plugins do not."""
    try:
        return os.getpgid(process.pid) == process.pid
    except ProcessLookupError:
        return False


def end_all_with(variable: str, value: str, *, within: timedelta = timedelta(seconds=10)) -> bool:
    """Kill all of them; True when there was one. What they were doing is unknown then."""
    deadline = monotonic() + within.total_seconds()
    any_found = False
    while (found := found_with(variable, value)) and monotonic() < deadline:
        any_found = True
        for one in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)
        Event().wait(_TICK)
    return any_found


def _wait(process: subprocess.Popen[bytes], ended: Event) -> None:
    process.wait()
    ended.set()


def _end(
    process: subprocess.Popen[bytes],
    ended: Event,
    grace: timedelta,
    *,
    waits_on: Callable[[], bool] = lambda: True,
    as_group: bool = False,
) -> bool:
    """Make sure that it and its plugins are gone; True when it had to be killed. It is waited for only as long as `waits_on`."""
    killed = False
    if not ended.is_set():
        if as_group:
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT)
        deadline = monotonic() + grace.total_seconds()
        while not ended.wait(_TICK) and monotonic() < deadline and waits_on():
            pass
        killed = not ended.is_set()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # the group: plugins that outlived it as well
    ended.wait()
    return killed


def _pass_on(lines: Iterator[list[str]], on_lines: Callable[[list[str]], None]) -> bool:
    """What there is, but no more than the program may write faster than it is heard; whether there is more."""
    for _ in range(_AT_ONCE):
        batch = next(lines)
        if not batch:
            return False
        on_lines(batch)
    return True


def _lines(path: Path, over: Event, *, skipping: bool) -> Iterator[list[str]]:
    """Complete lines as they appear, and an empty list whenever there is none yet; once it is over, also one that was not ended. With
    `skipping`, who writes faster than anybody can read is heard only at the end of what there is."""
    with path.open("rb") as file:
        rest = b""
        while True:
            behind = os.fstat(file.fileno()).st_size - file.tell()
            if skipping and behind > _FAR_BEHIND:
                left_out = behind - _FAR_BEHIND // 4
                file.seek(left_out, os.SEEK_CUR)
                yield [f"… {left_out} bytes are left out here …"]
                rest = b""
            chunk = file.read(1 << 16)
            if chunk:
                *complete, rest = (rest + chunk).split(b"\n")
                if not complete:
                    continue
            else:
                complete, rest = ([rest], b"") if over.is_set() and rest else ([], rest)
            yield [line.decode("utf-8", errors="replace").rstrip("\r") for line in complete]
