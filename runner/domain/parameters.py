"""Parameters of blueprints and of ARM templates: what is declared, and the values that a landing zone gives.

meshStack filled a blueprint's parameters `workspaceIdentifier`, `projectIdentifier`, `SubscriptionId` and `tag<Key>` (docs of Azure
landing zones, "Available Blueprint Parameters"); a zone adds its own values, in which `${…}` stands for what it stands for in tags.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, JsonValue, StringConstraints

from runner.domain.access import Frozen, Warn
from runner.domain.document import Uuid

# Also a part of the module's name in Terraform, so that there are no dots in it. Azure Blueprints takes 48 characters.
DEPLOYMENT_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
PARAMETER_NAME = r"^[A-Za-z_][A-Za-z0-9_-]*$"

DeploymentName = Annotated[str, StringConstraints(min_length=1, max_length=48, pattern=DEPLOYMENT_NAME)]
ParameterName = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=PARAMETER_NAME)]
Parameters = Annotated[dict[ParameterName, JsonValue], Field(max_length=256)]
ExcludedPrincipals = Annotated[tuple[Uuid, ...], Field(max_length=5)]
ExcludedActions = Annotated[
    tuple[Annotated[str, StringConstraints(min_length=1, max_length=200)], ...], Field(max_length=200)
]

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_SECURE = ("securestring", "secureobject")


class Declared(Frozen):
    """A parameter as a blueprint version or a template declares it. `type` is in small letters; `allowed` is empty where any value is."""

    type: str
    required: bool
    allowed: tuple[JsonValue, ...] = ()


@dataclass(frozen=True)
class Filled:
    """The values to pass, by the parameter's name as it is declared; what a person should know; and what has to have a value and none."""

    values: dict[str, Any]
    warnings: tuple[Warn, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class NotFitting:
    """Why a value cannot be passed."""

    why: str


def declared_of(parameters: Any) -> dict[str, Declared]:
    """The `parameters` of a blueprint version or of an ARM template. What is malformed in them declares nothing."""
    found = parameters if isinstance(parameters, dict) else {}
    return {
        str(name): Declared(
            type=str(one.get("type", "")).lower(),
            required="defaultValue" not in one and one.get("nullable") is not True,
            allowed=tuple(one["allowedValues"]) if isinstance(one.get("allowedValues"), list) else (),
        )
        for name, one in found.items()
        if isinstance(one, dict)
    }


def fill(
    what: str,
    declared: Mapping[str, Declared],
    fixed: Mapping[str, str],
    own: Mapping[str, JsonValue],
    standard: Mapping[str, str],
    variables: Mapping[str, str],
) -> Filled:
    """The values of the declared parameters, each found without regard to capitals as Azure does: the zone's own before the standard ones.

    `what` is what is told of in warnings, as `The blueprint lz`. `fixed` are parameters that the definition itself gives a value, by name,
    with where it does. `variables` stand for the `${…}` in own values.
    """
    by_name = {name.lower(): name for name in declared}
    by_fixed = {name.lower(): where for name, where in fixed.items()}
    given = {name.lower() for name in own}
    values: dict[str, Any] = {}
    warnings: list[Warn] = []
    for name, value in (*own.items(), *((n, v) for n, v in standard.items() if n.lower() not in given)):
        real, why = by_name.get(name.lower()), ""
        if real is not None:
            made = _own_value(declared[real], value, variables) if name in own else _fitting(declared[real], value)
            if isinstance(made, NotFitting):
                why = made.why
            else:
                values[real] = made
        elif where := by_fixed.get(name.lower()):
            why = f"it is static, its value is fixed in {where}"
        elif name in own:
            why = "it declares no such parameter"
        if why:
            text = f"{what} is not given the parameter {name}: {why}."
            warnings.append(Warn(code="parameter-left-out", text=text))
    missing = tuple(name for name, one in declared.items() if one.required and name not in values)
    return Filled(dict(sorted(values.items())), tuple(warnings), missing)


def names_in(value: JsonValue) -> Iterator[str]:
    """The variables that a value uses at any depth."""
    for text in texts_in(value):
        yield from _VARIABLE.findall(text)


def texts_in(value: JsonValue) -> Iterator[str]:
    """The texts that a value holds at any depth."""
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from texts_in(item)
        case dict():
            for item in value.values():
                yield from texts_in(item)


def _own_value(declared: Declared, value: JsonValue, variables: Mapping[str, str]) -> Any:
    unknown = sorted({name for name in names_in(value) if name not in variables})
    if unknown:
        return NotFitting(f"${{{unknown[0]}}} is neither a variable nor a tag of the tenant")
    return _fitting(declared, filled_in(value, variables))


def filled_in(value: JsonValue, variables: Mapping[str, str]) -> Any:
    """The value with its variables put in, at any depth; each of them has to be known."""
    match value:
        case str():
            return _VARIABLE.sub(lambda found: variables[found[1]], value)
        case list():
            return [filled_in(item, variables) for item in value]
        case dict():
            return {key: filled_in(item, variables) for key, item in value.items()}
        case _:
            return value


def _fitting(declared: Declared, value: Any) -> Any:
    """The value as the declared type, or why it is none. A text becomes a number, a truth value or a list where that is declared: tags
    and variables are texts."""
    if declared.type in _SECURE:
        return NotFitting(
            "it is a secret, and a secret is never in a document; take it from a key vault in the definition"
        )
    made = _converted(declared.type, value)
    if isinstance(made, NotFitting):
        return made
    if declared.allowed and not _among(made, declared.allowed):
        shown = ", ".join(json.dumps(one, ensure_ascii=False) for one in declared.allowed[:10])
        return NotFitting(f"{json.dumps(made, ensure_ascii=False)[:100]} is none of the allowed values {shown}")
    return made


def _converted(type_: str, value: Any) -> Any:
    match type_, value:
        case ("string", str()) | ("bool", bool()) | ("array", list()) | ("object", dict()):
            return value
        case "int", int() if not isinstance(value, bool):
            return value
        case "int", str() if re.fullmatch(r"-?[0-9]{1,18}", value):
            return int(value)
        case "bool", str() if value.lower() in ("true", "false"):
            return value.lower() == "true"
        case "array", str():
            return [value]
        case "string", bool():
            return "true" if value else "false"
        case "string", int() | float():
            return str(value)
        case _:
            return NotFitting(f"it is declared as {type_ or 'nothing that is known'}, and the value is none")


def _among(value: Any, allowed: Collection[Any]) -> bool:
    """Azure compares texts without regard to capitals."""
    if isinstance(value, str):
        return value.lower() in {one.lower() for one in allowed if isinstance(one, str)}
    return value in allowed
