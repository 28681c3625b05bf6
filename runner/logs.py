"""The process's own log (not the journals of runs), and the one place where known secrets are taken out of text."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import quote, quote_plus

import structlog

HIDDEN = "(hidden)"
_SHORTEST = 6  # a shorter value would be found in ordinary words


class Redactor:
    """Replaces every known secret value, also as JSON and in an address it may be written. Values are only ever added."""

    def __init__(self) -> None:
        self._values: tuple[str, ...] = ()

    def add(self, value: str) -> None:
        """Hide this value from now on."""
        if len(value) < _SHORTEST:
            return
        once = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
        twice = {json.dumps(text)[1:-1] for text in once}  # JSON that quotes JSON
        forms = {value, quote(value, safe=""), quote_plus(value), *once, *twice}
        self._values = tuple(sorted({*self._values, *forms}, key=len, reverse=True))

    def __call__(self, text: str) -> str:
        """`text` without any known secret."""
        for value in self._values:
            if value in text:
                text = text.replace(value, HIDDEN)
        return text


def configure(level: str, redactor: Redactor) -> None:
    """Log to standard error: for people on a terminal, JSON lines otherwise."""
    on_terminal = sys.stderr.isatty()
    console = structlog.dev.ConsoleRenderer(
        exception_formatter=structlog.dev.plain_traceback
    )  # never with local variables
    renderer: list[Any] = [console if on_terminal else structlog.processors.JSONRenderer(), _last(redactor)]
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_traceback if on_terminal and level != "debug" else structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[*shared, *renderer], foreign_pre_chain=None))
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)


def _without_traceback(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A person at a terminal is told the error in words; LZR_LOG_LEVEL=debug shows where it came from."""
    event.pop("exc_info", None)
    return event


def _last(redactor: Redactor) -> Any:
    """As the last processor: what is written, tracebacks included, has no known secret in it."""
    return lambda _, __, text: redactor(text)
