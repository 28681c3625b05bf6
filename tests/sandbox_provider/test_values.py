"""The codec between Terraform's values and Python."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.sandbox.provider import values
from runner.sandbox.provider.values import UNKNOWN, Dynamic, Unknown

NAMES = st.text(min_size=1, max_size=8)
NUMBERS = st.one_of(
    st.integers(min_value=-(10**40), max_value=10**40),
    st.decimals(allow_nan=False, allow_infinity=False, places=6).filter(
        lambda number: number != number.to_integral_value()
    ),
)
SCALARS: dict[str, st.SearchStrategy[Any]] = {"string": st.text(), "bool": st.booleans(), "number": NUMBERS}
REFINED = st.binary(min_size=1, max_size=8).map(lambda payload: Unknown(12, payload))


def typed(depth: int = 3) -> st.SearchStrategy[tuple[Any, Any]]:
    """Any type with a value of it, null and unknown parts included."""
    leaves = st.sampled_from(sorted(SCALARS)).flatmap(lambda type_: st.tuples(st.just(type_), _maybe(SCALARS[type_])))
    return leaves if depth == 0 else st.one_of(leaves, _collections(depth - 1), _dynamics(depth - 1))


def _maybe(value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), st.just(UNKNOWN), REFINED, value)


@st.composite
def _collections(draw: st.DrawFn, depth: int) -> tuple[Any, Any]:
    kind = draw(st.sampled_from(["list", "set", "map", "object", "tuple"]))
    if kind in ("object", "tuple"):
        parts = draw(st.lists(typed(depth), max_size=3))
        if kind == "tuple":
            return ["tuple", [type_ for type_, _ in parts]], [value for _, value in parts]
        names = draw(st.lists(NAMES, min_size=len(parts), max_size=len(parts), unique=True))
        return (
            ["object", {name: type_ for name, (type_, _) in zip(names, parts, strict=True)}],
            {name: value for name, (_, value) in zip(names, parts, strict=True)},
        )
    element = draw(st.sampled_from(sorted(SCALARS)))
    inner = _maybe(SCALARS[element])
    if kind == "map":
        return ["map", element], draw(st.dictionaries(NAMES, inner, max_size=3))
    return [kind, element], draw(st.lists(inner, max_size=3))


def _dynamics(depth: int) -> st.SearchStrategy[tuple[Any, Any]]:
    return typed(depth).map(lambda pair: ("dynamic", Dynamic(*pair)))


@given(typed())
def test_a_value_of_any_type_survives_the_wire(pair: tuple[Any, Any]) -> None:
    type_, value = pair
    assert values.read(values.write(value, type_), type_) == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(JSON)
def test_a_body_survives_being_a_dynamic_value(body: Any) -> None:
    encoded = values.write(Dynamic.of(body), "dynamic")
    assert values.plain(values.read(encoded, "dynamic")) == body


@given(JSON)
def test_what_is_written_as_json_is_read_back(body: Any) -> None:
    assert values.load_json(values.dump_json(body)) == body


@given(JSON, JSON)
def test_a_body_keeps_its_type_only_where_it_fits(before: Any, after: Any) -> None:
    kept = values.retyped(after, Dynamic.of(before))
    assert values.read(values.write(kept, "dynamic"), "dynamic") == kept
    assert values.plain(values.retyped(before, Dynamic.of(before))) == before


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("1.0", 1), ("0.1", Decimal("0.1")), ("123456789012345678901234567890", 123456789012345678901234567890)],
)
def test_a_number_that_no_float_holds_travels_as_text(text: str, number: Any) -> None:
    assert values.read(msgpack.packb(text), "number") == number
    assert values.read(values.write(number, "number"), "number") == number


def test_a_decimal_of_the_configuration_equals_the_same_decimal_in_a_reply() -> None:
    from_configuration = values.read(msgpack.packb("0.1"), "number")
    assert from_configuration == values.load_json("0.1")


def test_what_is_known_of_an_unknown_is_kept() -> None:
    refined = msgpack.packb(msgpack.ExtType(12, b"\x81\x01\xc2"))
    assert values.write(values.read(refined, "string"), "string") == refined


def test_every_way_to_say_unknown_is_an_unknown() -> None:
    for code in (0, 12):
        assert isinstance(values.read(msgpack.packb(msgpack.ExtType(code, b"\0")), "string"), Unknown)


def test_a_state_names_the_type_of_a_dynamic_value_beside_it() -> None:
    raw = json.loads('{"body": {"type": ["map", "string"], "value": {"a": "b"}}, "gone": 1}')
    assert values.from_state(raw, ["object", {"body": "dynamic", "new": "string"}]) == {
        "body": Dynamic(["map", "string"], {"a": "b"}),
        "new": None,
    }


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        ("x", "number"),
        (1, "string"),
        (1, "bool"),
        (True, "number"),
        ({}, ["list", "string"]),
        ([1], ["tuple", []]),
        ([], ["map", "string"]),
    ],
)
def test_a_value_that_does_not_fit_its_type_is_refused(value: Any, type_: Any) -> None:
    with pytest.raises(values.UnfitValue):
        values.write(value, type_)


def test_a_map_in_a_body_stays_a_map_and_a_missing_key_of_an_object_is_null() -> None:
    like = Dynamic(
        ["object", {"tags": ["map", "string"], "condition": "string"}], {"tags": {"a": "1"}, "condition": "x"}
    )
    assert values.retyped({"tags": {"b": "2"}}, like) == Dynamic(like.type, {"tags": {"b": "2"}, "condition": None})


def test_a_body_of_another_shape_gets_the_type_of_its_literal() -> None:
    like = Dynamic.of({"a": "text"})
    assert values.retyped({"a": [1]}, like).type == ["object", {"a": ["tuple", ["number"]]}]
