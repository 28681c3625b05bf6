"""What rules between documents work on and what they find."""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.documents.fields import Checked
from runner.documents.problems import Path, Problem, dotted, printable
from runner.documents.syntax import Source
from runner.domain.configuration import Placed


@dataclass(frozen=True, slots=True)
class Loaded:
    """A document and where it was read."""

    file: str
    line: int
    source: Source
    checked: Checked

    @property
    def at(self) -> str:
        """`file:line` of its beginning."""
        return f"{printable(self.file)}:{self.line}"

    def at_path(self, path: Path) -> str:
        """`file:line` of what is at a path of the document as it was checked; of what is not there, the nearest thing around it."""
        return f"{printable(self.file)}:{self.source.place(self.checked.written(path))[0]}"

    def problem(self, path: Path, message: str, hint: str = "", *, at_key: bool = False) -> Problem:
        """A problem at a path of the document as it was checked."""
        return self.problem_as_written(self.checked.written(path), message, hint, at_key=at_key)

    def problem_as_written(self, path: Path, message: str, hint: str = "", *, at_key: bool = False) -> Problem:
        """A problem at a path of the document's text."""
        line, column = self.source.place(path, key=at_key)
        return Problem(self.file, line, column, dotted(path), message, hint)


@dataclass(slots=True)
class Findings:
    """What the rules found, each thing once."""

    problems: dict[Problem, None] = field(default_factory=dict)
    warnings: dict[Problem, None] = field(default_factory=dict)

    def wrong(self, document: Loaded, path: Path, message: str, hint: str = "", *, missing: bool = False) -> None:
        """Keep a problem, unless it may come from what was left out of the document, or the place has one already."""
        if missing and not document.checked.whole:
            return
        written = document.checked.written(path)
        places = document.checked.places
        if not any(written[:length] in places for length in range(len(written) + 1)):
            self.problems[document.problem(path, message, hint)] = None

    def warn(self, document: Loaded, path: Path, message: str, hint: str = "") -> None:
        """Keep something a person should know that stops nothing."""
        self.warnings[document.problem(path, message, hint)] = None


@dataclass(frozen=True, slots=True)
class Place:
    """A tenant with its zone and platform, as values and as documents."""

    placed: Placed
    tenant: Loaded
    zone: Loaded
    platform: Loaded

    @property
    def whole(self) -> bool:
        """Whether nothing was left out of the three documents."""
        return self.tenant.checked.whole and self.zone.checked.whole and self.platform.checked.whole
