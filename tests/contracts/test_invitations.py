"""The Invitations port: what the in-memory double and the store, on SQLite and on PostgreSQL, promise of several processes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pytest

from runner.ports import Claim, Invitations
from runner.store.invitations import SqlInvitations
from runner.store.liveness import FileLiveness, PostgresLiveness
from runner.store.opening import Store
from tests.doubles.invitations import Claims, MemoryInvitations
from tests.store.making import NOW, opened

TENANT = "11111111-0000-4000-8000-00000000000a"
ADDRESS = "dev@partner.example"
GUEST = "22222222-0000-4000-8000-000000000002"
BELIEVED = timedelta(minutes=2)


class Stage(Protocol):
    """Several processes on one store."""

    def process(self, name: str) -> Invitations: ...

    def die(self, name: str) -> None: ...


class MemoryStage:
    def __init__(self) -> None:
        self._claims = Claims()

    def process(self, name: str) -> Invitations:
        return MemoryInvitations(self._claims, name)

    def die(self, name: str) -> None:
        self._claims.living.discard(name)


class StoreStage:
    """Each process with its own lock; whose lock is free is believed dead at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._liveness = (
            FileLiveness(store.directory / "alive")
            if store.directory is not None
            else PostgresLiveness(store.engine, grace=timedelta())
        )
        self._living: dict[str, ExitStack] = {}

    def process(self, name: str) -> Invitations:
        self._living[name] = ExitStack()
        self._living[name].enter_context(self._liveness.hold(name))
        return SqlInvitations(self._store.database, self._liveness, name)

    def die(self, name: str) -> None:
        self._living.pop(name).close()

    def close(self) -> None:
        for name in list(self._living):
            self.die(name)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    if request.param == "memory":
        yield MemoryStage()
        return
    where = tmp_path / "store" if request.param == "sqlite" else request.getfixturevalue("postgres_database")
    with opened(where, tmp_path / "key") as store:
        on_store = StoreStage(store)
        yield on_store
        on_store.close()


def claimed(invitations: Invitations, *, later: timedelta = timedelta(), address: str = ADDRESS) -> Claim | str | None:
    return invitations.claim(TENANT, address, now=NOW + later, believed=BELIEVED)


def right(invitations: Invitations, *, later: timedelta = timedelta(), address: str = ADDRESS) -> Claim:
    found = claimed(invitations, later=later, address=address)
    assert isinstance(found, Claim)
    return found


def test_one_at_a_time_may_invite_also_within_one_process(stage: Stage) -> None:
    one, other = stage.process("one"), stage.process("other")
    assert not right(one).inherited
    assert claimed(other) is None
    assert claimed(one) is None


def test_capitals_do_not_count(stage: Stage) -> None:
    one = stage.process("one")
    right(one)
    assert one.claim(TENANT.upper(), "DEV@Partner.example", now=NOW, believed=BELIEVED) is None


def test_other_addresses_and_other_tenants_are_free(stage: Stage) -> None:
    one = stage.process("one")
    right(one)
    assert not right(one, address="other@partner.example").inherited
    assert isinstance(one.claim("another-tenant", ADDRESS, now=NOW, believed=BELIEVED), Claim)


def test_who_comes_after_the_invitation_gets_the_guest(stage: Stage) -> None:
    one, other = stage.process("one"), stage.process("other")
    one.sent(right(one), GUEST, now=NOW)
    stage.die("one")
    assert claimed(other) == GUEST
    assert claimed(other, later=BELIEVED - timedelta(seconds=1)) == GUEST


def test_after_a_while_the_guest_is_the_directorys_to_know_and_may_be_invited_anew(stage: Stage) -> None:
    one, other = stage.process("one"), stage.process("other")
    one.sent(right(one), GUEST, now=NOW)
    assert not right(other, later=BELIEVED).inherited
    assert claimed(one, later=BELIEVED) is None


def test_what_is_given_up_is_inherited_because_the_invitation_may_be_on_its_way(stage: Stage) -> None:
    one, other = stage.process("one"), stage.process("other")
    one.give_up(right(one))
    assert right(other).inherited
    assert claimed(one) is None


def test_after_a_refusal_it_is_as_if_nobody_had_tried(stage: Stage) -> None:
    one, other = stage.process("one"), stage.process("other")
    one.give_up(right(one), refused=True)
    assert not right(other).inherited


def test_the_claim_of_a_dead_process_is_inherited_by_one(stage: Stage) -> None:
    dying, one, other = (stage.process(name) for name in ("dying", "one", "other"))
    right(dying)
    assert claimed(one) is None
    stage.die("dying")
    assert right(one).inherited
    assert claimed(other) is None


def test_who_lost_its_claim_changes_nothing_any_more(stage: Stage) -> None:
    late, one, other = (stage.process(name) for name in ("late", "one", "other"))
    lost = right(late)
    stage.die("late")
    right(one)
    late.sent(lost, GUEST, now=NOW)
    assert claimed(other) is None
    late.give_up(lost)
    assert claimed(other) is None
    late.give_up(lost, refused=True)
    assert claimed(other) is None


def test_a_guest_who_was_made_is_not_given_up(stage: Stage) -> None:
    one, other = stage.process("one"), stage.process("other")
    claim = right(one)
    one.sent(claim, GUEST, now=NOW)
    one.give_up(claim, refused=True)
    one.give_up(claim)
    assert claimed(other) == GUEST


@pytest.mark.parametrize("before", ["nobody", "somebody who died", "an old guest"])
def test_of_many_at_the_same_moment_exactly_one_may_invite(before: str, stage: Stage) -> None:
    invitations = stage.process("one")
    if before == "somebody who died":
        right(stage.process("dying"))
        stage.die("dying")
    if before == "an old guest":
        invitations.sent(right(invitations), GUEST, now=NOW - BELIEVED)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: claimed(invitations), range(24)))
    assert len([one for one in found if one is not None]) == 1
