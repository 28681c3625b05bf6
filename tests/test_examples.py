"""Everything in `examples/` is run: the demo from beginning to end, and every set of documents as far as it goes without its Azure."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from runner import documents, packaged
from runner.domain.configuration import chosen_blocks, compose
from runner.sandbox.provider import mirror
from runner.terraform import workspace
from runner.terraform.infrastructure import base_environment
from tests.engine.run import terraform

ROOT = Path(__file__).parent.parent
SETS = sorted(path for path in (ROOT / "examples" / "documents").iterdir() if path.is_dir())
STARTER = ROOT / "templates" / "init"


def test_the_demo_tells_the_whole_story(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG") or "COVERAGE" in name}
    ran = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo.py"), str(tmp_path / "demo")],
        env=environment | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for told in (
        "3 documents can be used",
        "Needs a look",
        "is as it should be now: 8 added, 1 changed, 0 destroyed, 4 members added",
        "is as it should be (14 resources, 4 people); function called, 200",
        "Changed behind the runner's back",
        "emergency@workloads.example  out of payments.checkout-dev-user",
        "payments.checkout-dev-admin is Owner on subscription payments-checkout-dev",
        "Done in",
    ):
        assert told in ran.stdout


@pytest.fixture(scope="module")
def providers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mirror.install(tmp_path_factory.mktemp("mirror"))


@pytest.fixture
def near() -> Iterator[Path]:
    """A directory whose path is short enough for a provider's socket, wherever pytest has its own."""
    with TemporaryDirectory(prefix="lzr-") as directory:
        yield Path(directory)


@pytest.mark.parametrize("folder", [*SETS, STARTER], ids=lambda path: path.name)
def test_terraform_accepts_what_the_documents_become(folder: Path, tmp_path: Path, providers: Path, near: Path) -> None:
    read = documents.read([folder])
    assert read.chosen
    for tenant in read.chosen:
        root = tmp_path / tenant
        sources = workspace.Sources(packaged.templates(), packaged.modules())
        placed = read.placed(tenant)
        code = {block.key: block.code for block in chosen_blocks(placed) if block.code}
        workspace.write(workspace.render(replace(compose(placed), code=code), sources), root / "terraform")
        (root / "home").mkdir()
        for command in (["init", "-backend=false", "-input=false"], ["validate"]):
            ran = subprocess.run(
                [terraform(), *command, "-no-color"],
                cwd=root / "terraform",
                env=base_environment(root, providers, near),
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 0, ran.stdout + ran.stderr
