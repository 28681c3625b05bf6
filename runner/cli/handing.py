"""The CI that a command runs in, known by its variables: what its log takes for commands, where a summary goes, and who asked.

What an agent reads from a log is not only text: a line may set a variable, a path or a mask. So nothing that a command writes in a CI
reaches the log as such a command, but those that are written here.

GitHub Actions: https://docs.github.com/actions/reference/workflow-commands-for-github-actions (`::name::` at the beginning of a line; the
older `##[name]` anywhere in it, as the runner's source has it). Azure DevOps:
https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands (`##vso[…]` and `##[…]`). GitLab:
https://docs.gitlab.com/ci/jobs/job_logs (sections, which need an escape character).
"""

from __future__ import annotations

import io
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkstemp
from typing import Literal, TextIO

from runner.domain.harmless import plain
from runner.errors import RemoteFailed

LONGEST_SUMMARY = 1_000_000  # GitHub takes 1 MiB of each step
Kind = Literal["github", "gitlab", "azure", "none"]
_COMMAND = re.compile(r"(?P<old>#(?=#(\[|vso\[)))|(?P<line>(?:^|(?<=[\r\n]))[^\S\r\n]*:)(?=:)", re.IGNORECASE)


def harmless(text: str) -> str:
    """The text so that no agent takes any of it for a command: `##[` becomes `# #[`, and `::` at the beginning of a line `: :`."""
    return _COMMAND.sub(lambda found: f"{found[0]} ", text)


class _Guarded(io.TextIOBase):
    """A log into which nothing is written but text."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, log: TextIO) -> None:
        self._log = log

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError("this is a stream of text")  # by which click knows that
        self._log.write(harmless(text))
        return len(text)

    def flush(self) -> None:
        self._log.flush()

    def isatty(self) -> bool:
        return False


@dataclass(frozen=True)
class Ci:
    """The CI at hand; `none` where there is none, which takes everything and does nothing."""

    kind: Kind
    variables: Mapping[str, str] = field(repr=False)
    log: TextIO

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Meanwhile what is written to either output goes to the log, in order, and is text alone."""
        if self.kind == "none":
            yield
            return
        guarded = _Guarded(self.log)
        with redirect_stdout(guarded), redirect_stderr(guarded):
            yield

    @contextmanager
    def folded(self, title: str) -> Iterator[None]:
        """Meanwhile what is written folds away under the title."""
        name = plain(title)
        match self.kind:
            case "github":
                begin, end = f"::group::{name.replace('%', '%25')}", "::endgroup::"
            case "azure":
                begin, end = f"##[group]{harmless(name)}", "##[endgroup]"
            case "gitlab":
                section = f"lzr_{re.sub('[^A-Za-z0-9]', '_', title)[:60]}"
                begin = f"\x1b[0Ksection_start:{time.time():.0f}:{section}[collapsed=true]\r\x1b[0K{name}"
                end = f"\x1b[0Ksection_end:{time.time():.0f}:{section}\r\x1b[0K"
            case "none":
                begin, end = name, ""
        self._say(begin)
        try:
            yield
        finally:
            self._say(end)

    def summarise(self, markdown: str) -> None:
        """Show the page with the job, where the CI does that. RemoteFailed where it cannot be written."""
        if self.kind == "github" and (file := self.variables.get("GITHUB_STEP_SUMMARY")):
            _append(Path(file), markdown)
        elif self.kind == "azure":
            self._say(f"##vso[task.uploadsummary]{_kept(markdown, self.variables.get('AGENT_TEMPDIRECTORY'))}")

    def hand_on(self, values: Mapping[str, str]) -> None:
        """Give later steps values, under names and of words that are the program's own. RemoteFailed where it cannot be done."""
        if self.kind == "github" and (file := self.variables.get("GITHUB_OUTPUT")):
            _append(Path(file), "".join(f"{name}={value}\n" for name, value in values.items()))
        elif self.kind == "azure":
            for name, value in values.items():
                self._say(f"##vso[task.setvariable variable={name};isOutput=true]{value}")

    @property
    def asker(self) -> str:
        """Who had the pipeline run and which one it was, for the record; as good as the CI's variables are. Empty where there is none."""
        said = self.variables.get
        match self.kind:
            case "github":
                who = said("GITHUB_TRIGGERING_ACTOR") or said("GITHUB_ACTOR")
                where = f"GitHub {said('GITHUB_REPOSITORY')} run {said('GITHUB_RUN_ID')}"
            case "gitlab":
                who = said("GITLAB_USER_LOGIN")
                where = f"GitLab {said('CI_PROJECT_PATH')} job {said('CI_JOB_ID')}"
            case "azure":
                who = said("BUILD_REQUESTEDFOR")
                where = f"Azure DevOps {said('SYSTEM_TEAMPROJECT')} build {said('BUILD_BUILDID')}"
            case "none":
                return ""
        return plain(f"{who or 'somebody'} ({where})")[:200]

    def _say(self, line: str) -> None:
        sys.stdout.flush()
        if line:
            self.log.write(f"{line}\n")
            self.log.flush()


def at_hand(variables: Mapping[str, str] | None = None) -> Ci:
    """The CI that this process runs in."""
    found = os.environ if variables is None else variables
    kind: Kind = "none"
    if found.get("GITHUB_ACTIONS") == "true":
        kind = "github"
    elif found.get("GITLAB_CI") == "true":
        kind = "gitlab"
    elif found.get("TF_BUILD", "").lower() == "true":
        kind = "azure"
    return Ci(kind, found, sys.stdout)


def write(file: Path, text: str) -> None:
    """Write a file whole or not at all. RemoteFailed where it cannot be."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise _not_written(str(file), error) from None


def _kept(text: str, where: str | None) -> str:
    """A new file with this text, which stays: the agent reads it when the step has ended."""
    try:
        handle, name = mkstemp(prefix="landing-zones-", suffix=".md", dir=where or None)
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise _not_written(where or "the temporary directory", error) from None
    return name


def _append(file: Path, text: str) -> None:
    try:
        with file.open("a", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise _not_written(str(file), error) from None


def _not_written(file: str, error: OSError) -> RemoteFailed:
    return RemoteFailed(
        "The result cannot be written",
        code="result-not-written",
        detail=f"{file}: {error.strerror or type(error).__name__}.",
        hint="Name a file in a folder that is there and may be written.",
    )
