"""What changes in a thing, as rows: nothing is lost, nothing is more than text, and however long it is it is soon there."""

from __future__ import annotations

import json
import time
import unicodedata
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runner.domain.plan import SENSITIVE, UNKNOWN
from runner.web.pages.differences import LONGEST, MOST, Row, compared, drift, rows
from tests.web.filling import thing

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def of(before: Any, after: Any, **options: Any) -> tuple[Row, ...]:
    marks = {name: options.pop(name) for name in list(options) if name.startswith(("before_", "after_"))}
    change = thing("x", ["update"], before=before, after=after, **marks)
    return rows(change.model_dump(mode="json"), **options).shown


def test_an_attribute_is_added_removed_or_changed() -> None:
    found = of({"a": 1, "b": "x", "c": True}, {"b": "y", "c": True, "d": None, "e": [1]})
    told = [(row.path, row.kind, row.before and row.before.text, row.after and row.after.text) for row in found]
    assert told == [("a", "removed", "1", None), ("b", "changed", "x", "y"), ("e", "added", None, "[\n  1\n]")]


def test_what_is_secret_or_not_known_yet_is_said_to_be_so() -> None:
    found = of(
        {"password": "old", "id": "1"},
        {"password": "new", "id": None},
        before_sensitive={"password": True},
        after_sensitive={"password": True},
        after_unknown={"id": True},
    )
    assert [(row.path, row.after and row.after.mark) for row in found] == [("id", "unknown"), ("password", "masked")]
    assert "new" not in repr(found)


def test_a_masked_text_of_many_lines_is_not_compared_line_by_line() -> None:
    (row,) = rows({"attributes": [{"path": "key", "before": "a\nb", "after": SENSITIVE}]}).shown
    assert row.lines == ()
    (row,) = rows({"attributes": [{"path": "key", "before": "a\nb", "after": UNKNOWN}]}).shown
    assert row.after is not None
    assert row.after.mark == "unknown"


def test_everything_shows_what_stays_as_it_is_once() -> None:
    found = of({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 9, "c": 2}, "d": 3}, everything=True)
    assert [(row.path, row.kind) for row in found] == [("a.b", "changed"), ("a.c", "same"), ("d", "same")]


def test_a_policy_in_a_text_is_compared_as_what_it_says() -> None:
    before, after = {"if": {"a": 1}, "then": "audit"}, {"then": "deny", "if": {"a": 1}}
    (row,) = of({"policy": json.dumps(before)}, {"policy": json.dumps(after)})
    assert [line.text.strip() for line in row.lines if line.sign in "+-"] == ['"then": "audit"', '"then": "deny"']


def test_equal_lines_far_from_a_difference_are_left_out() -> None:
    text = [f"line {number}" for number in range(100)]
    lines = compared("\n".join(text), "\n".join([*text[:50], "other", *text[51:]]))
    assert lines is not None
    assert [line.sign for line in lines] == ["…", " ", " ", " ", "-", "+", " ", " ", " "]


def test_a_long_text_is_cut_and_shown_when_it_is_asked_for() -> None:
    (row,) = of({"a": "x" * 10_000}, {"a": "y" * 10_000})
    assert row.before is not None
    assert (len(row.before.text), row.before.cut) == (LONGEST, 10_000 - LONGEST)
    (row,) = of({"a": "x" * 10_000}, {"a": "y" * 10_000}, whole=True)
    assert row.before is not None
    assert (len(row.before.text), row.before.cut) == (10_000, 0)
    (row,) = of({"a": "x" * 5_000_000}, {"a": "y"}, whole=True)
    assert row.before is not None
    assert len(row.before.text) == MOST


def test_texts_made_to_be_slow_to_compare_are_soon_compared() -> None:
    began = time.monotonic()
    compared("a\n" * 1_900, "a\n" * 1_800 + "b")
    compared("a\nb\n" * 900, "b\na\n" * 900)
    compared("\n".join(map(str, range(1_900))), "\n".join(map(str, reversed(range(1_900)))))
    assert compared("a\n" * 2_500_000, "a\n" * 2_500_000 + "b") is None
    assert time.monotonic() - began < 20  # on a busy machine; it takes less than one


def test_of_very_many_attributes_the_first_are_shown_and_the_rest_counted() -> None:
    change = {"attributes": [{"path": str(number), "before": None, "after": 1} for number in range(700)]}
    found = rows(change)
    assert (len(found.shown), found.more) == (500, 200)


def test_drift_says_what_is_gone() -> None:
    gone = thing("x", ["delete"], before={"a": 1}).model_dump(mode="json")
    (found,) = drift({"drift": [gone]})
    assert (found.address, found.gone) == ("module.x.azapi_resource.this", True)


@given(before=JSON, after=JSON)
def test_whatever_a_plan_holds_is_shown_as_text_that_moves_nothing(before: Any, after: Any) -> None:
    for row in rows(
        {"attributes": [{"path": "p\u202e", "before": before, "after": after}], "after": after}, everything=True
    ).shown:
        texts = [row.path, *(line.text for line in row.lines)]
        texts += [value.text for value in (row.before, row.after) if value is not None]
        for text in texts:
            assert all(unicodedata.category(char) not in ("Cc", "Cf", "Cs") for char in text.replace("\n", ""))


@given(old=st.lists(st.sampled_from("abc")), new=st.lists(st.sampled_from("abc")))
def test_the_lines_of_a_comparison_are_those_of_both_texts(old: list[str], new: list[str]) -> None:
    lines = compared("\n".join(old), "\n".join(new))
    assert lines is not None
    if not any(line.sign == "…" for line in lines) and old != new:
        assert [line.text for line in lines if line.sign in " -"] == (old or [""])[
            : len([x for x in lines if x.sign in " -"])
        ]
        assert sum(line.sign == "-" for line in lines) - sum(line.sign == "+" for line in lines) == len(
            old or [""]
        ) - len(new or [""])
