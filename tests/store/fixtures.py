"""Fixtures for whoever tests with a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.store.opening import Store
from tests.store.making import opened


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    """Where a store is to be made: once on each database."""
    if request.param == "sqlite":
        return tmp_path / "store"
    address: str = request.getfixturevalue("postgres_database")
    return address


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "key"


@pytest.fixture
def store(where: str | Path, key: Path) -> Iterator[Store]:
    """An open, empty store; once on each database."""
    with opened(where, key) as store:
        yield store


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def file_store(directory: Path, key: Path) -> Iterator[Store]:
    """An open, empty store in a directory."""
    with opened(directory, key) as store:
        yield store
