"""OData `$filter` as Graph and Resource Manager use it: read into values, then asked of an entity.

Comparison of strings is exact. Graph's documentation leaves it open, and the integration this project serves states the
limit: an external user id is case-sensitive and must match the directory's entry, because Graph's search queries do.
Being strict also makes a careless look-up show here and not in production. Resource Manager's filters fold case (`fold`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runner.sandbox.azure.index import values_at
from runner.sandbox.azure.wire import Rejection

Literal = str | int | bool | None


@dataclass(frozen=True)
class Compare:
    path: str
    operator: str
    value: Literal


@dataclass(frozen=True)
class Within:
    path: str
    values: tuple[Literal, ...]


@dataclass(frozen=True)
class AnyOf:
    path: str
    variable: str
    condition: Node | None


@dataclass(frozen=True)
class Function:
    name: str
    arguments: tuple[Literal | Path, ...]


@dataclass(frozen=True)
class Path:
    name: str


@dataclass(frozen=True)
class Not:
    node: Node


@dataclass(frozen=True)
class Both:
    left: Node
    right: Node


@dataclass(frozen=True)
class Either:
    left: Node
    right: Node


Node = Compare | Within | AnyOf | Function | Not | Both | Either

_TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|([(),:])|(-?\d+(?![\w-]))|([A-Za-z_@$][\w@$./-]*)|([\w-]+))")
_OPERATORS = {"eq", "ne", "gt", "ge", "lt", "le"}


def read_filter(text: str) -> Node:
    """Read a `$filter`; a 400 in Graph's words when it is none."""
    tokens = _tokens(text)
    reader = _Reader(tokens)
    try:
        node = reader.either()
    except RecursionError:
        raise _invalid() from None
    reader.end()
    return node


def _tokens(text: str) -> list[str]:
    tokens, place = [], 0
    text = text.strip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None or found.end() == place:
            raise _invalid()
        tokens.append(found.group(0).strip())
        place = found.end()
    return tokens


def _invalid() -> Rejection:
    return Rejection(400, "BadRequest", "Invalid filter clause: Syntax error.")


