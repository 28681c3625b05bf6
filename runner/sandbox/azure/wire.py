"""One call and its answer, as plain values; knows HTTP's words and the error bodies of each service, not its transport."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from runner.sandbox.azure.hosts import Service

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Call:
    """What somebody asks. Header names and query names are lower case; path segments are decoded one by one."""

    method: str
    host: str
    segments: tuple[str, ...]
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def path(self) -> str:
        """The decoded path."""
        return "/" + "/".join(self.segments)

    @property
    def origin(self) -> str:
        """What links in the answer start with: the address the caller used, never the server's own idea of it."""
        return f"https://{self.host}"

    def json(self) -> Json:
        """Return the body as an object (empty for none); a 400 when it is something else."""
        if not self.body.strip():
            return {}
        try:
            value = json.loads(self.body)
        except ValueError:
            raise Rejection(
                400, "InvalidRequestContent", "The request content was invalid and could not be deserialized."
            ) from None
        if not isinstance(value, dict):
            raise Rejection(400, "InvalidRequestContent", "The request content must be an object.")
        return value

    def described(self) -> str:
        """Path and query as a person would write them; never a header, never a body."""
        return self.path + (
            "?" + "&".join(f"{name}={value}" for name, value in self.query.items()) if self.query else ""
        )


def call(method: str, url: str, *, host: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Call:
    """Take a raw (still encoded) path and query apart."""
    path, _, query = url.partition("?")
    return Call(
        method=method.upper(),
        host=host,
        segments=tuple(unquote(part) for part in path.split("/") if part),
        query={name.lower(): value for name, value in parse_qsl(query, keep_blank_values=True)},
        headers={name.lower(): value for name, value in (headers or {}).items()},
        body=body,
    )


@dataclass(frozen=True)
class Answer:
    """What goes back. No body means an empty one, not `null`."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Rejection(Exception):
    """A refusal that a handler found; the service it happened in words the body."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        more: Json | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.more = more or {}


def rejected(service: Service | None, error: Rejection, *, now: datetime) -> Answer:
    """Word a refusal as the service would."""
    if service == "login":
        return Answer(error.status, _login_error(error, now), error.headers)
    body: Json = {"code": error.code, "message": error.message, **error.more}
    if service == "graph":
        request = str(uuid.uuid4())
        body["innerError"] = {
            "date": now.strftime("%Y-%m-%dT%H:%M:%S"),
            "request-id": request,
            "client-request-id": request,
        }
    return Answer(error.status, {"error": body}, error.headers)


def _login_error(error: Rejection, now: datetime) -> Json:
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    stamp = now.strftime("%Y-%m-%d %H:%M:%SZ")
    number = error.more.get("number")
    if number is None:  # a managed identity endpoint has no AADSTS numbers
        return {"error": error.code, "error_description": error.message}
    return {
        "error": error.code,
        "error_description": f"AADSTS{number}: {error.message} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}",
        "error_codes": [number],
        "timestamp": stamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={number}",
    }


def page(
    items: Sequence[Any], *, call: Call, most: int, show: Callable[[Any], Any] = lambda item: item
) -> tuple[list[Any], str | None]:
    """Return one page of `items` and the link to the next; `show` is asked for what is on the page only.

    A page has as many items as `$top` asks for, and never more than `most`.
    """
    start = _whole(call.query.get("$skiptoken", "0"))
    size = min(_whole(call.query["$top"]), most) if "$top" in call.query else most
    chosen = [show(item) for item in items[start : start + size]]
    if size == 0 or start + size >= len(items):
        return chosen, None
    query = {**call.query, "$skiptoken": str(start + size)}
    path = "/" + "/".join(quote(segment, safe="$()'=,@:") for segment in call.segments)
    return chosen, f"{call.origin}{path}?{urlencode(query)}"


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise Rejection(400, "BadRequest", f"'{text}' is not a whole number.")
    return int(text)


def stamp(moment: datetime) -> str:
    """A time as Azure writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
