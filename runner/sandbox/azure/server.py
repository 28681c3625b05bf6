"""The sandbox as a server: HTTPS for everything, a CONNECT proxy, and plain HTTP for the managed identity endpoint.

One event loop in one thread; the work itself is synchronous and short (see `front`). Nothing here logs a call.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

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
from runner.sandbox.serving import Connections, close, cut, cut_all, listen, serve

LARGEST_BODY = 4 * 1024 * 1024  # what Resource Manager takes


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
        tls = (self._files.server_file, self._files.server_key_file)
        listening = [
            *await serve(_application(self._front.take, connections), connections, self._sockets[0], tls),
            *await serve(_application(self._front.identity, connections), connections, self._sockets[2], None),
        ]
        carrying = await Proxy(to=("127.0.0.1", self._port(0))).listen(self._sockets[1])
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        ready.set()
        await self._stop.wait()
        close(listening)
        await carrying.close()
        await cut_all(connections)


def _listen(ports: Sequence[int]) -> list[socket.socket]:
    """Take all the ports, or none."""
    with ExitStack() as taking:
        taken = [taking.enter_context(listen(port)) for port in ports]
        taking.pop_all()
    return taken


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
            await cut(connections, scope)
        else:
            await Response(reply.content, status_code=reply.status, headers=dict(reply.headers))(scope, receive, send)

    return application
