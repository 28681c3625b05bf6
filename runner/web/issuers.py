"""Signed tokens of issuers that the configuration names: what they publish, and whether a token is theirs.

OpenID Connect Discovery 1.0 and RFC 7519. Only asymmetric signatures, so that nothing published can sign; only configured issuers are ever
asked, over https (or on this machine), and no redirect is followed. What an issuer publishes is kept for an hour, and for a day where it
does not answer meanwhile; a key that is not known yet is asked for again, at most once a minute.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import jwt

from runner.errors import Refused, RemoteFailed

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_ENDPOINTS = (
    "jwks_uri",
    "authorization_endpoint",
    "token_endpoint",
)  # the last two only of issuers where people sign in
_KEPT = timedelta(hours=1)
_KEPT_AT_MOST = timedelta(days=1)
_ASKED_AGAIN = timedelta(minutes=1)
_FAILED_AGAIN = timedelta(seconds=10)  # an issuer that does not answer holds up one request, not all of them
_LARGEST = 1024 * 1024
_LEEWAY = 60  # seconds that clocks may be apart
_LONGEST_TOKEN = 16 * 1024
_REQUIRED = ["iss", "aud", "exp", "iat", "sub"]


@dataclass(frozen=True)
class _Published:
    metadata: dict[str, Any]
    keys: tuple[jwt.PyJWK, ...]
    at: datetime


class Issuers:
    """What issuers publish. Safe to use from several threads."""

    def __init__(self, client: httpx.Client, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)  # only configured issuers come here
        self._published: dict[str, _Published] = {}
        self._failed: dict[str, tuple[datetime, RemoteFailed]] = {}

    def metadata(self, issuer: str) -> dict[str, Any]:
        """The issuer's discovery document; every endpoint in it is safe to use, and those of sign-in are there. RemoteFailed where it
        cannot be had or is another issuer's."""
        found = self._of(issuer).metadata
        if missing := [name for name in _ENDPOINTS if name not in found]:
            raise _unusable(issuer, f"It publishes no {missing[0]}: people cannot sign in there.")
        return found

    def claims(self, token: str, *, issuer: str, audience: str) -> dict[str, Any]:
        """The claims of a token that this issuer signed for this audience and that is valid now. Refused (`token-not-good`) for any
        other."""
        unproved(token)
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = self._key(issuer, kid if isinstance(kid, str) else None)
            found: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                audience=audience,
                issuer=issuer,
                leeway=_LEEWAY,
                options={"require": _REQUIRED},
            )
        except jwt.PyJWTError as error:
            raise not_good(f"It is not valid here: {type(error).__name__}.") from None
        return found

    def _key(self, issuer: str, kid: str | None) -> jwt.PyJWK:
        published = self._of(issuer)
        found = _named(published.keys, kid)
        if found is None and published.at + _ASKED_AGAIN <= self._now():  # the issuer may have a new one
            found = _named(self._asked(issuer, older_than=_ASKED_AGAIN).keys, kid)
        if found is None:
            raise not_good("Its issuer publishes no such key.")
        return found

    def _of(self, issuer: str) -> _Published:
        found = self._published.get(issuer)
        if found is not None and self._now() < found.at + _KEPT:
            return found
        try:
            return self._asked(issuer, older_than=_KEPT)
        except RemoteFailed:
            if found is not None and self._now() < found.at + _KEPT_AT_MOST:
                return found
            raise

    def _asked(self, issuer: str, *, older_than: timedelta) -> _Published:
        """What the issuer publishes now, unless another thread asked meanwhile."""
        with self._locks[issuer]:
            found, now = self._published.get(issuer), self._now()
            if found is not None and now < found.at + older_than:
                return found
            failed = self._failed.get(issuer)
            if failed is not None and now < failed[0] + _FAILED_AGAIN:
                raise failed[1].with_traceback(None)
            try:
                self._published[issuer] = self._fetched(issuer)
            except RemoteFailed as error:
                self._failed[issuer] = (self._now(), error)
                raise
            return self._published[issuer]

    def _fetched(self, issuer: str) -> _Published:
        metadata = self._json(issuer.rstrip("/") + "/.well-known/openid-configuration", issuer)
        if metadata.get("issuer") != issuer:
            raise _unusable(issuer, "It publishes the configuration of another issuer.")
        for name in _ENDPOINTS:
            address = metadata.get(name)
            if name in metadata and not (isinstance(address, str) and _is_safe(address)):
                raise _unusable(issuer, f"Its {name} is no address with https.")
        if "jwks_uri" not in metadata:
            raise _unusable(issuer, "It publishes no jwks_uri.")
        try:
            keys = jwt.PyJWKSet.from_dict(self._json(metadata["jwks_uri"], issuer)).keys
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
            raise _unusable(issuer, "What it publishes as keys cannot be read.") from None
        usable = tuple(key for key in keys if key.public_key_use in (None, "sig") and key.algorithm_name in _ALGORITHMS)
        return _Published(metadata, usable, self._now())

    def _json(self, address: str, issuer: str) -> dict[str, Any]:
        try:
            with self._client.stream("GET", address) as answer:
                if answer.status_code != 200:
                    raise _unusable(issuer, f"{address} answers {answer.status_code}.")
                body = b""
                for chunk in answer.iter_bytes():
                    body += chunk
                    if len(body) > _LARGEST:
                        raise _unusable(issuer, f"{address} answers with more than {_LARGEST} bytes.")
            found = httpx.Response(200, content=body).json()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _unusable(issuer, f"{address} cannot be reached ({type(error).__name__}).") from None
        except (ValueError, RecursionError):
            raise _unusable(issuer, f"{address} answers with something else than JSON.") from None
        if not isinstance(found, dict):
            raise _unusable(issuer, f"{address} answers with something else than an object.")
        return found


def unproved(token: str) -> dict[str, Any]:
    """What a token says of itself, which tells no more than which issuer to ask. Refused where it is none."""
    if len(token) > _LONGEST_TOKEN:
        raise not_good("It is too long to be one.")
    try:
        found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise not_good("It is no signed token.") from None
    return found


def not_good(detail: str) -> Refused:
    """The refusal of a token. The token itself is never in it."""
    return Refused("The token is not good", code="token-not-good", detail=detail, hint="Get a new one.")


def _named(keys: tuple[jwt.PyJWK, ...], kid: str | None) -> jwt.PyJWK | None:
    if kid is None:
        return keys[0] if len(keys) == 1 else None
    return next((key for key in keys if key.key_id == kid), None)


def _is_safe(address: str) -> bool:
    return address.startswith(("https://", "http://127.0.0.1:", "http://localhost:", "http://[::1]:"))


def _unusable(issuer: str, detail: str) -> RemoteFailed:
    return RemoteFailed(
        "The issuer cannot be used",
        code="issuer-unusable",
        detail=f"{issuer}: {detail}",
        hint="Check the address in the server's configuration, and the way out (LZR_PROXY, LZR_CA_FILE).",
        temporary=True,
    )
