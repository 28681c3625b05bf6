"""The agent's own port: whether it lives (`/healthz`, as the existing runner), and its numbers (`/metrics`)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from runner.errors import InputError

DEFAULT_PORT = 8100


@contextmanager
def served(port: int, *, healthy: Callable[[], str], metrics: Callable[[], bytes]) -> Iterator[int]:
    """Answer on this port of every address meanwhile (0: any free one); gives the port. InputError where it is taken."""
    try:
        server = _Server(("", port), _handler(healthy, metrics))
    except OSError as error:
        raise InputError(
            "The management port cannot be used",
            code="management-port-unusable",
            detail=f"Port {port}: {error.strerror}.",
            hint="Name another one with MANAGEMENT_PORT.",
        ) from None
    thread = threading.Thread(
        target=server.serve_forever, name="management", kwargs={"poll_interval": 0.1}, daemon=True
    )
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True


def _handler(healthy: Callable[[], str], metrics: Callable[[], bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/healthz":
                    self._answer(200, healthy().encode(), "text/plain; charset=utf-8")
                case "/metrics":
                    self._answer(200, metrics(), "text/plain; version=0.0.4; charset=utf-8")
                case _:
                    self._answer(404, b"Not here. There are /healthz and /metrics.\n", "text/plain; charset=utf-8")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
