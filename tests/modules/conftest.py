"""A mirror of the providers' stand-ins, and a bench with an Azure of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.sandbox.azure.server import Sandbox
from runner.sandbox.provider import mirror as mirrors
from tests.modules.workbench import CREDENTIALS, Bench, engine_settings


@pytest.fixture(scope="session")
def providers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The engine's settings file that leads to the stand-ins."""
    return engine_settings(mirrors.install(tmp_path_factory.mktemp("mirror")))


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "azure") as sandbox:
        yield sandbox


@pytest.fixture
def bench(tmp_path: Path, providers: Path, azure: Sandbox) -> Bench:
    directory = tmp_path / "root"
    directory.mkdir()
    settings = {"TF_CLI_CONFIG_FILE": str(providers), "LZR_SANDBOX_URL": azure.url}
    environment = azure.engine_environment() | CREDENTIALS | settings
    return Bench(directory, environment, azure)
