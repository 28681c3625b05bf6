"""The messages of Terraform's plugin protocol 6, as far as a provider needs them, and of the two go-plugin services beside it.

The table is the protocol's wire contract: names, field numbers and types of `tfplugin6` (6.0 to 6.9). It is turned into protobuf
classes when the module is loaded rather than generated ahead, because generated code is bound to one major release of protobuf and
this is not. A field that the engine sends and the table does not name is ignored, as protobuf promises.

Notation: `Message: number type name, …`; `*` after a type is repeated, `?` keeps zero apart from absent (a member of a oneof).
Enumerations travel as integers. A map field is a repeated entry of key and value, which is the same on the wire.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

ERROR, WARNING = 1, 2

_TABLE = """
Empty:
Value: 1 bytes msgpack, 2 bytes json
Step: 1 string? attribute_name, 2 string? element_key_string, 3 int64? element_key_int
Path: 1 Step* steps
Diagnostic: 1 int32 severity, 2 string summary, 3 string detail, 4 Path attribute
RawState: 1 bytes json

Attribute: 1 string name, 2 bytes type, 3 string description, 4 bool required, 5 bool optional, 6 bool computed, 7 bool sensitive,
  8 int32 description_kind, 9 bool deprecated, 10 Object nested_type, 11 bool write_only
Object: 1 Attribute* attributes, 3 int32 nesting
NestedBlock: 1 string type_name, 2 Block block, 3 int32 nesting, 4 int64 min_items, 5 int64 max_items
Block: 1 int64 version, 2 Attribute* attributes, 3 NestedBlock* block_types, 4 string description, 5 int32 description_kind,
  6 bool deprecated
Schema: 1 int64 version, 2 Block block
SchemaEntry: 1 string key, 2 Schema value
Capabilities: 1 bool plan_destroy, 2 bool get_provider_schema_optional, 3 bool move_resource_state
TypeName: 1 string type_name

GetMetadataResponse: 1 Capabilities server_capabilities, 2 Diagnostic* diagnostics, 3 TypeName* data_sources, 4 TypeName* resources
GetProviderSchemaResponse: 1 Schema provider, 2 SchemaEntry* resource_schemas, 3 SchemaEntry* data_source_schemas,
  4 Diagnostic* diagnostics, 6 Capabilities server_capabilities
ValidateProviderConfigRequest: 1 Value config
ValidateProviderConfigResponse: 2 Diagnostic* diagnostics
ValidateConfigRequest: 1 string type_name, 2 Value config
ValidateConfigResponse: 1 Diagnostic* diagnostics
ConfigureProviderRequest: 1 string terraform_version, 2 Value config
ConfigureProviderResponse: 1 Diagnostic* diagnostics
UpgradeResourceStateRequest: 1 string type_name, 2 int64 version, 3 RawState raw_state
UpgradeResourceStateResponse: 1 Value upgraded_state, 2 Diagnostic* diagnostics
ReadResourceRequest: 1 string type_name, 2 Value current_state, 3 bytes private
ReadResourceResponse: 1 Value new_state, 2 Diagnostic* diagnostics, 3 bytes private
PlanResourceChangeRequest: 1 string type_name, 2 Value prior_state, 3 Value proposed_new_state, 4 Value config, 5 bytes prior_private
PlanResourceChangeResponse: 1 Value planned_state, 2 Path* requires_replace, 3 bytes planned_private, 4 Diagnostic* diagnostics,
  5 bool legacy_type_system
ApplyResourceChangeRequest: 1 string type_name, 2 Value prior_state, 3 Value planned_state, 4 Value config, 5 bytes planned_private
ApplyResourceChangeResponse: 1 Value new_state, 2 bytes private, 3 Diagnostic* diagnostics, 4 bool legacy_type_system
ImportResourceStateRequest: 1 string type_name, 2 string id
ImportedResource: 1 string type_name, 2 Value state, 3 bytes private
ImportResourceStateResponse: 1 ImportedResource* imported_resources, 2 Diagnostic* diagnostics
MoveResourceStateRequest: 2 string source_type_name, 5 string target_type_name
MoveResourceStateResponse: 1 Value target_state, 2 Diagnostic* diagnostics, 3 bytes target_private
ReadDataSourceRequest: 1 string type_name, 2 Value config
ReadDataSourceResponse: 1 Value state, 2 Diagnostic* diagnostics
GetFunctionsResponse: 2 Diagnostic* diagnostics
StopProviderResponse: 1 string error

StdioData: 1 int32 channel, 2 bytes data
"""

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bytes": _Field.TYPE_BYTES,
    "string": _Field.TYPE_STRING,
    "bool": _Field.TYPE_BOOL,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
}


def _add_field(message: Any, declaration: str) -> None:
    number, type_, name = declaration.split()
    field = message.field.add(
        name=name, number=int(number), label=_Field.LABEL_REPEATED if "*" in type_ else _Field.LABEL_OPTIONAL
    )
    if (bare := type_.rstrip("*?")) in _SCALARS:
        field.type = _SCALARS[bare]
    else:
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".lzr.tfplugin6.{bare}"
    if type_.endswith("?"):
        if not message.oneof_decl:
            message.oneof_decl.add(name="selector")
        field.oneof_index = 0


def _load(table: str) -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="lzr_tfplugin6.proto", package="lzr.tfplugin6", syntax="proto3")
    for declaration in table.replace(",\n  ", ", ").splitlines():
        name, _, fields = declaration.partition(":")
        if name:
            message = file.message_type.add(name=name)
            for field in filter(None, fields.strip().split(", ")):
                _add_field(message, field)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        message.name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"lzr.tfplugin6.{message.name}"))
        for message in file.message_type
    }


MESSAGES = _load(_TABLE)
