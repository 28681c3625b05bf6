"""Telling people what happens to runs: looking for it, and bringing it to where channels lead, whatever dies meanwhile.

Runs are looked at by when they last changed. Because a transaction may end later than another one that began after it, and clocks of
machines differ, each look goes back a little; what was told before is known by channel, run and occasion. Nothing here sleeps, and
nothing is kept in memory that must not be lost: any number of servers of a store may do this.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from time import monotonic
from typing import Any

from runner.domain.channel import Channel
from runner.domain.notice import Event, events_of, notice_of, occasion
from runner.domain.run import Run
from runner.errors import Canceled, Refused, RemoteFailed, RunnerError
from runner.ports import Courier, Letter, NotTaken, Outbox, Runs

log = logging.getLogger("lzr")

LOOK = timedelta(seconds=5)
BACK = timedelta(minutes=10)
"""How far a look goes back: longer than any transaction lasts and clocks are apart."""
OLDEST = timedelta(days=3)
"""What happened longer ago is told no more: servers were down, and people have looked themselves."""
LEASE = timedelta(minutes=5)
"""How long a letter is one server's; sending takes seconds."""
KEPT = timedelta(days=90)
TRIES = 15
"""So often a letter is sent, which takes about a day."""

_FIRST = timedelta(seconds=10)
_LONGEST = timedelta(hours=4)
_MOST = timedelta(hours=12)  # that a receiver may ask to wait
_BUSY = 10.0  # seconds that one step sends at most, so that its caller may stop
_AT_ONCE = 200
_PRUNE = timedelta(hours=1)


