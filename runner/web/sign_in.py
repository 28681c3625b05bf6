"""Signing in: people by OpenID Connect, or whoever sits at this machine by a code that its terminal shows once.

OpenID Connect Core 1.0, authorization code with PKCE (RFC 7636) and the issuer in the answer (RFC 9207). What a sign-in has to remember
until the issuer answers is in a cookie of the browser that began it, so any server may end it and no other browser can.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import secrets
import socket
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Annotated, Any
from urllib.parse import urlencode

import httpx
from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from runner.domain.actor import Actor, Grant, Role
from runner.domain.document import SecretReference
from runner.domain.server_config import Access, ServerConfig, SignIn
from runner.errors import Refused, RemoteFailed
from runner.ports import Sessions
from runner.web.gate import LONGEST, client_of, cookie_name
from runner.web.issuers import Issuers
from runner.web.pages.rendering import page
from runner.web.protection import Origin
from runner.web.rates import Rates

CODE_VALID = timedelta(minutes=15)
_FLOW = timedelta(minutes=10)
_ENTRA_OVERAGE = "_claim_names"

router = APIRouter(include_in_schema=False)


class LocalCode:
    """A code that is shown on the terminal and opens one session, of an administrator, for some minutes."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._expires = now() + CODE_VALID
        self.code = secrets.token_urlsafe(24)

    def used(self, code: str) -> bool:
        """Whether this is the code, which is none any more then."""
        with self._lock:
            good = bool(self.code) and self._now() < self._expires and compare_digest(code.encode(), self.code.encode())
            if good:
                self.code = ""
            return good


@dataclass(frozen=True)
class SigningIn:
    """What signing in is done with. Exactly one of `config` with `sign_in` and `code` opens anything."""

    sessions: Sessions
    issuers: Issuers
    client: httpx.Client
    secret: Callable[[SecretReference], str]
    rates: Rates
    origin: Origin
    now: Callable[[], datetime]
    config: ServerConfig | None = None
    code: LocalCode | None = None


@router.get("/sign-in")
def ask(request: Request, next: str = "/") -> Response:  # noqa: A002 - the parameter's name in the address
    """The page on which somebody begins to sign in."""
    how: SigningIn = request.app.state.signing_in
    by_issuer = how.config is not None and how.config.sign_in is not None
    return page(request, "sign_in.html", {"by_issuer": by_issuer, "by_code": how.code is not None, "next": local(next)})


