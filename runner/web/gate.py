"""Who is asking: what a request has to show to be somebody's."""

from __future__ import annotations

from typing import Protocol

from fastapi import Request

from runner.domain.actor import Actor
from runner.errors import Refused
from runner.web.desk import Desk
from runner.web.server import Server


class Gate(Protocol):
    """Lets actors in."""

    def identify(self, request: Request) -> Actor | None:
        """Whose request this is; None where it shows nothing. Refused where what it shows is not good."""


def desk_of(request: Request) -> Desk:
    """What whoever asks may see and do; Refused (`not-signed-in`) where nobody was let in."""
    server: Server = request.app.state.server
    gate: Gate = request.app.state.gate
    actor = gate.identify(request)
    if actor is None:
        raise Refused(
            "Nobody is signed in",
            code="not-signed-in",
            detail="The request shows neither a session nor a token.",
            hint="Sign in on the page, or send a token: Authorization: Bearer …",
        )
    return Desk(server, actor)
