"""Comparing and combining JSON bodies the way azapi 2.12.0 does. Pure.

`shaped` decides what counts as drift: it gives what Azure answered the shape of what the configuration says, so that a key the
configuration does not name is invisible and (by default) a key that comes back null or absent counts as unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_MASKED = re.compile(r"\*+|<redacted>|")


@dataclass(frozen=True)
class Tolerance:
    """What is not drift."""

    casing: bool = False
    missing: bool = True
    null: bool = False
    identifiers: Mapping[str, str] = field(default_factory=dict)
    partial_lists: frozenset[str] = frozenset()

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Tolerance:
        """Read the arguments of a resource."""
        return cls(
            casing=bool(arguments.get("ignore_casing")),
            missing=bool(arguments.get("ignore_missing_property")),
            null=bool(arguments.get("ignore_null_property")),
            identifiers=arguments.get("list_unique_id_property") or {},
            partial_lists=frozenset(arguments.get("ignore_other_items_in_list") or ()),
        )


def shaped(wanted: Any, found: Any, tolerance: Tolerance, path: str = "") -> Any:
    """Return `found` in the shape of `wanted`; equal to `wanted` where nothing drifted."""
    if same(wanted, found):
        return wanted
    match wanted, found:
        case dict(), dict():
            return _shaped_object(wanted, found, tolerance, path)
        case list(), list():
            return _shaped_list(wanted, found, tolerance, path)
        case str(), str():
            is_masked = tolerance.missing and _MASKED.fullmatch(found)
            return wanted if is_masked or (tolerance.casing and wanted.casefold() == found.casefold()) else found
        case _:
            return found


def same(left: Any, right: Any) -> bool:
    """Compare JSON values; unlike Python, true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def _shaped_object(wanted: dict[str, Any], found: dict[str, Any], tolerance: Tolerance, path: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in wanted.items():
        if value is None and tolerance.null:
            result[key] = None
        elif found.get(key) is not None:
            result[key] = shaped(value, found[key], tolerance, f"{path}.{key}".lstrip("."))
        elif tolerance.missing or not value:
            result[key] = value
    return result


def _shaped_list(wanted: list[Any], found: list[Any], tolerance: Tolerance, path: str) -> list[Any]:
    key = tolerance.identifiers.get(path) or "name"
    if not wanted:
        return found
    if not found or not _identifier(wanted[0], key) or not _identifier(found[0], key):
        if len(wanted) != len(found):
            return found
        return [shaped(left, right, tolerance, path) for left, right in zip(wanted, found, strict=True)]
    rest, result = list(found), []
    for item in wanted:
        match = next((other for other in rest if same(item, other)), None)
        if match is None:
            match = next((other for other in rest if _identifier(other, key) == _identifier(item, key) != ""), None)
        if match is not None:
            rest.remove(match)
            result.append(shaped(item, match, tolerance, path))
    return result if path in tolerance.partial_lists else result + rest


def _identifier(item: Any, key: str) -> str:
    """Read what tells list items apart: a property, several with commas, or a JMESPath expression."""
    if not isinstance(item, dict):
        return ""
    if key in item:
        found = item[key]
        return found if isinstance(found, str) else ""
    if "," in key:
        return "\0".join(str(item.get(part.strip(), "")) for part in key.split(","))
    return str(_search(key, item) or "") if not key.isidentifier() else ""


def merged(base: Any, over: Any) -> Any:
    """Lay `over` on `base`: objects key by key, lists of one length item by item, everything else replaced."""
    match base, over:
        case dict(), dict():
            return base | {key: merged(base[key], value) if key in base else value for key, value in over.items()}
        case list(), list() if len(base) == len(over):
            return [merged(left, right) for left, right in zip(base, over, strict=True)]
        case _:
            return over


def without_nulls(body: Any) -> Any:
    """Leave out every null, however deep."""
    match body:
        case dict():
            return {key: without_nulls(value) for key, value in body.items() if value is not None}
        case list():
            return [without_nulls(value) for value in body if value is not None]
        case _:
            return body


def overridden(body: Any, by: Any, paths: list[str]) -> Any:
    """Return `body` with what `by` has at each dotted path; a path that either lacks changes nothing."""
    for path in paths:
        body = _overridden(body, by, path.split("."))
    return body


def _overridden(body: Any, by: Any, steps: list[str]) -> Any:
    if not steps:
        return by
    first, *rest = steps
    if not isinstance(body, dict) or not isinstance(by, dict) or first not in body or first not in by:
        return body
    return {**body, first: _overridden(body[first], by[first], rest)}


def exported(body: Any, wanted: Any) -> Any:
    """Build `output` from a reply: a list of paths keeps their nesting, a map names JMESPath expressions, None exports nothing."""
    if wanted is None:
        return {}
    if isinstance(wanted, Mapping):
        return {name: _search(expression, body) for name, expression in wanted.items()}
    if "*" in wanted:
        return body
    result: Any = {}
    for path in wanted:
        part = _extracted(body, path.split("."))
        result = merged(result, part) if part is not None else result
    return result


def _extracted(body: Any, steps: list[str]) -> Any:
    if not steps:
        return body
    value = _extracted(body.get(steps[0]), steps[1:]) if isinstance(body, dict) else None
    return None if value is None else {steps[0]: value}


def _search(expression: str, body: Any) -> Any:
    import jmespath  # 15 ms that only a provider with a map of exports pays
    from jmespath.exceptions import JMESPathError

    try:
        return jmespath.search(expression, body)
    except JMESPathError:
        return None


def invalid_expressions(wanted: Any) -> list[str]:
    """Name the expressions of an export map that are no JMESPath."""
    if not isinstance(wanted, Mapping):
        return []
    import jmespath
    from jmespath.exceptions import JMESPathError

    found = []
    for expression in wanted.values():
        try:
            jmespath.compile(expression)
        except JMESPathError:
            found.append(expression)
    return found
