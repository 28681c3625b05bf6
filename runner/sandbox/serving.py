"""What the servers of the sandboxes share: a port on loopback, HTTP that is served at once and stops at once, connections that are cut."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from runner.errors import InputError

Connections = dict[tuple[str, int], asyncio.Transport]
"""The open ones, by the other side's address."""


def listen(port: int) -> socket.socket:
    """Take a port on loopback; InputError where somebody has it."""
    # with the protocol named, asyncio switches Nagle's algorithm off; else each answer waits 40 ms for a delayed ACK
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise InputError(
            "The port is taken",
            code="sandbox-port-taken",
            detail=f"127.0.0.1:{port}: {error.strerror}.",
            hint="Choose another with --port, or 0 for any.",
        ) from error
    return listener


async def serve(
    application: ASGIApp, connections: Connections, listener: socket.socket, tls: tuple[Path, Path] | None
) -> list[asyncio.Server]:
    """Serve an application on a socket, with TLS when there is a certificate with its key; its connections are kept in `connections`.

    `uvicorn.Server.serve` would do the same and then take 0.2 s to notice that it should stop, at the end of every test.
    """
    config = uvicorn.Config(
        application,
        http=_cuttable(connections),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        ssl_certfile=tls[0] if tls else None,
        ssl_keyfile=tls[1] if tls else None,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    return server.servers


async def cut(connections: Connections, scope: Scope) -> None:
    """Cut the connection that a call came by."""
    transport = connections.get(tuple(scope["client"]))
    if transport is not None:  # else the client has gone by itself
        transport.abort()
        await asyncio.sleep(0.01)  # let the loss arrive, or uvicorn would answer the call with a 500


async def cut_all(connections: Connections) -> None:
    """Cut what is left once nothing is accepted any more."""
    # what was accepted in this very moment becomes a connection, or its socket would be left open
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    while connections:
        for transport in list(connections.values()):
            transport.abort()  # a polite close waits for the other side, which may be idle for good
        await asyncio.sleep(0)


def close(servers: Iterable[asyncio.Server]) -> None:
    """Accept nothing more."""
    for server in servers:
        server.close()


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