@router.post("/sign-in")
def begin(request: Request, code: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "/") -> Response:  # noqa: A002
    """Begin: with the code of the terminal at once, else at the issuer."""
    how: SigningIn = request.app.state.signing_in
    how.rates.take("sign-in", client_of(request))
    if how.code is not None:
        if not how.code.used(code.strip()):
            raise _refused(
                "This is not the code, or it was used or has expired.", "Start the server again for a new one."
            )
        user = f"{getpass.getuser()}@{socket.gethostname()}"
        return _signed_in(request, Actor(id=f"os:{user}", name=user, grants=(Grant(role=Role.ADMIN),)), local(next))
    if how.config is None or how.config.sign_in is None:
        raise _refused("Nobody can sign in here.", "Use a token, or give the server's configuration a signIn.")
    sign_in = how.config.sign_in
    metadata = how.issuers.metadata(sign_in.issuer)
    flow = {name: secrets.token_urlsafe(32) for name in ("state", "nonce", "verifier")}
    challenge = urlsafe_b64encode(hashlib.sha256(flow["verifier"].encode()).digest()).decode().rstrip("=")
    query = {
        "response_type": "code",
        "client_id": sign_in.client_id,
        "redirect_uri": _callback(how.config),
        "scope": " ".join(sign_in.scopes),
        "state": flow["state"],
        "nonce": flow["nonce"],
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    address = str(metadata.get("authorization_endpoint") or "")
    answer = RedirectResponse(f"{address}{'&' if '?' in address else '?'}{urlencode(query)}", 303)
    answer.set_cookie(
        _flow_cookie(how),
        urlsafe_b64encode(json.dumps({**flow, "next": local(next)}).encode()).decode(),
        max_age=int(_FLOW.total_seconds()),
        path="/",
        secure=how.origin.secure,
        httponly=True,
        samesite="lax",
    )
    return answer


@router.get("/sign-in/callback")
def end(request: Request, code: str = "", state: str = "", error: str = "", iss: str = "") -> Response:
    """What the issuer sends the browser back with."""
    how: SigningIn = request.app.state.signing_in
    how.rates.take("sign-in", client_of(request))
    if how.config is None or how.config.sign_in is None:
        raise _refused("Nobody can sign in here by an issuer.", "")
    sign_in = how.config.sign_in
    flow = _flow_of(request.cookies.get(_flow_cookie(how), ""))
    if not flow or not compare_digest(state.encode(), flow["state"].encode()):
        raise _refused("This browser did not begin this sign-in, or too long ago.", "Sign in again.")
    if error or not code:
        raise _refused("The issuer did not let you in.", "Sign in again; the issuer's own page says why.")
    if iss and iss != sign_in.issuer:
        raise _refused("The answer is from another issuer.", "Sign in again.")
    token = _exchange(how, sign_in, code, flow["verifier"])
    claims = how.issuers.claims(token, issuer=sign_in.issuer, audience=sign_in.client_id)
    if not compare_digest(str(claims.get("nonce") or "").encode(), flow["nonce"].encode()):
        raise _refused("The answer belongs to another sign-in.", "Sign in again.")
    if claims.get("azp", sign_in.client_id) != sign_in.client_id:
        raise _refused("The answer is meant for another application.", "Sign in again.")
    answer = _signed_in(request, actor_of(claims, how.config.access, sign_in), flow["next"])
    answer.delete_cookie(_flow_cookie(how), path="/", secure=how.origin.secure, httponly=True, samesite="lax")
    return answer


@router.post("/sign-out")
def leave(request: Request) -> Response:
    """End the session of this browser."""
    how: SigningIn = request.app.state.signing_in
    if cookie := request.cookies.get(cookie_name(request)):
        how.sessions.end(cookie)
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(cookie_name(request), path="/", secure=how.origin.secure, httponly=True, samesite="lax")
    return answer


def actor_of(claims: dict[str, Any], access: tuple[Access, ...], sign_in: SignIn) -> Actor:
    """Who signed in, with the rights that the configuration gives. Refused where that cannot be told, or is nothing."""
    in_too_many = sign_in.groups_claim in (claims.get(_ENTRA_OVERAGE) or {})
    groups, roles = _texts(claims.get(sign_in.groups_claim)), _texts(claims.get("roles"))
    subjects = {str(claims["sub"]), str(claims.get("oid") or claims["sub"])}
    grants = tuple(
        dict.fromkeys(
            one.grant
            for one in access
            if groups & set(one.groups) or roles & set(one.roles) or subjects & set(one.subjects)
        )
    )
    name = str(claims.get("name") or claims.get("preferred_username") or claims.get("email") or claims["sub"])
    if in_too_many and any(one.groups for one in access):
        raise Refused(
            "Too many groups",
            code="not-allowed",
            detail=f"{name} is in so many groups that the issuer does not tell them.",
            hint="In Entra: emit only groups assigned to the application, or use app roles (access.roles).",
        )
    if not grants:
        raise Refused(
            "Not allowed",
            code="not-allowed",
            detail=f"{name} is signed in at the issuer, and has no right on this server.",
            hint="Ask whoever keeps the server's configuration for a role (access).",
        )
    return Actor(id=f"oidc:{claims['iss']}#{claims['sub']}", name=name, grants=grants, person=True)


def local(address: str) -> str:
    """The address where it leads to a page of this server, else the first one."""
    return address if address.startswith("/") and not address.startswith(("//", "/\\")) and "\\" not in address else "/"


def _exchange(how: SigningIn, sign_in: SignIn, code: str, verifier: str) -> str:
    assert how.config is not None  # noqa: S101 - as its callers know
    given = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": _callback(how.config),
        "client_id": sign_in.client_id,
        "code_verifier": verifier,
    }
    metadata = how.issuers.metadata(sign_in.issuer)
    authorization = None
    if sign_in.client_secret is not None:
        secret = how.secret(sign_in.client_secret)
        ways = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if "client_secret_post" in ways:
            given["client_secret"] = secret
        else:
            authorization = httpx.BasicAuth(sign_in.client_id, secret)
    try:
        answer = how.client.post(
            str(metadata.get("token_endpoint") or ""), data=given, auth=authorization or httpx.USE_CLIENT_DEFAULT
        )
        found = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise RemoteFailed(
            "The issuer does not answer",
            code="issuer-unusable",
            detail=f"{sign_in.issuer}: its token endpoint gives nothing to read ({type(error).__name__}).",
            hint="Try again.",
            temporary=True,
        ) from None
    token = found.get("id_token") if answer.status_code == 200 and isinstance(found, dict) else None
    if not isinstance(token, str):
        raise _refused("The issuer does not take its own answer any more.", "Sign in again.")
    return token


def _signed_in(request: Request, actor: Actor, where: str) -> Response:
    how: SigningIn = request.app.state.signing_in
    cookie = how.sessions.begin(actor, now=how.now())
    answer = RedirectResponse(local(where), 303)
    answer.set_cookie(
        cookie_name(request),
        cookie,
        max_age=int(LONGEST.total_seconds()),
        path="/",
        secure=how.origin.secure,
        httponly=True,
        samesite="lax",
    )
    return answer


def _callback(config: ServerConfig) -> str:
    return config.public_url.rstrip("/") + "/sign-in/callback"


def _flow_cookie(how: SigningIn) -> str:
    return "__Host-lzr-sign-in" if how.origin.secure else "lzr-sign-in"


def _flow_of(cookie: str) -> dict[str, str]:
    from base64 import urlsafe_b64decode

    try:
        found = json.loads(urlsafe_b64decode(cookie.encode()))
    except ValueError:
        return {}
    names = ("state", "nonce", "verifier", "next")
    whole = isinstance(found, dict) and all(isinstance(found.get(name), str) and found[name] for name in names)
    return {name: found[name] for name in names} if whole else {}


def _texts(claim: Any) -> set[str]:
    return {str(one) for one in claim} if isinstance(claim, list) else {claim} if isinstance(claim, str) else set()


def _refused(detail: str, hint: str) -> Refused:
    return Refused("Not signed in", code="not-signed-in", detail=detail, hint=hint)
