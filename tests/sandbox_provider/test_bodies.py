"""What counts as drift, how bodies are combined, what a reply exports."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.sandbox.provider.bodies import (
    Tolerance,
    exported,
    invalid_expressions,
    merged,
    overridden,
    shaped,
    without_nulls,
)

STRICT = Tolerance(missing=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("wanted", "found", "tolerance", "result"),
    [
        pytest.param({"a": 1}, {"a": 1, "b": 2}, Tolerance(), {"a": 1}, id="a key that was not asked for is invisible"),
        pytest.param({"a": 1}, {"a": 2}, Tolerance(), {"a": 2}, id="another value is drift"),
        pytest.param({"a": "x"}, {}, Tolerance(), {"a": "x"}, id="a missing key is no drift by default"),
        pytest.param({"a": "x"}, {"a": None}, Tolerance(), {"a": "x"}, id="a null is no drift by default"),
        pytest.param({"a": "x"}, {}, STRICT, {}, id="a missing key is drift when asked"),
        pytest.param({"a": ""}, {}, STRICT, {"a": ""}, id="a missing key that was empty is never drift"),
        pytest.param({"a": "Owner"}, {"a": "owner"}, Tolerance(), {"a": "owner"}, id="casing is drift by default"),
        pytest.param(
            {"a": "Owner"}, {"a": "owner"}, Tolerance(casing=True), {"a": "Owner"}, id="casing can be ignored"
        ),
        pytest.param({"a": "secret"}, {"a": "******"}, Tolerance(), {"a": "secret"}, id="a masked value is no drift"),
        pytest.param(
            {"a": "secret"}, {"a": "******"}, STRICT, {"a": "******"}, id="a masked value is drift when asked"
        ),
        pytest.param(
            {"a": None}, {"a": 1}, Tolerance(null=True), {"a": None}, id="a null of the configuration can be ignored"
        ),
        pytest.param(
            {"a": None}, {"a": 1}, Tolerance(), {"a": 1}, id="a null of the configuration is compared by default"
        ),
        pytest.param({"a": True}, {"a": 1}, Tolerance(), {"a": 1}, id="true is not one"),
        pytest.param([1, 2], [1, 3], Tolerance(), [1, 3], id="lists are compared by position"),
        pytest.param([1, 2], [1], Tolerance(), [1], id="a shorter list is drift"),
        pytest.param(
            [{"name": "a", "v": 1}, {"name": "b", "v": 2}],
            [{"name": "b", "v": 2, "x": 0}, {"name": "a", "v": 1, "x": 0}],
            Tolerance(),
            [{"name": "a", "v": 1}, {"name": "b", "v": 2}],
            id="items with a name are matched by it",
        ),
        pytest.param(
            {"rules": [{"key": "a", "v": 1}]},
            {"rules": [{"key": "z", "v": 9}, {"key": "a", "v": 1}]},
            Tolerance(identifiers={"rules": "key"}, partial_lists=frozenset({"rules"})),
            {"rules": [{"key": "a", "v": 1}]},
            id="other items of a list can be ignored",
        ),
        pytest.param(
            [{"name": "a"}],
            [{"name": "a"}, {"name": "b"}],
            Tolerance(),
            [{"name": "a"}, {"name": "b"}],
            id="an item more is drift",
        ),
    ],
)
def test_drift(wanted: Any, found: Any, tolerance: Tolerance, result: Any) -> None:
    assert shaped(wanted, found, tolerance) == result


@given(JSON)
def test_what_comes_back_as_it_was_sent_is_no_drift(body: Any) -> None:
    assert shaped(body, body, Tolerance()) == body
    assert shaped(body, body, STRICT) == body


@given(JSON, JSON)
def test_looking_twice_at_the_same_reply_finds_no_new_drift(wanted: Any, found: Any) -> None:
    once = shaped(wanted, found, Tolerance())
    assert shaped(once, found, Tolerance()) == once


@given(JSON)
def test_merging_a_body_into_itself_changes_nothing(body: Any) -> None:
    assert merged(body, body) == body
    assert merged({}, body) == body


def test_tags_of_others_survive_a_merge() -> None:
    assert merged({"p": {"theirs": "1", "both": "old"}}, {"p": {"ours": "2", "both": "new"}}) == {
        "p": {"theirs": "1", "both": "new", "ours": "2"}
    }


def test_lists_of_one_length_are_merged_item_by_item() -> None:
    assert merged([{"a": 1}, 2], [{"b": 3}, 4]) == [{"a": 1, "b": 3}, 4]
    assert merged([1, 2], [3]) == [3]


def test_nulls_can_be_left_out_at_any_depth() -> None:
    assert without_nulls({"a": None, "b": [None, {"c": None, "d": 0}]}) == {"b": [{"d": 0}]}


def test_a_path_of_the_state_overrides_the_same_path_only() -> None:
    assert overridden({"a": {"b": 1, "c": 2}}, {"a": {"b": 9, "c": 8}}, ["a.b", "absent.path"]) == {
        "a": {"b": 9, "c": 2}
    }


@pytest.mark.parametrize(
    ("wanted", "result"),
    [
        (None, {}),
        (["*"], {"id": "x", "p": {"a": 1, "b": [{"n": "y"}]}}),
        (["id", "p.a", "p.absent"], {"id": "x", "p": {"a": 1}}),
        ({"first": "p.b[0].n", "none": "p.absent", "wrong": "[?"}, {"first": "y", "none": None, "wrong": None}),
    ],
)
def test_a_reply_exports_paths_or_queries(wanted: Any, result: Any) -> None:
    assert exported({"id": "x", "p": {"a": 1, "b": [{"n": "y"}]}}, wanted) == result


def test_a_query_that_is_no_jmespath_is_named() -> None:
    assert invalid_expressions({"ok": "a.b", "bad": "a.["}) == ["a.["]
    assert invalid_expressions(["a.b"]) == []
