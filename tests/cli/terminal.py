"""`lzr` at a terminal, with somebody who reads, types and presses Ctrl-C."""

from __future__ import annotations

import errno
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from tests.estate import PATIENCE, Estate


@dataclass
class Terminal:
    """What the command said is in `said`, errors and what was typed included."""

    process: subprocess.Popen[bytes]
    here: int
    said: str = ""
    _read: int = 0

    def reads(self, text: str) -> None:
        """Wait until the text is there, after what was read before."""
        while text not in self.said[self._read :]:
            assert self._hears(), f"it ended without {text!r}: {self.said}"
        self._read = self.said.index(text, self._read) + len(text)

    def types(self, text: str) -> None:
        os.write(self.here, text.encode() + b"\n")

    def presses_ctrl_c(self) -> None:
        """Once the command has come to wait: Python misses a signal in the moment before it does (cpython, Modules/readline.c)."""
        deadline = time.monotonic() + PATIENCE
        while psutil.Process(self.process.pid).status() != psutil.STATUS_SLEEPING:
            assert time.monotonic() < deadline, f"it does not come to rest: {self.said}"
        self.process.send_signal(signal.SIGINT)

    def ends(self, code: int) -> None:
        """Wait for the end of the command, which has to be this one."""
        while self._hears():
            pass
        found = self.process.wait(PATIENCE)
        assert found == code, f"expected was {code}, it ended with {found}: {self.said}"

    def _hears(self) -> bool:
        deadline = time.monotonic() + PATIENCE
        while not select.select([self.here], [], [], 1)[0]:
            assert time.monotonic() < deadline, f"it says no more: {self.said}"
        try:
            heard = os.read(self.here, 65536)
        except OSError as error:  # so Linux tells that nobody has the other end any more
            if error.errno != errno.EIO:
                raise
            return False
        self.said += heard.decode(errors="replace")
        return bool(heard)


@contextmanager
def at_terminal(estate: Estate, *arguments: object, **settings: object) -> Iterator[Terminal]:
    """Run `lzr` in the estate at a terminal of its own."""
    here, there = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", *map(str, arguments)],
        env=estate.environment | {"TERM": "dumb", "NO_COLOR": "1"} | {name: str(v) for name, v in settings.items()},
        cwd=estate.directory,
        stdin=there,
        stdout=there,
        stderr=there,
        start_new_session=True,
    )
    os.close(there)
    try:
        yield Terminal(process, here)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(here)
