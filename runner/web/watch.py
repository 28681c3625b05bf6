"""What is recorded of whoever is turned away. That somebody signed in is recorded with their session, what they do with what it changes."""

from __future__ import annotations

import logging

from fastapi import Request

from runner.errors import RunnerError
from runner.web.protection import SAFE, path_of
from runner.web.rates import Rates, TooMany
from runner.web.server import Server

log = logging.getLogger("lzr")

_SIGN_IN = "/sign-in"
_SIGN_IN_REFUSED = frozenset({"not-signed-in", "token-not-good", "not-allowed"})
_ACCESS_REFUSED = frozenset(
    {"token-not-good", "not-allowed", "webhook-unsigned", "webhook-signature-wrong", "webhook-repeated"}
)


def turned_away(request: Request, error: RunnerError) -> None:
    """Record a refused sign-in (`sign-in-refused`) or refused access (`access-refused`), if the error is one. So many that the audit would
    be drowned are in the log alone, and so is looking where one may not. Never a token, a code or a query."""
    if request.url.path.startswith(_SIGN_IN) and error.code in _SIGN_IN_REFUSED:
        what = "sign-in-refused"
    elif error.code in _ACCESS_REFUSED:
        what = "access-refused"
    else:
        return
    client = request.client.host if request.client is not None else ""
    desk = getattr(request.state, "desk", None)
    by = desk.actor.label if desk is not None else f"somebody at {client}"
    told = {"method": request.method, "path": path_of(request.url.path), "client": client, "code": error.code}
    log.info(what, extra={"actor": by, "detail": error.detail, **told})
    if desk is not None and request.method in SAFE:
        return
    server: Server = request.app.state.server
    rates: Rates = request.app.state.rates
    try:
        rates.take("recorded", "")
        server.audit.record(what, by=by, details={**told, "detail": error.detail}, now=server.now)
    except TooMany:
        return
    except RunnerError as failed:  # the store is away, which is told by whatever else is asked of it
        log.warning("not_recorded", extra={"code": failed.code, "detail": failed.detail})
