"""Tiny programs that stand for the engine's process where only its behaviour as a process matters."""

from __future__ import annotations

import sys
import time

import psutil

PROGRAMS = {
    "talks": "import sys\nfor n in range(int(sys.argv[1])): print('line', n)\n",
    "waits": "import time\nprint('ready', flush=True)\ntime.sleep(600)\n",
    "gentle": (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: (print('saved', flush=True), sys.exit(1)))\n"
        "print('ready', flush=True)\ntime.sleep(600)\n"
    ),
    "stubborn": (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal,time; "
        "signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(600)'])\n"
        "print('ready', child.pid, flush=True)\ntime.sleep(600)\n"
    ),
    "leaves-a-child": (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('child', child.pid, flush=True)\n"
    ),
    "environment": "import os\nfor k in sorted(os.environ): print(k)\n",
    "bytes": "import os\nos.write(1, b'caf\\xc3\\xa9 \\xff end\\nno newline')\n",
}


def program(name: str, *arguments: str) -> list[str]:
    """The command line of one of them."""
    return [sys.executable, "-I", "-c", PROGRAMS[name], *arguments]


def gone(pid: int) -> bool:
    """Whether the process ends (a killed one may take a moment), or is a zombie that nobody collects."""
    try:
        found = psutil.Process(pid)
        while found.status() != psutil.STATUS_ZOMBIE:
            try:
                found.wait(timeout=0.05)
            except psutil.TimeoutExpired:
                if found.create_time() + 120 < time.time():
                    return False
    except psutil.NoSuchProcess:
        pass
    return True
