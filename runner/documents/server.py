"""A server's configuration file, read as documents are: every problem with file, line and field."""

from __future__ import annotations

from pathlib import Path

from runner.documents import single
from runner.domain.server_config import ServerConfig
from runner.errors import InputError


def read(path: Path) -> ServerConfig:
    """The configuration; InputError where the file cannot be read, DocumentErrors with everything that is wrong in it."""
    unreadable = InputError(
        "The server's configuration cannot be read",
        code="server-config-unreadable",
        hint="Name the file with --config.",
    )
    return single.read(path, ServerConfig, unreadable=unreadable)
