"""Servers that keep Terraform's states, each a real one on loopback: moto's S3, Azurite, a server of the HTTP protocol.

Azurite is found in the folder that `make servers` installs it into.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from runner.sandbox.certificates import ensure

AZURITE = Path(sys.prefix) / "azurite" / "node_modules" / ".bin" / "azurite-blob"
ACCOUNT, CONTAINER, BUCKET = "tfstatelocal", "tfstate", "states"
ACCESS_KEY = base64.b64encode(b"no secret: of an account that only exists in a test").decode()
_PATIENCE = 60.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(port: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, f"nobody listens on port {port}"
            threading.Event().wait(0.05)


@contextmanager
def s3() -> Iterator[str]:
    """The address of a service that speaks S3, with an empty bucket."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(port)
            address = f"http://127.0.0.1:{port}"
            urllib.request.urlopen(urllib.request.Request(f"{address}/{BUCKET}", method="PUT"), timeout=10).close()
            yield address
        finally:
            process.kill()


class _States(BaseHTTPRequestHandler):
    """https://developer.hashicorp.com/terraform/language/backend/http, with locks."""

    protocol_version = "HTTP/1.1"
    states: dict[str, bytes]
    locks: dict[str, dict[str, Any]]

    def do_GET(self) -> None:
        found = self.states.get(self._path)
        self._answer(404 if found is None else 200, found or b"")

    def do_POST(self) -> None:
        content = self._content
        held = self.locks.get(self._path)
        if held is not None and f"ID={held['ID']}" not in self.path:
            return self._answer(409)
        self.states[self._path] = content
        return self._answer(200)

    def do_LOCK(self) -> None:
        asked = json.loads(self._content)
        held = self.locks.setdefault(self._path, asked)
        self._answer(200 if held is asked else 423, json.dumps(held).encode())

    def do_UNLOCK(self) -> None:
        _ = self._content
        self.locks.pop(self._path, None)
        self._answer(200)

    @property
    def _path(self) -> str:
        return self.path.partition("?")[0]

    @property
    def _content(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, status: int, body: bytes = b"") -> None:
        wanted = "Basic " + base64.b64encode(b"runner:state-password").decode()
        if self.headers.get("Authorization") != wanted:
            status, body = 401, b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


@contextmanager
def http() -> Iterator[str]:
    """The address of a server of states that knows one user."""
    handler = type("States", (_States,), {"states": {}, "locks": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/states"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def azurite(directory: Path) -> Iterator[dict[str, str]]:
    """Variables that lead the engine to Azurite by the names that Azure's storage has: a proxy carries them there."""
    names = [f"{ACCOUNT}.blob.core.windows.net", "127.0.0.1"]
    files = ensure(directory, names=names, now=datetime.now(UTC))
    port = free_port()
    command = [str(AZURITE), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent", "--skipApiVersionCheck"]
    command += [
        "--disableTelemetry",
        "--inMemoryPersistence",
        "--cert",
        str(files.server_file),
        "--key",
        str(files.server_key_file),
    ]
    around = {**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{ACCESS_KEY}"}
    with (
        subprocess.Popen(command, env=around, cwd=directory, stdout=subprocess.DEVNULL) as process,
        _carrier(port) as proxy,
    ):
        try:
            wait_for(port)
            _make_container(port, files.ca_file)
            yield {"HTTPS_PROXY": f"http://127.0.0.1:{proxy}", "SSL_CERT_FILE": str(files.ca_file)}
        finally:
            process.kill()


def _make_container(port: int, authority: Path) -> None:
    """Signed as https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key has it."""
    date, version = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"), "2021-12-02"
    canonical = f"x-ms-date:{date}\nx-ms-version:{version}\n/{ACCOUNT}/{ACCOUNT}/{CONTAINER}\nrestype:container"
    mac = hmac.digest(base64.b64decode(ACCESS_KEY), ("PUT" + "\n" * 12 + canonical).encode(), "sha256")
    asked = urllib.request.Request(
        f"https://127.0.0.1:{port}/{ACCOUNT}/{CONTAINER}?restype=container",
        method="PUT",
        headers={
            "x-ms-date": date,
            "x-ms-version": version,
            "Content-Length": "0",
            "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(mac).decode()}",
        },
    )
    trusted = ssl.create_default_context(cafile=str(authority))
    urllib.request.urlopen(asked, timeout=10, context=trusted).close()


@contextmanager
def _carrier(to: int) -> Iterator[int]:
    """A CONNECT proxy that carries everything to one port; its own port."""
    ready = threading.Event()
    said: dict[str, Any] = {}

    async def serve() -> None:
        said["stop"], said["loop"] = asyncio.Event(), asyncio.get_running_loop()
        server = await asyncio.start_server(lambda reader, writer: _carry(reader, writer, to), "127.0.0.1", 0)
        said["port"] = server.sockets[0].getsockname()[1]
        ready.set()
        await said["stop"].wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)  # cancels what is still carried
    thread.start()
    ready.wait()
    try:
        yield said["port"]
    finally:
        said["loop"].call_soon_threadsafe(said["stop"].set)
        thread.join()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to: int) -> None:
    inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", to)
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        pumps = [_pump(reader, inner_writer), _pump(inner_reader, writer)]
        await asyncio.wait([asyncio.ensure_future(pump) for pump in pumps], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in (writer, inner_writer):
            each.close()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await source.read(65_536):
            target.write(chunk)
            await target.drain()
