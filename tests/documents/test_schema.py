"""The JSON Schemas accept what the reader accepts, and refuse the commonest mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from runner import packaged
from runner.documents.schema import schema_of, schema_of_all
from tests.documents.golden import HERE

ROOT = Path(__file__).parents[2]
GOOD = sorted(
    [
        *(ROOT / "examples" / "documents").rglob("*.yaml"),
        *(packaged.templates() / "init").rglob("*.yaml"),
        HERE / "base.yaml",
    ]
)


def loaded(file: Path) -> list[Any]:
    """The documents as an editor's YAML reader types them."""
    return [document for document in yaml.safe_load_all(file.read_text(encoding="utf-8")) if document]


@pytest.mark.parametrize("file", GOOD, ids=lambda file: str(file.relative_to(ROOT)))
def test_good_documents_fit_the_schema_of_their_kind_and_that_of_all(file: Path) -> None:
    every = jsonschema.Draft202012Validator(schema_of_all())
    for document in loaded(file):
        jsonschema.Draft202012Validator(schema_of(document["kind"])).validate(document)
        every.validate(document)


@pytest.mark.parametrize(
    "schema", [schema_of_all(), *(schema_of(kind) for kind in ("AzurePlatform", "LandingZone", "Tenant"))]
)
def test_each_schema_is_a_schema(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("LandingZone", ("azureManagementGroupId",), "Corp Online"),
        ("LandingZone", ("azureRgLocation",), "West Europe"),
        ("LandingZone", ("approval", "validFor"), 8),
        ("LandingZone", ("managementGroup",), "corp"),
        ("LandingZone", ("platformRef",), "corp"),
        ("Tenant", ("platformTenantId",), "Payments"),
        ("Tenant", ("users",), [{"username": "a"}]),
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(kind: str, path: tuple[str, ...], value: Any) -> None:
    file = {"Tenant": "tenants.yaml", "LandingZone": "landing-zone.yaml"}[kind]
    document = loaded(ROOT / "examples" / "documents" / "subscriptions" / file)[0]
    inner = document["spec"]
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    for schema in (schema_of(kind), schema_of_all()):
        assert not jsonschema.Draft202012Validator(schema).is_valid(document)


def test_nobody_is_told_that_a_subscription_of_theirs_is_renamed() -> None:
    """Nothing renames one: the pattern is for those that the runner makes or claims."""
    explained = schema_of("AzurePlatform")["$defs"]["PlatformSpec"]["properties"]["subscriptionNamePattern"]
    starter = (packaged.templates() / "init" / "platform.yaml").read_text(encoding="utf-8")
    for text in (explained["description"], starter):
        assert "subscriptions that the runner makes or claims; one that exists" in text
        assert "keeps its name" in text


def test_every_field_is_explained() -> None:
    unexplained = [
        f"{name}.{field}"
        for name, definition in schema_of_all()["$defs"].items()
        for field, schema in definition.get("properties", {}).items()
        if not schema.get("description") and "$ref" not in schema
    ]
    assert unexplained == []
