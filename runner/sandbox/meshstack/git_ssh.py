"""Git over SSH: one client key, one command. Knows nothing of shells, terminals or forwarding."""

from __future__ import annotations

import asyncio
import os
import shlex
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh

from runner.sandbox.meshstack.git import Git, ended, environment

CLIENT_KEY = "git-client-key"
HOST_KEY = "git-host-key"
_CHUNK = 64 * 1024


class Keys:
    """The server's own key and the one client key that may come in, kept in a directory."""

    def __init__(self, directory: Path) -> None:
        self.client_file = directory / CLIENT_KEY
        self.client = _key(self.client_file)
        self.host = _key(directory / HOST_KEY)

    @property
    def host_line(self) -> str:
        """The public host key: its type and its value."""
        return " ".join(self.host.export_public_key("openssh").decode().split()[:2])


def _key(path: Path) -> asyncssh.SSHKey:
    if path.is_file():
        return asyncssh.read_private_key(path)
    made = asyncssh.generate_private_key("ssh-ed25519")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(made.export_private_key("openssh"))
    return made


@asynccontextmanager
async def over_ssh(git: Git, keys: Keys, listener: socket.socket) -> AsyncIterator[None]:
    """Serve the repositories on a socket; at the end every connection is cut."""
    open_connections: set[asyncssh.SSHServerConnection] = set()

    class Server(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            self._connection = conn
            open_connections.add(conn)

        def connection_lost(self, exc: Exception | None) -> None:
            open_connections.discard(self._connection)

    async def answer(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.exit(await _upload(git, process))

    public = keys.client.export_public_key("openssh").decode()
    acceptor = await asyncssh.listen(
        sock=listener,
        config=None,
        server_factory=Server,
        server_host_keys=[keys.host],
        authorized_client_keys=asyncssh.import_authorized_keys(public),
        process_factory=answer,
        encoding=None,
        gss_host=None,
        password_auth=False,
        kbdint_auth=False,
        allow_pty=False,
        agent_forwarding=False,
        x11_forwarding=False,
    )
    try:
        yield
    finally:
        acceptor.close()
        for connection in list(open_connections):
            connection.abort()
        while open_connections:
            await asyncio.sleep(0)


async def _upload(git: Git, process: asyncssh.SSHServerProcess[bytes]) -> int:
    """Run `git-upload-pack` for a repository below the root, and nothing else; the exit code."""
    try:
        words = shlex.split(process.command or "")
    except ValueError:
        words = []
    place = git.root / words[-1].lstrip("/") if len(words) == 2 else None
    if place is None or words[0] != "git-upload-pack" or not git.contains(place) or not place.is_dir():
        process.stderr.write(b"only git-upload-pack of a repository that is here can be run\n")
        return 1
    version = process.env.get("GIT_PROTOCOL", "")
    child = await asyncio.create_subprocess_exec(
        "git",
        "upload-pack",
        "--strict",
        str(place.resolve()),
        env=environment() | ({"GIT_PROTOCOL": str(version)} if version else {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    coming = asyncio.create_task(_to_child(process, child))
    try:
        if await _from_child(process, child):
            git.fetches += 1
        return await child.wait()
    finally:
        coming.cancel()
        await ended(child)


async def _to_child(process: asyncssh.SSHServerProcess[bytes], child: asyncio.subprocess.Process) -> None:
    if child.stdin is None:
        return
    try:
        while chunk := await process.stdin.read(_CHUNK):
            child.stdin.write(chunk)
            await child.stdin.drain()
    except (OSError, asyncssh.Error):
        pass  # one of the two has gone; the other is told by the end of its stream
    finally:
        child.stdin.close()


async def _from_child(process: asyncssh.SSHServerProcess[bytes], child: asyncio.subprocess.Process) -> bool:
    """Hand on what git says; whether a pack was in it."""
    packed, last = False, b""
    while child.stdout is not None and (chunk := await child.stdout.read(_CHUNK)):
        packed = packed or b"PACK" in last[-3:] + chunk
        last = chunk
        process.stdout.write(chunk)
        await process.stdout.drain()
    return packed
