"""HTTPS requests to the sandbox, and to nothing else.

On `http.client` from the standard library: a provider process lives for a second and makes a handful of calls, and importing it
costs 11 ms where urllib3 costs 45 and httpx more than that (measured with Python 3.11, beside an imported grpc). One connection per
worker thread stays open. Proxies of the environment are not used. Throttled and failed requests are sent again as Azure's SDKs do:
three times, after the time that Retry-After says.
"""

from __future__ import annotations

import select
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from threading import Event, local
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from runner.sandbox.provider.contract import Failed
from runner.sandbox.provider.values import load_json

if TYPE_CHECKING:
    from http.client import HTTPConnection
    from ssl import SSLContext

_REPEATED = frozenset({408, 429, 500, 502, 503, 504})
_ATTEMPTS = 4
_SHORT_PAUSE = 0.2  # seconds, doubled for each attempt, when a reply does not say how long to wait
_SOCKET_TIMEOUT = 60.0
_SAFE_TO_REPEAT = frozenset({"GET", "HEAD", "PUT", "DELETE"})


@dataclass(frozen=True)
class Reply:
    """One HTTP reply. Header names are in lower case."""

    method: str
    url: str
    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def json(self) -> Any:
        """The body as JSON, or None when it is empty or something else."""
        try:
            return load_json(self.body) if self.body else None
        except ValueError:
            return None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asks to wait."""
        for name, unit in (("retry-after-ms", 0.001), ("x-ms-retry-after-ms", 0.001), ("retry-after", 1.0)):
            if (text := self.headers.get(name, "")).isdecimal():
                return int(text) * unit
        return None

    @property
    def error_code(self) -> str:
        """The code of an Azure or Graph error, in the reply's header or body."""
        error = self.json.get("error") if isinstance(self.json, dict) else None
        code = error.get("code") if isinstance(error, dict) else None
        return str(self.headers.get("x-ms-error-code") or code or "UNAVAILABLE")


def pause(stop: Event, seconds: float) -> None:
    """Wait, unless the engine asks to stop."""
    if stop.wait(seconds):
        raise Failed("Stopped", "The engine asked to stop before the operation was complete.")


def where(url: str) -> tuple[str, str | None, int]:
    """Split off what says where a URL leads; one that cannot be read leads nowhere."""
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or 443
    except ValueError:
        return "", None, 0


class _Broken(Exception):
    """A connection broke before the reply was whole."""

    def __init__(self, reason: str, *, is_passing: bool) -> None:
        super().__init__(reason)
        self.is_passing = is_passing


@dataclass
class Rest:
    """Requests to one origin."""

    host: str
    port: int
    authority_file: str
    stop: Event
    user_agent: str
    attempts: int = _ATTEMPTS
    connections: local = field(default_factory=local)

    @cached_property
    def _tls(self) -> SSLContext:
        from ssl import PROTOCOL_TLS_CLIENT, SSLContext

        context = SSLContext(PROTOCOL_TLS_CLIENT)  # trusts nothing until told to
        try:
            context.load_verify_locations(self.authority_file)
        except OSError as error:
            detail = f"SSL_CERT_FILE {self.authority_file!r} is no usable certificate file: {error.strerror or error}."
            raise Failed("The sandbox's certificate authority cannot be read", detail) from error
        return context

    def send(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        plain_loopback: bool = False,
    ) -> Reply:
        """Return whatever the server answers. Only `plain_loopback`, an address that its caller checked, may leave the origin."""
        if not plain_loopback and where(url) != ("https", self.host, self.port):
            raise Failed(
                "The stand-in provider refuses this address", f"{url!r} is not the sandbox at {self.host}:{self.port}."
            )
        for attempt in range(1, self.attempts + 1):
            is_last = attempt == self.attempts
            try:
                reply = self._once(method, url, body, dict(headers or {}), plain=plain_loopback)
            except _Broken as broken:
                if is_last or not broken.is_passing or method not in _SAFE_TO_REPEAT:
                    raise Failed("The sandbox does not answer", f"{method} {url}: {broken}.") from broken
                wait = None
            else:
                if is_last or reply.status not in _REPEATED:
                    return reply
                wait = reply.retry_after
            pause(self.stop, _SHORT_PAUSE * 2 ** (attempt - 1) if wait is None else wait)
        raise AssertionError("the last attempt returns or raises")

    def _once(self, method: str, url: str, body: bytes | None, headers: dict[str, str], *, plain: bool) -> Reply:
        from http.client import HTTPException
        from ssl import SSLCertVerificationError

        parts = urlsplit(url)
        target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        headers = {"User-Agent": self.user_agent, "Accept": "application/json"} | headers
        connection = self._connection(parts.hostname or "", parts.port, plain=plain)
        try:
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            content = response.read()
        except (HTTPException, OSError) as error:
            connection.close()
            is_passing = not isinstance(error, SSLCertVerificationError)
            raise _Broken(str(error) or type(error).__name__, is_passing=is_passing) from error
        except ValueError as error:  # a header or an address that HTTP has no way to say
            connection.close()
            raise Failed("The request cannot be sent", f"{method} {parts.path}: {error}.") from error
        if plain:
            connection.close()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Reply(method, url, response.status, response.reason, found, content)

    def close(self) -> None:
        """Close the calling thread's connection."""
        kept: HTTPConnection | None = getattr(self.connections, "kept", None)
        if kept is not None:
            kept.close()

    def _connection(self, host: str, port: int | None, *, plain: bool) -> HTTPConnection:
        """Return this thread's connection. One that the server has closed in the meantime is replaced."""
        from http.client import HTTPConnection, HTTPSConnection

        if plain:
            return HTTPConnection(host, port, timeout=_SOCKET_TIMEOUT)
        kept: HTTPConnection | None = getattr(self.connections, "kept", None)
        if kept is not None and kept.sock is not None:
            if not select.select([kept.sock], [], [], 0)[0]:
                return kept
            kept.close()
        self.connections.kept = kept = HTTPSConnection(host, port, timeout=_SOCKET_TIMEOUT, context=self._tls)
        return kept
