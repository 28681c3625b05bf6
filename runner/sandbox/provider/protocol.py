"""Terraform's plugin protocol 6 as a service: requests decoded, the provider asked, answers encoded.

Knows what each method promises the engine. Whatever goes wrong becomes a diagnostic, and an answer about an object always carries the
object, because an answer without one would make the engine forget it. Knows no socket and no process (see `process`).
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Generic

from runner.sandbox.provider import values
from runner.sandbox.provider.contract import Change, Failed, Object, Path, Private, Problem, Provider, S, Stored
from runner.sandbox.provider.schema import ProviderSchema, Schema
from runner.sandbox.provider.wire import ERROR, MESSAGES, WARNING


@dataclass
class Service(Generic[S]):
    """The protocol's methods over one provider. Every method returns its response; what fails becomes a diagnostic in it."""

    provider: Provider[S]
    stop: Event = field(default_factory=Event)
    session: S | None = None

    def __post_init__(self) -> None:
        self.schema: ProviderSchema = self.provider.schema()

    @property
    def connected(self) -> S:
        if self.session is None:
            raise Failed(
                "Provider is not configured", "The engine asked for an operation before it configured the provider."
            )
        return self.session

    def get_metadata(self, request: Any) -> Any:
        return MESSAGES["GetMetadataResponse"](
            server_capabilities=_capabilities(),
            resources=[MESSAGES["TypeName"](type_name=name) for name in self.provider.resources],
            data_sources=[MESSAGES["TypeName"](type_name=name) for name in self.provider.data_sources],
        )

    def get_provider_schema(self, request: Any) -> Any:
        return MESSAGES["GetProviderSchemaResponse"](
            server_capabilities=_capabilities(),
            provider=self.schema.provider.to_wire(),
            resource_schemas=_schema_entries(self.schema.resources),
            data_source_schemas=_schema_entries(self.schema.data_sources),
        )

    def validate_provider_config(self, request: Any) -> Any:
        return MESSAGES["ValidateProviderConfigResponse"]()

    def configure_provider(self, request: Any) -> Any:
        config = _decoded(self.schema.provider, request.config)
        self.session = self.provider.connect(config, self.stop)
        return MESSAGES["ConfigureProviderResponse"]()

    def validate_resource_config(self, request: Any) -> Any:
        problems = self._resource(request).validate(_decoded(self._schema(request), request.config))
        return MESSAGES["ValidateConfigResponse"](diagnostics=[_diagnostic(problem) for problem in problems])

    def validate_data_source_config(self, request: Any) -> Any:
        config = _decoded(self.schema.data_sources[request.type_name], request.config)
        problems = self.provider.data_sources[request.type_name].validate(config)
        return MESSAGES["ValidateConfigResponse"](diagnostics=[_diagnostic(problem) for problem in problems])

    def upgrade_resource_state(self, request: Any) -> Any:
        schema = self._schema(request)
        if request.version > schema.version:
            raise Failed(
                "State is from a newer provider",
                f"The state of {request.type_name} has schema version {request.version}.",
            )
        try:
            state = values.from_state(values.load_json(request.raw_state.json), schema.type)
        except (values.UnfitValue, KeyError, TypeError) as error:
            detail = f"The state of {request.type_name} has another shape than this provider's schema: {error}."
            raise Failed("State does not fit the schema", detail) from error
        return MESSAGES["UpgradeResourceStateResponse"](upgraded_state=_encoded(schema, state))

    def read_resource(self, request: Any) -> Any:
        schema = self._schema(request)
        state = _decoded(schema, request.current_state)
        found = self._resource(request).read(self.connected, state, _private(request.private))
        return MESSAGES["ReadResourceResponse"](
            new_state=_encoded(schema, found.state), private=_private_bytes(found.private)
        )

    def plan_resource_change(self, request: Any) -> Any:
        schema = self._schema(request)
        if (proposed := _decoded(schema, request.proposed_new_state)) is None:
            return MESSAGES["PlanResourceChangeResponse"](
                planned_state=request.proposed_new_state, planned_private=request.prior_private
            )
        change = Change(
            prior=_decoded(schema, request.prior_state),
            planned=proposed,
            config=_decoded(schema, request.config),
            private=_private(request.prior_private),
        )
        planned = self._resource(request).plan(self.connected, change)
        return MESSAGES["PlanResourceChangeResponse"](
            planned_state=_encoded(schema, planned.state),
            planned_private=request.prior_private,
            requires_replace=[_path(path) for path in dict.fromkeys(planned.replace)],
            legacy_type_system=self.provider.is_legacy,
        )

    def apply_resource_change(self, request: Any) -> Any:
        schema, resource = self._schema(request), self._resource(request)
        response = MESSAGES["ApplyResourceChangeResponse"]
        prior, planned = _decoded(schema, request.prior_state), _decoded(schema, request.planned_state)
        private = _private(request.planned_private)
        try:
            if planned is None:
                resource.delete(self.connected, prior)
                return response(new_state=_encoded(schema, None))
            change = Change(prior=prior, planned=planned, config=_decoded(schema, request.config), private=private)
            done = resource.create(self.connected, change) if prior is None else resource.update(self.connected, change)
            return response(
                new_state=_encoded(schema, done.state),
                private=_private_bytes(done.private),
                legacy_type_system=self.provider.is_legacy,
            )
        except Exception as error:  # noqa: BLE001 - whatever happens, an answer without a state would make the engine forget the object
            kept = error.state if isinstance(error, Failed) and error.state is not None else prior
            return response(
                new_state=_encoded(schema, kept),
                private=request.planned_private,
                diagnostics=[_diagnostic(_problem(error))],
            )

    def import_resource_state(self, request: Any) -> Any:
        schema = self._schema(request)
        found: Stored = self._resource(request).import_(self.connected, request.id, schema.empty())
        imported = [
            MESSAGES["ImportedResource"](
                type_name=request.type_name, state=_encoded(schema, found.state), private=_private_bytes(found.private)
            )
        ]
        return MESSAGES["ImportResourceStateResponse"](imported_resources=imported if found.state is not None else [])

    def move_resource_state(self, request: Any) -> Any:
        raise Failed(
            "Resource type cannot be moved here",
            f"This provider moves no state from {request.source_type_name} to {request.target_type_name}.",
        )

    def read_data_source(self, request: Any) -> Any:
        schema = self.schema.data_sources[request.type_name]
        state = self.provider.data_sources[request.type_name].read(self.connected, _decoded(schema, request.config))
        return MESSAGES["ReadDataSourceResponse"](state=_encoded(schema, state))

    def get_functions(self, request: Any) -> Any:
        return MESSAGES["GetFunctionsResponse"]()

    def stop_provider(self, request: Any) -> Any:
        self.stop.set()
        return MESSAGES["StopProviderResponse"]()

    def _resource(self, request: Any) -> Any:
        return self.provider.resources[request.type_name]

    def _schema(self, request: Any) -> Schema:
        return self.schema.resources[request.type_name]

    def methods(self) -> dict[str, tuple[Callable[[Any], Any], str, str]]:
        """Name each method of `tfplugin6.Provider` with its handler and its two messages."""
        handlers = {
            "GetMetadata": (self.get_metadata, "Empty"),
            "GetProviderSchema": (self.get_provider_schema, "Empty"),
            "ValidateProviderConfig": (self.validate_provider_config, ""),
            "ConfigureProvider": (self.configure_provider, ""),
            "UpgradeResourceState": (self.upgrade_resource_state, ""),
            "ReadResource": (self.read_resource, ""),
            "PlanResourceChange": (self.plan_resource_change, ""),
            "ApplyResourceChange": (self.apply_resource_change, ""),
            "ImportResourceState": (self.import_resource_state, ""),
            "MoveResourceState": (self.move_resource_state, ""),
            "ReadDataSource": (self.read_data_source, ""),
            "GetFunctions": (self.get_functions, "Empty"),
            "StopProvider": (self.stop_provider, "Empty"),
        }
        named = {
            name: (handler, asked or f"{name}Request", f"{name}Response") for name, (handler, asked) in handlers.items()
        }
        return named | {
            "ValidateResourceConfig": (
                self.validate_resource_config,
                "ValidateConfigRequest",
                "ValidateConfigResponse",
            ),
            "ValidateDataResourceConfig": (
                self.validate_data_source_config,
                "ValidateConfigRequest",
                "ValidateConfigResponse",
            ),
        }


