"""Telling people, end to end: real runs in a real store, a real HTTPS server, and a clock that is handed in."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from runner.app.notifying import BACK, LEASE, LOOK, OLDEST, TRIES, Notifier, delay, letter_of
from runner.domain.channel import Channel
from runner.domain.notice import Event
from runner.domain.run import Status
from runner.store.opening import Store
from tests.azure.loopback import Loopback, Received, Reply
from tests.channels.conftest import PATH, SIGNING, Serve, Speak, channel
from tests.channels.conftest import certificates as certificates
from tests.channels.conftest import serve as serve
from tests.channels.conftest import speak as speak
from tests.store.making import HOUR, NOW, a_run, a_waiting_run, an_approved_run

SECOND = timedelta(seconds=1)
Telling = Callable[..., Notifier]


@pytest.fixture
def telling(store: Store, speak: Speak) -> Telling:
    """Make a server's notifier for these channels of this store."""

    def make(*channels: Channel, **secrets: str) -> Notifier:
        speaking = speak()
        speaking.secrets |= secrets
        return Notifier(
            channels=channels,
            outbox=store.outbox,
            runs=store.runs,
            courier=speaking.courier,
            public_url="https://lzr.example.com",
            stop=threading.Event(),
            chance=lambda: 0.5,
        )

    return make


def hook(server: Loopback, name: str = "ops", **fields: Any) -> Channel:
    return channel("webhook", name=name, url=server.url, **fields)


def told(server: Loopback) -> list[tuple[str, str]]:
    return [(received.json["type"], received.json["data"]["run"]) for received in server.requests]


def taking(_: Received) -> Reply:
    return Reply(204)


def waits(store: Store, run_id: str = "r1", at: datetime = NOW, **fields: Any) -> None:
    """A run that came to wait at this moment."""
    store.runs.create(a_run(run_id, f"tenant-of-{run_id}", created=at, updated=at, **fields))
    store.runs.move(run_id, Status.PLANNING, now=at)
    store.runs.note(run_id, digest=f"digest-of-{run_id}", counts={"add": 1})
    store.runs.move(run_id, Status.WAITING, now=at)


# --- What is told ----------------------------------------------------------------------------------------------------


def test_what_happens_is_told_once_and_what_happened_before_is_not(
    store: Store, telling: Telling, serve: Serve
) -> None:
    server = serve(taking)
    waits(store, "before", NOW - SECOND)
    notifier = telling(hook(server))
    notifier.step(NOW)
    assert told(server) == []
    waits(store, "r1", NOW + SECOND)
    for later in range(5, 60, 5):
        notifier.step(NOW + later * SECOND)
    assert told(server) == [("run.waiting", "r1")]
    store.runs.move("r1", Status.EXPIRED, now=NOW + HOUR)
    notifier.step(NOW + HOUR)
    assert told(server) == [("run.waiting", "r1")]  # the channel is not for that


def test_a_server_that_starts_later_goes_on_where_the_others_were(store: Store, telling: Telling, serve: Serve) -> None:
    server = serve(taking)
    telling(hook(server)).step(NOW)
    waits(store, "r1", NOW + HOUR)  # while no server runs
    telling(hook(server)).step(NOW + 2 * HOUR)
    telling(hook(server)).step(NOW + 2 * HOUR)
    assert told(server) == [("run.waiting", "r1")]


def test_a_new_channel_begins_now_beside_others_that_go_on(store: Store, telling: Telling, serve: Serve) -> None:
    old, new = serve(taking), serve(taking)
    telling(hook(old)).step(NOW)
    waits(store, "r1", NOW + SECOND)
    telling(hook(old), hook(new, "new")).step(NOW + 10 * SECOND)
    assert (told(old), told(new)) == ([("run.waiting", "r1")], [])


def test_a_channel_that_was_away_for_days_is_not_flooded(store: Store, telling: Telling, serve: Serve) -> None:
    server = serve(taking)
    telling(hook(server)).step(NOW)
    waits(store, "old", NOW + SECOND)
    waits(store, "young", NOW + OLDEST)
    telling(hook(server)).step(NOW + OLDEST + HOUR)
    assert told(server) == [("run.waiting", "young")]


