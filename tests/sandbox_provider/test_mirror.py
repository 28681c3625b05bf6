"""The filesystem mirror in which the engine finds the stand-ins."""

from __future__ import annotations

import stat
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from runner.errors import InputError
from runner.sandbox.provider import mirror


def executables(directory: Path) -> list[Path]:
    return sorted(directory.glob("*/*/*/*/*/terraform-provider-*"))


def test_a_mirror_holds_both_providers_for_both_engines(tmp_path: Path) -> None:
    directory = mirror.install(tmp_path / "mirror")
    found = [path.relative_to(directory).parts for path in executables(directory)]
    assert [(parts[0], parts[1], parts[2], parts[3], parts[5]) for parts in found] == [
        (registry, namespace, name, version, f"terraform-provider-{name}_v{version}")
        for registry in ("registry.opentofu.org", "registry.terraform.io")
        for namespace, name, version in (("azure", "azapi", "2.99.0"), ("hashicorp", "azuread", "3.99.0"))
    ]
    assert all(path.stat().st_mode & stat.S_IXUSR for path in executables(directory))


def test_the_key_of_the_server_is_its_users_alone(tmp_path: Path) -> None:
    directory = mirror.install(tmp_path / "mirror")
    assert stat.S_IMODE((directory / "server.pem").stat().st_mode) == 0o600


def test_installing_again_changes_nothing(tmp_path: Path) -> None:
    directory = mirror.install(tmp_path / "mirror")
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in directory.rglob("*") if path.is_file()}
    mirror.install(directory)
    assert {
        path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in directory.rglob("*") if path.is_file()
    } == before


def test_a_damaged_executable_is_put_right(tmp_path: Path) -> None:
    directory = mirror.install(tmp_path / "mirror")
    damaged = executables(directory)[0]
    whole = damaged.read_bytes()
    damaged.write_bytes(b"")
    mirror.install(directory)
    assert damaged.read_bytes() == whole


def test_several_processes_may_install_at_once(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(mirror.install, [tmp_path / "mirror"] * 8))
    assert len(executables(tmp_path / "mirror")) == 4
    assert [path.name for path in (tmp_path / "mirror").iterdir() if path.name.startswith(".")] == []


def test_another_interpreter_brings_its_own_libraries(tmp_path: Path) -> None:
    directory = mirror.install(tmp_path / "mirror", python=Path(sys.executable))
    assert b"site-packages" in executables(directory)[0].read_bytes()


def test_an_interpreter_without_the_libraries_is_refused(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    bare.chmod(0o755)
    with pytest.raises(InputError) as refused:
        mirror.install(tmp_path / "mirror", python=bare)
    assert refused.value.code == "sandbox-interpreter"


@pytest.mark.parametrize(
    ("source", "version", "is_one"),
    [
        ("registry.terraform.io/azure/azapi", "2.99.0", True),
        ("registry.opentofu.org/hashicorp/azuread", "3.99.0", True),
        ("azure/azapi", "2.99.0", True),
        ("registry.terraform.io/azure/azapi", "2.12.0", False),
        ("registry.terraform.io/someone/azapi", "2.99.0", False),
        ("registry.terraform.io/hashicorp/random", "3.99.0", False),
    ],
)
def test_a_stand_in_is_told_by_its_version(source: str, version: str, is_one: bool) -> None:
    assert mirror.is_stand_in(source, version) is is_one
