"""One pipeline service over HTTP: what is repeated and what never is, and what an answer means.

What only asks is tried three times. What triggers is sent once: it is repeated only where it certainly never arrived. Nothing is
followed elsewhere, for the credential would go along; and what a service says is quoted without anything secret.
"""

from __future__ import annotations

import json as jsons
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import httpx

from runner.agent.pipelines.interface import Way
from runner.errors import RemoteFailed

USER_AGENT = "landing-zone-runner"
BUSY = frozenset({408, 429, 500, 502, 503, 504})
TRIES = 3
MOST_BYTES = 16 * 1024 * 1024
LONGEST_WAIT = 120.0
EXCERPT = 300
LONGEST_QUOTED = 10_000
_OPAQUE = re.compile(r"[A-Za-z0-9+/=_-]{64,}")

Json = dict[str, Any]
Form = list[tuple[str, tuple[None, str]]]


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    query: Mapping[str, str] | None = None
    json: Json | None = None
    form: Form | None = None
    patient: bool = True
    harmless: bool = False


@dataclass(frozen=True)
class _Failed:
    error: RemoteFailed
    after: float | None = None
    undone: bool = False
    unclear: bool = False


@dataclass(frozen=True)
class Service:
    """Requests to `base` with a credential in `headers`. `hints` say by status who must act; `signed_out` are statuses by which this
    service says that it does not accept the credential."""

    name: str
    base: str
    way: Way
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    hints: Mapping[int, str] = field(default_factory=dict)
    signed_out: frozenset[int] = frozenset()

    def ask(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        hints: Mapping[int, str] | None = None,
        patient: bool = True,
    ) -> Json:
        """A request that is harmless to repeat: three tries, or one where there is no patience for more."""
        return self._hinting(hints)._tried(_Request(method, path, query, patient=patient, harmless=True))

    def trigger(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        json: Json | None = None,
        form: Form | None = None,
        hints: Mapping[int, str] | None = None,
    ) -> Json:
        """POST what starts something. After a failure that leaves it open whether it did, RemoteFailed says so."""
        return self._hinting(hints)._tried(_Request("POST", path, query, json, form))

    def managed(self, method: str, path: str, query: Mapping[str, str] | None = None, json: Json | None = None) -> bool:
        """Try something once, and whether it was done; for what is good to have and no more."""
        return not isinstance(self._once(_Request(method, path, query, json)), _Failed)

    def unexpected(self, detail: str) -> RemoteFailed:
        """The error for an answer that this service does not give."""
        return RemoteFailed(
            "The answer is not the pipeline service's",
            code="pipeline-answer-unexpected",
            detail=detail,
            hint=f"Check the address of {self.name} in the definition, and the proxy: something else may have answered.",
        )

    def _hinting(self, hints: Mapping[int, str] | None) -> Service:
        return replace(self, hints={**self.hints, **hints}) if hints else self

    def _tried(self, request: _Request) -> Json:
        tried = 0
        while True:
            if request.patient:
                self.way.check()
            outcome = self._once(request)
            if not isinstance(outcome, _Failed):
                return outcome
            if outcome.unclear and not request.harmless:
                raise self._unclear(outcome.error)
            wait = outcome.after if outcome.after is not None else 2.0**tried
            tried += 1
            again = request.patient and outcome.error.temporary and (request.harmless or outcome.undone)
            if not again or tried >= TRIES or wait > LONGEST_WAIT:
                raise outcome.error
            self.way.pause(wait)

    def _once(self, request: _Request) -> Json | _Failed:
        url = self.base + request.path
        said = f"{request.method} {url.partition('://')[2]}"
        headers = {"Accept": "application/json", "User-Agent": USER_AGENT, **self.headers}
        try:
            with self.way.client.stream(
                request.method,
                url,
                params=request.query,
                headers=headers,
                json=request.json,
                files=request.form,
                follow_redirects=False,
            ) as response:
                content = _content(response)
        except httpx.HTTPError as error:
            return self._broken(error, said)
        return self._judged(response, content, said)

    def _judged(self, response: httpx.Response, content: bytes | None, said: str) -> Json | _Failed:
        status, body = response.status_code, _parsed(content)
        if status in self.signed_out:
            return _Failed(self._refused(said, status, None, row=401))
        if 200 <= status < 300:
            if isinstance(body, dict):
                return body
            return {} if content == b"" else _Failed(self.unexpected(f"{said} answered {status} without JSON."))
        if 300 <= status < 400:
            return _Failed(self._redirected(response, said))
        after = response.headers.get("Retry-After", "").strip()
        seconds = float(after) if after.isascii() and after.isdigit() else None
        throttled = status == 429 or (status == 403 and seconds is not None)
        row = 429 if throttled else status if status in _REFUSALS else 500 if status >= 500 else 400
        error = self._refused(said, status, body, row=row, temporary=throttled or status in BUSY)
        return _Failed(error, seconds, undone=throttled, unclear=status >= 500 or status == 408)

    def _refused(self, said: str, status: int, body: Any, *, row: int, temporary: bool = False) -> RemoteFailed:
        summary, code, hint = _REFUSALS[row]
        text = self._quoted(body)
        return RemoteFailed(
            summary,
            code=code,
            detail=f"{self.name}: {said} answered {status}" + (f": {text}" if text else "."),
            hint=(self.hints.get(status) if row == 400 else None) or self.hints.get(row) or hint,
            temporary=temporary,
            status=status,
        )

    def _redirected(self, response: httpx.Response, said: str) -> RemoteFailed:
        host = urlsplit(response.headers.get("Location", "")).netloc.rpartition("@")[2]
        to = f" to {_plain(host)}" if host else ""
        return RemoteFailed(
            "The pipeline service sends the request elsewhere",
            code="pipeline-redirected",
            detail=f"{self.name}: {said} answered {response.status_code}{to}. It was not followed, for the credential would go along.",
            hint=f"Give the address of {self.name} in the definition as it is after the redirection.",
            status=response.status_code,
        )

    def _broken(self, error: httpx.HTTPError, said: str) -> _Failed:
        """No answer. Nothing was carried out when there never was a connection."""
        unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError)
        distrusted = _untrusted(error)
        failed = RemoteFailed(
            "The pipeline service cannot be reached",
            code="pipeline-unreachable",
            detail=f"{self.name}: {said}: {type(error).__name__}.",
            hint="The server's certificate is not trusted: add its authority to the private CA bundle."
            if distrusted
            else f"Check the network, the proxy and the address of {self.name} in the definition.",
            temporary=not distrusted and isinstance(error, httpx.TransportError),
        )
        return _Failed(failed, undone=unsent, unclear=not unsent)

    def _unclear(self, error: RemoteFailed) -> RemoteFailed:
        return RemoteFailed(
            "It is not clear whether the pipeline was started",
            code="pipeline-trigger-unclear",
            detail=f"{error.detail} It may run nonetheless, so the request was not repeated.",
            hint=f"Look for it at {self.name} before this run is started again.",
            status=error.status,
        )

    def _quoted(self, body: Any) -> str:
        """What the service says about a failure, on one line and without secrets; nothing of what is no JSON, or endless."""
        said = (body.get("message") or body.get("error") or "") if isinstance(body, dict) else ""
        text = said if isinstance(said, str) else jsons.dumps(said, ensure_ascii=False)
        if len(text) > LONGEST_QUOTED:
            return ""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "(secret)")
        return _plain(_OPAQUE.sub("(…)", text))[:EXCERPT]


_REFUSALS = {
    400: ("The pipeline service refuses the request", "pipeline-refused", "The detail says what it does not accept."),
    401: (
        "The pipeline service does not accept the credential",
        "pipeline-unauthorized",
        "Give a valid credential in a new version of the building block definition.",
    ),
    403: (
        "The credential may not do this",
        "pipeline-forbidden",
        "Give the credential the permission to run this pipeline.",
    ),
    404: (
        "The pipeline service does not find it",
        "pipeline-not-found",
        "Check the names in the building block definition; or the credential may not see it.",
    ),
    429: ("The pipeline service throttles the requests", "pipeline-throttled", "Start the run again later."),
    500: ("The pipeline service is not available", "pipeline-unavailable", "Start the run again later."),
}


def _content(response: httpx.Response) -> bytes | None:
    """The answer's body; None where it is longer than any that is of use."""
    content = bytearray()
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) > MOST_BYTES:
            return None
    return bytes(content)


def _parsed(content: bytes | None) -> Any:
    try:
        return jsons.loads(content or b"")
    except (ValueError, RecursionError):
        return None


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text).strip()


def _untrusted(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