def test_a_run_that_was_committed_late_or_by_a_slow_clock_is_told(store: Store, telling: Telling, serve: Serve) -> None:
    server = serve(taking)
    notifier = telling(hook(server))
    notifier.step(NOW)
    waits(store, "r1", NOW + HOUR)
    notifier.step(NOW + HOUR)
    waits(store, "late", NOW + HOUR - BACK + SECOND)
    notifier.step(NOW + HOUR + LOOK)
    assert told(server) == [("run.waiting", "r1"), ("run.waiting", "late")]


def test_a_clock_that_is_ahead_hides_nothing(store: Store, telling: Telling, serve: Serve) -> None:
    server = serve(taking)
    notifier = telling(hook(server))
    notifier.step(NOW)
    waits(store, "ahead", NOW + 9 * HOUR)
    notifier.step(NOW + LOOK)
    waits(store, "r1", NOW + HOUR)
    notifier.step(NOW + HOUR)
    assert sorted(told(server)) == [("run.waiting", "ahead"), ("run.waiting", "r1")]


def test_drift_failures_and_applies_go_to_who_is_for_them(store: Store, telling: Telling, serve: Serve) -> None:
    drift, failures, applies = serve(taking), serve(taking), serve(taking)
    notifier = telling(
        hook(drift, "drift", events=["drifted", "waiting"]),
        hook(failures, "failures", events=["failed"], zones=["corp"]),
        hook(applies, "applies", events=["applied"]),
    )
    notifier.step(NOW)
    waits(store, "r1", NOW, options={"drifted": True})
    waits(store, "r2", NOW, landing_zone="lab")
    store.runs.move("r2", Status.FAILED, now=NOW + SECOND)
    waits(store, "r3", NOW)
    store.runs.move("r3", Status.FAILED, now=NOW + SECOND)
    an_approved_run(store, "r4", tenant="t4")
    store.runs.move("r4", Status.APPLYING, now=NOW)
    store.runs.move("r4", Status.APPLIED, now=NOW + SECOND)
    notifier.step(NOW + LOOK)
    assert told(drift) == [("run.drifted", "r1")]
    assert told(failures) == [("run.failed", "r3")]
    assert told(applies) == [("run.applied", "r4")]


def test_kinds_of_risks_are_told_from_the_review_of_now(store: Store, telling: Telling, serve: Serve) -> None:
    server = serve(taking)
    notifier = telling(hook(server))
    notifier.step(NOW)
    a_waiting_run(store, "r1", digest="d1")
    review = {"risks": [{"code": "takes-over", "text": "canary"}], "sentences": ["canary"]}
    store.runs.keep_review("r1", digest="d1", review=review)
    notifier.step(NOW + LOOK)
    assert server.requests[0].json["data"]["risks"] == ["takes over"]
    assert b"canary" not in server.requests[0].body


def test_hundreds_of_runs_are_told_in_one_go(store: Store, telling: Telling, serve: Serve) -> None:
    server = serve(taking)
    notifier = telling(hook(server))
    notifier.step(NOW)
    for number in range(450):
        store.runs.create(a_run(f"r{number:03}", f"t{number}"))
        store.runs.move(f"r{number:03}", Status.FAILED, now=NOW + SECOND)
    notifier._look(NOW + LOOK)
    assert len({letter.id for letter in letters(store)}) == 450


def letters(store: Store) -> list[Any]:
    found = []
    while (letter := store.outbox.take(["ops"], now=NOW + LOOK, lease=LEASE)) is not None:
        found.append(letter)
    return found


# --- Sending ---------------------------------------------------------------------------------------------------------


