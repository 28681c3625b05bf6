"""What is known of one tenant by its name: what its document says, or else what was kept of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.errors import InputError

if TYPE_CHECKING:
    from runner.domain.configuration import Snapshot
    from runner.wiring import Runner


@dataclass(frozen=True)
class Known:
    """A tenant's snapshot, and `file:line` of its document: empty where it has none any more, and the snapshot stands in for it."""

    snapshot: Snapshot
    place: str
    source: str

    @property
    def documented(self) -> bool:
        return bool(self.place)

    def tell(self) -> None:
        """Say on the error output that there is no document, where there is none."""
        if not self.documented:
            from runner.cli.words import plain

            name = plain(self.snapshot.placed.tenant.name)
            click.echo(f"{name} is documented no longer; it is taken as it was last known.", err=True)


def known(runner: Runner, tenant: str, paths: Sequence[Path]) -> Known:
    """The tenant as its document says; without one, as it was last known, in the landing zone and platform that are documented now.
    InputError where nothing is known of it."""
    from runner import documents
    from runner.app import deleting
    from runner.domain.configuration import Snapshot

    source = os.pathsep.join(str(path.absolute()) for path in paths)
    read = documents.read(paths) if documents.are_there(paths) else None
    if read is not None and tenant in read.tenants:
        return Known(read.for_run(tenant), read.source("Tenant", tenant), source)
    kept = deleting.last_known(tenant, runner.ports)
    if kept is None and read is not None:
        read.placed(tenant)  # which says what else there is
    if kept is None:
        raise InputError(
            "There is no such tenant",
            code="tenant-unknown",
            detail=f"Neither documents nor earlier runs know {tenant!r}.",
            hint="lzr runs lists the tenants that were run.",
        )
    placed = read.stand_in(kept.placed) if read is not None else kept.placed
    return Known(Snapshot(placed=placed, digest=documents.digest_of_placed(placed), files=()), "", source)
