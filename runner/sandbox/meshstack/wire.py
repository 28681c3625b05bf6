"""One call and its answer, as plain values; knows HTTP's words, not its transport."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

Json = dict[str, Any]

RUN_TYPE = "application/vnd.meshcloud.api.meshbuildingblockrun.v1.hal+json"
"""What bodies of building-block runs are sent and accepted as."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """What somebody asks. Header names are lower case; path segments are decoded one by one."""

    method: str
    raw_path: str
    raw_query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    too_large: bool = False

    @property
    def segments(self) -> tuple[str, ...]:
        """The decoded parts of the path."""
        return tuple(unquote(part) for part in self.raw_path.split("/") if part)

    @property
    def path(self) -> str:
        """The decoded path."""
        return "/" + "/".join(self.segments)

    @property
    def query(self) -> dict[str, str]:
        """What stands behind the question mark, names as they were sent."""
        return dict(parse_qsl(self.raw_query, keep_blank_values=True))

    @property
    def content_type(self) -> str:
        """The media type of the body, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def accepts(self, *wanted: str) -> bool:
        """Whether the Accept header names one of these."""
        given = {part.partition(";")[0].strip().lower() for part in self.headers.get("accept", "").split(",")}
        return not given.isdisjoint(wanted)

    def json(self) -> Json:
        """Return the body as an object; a 400 when it is something else."""
        try:
            value = json.loads(self.body)
        except ValueError:
            raise Rejection(400, "the body is not JSON") from None
        if not isinstance(value, dict):
            raise Rejection(400, "the body is not a JSON object")
        return value


@dataclass(frozen=True)
class Answer:
    """What goes back: bytes as they are, anything else as JSON, nothing for None."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        """The body as it goes over the wire."""
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Rejection(Exception):
    """A refusal. It is a complaint about the client unless `blame` says that the client could not know better."""

    def __init__(self, status: int, message: str, *, body: Any = None, blame: bool = True) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.blame = blame
        self.body = {"status": status, "message": message} if body is None else body

    @property
    def answer(self) -> Answer:
        """The refusal as it is sent."""
        headers = {"WWW-Authenticate": "Bearer"} if self.status == 401 else {}
        return Answer(self.status, self.body, headers)
