"""Who is asking: what a request has to show to be somebody's, and what it must show beside that to change something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Any, Protocol

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from runner.domain.actor import Act, Actor, Grant, Role, SignedIn, may_anywhere, not_allowed
from runner.domain.server_config import ServerConfig, Workload
from runner.errors import Refused
from runner.ports import Sessions, Tokens
from runner.web.desk import Desk
from runner.web.issuers import Issuers, not_good, unproved
from runner.web.protection import SAFE, csrf_of, foreign
from runner.web.rates import Rates
from runner.web.server import Server

Rights = Callable[[SignedIn], tuple[Grant, ...]]
"""What somebody who signed in may do now."""

IDLE = timedelta(hours=2)
LONGEST = timedelta(hours=12)
_LONGEST_TOKEN = timedelta(days=1)  # of a workload; a token that lives longer is somebody's mistake
CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf"


class Gate(Protocol):
    """Lets actors in."""

    def identify(self, request: Request, csrf: str) -> Actor | None:
        """Whose request this is; None where it shows nothing. Refused where what it shows is not good, or it changes something and `csrf`
        is not the session's. Sets `request.state.csrf`, what forms of the answer carry."""


@dataclass(frozen=True)
class StoreGate:
    """Lets in whoever has a session or a token of the store, or a token of a configured workload."""

    sessions: Sessions
    tokens: Tokens
    rights: Rights
    workloads: tuple[Workload, ...]
    issuers: Issuers
    rates: Rates
    now: Callable[[], datetime]

    def identify(self, request: Request, csrf: str) -> Actor | None:
        """See Gate."""
        request.state.csrf = ""
        header = request.headers.get("authorization")
        if header is not None:
            scheme, _, secret = header.partition(" ")
            try:
                return self._by_token(secret.strip()) if scheme.lower() == "bearer" else _no_bearer()
            except Refused:
                self.rates.take(
                    "bad-token", client_of(request)
                )  # and never a good one: somebody else may have sent the bad ones
                raise
        cookie = request.cookies.get(cookie_name(request))
        who = self.sessions.of(cookie, now=self.now(), idle=IDLE, longest=LONGEST) if cookie else None
        if who is None or cookie is None:
            return None
        request.state.csrf = csrf_of(cookie)
        if request.method not in SAFE and not compare_digest(csrf.encode(), request.state.csrf.encode()):
            raise foreign()
        return Actor(id=who.id, name=who.name, grants=self.rights(who), person=who.person)

    def _by_token(self, secret: str) -> Actor:
        if secret.count(".") == 2:
            return self._by_workload(secret)
        found = self.tokens.find(secret, now=self.now())
        if found is None:
            raise not_good("This store has no such token.")
        if not found.good(self.now()):
            raise not_good(f"The token {found.id} ({found.name}) was revoked, or has expired.")
        return Actor(id=f"token:{found.id}", name=found.name, grants=found.grants)

    def _by_workload(self, token: str) -> Actor:
        said = unproved(token)
        issuer, audiences = str(said.get("iss") or ""), _audiences(said)
        meant = [one for one in self.workloads if one.issuer == issuer and one.audience in audiences]
        if not meant:
            raise not_good("No workload of this server's configuration has its issuer and audience.")
        claims = self.issuers.claims(token, issuer=issuer, audience=meant[0].audience)
        if claims["exp"] - claims["iat"] > _LONGEST_TOKEN.total_seconds():
            raise not_good("It lives for more than a day.")
        fitting = [one for one in meant if one.fits(claims)]
        if not fitting:
            raise not_good("It has not the claims of any workload of this server's configuration.")
        return Actor(
            id=f"workload:{issuer}#{claims['sub']}",
            name=fitting[0].name,
            grants=tuple(dict.fromkeys(one.grant for one in fitting)),
        )


async def desk_of(request: Request) -> Desk:
    """What whoever asks may see and do; Refused (`not-signed-in`) where nobody was let in."""
    csrf = request.headers.get(CSRF_HEADER, "")
    if not csrf and request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        given = (await request.form()).get(CSRF_FIELD)
        csrf = given if isinstance(given, str) else ""
    return await run_in_threadpool(_desk, request, csrf)


def _desk(request: Request, csrf: str) -> Desk:
    server: Server = request.app.state.server
    gate: Gate = request.app.state.gate
    actor = gate.identify(request, csrf)
    if actor is None:
        raise Refused(
            "Nobody is signed in",
            code="not-signed-in",
            detail="The request shows neither a session nor a token.",
            hint="Sign in on the page, or send a token: Authorization: Bearer …",
        )
    if request.method not in SAFE:
        rates: Rates = request.app.state.rates
        rates.take("change", actor.id)
    request.state.desk = Desk(server, actor)
    return Desk(server, actor)


def rights(config: ServerConfig | None) -> Rights:
    """Those of the configuration; without one, everything for whoever sits at this machine, and nothing for anybody else."""
    if config is not None:
        return config.grants
    return lambda who: () if who.person else (Grant(role=Role.ADMIN),)


class Needs:
    """What a route needs its caller to be allowed somewhere; the desk looks where exactly. Every route has one, or is public."""

    def __init__(self, act: Act) -> None:
        self.act = act

    async def __call__(self, request: Request) -> Desk:
        """The caller's desk."""
        desk = await desk_of(request)
        if not may_anywhere(desk.actor, self.act):
            raise not_allowed(desk.actor, self.act, "anything here")
        return desk


def cookie_name(request: Request) -> str:
    """Of a session: bound to the very host where browsers reach it by https."""
    return "__Host-lzr" if request.app.state.origin.secure else "lzr"


def client_of(request: Request) -> str:
    """The address a request comes from, as far as it is known."""
    return request.client.host if request.client is not None else "unknown"


def _audiences(claims: dict[str, Any]) -> list[Any]:
    found = claims.get("aud")
    return found if isinstance(found, list) else [found]


def _no_bearer() -> Actor:
    raise not_good("The Authorization header is none of a bearer.")
