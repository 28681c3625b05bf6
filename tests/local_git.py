"""`lzr` for which a git repository on this machine is as good as one elsewhere: `python -m tests.local_git argument…`."""

from __future__ import annotations

import sys

from runner.cli import run
from runner.terraform.module_sources import ModuleSources

if __name__ == "__main__":
    ModuleSources.__init__.__defaults__ = ("file",)  # of `protocols`, its only default
    sys.exit(run(sys.argv[1:]))
