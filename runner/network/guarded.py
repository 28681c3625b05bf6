"""Connections that go only where they may and last only as long as they may, for httpcore.

The name is resolved here, once, and what is connected to is the address that was checked, not the name again. Every wait is cut
into short ones, so that neither a slow answer nor a slow trickle of bytes outlives the limit, nor a run that is told to stop.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import httpcore

from runner.errors import Canceled
from runner.network import addresses

GLANCE = 0.25  # seconds between looks at `stop`


@dataclass(frozen=True)
class Limit:
    """When all of it has to be over (monotonic seconds), how long connecting may take, and what ends it early."""

    deadline: float
    connect: float
    stop: threading.Event

    def left(self, most: float = float("inf")) -> float:
        """The seconds that the next step may take; Canceled or a time-out when there are none."""
        if self.stop.is_set():
            raise Canceled
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the time limit of the whole call")
        return min(left, most)


class GuardedNetwork(httpcore.NetworkBackend):
    """Opens connections within a limit. `allowed` names hosts that may be private; None is the way to a proxy, which may. `what` is whose
    address it is, see addresses."""

    def __init__(self, allowed: Collection[str] | None, limit: Limit, *, what: str) -> None:
        self._allowed = allowed
        self._limit = limit
        self._what = what
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first of the host's addresses that answers."""
        found: tuple[str, ...] = (host,)
        if self._allowed is not None:
            found = addresses.resolved(host, port, allowed=self._allowed, what=self._what)
        failure: Exception = httpcore.ConnectError("no address")
        for address in found:
            try:
                stream = self._sockets.connect_tcp(
                    address, port, timeout=self._limit.left(self._limit.connect), socket_options=socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Stream(stream, self._limit)
        raise failure


class _Stream(httpcore.NetworkStream):
    """A connection within a limit."""

    def __init__(self, stream: httpcore.NetworkStream, limit: Limit) -> None:
        self._stream = stream
        self._limit = limit

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while True:
            try:
                return self._stream.read(max_bytes, timeout=self._limit.left(GLANCE))
            except httpcore.ReadTimeout:
                self._limit.left()

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout=self._limit.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        seconds = self._limit.left(self._limit.connect)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout=seconds), self._limit)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
