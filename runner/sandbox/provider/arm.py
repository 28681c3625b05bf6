"""Azure Resource Manager as the azapi provider uses it: requests with a token, retries that a module asks for, long-running operations.

The order of a poll's steps is that of Azure's Go SDK, which the real provider is built on: a header wins over the body, an operation
that names no header is polled at its own address, a DELETE that is accepted without a header is not waited for. Only the pauses are
shorter: where no reply says how long to wait, the real provider waits 10 seconds and this one a fraction of one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Event, Lock
from typing import Any
from urllib.parse import quote, urlencode

from runner.sandbox.provider.access import Identity
from runner.sandbox.provider.contract import Failed
from runner.sandbox.provider.rest import Reply, Rest, pause
from runner.sandbox.provider.values import dump_json

_POLL_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)  # then the last, where no reply names a time
_VISIBLE_WITHIN = 120.0  # seconds a new object may stay invisible to reads
_SUCCEEDED, _FAILED = "succeeded", frozenset({"failed", "canceled", "cancelled"})
_RULE = "-" * 80
_PLAIN_IN_PATH = "/:@!$&'()*+,;=~"
_SHOWN = 4000  # characters of a reply that a diagnostic quotes


class RequestFailed(Exception):
    """Azure answered with an error."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.method} {reply.url}: {reply.status} {reply.error_code}")
        self.reply = reply
        self.status = reply.status

    @property
    def text(self) -> str:
        """The whole error in the form the real provider shows, which is also what `retry.error_message_regex` is matched against."""
        reply = self.reply
        body = reply.body.decode("utf-8", "replace") or "Response contained no body"
        return "\n".join(
            (
                f"{reply.method} {reply.url.partition('?')[0]}",
                _RULE,
                f"RESPONSE {reply.status}: {reply.status} {reply.reason}",
                f"ERROR CODE: {reply.error_code}",
                _RULE,
                body,
                _RULE,
            )
        )

    @property
    def shown(self) -> str:
        return self.text if len(self.text) <= _SHOWN else self.text[:_SHOWN] + "…"


@dataclass(frozen=True)
class Retry:
    """The `retry` argument: which errors are worth another attempt, and after how many seconds."""

    patterns: tuple[re.Pattern[str], ...] = ()
    interval: float = 10
    longest: float = 180

    @classmethod
    def of(cls, argument: Mapping[str, Any] | None) -> Retry:
        if not argument:
            return cls()
        return cls(
            tuple(re.compile(pattern) for pattern in argument["error_message_regex"]),
            float(argument.get("interval_seconds") or cls.interval),
            float(argument.get("max_interval_seconds") or cls.longest),
        )

    def wants(self, failure: RequestFailed) -> bool:
        return any(pattern.search(failure.text) for pattern in self.patterns)

    def pause_before(self, attempt: int) -> float:
        return min(self.interval * float(2**attempt - 1), self.longest)


@dataclass(frozen=True)
class Options:
    """How one request is made: what the module adds to it, and when the operation has taken too long (monotonic seconds)."""

    deadline: float
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, list[str]] = field(default_factory=dict)
    retry: Retry = Retry()