def _capabilities() -> Any:
    return MESSAGES["Capabilities"](get_provider_schema_optional=True)


def _schema_entries(schemas: dict[str, Schema]) -> list[Any]:
    return [MESSAGES["SchemaEntry"](key=name, value=schema.to_wire()) for name, schema in schemas.items()]


def _decoded(schema: Schema, value: Any) -> Any:
    if value.msgpack:
        return values.read(value.msgpack, schema.type)
    return values.from_state(values.load_json(value.json), schema.type) if value.json else None


def _encoded(schema: Schema, state: Object | None) -> Any:
    if state is not None:
        state = {**state, **dict.fromkeys(schema.write_only)}
    return MESSAGES["Value"](msgpack=values.write(state, schema.type))


def _private(stored: bytes) -> Private:
    found: Private = json.loads(stored) if stored else {}
    return found


def _private_bytes(private: Private) -> bytes:
    return json.dumps(private, sort_keys=True).encode() if private else b""


def _path(path: Path) -> Any:
    step = MESSAGES["Step"]
    return MESSAGES["Path"](
        steps=[step(element_key_int=part) if isinstance(part, int) else step(attribute_name=part) for part in path]
    )


def _diagnostic(problem: Problem) -> Any:
    message = MESSAGES["Diagnostic"](
        severity=WARNING if problem.warning else ERROR, summary=problem.summary, detail=problem.detail
    )
    if problem.path:
        message.attribute.CopyFrom(_path(problem.path))
    return message


def _problem(error: Exception) -> Problem:
    """Say what went wrong to the user. The traceback of a bug goes to the log, without its message: that may quote a secret value."""
    if isinstance(error, Failed):
        return error.problem
    if isinstance(error, RecursionError):
        return Problem("Value is nested too deeply", "A value has more levels than the stand-in provider can follow.")
    sys.stderr.write("".join(traceback.format_tb(error.__traceback__)) + type(error).__name__ + "\n")
    return Problem(
        "Internal error in the stand-in provider",
        f"{type(error).__name__}. The traceback is in the engine's log (TF_LOG=debug). This is a bug of the sandbox.",
    )


def answering(handler: Callable[[Any], Any], response: Any) -> Callable[[Any, Any], Any]:
    """Wrap a handler so that everything that can go wrong reaches the user as a diagnostic."""

    def answer(request: Any, _context: Any) -> Any:
        try:
            return handler(request)
        except Exception as error:  # noqa: BLE001 - the process boundary: an exception that left here would say nothing to the user
            return response(diagnostics=[_diagnostic(_problem(error))])

    return answer
