"""A small HTTPS server on loopback that answers as a test scripts it, also in ways that no proper server would."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from runner.sandbox.certificates import Certificates

TENANT = "11111111-1111-4111-8111-111111111111"
TOKEN = "eyJhbGciOiJub25lIn0.token-canary.signature"


@dataclass(frozen=True)
class Received:
    """One request as it came in; header values byte for byte."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Sequence[tuple[str, bytes]]
    body: bytes

    def header(self, name: str) -> bytes | None:
        return next((value for found, value in self.headers if found.lower() == name.lower()), None)

    def text(self, name: str) -> str:
        return (self.header(name) or b"").decode()

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What goes back. `drop` cuts the connection instead; `trickle` sends the body in pieces, so many seconds apart."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False
    trickle: float = 0.0

    @property
    def content(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Script = Callable[[Received], Reply]


class Loopback:
    """The server: `script` answers all that is not a token request; `tokens` answers those."""

    def __init__(self, certificates: Certificates, script: Script, *, tokens: Script | None = None) -> None:
        self.script = script
        self.tokens = tokens or issue
        self.requests: list[Received] = []
        self.token_requests: list[Received] = []
        self.ca_file: Path = certificates.ca_file
        self._server = _Server(self)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificates.server_file, certificates.server_key_file)
        self._server.tls = tls
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, received: Received) -> Reply:
        if is_token_request(received):
            if received.method == "POST":
                self.token_requests.append(received)
            return self.tokens(received)
        self.requests.append(received)
        return self.script(received)


def is_token_request(received: Received) -> bool:
    return received.path.endswith(("/oauth2/v2.0/token", "/.well-known/openid-configuration"))


def issue(received: Received) -> Reply:
    """Entra's answers for a client that it accepts."""
    if received.method == "GET":
        base = f"https://{received.text('Host')}/{received.path.split('/')[1]}"
        document = {
            "issuer": f"{base}/v2.0",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
        }
        return Reply(body=document)
    return Reply(body={"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3599})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    tls: ssl.SSLContext

    def __init__(self, loopback: Loopback) -> None:
        super().__init__(("127.0.0.1", 0), _handler(loopback))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up or distrusts the certificate is part of the tests."""

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self.tls.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)


def _handler(loopback: Loopback) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def handle_request(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            parts = urlsplit(self.path)
            received = Received(
                method=self.command,
                path=unquote(parts.path),
                query={name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()},
                headers=[(name, value.encode("latin-1")) for name, value in self.headers.items()],
                body=self.rfile.read(length),
            )
            self.reply(loopback.answer(received))

        def reply(self, reply: Reply) -> None:
            if reply.drop:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 204:
                self.send_header("Content-Length", str(len(reply.content)))
            self.end_headers()
            if not reply.trickle:
                self.wfile.write(reply.content)
                return
            with suppress(OSError):  # the client has lost its patience: that is what is tested
                for byte in reply.content:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(reply.trickle)

        do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = handle_request  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    return Handler
