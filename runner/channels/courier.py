"""Brings a notice to where a channel leads: once, guarded, and within a time. Fulfils `Courier`."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpcore
import httpx

from runner.channels import bodies, mail, templates
from runner.domain.channel import Channel, MailChannel, SlackChannel, TeamsChannel, WebhookChannel
from runner.domain.document import SecretReference
from runner.domain.notice import Notice
from runner.domain.signature import Key, signed
from runner.errors import InputError, RemoteFailed
from runner.network import addresses
from runner.network.guarded import Limit
from runner.network.posting import FAILURES, HOST, USER_AGENT, Way, retry_after, untrusted
from runner.ports import NotTaken

WHAT = "channel"
SECONDS = 20.0
_TEMPORARY = frozenset({408, 409, 425, 429})
_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})
_KEPT = 1024


@dataclass(frozen=True)
class ChannelCourier:
    """Speaks to channels. `folder` is the one of the configuration, for templates."""

    way: Way
    secret: Callable[[SecretReference], str]
    folder: Path
    seconds: float = SECONDS

    def send(self, channel: Channel, message_id: str, notice: Notice, *, now: datetime, stop: threading.Event) -> None:
        """See Courier."""
        match channel:
            case MailChannel():
                self._mail(channel, message_id, notice, now)
            case WebhookChannel():
                body = self._own_body(channel, notice) or bodies.webhook(notice)
                keys = [Key.standard(self.secret(one)) for one in channel.secrets]
                self._post(channel.url, body, signed(keys, message_id, body, now=now), now, stop)
            case SlackChannel():
                body = bodies.slack(notice, self._words(channel, notice, bodies.slack_words))
                self._post(self.secret(channel.url), body, {}, now, stop)
            case TeamsChannel():
                body = bodies.teams(notice, self._words(channel, notice, bodies.teams_words))
                self._post(self.secret(channel.url), body, {}, now, stop)

    def _mail(self, channel: MailChannel, message_id: str, notice: Notice, now: datetime) -> None:
        words = self._words(channel, notice, str)
        html = channel.template is not None and templates.is_html(self.folder / channel.template)
        made = mail.message(channel, message_id, notice, words, html=html, now=now)
        password = self.secret(channel.password) if channel.password is not None else ""
        mail.send(channel, made, password, way=self.way, seconds=self.seconds)

    def _words(self, channel: Channel, notice: Notice, harmless: Callable[[str], str]) -> str | None:
        if channel.template is None:
            return None
        return templates.rendered(self.folder / channel.template, notice, harmless=harmless)

    def _own_body(self, channel: WebhookChannel, notice: Notice) -> bytes | None:
        words = self._words(channel, notice, str)
        if words is None:
            return None
        try:
            return json.dumps(json.loads(words)).encode("ascii")
        except ValueError:
            raise InputError(
                "A channel's template cannot be used",
                code="channel-template-wrong",
                detail=f"{channel.template}: what it says is no JSON.",
                hint="Write values with tojson, as {{ tenant | tojson }}.",
            ) from None

    def _post(self, address: str, body: bytes, headers: dict[str, str], now: datetime, stop: threading.Event) -> None:
        url = self._checked(address)
        sent = {
            "Host": url.netloc.decode("ascii"),
            "User-Agent": USER_AGENT,
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **headers,
        }
        limit = Limit(
            deadline=time.monotonic() + self.seconds,
            connect=min(self.seconds, self.way.network.connect_timeout.total_seconds()),
            stop=stop,
        )
        raw = [(name.encode("ascii"), value.encode("ascii")) for name, value in sent.items()]
        try:
            reply = self.way.post(url, raw, body, limit=limit, most=_KEPT)
        except httpcore.TimeoutException:
            raise _unreachable(url, "it did not answer in time") from None
        except FAILURES as error:
            raise _unreachable(url, type(error).__name__, distrusted=untrusted(error)) from None
        if not 200 <= reply.status < 300:
            raise NotTaken(
                f"{url.host} answers {reply.status}.",
                status=reply.status,
                temporary=reply.status in _TEMPORARY or reply.status >= 500,
                after=retry_after(reply.headers.get("retry-after"), now=lambda: now),
            )

    def _checked(self, address: str) -> httpx.URL:
        """The address, which may be a secret: errors name its host at most."""
        try:
            url = httpx.URL(address.strip())
        except httpx.InvalidURL:
            raise _no_address() from None
        if url.scheme not in ("https", "http") or not HOST.fullmatch(url.raw_host) or url.userinfo:
            raise _no_address()
        if url.scheme == "http":
            named = addresses.is_allowed(url.host, url.port or 80, self.way.allowed)
            if url.host not in _THIS_MACHINE or not named:
                raise addresses.not_allowed(url.host, "is not reached by https", what=WHAT)
        return url


def _no_address() -> InputError:
    return InputError(
        "A channel's address is not valid",
        code="channel-address-invalid",
        detail="It is no https:// address with a host, and without user and password.",
        hint="Copy it again from where the webhook was made.",
    )


def _unreachable(url: httpx.URL, why: str, *, distrusted: bool = False) -> RemoteFailed:
    return RemoteFailed(
        "The channel cannot be reached",
        code="channel-unreachable",
        detail=f"{url.host}: {why}.",
        hint="Its certificate is not trusted: add its authority to the private CA bundle."
        if distrusted
        else "Check its address, the proxy and the network.",
        temporary=not distrusted,
    )
