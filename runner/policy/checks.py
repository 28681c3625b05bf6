"""The `Checks` port: check commands from one directory of this machine.

Landing zones only name a check, by letters, digits, dots and dashes; what is run is the file of that name in `LZR_CHECKS`, so whoever may
edit documents runs nothing but what operators put there. A check gets the masked plan as a file of its own and nothing of the runner's
environment.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

from runner.domain import check
from runner.domain.approval import ExternalCheck
from runner.domain.check import CheckResult
from runner.errors import Canceled
from runner.policy import bounded

MOST_OUTPUT = 1024 * 1024
_SURROUNDINGS = ("PATH", "LANG", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE")
_OWN = "CHECK_"  # begins the variables that operators set for their checks, as CHECK_INFRACOST_API_KEY


@dataclass(frozen=True)
class CheckCommands:
    """Check commands in `directory`; None where no directory is set, and then none can be run."""

    directory: Path | None
    limit: timedelta
    redact: Callable[[str], str]

    def run(self, asked: ExternalCheck, plan: Mapping[str, Any], *, stop: Event) -> CheckResult:
        command = self.directory / asked.name if self.directory is not None else None
        if command is None or not command.is_file() or not os.access(command, os.X_OK):
            why = (
                "LZR_CHECKS is not set"
                if command is None
                else f"There is no executable file {asked.name} in LZR_CHECKS"
            )
            return check.could_not_run(asked.name, f"{why}.", blocks=asked.blocks)
        with tempfile.TemporaryDirectory(prefix="lzr-check-") as private:
            file = Path(private) / "plan.json"
            file.touch(mode=0o600)
            with file.open("w", encoding="utf-8") as writing:
                json.dump(plan, writing)
            home = Path(private) / "home"
            home.mkdir()
            try:
                ended = bounded.run(
                    [str(command), str(file)],
                    env=_environment(home),
                    cwd=home,
                    limit=self.limit,
                    most_output=MOST_OUTPUT,
                    stop=stop,
                )
            except OSError as error:  # no interpreter of that name, a file of another machine
                why = f"It cannot be started: {error.strerror or type(error).__name__}."
                return check.could_not_run(asked.name, why, blocks=asked.blocks)
        if ended.stopped == "asked":
            raise Canceled(detail=f"Canceled while the check {asked.name} was at work.")
        if ended.stopped is not None:
            written = f"It wrote more than {MOST_OUTPUT // 1024} KiB and was ended."
            why = (
                written
                if ended.stopped == "output"
                else f"It took longer than {self.limit.total_seconds():g} s and was ended."
            )
            return check.could_not_run(asked.name, why, blocks=asked.blocks)
        text = ended.output.decode("utf-8", errors="replace")
        return check.read(asked.name, text, ended.code, blocks=asked.blocks, redact=self.redact)


def _environment(home: Path) -> dict[str, str]:
    own = {name.removeprefix(_OWN): value for name, value in os.environ.items() if name.startswith(_OWN)}
    known = {name: os.environ[name] for name in _SURROUNDINGS if name in os.environ}
    return {"PATH": os.defpath, **known, **own, "HOME": str(home), "TMPDIR": str(home)}
