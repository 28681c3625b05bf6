"""A CONNECT proxy that carries Azure's host names to the sandbox and nothing anywhere else.

With it, programs that know nothing of the sandbox keep Azure's real names; whatever they try beyond those gets a 403.
"""

from __future__ import annotations

import asyncio
import contextlib

from runner.sandbox.azure.hosts import stands_for_azure

LONGEST_HEAD = 16_384
REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to: tuple[str, int]) -> None:
    """Serve one client: connect it to the sandbox, by its own address or as one of Azure's hosts, or refuse."""
    try:
        target = await _asked(reader)
        if target is None or not (target == to or (target[1] == 443 and stands_for_azure(target[0]))):
            writer.write(REFUSED)
            await writer.drain()
            return
        inner_reader, inner_writer = await asyncio.open_connection(*to)
        writer.write(ESTABLISHED)
        try:
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
        finally:
            inner_writer.close()
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass  # either side hung up: nobody is left to tell
    finally:
        writer.close()


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
    with contextlib.suppress(OSError):  # the other side may be gone as well
        writer.write_eof()
