"""Fixtures for whoever tests the API: `pytest_plugins = ("tests.web.api_fixtures",)` in the test module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.making import opened
from tests.web.api_server import Served
from tests.web.serving import documents, site


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A server over a store in a directory, with documents to change."""
    where = documents(tmp_path)
    with opened(tmp_path / "store", tmp_path / "key") as store, site(store, paths=(where,)) as found:
        yield Served(found, where)


@pytest.fixture
def served_by_postgres(tmp_path: Path, postgres_database: str) -> Iterator[Served]:
    """The same over a store in PostgreSQL."""
    where = documents(tmp_path)
    with opened(postgres_database, tmp_path / "key") as store, site(store, paths=(where,)) as found:
        yield Served(found, where)
