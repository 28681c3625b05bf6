"""A meshStack for each test, and somebody who speaks to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from runner.sandbox.meshstack.server import MeshStack
from tests.sandbox_meshstack.speaking import Speaker


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for all: making keys is the slow part of starting a sandbox."""
    return tmp_path_factory.mktemp("meshstack")


@pytest.fixture
def mesh(directory: Path) -> Iterator[MeshStack]:
    with MeshStack(directory) as found:
        yield found


@pytest.fixture
def http(mesh: MeshStack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=mesh.url, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture
def speaker(mesh: MeshStack, http: httpx.Client) -> Speaker:
    return Speaker(mesh, http)
