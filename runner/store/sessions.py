"""Sessions of people on pages. The store has a digest of what opens one, so a copy of the store opens none."""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import delete, insert, select, update

from runner.domain.actor import SignedIn
from runner.errors import Refused
from runner.store.database import Database
from runner.store.tables import SIGN_INS, sessions

_NOTED_AGAIN = timedelta(minutes=1)  # that a session is used is not written with every request


class SqlSessions:
    """Fulfils `Sessions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, who: SignedIn, *, now: datetime) -> str:
        """See Sessions."""
        cookie = secrets.token_urlsafe(32)
        values = {"cookie_sha256": _digest(cookie), "who": who.model_dump(mode="json"), "created": now, "seen": now}
        with self._database.writing() as tx:
            tx.execute(insert(sessions).values(values))
            self._database.audit.enter(tx, "signed-in", by=who.label, details={"person": who.person}, now=now)
        return cookie

    def of(self, cookie: str, *, now: datetime, idle: timedelta, longest: timedelta) -> SignedIn | None:
        """See Sessions."""
        mine = sessions.c.cookie_sha256 == _digest(cookie)
        with self._database.reading() as tx:
            row = tx.execute(select(sessions).where(mine)).one_or_none()
        if row is None or row.created + longest <= now or row.seen + idle <= now:
            return None
        if row.seen + _NOTED_AGAIN <= now:
            with self._database.writing(durable=False) as tx:
                tx.execute(update(sessions).where(mine).values(seen=now))
        return SignedIn.model_validate(row.who)

    def end(self, cookie: str) -> None:
        """See Sessions."""
        with self._database.writing() as tx:
            tx.execute(delete(sessions).where(sessions.c.cookie_sha256 == _digest(cookie)))

    def prune(self, *, before: datetime) -> int:
        """See Sessions."""
        with self._database.writing() as tx:
            return int(tx.execute(delete(sessions).where(sessions.c.created < before)).rowcount)

    def sealed(self, content: Mapping[str, str]) -> str:
        """See Sessions."""
        with self._database.reading() as tx:
            envelope = self._database.seal(tx, json.dumps(dict(content)).encode(), sealed=SIGN_INS, owner=())
        return urlsafe_b64encode(envelope).decode()

    def unsealed(self, text: str) -> dict[str, str] | None:
        """See Sessions."""
        try:
            found: dict[str, str] = json.loads(
                self._database.unseal(urlsafe_b64decode(text.encode()), sealed=SIGN_INS, owner=())
            )
        except (ValueError, Refused):
            return None
        return found


def _digest(cookie: str) -> bytes:
    return sha256(cookie.encode()).digest()
