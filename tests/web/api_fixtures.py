"""Fixtures for whoever tests the API: `pytest_plugins = ("tests.web.api_fixtures",)` in the test module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.api_server import Served, serving


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A server over a store in a directory."""
    with serving(tmp_path, str(tmp_path / "store")) as found:
        yield found


@pytest.fixture
def served_by_postgres(tmp_path: Path, postgres_database: str) -> Iterator[Served]:
    """A server over a store in PostgreSQL."""
    with serving(tmp_path, postgres_database) as found:
        yield found
