"""The contract of `Deletions`, held by the store on SQLite and on PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from runner.domain.deletion import UNDER_WAY, Deletion, Standing
from runner.errors import InputError, Refused
from runner.ports import Deletions
from runner.store.opening import Store
from tests.store.making import HOUR, NOW

SNAPSHOT = {"placed": {"tenant": "shop"}, "files": []}


@pytest.fixture
def deletions(store: Store) -> Deletions:
    return store.deletions


def a_deletion(tenant: str = "shop", reason: str = "weil's vorbei ist 🚀") -> Deletion:
    return Deletion(
        tenant=tenant,
        standing=Standing.REQUESTED,
        reason=reason,
        requested_by="ann",
        requested=NOW,
        source="/etc/tenants",
    )


def test_what_nobody_asked_for_is_not_there(deletions: Deletions) -> None:
    assert deletions.of("shop") is None
    assert deletions.tombstone("shop") is None
    assert deletions.forget("shop") is False
    with pytest.raises(InputError) as error:
        deletions.move("shop", Standing.APPROVED, by="bob", now=NOW)
    assert error.value.code == "no-deletion"


def test_a_request_comes_back_as_it_was_kept_with_its_tombstone(deletions: Deletions) -> None:
    assert deletions.ask(a_deletion(), SNAPSHOT) == a_deletion()
    assert deletions.of("shop") == a_deletion()
    assert deletions.tombstone("shop") == SNAPSHOT
    assert deletions.of("other") is None


def test_it_is_approved_and_gone_and_the_tombstone_goes_with_it(deletions: Deletions) -> None:
    deletions.ask(a_deletion(), SNAPSHOT)
    approved = deletions.move("shop", Standing.APPROVED, by="bob", comment="agreed", now=NOW + HOUR)
    assert (approved.decided_by, approved.decided, approved.comment) == ("bob", NOW + HOUR, "agreed")
    assert deletions.tombstone("shop") == SNAPSHOT
    gone = deletions.move("shop", Standing.GONE, by="cid", now=NOW + 2 * HOUR)
    assert (gone.standing, gone.ended, gone.decided_by) == (Standing.GONE, NOW + 2 * HOUR, "bob")
    assert deletions.tombstone("shop") is None
    assert deletions.move("shop", Standing.GONE, by="cid", now=NOW + 3 * HOUR) == gone == deletions.of("shop")


@pytest.mark.parametrize("first", [None, Standing.APPROVED])
def test_what_was_declined_may_be_asked_for_again(deletions: Deletions, first: Standing | None) -> None:
    deletions.ask(a_deletion(), SNAPSHOT)
    if first:
        deletions.move("shop", first, by="bob", now=NOW)
    deletions.move("shop", Standing.DECLINED, by="cid", now=NOW + HOUR)
    assert deletions.tombstone("shop") is None
    with pytest.raises(Refused):
        deletions.move("shop", Standing.APPROVED, by="bob", now=NOW)
    again = a_deletion(reason="now it is")
    assert deletions.ask(again, SNAPSHOT) == deletions.of("shop") == again


def test_while_one_is_under_way_no_other_begins(deletions: Deletions) -> None:
    deletions.ask(a_deletion(), SNAPSHOT)
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            deletions.ask(a_deletion(reason="another"), {})
        assert refused.value.code == "deletion-under-way"
        if deletions.of("shop") == a_deletion():
            deletions.move("shop", Standing.APPROVED, by="bob", now=NOW)
    assert deletions.tombstone("shop") == SNAPSHOT


def test_it_is_not_gone_before_somebody_approved(deletions: Deletions) -> None:
    deletions.ask(a_deletion(), SNAPSHOT)
    with pytest.raises(Refused) as refused:
        deletions.move("shop", Standing.GONE, by="bob", now=NOW)
    assert refused.value.code == "deletion-not-in-that-standing"
    assert deletions.of("shop") == a_deletion()


def test_of_many_who_decide_at_once_one_does(deletions: Deletions) -> None:
    deletions.ask(a_deletion(), SNAPSHOT)

    def approve(number: int) -> bool:
        try:
            deletions.move("shop", Standing.APPROVED, by=str(number), now=NOW)
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(approve, range(6))) == 1


def test_they_are_found_by_how_they_stand_oldest_first(deletions: Deletions) -> None:
    for name, ago in (("a", 1), ("b", 3), ("c", 2)):
        deletions.ask(a_deletion(name).model_copy(update={"requested": NOW - timedelta(hours=ago)}), SNAPSHOT)
    deletions.move("c", Standing.DECLINED, by="bob", now=NOW)
    assert [one.tenant for one in deletions.find(tuple(UNDER_WAY))] == ["b", "a"]
    assert [one.tenant for one in deletions.find((Standing.DECLINED,))] == ["c"]


def test_a_forgotten_one_is_as_if_it_had_never_been(deletions: Deletions) -> None:
    deletions.ask(a_deletion(), SNAPSHOT)
    assert deletions.forget("shop") is True
    assert deletions.of("shop") is None
    assert deletions.tombstone("shop") is None
