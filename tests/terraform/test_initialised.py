"""What `init` made serves other tenants whose configuration is built the same way, and nobody else."""

from __future__ import annotations

import os
import time
from pathlib import Path

from runner.terraform.engine import LOCK_FILE
from runner.terraform.initialised import GOOD_FOR, Initialised, key

LOCK = b'provider "registry.terraform.io/azure/azapi" {\n  version = "2.12.0"\n}\n'
KEY = "0123"


def a_result_of_init(directory: Path) -> Path:
    """As `init` leaves it: a mirror's provider is a link, one from a registry a file."""
    providers = directory / ".terraform" / "providers" / "registry.terraform.io"
    mirrored, fetched = directory / "mirror", providers / "hashicorp" / "azuread" / "3.9.0" / "linux_amd64"
    mirrored.mkdir(parents=True)
    (mirrored / "terraform-provider-azapi").write_text("azapi")
    (providers / "azure" / "azapi" / "2.12.0").mkdir(parents=True)
    (providers / "azure" / "azapi" / "2.12.0" / "linux_amd64").symlink_to(mirrored)
    fetched.mkdir(parents=True)
    (fetched / "terraform-provider-azuread").write_text("azuread")
    (directory / ".terraform" / "modules").mkdir()
    (directory / ".terraform" / "modules" / "modules.json").write_text("{}")
    (directory / LOCK_FILE).write_bytes(LOCK)
    return directory


def kept(tmp_path: Path) -> Initialised:
    store = Initialised(tmp_path / "initialised")
    store.keep(KEY, a_result_of_init(tmp_path / "first"))
    return store


def an_empty_one(tmp_path: Path) -> Path:
    target = tmp_path / "second"
    target.mkdir()
    return target


def everything_below(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in (directory / ".terraform").rglob("*"))


def test_the_next_directory_is_as_init_left_the_first(tmp_path: Path) -> None:
    target = an_empty_one(tmp_path)
    assert kept(tmp_path).reuse(KEY, target)
    assert everything_below(target) == everything_below(tmp_path / "first")
    assert (target / LOCK_FILE).read_bytes() == LOCK


def test_providers_take_no_room_of_their_own_and_the_rest_may_be_written(tmp_path: Path) -> None:
    target = an_empty_one(tmp_path)
    kept(tmp_path).reuse(KEY, target)
    azuread = next((target / ".terraform").rglob("terraform-provider-azuread"))
    assert azuread.stat().st_nlink == 3
    assert (target / ".terraform/providers/registry.terraform.io/azure/azapi/2.12.0/linux_amd64").is_symlink()
    modules = target / ".terraform" / "modules" / "modules.json"
    modules.write_text("changed")
    again = tmp_path / "third"
    again.mkdir()
    assert Initialised(tmp_path / "initialised").reuse(KEY, again)
    assert (again / ".terraform" / "modules" / "modules.json").read_text() == "{}"


def test_a_bundle_takes_only_the_providers_that_it_was_made_with(tmp_path: Path) -> None:
    store, target = kept(tmp_path), an_empty_one(tmp_path)
    assert not store.reuse(KEY, target, lock=LOCK.replace(b"2.12.0", b"2.13.0"))
    assert list(target.iterdir()) == []
    assert store.reuse(KEY, target, lock=LOCK)


def test_another_key_an_old_result_and_an_incomplete_one_are_not_reused(tmp_path: Path) -> None:
    store, target = kept(tmp_path), an_empty_one(tmp_path)
    assert not store.reuse("4567", target)
    (tmp_path / "initialised" / KEY / LOCK_FILE).unlink()
    assert not store.reuse(KEY, target)
    store.keep(KEY, tmp_path / "first")
    long_ago = time.time() - GOOD_FOR - 1
    os.utime(tmp_path / "initialised" / KEY, (long_ago, long_ago))
    assert not store.reuse(KEY, target)
    assert list(target.iterdir()) == []


def test_keeping_a_new_one_takes_the_place_of_the_old_and_clears_away_what_is_left_over(tmp_path: Path) -> None:
    store = kept(tmp_path)
    left = tmp_path / "initialised" / ".half-made"
    left.mkdir()
    os.utime(left, (0, 0))
    (tmp_path / "first" / LOCK_FILE).write_bytes(b"newer")
    store.keep(KEY, tmp_path / "first")
    assert (tmp_path / "initialised" / KEY / LOCK_FILE).read_bytes() == b"newer"
    assert [path.name for path in (tmp_path / "initialised").iterdir()] == [KEY]


def test_where_it_cannot_be_kept_the_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / "initialised").write_text("in the way")
    Initialised(tmp_path / "initialised").keep(KEY, a_result_of_init(tmp_path / "first"))
    assert not Initialised(tmp_path / "initialised").reuse(KEY, an_empty_one(tmp_path))


def test_values_do_not_count_and_code_engine_and_mirror_do(tmp_path: Path) -> None:
    files = {"main.tf": b"a", "inputs.auto.tfvars.json": b"{}"}
    same = key(files, engine="terraform 1.11.4", mirror=None)
    assert key(files | {"inputs.auto.tfvars.json": b"other"}, engine="terraform 1.11.4", mirror=None) == same
    others = {
        key(files | {"main.tf": b"b"}, engine="terraform 1.11.4", mirror=None),
        key(files, engine="tofu 1.10.0", mirror=None),
        key(files, engine="terraform 1.11.4", mirror=tmp_path),
    }
    assert len({same, *others}) == 4
