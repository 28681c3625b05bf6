"""A program that is run to its end within limits: of time, and of how much it writes. Whatever it started goes with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Literal

_TICK = 0.05  # seconds between looks at `stop` and the output; the end of the program is noticed at once


@dataclass(frozen=True)
class Ended:
    """How it ended and what it wrote, of which there may be less than it wanted. `stopped` says why it was killed, if it was."""

    code: int
    output: bytes
    stopped: Literal["asked", "limit", "output"] | None = None


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    limit: timedelta,
    most_output: int,
    stop: Event | None = None,
    stdin: bytes = b"",
) -> Ended:
    """Run it in a process group of its own, which is killed when it has ended, when `limit` passes, when it has written more than
    `most_output` bytes (standard error, which nobody reads, counts as well), or when `stop` is set. OSError where it cannot be started.

    Files and not pipes: what it left behind may hold a pipe open, and nobody would know that it has ended.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        process = subprocess.Popen(
            list(argv), cwd=cwd, env=dict(env), stdin=given, stdout=output, stderr=errors, start_new_session=True
        )
        deadline = monotonic() + limit.total_seconds()
        stopped: Literal["asked", "limit", "output"] | None = None
        try:
            while stopped is None:
                try:
                    process.wait(_TICK)
                    break
                except subprocess.TimeoutExpired:
                    stopped = (
                        "asked"
                        if stop is not None and stop.is_set()
                        else "output"
                        if _size(output.fileno()) + _size(errors.fileno()) > most_output
                        else "limit"
                        if monotonic() > deadline
                        else None
                    )
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if stopped is None and _size(output.fileno()) > most_output:
            stopped = "output"
        output.seek(0)
        return Ended(code=process.returncode, output=output.read(most_output), stopped=stopped)


def _size(descriptor: int) -> int:
    return os.fstat(descriptor).st_size
