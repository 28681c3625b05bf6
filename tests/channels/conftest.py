"""Servers that channels lead to, and a courier that may speak to them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runner.channels.courier import WHAT, ChannelCourier
from runner.domain.channel import Channel, Notifications
from runner.domain.document import SecretReference
from runner.domain.notice import Event, Notice, notice_of
from runner.domain.run import Status
from runner.network.posting import Way
from runner.network.way_out import Network
from runner.sandbox.certificates import Certificates
from tests.azure.conftest import certificates as certificates
from tests.azure.conftest import serve as serve
from tests.azure.loopback import Loopback
from tests.store.making import NOW, a_run

SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PATH = "/services/T000/B000/address-canary"

Serve = Callable[..., Loopback]


@dataclass
class Speaking:
    """A courier, the secrets that it finds, and how it is told to send."""

    courier: ChannelCourier
    secrets: dict[str, str] = field(default_factory=dict)

    def send(
        self, channel: Channel, notice: Notice, message_id: str = "msg_1", stop: threading.Event | None = None
    ) -> None:
        self.courier.send(channel, message_id, notice, now=NOW, stop=stop or threading.Event())


Speak = Callable[..., Speaking]


@pytest.fixture
def speak(certificates: Certificates, tmp_path: Path) -> Speak:
    """Make a courier; loopback is allowed by name unless the test says otherwise."""

    def make(
        allowed: tuple[str, ...] = ("127.0.0.1",), seconds: float = 5, trusting: bool = True, **network: Any
    ) -> Speaking:
        found: dict[str, str] = {"HOOK": SIGNING}

        def secret(reference: SecretReference) -> str:
            return found[reference.env or ""]

        way_out = Network(
            ca_file=certificates.ca_file if trusting else None, connect_timeout=timedelta(seconds=5), **network
        )
        way = Way(way_out, way_out.tls(), WHAT, frozenset(allowed))
        return Speaking(ChannelCourier(way, secret, tmp_path, seconds), found)

    return make


def channel(kind: str, **fields: Any) -> Channel:
    """One channel, as a configuration would say it."""
    given: dict[str, Any] = {"name": "ops", "type": kind}
    if kind in ("slack", "teams"):
        given["url"] = {"env": "ADDRESS"}
    if kind == "webhook":
        given["secrets"] = [{"env": "HOOK"}]
    return Notifications.model_validate({"channels": [given | fields]}).channels[0]


def a_notice(**fields: Any) -> Notice:
    """What is told of a run that waits."""
    values = {"status": Status.WAITING, "workspace": "acme", "counts": {"add": 8}, "reason": "new project"} | fields
    risks = {"risks": [{"code": "gives-highest-rights"}]}
    return notice_of(Event.WAITING, a_run(**values), risks, public_url="https://lzr.example.com")
