"""Trying the engine and a state backend out, with the real Terraform: what it finds where locks or states get lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runner import packaged
from runner.domain.state import LocalBackend, ManagedBackend
from runner.errors import EngineFailed, InputError
from runner.ports import States
from runner.sandbox.provider.mirror import install, is_stand_in
from runner.store.opening import Store
from runner.terraform.engine import Limits, discover
from runner.terraform.rehearsal import EngineRehearsal
from runner.terraform.state_service import StateService
from runner.terraform.workspace import Sources
from tests.store.making import NOW

STOP = threading.Event()


class Faulty:
    """A store of states that does something wrong; all else is the real one's."""

    def __init__(self, real: States) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class Unlocked(Faulty):
    def lock(self, attempt: Any, info: Mapping[str, Any], *, now: Any) -> None:
        """Everybody gets the lock."""


class Forgetful(Faulty):
    def current(self, tenant: str) -> None:
        """Nothing that was written is found again."""


@contextmanager
def rehearsing(states: Any, directory: Path, *, mirror: Path | None = None) -> Iterator[EngineRehearsal]:
    with StateService(states, now=lambda: NOW) as service:
        yield EngineRehearsal(
            find_engine=lambda: discover(None),
            states=states,
            service=service,
            secret=lambda reference: "",
            sources=Sources(templates=packaged.templates(), modules=packaged.modules()),
            directory=directory / "work",
            mirror=mirror,
            surroundings={},
            stand_in=is_stand_in,
            limits=Limits(),
            now=lambda: NOW,
            redact_also=lambda value: None,
        )


def test_a_managed_state_is_locked_read_back_and_gone(file_store: Store, tmp_path: Path) -> None:
    with rehearsing(file_store.states, tmp_path) as rehearsal:
        assert rehearsal.state(ManagedBackend(), STOP) is True
    assert file_store.states.tenants() == ()
    assert list((tmp_path / "work").iterdir()) == []


def test_a_local_state_is_locked_read_back_and_gone(file_store: Store, tmp_path: Path) -> None:
    with rehearsing(file_store.states, tmp_path) as rehearsal:
        assert rehearsal.state(LocalBackend(type="local", directory=str(tmp_path / "states")), STOP) is True
    assert list((tmp_path / "states").iterdir()) == []


def test_a_backend_without_locks_is_noticed(file_store: Store, tmp_path: Path) -> None:
    with rehearsing(Unlocked(file_store.states), tmp_path) as rehearsal:
        assert rehearsal.state(ManagedBackend(), STOP) is False


def test_a_backend_that_forgets_is_noticed_and_nothing_of_it_stays(file_store: Store, tmp_path: Path) -> None:
    with rehearsing(Forgetful(file_store.states), tmp_path) as rehearsal, pytest.raises(EngineFailed) as caught:
        rehearsal.state(ManagedBackend(), STOP)
    assert caught.value.hint
    assert file_store.states.tenants() == ()


def test_every_provider_of_every_module_is_found_in_the_mirror(file_store: Store, tmp_path: Path) -> None:
    with rehearsing(file_store.states, tmp_path, mirror=install(tmp_path / "mirror")) as rehearsal:
        found = rehearsal.providers(STOP)
    assert {one.source.rpartition("/")[2] for one in found} == {"azapi", "azuread"}
    assert all(one.stand_in for one in found)


def test_only_a_state_that_was_made_to_try_is_ever_forgotten(file_store: Store) -> None:
    with pytest.raises(ValueError):
        file_store.states.forget("acme.shop.prod")


def test_no_engine_is_told_before_anything_is_made(file_store: Store, tmp_path: Path) -> None:
    def none() -> Any:
        raise InputError("No engine found", code="no-engine")

    with rehearsing(file_store.states, tmp_path) as made:
        without = EngineRehearsal(**{**made.__dict__, "find_engine": none})
        with pytest.raises(InputError):
            without.engine()