class _Reader:
    """Recursive descent over the tokens."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._place = 0

    def either(self) -> Node:
        node = self._both()
        while self._take("or"):
            node = Either(node, self._both())
        return node

    def end(self) -> None:
        if self._place != len(self._tokens):
            raise _invalid()

    def _both(self) -> Node:
        node = self._one()
        while self._take("and"):
            node = Both(node, self._one())
        return node

    def _one(self) -> Node:
        if self._take("not"):
            return Not(self._one())
        if self._take("("):
            node = self.either()
            self._expect(")")
            return node
        name = self._next()
        if name.startswith("'") or name in "(),:":
            raise _invalid()
        if self._take("("):
            return self._called(name)
        return self._compared(name)

    def _called(self, name: str) -> Node:
        path, _, function = name.rpartition("/")
        if function == "any":
            return self._any(path)
        arguments: list[Literal | Path] = []
        while not self._take(")"):
            arguments.append(self._argument())
            self._take(",")
        node = Function(name, tuple(arguments))
        if self._take("eq"):  # `startswith(mail,'a') eq true`
            return node if self._literal() is True else Not(node)
        return node

    def _any(self, path: str) -> Node:
        if self._take(")"):
            return AnyOf(path, "", None)
        variable = self._next()
        self._expect(":")
        condition = self.either()
        self._expect(")")
        return AnyOf(path, variable, condition)

    def _compared(self, path: str) -> Node:
        operator = self._next()
        if operator == "in":
            self._expect("(")
            values = [self._literal()]
            while self._take(","):
                values.append(self._literal())
            self._expect(")")
            return Within(path, tuple(values))
        if operator not in _OPERATORS:
            raise _invalid()
        return Compare(path, operator, self._literal())

    def _argument(self) -> Literal | Path:
        token = self._tokens[self._place] if self._place < len(self._tokens) else ""
        if re.fullmatch(r"[A-Za-z_@$][\w@$./-]*", token) and token not in ("true", "false", "null"):
            return Path(self._next())
        return self._literal()

    def _literal(self) -> Literal:
        token = self._next()
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if re.fullmatch(r"-?\d+", token):
            return int(token)
        if not token[0].isalnum():
            raise _invalid()
        return {"true": True, "false": False, "null": None}.get(token, token)

    def _next(self) -> str:
        if self._place >= len(self._tokens):
            raise _invalid()
        self._place += 1
        return self._tokens[self._place - 1]

    def _take(self, token: str) -> bool:
        if self._place < len(self._tokens) and self._tokens[self._place] == token:
            self._place += 1
            return True
        return False

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise _invalid()


def matches(node: Node, entity: Any, *, fold: bool = False) -> bool:
    """Whether the entity is one of those that the filter means."""
    match node:
        case Both(left, right):
            return matches(left, entity, fold=fold) and matches(right, entity, fold=fold)
        case Either(left, right):
            return matches(left, entity, fold=fold) or matches(right, entity, fold=fold)
        case Not(inner):
            return not matches(inner, entity, fold=fold)
        case Within(path, values):
            return any(_compare(entity, path, "eq", value, fold=fold) for value in values)
        case Compare(path, operator, value):
            return _compare(entity, path, operator, value, fold=fold)
        case AnyOf(path, variable, condition):
            items = list(values_at(entity, path))
            return any(condition is None or matches(condition, {variable: item}, fold=fold) for item in items)
        case Function(name, (Path(path), str(value))) if name.lower() in ("startswith", "endswith", "contains"):
            return any(
                _TESTS[name.lower()](_folded(str(found), fold), _folded(value, fold))
                for found in values_at(entity, path)
            )
        case Function(name):
            raise Rejection(400, "Request_UnsupportedQuery", f"The function '{name}' is not supported.")


_TESTS = {"startswith": str.startswith, "endswith": str.endswith, "contains": str.__contains__}


def _folded(value: str, fold: bool) -> str:
    return value.lower() if fold else value


def _compare(entity: Any, path: str, operator: str, value: Literal, *, fold: bool) -> bool:
    found = list(values_at(entity, path))
    if value is None:
        return (not found) == (operator == "eq")
    if isinstance(value, str):
        wanted: Any = _folded(value, fold)
        found = [_folded(str(one), fold) for one in found]
    else:
        wanted = value
    match operator:
        case "eq":
            return wanted in found
        case "ne":
            return wanted not in found
        case _:
            return any(_ordered(one, operator, wanted) for one in found if type(one) is type(wanted))


def _ordered(left: Any, operator: str, right: Any) -> bool:
    return bool({"gt": left > right, "ge": left >= right, "lt": left < right, "le": left <= right}[operator])


@dataclass(frozen=True)
class LookUp:
    """Something that an index can find: a value at a path, or the beginning of one."""

    path: str
    value: str
    prefix: bool = False


def look_ups(node: Node, prefix: str = "", variable: str = "") -> list[LookUp] | None:
    """Return look-ups that together find every match, and perhaps more; None when only a walk through all does."""
    match node:
        case Compare(path, "eq", str(value)):
            return [LookUp(_within(path, prefix, variable), value)]
        case Function(name, (Path(path), str(value))) if name.lower() == "startswith":
            return [LookUp(_within(path, prefix, variable), value, prefix=True)]
        case Within(path, values) if all(isinstance(value, str) for value in values):
            return [LookUp(_within(path, prefix, variable), str(value)) for value in values]
        case Either(left, right):
            first, second = look_ups(left, prefix, variable), look_ups(right, prefix, variable)
            return None if first is None or second is None else first + second
        case Both(left, right):
            found = [wanted for side in (right, left) if (wanted := look_ups(side, prefix, variable)) is not None]
            return min(found, key=len, default=None)
        case AnyOf(path, name, condition) if condition is not None:
            return look_ups(condition, path, name)
        case _:
            return None


def _within(path: str, prefix: str, variable: str) -> str:
    """The path from the entity itself, for a path that starts at an `any`'s variable."""
    if not variable:
        return path
    return prefix + path.removeprefix(variable)


def properties(node: Node) -> Iterator[str]:
    """Yield the entity's own properties that a filter names."""
    match node:
        case Compare(path) | Within(path) | AnyOf(path):
            yield path.split("/", 1)[0]
        case Both(left, right) | Either(left, right):
            yield from properties(left)
            yield from properties(right)
        case Not(inner):
            yield from properties(inner)
        case Function(_, arguments):
            yield from (argument.name.split("/", 1)[0] for argument in arguments if isinstance(argument, Path))


def is_advanced(node: Node) -> bool:
    """Whether Graph asks for `ConsistencyLevel: eventual` and `$count=true` with it."""
    match node:
        case Compare(_, "ne", _) | Not():
            return True
        case Function(name):
            return name.lower() in ("endswith", "contains")
        case Both(left, right) | Either(left, right):
            return is_advanced(left) or is_advanced(right)
        case _:
            return False