@dataclass
class Arm:
    """A session of the azapi provider."""

    endpoint: str
    scope: str
    identity: Identity
    rest: Rest
    stop: Event
    subscription_id: str
    block: Mapping[str, Any]
    locks: dict[str, Lock] = field(default_factory=dict)
    locks_guard: Lock = field(default_factory=Lock)

    def get(self, id_: str, api_version: str, options: Options) -> Any:
        """Read one resource."""
        return self._send("GET", id_, api_version, options).json

    def get_new(self, id_: str, api_version: str, options: Options) -> Any:
        """Read a resource that was just written, which may take a moment to be visible."""
        patience = min(options.deadline, time.monotonic() + _VISIBLE_WITHIN)
        pauses = _pauses()
        while True:
            try:
                return self.get(id_, api_version, options)
            except RequestFailed as failure:
                if failure.status not in (403, 404) or time.monotonic() > patience:
                    raise
            pause(self.stop, next(pauses))

    def put(self, id_: str, api_version: str, body: Any, options: Options) -> Any:
        """Create or update a resource and wait until it is done."""
        return self._finish(self._send("PUT", id_, api_version, options, body), options)

    def delete(self, id_: str, api_version: str, options: Options) -> None:
        """Delete a resource and wait where Azure says for what."""
        self._finish(self._send("DELETE", id_, api_version, options), options)

    def act(self, method: str, id_: str, api_version: str, body: Any, options: Options) -> Any:
        """Call an action and return what it answers."""
        return self._finish(self._send(method, id_, api_version, options, None if method == "GET" else body), options)

    def collect(self, url_path: str, api_version: str, options: Options) -> Any:
        """Read all pages of a collection as one."""
        page = self._send("GET", url_path, api_version, options).json
        found: list[Any] = []
        while isinstance(page, dict) and isinstance(page.get("value"), list):
            found += page["value"]
            if not (following := page.get("nextLink")):
                return {"value": found}
            page = self._retried("GET", following, options).json
        return page

    @contextmanager
    def holding(self, names: list[str] | None) -> Iterator[None]:
        """Hold the named locks against the other resources of this provider."""
        with self.locks_guard:
            held = [self.locks.setdefault(name, Lock()) for name in sorted(set(names or ()))]
        for lock in held:
            lock.acquire()
        try:
            yield
        finally:
            for lock in reversed(held):
                lock.release()

    def _send(self, method: str, path: str, api_version: str, options: Options, body: Any = None) -> Reply:
        query = {key: ",".join(given) for key, given in options.query.items()} | {"api-version": api_version}
        url = f"{self.endpoint}{quote(path, safe=_PLAIN_IN_PATH)}?{urlencode(sorted(query.items()))}"
        return self._retried(method, url, options, body)

    def _retried(self, method: str, url: str, options: Options, body: Any = None) -> Reply:
        attempt = 0
        while True:
            try:
                return self._request(method, url, options, body)
            except RequestFailed as failure:
                attempt += 1
                wait = failure.reply.retry_after
                wait = options.retry.pause_before(attempt) if wait is None else wait
                if not options.retry.wants(failure) or time.monotonic() + wait > options.deadline:
                    raise
            pause(self.stop, wait)

    def _request(self, method: str, url: str, options: Options, body: Any = None) -> Reply:
        headers = {"Authorization": f"Bearer {self.identity.token(self.scope)}", **options.headers}
        content = None
        if body is not None:
            content = dump_json(body).encode()
            headers["Content-Type"] = "application/json"
        reply = self.rest.send(method, url, body=content, headers=headers)
        if not reply.ok:
            raise RequestFailed(reply)
        return reply

    def _finish(self, first: Reply, options: Options) -> Any:
        """Follow a long-running operation to its end and return what it made."""
        plain = replace(options, headers={}, query={})
        if url := first.headers.get("azure-asyncoperation"):
            self._poll(first, url, _operation_state, plain)
            return self._request("GET", first.url, plain).json if first.method in ("PUT", "PATCH") else first.json
        if url := first.headers.get("location"):
            return self._poll(first, url, _location_state, plain).json if first.status in (201, 202) else first.json
        if first.method in ("PUT", "PATCH") and _resource_state(first) != _SUCCEEDED:
            return self._poll(first, first.url, _resource_state, plain).json
        return first.json

    def _poll(self, reply: Reply, url: str, state_of: Callable[[Reply], str], options: Options) -> Reply:
        pauses = _pauses()
        wait = reply.retry_after or 0  # the first look is at once unless the server says otherwise
        while True:
            if time.monotonic() + wait > options.deadline:
                raise Failed(
                    "Operation takes too long", f"{reply.method} {url} was not complete within the resource's timeout."
                )
            pause(self.stop, wait)
            reply = self._request("GET", url, options)
            state = state_of(reply)
            if state in _FAILED:
                raise RequestFailed(reply)
            if state == _SUCCEEDED:
                return reply
            url = reply.headers.get("location", url) if state_of is _location_state else url
            after = reply.retry_after
            wait = next(pauses) if after is None else after


def _pauses() -> Iterator[float]:
    yield from _POLL_PAUSES
    while True:
        yield _POLL_PAUSES[-1]


def _provisioning_state(reply: Reply) -> str:
    properties = reply.json.get("properties") if isinstance(reply.json, dict) else None
    return str((properties.get("provisioningState") if isinstance(properties, dict) else None) or "").lower()


def _operation_state(reply: Reply) -> str:
    return str((reply.json or {}).get("status", "")).lower() if isinstance(reply.json, dict) else ""


def _location_state(reply: Reply) -> str:
    return _provisioning_state(reply) or ("inprogress" if reply.status == 202 else _SUCCEEDED)


def _resource_state(reply: Reply) -> str:
    """A resource that names no state is done, except in a 201: there the SDK looks once more."""
    return _provisioning_state(reply) or ("inprogress" if reply.status in (201, 202) else _SUCCEEDED)
