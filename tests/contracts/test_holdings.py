"""The Holdings port: what the store, on SQLite and on PostgreSQL, promises of subscriptions that are made or taken for tenants."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from runner.domain.run import Status
from runner.domain.subscription import Stage
from runner.errors import Refused
from runner.store.opening import Store
from tests.store.making import NOW, a_run, a_waiting_run, an_approved_run

POOL = tuple(f"4f1c2d30-0000-4000-8000-00000000000{number}" for number in range(1, 5))
LATER = NOW + timedelta(minutes=5)
ONE, OTHER = "acme.shop.one", "acme.shop.other"


def planning(store: Store, run: str, tenant: str) -> str:
    store.runs.create(a_run(run, tenant=tenant))
    store.runs.move(run, Status.PLANNING, now=NOW, executor="")
    return run


def reserved(store: Store, run: str, tenant: str, candidates: tuple[str, ...] = POOL) -> str | None:
    found = store.holdings.reserve(tenant, candidates, run=run, now=NOW)
    return found.subscription if found else None


def test_the_first_that_is_free_is_reserved_and_nobody_else_gets_it(store: Store) -> None:
    assert reserved(store, planning(store, "r1", ONE), ONE) == POOL[0]
    assert reserved(store, planning(store, "r2", OTHER), OTHER, (POOL[0].upper(), POOL[1])) == POOL[1]
    assert reserved(store, planning(store, "r3", "acme.shop.third"), "acme.shop.third", POOL[:2]) is None
    holder = store.holdings.holder(POOL[0].upper())
    assert holder is not None
    assert (holder.tenant, holder.stage, holder.how) == (ONE, Stage.RESERVED, "claimed")


def test_who_reserves_again_keeps_what_is_reserved_unless_it_is_no_candidate_any_more(store: Store) -> None:
    run = planning(store, "r1", ONE)
    assert reserved(store, run, ONE, POOL[2:]) == POOL[2]
    assert reserved(store, run, ONE) == POOL[2]
    assert reserved(store, run, ONE, POOL[:2]) == POOL[0]
    assert store.holdings.holder(POOL[2]) is None


def rejected(store: Store) -> None:
    store.runs.move("r1", Status.REJECTED, now=LATER)


def canceled(store: Store) -> None:
    store.runs.request_cancel("r1", by="bert", now=LATER)


def superseded(store: Store) -> None:
    store.runs.create(a_run("r2", created=LATER, updated=LATER))


def expired(store: Store) -> None:
    store.runs.move("r1", Status.EXPIRED, now=LATER)


def failed(store: Store) -> None:
    store.runs.move("r1", Status.FAILED, now=LATER)


ENDS = [rejected, canceled, superseded, expired, failed]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("begin", [a_waiting_run, an_approved_run])
def test_a_reservation_ends_with_its_run_however_that_ends(
    begin: Callable[[Store], object], end: Callable[[Store], None], store: Store
) -> None:
    begin(store)
    tenant = store.runs.get("r1").tenant
    assert reserved(store, "r1", tenant) == POOL[0]
    end(store)
    assert store.holdings.of(tenant) is None
    with pytest.raises(Refused):
        store.holdings.claim(tenant, POOL[0], run="r1", now=LATER)
    with pytest.raises(Refused):
        reserved(store, "r1", tenant)


@pytest.mark.parametrize("end", [failed, canceled])
def test_what_was_claimed_stays_the_tenants_when_the_run_fails(end: Callable[[Store], None], store: Store) -> None:
    an_approved_run(store)
    tenant = store.runs.get("r1").tenant
    reserved(store, "r1", tenant)
    claimed = store.holdings.claim(tenant, POOL[0], run="r1", now=LATER)
    assert store.holdings.claim(tenant, POOL[0], run="another", now=LATER) == claimed
    end(store)
    assert store.holdings.of(tenant) == claimed
    assert reserved(store, planning(store, "r9", OTHER), OTHER, POOL[:1]) is None


def test_only_the_run_that_reserved_it_may_claim_and_only_that_subscription(store: Store) -> None:
    reserved(store, planning(store, "r1", ONE), ONE)
    for subscription, run in ((POOL[0], "r2"), (POOL[1], "r1")):
        with pytest.raises(Refused):
            store.holdings.claim(ONE, subscription, run=run, now=NOW)
    with pytest.raises(Refused):
        store.holdings.claim(OTHER, POOL[0], run="r1", now=NOW)


def test_an_order_is_known_before_its_subscription_and_with_its_last_error(store: Store) -> None:
    ordered = store.holdings.order(ONE, "lzr-one", now=NOW)
    assert (ordered.stage, ordered.subscription, ordered.failed) == (Stage.ORDERED, None, None)
    failed = store.holdings.failed(ONE, "Azure said no", now=LATER)
    assert store.holdings.of(ONE) == failed
    assert (failed.failed, failed.failure) == (LATER, "Azure said no")
    assert store.holdings.order(ONE, "lzr-one", now=LATER).failed is None


@pytest.mark.parametrize(("offered", "stage"), [(True, Stage.OFFERED), (False, Stage.HELD)])
def test_what_was_made_is_the_tenants_once_nothing_is_to_be_accepted(offered: bool, stage: Stage, store: Store) -> None:
    store.holdings.order(ONE, "lzr-one", now=NOW)
    made = store.holdings.made(ONE, POOL[0].upper(), alias="lzr-one", offered=offered, now=LATER)
    assert (made.stage, made.subscription) == (stage, POOL[0])
    assert store.holdings.made(ONE, POOL[0], alias="lzr-one", offered=offered, now=LATER) == made
    assert store.holdings.accepted(ONE, now=LATER).stage is Stage.HELD
    with pytest.raises(Refused):
        store.holdings.order(ONE, "lzr-one", now=LATER)
    with pytest.raises(Refused):
        store.holdings.made(ONE, POOL[1], alias="lzr-one", offered=False, now=LATER)


def test_what_was_found_without_a_memory_of_an_order_is_noted_and_given_up_in_the_end(store: Store) -> None:
    store.holdings.made(ONE, POOL[0], alias="lzr-one", offered=False, now=NOW)
    with pytest.raises(Refused) as refused:
        store.holdings.made(OTHER, POOL[0], alias="lzr-other", offered=False, now=NOW)
    assert ONE in refused.value.detail
    store.holdings.give_up(ONE)
    assert store.holdings.of(ONE) is None
    assert store.holdings.made(OTHER, POOL[0], alias="lzr-other", offered=False, now=NOW).tenant == OTHER


def test_what_was_cancelled_is_never_the_tenants_again_but_another_one_may_be(store: Store) -> None:
    store.holdings.made(ONE, POOL[0], alias="lzr-one", offered=False, now=NOW)
    store.holdings.cancelled(ONE, now=LATER)
    gone = store.holdings.of(ONE)
    assert gone is not None
    assert (gone.stage, gone.subscription, gone.alias) == (Stage.CANCELLED, POOL[0], "lzr-one")
    assert reserved(store, planning(store, "r1", OTHER), OTHER, POOL[:1]) is None
    ordered = store.holdings.order(ONE, "lzr-one-2", now=LATER)
    assert (ordered.stage, ordered.subscription, ordered.alias) == (Stage.ORDERED, None, "lzr-one-2")
    store.holdings.made(ONE, POOL[1], alias="lzr-one-2", offered=False, now=LATER)
    store.holdings.cancelled(ONE, now=LATER)
    assert reserved(store, planning(store, "r2", ONE), ONE, POOL[2:]) == POOL[2]
    store.holdings.cancelled("acme.shop.unknown", now=LATER)


def test_of_many_at_the_same_moment_each_gets_another_one_and_the_rest_none(store: Store) -> None:
    runs = [(planning(store, f"r{number}", f"tenant-{number}"), f"tenant-{number}") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda one: reserved(store, *one), runs))
    assert sorted(one for one in found if one is not None) == list(POOL)
