"""The record of who did what: entries in one chain, each bound to the one before it by a MAC whose key is kept outside the store.

Whoever can write into the store but has not the key cannot change, leave out, add or reorder an entry without breaking the chain. Its end
is sealed with the key as well, so that cutting entries off shows. What they can do is put a whole older chain and its end back, from a copy
that they took then: that is seen only by who keeps a head elsewhere.
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
    """One thing that was done. `by` names who, with their id; `about` is the id of a run or a token, or a tenant's name; `tenant` is the
    tenant that it concerns, where it concerns one. `key` is the id of the key that `mac` was made with."""

    number: int
    at: datetime
    by: str
    what: str
    about: str
    tenant: str
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
            self.tenant,
            self.zone,
            self.details,
            self.key,
        ]
        return _bytes(told)

    def as_json(self) -> str:
        """One line of an export."""
        return _bytes(self.model_dump(mode="json")).decode()


class KnownHead(Frozen):
    """The number and the MAC of an entry that was the last one once. Kept elsewhere it shows what became of the chain since."""

    number: int
    mac: str

    def __str__(self) -> str:
        return f"{self.number}:{self.mac}"


class Head(KnownHead):
    """The end of the chain as the store has it; `seal` is its MAC under the key with the id `key`."""

    key: str
    seal: str = ""

    def content(self) -> bytes:
        """What the seal is made of, which no entry's content is alike."""
        return _bytes({"head": self.number, "mac": self.mac, "key": self.key})


class Wrong(Frozen):
    """Something that is wrong with a chain, first at this number. `code` is constant and kebab-case; `text` is a full sentence."""

    number: int
    code: str
    text: str


Mac = Callable[[str, bytes], str | None]
"""The MAC of a content under the key with this id; None where that key is not known."""


def verify(
    entries: Iterable[Entry], mac: Mac, *, head: Callable[[], Head | None], known: tuple[KnownHead, ...] = ()
) -> Iterator[Wrong]:
    """What is wrong with a chain that should end at `head` (asked after the last entry; None: it has lost it) and have had the `known`
    heads; nothing where it is whole. Looks at one entry at a time.

    Entries by a key that is not known are told and passed over. At the first that does not follow it stops: all after it are of no worth.
    """
    before, number = BEGINNING, 0
    unseen = sorted((one for one in known if one.number > 0), key=lambda one: one.number, reverse=True)
    unproved: Entry | None = None  # the first of those in a row
    for entry in entries:
        number += 1
        if entry.number != number:
            yield _out_of_place(entry.number, number)
            return
        expected = mac(entry.key, entry.content(before))
        if unproved is not None and (expected is not None or entry.key != unproved.key):
            yield _unproved(unproved, number - 1)
            unproved = None
        if expected is None:
            unproved = unproved or entry
        elif expected != entry.mac:
            yield Wrong(
                number=number, code="entry-changed", text=f"Entry {number} was changed, or the one before it was."
            )
            return
        before = entry.mac
        while unseen and unseen[-1].number == number:
            if unseen.pop().mac != before:
                text = f"Entry {number} is another one than when that head was kept."
                yield Wrong(number=number, code="another-chain", text=text)
                return
    if unproved is not None:
        yield _unproved(unproved, number)
    yield from _wrong_end(number, before, mac, head(), unseen)


def _wrong_end(number: int, before: str, mac: Mac, head: Head | None, unseen: list[KnownHead]) -> Iterator[Wrong]:
    after = number + 1
    if unseen:
        text = f"The chain was cut off after {number}: it had {unseen[0].number} entries when that head was kept."
        yield Wrong(number=after, code="cut-off", text=text)
    elif head is None:
        yield Wrong(number=after, code="head-missing", text=f"After entry {number} the chain's end is not there.")
    elif head.number > number:
        text = f"The chain was cut off after {number}: its end says that there are {head.number} entries."
        yield Wrong(number=after, code="cut-off", text=text)
    elif (head.number, head.mac) != (number, before):
        text = f"The chain's end is not that of entry {number}: it says {head.number}."
        yield Wrong(number=min(after, head.number + 1), code="head-changed", text=text)
    elif (seal := mac(head.key, head.content())) is None:
        text = f"The chain's end was sealed with the key {head.key}, which is not here."
        yield Wrong(number=after, code="key-unknown", text=text)
    elif seal != head.seal:
        text = f"The chain's end does not bear its seal: entries after {number} were cut off, or were at some time."
        yield Wrong(number=after, code="cut-off", text=text)


def _out_of_place(found: int, number: int) -> Wrong:
    if found < number:
        text = f"Entry {found} stands once more, or in another place, after entry {number - 1}."
        return Wrong(number=number, code="entry-out-of-place", text=text)
    return Wrong(number=number, code="entry-missing", text=f"Entry {number} is missing: {found} follows {number - 1}.")


def _unproved(first: Entry, last: int) -> Wrong:
    which = f"Entry {last} was" if first.number == last else f"Entries {first.number} to {last} were"
    text = f"{which} made with the key {first.key}, which is not here."
    return Wrong(number=first.number, code="key-unknown", text=text)


def _bytes(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
