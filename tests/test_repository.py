"""The README, the golden files and the examples say what is true."""

from __future__ import annotations

import filecmp
import re
import tomllib
from pathlib import Path

import pytest

from runner import documents
from runner.cli import COMMANDS
from tests import golden

ROOT = Path(__file__).parent.parent


def test_the_readme_lists_the_settings_as_they_are() -> None:
    assert golden.README.read_text(encoding="utf-8") == golden.readme(), "run: make docs"


def test_every_command_in_the_readme_exists() -> None:
    text = golden.README.read_text(encoding="utf-8")
    named = set(re.findall(r"\blzr ([a-z-]+)", text))
    assert named <= set(COMMANDS)


def test_every_link_in_a_markdown_file_leads_somewhere() -> None:
    for file in [ROOT / "README.md", *ROOT.glob("modules/*/README.md"), *ROOT.glob("examples/**/*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", file.read_text(encoding="utf-8")):
            if not target.startswith("https://"):
                assert (file.parent / target).exists(), f"{file.name}: {target}"


@pytest.mark.parametrize("name", golden.TENANTS)
def test_a_golden_configuration_is_what_is_written(name: str, tmp_path: Path) -> None:
    golden.render(name, tmp_path / name)
    compared = filecmp.dircmp(tmp_path / name, golden.GOLDEN / name)
    assert compared.left_only + compared.right_only + compared.diff_files == [], "run: make docs"


@pytest.mark.parametrize("folder", ["demo", "documents"])
def test_the_examples_can_be_used(folder: str) -> None:
    assert documents.read([ROOT / "examples" / folder]).chosen


def test_every_dependency_has_a_floor_and_the_rest_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = {
        line.split("==")[0].lower()
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    }
    for requirement in project["dependencies"]:
        name = re.split(r"[>=\[<]", requirement)[0].lower()
        assert ">=" in requirement
        assert name in pinned
