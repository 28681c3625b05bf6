"""Evaluates CEL expressions in a process of its own: started by `runner.policy.expressions`, and by nobody else.

Reads one JSON object, `{"of": [[expression, variables], …], "first": bool, "seconds": int}`, and writes a line of JSON for each: what it
refers to and gave, or what is wrong; with `first` up to the first that is true. An expression can neither be interrupted (macros in macros
over 3,000 changes takes minutes) nor held to an amount of memory, so it is this process that is.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import types
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

_MEMORY = 1024 * 1024 * 1024
_LONGEST_WHY = 300


def main() -> None:
    asked = json.load(sys.stdin)
    _limit(asked["seconds"])
    sys.modules["cel.cli"] = types.ModuleType("cel.cli")  # the library's own command line, 0.3 s to import
    import cel

    for expression, variables in asked["of"]:
        told = _told(cel, expression, variables)
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        if asked["first"] and told.get("value") is True:
            return


def _told(cel: types.ModuleType, expression: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    try:
        program = cel.compile(expression)
    except Exception as error:  # noqa: BLE001 - every way in which an expression can be none
        quoted = f"Failed to parse expression '{expression}': "
        return {"wrong": _first_line(str(error).removeprefix(quoted)), "parsed": False}
    told: dict[str, Any] = {"parsed": True, **program.references()}
    try:
        value = program.execute(cel.Context(_with_times(variables), _FUNCTIONS))
    except KeyError as error:
        return {**told, "wrong": f"there is no {str(error.args[0])[:_LONGEST_WHY]!r}"}
    except Exception as error:  # noqa: BLE001 - every way in which it can fail
        return {**told, "wrong": _first_line(str(error))}
    return {**told, "value": value} if isinstance(value, bool) else {**told, "kind": _kind(value)}


def _first_line(text: str) -> str:
    return (text.splitlines() or [""])[0][:_LONGEST_WHY].rstrip(". ")


def _limit(seconds: int) -> None:
    for what, most in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):  # a system that does not know this limit
            resource.setrlimit(what, (most, most))


def _with_times(variables: Mapping[str, Any]) -> dict[str, Any]:
    return {**variables, "now": datetime.fromisoformat(variables["now"]).astimezone(UTC)}


def _kind(value: Any) -> str:
    names = {int: "a number", float: "a number", str: "a text", list: "a list", dict: "a map", type(None): "null"}
    return names.get(type(value), f"a {type(value).__name__}")


def _part(part: Callable[[datetime], int]) -> Callable[..., int]:
    """A part of a timestamp, in UTC or in the time zone that is named; the library knows the former only."""

    def of(moment: datetime, zone: str = "UTC") -> int:
        where: tzinfo = UTC if zone == "UTC" else ZoneInfo(zone)
        return part(moment.astimezone(where))

    return of


# counted as CEL counts: months, days of a month and of a year from 0, days of a week from Sunday
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "getFullYear": _part(lambda at: at.year),
    "getMonth": _part(lambda at: at.month - 1),
    "getDayOfYear": _part(lambda at: at.timetuple().tm_yday - 1),
    "getDayOfMonth": _part(lambda at: at.day - 1),
    "getDate": _part(lambda at: at.day),
    "getDayOfWeek": _part(lambda at: at.isoweekday() % 7),
    "getHours": _part(lambda at: at.hour),
    "getMinutes": _part(lambda at: at.minute),
    "getSeconds": _part(lambda at: at.second),
}

if __name__ == "__main__":
    main()
