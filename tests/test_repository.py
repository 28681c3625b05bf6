"""The README, the golden files and the examples say what is true."""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from runner import documents
from runner.cli import COMMANDS
from tests import golden, links

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_readme_lists_settings_and_permissions_as_they_are() -> None:
    assert golden.README.read_text(encoding="utf-8") == golden.readme(), "run: make docs"


def test_every_command_in_the_readme_exists() -> None:
    text = golden.README.read_text(encoding="utf-8")
    named = set(re.findall(r"\blzr ([a-z-]+)", text))
    assert named <= set(COMMANDS)


def test_every_link_in_a_markdown_file_leads_somewhere() -> None:
    assert {str(file): list(links.dead(file)) for file in links.texts(ROOT) if list(links.dead(file))} == {}


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(
        "# What it is, and why\n[a](#what-it-is-and-why) [b](#gone) [c](README.md#gone) [d](gone.md) [e](https://gone.example)\n",
        encoding="utf-8",
    )
    assert list(links.dead(file)) == ["#gone", "README.md#gone", "gone.md"]


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
    for requirement in project["dependencies"]:
        name = re.split(r"[>=\[<]", requirement)[0].lower()
        assert ">=" in requirement
        assert name in pinned()


def test_what_builds_the_package_is_pinned_and_not_fetched_anew_by_an_isolated_build() -> None:
    made_with = re.search(r"^BUILD +:= (.+)$", MAKEFILE, re.MULTILINE)
    assert made_with is not None
    assert "hatchling" in made_with[1]
    assert set(made_with[1].split()) <= pinned()
    for line in re.findall(r"^.*--editable.*$", MAKEFILE, re.MULTILINE):
        assert "--no-build-isolation" in line


def test_a_check_runs_everything_that_its_help_names() -> None:
    recipe = subprocess.run(
        ["make", "-n", "check"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"MAKEFLAGS": ""},
    ).stdout
    for tool in ("ruff format --check", "ruff check", "mypy", "lint-imports", "codespell", "tests.links", "fmt -check"):
        assert tool in recipe


def test_setting_up_with_an_old_python_says_which_is_needed(tmp_path: Path) -> None:
    """An interpreter that is called 3.9 and runs what it is given."""
    old = tmp_path / "python3.9"
    line = "import sys; sys.version_info = (3, 9, 1); sys.version = '3.9.1 (old)'; exec(sys.argv[1])"
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{line}" "$2"\n', encoding="utf-8")
    old.chmod(0o755)
    ran = made("setup", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}")
    assert ran.returncode != 0
    assert "Python 3.11 or newer is needed" in ran.stderr
    assert "is 3.9.1" in ran.stderr
    assert not (tmp_path / "venv").exists()


def test_without_an_engine_it_is_said_where_to_get_one(tmp_path: Path) -> None:
    """A machine with a shell, without terraform, and for which PyPI has none."""
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    python.chmod(0o755)
    stamp = tmp_path / "venv" / ".installed"
    stamp.touch()
    os.utime(stamp, (2**31, 2**31))
    for name in ("sh", "echo"):
        (tmp_path / name).symlink_to(f"/bin/{name}")
    ran = made("test", f"VENV={tmp_path / 'venv'}", path=str(tmp_path))
    assert ran.returncode != 0
    assert "no terraform or tofu on PATH" in ran.stderr
    assert "https://opentofu.org" in ran.stderr


def made(*arguments: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    make = shutil.which("make")
    assert make is not None
    return subprocess.run(
        [make, *arguments],
        cwd=ROOT,
        env=os.environ | {"MAKEFLAGS": "", "PATH": path},
        check=False,
        capture_output=True,
        text=True,
    )


def pinned() -> set[str]:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return {line.split("==")[0].lower() for line in text.splitlines() if "==" in line}
