"""Runs that were claimed from a meshStack and are not reported to their end yet. What speaks for them, a token, is sealed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select

from runner.store.database import Database
from runner.store.tables import CLAIMS, claims


@dataclass(frozen=True)
class KeptClaim:
    """A claim and who holds it. `content` is a secret throughout."""

    run: str
    executor: str
    at: datetime
    content: bytes


class SqlClaims:
    """Claims in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, claim: KeptClaim) -> None:
        """Remember the claim, on the disk when this returns; one of the same run takes the earlier one's place."""
        with self._database.writing() as tx:
            sealed = self._database.seal(tx, claim.content, sealed=CLAIMS, owner=(claim.run,))
            tx.execute(delete(claims).where(claims.c.run == claim.run))
            tx.execute(insert(claims).values(run=claim.run, executor=claim.executor, at=claim.at, sealed=sealed))

    def all(self) -> tuple[KeptClaim, ...]:
        """Every claim, oldest first."""
        with self._database.reading() as tx:
            rows = tx.execute(select(claims).order_by(claims.c.at, claims.c.run)).all()
        return tuple(
            KeptClaim(
                run=row.run,
                executor=row.executor,
                at=row.at,
                content=self._database.unseal(row.sealed, sealed=CLAIMS, owner=(row.run,)),
            )
            for row in rows
        )

    def erase(self, run: str) -> None:
        """Forget a claim, its token with it."""
        with self._database.writing() as tx:
            tx.execute(delete(claims).where(claims.c.run == run))
