"""What holds for every request and answer, whatever it is about: whose host, from which site, how large; and how browsers are to take it.

Changes are accepted from this server's own pages only (Origin, or Sec-Fetch-Site where a browser sends no Origin); programs, which show
a token in a header that no other site can set, need neither. Beside that a session's forms carry a token of their own (`csrf`).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runner.domain.harmless import plain
from runner.errors import InputError, Refused, RunnerError
from runner.web.problems import MEDIA_TYPE, problem, status_of

log = logging.getLogger("lzr")

LARGEST_BODY = 1024 * 1024
_SLOWEST_BODY = 30.0  # seconds
SAFE = ("GET", "HEAD", "OPTIONS")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
STATIC = "/static/"
HEALTH = "/healthz"
HOOKS = "/hooks/"
LARGEST_HOOK = 5 * 1024 * 1024  # a push of GitHub tells up to 2048 commits; each webhook's own limit comes after
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class Origin:
    """How this server is reached: at one public address, or (None) by whatever name this machine has for itself."""

    public: str | None

    @property
    def secure(self) -> bool:
        """Whether browsers reach it by https."""
        return self.public is not None and self.public.startswith("https://")

    def knows(self, host: str) -> bool:
        """Whether the Host header means this server: else some other name leads here, as with DNS rebinding."""
        if self.public is not None:
            scheme, _, public = self.public.partition("://")
            return host.lower().removesuffix({"https": ":443", "http": ":80"}[scheme]) == public
        try:
            return (urlsplit(f"//{host}").hostname or "") in LOOPBACK
        except ValueError:
            return False

    def is_own(self, headers: Mapping[str, str]) -> bool:
        """Whether a request that changes something comes from this server's own page, or from no browser."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if origin is not None:
            return origin == (self.public or f"http://{host}")
        return headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")


class Protection:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, origin: Origin, on_bug: Callable[[Request, Exception], Response]) -> None:
        self._app = app
        self._origin = origin
        self._on_bug = on_bug

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers, status, begun = Headers(scope=scope), 0, time.monotonic()

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._guard(MutableHeaders(scope=message), scope["path"])
            await send(message)

        try:
            refused = self._refusal(scope, headers)
            body = await _body(receive, _most(scope)) if refused is None else None
            if isinstance(body, RunnerError):
                refused = body
            if refused is not None:
                answer = JSONResponse(problem(refused), status_of(refused), media_type=MEDIA_TYPE)
                await answer(scope, receive, guarded)
            elif isinstance(body, bytes):
                await self._app(scope, _again(body, receive), guarded)
        except Exception as error:
            if status:
                raise
            await self._on_bug(Request(scope, receive), error)(scope, receive, guarded)
        finally:
            _tell(scope, status, time.monotonic() - begun)

    def _refusal(self, scope: Scope, headers: Headers) -> RunnerError | None:
        host = headers.get("host", "")
        if scope["path"] != HEALTH and not self._origin.knows(host):
            return InputError(
                "This server has another name",
                code="wrong-host",
                detail="The request names a host that is not this server's.",
                hint="Use the server's own address (publicUrl of its configuration).",
            )
        by_program = headers.get("authorization") is not None
        if scope["method"] not in SAFE and not by_program and not self._origin.is_own(headers):
            return foreign()
        length = headers.get("content-length", "0")
        most = _most(scope)
        return None if length.isascii() and length.isdigit() and int(length[:20]) <= most else too_large(most)

    def _guard(self, headers: MutableHeaders, path: str) -> None:
        for name, value in _HEADERS.items():
            headers[name] = value
        if self._origin.secure:
            headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        if not path.startswith(STATIC):
            headers.setdefault("Cache-Control", "no-store")


def path_of(path: str) -> str:
    """A path as logs have it: nothing in it acts on a terminal."""
    return plain(path[:500])


def csrf_of(cookie: str) -> str:
    """The token that forms of this session carry: known to whoever has the session, and to nobody who only has the token."""
    return urlsafe_b64encode(hmac.digest(cookie.encode(), b"csrf", hashlib.sha256)).decode().rstrip("=")


def foreign() -> Refused:
    """The refusal of a change that another site asks for."""
    return Refused(
        "The request does not come from this server's page",
        code="csrf",
        detail="Changes are accepted from the server's own pages, or with a token in the Authorization header.",
        hint="Load the page again.",
    )


def too_large(most: int) -> InputError:
    """The refusal of a body that nobody could need."""
    return InputError(
        "The request is too large", code="too-large", detail=f"A body may have {most} bytes.", hint="Send less."
    )


def _most(scope: Scope) -> int:
    return LARGEST_HOOK if scope["path"].startswith(HOOKS) else LARGEST_BODY


async def _body(receive: Receive, most: int) -> bytes | RunnerError | None:
    """The whole body, or why it is not taken; None where the client has gone."""
    body = bytearray()
    try:
        async with asyncio.timeout(_SLOWEST_BODY):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return None
                body += message.get("body", b"")
                if len(body) > most:
                    return too_large(most)
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        return InputError(
            "The request is too slow",
            code="too-slow",
            detail=f"Its body was not there within {_SLOWEST_BODY:.0f} seconds.",
            hint="Send it again.",
        )


def _again(body: bytes, receive: Receive) -> Receive:
    """The body that was received, and then what comes after it."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> Message:
        return left.pop() if left else await receive()

    return received


def _tell(scope: Scope, status: int, seconds: float) -> None:
    """One line for each request. Neither query nor headers, for there are secrets in them."""
    desk = scope.get("state", {}).get("desk")
    facts = {
        "method": scope["method"],
        "path": path_of(scope["path"]),
        "status": status or "gone",
        "ms": round(seconds * 1000),
        "client": (scope.get("client") or ("",))[0],
        "actor": desk.actor.id if desk is not None else "",
    }
    quiet = scope["path"] == HEALTH or scope["path"].startswith(STATIC)
    log.log(logging.DEBUG if quiet else logging.INFO, "answered", extra=facts)
