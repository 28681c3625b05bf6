"""Sealed plan bundles. A plan file holds the prior state and every value of the plan, so it is treated as a secret throughout.

It is not compressed: a plan file is a zip archive already.
"""

from __future__ import annotations

from sqlalchemy import delete, insert, select

from runner.errors import InputError, Refused
from runner.store.database import Database
from runner.store.tables import BUNDLES, bundles, runs


class SqlBundles:
    """Fulfils `Bundles`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def seal(self, run_id: str, tenant: str, content: bytes) -> None:
        """Keep it encrypted in place of an older one; InputError when there is no such run."""
        # the run first, as in every transaction that writes about one: two who write never wait for each other
        run = select(runs.c.id).where(runs.c.id == run_id).with_for_update(key_share=True)
        with self._database.writing() as tx:
            if tx.execute(run).one_or_none() is None:
                raise InputError(
                    "There is no such run", code="run-not-found", detail=f"No run is {run_id!r}.", hint="lzr runs"
                )
            tx.execute(delete(bundles).where(bundles.c.run == run_id))
            sealed = self._database.seal(tx, content, sealed=BUNDLES, owner=(run_id, tenant))
            tx.execute(insert(bundles), {"run": run_id, "tenant": tenant, "sealed": sealed})

    def open(self, run_id: str, tenant: str) -> bytes:
        with self._database.reading() as tx:
            row = tx.execute(select(bundles).where(bundles.c.run == run_id)).one_or_none()
        if row is None:
            raise Refused(
                "There is no plan to apply",
                code="bundle-not-found",
                detail=f"Run {run_id} has no plan bundle, or no longer.",
                hint="Plan again.",
            )
        if row.tenant != tenant:
            raise Refused(
                "The plan is for another tenant",
                code="bundle-of-another-tenant",
                detail=f"The plan of run {run_id} was made for {row.tenant}, not for {tenant}.",
                hint="Plan again.",
            )
        return self._database.unseal(row.sealed, sealed=BUNDLES, owner=(run_id, tenant))

    def discard(self, run_id: str) -> None:
        with self._database.writing() as tx:
            tx.execute(delete(bundles).where(bundles.c.run == run_id))
