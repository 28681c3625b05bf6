"""Access tokens: signing them, and finding out for whom one speaks.

Tokens are RS256 JWTs with Entra's claims. Nothing here prints or stores one beyond the short memory of those already
verified.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from runner.sandbox.azure.directory import Application, Directory
from runner.sandbox.azure.hosts import LOOPBACK
from runner.sandbox.azure.wire import Json, Rejection

LIFETIME = timedelta(seconds=3599)
GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
ARM_APP_ID = "797f4846-ba00-4fd7-ba43-dac1f8f63013"

ARM_AUDIENCES = frozenset(
    {
        "https://management.azure.com",
        "https://management.core.windows.net",
        "https://management.usgovcloudapi.net",
        "https://management.core.usgovcloudapi.net",
        "https://management.chinacloudapi.cn",
        "https://management.core.chinacloudapi.cn",
        ARM_APP_ID,
    }
)
GRAPH_AUDIENCES = frozenset(
    {
        "https://graph.microsoft.com",
        "https://graph.microsoft.us",
        "https://microsoftgraph.chinacloudapi.cn",
        GRAPH_APP_ID,
    }
)

_REMEMBERED = 1_000


@dataclass(frozen=True, kw_only=True)
class Caller:
    """For whom a token speaks, where, and to whom."""

    tenant_id: str
    object_id: str
    client_id: str
    audience: str
    roles: tuple[str, ...] = ()
    expires: datetime


def is_loopback(audience: str) -> bool:
    """Whether an audience is the sandbox's own address, under which all services share one name."""
    return urlsplit(audience).hostname in LOOPBACK


class Tokens:
    """Issues and verifies with one key."""

    def __init__(self, key: RSAPrivateKey, now: Callable[[], datetime]) -> None:
        self._key = key
        self._public = key.public_key()
        self._now = now
        numbers = self._public.public_numbers()
        modulus = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8)
        self._kid = _encoded(hashlib.sha256(modulus).digest())
        self._jwk = {
            "kty": "RSA",
            "use": "sig",
            "kid": self._kid,
            "x5t": self._kid,
            "alg": "RS256",
            "n": _encoded(modulus),
            "e": _encoded(numbers.e.to_bytes(3)),
        }
        self._verified: OrderedDict[str, Caller] = OrderedDict()

    def keys(self) -> Json:
        """The published key."""
        return {"keys": [self._jwk]}

    def issue(
        self, directory: Directory, app: Application, *, audience: str, roles: list[str], version: int = 1
    ) -> str:
        """Return a token that lets `app` speak to `audience` in `directory`."""
        now = self._now()
        claims: Json = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{directory.id}/"
            if version == 1
            else f"https://login.microsoftonline.com/{directory.id}/v2.0",
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int((now + LIFETIME).timestamp()),
            "appid": app.client_id,
            "appidacr": "1",
            "idp": f"https://sts.windows.net/{directory.id}/",
            "idtyp": "app",
            "oid": app.object_id,
            "sub": app.object_id,
            "tid": directory.id,
            "uti": uuid.uuid4().hex[:22],
            "ver": f"{version}.0",
        }
        if roles:
            claims["roles"] = roles
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._kid, "x5t": self._kid})

    def caller(self, token: str) -> Caller:
        """Verify signature and expiry; a `Rejection` in Resource Manager's words when either fails."""
        caller = self._verified.get(token)
        if caller is None:
            caller = self._verify(token)
            self._verified[token] = caller
            if len(self._verified) > _REMEMBERED:
                self._verified.popitem(last=False)
        if caller.expires <= self._now():
            raise Rejection(
                401,
                "ExpiredAuthenticationToken",
                f"The access token expiry UTC time '{caller.expires:%m/%d/%Y %I:%M:%S %p}' is earlier than current UTC time.",
            )
        return caller

    def _verify(self, token: str) -> Caller:
        try:
            # expiry is the caller's check, with the world's clock
            claims = jwt.decode(
                token,
                self._public,
                algorithms=["RS256"],
                options={"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
            return Caller(
                tenant_id=claims["tid"],
                object_id=claims["oid"],
                client_id=claims["appid"],
                audience=claims["aud"].rstrip("/"),
                roles=tuple(claims.get("roles", ())),
                expires=datetime.fromtimestamp(claims["exp"], self._now().tzinfo),
            )
        except (jwt.InvalidTokenError, KeyError):
            raise Rejection(401, "InvalidAuthenticationToken", "The access token is invalid.") from None


def bearer(headers_authorization: str | None) -> str:
    """Return the token of an `Authorization` header; a `Rejection` when there is none."""
    scheme, _, token = (headers_authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Rejection(401, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
    return token.strip()


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
