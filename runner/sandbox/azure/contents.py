"""What a seed describes: directories, the estate, functions, and the faults to start with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runner.sandbox.azure.directory import Directory
from runner.sandbox.azure.estate import Estate

Json = dict[str, Any]


@dataclass
class FunctionApp:
    """A function: whom it lets in, and what it answers."""

    name: str
    host: str
    tenant_id: str
    client_id: str | None
    required_role: str | None
    status: int = 200
    body: Any = None


@dataclass
class Contents:
    """What a seed describes."""

    directories: dict[str, Directory]
    estate: Estate
    functions: dict[str, FunctionApp]
    page_size: int
    faults: tuple[Json, ...] = ()
