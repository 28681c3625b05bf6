"""Microsoft Graph as the azuread provider uses it: the metadata document, requests with a token, pages, replication.

Graph answers from replicas: what was just written may be invisible for a moment. The real provider waits for five looks in a row that
agree, five seconds apart. This one takes the same five looks and waits only where one disagrees.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from threading import Event, Lock
from typing import Any
from urllib.parse import urlencode

from runner.sandbox.provider import access
from runner.sandbox.provider.access import Settings
from runner.sandbox.provider.contract import Failed, Object
from runner.sandbox.provider.rest import Reply, Rest, pause
from runner.sandbox.provider.values import dump_json

BETA, STABLE = "/beta", "/v1.0"
_LOOKS = 5
_PAUSE = 0.2  # seconds between looks that disagree
_VISIBLE_WITHIN = 120.0  # seconds a new object may stay invisible to writes


class GraphFailed(Exception):
    """Graph answered with an error."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.method} {reply.url}: {reply.status}")
        self.status = reply.status
        error = (reply.json or {}).get("error") if isinstance(reply.json, dict) else None
        message = error.get("message") if isinstance(error, dict) else None
        self.text = f"unexpected status {reply.status} ({reply.status} {reply.reason}) with error: {reply.error_code}: {message}"


@dataclass
class Graph:
    """A session of the azuread provider."""

    settings: Settings
    metadata_host: str
    rest: Rest
    stop: Event
    locks: dict[str, Lock] = field(default_factory=dict)
    guard: Lock = field(default_factory=Lock)

    @cached_property
    def _metadata(self) -> Mapping[str, Any]:
        reply = self.rest.send("GET", f"https://{self.metadata_host}/metadata/endpoints?api-version=2022-09-01")
        if not reply.ok or not isinstance(reply.json, dict):
            raise Failed("Cloud metadata cannot be read", f"{reply.url} answered with status {reply.status}.")
        return reply.json

    @cached_property
    def endpoint(self) -> str:
        """Graph's address, which the metadata document names."""
        with self.guard:
            named = str(self._metadata.get("microsoftGraphResourceId", ""))
            return access.sandbox_address(self.settings, named, "Microsoft Graph in the metadata document")

    @cached_property
    def identity(self) -> access.Identity:
        with self.guard:
            named = str((self._metadata.get("authentication") or {}).get("loginEndpoint", ""))
            authority = access.sandbox_address(self.settings, named, "The authority in the metadata document")
            return access.Identity(self.settings, authority, self.rest, access.identity_for_azuread)

    @property
    def caller(self) -> str:
        """The object id of whoever the provider is."""
        return self.identity.object_id(self._scope)

    @property
    def _scope(self) -> str:
        return f"{self.endpoint}/.default"

    def reference(self, object_id: str) -> Object:
        """Name a directory object the way a membership request does."""
        return {"@odata.id": self.address_of(object_id)}

    def address_of(self, object_id: str) -> str:
        return f"{self.endpoint}{BETA}/directoryObjects/{object_id}"

    def get(self, path: str, **query: str) -> Any:
        """Read one object."""
        return self._send("GET", path, query=query).json

    def find(self, path: str, **query: str) -> Any:
        """Read one object, or None if it is not there."""
        try:
            return self.get(path, **query)
        except GraphFailed as failure:
            if failure.status == 404:
                return None
            raise

    def collect(self, path: str, **query: str) -> list[Any]:
        """Read all pages of a collection."""
        page = self.get(path, **query)
        found = list(page.get("value", ()))
        while following := page.get("@odata.nextLink"):
            page = self._request("GET", following, None).json
            found += page.get("value", ())
        return found

    def post(self, path: str, body: Object) -> Any:
        return self._send("POST", path, body).json

    def patch(self, path: str, body: Object) -> None:
        self._send("PATCH", path, body)

    def patch_new(self, path: str, body: Object) -> None:
        """Change an object that was just made, as soon as Graph lets it be changed."""
        patience = time.monotonic() + _VISIBLE_WITHIN
        while True:
            try:
                return self.patch(path, body)
            except GraphFailed as failure:
                if failure.status != 404 or time.monotonic() > patience:
                    raise
            pause(self.stop, _PAUSE)

    def delete(self, path: str) -> None:
        """Delete an object or a membership; one that is not there is deleted already."""
        try:
            self._send("DELETE", path)
        except GraphFailed as failure:
            if failure.status != 404:
                raise

    def until(self, is_so: Callable[[], bool], deadline: float, what: str) -> None:
        """Look until five looks in a row agree that something is so."""
        agreed = 0
        while agreed < _LOOKS:
            if is_so():
                agreed += 1
                continue
            agreed = 0
            if time.monotonic() > deadline:
                raise Failed("Graph takes too long", f"{what} was not visible within the resource's timeout.")
            pause(self.stop, _PAUSE)

    @contextmanager
    def holding(self, name: str) -> Iterator[None]:
        """Let one change of the named object happen at a time."""
        with self.guard:
            lock = self.locks.setdefault(name, Lock())
        with lock:
            yield

    def _send(
        self, method: str, path: str, body: Object | None = None, query: Mapping[str, str] | None = None
    ) -> Reply:
        named = {f"${name}": value for name, value in (query or {}).items()}
        return self._request(
            method, f"{self.endpoint}{path}{'?' + urlencode(sorted(named.items())) if named else ''}", body
        )

    def _request(self, method: str, url: str, body: Object | None) -> Reply:
        headers = {"Authorization": f"Bearer {self.identity.token(self._scope)}"}
        content = None
        if body is not None:
            content, headers["Content-Type"] = dump_json(body).encode(), "application/json"
        reply = self.rest.send(method, url, body=content, headers=headers)
        if not reply.ok:
            raise GraphFailed(reply)
        return reply


def quoted(text: str) -> str:
    """Write text as a literal of a filter."""
    return "'" + text.replace("'", "''") + "'"
