"""A CONNECT proxy that carries Azure's host names to the sandbox and nothing anywhere else.

With it, programs that know nothing of the sandbox keep Azure's real names; whatever they try beyond those gets a 403.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Self

from runner.sandbox.azure.hosts import LOOPBACK, stands_for_azure

LONGEST_HEAD = 16_384
REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Proxy:
    """Carries clients to one address until it is closed."""

    def __init__(self, to: tuple[str, int]) -> None:
        self._to = to
        self._clients: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, listener: socket.socket) -> Self:
        """Take clients from a bound socket."""
        self._server = await asyncio.start_server(self._serve, sock=listener, limit=LONGEST_HEAD)
        return self

    async def close(self) -> None:
        """Hang up on everybody; when this returns nothing is left open."""
        if self._server is not None:
            self._server.close()
        while self._clients:
            for client in self._clients:
                client.cancel()
            await asyncio.wait(self._clients)

    def _leads_to_the_sandbox(self, host: str, port: int) -> bool:
        """By any name of its own address, or by one of Azure's."""
        return (host in LOOPBACK and port == self._to[1]) or (port == 443 and stands_for_azure(host))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = asyncio.ensure_future(self._carry(reader, writer))
        self._clients.add(client)
        client.add_done_callback(self._clients.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect one client to the sandbox, by its own address or as one of Azure's hosts, or refuse."""
        async with _closing(writer):
            try:
                target = await _asked(reader)
                if target is None or not self._leads_to_the_sandbox(*target):
                    writer.write(REFUSED)
                    await writer.drain()
                    return
                inner_reader, inner_writer = await asyncio.open_connection(*self._to)
                async with _closing(inner_writer):
                    writer.write(ESTABLISHED)
                    async with asyncio.TaskGroup() as both:
                        both.create_task(_pump(reader, inner_writer))
                        both.create_task(_pump(inner_reader, writer))
            except* (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                pass  # either side hung up, or said nothing that is HTTP: nobody is left to tell


@contextlib.asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _asked(reader: asyncio.StreamReader) -> tuple[str, int] | None:
    """Where a `CONNECT host:port` wants to go; None for anything else."""
    head = await reader.readuntil(b"\r\n\r\n")
    method, _, rest = head.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
    host, _, port = rest.split(" ", 1)[0].rpartition(":")
    return (host.lower(), int(port)) if method == "CONNECT" and port.isascii() and port.isdigit() else None


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65_536):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
