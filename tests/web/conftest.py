"""A site for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.store.opening import Store
from tests.store.making import opened
from tests.web.serving import Site, site


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Site]:
    """A server of the demo's documents over an empty SQLite store."""
    with opened(tmp_path / "store", tmp_path / "key") as store, site(store) as found:
        yield found


@pytest.fixture(scope="module")
def web_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all tests of a module, which change nothing that another one looks at."""
    where = tmp_path_factory.mktemp("site")
    with opened(where / "store", where / "key") as store, site(store) as found:
        yield found


@pytest.fixture
def web_on_each(store: Store) -> Iterator[Site]:
    """The same once on each database."""
    with site(store) as found:
        yield found
