"""The stand-ins carry the schemas of the real providers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runner.sandbox.provider import azapi, azuread, schema
from tests.sandbox_provider.engine import Workspace

PACKAGED = Path(schema.__file__).parent / "schemas"
SOURCES = {"azapi": "registry.terraform.io/azure/azapi", "azuread": "registry.terraform.io/hashicorp/azuread"}


def packaged(name: str) -> dict[str, Any]:
    document = json.loads((PACKAGED / f"{name}.json").read_text(encoding="utf-8"))
    return dict(document["provider_schemas"][SOURCES[name]])


def test_the_engine_prints_the_schemas_that_it_prints_for_the_real_providers(terraform: Workspace) -> None:
    terraform.write("")
    ran = terraform.run("providers", "schema", "-json")
    printed = json.loads(ran.output)["provider_schemas"]
    assert {source: printed[source] for source in SOURCES.values()} == {
        SOURCES[name]: packaged(name) for name in SOURCES
    }


@pytest.mark.parametrize("provider", [azapi.PROVIDER, azuread.PROVIDER], ids=lambda provider: provider.name)
def test_every_type_of_the_schemas_is_served_and_no_other(provider: Any) -> None:
    found = packaged(provider.name)
    assert set(found["resource_schemas"]) == set(provider.resources)
    assert set(found["data_source_schemas"]) == set(provider.data_sources)


def test_an_empty_object_has_every_attribute_and_block() -> None:
    resource = schema.load("azapi").resources["azapi_resource"]
    empty = resource.empty()
    assert empty["body"] is None
    assert empty["identity"] == []
    assert set(empty) == set(resource.type[1])


def test_write_only_attributes_are_known() -> None:
    assert set(schema.load("azapi").resources["azapi_resource"].write_only) == {"ignore_body_changes", "sensitive_body"}
