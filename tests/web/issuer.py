"""An issuer on loopback that publishes keys and signs whatever a test wants, also what no real one would."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

CLIENT = "lzr-server"


@cache
def key(name: str) -> RSAPrivateKey:
    """A key with this name, the same for all tests of a process."""
    return generate_private_key(public_exponent=65537, key_size=2048)


def jwk(name: str) -> dict[str, Any]:
    """The public part as issuers publish it."""
    found: dict[str, Any] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key(name).public_key()))
    return found | {"kid": name, "use": "sig", "alg": "RS256"}


class Issuer:
    """What it publishes may be changed, and so may how it answers at its token endpoint: `exchange` gets the form."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.keys: list[dict[str, Any]] = [jwk("first")]
        self.metadata: dict[str, Any] = {
            "issuer": address,
            "jwks_uri": f"{address}/keys",
            "authorization_endpoint": f"{address}/authorize",
            "token_endpoint": f"{address}/token",
        }
        self.exchange: Callable[[dict[str, str]], Any] = lambda form: (400, {"error": "invalid_grant"})
        self.asked: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.away = False

    def token(self, *, by: str = "first", headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A signed token for this server's client; a claim that is None is left out."""
        now = int(time.time())
        told = {"iss": self.address, "aud": CLIENT, "sub": "ada", "iat": now, "exp": now + 300} | claims
        whole = {name: value for name, value in told.items() if value is not None}
        return jwt.encode(whole, key(by), "RS256", headers={"kid": by} | (headers or {}))

    def answer(self, path: str) -> tuple[int, Any]:
        self.asked.append(path)
        if self.away:
            return 503, {}
        found = {"/.well-known/openid-configuration": self.metadata, "/keys": {"keys": self.keys}}.get(path)
        return (200, found) if found is not None else (404, {})


@contextmanager
def issuer() -> Iterator[Issuer]:
    """An issuer that answers meanwhile."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(*made.answer(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            form["authorization"] = self.headers.get("authorization", "")
            made.forms.append(form)
            self._send(*made.exchange(form))

        def _send(self, status: int, content: Any) -> None:
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Issuer(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
