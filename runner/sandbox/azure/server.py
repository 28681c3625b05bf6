"""The sandbox as a server: HTTPS for everything, a CONNECT proxy, and plain HTTP for the managed identity endpoint.

One event loop in one thread; the work itself is synchronous and short (see `front`). Nothing here logs a call.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from runner.errors import InputError
from runner.sandbox import certificates
from runner.sandbox.azure import admin
from runner.sandbox.azure.faults import Faults
from runner.sandbox.azure.front import Front, Reply
from runner.sandbox.azure.hosts import CERTIFIED
from runner.sandbox.azure.proxy import Proxy
from runner.sandbox.azure.tokens import Tokens
from runner.sandbox.azure.wire import Answer, Call, Json
from runner.sandbox.azure.wire import call as make_call
from runner.sandbox.azure.world import World
from runner.sandbox.handle import SandboxHandle, remove_handle, write_handle

LARGEST_BODY = 4 * 1024 * 1024  # what Resource Manager takes

Connections = dict[tuple[str, int], asyncio.Transport]


class Sandbox:
    """An Azure on loopback, from entering the context to leaving it.

    `directory` keeps its certificates between runs. A wrong seed is an `InputError` at construction.
    """

    def __init__(self, directory: Path, *, seed: Path | None = None, port: int = 0, proxy_port: int = 0) -> None:
        self.directory = directory
        self.world = World.from_yaml(seed)
        self._files = certificates.ensure(directory, names=CERTIFIED, now=datetime.now(UTC))
        self._front = Front(self.world, Tokens(self._files.signing_key, lambda: self.world.now()))
        self._wanted_ports = (port, proxy_port, 0)
        self._sockets: list[socket.socket] = []
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._handle_written: SandboxHandle | None = None

    @property
    def faults(self) -> Faults:
        """The faults that are switched on; hold `world.lock` to change several at once."""
        return self._front.faults

    @property
    def ca_file(self) -> Path:
        """The certificate authority that clients have to trust."""
        return self._files.ca_file

    @property
    def host(self) -> str:
        """`127.0.0.1:port`."""
        return f"127.0.0.1:{self._port(0)}"

    @property
    def url(self) -> str:
        """Where every service answers."""
        return f"https://{self.host}"

    @property
    def proxy_url(self) -> str:
        """The proxy that lets clients keep Azure's host names."""
        return f"http://127.0.0.1:{self._port(1)}"

    @property
    def identity_url(self) -> str:
        """The managed identity endpoint; plain HTTP, as in Azure."""
        return f"http://127.0.0.1:{self._port(2)}/metadata/identity/oauth2/token"

    @property
    def function_url(self) -> str:
        """Where the first function of the seed answers."""
        name = next(iter(self.world.functions), "")
        return f"{self.url}/api/{name}"

    def handle(self) -> SandboxHandle:
        """What another process needs to reach this sandbox."""
        return SandboxHandle(
            url=self.url,
            ca_file=str(self.ca_file.resolve()),
            proxy_url=self.proxy_url,
            identity_url=self.identity_url,
            function_url=self.function_url,
            tenant_id=self.world.estate.tenant_id,
            pid=os.getpid(),
        )

    def engine_environment(self) -> dict[str, str]:
        """The variables that point the real providers here, without credentials."""
        return self.handle().engine_environment()

    def write_handle(self) -> Path:
        """Write `sandbox.json`, which `LZR_SANDBOX` leads to; it is taken away when the sandbox stops."""
        self._handle_written = self.handle()
        return write_handle(self.directory, self._handle_written)

    def drift(self, method: str, path: str, body: Any = None, *, tenant: str | None = None) -> Answer:
        """Change something behind the runner's back: an ARM or Graph call by somebody who may do everything."""
        given: Json = {"method": method, "path": path, "body": body, "tenant": tenant}
        return admin.drift(given, host=self.host, change=self._front.change)

    def __enter__(self) -> Self:
        self._sockets = _listen(self._wanted_ports)
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="azure-sandbox", daemon=True)
        self._thread.start()
        ready.wait()
        if self._stop is None:
            raise RuntimeError("the sandbox did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join(timeout=30)
        if self._handle_written is not None:
            remove_handle(self.directory, self._handle_written)

    def _port(self, place: int) -> int:
        if not self._sockets:
            raise RuntimeError("the sandbox has an address only while it runs")
        return int(self._sockets[place].getsockname()[1])

    def _run(self, ready: threading.Event) -> None:
        try:
            asyncio.run(self._serve(ready))
        finally:
            ready.set()  # also when it failed: nobody waits for a thread that is gone

    async def _serve(self, ready: threading.Event) -> None:
        connections: Connections = {}
        listening = [
            *await _listening(self._front.take, connections, self._sockets[0], self._files),
            *await _listening(self._front.identity, connections, self._sockets[2], None),
        ]
        carrying = await Proxy(to=("127.0.0.1", self._port(0))).listen(self._sockets[1])
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        ready.set()
        await self._stop.wait()
        for server in listening:
            server.close()
        await carrying.close()
        await asyncio.sleep(
            0
        )  # what was accepted in this very moment becomes a connection, or its socket would be left open
        await asyncio.sleep(0)
        while connections:
            for transport in list(connections.values()):
                transport.abort()  # a polite close waits for the other side, which may be idle for good
            await asyncio.sleep(0)


def _listen(ports: Sequence[int]) -> list[socket.socket]:
    """Take all the ports, or none."""
    taken: list[socket.socket] = []
    for port in ports:
        # with the protocol named, asyncio switches Nagle's algorithm off; else each answer waits 40 ms for a delayed ACK
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        taken.append(listener)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            for one in taken:
                one.close()
            raise InputError(
                "The port is taken",
                code="sandbox-port-taken",
                detail=f"127.0.0.1:{port}: {error.strerror}.",
                hint="Choose another with --port, or 0 for any.",
            ) from error
    return taken


async def _listening(
    take: Callable[[Call], Reply],
    connections: Connections,
    listener: socket.socket,
    files: certificates.Certificates | None,
) -> list[asyncio.Server]:
    """Serve calls on a socket, with TLS when there are certificates for it.

    `uvicorn.Server.serve` would do the same and then take 0.2 s to notice that it should stop, at the end of every test.
    """
    config = uvicorn.Config(
        _application(take, connections),
        http=_cuttable(connections),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        ssl_certfile=files.server_file if files else None,
        ssl_keyfile=files.server_key_file if files else None,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    return server.servers


def _cuttable(connections: Connections) -> type[asyncio.Protocol]:
    class Cuttable(H11Protocol):
        """Keeps its connection where the application finds it: uvicorn has no other way to cut one."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.peer: tuple[str, int] = transport.get_extra_info("peername")[:2]
            connections[self.peer] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            connections.pop(self.peer, None)

    return Cuttable


def _application(take: Callable[[Call], Reply], connections: Connections) -> ASGIApp:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_BODY:
                await Response(status_code=413)(scope, receive, send)
                return
        # still encoded: a slash inside a name is not a separator
        url = (scope["raw_path"] + b"?" + scope["query_string"]).decode("latin-1")
        host = request.headers.get("host", "")
        reply = take(make_call(request.method, url, host=host, headers=dict(request.headers), body=body))
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if reply.cut:
            await _cut(connections, scope)
        else:
            await Response(reply.content, status_code=reply.status, headers=dict(reply.headers))(scope, receive, send)

    return application


async def _cut(connections: Connections, scope: Scope) -> None:
    transport = connections.get(tuple(scope["client"]))
    if transport is not None:  # else the client has gone by itself
        transport.abort()
        await asyncio.sleep(0.01)  # let the loss arrive, or uvicorn would answer the call with a 500
