"""The contract of `Outbox`, on SQLite and on PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from runner.domain.notice import Event, notice_of
from runner.domain.run import Run, Status
from runner.ports import Letter
from runner.store.opening import Store
from tests.store.making import HOUR, NOW, a_run, a_waiting_run

SECOND = timedelta(seconds=1)
LEASE = timedelta(minutes=5)
OPS = ("ops",)


def letter(name: str = "m1", channel: str = "ops", run: str = "r1", occasion: str = "waiting") -> Letter:
    notice = notice_of(Event.WAITING, a_run(run), None, public_url="https://lzr.example.com")
    return Letter(id=name, channel=channel, occasion=occasion, notice=notice)


def put(store: Store, *letters: Letter) -> int:
    return store.outbox.put(letters, seen=NOW, now=NOW)


def ids(runs: tuple[Run, ...]) -> list[str]:
    return [run.id for run in runs]


class TestLooking:
    def test_runs_are_found_by_when_they_changed_and_page_by_page(self, store: Store) -> None:
        for number in range(5):
            a_waiting_run(store, f"r{number}", tenant=f"t{number}")
        store.runs.create(a_run("pending", "t9"))
        assert ids(store.outbox.changed(since=NOW, limit=10)) == ["r0", "r1", "r2", "r3", "r4"]
        assert ids(store.outbox.changed(since=NOW, after="r1", limit=2)) == ["r2", "r3"]
        assert ids(store.outbox.changed(since=NOW + SECOND, limit=10)) == []
        store.runs.move("r1", Status.EXPIRED, now=NOW + HOUR)
        assert ids(store.outbox.changed(since=NOW, limit=10)) == ["r0", "r2", "r3", "r4", "r1"]

    def test_looking_begins_now_and_never_goes_back(self, store: Store) -> None:
        assert store.outbox.seen(now=NOW) == NOW
        assert store.outbox.seen(now=NOW + HOUR) == NOW
        store.outbox.put((), seen=NOW + HOUR, now=NOW)
        store.outbox.put((), seen=NOW, now=NOW)
        assert store.outbox.seen(now=NOW) == NOW + HOUR

    def test_a_channel_begins_when_it_is_first_seen(self, store: Store) -> None:
        assert store.outbox.begun(["ops"], now=NOW) == {"ops": NOW}
        assert store.outbox.begun(["ops", "new"], now=NOW + HOUR) == {"ops": NOW, "new": NOW + HOUR}


class TestLetters:
    def test_an_occasion_is_told_a_channel_once(self, store: Store) -> None:
        assert put(store, letter("m1"), letter("m2", "other"), letter("m3", occasion="applied")) == 3
        assert put(store, letter("m1"), letter("again"), letter("m4", run="r2")) == 1

    def test_a_letter_comes_back_as_it_was_put(self, store: Store) -> None:
        put(store, letter())
        assert store.outbox.take(OPS, now=NOW, lease=LEASE) == Letter("m1", "ops", "waiting", letter().notice, tries=1)

    def test_what_is_taken_is_nobody_elses_until_its_taker_is_dead(self, store: Store) -> None:
        put(store, letter())
        assert store.outbox.take(OPS, now=NOW, lease=LEASE)
        assert store.outbox.take(OPS, now=NOW + LEASE - SECOND, lease=LEASE) is None
        assert store.outbox.due(OPS) == NOW + LEASE
        again = store.outbox.take(OPS, now=NOW + LEASE, lease=LEASE)
        assert again is not None
        assert again.tries == 2

    def test_only_letters_of_these_channels_are_taken(self, store: Store) -> None:
        put(store, letter("m1", "gone"))
        assert store.outbox.take(OPS, now=NOW, lease=LEASE) is None
        assert store.outbox.due(OPS) is None

    def test_what_was_sent_is_not_sent_again(self, store: Store) -> None:
        put(store, letter())
        taken = store.outbox.take(OPS, now=NOW, lease=LEASE)
        assert taken is not None
        store.outbox.sent(taken, now=NOW)
        assert store.outbox.due(OPS) is None
        assert put(store, letter()) == 0
        assert store.outbox.take(OPS, now=NOW + HOUR, lease=LEASE) is None

    def test_what_is_put_off_is_due_then(self, store: Store) -> None:
        put(store, letter())
        taken = store.outbox.take(OPS, now=NOW, lease=LEASE)
        assert taken is not None
        store.outbox.put_off(taken, until=NOW + HOUR, code="notice-not-taken", detail="busy")
        assert store.outbox.take(OPS, now=NOW + LEASE, lease=LEASE) is None
        assert store.outbox.take(OPS, now=NOW + HOUR, lease=LEASE)

    def test_who_comes_back_too_late_says_nothing_any_more(self, store: Store) -> None:
        put(store, letter())
        late = store.outbox.take(OPS, now=NOW, lease=LEASE)
        other = store.outbox.take(OPS, now=NOW + LEASE, lease=LEASE)
        assert late is not None
        assert other is not None
        store.outbox.bury(late, now=NOW + LEASE, code="x", detail="")
        assert store.outbox.dead() == ()
        store.outbox.sent(other, now=NOW + LEASE)
        store.outbox.put_off(other, until=NOW, code="x", detail="")
        assert store.outbox.due(OPS) is None

    def test_the_dead_are_listed_with_why_and_come_back_when_asked_for(self, store: Store) -> None:
        put(store, letter("m1"), letter("m2", run="r2"), letter("m3", run="r3"))
        for minute in range(3):
            taken = store.outbox.take(OPS, now=NOW + minute * SECOND, lease=LEASE)
            assert taken is not None
            store.outbox.bury(taken, now=NOW + minute * SECOND, code="notice-not-taken", detail="answers 404")
        dead = store.outbox.dead()
        assert [(one.letter.id, one.code, one.detail) for one in dead] == [
            (name, "notice-not-taken", "answers 404") for name in ("m3", "m2", "m1")
        ]
        assert store.outbox.take(OPS, now=NOW + HOUR, lease=LEASE) is None
        assert store.outbox.revive(["m2", "unknown"], now=NOW + HOUR) == 1
        revived = store.outbox.take(OPS, now=NOW + HOUR, lease=LEASE)
        assert revived is not None
        assert (revived.id, revived.tries) == ("m2", 1)
        assert store.outbox.revive(None, now=NOW + HOUR) == 2
        assert store.outbox.dead() == ()

    def test_old_letters_are_forgotten_and_young_ones_are_not(self, store: Store) -> None:
        put(store, letter("m1"))
        store.outbox.put([letter("m2", run="r2")], seen=NOW, now=NOW + HOUR)
        assert store.outbox.prune(before=NOW + SECOND) == 1
        assert store.outbox.due(OPS) == NOW + HOUR

    def test_letters_outlive_their_runs(self, store: Store) -> None:
        a_waiting_run(store, "r1")
        put(store, letter())
        store.runs.move("r1", Status.EXPIRED, now=NOW)
        assert store.runs.forget(source="", keep=0) == 1
        assert store.outbox.take(OPS, now=NOW, lease=LEASE)

    def test_many_takers_at_once_each_get_another_letter(self, store: Store) -> None:
        put(store, *(letter(f"m{number}", run=f"r{number}") for number in range(12)))

        def take(_: int) -> str:
            found = store.outbox.take(OPS, now=NOW, lease=LEASE)
            return found.id if found is not None else ""

        with ThreadPoolExecutor(6) as threads:
            found = [name for name in threads.map(take, range(24)) if name]
        # on PostgreSQL a taker passes over what another holds, and may find nothing at that moment
        assert len(found) == len(set(found))
        while (more := store.outbox.take(OPS, now=NOW, lease=LEASE)) is not None:
            found.append(more.id)
        assert sorted(found) == sorted(f"m{number}" for number in range(12))


@pytest.mark.parametrize("hostile", ["a\0b", "\ud800", "'; DROP TABLE letters; --"])
def test_hostile_names_are_kept_and_harmless(store: Store, hostile: str) -> None:
    notice = notice_of(Event.WAITING, a_run("r1", hostile), None, public_url="")
    store.outbox.put([Letter("m1", "ops", "waiting", notice)], seen=NOW, now=NOW)
    taken = store.outbox.take(OPS, now=NOW, lease=LEASE)
    assert taken is not None
    assert taken.notice.title.isprintable()
