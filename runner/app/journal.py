"""A run's journal while the run goes on: steps with their durations, log lines, intents and results, all redacted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any

from runner.domain.events import Kind
from runner.domain.run import Failure
from runner.errors import RemoteFailed, RunnerError
from runner.ports import Runs

_LONGEST_LINE = 20_000
_KEPT_LINES = 1_000
_AT_ONCE = 500


@dataclass
class RunJournal:
    """Writes to the store as things happen, so that page, command line and API read the same."""

    runs: Runs
    run: str
    now: Callable[[], datetime]
    redact: Callable[[str], str]
    current: list[str] = field(default_factory=list)
    unsaid: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[str], None]]:
        started = monotonic()
        notes: list[str] = []
        self.current.append(name)
        self._append(Kind.STEP_STARTED, name=name)
        try:
            yield notes.append
        except BaseException as error:
            failure = failure_of(error, redact=self.redact, step=name)
            self._append(Kind.STEP_FAILED, name=name, seconds=_seconds(started), **failure.model_dump(exclude={"step"}))
            raise
        else:
            self._append(Kind.STEP_SUCCEEDED, name=name, seconds=_seconds(started), note="; ".join(notes))
        finally:
            self.current.pop()

    def log(self, level: str, text: str) -> None:
        self.log_all([(level, text)])

    def log_all(self, lines: Sequence[tuple[str, str]]) -> None:
        """A text of several lines is an entry for each, and is redacted as one: a secret may have several lines too. While the store is
        away for a moment they are kept, and follow with later ones: it is no reason to stop an engine."""
        step = self.current[-1] if self.current else ""
        for first in range(0, len(lines), _AT_ONCE):
            for level, text in lines[first : first + _AT_ONCE]:
                said = self.redact(text)[:_LONGEST_LINE].rstrip("\n").split("\n")
                self.unsaid.extend({"step": step, "level": self.redact(level), "text": line} for line in said)
            try:
                self.runs.append_log(self.run, list(self.unsaid), now=self.now())
                self.unsaid.clear()
            except RemoteFailed as away:
                if not away.temporary:
                    raise

    def warn(self, code: str, text: str) -> None:
        self._append(Kind.WARNING, code=code, text=text)

    def intent(self, what: str) -> None:
        self._append(Kind.INTENT, what=what)

    def done(self, what: str, result: Any = None) -> None:
        self._append(Kind.DONE, what=what, result=result)

    def intended(self, what: str) -> bool:
        return any(e.kind is Kind.INTENT and e.data.get("what") == what for e in self.runs.events(self.run))

    def result(self, what: str) -> Any | None:
        found = [
            e.data.get("result")
            for e in self.runs.events(self.run)
            if e.kind is Kind.DONE and e.data.get("what") == what
        ]
        return found[-1] if found else None

    def output(self, name: str, value: Any) -> None:
        self._append(Kind.OUTPUT, name=name, value=value)

    def _append(self, kind: Kind, **data: Any) -> None:
        self.runs.append(self.run, kind, redacted(data, self.redact), now=self.now())


def redacted(value: Any, redact: Callable[[str], str]) -> Any:
    """`value` with every text in it redacted, keys included."""
    match value:
        case dict():
            return {redact(str(key)): redacted(part, redact) for key, part in value.items()}
        case list() | tuple():
            return [redacted(part, redact) for part in value]
        case None | bool() | int() | float():
            return value
        case _:
            return redact(str(value))


def failure_of(error: BaseException, *, redact: Callable[[str], str], step: str = "") -> Failure:
    """What is recorded about an error, redacted: it may quote an answer that quotes what was sent. Of a bug only that it is one."""
    if isinstance(error, RunnerError):
        return Failure(
            family=error.family,
            code=error.code,
            summary=error.summary,
            detail=redact(error.detail),
            hint=redact(error.hint),
            step=step,
        )
    return Failure(
        family="internal-error",
        code="internal-error",
        summary="The runner has a bug",
        detail=f"{type(error).__name__} was raised; the log has the traceback.",
        hint="Please report it with the log.",
        step=step,
    )


def _seconds(started: float) -> float:
    return round(monotonic() - started, 3)
