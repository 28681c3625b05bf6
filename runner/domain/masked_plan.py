"""The engine's plan (`show -json`) as programs of others may read it: the same document without a single sensitive value.

The format is https://developer.hashicorp.com/terraform/internals/json-format. Only its known parts are kept, for a newer engine may
write secrets into one that is not known here. Marks say where a secret is; the value itself is then taken out wherever else it is
written, as in an expression of the configuration or in a longer text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from runner.domain.plan import SENSITIVE, masked

_PLAIN = ("format_version", "terraform_version", "timestamp", "applyable", "complete", "errored", "configuration")
_OF_A_CHANGE = ("actions", "after_unknown", "before_sensitive", "after_sensitive", "replace_paths", "importing")
_SHORTEST = 4  # characters; a shorter secret would be found in ordinary words, and is taken out only as a whole value


def read(document: Mapping[str, Any]) -> dict[str, Any]:
    """The plan without its secrets, in the engine's own format."""
    hide = _hiding({text for text in _secrets(document) if text and text != SENSITIVE})
    return {key: hide(value) for key, value in _parts(document).items()}


def _parts(document: Mapping[str, Any]) -> dict[str, Any]:
    parts = {key: document[key] for key in _PLAIN if key in document}
    if "variables" in document:
        parts["variables"] = {
            name: {"value": SENSITIVE} if _is_secret(name, document) else given
            for name, given in document["variables"].items()
        }
    for key in ("resource_changes", "resource_drift"):
        if key in document:
            parts[key] = [{**entry, "change": _change(entry["change"])} for entry in document[key]]
    if "output_changes" in document:
        parts["output_changes"] = {name: _change(change) for name, change in document["output_changes"].items()}
    if "planned_values" in document:
        parts["planned_values"] = _values(document["planned_values"])
    if "values" in document.get("prior_state", {}):
        parts["prior_state"] = {**document["prior_state"], "values": _values(document["prior_state"]["values"])}
    return parts


def _is_secret(variable: str, document: Mapping[str, Any]) -> bool:
    declared = document.get("configuration", {}).get("root_module", {}).get("variables", {}).get(variable)
    return declared is None or bool(declared.get("sensitive"))


def _change(change: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: change[key] for key in _OF_A_CHANGE if key in change}
    return {
        **kept,
        "before": masked(change.get("before"), change.get("before_sensitive")),
        "after": masked(change.get("after"), change.get("after_sensitive")),
    }


def _values(values: Mapping[str, Any]) -> dict[str, Any]:
    outputs = {
        name: {**output, "value": SENSITIVE} if output.get("sensitive") else output
        for name, output in values.get("outputs", {}).items()
    }
    found = {"outputs": outputs} if "outputs" in values else {}
    return {**found, "root_module": _module(values.get("root_module", {}))}


def _module(module: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(module)
    if "resources" in module:
        kept["resources"] = [
            {**entry, "values": masked(entry.get("values"), entry.get("sensitive_values"))}
            for entry in module["resources"]
        ]
    if "child_modules" in module:
        kept["child_modules"] = [_module(child) for child in module["child_modules"]]
    return kept


def _secrets(document: Mapping[str, Any]) -> Iterator[str]:
    """Every text that is marked as sensitive somewhere."""
    for name, given in document.get("variables", {}).items():
        if _is_secret(name, document):
            yield from _texts(given.get("value"))
    changes = [entry["change"] for key in ("resource_changes", "resource_drift") for entry in document.get(key, ())]
    for change in (*changes, *document.get("output_changes", {}).values()):
        yield from _marked(change.get("before"), change.get("before_sensitive"))
        yield from _marked(change.get("after"), change.get("after_sensitive"))
    for values in (document.get("planned_values", {}), document.get("prior_state", {}).get("values", {})):
        for output in values.get("outputs", {}).values():
            if output.get("sensitive"):
                yield from _texts(output.get("value"))
        modules = [values.get("root_module", {})]
        for module in modules:
            modules += module.get("child_modules", ())
            for entry in module.get("resources", ()):
                yield from _marked(entry.get("values"), entry.get("sensitive_values"))


def _marked(value: Any, marks: Any) -> Iterator[str]:
    if marks is True:
        yield from _texts(value)
    elif isinstance(value, dict) and isinstance(marks, dict):
        for key, mark in marks.items():
            yield from _marked(value.get(key), mark)
    elif isinstance(value, list) and isinstance(marks, list):
        for part, mark in zip(value, marks, strict=False):
            yield from _marked(part, mark)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _hiding(secrets: set[str]) -> Callable[[Any], Any]:
    """What takes these texts out of a value, however deep, and from the keys of objects as well."""
    if not secrets:
        return lambda value: value
    long = sorted((text for text in secrets if len(text) >= _SHORTEST), key=len, reverse=True)
    inside = re.compile("|".join(map(re.escape, long))) if long else None

    def hide(value: Any) -> Any:
        if isinstance(value, str):
            if value in secrets:
                return SENSITIVE
            return inside.sub(lambda _: SENSITIVE, value) if inside else value
        if isinstance(value, dict):
            return {hide(key): hide(part) for key, part in value.items()}
        return [hide(part) for part in value] if isinstance(value, list) else value

    return hide
