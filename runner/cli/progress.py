"""Watching runs go on: one line per finished step (or per tenant where there are many), and a moving line on a terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event
from time import monotonic

import click

from runner.cli.places import Place
from runner.cli.words import duration, plain
from runner.domain.events import Event as Entry
from runner.domain.events import Kind
from runner.domain.run import EXECUTING, Run, Status
from runner.errors import RemoteFailed
from runner.ports import Runs

_EACH = 0.3  # seconds between looks at the store
_EACH_OF_FEW = 0.04
_SHARE = 20  # of so many parts of the time, one is spent looking
_PATIENCE = 60.0  # seconds that the store may be away
PLANNING = frozenset({Status.PENDING, Status.PLANNING})
APPLYING = frozenset({Status.APPROVED, Status.APPLYING})
_GOING_ON = EXECUTING | {Status.PENDING}
FEW = 3  # up to so many runs are shown step by step
_MANY = 50  # more than this take a moment to start


@dataclass
class _Seen:
    run: Run
    after: int = 0
    step: str = ""
    began: float = field(default_factory=monotonic)


def follow(
    runs: Runs,
    followed: Sequence[Run],
    *,
    through: Collection[Status],
    quiet: bool,
    ended: Callable[[Run], None] = lambda run: None,
) -> list[Run]:
    """Watch while the runs are in one of the statuses `through`; the runs as they are then, in the order given.

    `ended` is called for each as soon as it is there. Nothing is printed when `quiet`.
    """
    seen = {run.id: _Seen(run, after=_last(runs, run)) for run in followed}
    left = dict(seen)
    live, steps = not quiet and sys.stderr.isatty(), not quiet and len(seen) <= FEW
    pause, answered = Event(), monotonic()
    while left:
        began, done = monotonic(), []
        try:
            for run_id, (status, newest) in runs.standing(list(left)).items():
                one = left[run_id]
                if newest > one.after and (live or steps):
                    _tell_events(runs, one, steps=steps, name=len(seen) > 1, live=live)
                if status not in through:
                    one.run = runs.get(run_id)
                    done.append(one)
            answered = monotonic()
        except RemoteFailed as away:  # what is at work goes on meanwhile
            if not away.temporary or monotonic() - answered > _PATIENCE:
                raise
        for one in done:
            del left[one.run.id]
            _wipe(live)
            ended(one.run)
        if left:
            _status_line(list(left.values()), total=len(seen), live=live)
            pause.wait(max(_EACH if len(seen) > FEW else _EACH_OF_FEW, _SHARE * (monotonic() - began)))
    _wipe(live)
    return [seen[run.id].run for run in followed]


def counted(names: Sequence[str], done: str) -> Iterator[str]:
    """The names one after the other; on a terminal a line says how many are done, where there are many."""
    live, told = len(names) > _MANY and sys.stderr.isatty(), monotonic()
    for number, name in enumerate(names):
        yield name
        if live and monotonic() - told > _EACH:
            told = monotonic()
            click.echo(f"\r\x1b[K  {number + 1} of {len(names)} {done}", nl=False, err=True)
    _wipe(live)


def log(place: Place, run: Run, *, keep_on: bool) -> Run:
    """Print the whole journal of a run as plain lines; with `keep_on` until the run ends or waits."""
    for event in place.journal(run, through=_GOING_ON if keep_on else ()):
        click.echo(_log_line(event.at, event.kind, event.data))
    return place.run(run.id)


def watched(
    place: Place,
    followed: Sequence[Run],
    *,
    through: Collection[Status],
    quiet: bool,
    ended: Callable[[Run], None] = lambda run: None,
) -> list[Run]:
    """The same as `follow`, one run after the other: the journal of each leads to where it comes to rest."""
    live, steps = not quiet and sys.stderr.isatty(), not quiet and len(followed) <= FEW
    done: list[Run] = []
    for run in followed:
        one = _Seen(run)
        after = 0 if run.status is Status.PENDING else max((e.seq for e in place.journal(run)), default=0)
        for event in place.journal(run, after=after, through=through):
            _tell_event(one, event, steps=steps, name=len(followed) > 1, live=live)
            _status_line([one], total=len(followed), live=live, done=len(done))
        _wipe(live)
        done.append(place.run(run.id))
        ended(done[-1])
    return done


def _log_line(at: datetime, kind: Kind, data: dict[str, object]) -> str:
    when = f"{at:%H:%M:%S}"
    match kind:
        case Kind.STEP_STARTED:
            return f"{when}  ▸ {plain(data['name'])}"
        case Kind.STEP_SUCCEEDED | Kind.STEP_FAILED:
            mark = "✓" if kind is Kind.STEP_SUCCEEDED else "✗"
            note = plain(data.get("note") or data.get("summary") or "")
            return f"{when}  {mark} {plain(data['name'])}  {duration(float(str(data['seconds'])))}  {note}".rstrip()
        case Kind.LOG:
            return f"{when}    {plain(data['text'])}"
        case Kind.WARNING:
            return f"{when}  ? {plain(data['text'])}"
        case Kind.STATUS:
            return f"{when}  = {plain(data.get('status', ''))}"
        case _:
            return f"{when}    {kind}: " + ", ".join(
                f"{key} {plain(value)}" for key, value in data.items() if value is not None
            )


def _last(runs: Runs, run: Run) -> int:
    """What was told before is not told again."""
    events = runs.events(run.id)
    return events[-1].seq if events and run.status is not Status.PENDING else 0


def _tell_events(runs: Runs, one: _Seen, *, steps: bool, name: bool, live: bool) -> None:
    for event in runs.events(one.run.id, after=one.after):
        _tell_event(one, event, steps=steps, name=name, live=live)


def _tell_event(one: _Seen, event: Entry, *, steps: bool, name: bool, live: bool) -> None:
    one.after = event.seq
    if event.kind is Kind.STEP_STARTED:
        one.step, one.began = str(event.data["name"]), monotonic()
    elif event.kind in (Kind.STEP_SUCCEEDED, Kind.STEP_FAILED):
        one.step = ""
        if steps:
            _wipe(live)
            ok = event.kind is Kind.STEP_SUCCEEDED
            mark = click.style("✓", fg="green") if ok else click.style("✗", fg="red")
            who = f"{plain(one.run.tenant)}  " if name else ""
            note = plain(event.data.get("note") or "")
            seconds = duration(float(event.data["seconds"]))
            click.echo(f"  {mark} {who}{plain(event.data['name']):<28} {seconds:>7}  {note}".rstrip(), err=True)


def _status_line(left: list[_Seen], *, total: int, live: bool, done: int | None = None) -> None:
    if not live:
        return
    at_work = [one for one in left if one.step]
    if total <= FEW:
        text = "   ".join(f"{one.step} … {duration(monotonic() - one.began)}" for one in at_work)
    else:
        text = f"{total - len(left) if done is None else done} of {total} done   " + "   ".join(
            f"{one.run.tenant}: {one.step}" for one in at_work[:3]
        )
    width = shutil.get_terminal_size().columns - 3
    click.echo(f"\r\x1b[K  {plain(text)[:width]}", nl=False, err=True)


def _wipe(live: bool) -> None:
    if live:
        click.echo("\r\x1b[K", nl=False, err=True)
