"""The engine that the tests use, wherever it comes from. Also a command: `python -m tests.engine.run fmt -check -recursive modules`."""

from __future__ import annotations

import atexit
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from runner.terraform.engine import discover


@cache
def terraform() -> str:
    """One executable file for it: what is on PATH, or a script around the extra `engine`."""
    found = discover(None)
    if len(found.argv) == 1:
        return found.argv[0]
    place = Path(tempfile.mkdtemp(prefix="engine"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    script = place / "terraform"
    script.write_text(f'#!/bin/sh\nexec {shlex.join(found.argv)} "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return str(script)


def main() -> None:
    environment = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}
    sys.exit(subprocess.run([terraform(), *sys.argv[1:]], env=environment, check=False).returncode)


if __name__ == "__main__":
    main()
