"""A server process: answers on one address, works in the background, and stops gently."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import uvicorn
from fastapi import FastAPI

from runner.errors import InputError

_GRACE = timedelta(seconds=5)  # for answers that are under way
_LARGEST_HEAD = 32 * 1024  # a workload's token has up to half of it
_CONNECTIONS = 1000  # more are answered with 503


@contextmanager
def answering(app: FastAPI, host: str, port: int, *, proxies: Sequence[str] = ()) -> Iterator[int]:
    """Answer on this address meanwhile (port 0: any free one); gives the port. InputError where it cannot be used.

    `proxies` are addresses and networks whose word about the client is taken (X-Forwarded-For).
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(512)
    except OSError as error:
        bound.close()
        raise InputError(
            "The address cannot be used",
            code="address-unusable",
            detail=f"{host} port {port}: {error.strerror or error}.",
            hint="Give another one with --port.",
        ) from None
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        loop="asyncio",
        http="h11",
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        h11_max_incomplete_event_size=_LARGEST_HEAD,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=int(_GRACE.total_seconds()),
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([bound],), name="web", daemon=True)
    thread.start()
    try:
        yield int(bound.getsockname()[1])
    finally:
        app.state.streams.closing = True  # else each that is open is waited for
        server.should_exit = True
        thread.join(2 * _GRACE.total_seconds())
        bound.close()
