"""The Functions port: one POST to a landing zone's Azure Function, with a token for that function.

The author of a landing zone chooses the address, so it is guarded: https only, no redirects, one time limit for all of it, a first
kilobyte of the answer, and only addresses of the open Internet unless the operator allows the host by name (see `posting`).
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpcore
import httpx

from runner.azure.credentials import Credential, TokenFailed
from runner.azure.http import Patience, Tries
from runner.domain.invocation import Answer, Invocation
from runner.errors import InputError, RemoteFailed
from runner.network import addresses
from runner.network.guarded import Limit
from runner.network.posting import FAILURES, HOST, USER_AGENT, Way, untrusted
from runner.network.way_out import Network

FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
KEPT = 1024  # bytes of the answer


@dataclass(frozen=True)
class AzureFunctions:
    """Calls functions as one identity. `allowed_hosts` (`host` or `host:port`, lower case) may have any address."""

    credential: Credential
    network: Network
    tls: ssl.SSLContext
    patience: Patience
    allowed_hosts: Collection[str] = frozenset()

    def call(self, invocation: Invocation) -> Answer:
        """See Functions."""
        url = _checked(invocation.url)
        way = Way(self.network, self.tls, "function", self.allowed_hosts)
        way.check(url)
        token = self._token(scope_of(invocation.scope))
        started = time.monotonic()
        limit = Limit(
            deadline=started + self.network.function_timeout.total_seconds(),
            connect=self.network.connect_timeout.total_seconds(),
            stop=self.patience.stop,
        )
        with _failures(url, self.network):
            reply = way.post(url, _headers(invocation, url, token), b"", limit=limit, most=KEPT + len(token))
        seconds = round(time.monotonic() - started, 3)
        return Answer(status=reply.status, body=_shown(reply.body, token), seconds=seconds)

    def _token(self, scope: str) -> str:
        tries = Tries(self.patience)
        while True:
            self.patience.check()
            try:
                return self.credential.get_token(scope).token
            except TokenFailed as error:
                tries.wait_or_raise(error, after=error.retry_after)


def scope_of(text: str) -> str:
    """The token scope of an application given by its id, its URI, or a scope already."""
    return text if text.endswith("/.default") else text.rstrip("/") + "/.default"


def _checked(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise _bad_url("It is no URL.") from None
    if url.scheme != "https":
        raise addresses.not_allowed(url.host or "The address", "is not reached by https", what="function")
    if not HOST.fullmatch(url.raw_host) or url.userinfo:
        raise _bad_url("It needs a host, and no user or password.")
    return url


def _bad_url(detail: str) -> InputError:
    return InputError(
        "The function's URL is not valid",
        code="function-url-invalid",
        detail=detail,
        hint="Give it as https://my-function-app.azurewebsites.net/api/my-function.",
    )


def _headers(invocation: Invocation, url: httpx.URL, token: str) -> list[tuple[bytes, bytes]]:
    """The reviewed headers as they are, and what the call itself needs."""
    own = [
        (b"Host", url.netloc),
        (b"Authorization", f"Bearer {token}".encode("ascii")),
        (b"User-Agent", USER_AGENT.encode("ascii")),
        (b"Accept", b"*/*"),
        (b"Content-Length", b"0"),
    ]
    taken = {name.lower() for name, _ in own} | {b"transfer-encoding", b"connection"}
    reviewed = []
    for name, value in invocation.headers:
        fits = FIELD_NAME.fullmatch(name) and value.isascii() and value.isprintable()
        if not fits or name.lower().encode() in taken:
            raise InputError(
                "A header of the function call is not valid",
                code="function-header-invalid",
                detail=f"{name!r} cannot be sent as it is.",
                hint="Change the tag that it is made from.",
            )
        reviewed.append((name.encode("ascii"), value.encode("ascii")))
    return own + reviewed


def _shown(body: bytes, token: str) -> str:
    """The first kilobyte as text, without the token should the function have echoed it."""
    kept = body.replace(token.encode("ascii"), b"(token)")[:KEPT]
    text = kept.decode("utf-8", errors="ignore" if len(kept) == KEPT else "replace")
    return "".join(char if char.isprintable() or char in "\n\t" else " " for char in text)


@contextmanager
def _failures(url: httpx.URL, network: Network) -> Iterator[None]:
    try:
        yield
    except httpcore.TimeoutException:
        seconds = network.function_timeout.total_seconds()
        raise RemoteFailed(
            "The function did not answer in time",
            code="function-timeout",
            detail=f"{url.host} did not finish its answer within {seconds:g} seconds; it may still be at work.",
            hint="Let the function answer first and work later, or raise the time limit.",
            temporary=True,
        ) from None
    except FAILURES as error:
        distrusted = untrusted(error)
        raise RemoteFailed(
            "The function cannot be reached",
            code="function-unreachable",
            detail=f"{url.host}: {type(error).__name__}.",
            hint="Its certificate is not trusted: add its authority to the private CA bundle."
            if distrusted
            else "Check the function app and the network.",
            temporary=not distrusted,
        ) from None