def test_what_is_not_taken_is_sent_again_later_and_later_under_its_id(
    store: Store, telling: Telling, serve: Serve
) -> None:
    server = serve(lambda received: Reply(503))
    notifier = telling(hook(server))
    notifier.step(NOW)
    waits(store)
    now = NOW + LOOK
    moments: list[datetime] = []
    while not store.outbox.dead():
        before = len(server.requests)
        notifier.step(now)
        moments += [now] * (len(server.requests) - before)
        now = store.outbox.due(["ops"]) or now
    assert len(moments) == len(server.requests) == TRIES
    gaps = [after - before for before, after in pairwise(moments)]
    assert gaps[:3] == [timedelta(seconds=10), timedelta(seconds=20), timedelta(seconds=40)]
    assert gaps == sorted(gaps)
    assert gaps[-1] == timedelta(hours=4)
    assert timedelta(hours=12) < moments[-1] - moments[0] < timedelta(days=2)
    assert len({received.header("webhook-id") for received in server.requests}) == 1
    assert len({received.header("webhook-timestamp") for received in server.requests}) == TRIES


def test_a_receiver_that_asks_for_time_gets_it(store: Store, telling: Telling, serve: Serve) -> None:
    replies = [Reply(429, headers={"Retry-After": "600"}), Reply(204), Reply(204)]
    server = serve(lambda received: replies.pop(0))
    notifier = telling(hook(server))
    notifier.step(NOW)
    waits(store, "r1")
    waits(store, "r2")
    for later in (5, 60, 599):
        notifier.step(NOW + later * SECOND)
    assert len(server.requests) == 1  # the other letter would have fared alike
    notifier.step(NOW + 605 * SECOND)
    notifier.step(NOW + 700 * SECOND)
    assert sorted(run for _, run in told(server)[1:]) == ["r1", "r2"]


def test_what_is_refused_is_dead_until_somebody_asks(store: Store, telling: Telling, serve: Serve) -> None:
    replies = [Reply(404), Reply(204)]
    server = serve(lambda received: replies.pop(0))
    notifier = telling(hook(server))
    notifier.step(NOW)
    waits(store)
    notifier.step(NOW + LOOK)
    notifier.step(NOW + 2 * HOUR)
    (dead,) = store.outbox.dead()
    assert (dead.code, dead.detail, len(server.requests)) == ("notice-not-taken", "127.0.0.1 answers 404.", 1)
    store.outbox.revive([dead.letter.id], now=NOW + 2 * HOUR)
    notifier.step(NOW + 2 * HOUR + LOOK)
    assert store.outbox.dead() == ()
    assert [received.header("webhook-id") for received in server.requests] == [dead.letter.id.encode()] * 2


def test_an_address_that_is_not_allowed_is_dead_at_once(store: Store, telling: Telling) -> None:
    notifier = telling(channel("webhook", url="https://169.254.169.254/"))
    notifier.step(NOW)
    waits(store)
    notifier.step(NOW + LOOK)
    assert [dead.code for dead in store.outbox.dead()] == ["channel-address-not-allowed"]


def test_a_channel_that_does_not_answer_holds_up_no_other(store: Store, telling: Telling, serve: Serve) -> None:
    broken, good = serve(lambda received: Reply(500)), serve(taking)
    notifier = telling(hook(broken, "broken"), hook(good, "good"))
    notifier.step(NOW)
    for number in range(5):
        waits(store, f"r{number}")
    notifier.step(NOW + LOOK)
    assert len(good.requests) == 5
    assert len(broken.requests) == 1


