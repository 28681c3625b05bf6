"""Programs that a run starts: apart from the agent and from each other, followed, limited in time and output, and gone when the run is.

Each is known by a variable in its environment, so that what a script left behind in a session of its own is found as well.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from runner.errors import Canceled, EngineFailed
from runner.terraform import process

MARK = "LZR_AGENT_RUN"
MOST_OUTPUT = 64 * 1024 * 1024  # bytes of one program
# what a building block may see of the agent's own environment (tf-block-runner/tfrun/tfcmd.go, cleanSystemEnv)
_PASSED = frozenset(
    {
        *("HOME", "PATH", "PWD", "TMPDIR", "TMP", "TEMP", "SSH_KNOWN_HOSTS", "NIX_CONFIG", "CUSTOM_CA_CERTS_PATH"),
        *("MESHSTACK_ENDPOINT", "MESHSTACK_SKIP_VERSION_CHECK", "CHECKPOINT_DISABLE", "TF_IN_AUTOMATION"),
    }
)


def passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that programs of a run may see."""
    return {name: value for name, value in environment.items() if name in _PASSED or name.startswith("TF_LOG")}


@dataclass(frozen=True)
class Ran:
    """How a program ended, and what it wrote where that was asked for."""

    code: int
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Programs:
    """Starts programs for one run. `on_lines` hears what they write, unredacted."""

    run: str
    outputs: Path
    stop: threading.Event
    grace: timedelta
    on_lines: Callable[[list[str]], None] = field(default=lambda lines: None)

    def run_(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        limit: timedelta,
        what: str,
        stdin: Path | None = None,
        quiet: bool = False,
        as_group: bool = False,
    ) -> Ran:
        """Run to the end. `quiet` keeps the lines for the caller instead of passing them on; `as_group` stops also what a script has
        started. Canceled where the run is to stop; EngineFailed where it took too long or wrote too much."""
        kept: list[str] = []
        output = self.outputs / f"{what.replace(' ', '-')}-{threading.get_ident()}.out"
        try:
            ended = process.run(
                argv,
                cwd=cwd,
                env={**env, MARK: self.run},
                output=output,
                on_lines=kept.extend if quiet else self.on_lines,
                stop=self.stop,
                limit=limit,
                grace=self.grace,
                stdin=stdin,
                most_output=MOST_OUTPUT,
                as_group=as_group,
                whole=quiet,
            )
        finally:
            output.unlink(missing_ok=True)
        killed = " It had to be killed." if ended.killed else ""
        match ended.stopped:
            case process.Stopped.ASKED:
                raise Canceled(detail=f"The run was stopped in: {what}.{killed}")
            case process.Stopped.LIMIT:
                raise EngineFailed(
                    "It took too long",
                    code="agent-time-limit",
                    detail=f"To {what} was stopped after {limit.total_seconds():.0f} s.{killed}",
                    hint="Look at the log, or raise timeoutMins, wsTimeoutMins or initTimeoutMins in the runner's configuration.",
                )
            case process.Stopped.OUTPUT:
                raise EngineFailed(
                    "It wrote too much",
                    code="agent-output-limit",
                    detail=f"To {what} was stopped after {MOST_OUTPUT // 1024 // 1024} MiB of output.{killed}",
                    hint="Let the building block write less; its files are no log.",
                )
        return Ran(code=ended.code, lines=tuple(kept))

    def bring_to_rest(self) -> None:
        """Of a run whose agent is gone: ask its engines to stop and save their state, then end what is left."""
        asked = threading.Event()
        asked.set()
        for one in process.found_with(MARK, self.run):
            if process.leads(one):
                process.outlive(one, patience=timedelta(), grace=self.grace, stop=asked)
        self.end_all()

    def end_all(self) -> None:
        """End whatever of this run is still at work."""
        process.end_all_with(MARK, self.run)


def bash() -> str:
    """Bash, wherever it is on PATH."""
    found = shutil.which("bash")
    if found is None:
        raise EngineFailed(
            "Bash is missing",
            code="bash-missing",
            detail="The building block has a pre-run script, and there is no bash on PATH.",
            hint="Install bash where the runner is.",
        )
    return os.path.abspath(found)  # noqa: PTH100 - links stay as they are
