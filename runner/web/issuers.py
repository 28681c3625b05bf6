"""Signed tokens of issuers that the configuration names: what they publish, and whether a token is theirs.

OpenID Connect Discovery 1.0 and RFC 7519. Only asymmetric signatures, so that nothing published can sign; only configured issuers are ever
asked. What an issuer publishes is kept for an hour; a key that is not known yet is asked for again, at most once a minute.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import jwt

from runner.errors import Refused, RemoteFailed

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_KEPT = timedelta(hours=1)
_ASKED_AGAIN = timedelta(minutes=1)
_LARGEST = 1024 * 1024
_LEEWAY = 60  # seconds that clocks may be apart
_LONGEST_TOKEN = 16 * 1024
_REQUIRED = ["iss", "aud", "exp", "iat", "sub"]


@dataclass(frozen=True)
class _Published:
    metadata: dict[str, Any]
    keys: jwt.PyJWKSet
    at: datetime


class Issuers:
    """What issuers publish. Safe to use from several threads."""

    def __init__(self, client: httpx.Client, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now
        self._lock = threading.Lock()
        self._published: dict[str, _Published] = {}

    def metadata(self, issuer: str) -> dict[str, Any]:
        """The issuer's discovery document. RemoteFailed where it cannot be had or is another issuer's."""
        return self._of(issuer).metadata

    def claims(self, token: str, *, issuer: str, audience: str) -> dict[str, Any]:
        """The claims of a token that this issuer signed for this audience and that is valid now. Refused (`token-not-good`) for any
        other."""
        if len(token) > _LONGEST_TOKEN:
            raise not_good("It is too long to be one.")
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
            found = _named(self._fetch(issuer).keys, kid)
        if found is None or found.algorithm_name not in _ALGORITHMS:
            raise not_good("Its issuer publishes no such key.")
        return found

    def _of(self, issuer: str) -> _Published:
        found = self._published.get(issuer)
        return found if found is not None and self._now() < found.at + _KEPT else self._fetch(issuer)

    def _fetch(self, issuer: str) -> _Published:
        with self._lock:
            found = self._published.get(issuer)
            if found is not None and self._now() < found.at + _ASKED_AGAIN:
                return found
            metadata = self._json(issuer.rstrip("/") + "/.well-known/openid-configuration", issuer)
            if metadata.get("issuer") != issuer:
                raise _unusable(issuer, "It publishes the configuration of another issuer.")
            address = metadata.get("jwks_uri")
            if not isinstance(address, str) or not _is_safe(address):
                raise _unusable(issuer, "It publishes no address of its keys, or none with https.")
            try:
                keys = jwt.PyJWKSet.from_dict(self._json(address, issuer))
            except jwt.PyJWTError:
                raise _unusable(issuer, "What it publishes as keys cannot be read.") from None
            self._published[issuer] = _Published(metadata, keys, self._now())
            return self._published[issuer]

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
        except httpx.HTTPError as error:
            raise _unusable(issuer, f"{address} cannot be reached ({type(error).__name__}).") from None
        except ValueError:
            raise _unusable(issuer, f"{address} answers with something else than JSON.") from None
        if not isinstance(found, dict):
            raise _unusable(issuer, f"{address} answers with something else than an object.")
        return found


def not_good(detail: str) -> Refused:
    """The refusal of a token. The token itself is never in it."""
    return Refused("The token is not good", code="token-not-good", detail=detail, hint="Get a new one.")


def _named(keys: jwt.PyJWKSet, kid: str | None) -> jwt.PyJWK | None:
    if kid is None:
        return keys.keys[0] if len(keys.keys) == 1 else None
    return next((key for key in keys.keys if key.key_id == kid), None)


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
