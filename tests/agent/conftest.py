"""Fixtures of the agent's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.mesh import Mesh, opened_mesh


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    """A meshStack with nothing queued, and an agent's settings."""
    with opened_mesh(tmp_path) as opened:
        yield opened
        assert opened.stack.complaints == opened.complaints
