"""Any change of a chain is found, wherever it is kept, and however long it is."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from runner.domain.audit import BEGINNING, Entry, Head, verify

AT = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = st.text(max_size=5)
TOLD = st.lists(st.tuples(TEXT, TEXT, st.dictionaries(TEXT, st.integers(), max_size=2)), min_size=1, max_size=6)
WORDS = ("by", "what", "about", "tenant", "zone", "mac", "key")


def mac(key: str, content: bytes) -> str | None:
    return sha256(b"key" + content).hexdigest() if key == "k" else None


def signed(number: int, before: str, *, by: str = "", about: str = "", details: dict[str, int] | None = None) -> Entry:
    at = AT + timedelta(minutes=number)
    entry = Entry(
        number=number, at=at, by=by, what="w", about=about, tenant="", zone="", details=details or {}, key="k"
    )
    return entry.model_copy(update={"mac": mac("k", entry.content(before))})


def chain(told: list[tuple[str, str, dict[str, int]]]) -> tuple[list[Entry], Head]:
    made: list[Entry] = []
    for by, about, details in told:
        before = made[-1].mac if made else BEGINNING
        made.append(signed(len(made) + 1, before, by=by, about=about, details=details))
    return made, sealed(made[-1])


def sealed(last: Entry) -> Head:
    head = Head(number=last.number, mac=last.mac, key="k")
    return head.model_copy(update={"seal": mac("k", head.content())})


def changed(entry: Entry, data: st.DataObject) -> Entry:
    field = data.draw(st.sampled_from([*WORDS, "at", "details", "number"]))
    old = getattr(entry, field)
    new: object = {
        "at": entry.at + timedelta(microseconds=data.draw(st.integers(1, 10**9))),
        "details": {**entry.details, "more": 1, "n": "other"},
        "number": entry.number + data.draw(st.sampled_from([-1, 1, 7])),
    }.get(field, f"{old}{data.draw(st.text(min_size=1, max_size=3))}")
    return entry.model_copy(update={field: new})


@given(told=TOLD, data=st.data())
def test_any_single_change_of_any_entry_is_found(
    told: list[tuple[str, str, dict[str, int]]], data: st.DataObject
) -> None:
    entries, head = chain(told)
    assert list(verify(entries, mac, head=lambda: head)) == []
    which = data.draw(st.integers(0, len(entries) - 1))
    how = data.draw(st.sampled_from(["changed", "gone", "twice", "swapped", "cut"]))
    if how == "changed":
        entries[which] = changed(entries[which], data)
    elif how == "gone":
        del entries[which]
    elif how == "twice":
        entries.insert(which, entries[which])
    elif how == "swapped":
        other = data.draw(st.integers(0, len(entries) - 1).filter(lambda one: one != which or len(told) == 1))
        if other == which:
            return
        entries[which], entries[other] = entries[other], entries[which]
        which = min(which, other)
    else:
        head = head.model_copy(update={"number": which, "mac": entries[which - 1].mac if which else BEGINNING})
        del entries[which:]
    found = list(verify(entries, mac, head=lambda: head))
    assert found
    assert which + 1 <= found[0].number <= which + 2


@given(told=TOLD)
def test_what_was_written_reads_back_from_an_export_as_the_same(
    told: list[tuple[str, str, dict[str, int]]],
) -> None:
    entries, head = chain(told)
    again = [Entry.model_validate_json(entry.as_json()) for entry in entries]
    kept = Head.model_validate_json(head.model_dump_json())
    assert list(verify(again, mac, head=lambda: kept)) == []


def test_entries_in_another_form_of_the_same_moment_are_the_same() -> None:
    entries, head = chain([("a", "b", {})])
    elsewhere = entries[0].model_copy(update={"at": entries[0].at.astimezone(timezone(timedelta(hours=2)))})
    assert list(verify([elsewhere], mac, head=lambda: head)) == []


def test_several_heads_of_one_number_are_all_looked_at() -> None:
    entries, head = chain([("a", "b", {}), ("a", "b", {})])
    other = head.model_copy(update={"mac": "f" * 64})
    for known in ((head, other), (other, head)):
        assert [one.code for one in verify(entries, mac, head=lambda: head, known=known)] == ["another-chain"]


def test_an_empty_chain_needs_its_seal_as_well() -> None:
    begun = Head(number=0, mac=BEGINNING, key="k")
    good = begun.model_copy(update={"seal": mac("k", begun.content())})
    assert list(verify([], mac, head=lambda: good)) == []
    assert [one.code for one in verify([], mac, head=lambda: begun)] == ["cut-off"]
    assert [one.code for one in verify([], mac, head=lambda: None)] == ["head-missing"]


def test_a_long_chain_is_verified_in_little_memory() -> None:
    last: list[Entry] = []

    def entries() -> Iterator[Entry]:
        before = BEGINNING
        for number in range(1, 20_001):
            last[:] = [signed(number, before)]
            yield last[0]
            before = last[0].mac

    tracemalloc.start()
    assert list(verify(entries(), mac, head=lambda: sealed(last[0]))) == []
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1_000_000  # bytes; all of them would be twenty times as many
