"""Schemas of providers, resources and data sources, in the JSON that `terraform providers schema -json` prints.

The packaged files are trimmed copies of what azapi 2.12.0 and azuread 3.9.0 print, so the stand-ins and the real providers can be
compared with the same command. Knows types and the shape of an empty object; knows no resource.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from runner.sandbox.provider import values
from runner.sandbox.provider.wire import MESSAGES

_NESTING = {"single": 1, "list": 2, "set": 3, "map": 4, "group": 5}
_DESCRIPTION_KIND = {"plain": 0, "markdown": 1}


@dataclass(frozen=True)
class Schema:
    """One schema: the JSON object with `version` and `block`."""

    definition: dict[str, Any]

    @property
    def version(self) -> int:
        return int(self.definition["version"])

    @cached_property
    def type(self) -> values.CtyType:
        """The cty type of the whole object."""
        return _block_type(self.definition["block"])

    @property
    def attributes(self) -> dict[str, Any]:
        found: dict[str, Any] = self.definition["block"].get("attributes", {})
        return found

    @cached_property
    def write_only(self) -> tuple[str, ...]:
        """Attributes that may be in a configuration and never in a plan or a state."""
        return tuple(name for name, attribute in self.attributes.items() if attribute.get("write_only"))

    @cached_property
    def computed(self) -> tuple[str, ...]:
        """Attributes that the provider decides where the configuration says nothing."""
        return tuple(name for name, attribute in self.attributes.items() if attribute.get("computed"))

    def empty(self) -> dict[str, Any]:
        """Return an object with every attribute null and every repeated block empty."""
        found = dict.fromkeys(self.attributes)
        for name, nested in self.definition["block"].get("block_types", {}).items():
            found[name] = [] if nested["nesting_mode"] in ("list", "set") else None
        return found

    def to_wire(self) -> Any:
        return MESSAGES["Schema"](version=self.version, block=_block_to_wire(self.definition["block"]))


@dataclass(frozen=True)
class ProviderSchema:
    """The schemas one provider carries."""

    provider: Schema
    resources: dict[str, Schema]
    data_sources: dict[str, Schema]


@cache
def load(name: str) -> ProviderSchema:
    """Read the packaged schemas of the provider `name`."""
    text = (Path(__file__).parent / "schemas" / f"{name}.json").read_text(encoding="utf-8")
    (found,) = json.loads(text)["provider_schemas"].values()
    return ProviderSchema(
        provider=Schema(found["provider"]),
        resources={key: Schema(schema) for key, schema in found["resource_schemas"].items()},
        data_sources={key: Schema(schema) for key, schema in found["data_source_schemas"].items()},
    )


def _attribute_type(attribute: dict[str, Any]) -> values.CtyType:
    nested = attribute.get("nested_type")
    if nested is None:
        plain: values.CtyType = attribute["type"]
        return plain
    inner: values.CtyType = ["object", {name: _attribute_type(part) for name, part in nested["attributes"].items()}]
    return inner if nested["nesting_mode"] == "single" else [nested["nesting_mode"], inner]


def _block_type(block: dict[str, Any]) -> values.CtyType:
    parts = {name: _attribute_type(attribute) for name, attribute in block.get("attributes", {}).items()}
    for name, nested in block.get("block_types", {}).items():
        inner = _block_type(nested["block"])
        parts[name] = inner if nested["nesting_mode"] in ("single", "group") else [nested["nesting_mode"], inner]
    return ["object", parts]


def _attribute_to_wire(name: str, attribute: dict[str, Any]) -> Any:
    message = MESSAGES["Attribute"](
        name=name,
        description=attribute.get("description", ""),
        description_kind=_DESCRIPTION_KIND[attribute.get("description_kind", "plain")],
        **{
            flag: True
            for flag in ("required", "optional", "computed", "sensitive", "deprecated", "write_only")
            if attribute.get(flag)
        },
    )
    if nested := attribute.get("nested_type"):
        message.nested_type.nesting = _NESTING[nested["nesting_mode"]]
        message.nested_type.attributes.extend(
            _attribute_to_wire(key, nested["attributes"][key]) for key in sorted(nested["attributes"])
        )
    else:
        message.type = json.dumps(attribute["type"], separators=(",", ":")).encode()
    return message


def _block_to_wire(block: dict[str, Any]) -> Any:
    attributes, blocks = block.get("attributes", {}), block.get("block_types", {})
    return MESSAGES["Block"](
        description=block.get("description", ""),
        description_kind=_DESCRIPTION_KIND[block.get("description_kind", "plain")],
        attributes=[_attribute_to_wire(name, attributes[name]) for name in sorted(attributes)],
        block_types=[
            MESSAGES["NestedBlock"](
                type_name=name,
                block=_block_to_wire(blocks[name]["block"]),
                nesting=_NESTING[blocks[name]["nesting_mode"]],
                min_items=blocks[name].get("min_items", 0),
                max_items=blocks[name].get("max_items", 0),
            )
            for name in sorted(blocks)
        ],
    )
