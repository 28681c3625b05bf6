"""Fixtures for the Azure adapters: a certificate authority of their own, a server to script, and waiting that takes no time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from runner.azure.credentials import Credential, credential
from runner.azure.http import Client, Patience
from runner.domain.document import ServicePrincipal
from runner.domain.platform import Cloud
from runner.network.way_out import Network
from runner.sandbox.certificates import Certificates, ensure
from tests.azure.loopback import TENANT, Loopback, Script

SECRET = "secret-canary-9f2c"
CLIENT_ID = "22222222-2222-4222-8222-222222222222"


@pytest.fixture(autouse=True)
def _no_managed_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a cloud machine sets for its own identity is not for the tests."""
    for name in list(os.environ):
        if name.startswith(("MSI_", "IDENTITY_", "IMDS_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return ensure(tmp_path_factory.mktemp("tls"), names=["127.0.0.1", "localhost"], now=datetime.now(UTC))


@pytest.fixture
def serve(certificates: Certificates) -> Iterator[Callable[..., Loopback]]:
    """Start a server with a script; it ends with the test."""
    with ExitStack() as running:

        def start(script: Script, *, tokens: Script | None = None) -> Loopback:
            return running.enter_context(Loopback(certificates, script, tokens=tokens))

        yield start


@dataclass
class Waiting:
    """A clock that waiting moves on, and what was waited for."""

    seconds: list[float] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    start: datetime = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.start + timedelta(seconds=sum(self.seconds))

    def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)

    @property
    def patience(self) -> Patience:
        return Patience(stop=self.stop, sleep=self.sleep, now=self.now)


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


def principal() -> ServicePrincipal:
    auth = {"type": "credential", "credential": {"env": "THE_SECRET"}}
    return ServicePrincipal.model_validate({"clientId": CLIENT_ID, "auth": auth})


def cloud_at(url: str) -> Cloud:
    return Cloud(authority=url, resource_manager=url, graph=url)


def network_to(server: Loopback) -> Network:
    return Network(ca_file=server.ca_file, connect_timeout=timedelta(seconds=5), read_timeout=timedelta(seconds=10))


@dataclass
class Connected:
    """A client of the server under test, with its credential."""

    client: Client
    credential: Credential
    http: httpx.Client


@pytest.fixture
def connected(waiting: Waiting) -> Iterator[Callable[[Loopback], Connected]]:
    """Make a client of a server; its waiting takes no time."""
    with ExitStack() as opened:

        def make(server: Loopback) -> Connected:
            network = network_to(server)
            cloud = cloud_at(server.url)
            made = credential(
                principal(), entra_tenant=TENANT, cloud=cloud, network=network, secret=lambda reference: SECRET
            )
            opened.callback(made.close)
            http = opened.enter_context(network.client(network.tls()))
            client = Client(http, base=server.url, scope=cloud.arm_scope, credential=made, patience=waiting.patience)
            return Connected(client, made, http)

        yield make
