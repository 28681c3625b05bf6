"""The process's own log (not the journals of runs), and the one place where known secrets are taken out of text.

The standard library's logging and not structlog: that one imports rich where it finds it, 11 MB in a process that has to stay small.
"""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from threading import Lock
from typing import Any
from urllib.parse import quote, quote_plus

NAME = "lzr"
HIDDEN = "(hidden)"
_SHORTEST = 6  # a shorter value would be found in ordinary words


class Redactor:
    """Replaces every known secret value, also as JSON and in an address it may be written. A value stays known as often as it was added
    and not dropped. Safe to use from several threads."""

    def __init__(self) -> None:
        self._values: tuple[str, ...] = ()
        self._known: Counter[str] = Counter()
        self._changing = Lock()

    def add(self, value: str) -> None:
        """Hide this value from now on."""
        if len(value) >= _SHORTEST:
            with self._changing:
                self._known[value] += 1
                if self._known[value] == 1:
                    self._values = _longest_first({*self._values, *_forms(value)})

    def drop(self, value: str) -> None:
        """It is no secret of anybody any more, as far as the one who added it knows."""
        with self._changing:
            if self._known[value] > 1:
                self._known[value] -= 1
            elif self._known.pop(value, 0):
                self._values = _longest_first({form for known in self._known for form in _forms(known)})

    def __call__(self, text: str) -> str:
        """`text` without any known secret."""
        for value in self._values:
            if value in text:
                text = text.replace(value, HIDDEN)
        return text


def _forms(value: str) -> set[str]:
    """The ways in which a value may be written."""
    once = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    twice = {json.dumps(text)[1:-1] for text in once}  # JSON that quotes JSON
    return {value, quote(value, safe=""), quote_plus(value), *once, *twice}


def _longest_first(forms: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(forms, key=len, reverse=True))


def configure(level: str, redactor: Redactor) -> None:
    """Log to standard error: words for people on a terminal, JSON lines otherwise. No known secret gets through."""
    on_terminal = sys.stderr.isatty()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Words(redactor, tracebacks=level == "debug") if on_terminal else JsonLines(redactor))
    own = logging.getLogger(NAME)
    own.handlers, own.propagate = [handler], False
    own.setLevel(level.upper())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


class JsonLines(logging.Formatter):
    """One JSON object per event, for machines; tracebacks without local variables."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return self._redactor(json.dumps(told, default=str))


class Words(logging.Formatter):
    """A line per event. A person at a terminal is told errors in words elsewhere; a traceback is only for those who ask."""

    def __init__(self, redactor: Redactor, *, tracebacks: bool) -> None:
        super().__init__()
        self._redactor = redactor
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        facts = "  ".join(f"{name}={value}" for name, value in _facts(record).items())
        text = f"{record.levelname.lower()}: {record.getMessage()}  {facts}".rstrip()
        if record.exc_info and self._tracebacks:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        return self._redactor(text)


_ORDINARY = frozenset(vars(logging.makeLogRecord({})))


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(record).items()
        if name not in _ORDINARY and name not in ("message", "taskName")
    }
