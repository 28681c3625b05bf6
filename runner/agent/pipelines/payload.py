"""What of a run goes out to a pipeline, and what of it must never be quoted."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from pydantic.alias_generators import to_camel

from runner.agent.contract import SECRETS, BlockRun

_SECRET_FIELDS = frozenset(to_camel(field) for fields in SECRETS.values() for field in fields)


def without_implementation(document: dict[str, Any]) -> dict[str, Any]:
    """The run without the definition's implementation. The document itself is left as it is."""
    spec, definition, inner = _to_implementation(document)
    inner.pop("implementation", None)
    return _with(document, spec, definition, inner)


def without_secrets(document: dict[str, Any]) -> dict[str, Any]:
    """The run with its implementation, but without the secrets of that. The document itself is left as it is."""
    spec, definition, inner = _to_implementation(document)
    implementation = inner.get("implementation")
    if isinstance(implementation, dict):
        inner["implementation"] = {key: value for key, value in implementation.items() if key not in _SECRET_FIELDS}
    return _with(document, spec, definition, inner)


def compact(value: Any) -> str:
    """JSON in the fewest characters."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def text_of(value: Any) -> str:
    """A value where only text can be passed: text as it is, nothing as nothing, and the rest as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else compact(value)


def secrets_of(run: BlockRun, *credentials: str) -> frozenset[str]:
    """Everything that no message may quote: the credentials, the run's token and sensitive inputs, in each form that an answer may
    repeat them in."""
    values = [text_of(one.value) for one in run.block.spec.inputs if one.is_sensitive]
    found: set[str] = set()
    for value in (*credentials, run.spec.run_token, *values):
        for part in {value, value.strip(), *(line.strip() for line in value.splitlines())}:
            found |= {part, json.dumps(part)[1:-1], quote(part, safe="")}
    return frozenset(part for part in found if len(part) >= 4)  # shorter ones are in every text


def _to_implementation(document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    spec = dict(document.get("spec") or {})
    definition = dict(spec.get("buildingBlockDefinition") or {})
    return spec, definition, dict(definition.get("spec") or {})


def _with(
    document: dict[str, Any], spec: dict[str, Any], definition: dict[str, Any], inner: dict[str, Any]
) -> dict[str, Any]:
    return {**document, "spec": {**spec, "buildingBlockDefinition": {**definition, "spec": inner}}}
