"""A state that an engine could not hand in: the only record of what it made, kept sealed in the store under the block's id."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from runner.errors import RunnerError
from runner.ports import States
from runner.terraform import snapshot


@dataclass(frozen=True)
class Rescue:
    """Takes in states that were left in directories of runs; `aside` is where one goes that the store does not take."""

    states: States
    aside: Path
    now: Callable[[], datetime]

    def take_in(self, directory: Path, *, block: str, run: str) -> list[str]:
        """What was done about every such state below the directory, in words; empty where there is none."""
        return [self._one(file, block, run) for file in sorted(directory.rglob(snapshot.ERRORED)) if file.is_file()]

    def _one(self, file: Path, block: str, run: str) -> str:
        try:
            self.states.take_in(block, snapshot.with_lineage(file.read_bytes()), by=f"run {run}", now=self.now())
        except (RunnerError, OSError, ValueError):
            kept = self.aside / f"{run}.{snapshot.ERRORED}"
            shutil.copyfile(file, kept)
            kept.chmod(0o600)
            return f"The state could not be saved. It is kept where the runner is, in {kept}; hand it in with `state push`."
        return (
            f"The state could not be saved. It is kept, sealed, where the runner is: lzr state show {block} --raw. "
            "Hand it in with `state push` before the block is run again."
        )
