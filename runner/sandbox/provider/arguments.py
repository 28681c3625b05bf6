"""Arguments that several resource types share, and what is wrong with them: durations, types, retries, bodies.

Every check names the attribute it is about, so the engine can point at the line of the configuration.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from runner.sandbox.provider import resource_id
from runner.sandbox.provider.arm import Options, Retry
from runner.sandbox.provider.bodies import invalid_expressions, same
from runner.sandbox.provider.contract import Object, Path, Problem
from runner.sandbox.provider.values import Dynamic, Unknown, is_known, plain

_INVALID = "Invalid configuration"
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+")
_DEFAULT_TIMEOUTS = {"create": "30m", "update": "30m", "delete": "30m", "read": "5m"}
RETRY_DEFAULTS = {"interval_seconds": 10, "max_interval_seconds": 180, "multiplier": 1.5, "randomization_factor": 0.5}


def is_given(value: Any) -> bool:
    """Say whether a value is set and known now."""
    return value is not None and not isinstance(value, Unknown)


def same_json(left: Any, right: Any) -> bool:
    """Compare two values without their types, as azapi's semantic equality does; an unknown equals nothing."""
    return is_known(left) and is_known(right) and same(plain(left), plain(right))


def seconds(duration: str) -> float:
    """Read a Go duration such as `1h30m`."""
    if not _DURATION.fullmatch(duration):
        raise ValueError(duration)
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)([a-zµ]+)", duration))


def deadline(arguments: Object, operation: str) -> float:
    """Return the monotonic time at which `timeouts` ends this operation."""
    given = (arguments.get("timeouts") or {}).get(operation)
    return time.monotonic() + seconds(given if isinstance(given, str) else _DEFAULT_TIMEOUTS[operation])


def options(
    arguments: Object, operation: str, *, prefix: str = "", with_retry: bool = True, until: float | None = None
) -> Options:
    """Collect headers, query parameters, retry and deadline of one operation; `prefix` is `create_`, `read_` and so on."""
    return Options(
        deadline=deadline(arguments, operation) if until is None else until,
        headers=arguments.get(f"{prefix}headers") or {},
        query=arguments.get(f"{prefix}query_parameters") or {},
        retry=Retry.of(arguments.get("retry")) if with_retry else Retry(),
    )


def with_retry_defaults(arguments: Object) -> Object:
    """Fill in the parts of `retry` that the configuration leaves open."""
    retry = arguments.get("retry")
    if not isinstance(retry, dict):
        return arguments
    filled = {
        key: RETRY_DEFAULTS[key] if key in RETRY_DEFAULTS and value is None else value for key, value in retry.items()
    }
    return {**arguments, "retry": filled}


def check(config: Object, *checks: Callable[[Object], Iterable[Problem]]) -> list[Problem]:
    """Run checks over a configuration and collect what they find."""
    return [problem for each in checks for problem in each(config)]


def checked_type(config: Object) -> Iterable[Problem]:
    if isinstance(config.get("type"), str):
        try:
            resource_id.split_type(config["type"])
        except resource_id.InvalidId as error:
            yield Problem(_INVALID, f'The argument "type" is invalid: {error}', ("type",))


def checked_ids(*names: str) -> Callable[[Object], Iterable[Problem]]:
    """Check arguments that hold resource ids."""

    def checks(config: Object) -> Iterable[Problem]:
        for name in names:
            value = config.get(name)
            if isinstance(value, str) and not value.startswith("/"):
                yield Problem(
                    "Invalid Azure resource ID", f"{name} must be the ID of an Azure resource, got {value!r}.", (name,)
                )

    return checks


def checked_one_of(name: str, *allowed: str) -> Callable[[Object], Iterable[Problem]]:
    """Check an argument that takes one of some words."""

    def checks(config: Object) -> Iterable[Problem]:
        value = config.get(name)
        if isinstance(value, str) and value not in allowed:
            expected = ", ".join(f'"{word}"' for word in allowed)
            yield Problem(
                "Invalid Attribute Value Match",
                f'Attribute {name} value must be one of: {expected}, got: "{value}"',
                (name,),
            )

    return checks


def checked_body(config: Object) -> Iterable[Problem]:
    for name in ("body", "sensitive_body"):
        value = config.get(name)
        if isinstance(value, Dynamic) and is_given(value.value) and not isinstance(value.value, dict | list):
            detail = "The value must not be a string: write the body as an HCL object, not with jsonencode()."
            yield Problem("Invalid Type", detail, (name,))


def checked_retry(config: Object) -> Iterable[Problem]:
    """Check `retry`. The problems point at the whole argument: the engine finds no line for a part of one."""
    retry = config.get("retry")
    if not isinstance(retry, dict):
        return
    patterns = retry["error_message_regex"] if isinstance(retry["error_message_regex"], list) else []
    for pattern in patterns:
        if isinstance(pattern, str) and (reason := _pattern_error(pattern)):
            yield Problem("Invalid regular expression", f"error_message_regex {pattern!r}: {reason}.", ("retry",))
    for name, most in (("interval_seconds", 120), ("max_interval_seconds", 300)):
        value = retry.get(name)
        if isinstance(value, int | Decimal) and not 1 <= value <= most:
            yield Problem("Invalid Attribute Value", f"{name} must be between 1 and {most}, got: {value}", ("retry",))


def _pattern_error(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        return str(error)
    return ""


def checked_timeouts(config: Object) -> Iterable[Problem]:
    timeouts = config.get("timeouts")
    for operation, value in timeouts.items() if isinstance(timeouts, dict) else ():
        if isinstance(value, str) and not _DURATION.fullmatch(value):
            detail = f'must be a string containing a sequence of decimal numbers each with a unit suffix, such as "30m", got: {value}'
            yield Problem("Invalid Attribute Value Time Duration", detail, ("timeouts", operation))


def checked_exports(config: Object) -> Iterable[Problem]:
    for name in ("response_export_values", "sensitive_response_export_values"):
        value = plain(config.get(name))
        path: Path = (name,)
        if is_given(value) and not isinstance(value, list | Mapping):
            yield Problem(
                "Invalid response_export_values", f"{name} must be a list of paths or a map of JMESPath queries.", path
            )
        elif not is_given(value):
            continue
        elif wrong := [
            part
            for part in (value.values() if isinstance(value, Mapping) else value)
            if not isinstance(part, str | Unknown)
        ]:
            yield Problem("Invalid response_export_values", f"{name} must hold strings only, got {wrong[0]!r}.", path)
        elif is_known(value) and (invalid := invalid_expressions(value)):
            yield Problem("Invalid JMESPath", f"{invalid[0]!r} in {name} is not a JMESPath expression.", path)