@dataclass
class Notifier:
    """What one server does about channels. `step` is called by one thread, which waits in between as long as it says."""

    channels: Sequence[Channel]
    outbox: Outbox
    runs: Runs
    courier: Courier
    public_url: str
    stop: threading.Event
    chance: Callable[[], float] = random.random
    _told: dict[str, tuple[object, ...]] = field(default_factory=dict)
    _paused: dict[str, datetime] = field(default_factory=dict)
    _next_look: datetime | None = None
    _next_prune: datetime | None = None

    def step(self, now: datetime) -> float:
        """Look for what is to be told, and send what is due; the seconds after which to be called again. RunnerError where the store cannot
        be reached: nothing is lost, call again later. Ends soon after `stop` is set."""
        if not self.channels:
            return LOOK.total_seconds()
        if self._next_look is None or now >= self._next_look:
            self._look(now)
            self._next_look = now + LOOK
        if self._next_prune is None or now >= self._next_prune:
            self.outbox.prune(before=now - KEPT)
            self._next_prune = now + _PRUNE
        more = self._send(now)
        return 0.0 if more else self._until_next(now)

    def _look(self, now: datetime) -> None:
        begun = self.outbox.begun([channel.name for channel in self.channels], now=now)
        seen = self.outbox.seen(now=now)
        since, after = max(min(seen, now) - BACK, now - OLDEST), ""
        told: dict[str, tuple[object, ...]] = {}
        while not self.stop.is_set():
            found = self.outbox.changed(since=since, after=after, limit=_AT_ONCE)
            fresh = [run for run in found if self._told.get(run.id) != _standing(run)]
            letters = [letter for run in fresh for letter in self._letters(run, begun)]
            newest = min(found[-1].updated, now) if found else seen
            if letters or newest > seen:
                self.outbox.put(letters, seen=newest, now=now)
                seen = max(seen, newest)
            told.update({run.id: _standing(run) for run in found})
            if len(found) < _AT_ONCE:
                self._told = told
                return
            since, after = found[-1].updated, found[-1].id

    def _letters(self, run: Run, begun: dict[str, datetime]) -> Iterator[Letter]:
        events = events_of(run)
        chosen = [
            (channel, event)
            for channel in self.channels
            if (event := channel.event_of(run, events)) is not None and run.updated >= begun[channel.name]
        ]
        review = self.runs.review(run.id) if chosen else None
        for channel, event in chosen:
            yield letter_of(channel, event, run, review, public_url=self.public_url)

    def _send(self, now: datetime) -> bool:
        """Send what is due, until it has taken long enough; whether there may be more."""
        deadline = monotonic() + _BUSY
        while not self.stop.is_set():
            open_ones = {
                channel.name: channel
                for channel in self.channels
                if (until := self._paused.get(channel.name)) is None or until <= now
            }
            letter = self.outbox.take(open_ones, now=now, lease=LEASE) if open_ones else None
            if letter is None:
                return False
            self._bring(letter, open_ones[letter.channel], now)
            if monotonic() > deadline:
                return True
        return False

    def _bring(self, letter: Letter, channel: Channel, now: datetime) -> None:
        try:
            self.courier.send(channel, letter.id, letter.notice, now=now, stop=self.stop)
        except Canceled:
            self.outbox.put_off(letter, until=now, code="", detail="")
        except RunnerError as error:
            self._not_brought(letter, error, now)
        except Exception as error:  # a bug of one letter must not hold up the others
            log.error("notice_failed", exc_info=error, extra={"channel": letter.channel, "run": letter.notice.run})
            detail = f"{type(error).__name__}; the server's log shows where."
            self.outbox.bury(letter, now=now, code="internal-error", detail=detail)
        else:
            self.outbox.sent(letter, now=now)
            log.info("notice_sent", extra={"channel": letter.channel, "run": letter.notice.run, "letter": letter.id})

    def _not_brought(self, letter: Letter, error: RunnerError, now: datetime) -> None:
        told = {"channel": letter.channel, "run": letter.notice.run, "code": error.code, "detail": error.detail}
        hopeless = isinstance(error, Refused) or (isinstance(error, RemoteFailed) and not error.temporary)
        if hopeless or letter.tries >= TRIES:
            log.warning("notice_given_up", extra=told)
            self.outbox.bury(letter, now=now, code=error.code, detail=error.detail)
            return
        log.info("notice_put_off", extra=told)
        asked = error.after if isinstance(error, NotTaken) else None
        wait = delay(letter.tries, chance=self.chance(), asked=asked)
        self.outbox.put_off(letter, until=now + wait, code=error.code, detail=error.detail)
        # the channel's other letters would fare alike: they wait as long as a first try would
        self._paused[letter.channel] = now + (wait if asked is not None else min(wait, _FIRST))

    def _until_next(self, now: datetime) -> float:
        open_ones = [channel.name for channel in self.channels]
        due = self.outbox.due(open_ones)
        looks = (self._next_look or now) - now
        # a letter of a channel that pauses is due and cannot be sent: the next look is soon enough for it
        waits = due - now if due is not None and due > now else looks
        return max(0.0, min(looks, waits).total_seconds())


def letter_of(channel: Channel, event: Event, run: Run, review: Mapping[str, Any] | None, *, public_url: str) -> Letter:
    """The letter that tells a channel of a run: always the same one for the same occasion."""
    what = occasion(event, run)
    name = sha256("\0".join((channel.name, run.id, what)).encode("utf-8", "surrogatepass")).hexdigest()[:32]
    notice = notice_of(event, run, review, public_url=public_url)
    return Letter(id=f"msg_{name}", channel=channel.name, occasion=what, notice=notice)


def delay(tries: int, *, chance: float, asked: float | None = None) -> timedelta:
    """How long to wait after so many tries: twice as long each time, spread over half of it by chance (0 to 1); never less than the
    receiver asks for, within reason."""
    doubled: timedelta = min(_FIRST * 2 ** min(tries - 1, 30), _LONGEST)
    wait = doubled * (0.75 + chance / 2)
    return max(wait, min(timedelta(seconds=asked), _MOST)) if asked is not None else wait


def _standing(run: Run) -> tuple[object, ...]:
    return run.updated, run.status, run.digest
