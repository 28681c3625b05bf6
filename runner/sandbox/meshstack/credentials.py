"""Who speaks: the runner with its API key or its user, or a run with its own token. Tokens run out, and can be made to."""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import jwt

from runner.sandbox.meshstack.wire import Answer, Call, Rejection

LASTS = timedelta(seconds=300)

Kind = Literal["none", "key", "basic", "run", "run-basic", "foreign"]


@dataclass(frozen=True)
class Who:
    """The one behind an Authorization header. `run` is the run whose token it is."""

    kind: Kind
    run: str = ""
    fault: str = ""
    """Why it may do nothing, if so."""
    blame: bool = True

    @property
    def is_runner(self) -> bool:
        """Whether the runner speaks with its own credential."""
        return self.kind in ("key", "basic") and not self.fault


@dataclass
class Credentials:
    """The runner's API key and user, the tokens that were given out, and the tokens of runs."""

    now: Callable[[], datetime]
    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    username: str = field(default_factory=lambda: f"runner-{secrets.token_hex(3)}")
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    _signing: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    _keys: dict[str, datetime] = field(default_factory=dict)
    _runs: dict[str, str] = field(default_factory=dict)
    _revoked: set[str] = field(default_factory=set)

    def login(self, call: Call) -> Answer:
        """Give a token to who knows the API key's secret."""
        if call.content_type != "application/json":
            raise Rejection(415, "sign in with a JSON body")
        given = call.json()
        if not all(isinstance(given.get(name), str) for name in ("clientId", "clientSecret")):
            raise Rejection(400, "clientId and clientSecret are wanted")
        if (given["clientId"], given["clientSecret"]) != (self.client_id, self.client_secret):
            raise Rejection(401, "the API key is wrong")
        token = self._token(self.client_id, LASTS)
        self._keys[token] = self.now() + LASTS
        return Answer(
            200,
            {
                "access_token": token,
                "expires_in": int(LASTS.total_seconds()),
                "refresh_expires_in": 0,
                "token_type": "Bearer",
                "not-before-policy": 0,
                "scope": "profile email",
            },
        )

    def for_run(self, run: str) -> str:
        """A token that is good for this run only."""
        token = self._token(run, timedelta(hours=6))
        self._runs[token] = run
        return token

    def expire(self, tokens: Literal["keys", "runs"]) -> None:
        """From now on none of the tokens given out so far is good."""
        self._revoked.update(self._keys if tokens == "keys" else self._runs)

    def who(self, header: str) -> Who:
        """Tell who speaks."""
        scheme, _, value = header.strip().partition(" ")
        match scheme.lower():
            case "":
                return Who("none", fault="no credential was sent")
            case "bearer":
                return self._bearer(value.strip(), key="key", run="run")
            case "basic":
                return self._basic(value.strip())
        return Who("foreign", fault="only Bearer and Basic are known here")

    def _basic(self, value: str) -> Who:
        try:
            name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
        except ValueError:
            return Who("foreign", fault="the Basic credential cannot be read")
        if (name, secret) == (self.username, self.password):
            return Who("basic")
        return self._bearer(secret, key="foreign", run="run-basic")  # what Terraform's state backend sends

    def _bearer(self, token: str, *, key: Kind, run: Kind) -> Who:
        if token in self._revoked:
            kind, of = (run, self._runs[token]) if token in self._runs else (key, "")
            return Who(kind, run=of, fault="the token is not valid any more", blame=False)
        if token in self._runs:
            return Who(run, run=self._runs[token])
        if token not in self._keys:
            return Who("foreign", fault="the token is not one of ours")
        return Who(key, fault="" if self.now() < self._keys[token] else "the token has run out")

    def _token(self, subject: str, lasts: timedelta) -> str:
        now = self.now()
        claims = {"sub": subject, "iat": now, "exp": now + lasts, "jti": uuid.uuid4().hex}
        return jwt.encode(claims, self._signing, algorithm="HS256")
