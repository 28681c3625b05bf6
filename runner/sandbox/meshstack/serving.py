"""One event loop in one thread that serves HTTP, with TLS or without, and can cut a connection; knows nothing of what is served."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path

import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from runner.errors import InputError
from runner.sandbox.meshstack.wire import Answer, Call

Respond = Callable[[Call], Awaitable[Answer | None]]
"""The answer to a call; None cuts the connection."""

_Connections = dict[tuple[str, int], asyncio.Transport]


def listen(port: int) -> socket.socket:
    """Take a port on loopback; InputError where somebody has it."""
    # with the protocol named, asyncio switches Nagle's algorithm off; else each answer waits 40 ms for a delayed ACK
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise InputError(
            "The port is taken",
            code="sandbox-port-taken",
            detail=f"127.0.0.1:{port}: {error.strerror}.",
            hint="Choose another with --port, or 0 for any.",
        ) from error
    return listener


@contextmanager
def in_thread(name: str, serving: AbstractAsyncContextManager[None]) -> Iterator[None]:
    """Run `serving` in an event loop of its own; it has been entered when this yields, and left when this ends."""
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    failed: list[Exception] = []
    ready = threading.Event()

    async def work() -> None:
        stop = asyncio.Event()
        async with serving:
            loops.append((asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(work())
        except Exception as error:  # noqa: BLE001 - told to the thread that waits, or it would wait for nothing
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    ready.wait()
    try:
        if failed:
            raise failed[0]
        yield
    finally:
        for loop, stop in loops:
            if not loop.is_closed():
                loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=30)


class Http:
    """Calls on one socket, from entering the context to leaving it, when every connection is cut."""

    def __init__(
        self, respond: Respond, listener: socket.socket, *, largest: int, tls: tuple[Path, Path] | None = None
    ) -> None:
        self._respond = respond
        self._listener = listener
        self._largest = largest
        self._tls = tls
        self._connections: _Connections = {}
        self._servers: list[asyncio.Server] = []

    async def __aenter__(self) -> None:
        # `uvicorn.Server.serve` would do the same and then take 0.2 s to notice that it should stop
        config = uvicorn.Config(
            _application(self._respond, self._connections, self._largest),
            http=_cuttable(self._connections),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,
            ssl_certfile=self._tls[0] if self._tls else None,
            ssl_keyfile=self._tls[1] if self._tls else None,
        )
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[self._listener])
        self._servers = server.servers

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
        # what was accepted in this very moment becomes a connection, or its socket would be left open
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        while self._connections:
            for transport in list(self._connections.values()):
                transport.abort()  # a polite close waits for the other side, which may be idle for good
            await asyncio.sleep(0)


def _cuttable(connections: _Connections) -> type[asyncio.Protocol]:
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


def _application(respond: Respond, connections: _Connections, largest: int) -> ASGIApp:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body, size = bytearray(), 0
        async for chunk in request.stream():
            size += len(chunk)  # read to its end in any case: a client that is still sending would not see the answer
            if size <= largest:
                body += chunk
        call = Call(
            method=request.method,
            raw_path=scope["raw_path"].decode("latin-1"),
            raw_query=scope["query_string"].decode("latin-1"),
            headers=dict(request.headers),
            body=bytes(body),
            too_large=size > largest,
        )
        answer = await respond(call)
        if answer is None:
            await _cut(connections, scope)
            return
        json = {} if isinstance(answer.body, bytes) or answer.body is None else {"Content-Type": "application/json"}
        response = Response(answer.content, status_code=answer.status, headers={**json, **answer.headers})
        await response(scope, receive, send)

    return application


async def _cut(connections: _Connections, scope: Scope) -> None:
    transport = connections.get(tuple(scope["client"]))
    if transport is not None:  # else the client has gone by itself
        transport.abort()
        await asyncio.sleep(0.01)  # let the loss arrive, or uvicorn would answer the call with a 500
