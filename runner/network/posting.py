"""One POST to an address that somebody else chose: guarded, without redirects, with one time limit and only so much of the answer.

Behind a proxy the proxy does the resolving: then only the form of the name can be checked here, and the proxy has to keep the inner
network to itself. What httpcore raises is the caller's to put into words, as `untrusted` helps to.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpcore
import httpx

from runner.network import addresses
from runner.network.guarded import GuardedNetwork, Limit
from runner.network.way_out import Network

USER_AGENT = "landing-zone-runner"
HOST = re.compile(rb"[0-9A-Za-z._:-]+")
FAILURES = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError, ssl.SSLError)
"""What a POST that was not answered raises, beside httpcore.TimeoutException."""


@dataclass(frozen=True)
class Reply:
    """An answer: header names in small letters, and as much of the body as was asked for."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Way:
    """How to get to addresses of one sort (see `addresses` for `what`). Hosts that are allowed (`host` or `host:port`, in small letters)
    may have any address."""

    network: Network
    tls: ssl.SSLContext
    what: str
    allowed: Collection[str] = frozenset()

    def check(self, url: httpx.URL) -> None:
        """Refuse what can be refused before anybody is connected to."""
        if self.network.proxy_for(url.host, _port(url)) is not None:
            addresses.check_name(url.host, _port(url), allowed=self.allowed, what=self.what)

    def post(
        self, url: httpx.URL, headers: Sequence[tuple[bytes, bytes]], content: bytes, *, limit: Limit, most: int
    ) -> Reply:
        """Send it once; any status is an answer, of which at most `most` bytes are read."""
        self.check(url)
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        body = b""
        with (
            self._pool(url, limit) as pool,
            pool.stream("POST", target, headers=list(headers), content=content) as response,
        ):
            for chunk in response.iter_stream():
                body += chunk
                if len(body) >= most:
                    break
            found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            return Reply(response.status, found, body[:most])

    def _pool(self, url: httpx.URL, limit: Limit) -> AbstractContextManager[httpcore.ConnectionPool]:
        proxy = self.network.proxy_for(url.host, _port(url))
        if proxy is None:
            guard = GuardedNetwork(self.allowed, limit, what=self.what)
            return httpcore.ConnectionPool(ssl_context=self.tls, network_backend=guard)
        way = httpx.Proxy(proxy)
        return httpcore.HTTPProxy(
            proxy_url=httpcore.URL(str(way.url)),
            proxy_auth=way.raw_auth,
            proxy_ssl_context=self.tls if way.url.scheme == "https" else None,
            ssl_context=self.tls,
            network_backend=GuardedNetwork(None, limit, what=self.what),
        )


def retry_after(value: str | None, *, now: Callable[[], datetime]) -> float | None:
    """The seconds that a Retry-After header asks for, given as a number or as a date; None when it says nothing."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now()).total_seconds())


def untrusted(error: BaseException | None) -> bool:
    """Whether the connection failed because the server's certificate is not trusted."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)
