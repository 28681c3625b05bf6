"""Terraform's values and their two encodings: msgpack between the engine and a provider, JSON in a stored state.

A value is plain Python: dict, list, str, bool, int, `Decimal` for a number that is not whole, None for null. Two things JSON does
not have get a class: an `Unknown`, and a `Dynamic`, which keeps the type that came with the value so that what came in goes out
unchanged. Types are the JSON forms of cty ("string", ["list", "string"], ["object", {...}]). Nothing here knows a schema.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgpack  # type: ignore[import-untyped]

CtyType = str | list[Any]

DYNAMIC = "dynamic"
_PLAIN_UNKNOWN = b"\0"
_UNKNOWN, _REFINED_UNKNOWN = 0, 12  # msgpack extension codes; 12 carries what is known of the unknown


@dataclass(frozen=True)
class Unknown:
    """A value that will be known after apply; `refinement` is what the engine already says of it, kept as it came."""

    code: int = _UNKNOWN
    refinement: bytes = _PLAIN_UNKNOWN

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()


@dataclass(frozen=True)
class Dynamic:
    """A value of a dynamic attribute with its concrete type."""

    type: CtyType
    value: Any

    @classmethod
    def of(cls, value: Any) -> Dynamic:
        """Give `value` the type that the same literal has in the configuration language: objects and tuples."""
        return cls(implied_type(value), value)


def implied_type(value: Any) -> CtyType:
    """Return the type of a literal: mappings are objects, lists are tuples, null is dynamic."""
    match value:
        case None | Unknown():
            return DYNAMIC
        case Dynamic():
            return value.type
        case bool():
            return "bool"
        case int() | float() | Decimal():
            return "number"
        case str():
            return "string"
        case Mapping():
            return ["object", {key: implied_type(part) for key, part in value.items()}]
        case _:
            return ["tuple", [implied_type(part) for part in value]]


class UnfitValue(ValueError):
    """A value does not have the shape its type promises."""


def read(encoded: bytes, type_: CtyType) -> Any:
    """Decode msgpack bytes of `type_`."""
    try:
        raw = msgpack.unpackb(encoded, ext_hook=_read_extension, strict_map_key=False)
    except msgpack.StackError as error:
        raise RecursionError from error
    return _from_wire(raw, type_)


def write(value: Any, type_: CtyType) -> bytes:
    """Encode `value` as `type_` in msgpack; the inverse of `read`."""
    return bytes(msgpack.packb(_to_wire(value, type_), default=_write_extension))


def _read_extension(code: int, payload: bytes) -> Unknown:
    return Unknown(code, payload) if code == _REFINED_UNKNOWN else UNKNOWN


def _write_extension(value: Any) -> Any:
    if isinstance(value, Unknown):
        return msgpack.ExtType(value.code, value.refinement)
    raise UnfitValue(f"{type(value).__name__} is not a value")


def _from_wire(raw: Any, type_: CtyType) -> Any:
    if raw is None or isinstance(raw, Unknown):
        return raw
    if type_ == DYNAMIC:
        inner = json.loads(raw[0])
        return Dynamic(inner, _from_wire(raw[1], inner))
    if isinstance(type_, str):
        return _number(raw) if type_ == "number" else raw
    return _map_parts(raw, type_, _from_wire)


def _to_wire(value: Any, type_: CtyType) -> Any:
    if value is None or isinstance(value, Unknown):
        return value
    if type_ == DYNAMIC:
        dynamic = value if isinstance(value, Dynamic) else Dynamic.of(value)
        return [json.dumps(dynamic.type, separators=(",", ":")).encode(), _to_wire(dynamic.value, dynamic.type)]
    if isinstance(type_, str):
        return _number_to_wire(value) if type_ == "number" else _checked(value, type_)
    return _map_parts(value, type_, _to_wire)


def from_state(raw: Any, type_: CtyType) -> Any:
    """Decode a value of a state file, parsed with `load_json`: there a dynamic value is {"type": …, "value": …}."""
    if raw is None:
        return None
    if type_ == DYNAMIC:
        return Dynamic(raw["type"], from_state(raw["value"], raw["type"]))
    if isinstance(type_, str):
        return _number(raw) if type_ == "number" else raw
    return _map_parts(raw, type_, from_state)


def _map_parts(value: Any, type_: CtyType, step: Any) -> Any:
    """Apply `step` to each part of a collection with the part's own type."""
    kind: str = type_[0]
    inner: Any = type_[1]
    if kind in ("list", "set") and isinstance(value, list):
        return [step(part, inner) for part in value]
    if kind == "map" and isinstance(value, dict):
        return {key: step(part, inner) for key, part in value.items()}
    if kind == "object" and isinstance(value, dict):
        return {key: step(value.get(key), part_type) for key, part_type in inner.items()}
    if kind == "tuple" and isinstance(value, list) and len(value) == len(inner):
        return [step(part, part_type) for part, part_type in zip(value, inner, strict=True)]
    raise UnfitValue(f"{type(value).__name__} does not fit {kind}")


def _checked(value: Any, type_: str) -> Any:
    if isinstance(value, bool if type_ == "bool" else str):
        return value
    raise UnfitValue(f"{type(value).__name__} does not fit {type_}")


def _number(raw: Any) -> int | Decimal:
    """Numbers have 512 bits in the engine; what no float holds exactly arrives as text."""
    number = raw if isinstance(raw, int) else Decimal(raw)
    return int(number) if number == number.__trunc__() else number


def _number_to_wire(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise UnfitValue(f"{type(value).__name__} does not fit number")
    number = _number(value)
    if isinstance(number, int):
        return number if -(2**63) <= number < 2**64 else str(number)
    return float(number) if Decimal(float(number)) == number else str(number)


def load_json(text: str | bytes) -> Any:
    """Parse JSON without losing digits."""
    return json.loads(text, parse_float=Decimal)


def dump_json(value: Any) -> str:
    """Write a known value as JSON with sorted keys, as the real providers do. A number beyond float's precision is rounded."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), default=float)


def plain(value: Any) -> Any:
    """Return `value` without the types of its dynamic parts: what JSON can say."""
    match value:
        case Dynamic():
            return plain(value.value)
        case dict():
            return {key: plain(part) for key, part in value.items()}
        case list():
            return [plain(part) for part in value]
        case _:
            return value


def is_known(value: Any) -> bool:
    """Say whether `value` holds no unknown part, however deep."""
    match value:
        case Unknown():
            return False
        case Dynamic():
            return is_known(value.value)
        case dict():
            return all(map(is_known, value.values()))
        case list():
            return all(map(is_known, value))
        case _:
            return True


def retyped(value: Any, like: Dynamic | None) -> Dynamic:
    """Give plain `value` the type of `like` where it fits, else the type of its literal; a key that `value` lacks is null."""
    if like is not None:
        try:
            return Dynamic(like.type, _fitted(value, like.type))
        except UnfitValue:
            pass
    return Dynamic.of(value)


def _fitted(value: Any, type_: CtyType) -> Any:
    if value is None:
        return None
    if type_ == DYNAMIC:
        return Dynamic.of(value)
    if isinstance(type_, str):
        return _number(value) if type_ == "number" and _number_to_wire(value) is not None else _checked(value, type_)
    if type_[0] == "object" and isinstance(value, dict) and value.keys() - type_[1].keys():
        raise UnfitValue("a key is not of the type")
    return _map_parts(value, type_, _fitted)
