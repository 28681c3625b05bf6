"""How this process reaches out: proxy, private certificate authority, time limits; the same for httpx, azure-identity and the engine.

Nothing is taken from HTTPS_PROXY and its like here: what a machine's environment says is for the settings to read, so that all
three go the same way. `no_proxy` means what Go's (the engine's) NO_PROXY means. Knows no Azure.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx


@dataclass(frozen=True)
class Network:
    """The way out. `ca_file` is a PEM bundle that replaces the public authorities: add those that are still needed to it."""

    proxy: str | None = field(default=None, repr=False)  # may hold a password
    no_proxy: tuple[str, ...] = ()
    ca_file: Path | None = None
    connect_timeout: timedelta = timedelta(seconds=10)
    read_timeout: timedelta = timedelta(seconds=60)
    function_timeout: timedelta = timedelta(seconds=100)

    def proxy_for(self, host: str, port: int = 443) -> str | None:
        """The proxy for this host; None when it is reached directly."""
        return None if self.proxy is None or _is_direct(host, port, self.no_proxy) else self.proxy

    def tls(self) -> ssl.SSLContext:
        """What to trust. Making one takes about 20 ms: make it once and share it."""
        if self.ca_file is None:
            return httpx.create_ssl_context(trust_env=False)
        return ssl.create_default_context(cafile=str(self.ca_file))

    def client(self, tls: ssl.SSLContext) -> httpx.Client:
        """A connection pool that goes this way; the caller closes it."""
        timeout = httpx.Timeout(self.read_timeout.total_seconds(), connect=self.connect_timeout.total_seconds())
        return httpx.Client(transport=_transport(self, tls), timeout=timeout, trust_env=False, follow_redirects=False)

    def environment(self) -> dict[str, str]:
        """The same way out for a Go program."""
        variables: dict[str, str] = {}
        if self.proxy is not None:
            variables["HTTPS_PROXY"] = self.proxy
            if self.no_proxy:
                variables["NO_PROXY"] = ",".join(self.no_proxy)
        if self.ca_file is not None:
            # without the second, Go adds the machine's own authorities (crypto/x509/root_unix.go)
            variables |= {"SSL_CERT_FILE": str(self.ca_file), "SSL_CERT_DIR": "/nonexistent"}
        return variables

    def secrets(self) -> tuple[str, ...]:
        """What of it must not be shown: the proxy's password, as written and as meant."""
        written = urlsplit(self.proxy or "").password
        return tuple(dict.fromkeys((written, unquote(written)))) if written else ()


class _Routes(httpx.BaseTransport):
    """Chooses between the direct way and the proxy for each request."""

    def __init__(self, network: Network, *, direct: httpx.BaseTransport, proxied: httpx.BaseTransport) -> None:
        self._network = network
        self._direct = direct
        self._proxied = proxied

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        direct = self._network.proxy_for(request.url.host, request.url.port or 443) is None
        return (self._direct if direct else self._proxied).handle_request(request)

    def close(self) -> None:
        self._direct.close()
        self._proxied.close()


def _transport(network: Network, tls: ssl.SSLContext) -> httpx.BaseTransport:
    direct = httpx.HTTPTransport(verify=tls, trust_env=False)
    if network.proxy is None:
        return direct
    to_proxy = tls if network.proxy.startswith("https:") else None
    proxied = httpx.HTTPTransport(verify=tls, trust_env=False, proxy=httpx.Proxy(network.proxy, ssl_context=to_proxy))
    return _Routes(network, direct=direct, proxied=proxied)


def _is_direct(host: str, port: int, entries: tuple[str, ...]) -> bool:
    """Whether golang.org/x/net/http/httpproxy would go around the proxy; it always does for this machine itself."""
    name = host.lower().strip("[]").rstrip(".")
    address = _address(name)
    if name == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_covers(entry.strip().lower(), name, address, port) for entry in entries)


def _covers(entry: str, name: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return address is not None and any(address in network for network in _networks(entry))
    wanted, _, wanted_port = entry.rpartition(":") if entry.count(":") == 1 else (entry, "", "")
    if wanted_port and wanted_port != str(port):
        return False
    wanted = wanted.removeprefix("*").strip("[]")
    if wanted.startswith("."):
        return name.endswith(wanted)
    return bool(wanted) and (name == wanted or name.endswith(f".{wanted}"))


def _networks(text: str) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    try:
        yield ipaddress.ip_network(text, strict=False)
    except ValueError:
        return


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
