"""A file with one document of its own kind, read as documents are: every problem with file, line and field."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from runner.documents import syntax
from runner.documents.problems import DocumentErrors, Problem, dotted
from runner.documents.violations import wrongs
from runner.domain.document import Value
from runner.errors import InputError

Read = TypeVar("Read", bound=Value)


def read(path: Path, kind: type[Read], *, unreadable: InputError) -> Read:
    """The file's document. `unreadable`, with the reason for its detail, where the file cannot be read; DocumentErrors with everything that
    is wrong in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise InputError(
            unreadable.summary, code=unreadable.code, detail=f"{path}: {why}.", hint=unreadable.hint
        ) from None
    found = list(syntax.documents(text))
    if len(found) != 1:
        raise DocumentErrors([Problem(str(path), 0, 0, "", f"The file has {len(found)} documents instead of one.")])
    (raw,) = found
    if raw.flaws:
        raise DocumentErrors(
            [Problem(str(path), f.line, f.column, dotted(f.path), f.message, f.hint) for f in raw.flaws]
        )
    try:
        return kind.model_validate(raw.data)
    except ValidationError as error:
        problems = []
        for one in wrongs(kind, error):
            line, column = raw.source.place(one.path, key=one.at_key)
            problems.append(Problem(str(path), line, column, dotted(one.path), one.message, one.hint))
        raise DocumentErrors(problems) from None
