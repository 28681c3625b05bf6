"""A problem in a document as its author reads it: where, what, and what to do. And the one error that carries them all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches

from runner.errors import InputError

Path = tuple[str | int, ...]

LONGEST_SHOWN = 80
MOST_LISTED = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend, or (among warnings) to know. Line and column count from 1; line 0 means the file as a whole."""

    file: str
    line: int
    column: int
    field: str
    message: str
    hint: str = ""

    @property
    def place(self) -> str:
        """`file:line:column`, as editors and terminals make it a link."""
        return f"{printable(self.file)}:{self.line}:{self.column}" if self.line else printable(self.file)

    @property
    def heading(self) -> str:
        """Place and field."""
        return f"{self.place}  {self.field}" if self.field else self.place

    def __str__(self) -> str:
        # values of documents may hold what a terminal obeys: an escaped character in YAML is any character
        return "\n  ".join([self.heading, printable(self.message), *map(printable, self.hint.splitlines())])

    def as_json(self) -> dict[str, str | int]:
        """The fields by name."""
        return asdict(self)


class DocumentErrors(InputError):
    """Everything that is wrong with the documents that were read, in the order of files and lines."""

    def __init__(self, problems: Sequence[Problem], warnings: Sequence[Problem] = ()) -> None:
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)
        super().__init__(
            "The documents cannot be used",
            code="documents-wrong",
            detail=listing(self.problems),
            hint="Mend what is listed and give the same command again.",
        )

    def __str__(self) -> str:
        return f"{self.summary}:\n\n{self.detail}"


def listing(problems: Sequence[Problem]) -> str:
    """The problems one after the other; of very many only the first."""
    parts = [str(problem) for problem in problems[:MOST_LISTED]]
    if len(problems) > MOST_LISTED:
        parts.append(f"… and {len(problems) - MOST_LISTED} more; lzr validate lists them all.")
    return "\n\n".join(parts)


def shown(value: object) -> str:
    """A value of a document in quotes, on one line, short, and harmless to a terminal."""
    text = value if isinstance(value, str) else str(value)
    return f'"{printable(text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…")}"'


def printable(text: str) -> str:
    """The text without anything that moves a cursor or hides itself."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode() for char in text
    )


def dotted(path: Path) -> str:
    """`("spec", "users", 3, "email")` -> `spec.users[3].email`."""
    text = ""
    for part in path:
        text += (
            f"[{part}]"
            if isinstance(part, int)
            else f".{printable(part)[:LONGEST_SHOWN]}"
            if text
            else printable(part)[:LONGEST_SHOWN]
        )
    return text


def nearest(word: str, words: Iterable[str]) -> str:
    """The one of the words that was probably meant; empty when none is near. Capitals, dashes and underscores do not count."""
    plain = {_plain(known): known for known in words}
    found = get_close_matches(_plain(word), plain, n=1, cutoff=0.65)
    return plain[found[0]] if found else ""


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """A hint with the nearest word, or all of them when they are few."""
    known = sorted(words)
    if close := nearest(word, known):
        return f"Did you mean {close}?"
    return f"Known: {', '.join(printable(name) for name in known)}." if 0 < len(known) <= 12 else ""


def _plain(word: str) -> str:
    return word[:200].casefold().replace("_", "").replace("-", "").replace(" ", "")
