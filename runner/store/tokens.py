"""Tokens of programs: `lzr_<id>_<secret>_<check>`. The store has the secret's digest alone.

The check is a CRC, so that a scanner for leaked secrets (and this program) tells a token from a string that only looks like one.
"""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from typing import Any
from zlib import crc32

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Row

from runner.domain.actor import Grant
from runner.errors import InputError
from runner.ports import ApiToken
from runner.store.database import Database
from runner.store.tables import tokens

_SHAPE = re.compile(r"lzr_([a-z0-9]{10})_([A-Za-z0-9]{40})_([0-9a-f]{8})")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_NOTED_AGAIN = timedelta(minutes=1)
LONGEST = timedelta(days=365)
"""How long a token may open anything."""


class SqlTokens:
    """Fulfils `Tokens`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, token: ApiToken) -> str:
        """See Tokens."""
        if not token.created < token.expires <= token.created + LONGEST:
            raise InputError(
                "The token's lifetime is wrong",
                code="token-lifetime-wrong",
                detail=f"It would open something from {token.created:%Y-%m-%d} to {token.expires:%Y-%m-%d}.",
                hint=f"Give it 1 to {LONGEST.days} days.",
            )
        secret = "".join(secrets.choice(_LETTERS) for _ in range(40))  # 238 bits
        values = {
            "id": token.id,
            "secret_sha256": sha256(secret.encode()).digest(),
            "name": token.name,
            "grants": [grant.model_dump(mode="json") for grant in token.grants],
            "created_by": token.created_by,
            "created": token.created,
            "expires": token.expires,
        }
        told = {"name": token.name, "grants": values["grants"], "expires": token.expires.isoformat()}
        with self._database.writing() as tx:
            tx.execute(insert(tokens).values(values))
            self._database.audit.enter(
                tx, "token-created", by=token.created_by, about=token.id, details=told, now=token.created
            )
        return _written(token.id, secret)

    def find(self, secret: str, *, now: datetime) -> ApiToken | None:
        """See Tokens."""
        shape = _SHAPE.fullmatch(secret)
        if shape is None or not compare_digest(_written(shape[1], shape[2]), secret):
            return None
        with self._database.reading() as tx:
            row = tx.execute(select(tokens).where(tokens.c.id == shape[1])).one_or_none()
        kept = row.secret_sha256 if row is not None else b"\0" * 32
        if not compare_digest(kept, sha256(shape[2].encode()).digest()) or row is None:
            return None
        if row.seen is None or row.seen + _NOTED_AGAIN <= now:
            with self._database.writing(durable=False) as tx:
                tx.execute(update(tokens).where(tokens.c.id == row.id).values(seen=now))
        return _token(row)

    def all(self) -> tuple[ApiToken, ...]:
        """See Tokens."""
        with self._database.reading() as tx:
            return tuple(
                _token(row) for row in tx.execute(select(tokens).order_by(tokens.c.created.desc(), tokens.c.id))
            )

    def revoke(self, token_id: str, *, by: str, now: datetime) -> ApiToken:
        """See Tokens."""
        with self._database.writing() as tx:
            row = tx.execute(select(tokens).where(tokens.c.id == token_id).with_for_update()).one_or_none()
            if row is None:
                raise InputError(
                    "There is no such token",
                    code="token-unknown",
                    detail=f"No token is {token_id!r}.",
                    hint="lzr token list",
                )
            if row.revoked is None:
                tx.execute(update(tokens).where(tokens.c.id == token_id).values(revoked=now))
                row = tx.execute(select(tokens).where(tokens.c.id == token_id)).one()
                self._database.audit.enter(tx, "token-revoked", by=by, about=token_id, now=now)
        return _token(row)


def new_id() -> str:
    """An id for a token, which may be shown."""
    return "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(10))


def _written(token_id: str, secret: str) -> str:
    text = f"lzr_{token_id}_{secret}"
    return f"{text}_{crc32(text.encode()):08x}"


def _token(row: Row[Any]) -> ApiToken:
    return ApiToken(
        id=row.id,
        name=row.name,
        grants=tuple(Grant.model_validate(grant) for grant in row.grants),
        created_by=row.created_by,
        created=row.created,
        expires=row.expires,
        revoked=row.revoked,
        seen=row.seen,
    )
