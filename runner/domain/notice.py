"""What people are told about a run: when, and in which words.

A notice is made once, from a run as it stood, and goes to any number of channels. It holds names, counts and kinds of risks: never the
value of an attribute and never what somebody else's program said, for nobody signs in to read a chat. Its texts are harmless (see
`harmless`) and short; what a channel takes for markup is the channel's to undo.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from runner.domain.access import Frozen
from runner.domain.harmless import plain
from runner.domain.run import DRIFTED, Behavior, Run, Status

_LONGEST_NAME = 200
_LONGEST_TEXT = 500
_MOST_RISKS = 10


class Event(StrEnum):
    """What may be told of."""

    WAITING = "waiting"  # a review waits for a person
    FAILED = "failed"
    DRIFTED = "drifted"  # Azure is not as documented any more although the documents did not change
    APPLIED = "applied"
    EXPIRED = "expired"  # nobody decided in time


TOLD = frozenset({Status.WAITING, Status.FAILED, Status.APPLIED, Status.EXPIRED})
"""The statuses in which there is something to tell."""

_EVENTS = {
    Status.WAITING: (Event.WAITING,),
    Status.FAILED: (Event.FAILED,),
    Status.APPLIED: (Event.APPLIED,),
    Status.EXPIRED: (Event.EXPIRED,),
}

_TITLES = {
    Event.WAITING: "{} waits for a decision",
    Event.FAILED: "{} failed",
    Event.DRIFTED: "{} has drifted",
    Event.APPLIED: "{} was applied",
    Event.EXPIRED: "{}: nobody decided in time",
}


def events_of(run: Run) -> tuple[Event, ...]:
    """What there is to tell of a run as it stands, what says most first: a channel tells the first one that it is for.

    A run has drifted where planning found changes for documents that were applied before (its option `drifted`), whoever asked for it:
    a run by schedule that waits because of new documents waits and has not drifted. Of one that was applied by policy that is told too,
    after the fact. Runs of a meshStack are told of there.
    """
    if "meshstack" in run.options or run.status not in TOLD:
        return ()
    told = _EVENTS[run.status]
    if not run.options.get(DRIFTED):
        return told
    match run.status:
        case Status.WAITING:
            return (Event.DRIFTED, *told)
        case Status.APPLIED:
            return (*told, Event.DRIFTED)
        case _:
            return told


def occasion(event: Event, run: Run) -> str:
    """What a channel is told of once: a run may wait again after what was approved has moved, all else happens to it once."""
    return f"{event}:{run.digest}" if event is Event.WAITING else event.value


class Notice(Frozen):
    """What is told. `risks` are kinds of risks with how often, worst first; `url` is where people see the run."""

    event: Event
    run: str
    tenant: str
    landing_zone: str
    workspace: str
    behavior: Behavior
    at: datetime
    asked_by: str
    reason: str = ""
    counts: dict[str, int] = {}
    risks: tuple[str, ...] = ()
    warnings: int = 0
    failure: str = ""
    step: str = ""
    url: str = ""
    test: bool = False

    @property
    def title(self) -> str:
        """What happened, in one line."""
        title = _TITLES[self.event].format(name(self.tenant))
        return f"Test: {title}" if self.test else title

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """The rest in a few words each, with what it is about."""
        told = (
            ("Landing zone", name(self.landing_zone)),
            ("Workspace", name(self.workspace)),
            ("Leaves", "the tenant is to be deleted" if self.behavior is Behavior.DESTROY else ""),
            ("Failed", _short(f"{self.step}: {self.failure}" if self.step else self.failure, _LONGEST_TEXT)),
            ("Changes", counted(self.counts)),
            ("Risks", ", ".join(self.risks)),
            ("Warnings", str(self.warnings) if self.warnings else ""),
            ("Asked by", name(self.asked_by)),
            ("Reason", _short(self.reason, _LONGEST_TEXT)),
            ("Run", name(self.run)),
            ("At", f"{self.at:%Y-%m-%d %H:%M} UTC"),
        )
        return tuple((what, words) for what, words in told if words)

    @property
    def text(self) -> str:
        """All of it in plain words, line by line."""
        lines = [self.title, "", *(f"{what}: {words}" for what, words in self.facts)]
        return "\n".join([*lines, "", self.url] if self.url else lines)


def notice_of(event: Event, run: Run, review: Mapping[str, Any] | None, *, public_url: str) -> Notice:
    """What there is to tell of a run that stands so, with the review that was kept with it."""
    kinds = Counter(str(risk.get("code", "")) for risk in (review or {}).get("risks", ()))
    return Notice(
        event=event,
        run=run.id,
        tenant=run.tenant,
        landing_zone=run.landing_zone,
        workspace=run.workspace,
        behavior=run.behavior,
        at=run.updated,
        asked_by=run.requested_by,
        reason=_short(run.reason, _LONGEST_TEXT),
        counts={key: number for key, number in run.counts.items() if number},
        risks=tuple(_kind(code, number) for code, number in kinds.items())[:_MOST_RISKS],
        warnings=run.warnings,
        failure=f"{run.failure.summary} ({run.failure.code})" if run.failure is not None else "",
        step=run.failure.step if run.failure is not None else "",
        url=f"{public_url}/runs/{run.id}" if public_url else "",
    )


def sample(now: datetime, *, public_url: str) -> Notice:
    """A notice to try a channel with."""
    return Notice(
        event=Event.WAITING,
        run="00000000",
        tenant="example.tenant",
        landing_zone="example",
        workspace="example",
        behavior=Behavior.APPLY,
        at=now,
        asked_by="lzr notify test",
        reason="to see whether this channel works",
        counts={"add": 8, "change": 1, "members": 2},
        risks=("gives highest rights",),
        url=public_url,
        test=True,
    )


_WORDS = {
    "add": "to add",
    "change": "to change",
    "destroy": "to destroy",
    "import": "to take over",
    "forget": "to forget",
    "members": "members",
    "removals": "members to remove",
    "guests": "guests to invite",
    "steps": "steps of the subscription",
}


def counted(counts: Mapping[str, int]) -> str:
    """A review's counts in words; what is zero is not told."""
    return ", ".join(f"{counts[key]} {words}" for key, words in _WORDS.items() if counts.get(key))


def name(text: str) -> str:
    """A name as it may be shown anywhere."""
    return _short(text, _LONGEST_NAME)


def _kind(code: str, number: int) -> str:
    words = name(code).replace("-", " ")
    return f"{words} ({number})" if number > 1 else words


def _short(text: str, longest: int) -> str:
    shown = plain(text[:longest])
    return shown if len(text) <= longest and len(shown) <= longest else shown[: longest - 1] + "…"
