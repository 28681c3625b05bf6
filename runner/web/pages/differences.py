"""What changes in one thing, attribute by attribute, as rows to read: values short enough to see, long texts line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from runner.domain.harmless import plain, plain_lines
from runner.domain.plan import SENSITIVE, UNKNOWN, Action

Kind = Literal["added", "removed", "changed", "same"]

LONGEST = 2_000  # characters of a value that are shown before somebody asks for all of it
MOST = 200_000  # characters that are shown at all: a browser is no place for more
_MOST_LINES = 2_000  # of a text that is compared line by line
_AROUND = 3  # equal lines around different ones
_MOST_ROWS = 500


@dataclass(frozen=True)
class Line:
    """A line of a compared text; `sign` is `+`, `-`, a space, or `…` for lines that are left out."""

    sign: str
    text: str


@dataclass(frozen=True)
class Value:
    """A value as text; `cut` says how many characters are left out. `mark` is `masked`, `unknown` or empty."""

    text: str
    mark: str = ""
    cut: int = 0


@dataclass(frozen=True)
class Row:
    """One attribute. Either `lines`, or `before` and `after`, of which None means that there is none."""

    path: str
    kind: Kind
    before: Value | None
    after: Value | None
    lines: tuple[Line, ...] = ()
    replaces: bool = False


@dataclass(frozen=True)
class Rows:
    """Rows, and how many more there are."""

    shown: tuple[Row, ...]
    more: int


def rows(change: Mapping[str, Any], *, everything: bool = False, whole: bool = False) -> Rows:
    """The rows of a change (`ResourceChange` as JSON): what changes, or everything that is known of the thing. `whole` cuts nothing that a
    browser can show."""
    found = [_row(one, whole=whole) for one in change.get("attributes") or ()]
    if everything:
        told = {one["path"] for one in change.get("attributes") or ()}
        flat = dict(_flat(change.get("after") if change.get("after") is not None else change.get("before")))
        found += [
            Row(plain(path), "same", _value(value, whole=whole), _value(value, whole=whole))
            for path, value in flat.items()
            if not any(path == one or path.startswith(f"{one}.") for one in told)
        ]
    return Rows(tuple(found[:_MOST_ROWS]), max(0, len(found) - _MOST_ROWS))


@dataclass(frozen=True)
class Drifted:
    """A thing that somebody changed behind the runner's back."""

    address: str
    gone: bool
    rows: Rows


def drift(kept: Mapping[str, Any], *, most: int = 100) -> tuple[Drifted, ...]:
    """What a review says that somebody changed, `most` of it."""
    return tuple(
        Drifted(plain(one["address"]), one["action"] == Action.DELETE, rows(one))
        for one in (kept.get("drift") or ())[:most]
    )


def _row(attribute: Mapping[str, Any], *, whole: bool) -> Row:
    before, after = attribute.get("before"), attribute.get("after")
    kind: Kind = "added" if before is None else "removed" if after is None else "changed"
    replaces = bool(attribute.get("forces_replacement"))
    old, new = _text(before), _text(after)
    if kind == "changed" and ("\n" in old or "\n" in new) and SENSITIVE not in (before, after) and after != UNKNOWN:
        lines = compared(old, new)
        if lines is not None:
            return Row(plain(attribute["path"]), kind, None, None, lines, replaces)
    return Row(
        plain(attribute["path"]),
        kind,
        None if before is None else _value(before, whole=whole),
        None if after is None else _value(after, whole=whole),
        replaces=replaces,
    )


def compared(old: str, new: str) -> tuple[Line, ...] | None:
    """Two texts line by line, equal parts left out but for some lines around what differs; None where they are too long for that."""
    before, after = old[:MOST].split("\n"), new[:MOST].split("\n")
    if len(before) > _MOST_LINES or len(after) > _MOST_LINES or len(old) > MOST or len(new) > MOST:
        return None
    made: list[Line] = []
    matcher = SequenceMatcher(None, before, after)
    for group in matcher.get_grouped_opcodes(_AROUND):
        if made or group[0][1] > 0:
            made.append(Line("…", ""))
        for tag, a, b, c, d in group:
            if tag == "equal":
                made += _lines(" ", before[a:b])
            else:
                made += [*_lines("-", before[a:b]), *_lines("+", after[c:d])]
    return tuple(made)


def _lines(sign: str, texts: Sequence[str]) -> list[Line]:
    return [Line(sign, plain(text)[:LONGEST]) for text in texts]


def _value(value: Any, *, whole: bool) -> Value:
    if value == SENSITIVE:
        return Value("sensitive, not shown", "masked")
    if value == UNKNOWN:
        return Value("known after it is applied", "unknown")
    text = _text(value)
    most = MOST if whole else LONGEST
    return Value("\n".join(plain_lines(text[:most])), "", max(0, len(text) - most))


def _text(value: Any) -> str:
    """A text as it is, JSON in a text (as of policies) and everything else as indented JSON."""
    if isinstance(value, str):
        if value[:1] in "{[" and len(value) <= MOST:
            try:
                return json.dumps(json.loads(value), indent=2, ensure_ascii=False, sort_keys=True)
            except (ValueError, RecursionError):
                return value
        return value
    return json.dumps(value, indent=2 if isinstance(value, dict | list) else None, ensure_ascii=False, sort_keys=True)


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key in sorted(value):
            yield from _flat(value[key], f"{path}.{key}" if path else str(key))
    elif value is not None and path:
        yield path, value
