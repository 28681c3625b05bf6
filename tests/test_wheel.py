"""What is installed from the wheel is complete: code, modules, templates, and a command that works without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout and unpacked."""
    place = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place / "site")
    return place / "site"


def test_modules_templates_and_schemas_are_in_the_wheel(installed: Path) -> None:
    shipped = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    for module in (ROOT / "modules").iterdir():
        assert f"runner/_data/modules/{module.name}/main.tf" in shipped
    assert "runner/_data/templates/terraform/main.tf.j2" in shipped
    assert "runner/sandbox/azure/default_seed.yaml" in shipped
    assert not [name for name in shipped if name.startswith(("tests/", "benchmarks/", "examples/"))]


def test_the_command_works_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed), "HOME": str(tmp_path)}

    def lzr(*arguments: str) -> str:
        ran = subprocess.run(
            [sys.executable, "-m", "runner", *arguments],
            cwd=tmp_path,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return ran.stdout

    lzr("init", "zones")
    assert "can be used" in lzr("validate", "zones")
    tenant = next(
        line.split(":")[1].strip()
        for file in (tmp_path / "zones").rglob("*.yaml")
        if "kind: Tenant" in file.read_text(encoding="utf-8")
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith("  name:")
    )
    lzr("render", tenant.split("#")[0].strip(), "--in", "zones", "--out", "rendered")
    assert (tmp_path / "rendered" / "modules" / "entra-groups" / "main.tf").exists()
