"""What is recorded of whoever comes in or is turned away."""

from __future__ import annotations

import logging
from contextlib import suppress

from fastapi import Request

from runner.domain.harmless import plain
from runner.errors import RemoteFailed, RunnerError
from runner.web.server import Server

log = logging.getLogger("lzr")


def noted(what: str, request: Request, *, who: str = "", error: RunnerError | None = None) -> None:
    """Record a sign-in (`signed-in`), a refused one (`sign-in-refused`) or refused access (`access-refused`). Never a token, a code or a
    query."""
    facts = {"path": path_of(request.url.path), "client": request.client.host if request.client is not None else ""}
    if who:
        facts["actor"] = who
    if error is not None:
        facts |= {"code": error.code, "detail": error.detail}
    log.info(what, extra=facts)
    if error is not None:  # a session that begins is recorded by the store itself
        server: Server = request.app.state.server
        told = {name: facts[name] for name in ("path", "client", "code")}
        with suppress(RemoteFailed):  # the store is away, which is told by whatever else is asked of it
            server.audit.record(what, by=who, details=told, now=server.now)


def path_of(path: str) -> str:
    """A path as logs have it: nothing in it acts on a terminal."""
    return plain(path[:500])
