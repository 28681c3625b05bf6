"""One REST service of Azure over HTTP: requests with a token, JSON in and out, pages, and when to try again.

What was certainly not carried out (throttled, never connected, no token) is repeated whatever it was; what may have been carried
out (a server error, a broken connection) only where that is harmless. Waiting is `Patience`'s: it ends at once when the run is
told to stop. Knows Azure's error bodies and nothing of what is asked.
"""

from __future__ import annotations

import json
import random
import threading
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from runner.azure.credentials import Credential, TokenFailed
from runner.errors import Canceled, RemoteFailed
from runner.network.posting import USER_AGENT, retry_after, untrusted

BUSY = frozenset({408, 429, 500, 502, 503, 504})  # as azure-core repeats
EXCERPT = 256
MOST_PAGES = 1_000

Json = dict[str, Any]


@dataclass(frozen=True)
class Patience:
    """How long a failed request is tried again, and who may end that."""

    stop: threading.Event
    limit: timedelta = timedelta(minutes=5)
    attempts: int = 7
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], object] | None = None

    def check(self) -> None:
        """Raise Canceled when the run is told to stop."""
        if self.stop.is_set():
            raise Canceled

    def pause(self, seconds: float) -> None:
        """Wait; Canceled as soon as the run is told to stop."""
        self.check()
        (self.sleep or self.stop.wait)(seconds)
        self.check()

    def looks(self, within: timedelta, *, at_most: float = 30.0) -> Iterator[None]:
        """A turn for each look at what may appear: the first at once, then after twice as long each time, the last when time is up."""
        left, wanted = within.total_seconds(), 1.0
        yield
        while left > 0:
            seconds = min(wanted, at_most, left)
            self.pause(seconds)
            yield
            left, wanted = left - seconds, 2 * wanted


class Tries:
    """The attempts at one thing: counts them and the waiting between them."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._made = 0
        self._left = patience.limit.total_seconds()

    def wait_or_raise(self, error: RemoteFailed, *, after: float | None = None) -> None:
        """Wait before the next attempt: `after` seconds where the service names them, else twice as long each time.

        Raises the error when attempts or time are used up. A wait that is too long is not cut short: asking earlier than the
        service allows is refused and counted again.
        """
        self._made += 1
        wanted = after if after is not None else min(2.0 ** (self._made - 1), 30.0)
        delay = wanted * random.uniform(1.0, 1.2)  # noqa: S311 - spreads many runs that were throttled together
        if not error.temporary or self._made >= self._patience.attempts or wanted > self._left:
            raise error
        self._left -= wanted
        self._patience.pause(delay)


@dataclass(frozen=True)
class Reply:
    """An answer that the caller can use. `body` is empty when there is none or it is no object."""

    status: int
    body: Json = field(default_factory=dict)


@dataclass(frozen=True)
class _Failed:
    error: RemoteFailed
    after: float | None = None
    undone: bool = False


class Client:
    """Requests to the service at `base` with tokens for `scope`, or without where it has no credential; safe to share between threads."""

    def __init__(
        self, http: httpx.Client, *, base: str, scope: str, credential: Credential | None, patience: Patience
    ) -> None:
        self.base = base.rstrip("/")
        self.patience = patience
        self._http = http
        self._scope = scope
        self._credential = credential

    def get(self, path: str, query: Mapping[str, str] | None = None, *, also: Collection[int] = ()) -> Reply:
        """GET; the statuses in `also` are answers as well."""
        return self._send("GET", self.base + addressed(path, query), harmless=True, also=also)

    def post(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: Json | None,
        harmless: bool,
        also: Collection[int] = (),
    ) -> Reply:
        """POST. `harmless` says that doing it twice is as good as once."""
        return self._send("POST", self.base + addressed(path, query), body=body, harmless=harmless, also=also)

    def put(
        self, path: str, query: Mapping[str, str] | None = None, *, body: Json, also: Collection[int] = ()
    ) -> Reply:
        """PUT, once: who repeats it looks first what became of it."""
        return self._send("PUT", self.base + addressed(path, query), body=body, harmless=False, also=also)

    def patch(self, path: str, query: Mapping[str, str] | None = None, *, body: Json, harmless: bool) -> Reply:
        """PATCH. `harmless` says that doing it twice is as good as once."""
        return self._send("PATCH", self.base + addressed(path, query), body=body, harmless=harmless)

    def delete(self, path: str, *, also: Collection[int] = ()) -> Reply:
        """DELETE; what is gone already is usually a 404 in `also`."""
        return self._send("DELETE", self.base + path, harmless=True, also=also)

    def pages(self, path: str, query: Mapping[str, str] | None = None, *, also: Collection[int] = ()) -> Iterator[Json]:
        """Every item of every page; nothing for a status in `also`."""
        yield from self.items(self.get(path, query, also=also).body)

    def items(self, body: Json) -> Iterator[Json]:
        """The items of this page and of those it links to."""
        for _ in range(MOST_PAGES):
            items = body.get("value") or []
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise unexpected(f"{self.base} listed something else than objects.")
            yield from items
            link = body.get("@odata.nextLink") or body.get("nextLink")
            if not link:
                return
            self._own(str(link))
            body = self._send("GET", link, harmless=True).body
        raise unexpected(f"{self.base} gave more than {MOST_PAGES} pages.")

    def _own(self, link: str) -> None:
        """A link is followed with the token, so it must lead to the same service."""
        if urlsplit(link)[:2] != urlsplit(self.base)[:2]:
            raise unexpected(f"{self.base} linked its next page to another host.")

    def _send(
        self, method: str, url: str, *, harmless: bool, body: Json | None = None, also: Collection[int] = ()
    ) -> Reply:
        tries = Tries(self.patience)
        while True:
            self.patience.check()
            outcome = self._once(method, url, body, also)
            if isinstance(outcome, Reply):
                return outcome
            if not (harmless or outcome.undone):
                raise outcome.error
            tries.wait_or_raise(outcome.error, after=outcome.after)

    def _once(self, method: str, url: str, body: Json | None, also: Collection[int]) -> Reply | _Failed:
        try:
            token = self._credential.get_token(self._scope).token if self._credential else ""
        except TokenFailed as error:
            return _Failed(error, error.retry_after, undone=True)
        request_id = str(uuid.uuid4())
        headers = {
            "Accept": "application/json",
            "User-Agent": USER_AGENT,
            "client-request-id": request_id,
            "x-ms-client-request-id": request_id,
        }
        if token:
            headers["Authorization"] = f"Bearer {token}"
        content = b"" if body is None else json.dumps(body).encode()
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            response = self._http.request(method, url, headers=headers, content=content)
        except httpx.HTTPError as error:
            return _broken(error, method, url)
        return _judged(response, also, token=token, request_id=request_id, now=self.patience.now)


def addressed(path: str, query: Mapping[str, str] | None) -> str:
    """Path and query as they go over the wire; every character of a value that could mean something is encoded."""
    if not query:
        return path
    return path + "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())


def segment(value: str) -> str:
    """One path segment; an empty or dotted one would address something else."""
    if value.strip(".") == "":
        raise ValueError("A path segment must not be empty or made of dots.")
    return quote(value, safe="")


def refused(method: str, url: str, status: int, body: Any, *, note: str = "", token: str = "") -> RemoteFailed:
    """The error for an answer that is no use, from Azure's error body where there is one."""
    error = body.get("error") if isinstance(body, dict) else None
    text = body if isinstance(body, str) else ""
    if isinstance(error, dict):
        text = f"{error.get('code', '')}: {error.get('message', '')}"
    text = excerpt(text.replace(token, "(token)") if token else text)
    summary, code, hint = _REFUSALS.get(status, _REFUSALS[500] if status >= 500 else _REFUSALS[400])
    parts = urlsplit(url)
    said = f"{method} {parts.netloc}{parts.path} answered {status}"
    detail = f"{said}: {text}" if text else f"{said}."
    return RemoteFailed(
        summary,
        code=code,
        detail=f"{detail} {note}".rstrip(),
        hint=hint,
        temporary=status in BUSY,
        status=status,
    )


