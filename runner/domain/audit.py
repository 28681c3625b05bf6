"""The record of who did what: entries in one chain, each bound to the one before it by a MAC whose key is kept outside the store.

Whoever can write into the store but has not the key cannot change, leave out, add or reorder an entry without breaking the chain. What
they can do is cut off its end: that is seen only by who keeps a head elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from runner.domain.access import Frozen

BEGINNING = ""
"""The MAC before the first entry."""


class Entry(Frozen):
    """One thing that was done. `by` names who, with their id; `about` is the id of a run, a tenant's name, or a token's id. `key` is the
    id of the key that `mac` was made with; `mac` is empty until it is made."""

    number: int
    at: datetime
    by: str
    what: str
    about: str
    zone: str
    details: dict[str, Any]
    key: str
    mac: str = ""

    def content(self, before: str) -> bytes:
        """What the MAC is made of: the entry and the MAC before it, in one form however they are kept."""
        told = [
            before,
            self.number,
            self.at.astimezone(UTC).isoformat(timespec="microseconds"),
            self.by,
            self.what,
            self.about,
            self.zone,
            self.details,
            self.key,
        ]
        return json.dumps(told, sort_keys=True, separators=(",", ":")).encode()

    def as_json(self) -> str:
        """One line of an export."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


class Head(Frozen):
    """The end of the chain. Kept elsewhere it shows whether the chain was cut off since."""

    number: int
    mac: str

    def __str__(self) -> str:
        return f"{self.number}:{self.mac}"


class Wrong(Frozen):
    """The first thing that is wrong with a chain: at this number, in words."""

    number: int
    text: str


Mac = Callable[[str, bytes], str | None]
"""The MAC of a content under the key with this id; None where that key is not known."""


def verify(entries: Iterable[Entry], mac: Mac, *, head: Head | None, known: tuple[Head, ...] = ()) -> Iterator[Wrong]:
    """What is wrong with a chain that should end at `head` and have had the `known` heads; nothing where it is whole. Looks at one entry at
    a time, and stops at the first that does not follow: all after it are of no worth."""
    before, number = BEGINNING, 0
    unseen = {one.number: one for one in known}
    for entry in entries:
        number += 1
        if entry.number != number:
            yield Wrong(number=number, text=f"entry {number} is missing: {entry.number} follows {number - 1}")
            return
        expected = mac(entry.key, entry.content(before))
        if expected is None:
            yield Wrong(number=number, text=f"it was made with the key {entry.key}, which is not here")
            return
        if expected != entry.mac:
            yield Wrong(number=number, text="it, or what stood before it, was changed")
            return
        before = entry.mac
        if (one := unseen.pop(number, None)) is not None and one.mac != before:
            yield Wrong(number=number, text="it is another one than when that head was kept")
            return
    for one in sorted(unseen.values(), key=lambda one: one.number):
        if one.number > number:
            yield Wrong(
                number=number + 1, text=f"the chain was cut off: it had {one.number} entries when that head was kept"
            )
            return
    if head is not None and (head.number, head.mac) != (number, before):
        yield Wrong(
            number=number + 1, text=f"the chain ends at {number}, and the store says that it ends at {head.number}"
        )
