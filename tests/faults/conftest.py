"""Estates in which something is prepared, made once for each pytest process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.domain.run import Status
from tests.estate import Estate, opened_estate


@pytest.fixture(scope="session")
def approved_before(tmp_path_factory: pytest.TempPathFactory, sandbox_certificates: Path) -> Path:
    """The directory of an estate whose first run was planned and approved."""
    directory = tmp_path_factory.mktemp("approved")
    with opened_estate(directory, sandbox_certificates) as estate:
        planned = estate.lzr("plan", estate.documents, "--json", code=6).run
        estate.lzr("approve", planned["id"])
    return directory


@pytest.fixture
def approved(tmp_path: Path, sandbox_certificates: Path, approved_before: Path) -> Iterator[Estate]:
    """An estate with one approved run, and nothing in Azure yet."""
    with opened_estate(tmp_path / "estate", sandbox_certificates, like=approved_before) as estate:
        (run,) = estate.runs()
        assert run.status is Status.APPROVED
        yield estate
