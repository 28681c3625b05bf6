"""Cursors of lists: opaque to whoever gets them, and good as long as what they point at is there."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from runner.errors import InputError


def cursor(kind: str, place: Any) -> str:
    """A cursor at this place of a list of this kind."""
    return (
        urlsafe_b64encode(json.dumps([kind, place], separators=(",", ":"), ensure_ascii=False).encode())
        .decode()
        .rstrip("=")
    )


def place(kind: str, text: str) -> Any:
    """The place; InputError (`cursor-wrong`) where this is no cursor of such a list."""
    try:
        found = json.loads(urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)))
    except (ValueError, RecursionError):
        raise wrong_cursor() from None
    if not isinstance(found, list) or len(found) != 2 or found[0] != kind:
        raise wrong_cursor()
    return found[1]


def wrong_cursor() -> InputError:
    """The refusal of what is no cursor of a list, or one to a place that is there no longer."""
    return InputError(
        "This is no cursor of this list",
        code="cursor-wrong",
        detail="A cursor is the `next` of an answer of the same list, and good as long as what it points at is there.",
        hint="Begin without one.",
    )
