"""Fixtures of the agent's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.mesh import Mesh, opened_mesh
from tests.agent.pipelines_server import Agent, serving


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    """A meshStack with nothing queued, and an agent's settings."""
    with opened_mesh(tmp_path) as opened:
        yield opened
        assert opened.stack.complaints == opened.complaints


@pytest.fixture
def agent() -> Iterator[Agent]:
    """What executes runs of pipelines, against services on loopback."""
    with serving() as services:
        yield Agent(services)
