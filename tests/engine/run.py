"""Runs the engine that the tests use: `python -m tests.engine.run fmt -check -recursive modules`."""

from __future__ import annotations

import os
import subprocess
import sys

from runner.terraform.engine import discover


def main() -> None:
    environment = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}
    sys.exit(subprocess.run([*discover(None).argv, *sys.argv[1:]], env=environment, check=False).returncode)


if __name__ == "__main__":
    main()
