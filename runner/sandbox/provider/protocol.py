"""A Terraform provider as a process: go-plugin's handshake and the gRPC service of plugin protocol 6.

Three facts about go-plugin decide the shape. The engine presents a P-521 client certificate, a curve that gRPC's C core refuses, so
the server asks for none and listens on a socket in a directory that only its user may enter. The engine's interrupt reaches the whole
process group, so the server ignores it and waits for `StopProvider`. An engine that is killed says no good-bye, so the server watches
its parent.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from threading import Event
from typing import Any, Generic

import grpc

from runner.sandbox.provider import values
from runner.sandbox.provider.contract import Change, Failed, Object, Path, Private, Problem, Provider, S, Stored
from runner.sandbox.provider.schema import ProviderSchema, Schema
from runner.sandbox.provider.wire import ERROR, MESSAGES, WARNING

_COOKIE = ("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2")
_WORKERS = 24  # the engine walks 10 resources at a time by default; a long poll of one must not hold up the rest
_SOCKET_PATH_LIMIT = 100  # of the 104 (macOS) or 108 (Linux) bytes of a socket address


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
        except Exception as error:  # noqa: BLE001 - whatever happens, an answer without a state would make the engine forget the object
            kept = error.state if isinstance(error, Failed) and error.state is not None else prior
            return response(
                new_state=_encoded(schema, kept),
                private=request.planned_private,
                diagnostics=[_diagnostic(_problem(error))],
            )
        return response(
            new_state=_encoded(schema, done.state),
            private=_private_bytes(done.private),
            legacy_type_system=self.provider.is_legacy,
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
    sys.stderr.write("".join(traceback.format_tb(error.__traceback__)) + type(error).__name__ + "\n")
    return Problem(
        "Internal error in the stand-in provider",
        f"{type(error).__name__}. The traceback is in the engine's log (TF_LOG=debug). This is a bug of the sandbox.",
    )


def _answering(handler: Callable[[Any], Any], response: Any) -> Callable[[Any, Any], Any]:
    """Wrap a handler so that everything that can go wrong reaches the user as a diagnostic."""

    def answer(request: Any, _context: Any) -> Any:
        try:
            return handler(request)
        except Exception as error:  # noqa: BLE001 - the process boundary: an exception that left here would say nothing to the user
            return response(diagnostics=[_diagnostic(_problem(error))])

    return answer


def _provider_handlers(service: Service[Any]) -> Any:
    def rpc(handler: Callable[[Any], Any], request: str, response: str) -> Any:
        answer = _answering(handler, MESSAGES[response])
        return grpc.unary_unary_rpc_method_handler(
            answer, MESSAGES[request].FromString, MESSAGES[response].SerializeToString
        )

    return grpc.method_handlers_generic_handler(
        "tfplugin6.Provider", {name: rpc(*method) for name, method in service.methods().items()}
    )


def _plugin_handlers(done: Event) -> tuple[Any, Any]:
    """go-plugin's own two services: the order to leave, and a stream of output that stays empty because stderr is logged already."""
    empty = MESSAGES["Empty"]

    def shutdown(_request: Any, _context: Any) -> Any:
        done.set()
        return empty()

    def no_output(_request: Any, _context: Any) -> Iterator[Any]:
        yield from ()

    return (
        grpc.method_handlers_generic_handler(
            "plugin.GRPCController",
            {"Shutdown": grpc.unary_unary_rpc_method_handler(shutdown, empty.FromString, empty.SerializeToString)},
        ),
        grpc.method_handlers_generic_handler(
            "plugin.GRPCStdio",
            {
                "StreamStdio": grpc.unary_stream_rpc_method_handler(
                    no_output, empty.FromString, MESSAGES["StdioData"].SerializeToString
                )
            },
        ),
    )


def serve(provider: Provider[Any], certificate: FilePath) -> None:
    """Serve `provider` until the engine says shut down, goes away, or sends SIGTERM. `certificate` is a PEM file of key and chain."""
    if os.environ.get(_COOKIE[0]) != _COOKIE[1]:
        sys.stderr.write(
            "This program is a Terraform provider of the sandbox: the engine starts it, it does nothing by itself.\n"
        )
        raise SystemExit(1)
    parent, done = os.getppid(), Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    server = grpc.server(
        ThreadPoolExecutor(_WORKERS),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    service = Service(provider)
    server.add_generic_rpc_handlers((_provider_handlers(service), *_plugin_handlers(done)))
    pem = certificate.read_bytes()
    start = pem.index(b"-----BEGIN CERTIFICATE-----")
    directory = _private_directory()
    socket = f"{directory}/s"
    try:
        server.add_secure_port(f"unix:{socket}", grpc.ssl_server_credentials([(pem[:start], pem[start:])]))
        server.start()
        body = b"".join(line for line in pem[start:].splitlines() if not line.startswith(b"-----"))
        sys.stdout.write(f"1|6|unix|{socket}|grpc|{body.decode().rstrip('=')}\n")
        sys.stdout.flush()
        while not done.wait(1):
            if os.getppid() != parent:
                break
        service.stop.set()
        server.stop(0.2).wait(1)
    finally:
        _remove(directory)
    os._exit(0)  # a worker that still waits for a reply must not hold the process


def _private_directory() -> str:
    """Make a directory that only this user may enter, with a path short enough for a socket address."""
    name = f"lzr-provider-{os.getpid()}-{os.urandom(4).hex()}"
    root = os.environ.get("TMPDIR", "/tmp")  # noqa: S108 - the directory itself is private and has an unguessable name
    path = f"{root.rstrip('/')}/{name}"
    if len(path) > _SOCKET_PATH_LIMIT:
        path = f"/tmp/{name}"  # noqa: S108
    os.mkdir(path, 0o700)  # noqa: PTH102 - pathlib's mkdir masks the mode the same way; this module needs no path object for it
    return path


def _remove(directory: str) -> None:
    folder = FilePath(directory)
    (folder / "s").unlink(missing_ok=True)
    folder.rmdir()
