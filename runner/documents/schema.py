"""JSON Schemas of the documents, for editors. They say what one document may look like; rules between documents are `lzr validate`'s."""

from __future__ import annotations

from typing import Any

from runner.documents.fields import KINDS
from runner.domain.document import API_VERSION
from runner.domain.server_config import ServerConfig

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(kind: str) -> dict[str, Any]:
    """The schema of one kind of document."""
    return {
        "$schema": DIALECT,
        "$id": f"{API_VERSION}/{kind}.schema.json",
        **KINDS[kind].model_json_schema(by_alias=True),
    }


def schema_of_server() -> dict[str, Any]:
    """The schema of a server's configuration, which is no document."""
    schema = ServerConfig.model_json_schema(by_alias=True)
    return {"$schema": DIALECT, "$id": f"{API_VERSION}/server.schema.json", **schema}


def schema_of_all() -> dict[str, Any]:
    """One schema for documents of every kind: `kind` decides which part holds, so that editors complain about that part only."""
    definitions: dict[str, Any] = {}
    for kind in KINDS:
        schema = KINDS[kind].model_json_schema(by_alias=True)
        definitions |= schema.pop("$defs", {})
        definitions[kind] = schema
    return {
        "$schema": DIALECT,
        "$id": f"{API_VERSION}/all.schema.json",
        "title": "Documents of landing-zone-runner",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {"apiVersion": {"const": API_VERSION}, "kind": {"enum": list(KINDS)}},
        "allOf": [
            {"if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]}, "then": {"$ref": f"#/$defs/{kind}"}}
            for kind in KINDS
        ],
        "$defs": definitions,
    }
