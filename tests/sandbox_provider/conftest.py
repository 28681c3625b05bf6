"""A double of Azure, a mirror of the stand-ins, and a Terraform workspace for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.sandbox.provider import mirror as mirrors
from tests.sandbox_provider.double import Azure, Store, make_certificate, running
from tests.sandbox_provider.engine import Workspace, workspace


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mirrors.install(tmp_path_factory.mktemp("mirror"))


@pytest.fixture
def azure(certificate: Path) -> Iterator[Azure]:
    with running(certificate) as found:
        yield found


@pytest.fixture
def store(azure: Azure) -> Store:
    azure.respond = found = Store()
    return found


@pytest.fixture
def terraform(tmp_path: Path, mirror: Path, azure: Azure) -> Workspace:
    return workspace(tmp_path, mirror, azure.environment())
