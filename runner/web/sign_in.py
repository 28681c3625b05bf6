"""The pages on which people sign in and out: at the issuer, or with the code that the terminal of a server for one machine shows.

What a sign-in has to remember until the issuer answers is in a sealed cookie of the browser that began it, so any server of the store may
end it and no other browser can.
"""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from runner.domain.actor import SignedIn
from runner.errors import Refused
from runner.ports import Sessions
from runner.web.gate import LONGEST, Rights, client_of, cookie_name
from runner.web.local_code import LocalCode
from runner.web.openid import OpenId, refused
from runner.web.pages.rendering import page
from runner.web.protection import Origin
from runner.web.rates import Rates

_FLOW = timedelta(minutes=10)
_LOCAL = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class SigningIn:
    """What signing in is done with: at an issuer, or by a code, or (where there is neither) not at all."""

    sessions: Sessions
    rights: Rights
    rates: Rates
    origin: Origin
    now: Callable[[], datetime]
    openid: OpenId | None = None
    code: LocalCode | None = None


@router.get("/sign-in")
def ask(request: Request, next: str = "/", shown: bool = False) -> Response:  # noqa: A002 - the parameter's name in the address
    """The page on which somebody begins to sign in."""
    how = _how(request)
    values = {"by_issuer": how.openid is not None, "by_code": how.code is not None, "next": local(next), "shown": shown}
    return page(request, "sign_in.html", values)


@router.get("/sign-in/begin")
def begin(request: Request, next: str = "/") -> Response:  # noqa: A002
    """Go to the issuer. A link and no form, for browsers hold a form's redirects to its page's policy."""
    how = _how(request)
    how.rates.take("sign-in", client_of(request))
    if how.openid is None:
        raise refused("Nobody can sign in here by an issuer.")
    address, kept = how.openid.begin()
    until = how.now() + _FLOW
    answer = RedirectResponse(address, 303)
    _set(
        answer,
        how,
        _flow_cookie(how),
        how.sessions.sealed({**kept, "next": local(next), "until": until.isoformat()}),
        _FLOW,
    )
    return answer


@router.get("/sign-in/callback")
def end(request: Request) -> Response:
    """What the issuer sends the browser back with."""
    how = _how(request)
    if how.openid is None:
        raise refused("Nobody can sign in here by an issuer.")
    kept = how.sessions.unsealed(request.cookies.get(_flow_cookie(how), ""))
    try:
        if kept is None or datetime.fromisoformat(kept["until"]) <= how.now():
            raise refused("This browser did not begin this sign-in, or too long ago.")
        who, too_many = how.openid.end(request.query_params, kept)
        if not how.rights(who):
            raise _no_rights(who, too_many)
    except Refused:
        how.rates.take("sign-in", client_of(request))
        raise
    answer = _signed_in(request, who, kept["next"])
    answer.delete_cookie(_flow_cookie(how), path="/", secure=how.origin.secure, httponly=True, samesite="lax")
    return answer


@router.post("/sign-in")
def use_code(request: Request, code: Annotated[str, Form()], next: Annotated[str, Form()] = "/") -> Response:  # noqa: A002
    """Sign in with the code of the terminal."""
    how = _how(request)
    how.rates.take("sign-in", client_of(request))
    if how.code is None or not how.code.used(code.strip()):
        raise refused("This is not the code, or it was used or has expired.")
    user = f"{getpass.getuser()}@{socket.gethostname()}"
    return _signed_in(request, SignedIn(id=f"os:{user}", name=user), next)


@router.post("/sign-in/show")
def show_code(request: Request, next: Annotated[str, Form()] = "/") -> Response:  # noqa: A002
    """Have the terminal show the code again, or a new one."""
    how = _how(request)
    how.rates.take("sign-in", client_of(request))
    if how.code is None:
        raise refused("This server shows no code.")
    how.code.tell()
    return RedirectResponse(f"/sign-in?{urlencode({'next': local(next), 'shown': 'true'})}", 303)


@router.post("/sign-out")
def leave(request: Request) -> Response:
    """End the session of this browser."""
    how = _how(request)
    if cookie := request.cookies.get(cookie_name(request)):
        how.sessions.end(cookie)
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(cookie_name(request), path="/", secure=how.origin.secure, httponly=True, samesite="lax")
    return answer


def local(address: str) -> str:
    """The address where it leads to a page of this server, else the first one."""
    return address if _LOCAL.fullmatch(address) else "/"


def _how(request: Request) -> SigningIn:
    found: SigningIn = request.app.state.signing_in
    return found


def _signed_in(request: Request, who: SignedIn, where: str) -> Response:
    how = _how(request)
    if former := request.cookies.get(cookie_name(request)):
        how.sessions.end(former)
    answer = RedirectResponse(local(where), 303)
    _set(answer, how, cookie_name(request), how.sessions.begin(who, now=how.now()), LONGEST)
    return answer


def _set(answer: Response, how: SigningIn, name: str, value: str, age: timedelta) -> None:
    seconds = int(age.total_seconds())
    answer.set_cookie(name, value, seconds, path="/", secure=how.origin.secure, httponly=True, samesite="lax")


def _flow_cookie(how: SigningIn) -> str:
    return "__Host-lzr-sign-in" if how.origin.secure else "lzr-sign-in"


def _no_rights(who: SignedIn, too_many: bool) -> Refused:
    if too_many:
        return Refused(
            "Too many groups",
            code="not-allowed",
            detail=f"{who.name} is in so many groups that the issuer does not tell them, and has no right but by groups.",
            hint="In Entra: emit only groups that are assigned to the application, or use app roles (access.roles).",
        )
    return Refused(
        "Not allowed",
        code="not-allowed",
        detail=f"{who.name} is signed in at the issuer, and has no right on this server. Their id there: {who.subjects[-1]}.",
        hint="Ask whoever keeps the server's configuration for a role (access).",
    )