def test_a_bug_in_one_letter_holds_up_no_other(
    store: Store, telling: Telling, serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(taking)
    notifier = telling(hook(server))
    notifier.step(NOW)
    waits(store, "r1")
    waits(store, "r2")
    send = type(notifier.courier).send

    def buggy(self: Any, to: Channel, message_id: str, notice: Any, **more: Any) -> None:
        if notice.run == "r1":
            raise ZeroDivisionError
        send(self, to, message_id, notice, **more)

    monkeypatch.setattr(type(notifier.courier), "send", buggy)
    notifier.step(NOW + LOOK)
    assert told(server) == [("run.waiting", "r2")]
    assert [dead.code for dead in store.outbox.dead()] == ["internal-error"]


def test_who_is_told_to_stop_sends_nothing_more_and_loses_nothing(store: Store, telling: Telling, serve: Serve) -> None:
    server = serve(taking)
    notifier = telling(hook(server))
    notifier.step(NOW)
    waits(store)
    notifier._look(NOW + LOOK)
    notifier.stop.set()
    notifier.step(NOW + LOOK)
    assert server.requests == []
    telling(hook(server)).step(NOW + LOOK)
    assert told(server) == [("run.waiting", "r1")]


def test_what_a_dead_server_had_taken_is_sent_by_another(store: Store, telling: Telling, serve: Serve) -> None:
    server = serve(taking)
    notifier = telling(hook(server))
    notifier.step(NOW)
    waits(store)
    notifier._look(NOW + LOOK)
    assert store.outbox.take(["ops"], now=NOW + LOOK, lease=LEASE)  # and dies
    other = telling(hook(server))
    other.step(NOW + 2 * LOOK)
    assert server.requests == []
    other.step(NOW + LOOK + LEASE)
    assert told(server) == [("run.waiting", "r1")]


def test_it_says_when_it_wants_to_be_called_again(store: Store, telling: Telling, serve: Serve) -> None:
    server = serve(lambda received: Reply(503))
    notifier = telling(hook(server))
    assert notifier.step(NOW) == LOOK.total_seconds()
    assert notifier.step(NOW + SECOND) == LOOK.total_seconds() - 1
    waits(store)
    assert notifier.step(NOW + LOOK) == LOOK.total_seconds()
    assert notifier.step(NOW + 2 * LOOK) == LOOK.total_seconds()
    assert telling().step(NOW) == LOOK.total_seconds()


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_waiting_doubles_is_spread_and_has_an_end(chance: float) -> None:
    waits_for = [delay(tries, chance=chance) for tries in range(1, 100)]
    assert timedelta(seconds=7) < waits_for[0] < timedelta(seconds=13)
    assert max(waits_for) <= timedelta(hours=5)
    assert delay(1, chance=chance, asked=120) == timedelta(seconds=120)
    assert delay(1, chance=chance, asked=10**9) == timedelta(hours=12)
    assert delay(9, chance=chance, asked=0) == delay(9, chance=chance)


def test_a_letter_is_the_same_whoever_writes_it() -> None:
    to, run = channel("slack"), a_run(status=Status.WAITING, digest="d1")
    first = letter_of(to, Event.WAITING, run, None, public_url="https://lzr.example.com")
    again = letter_of(to, Event.WAITING, run, None, public_url="https://lzr.example.com")
    other = letter_of(to, Event.WAITING, run.model_copy(update={"digest": "d2"}), None, public_url="")
    assert first == again
    assert first.id != other.id
    assert first.id.startswith("msg_")


def test_secrets_are_nowhere_in_the_store_and_in_no_log(
    file_store: Store, directory: Path, speak: Speak, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    replies = [Reply(404, body=b"address-canary"), Reply(503), Reply(204)]
    server = serve(lambda received: replies.pop(0) if replies else Reply(204))
    speaking = speak()
    speaking.secrets["ADDRESS"] = f"{server.url}{PATH}"
    notifier = Notifier(
        channels=(channel("slack", name="chat"), hook(server), channel("teams", name="cards")),
        outbox=file_store.outbox,
        runs=file_store.runs,
        courier=speaking.courier,
        public_url="https://lzr.example.com",
        stop=threading.Event(),
    )
    notifier.step(NOW)
    waits(file_store)
    for later in (5, 60, 300):
        notifier.step(NOW + later * SECOND)
    assert len(server.requests) == 4
    with sqlite3.connect(directory / "store.db") as connection:
        kept = "\n".join(connection.iterdump())
    connection.close()
    for secret in ("address-canary", SIGNING, SIGNING.removeprefix("whsec_")):
        assert secret not in kept + caplog.text
