"""Text from outside as people may be shown it."""

from __future__ import annotations

import json
import unicodedata

_MOVING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def plain(text: object) -> str:
    """Printable text on one line; anything that could move the cursor or turn the reading direction is shown as its code."""
    shown = str(text)
    if shown.isprintable():  # as nearly all is; texts may be megabytes
        return shown
    return "".join(char if char.isprintable() else _harmless(char) for char in shown)


def plain_lines(text: str) -> list[str]:
    """The lines of a text, each printable."""
    return [plain(line) for line in text.split("\n")]


def written(value: object) -> str:
    """A value of any shape on one line, likewise: text as it is, all else as JSON."""
    return plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _harmless(char: str) -> str:
    if char in "\n\r\t":
        return {"\n": "⏎", "\r": "", "\t": " "}[char]
    return f"<U+{ord(char):04X}>" if unicodedata.category(char) in _MOVING else char
