"""A server's configuration file, read as documents are: every problem with file, line and field."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from runner.documents import syntax
from runner.documents.problems import DocumentErrors, Problem, dotted
from runner.documents.violations import wrongs
from runner.domain.server_config import ServerConfig
from runner.errors import InputError


def read(path: Path) -> ServerConfig:
    """The configuration; InputError where the file cannot be read, DocumentErrors with everything that is wrong in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise InputError(
            "The server's configuration cannot be read",
            code="server-config-unreadable",
            detail=f"{path}: {why}.",
            hint="Name the file with --config.",
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
        return ServerConfig.model_validate(raw.data)
    except ValidationError as error:
        problems = []
        for one in wrongs(ServerConfig, error):
            line, column = raw.source.place(one.path, key=one.at_key)
            problems.append(Problem(str(path), line, column, dotted(one.path), one.message, one.hint))
        raise DocumentErrors(problems) from None