def excerpt(text: str) -> str:
    """The beginning of somebody else's text, on one line."""
    return "".join(char if char.isprintable() else " " for char in text[: 4 * EXCERPT]).strip()[:EXCERPT]


_REFUSALS = {
    400: ("Azure refuses the request", "azure-refused", "The detail says what Azure does not accept."),
    401: (
        "Azure does not accept the token",
        "azure-unauthorized",
        "Check that the identity belongs to this Entra tenant.",
    ),
    403: ("The identity may not do this", "azure-forbidden", "Give the identity the permission that the detail names."),
    404: ("Azure does not find it", "azure-not-found", "It may be gone, or the identity may not see it."),
    409: ("Something else is in the way", "azure-conflict", "The detail says what; try again when it is resolved."),
    429: ("Azure throttles the requests", "azure-throttled", "Try again later, or run fewer tenants at a time."),
    500: ("Azure is not available", "azure-unavailable", "Try again later."),
}


def unexpected(detail: str) -> RemoteFailed:
    """The error for an answer that Azure does not give."""
    return RemoteFailed(
        "The answer is not Azure's",
        code="azure-answer-unexpected",
        detail=detail,
        hint="Check the cloud's addresses and the proxy: something else may have answered.",
    )


def _judged(
    response: httpx.Response, also: Collection[int], *, token: str, request_id: str, now: Callable[[], datetime]
) -> Reply | _Failed:
    method, url, status = response.request.method, str(response.request.url), response.status_code
    body = _content(response)
    if 200 <= status < 300 or status in also:
        if isinstance(body, dict):
            return Reply(status, body)
        if not response.content or status in also:
            return Reply(status)
        return _Failed(
            unexpected(f"{method} {urlsplit(url).netloc}{urlsplit(url).path} answered {status} without JSON.")
        )
    error = refused(method, url, status, body, note=f"(request {request_id})", token=token)
    after = retry_after(response.headers.get("Retry-After"), now=now)
    return _Failed(error, after, undone=status == 429)


def _content(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return response.text


def _broken(error: httpx.HTTPError, method: str, url: str) -> _Failed:
    """No answer. Nothing was carried out when there never was a connection."""
    unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError)
    distrusted = untrusted(error)
    parts = urlsplit(url)
    return _Failed(
        RemoteFailed(
            "Azure cannot be reached",
            code="azure-unreachable",
            detail=f"{method} {parts.netloc}{parts.path}: {type(error).__name__}.",
            hint="The server's certificate is not trusted: add its authority to the private CA bundle."
            if distrusted
            else "Check the network, the proxy and the cloud's addresses.",
            temporary=not distrusted,
        ),
        undone=unsent,
    )
