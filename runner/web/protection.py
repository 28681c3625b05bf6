"""What holds for every request and answer, whatever it is about: whose host, from which site, how large; and how browsers are to take it.

Changes are accepted from this server's own pages only (Origin, or Sec-Fetch-Site where a browser sends no Origin); programs, which show
a token in a header that no other site can set, need neither. Beside that a session's forms carry a token of their own (`csrf`).
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runner.errors import InputError, Refused, RunnerError
from runner.web.problems import MEDIA_TYPE, problem, status_of

LARGEST_BODY = 1024 * 1024
SAFE = ("GET", "HEAD", "OPTIONS")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
STATIC = "/static/"
HEALTH = "/healthz"
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
            return host.lower() == urlsplit(self.public).netloc.lower()
        return (urlsplit(f"//{host}").hostname or "") in LOOPBACK

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
        headers, begun = Headers(scope=scope), False

        async def guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                self._guard(MutableHeaders(scope=message), scope["path"])
            await send(message)

        refused = self._refusal(scope, headers)
        if refused is not None:
            answer = JSONResponse(problem(refused), status_of(refused), media_type=MEDIA_TYPE)
            await answer(scope, receive, guarded)
            return
        try:
            await self._app(scope, _bounded(receive), guarded)
        except Exception as error:
            if begun:
                raise
            await self._on_bug(Request(scope, receive), error)(scope, receive, guarded)

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
        if int(headers.get("content-length") or 0) > LARGEST_BODY:
            return too_large()
        return None

    def _guard(self, headers: MutableHeaders, path: str) -> None:
        for name, value in _HEADERS.items():
            headers[name] = value
        if self._origin.secure:
            headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        if not path.startswith(STATIC):
            headers.setdefault("Cache-Control", "no-store")


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


def too_large() -> InputError:
    """The refusal of a body that nobody could need."""
    return InputError(
        "The request is too large", code="too-large", detail=f"A body may have {LARGEST_BODY} bytes.", hint="Send less."
    )


def _bounded(receive: Receive) -> Receive:
    """What comes in pieces is counted as it comes."""
    size = 0

    async def bounded() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > LARGEST_BODY:
            raise too_large()
        return message

    return bounded
