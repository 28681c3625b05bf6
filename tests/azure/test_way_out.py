"""The way out: one proxy, one exception list and one certificate authority for httpx, azure-identity and the engine."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from runner.azure.credentials import credential
from runner.network.way_out import Network
from runner.sandbox.certificates import Certificates
from tests.azure.conftest import SECRET, cloud_at, principal
from tests.azure.loopback import TENANT, TOKEN, Loopback, Reply

Serve = Callable[..., Loopback]


@pytest.mark.parametrize(
    ("entries", "host", "direct"),
    [
        ((), "graph.microsoft.com", False),
        (("*",), "graph.microsoft.com", True),
        (("microsoft.com",), "graph.microsoft.com", True),
        (("microsoft.com",), "microsoft.com", True),
        (("microsoft.com",), "notmicrosoft.com", False),
        ((".microsoft.com",), "graph.microsoft.com", True),
        ((".microsoft.com",), "microsoft.com", False),
        (("*.microsoft.com",), "graph.microsoft.com", True),
        ((" Graph.Microsoft.com ",), "graph.microsoft.com", True),
        (("graph.microsoft.com:443",), "graph.microsoft.com", True),
        (("graph.microsoft.com:8443",), "graph.microsoft.com", False),
        (("10.0.0.0/8",), "10.1.2.3", True),
        (("10.0.0.0/8",), "11.1.2.3", False),
        (("10.0.0.0/8",), "example.com", False),
        (("10.0.0.7",), "10.0.0.7", True),
        (("fd00::/8",), "fd00::1", True),
        (("not/a/network",), "10.0.0.7", False),
        (("",), "graph.microsoft.com", False),
        ((), "127.0.0.1", True),
        ((), "localhost", True),
        ((), "::1", True),
    ],
)
def test_exceptions_from_the_proxy_are_those_of_go(entries: tuple[str, ...], host: str, direct: bool) -> None:
    network = Network(proxy="http://proxy:8080", no_proxy=entries)

    assert (network.proxy_for(host) is None) is direct


def test_the_engine_gets_the_same_way_out() -> None:
    network = Network(proxy="http://proxy:8080", no_proxy=("a.example", "10.0.0.0/8"), ca_file=Path("/etc/ca.pem"))

    assert network.environment() == {
        "HTTPS_PROXY": "http://proxy:8080",
        "NO_PROXY": "a.example,10.0.0.0/8",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "SSL_CERT_DIR": "/nonexistent",
    }
    assert Network().environment() == {}


def test_the_proxys_password_is_a_secret_in_both_spellings() -> None:
    network = Network(proxy="http://user:p%40ss@proxy:8080")

    assert network.secrets() == ("p%40ss", "p@ss")
    assert "p%40ss" not in repr(network)
    assert Network(proxy="http://proxy:8080").secrets() == ()


class Proxy:
    """A CONNECT proxy that takes every host to one server and remembers who asked for what."""

    def __init__(self, to: int) -> None:
        self.asked: list[str] = []
        self.heads: list[bytes] = []
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://user:{SECRET}@127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            self.heads.append(head)
            self.asked.append(head.split()[1].decode())
            client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            with socket.create_connection(("127.0.0.1", self._to)) as server:
                ends = {client: server, server: client}
                while True:
                    for end in select.select(list(ends), [], [])[0]:
                        data = end.recv(65536)
                        if not data:
                            return
                        ends[end].sendall(data)


@pytest.fixture
def proxied(serve: Serve) -> Iterator[tuple[Loopback, Proxy]]:
    server = serve(lambda received: Reply(body={"host": received.text("Host")}))
    proxy = Proxy(server.port)
    yield server, proxy
    proxy.close()


def test_requests_and_tokens_go_through_the_proxy_by_name(proxied: tuple[Loopback, Proxy]) -> None:
    server, proxy = proxied
    network = Network(proxy=proxy.url, ca_file=server.ca_file)
    cloud = cloud_at("https://localhost.example")
    made = credential(principal(), entra_tenant=TENANT, cloud=cloud, network=network, secret=lambda reference: SECRET)
    # the server's certificate is for localhost: that both get as far as refusing it shows where they were taken
    with network.client(network.tls()) as http, pytest.raises(httpx.ConnectError):
        http.get("https://localhost.example/x")
    with pytest.raises(Exception, match="token service"):
        made.get_token("https://graph.microsoft.com/.default")
    made.close()

    assert proxy.asked == ["localhost.example:443"] * 2
    assert all(b"Proxy-Authorization: Basic" in head for head in proxy.heads)


def test_a_proxy_that_speaks_tls_is_trusted_by_the_private_authority(certificates: Certificates) -> None:
    heads: list[bytes] = []
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates.server_file, certificates.server_key_file)
    listener = socket.create_server(("127.0.0.1", 0))

    def refuse() -> None:
        with suppress(OSError), listener, tls.wrap_socket(listener.accept()[0], server_side=True) as client:
            heads.append(client.recv(4096))
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=refuse)
    thread.start()
    network = Network(proxy=f"https://127.0.0.1:{listener.getsockname()[1]}", ca_file=certificates.ca_file)
    with network.client(network.tls()) as http, pytest.raises(httpx.ProxyError):
        http.get("https://graph.example/x")
    thread.join()

    assert heads[0].startswith(b"CONNECT graph.example:443 ")


def test_what_is_excepted_goes_around_the_proxy(proxied: tuple[Loopback, Proxy]) -> None:
    server, proxy = proxied
    network = Network(proxy=proxy.url, ca_file=server.ca_file)
    made = credential(
        principal(), entra_tenant=TENANT, cloud=cloud_at(server.url), network=network, secret=lambda reference: SECRET
    )
    with network.client(network.tls()) as http:
        assert http.get(f"{server.url}/x").status_code == 200
    assert made.get_token("https://graph.microsoft.com/.default").token == TOKEN
    made.close()

    assert proxy.asked == []


def test_the_machines_own_proxy_settings_do_not_count(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent.pem")
    server = serve(lambda received: Reply(body={}))
    network = Network(ca_file=server.ca_file)
    made = credential(
        principal(), entra_tenant=TENANT, cloud=cloud_at(server.url), network=network, secret=lambda reference: SECRET
    )
    with network.client(network.tls()) as http:
        assert http.get(f"{server.url}/x").status_code == 200
    assert made.get_token("https://graph.microsoft.com/.default").token == TOKEN
    made.close()
    Network().tls()
