"""One event loop in one thread that serves HTTP, with TLS or without, and can cut a connection; knows nothing of what is served."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from runner.sandbox.meshstack.wire import Answer, Call
from runner.sandbox.serving import Connections, close, cut, cut_all, serve

Respond = Callable[[Call], Awaitable[Answer | None]]
"""The answer to a call; None cuts the connection."""


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
        self._connections: Connections = {}
        self._servers: list[asyncio.Server] = []

    async def __aenter__(self) -> None:
        application = _application(self._respond, self._connections, self._largest)
        self._servers = await serve(application, self._connections, self._listener, self._tls)

    async def __aexit__(self, *_: object) -> None:
        close(self._servers)
        await cut_all(self._connections)


def _application(respond: Respond, connections: Connections, largest: int) -> ASGIApp:
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
            await cut(connections, scope)
            return
        json = {} if isinstance(answer.body, bytes) or answer.body is None else {"Content-Type": "application/json"}
        response = Response(answer.content, status_code=answer.status, headers={**json, **answer.headers})
        await response(scope, receive, send)

    return application
