"""Where runs are: in this machine's store, or on a server. Commands about runs say the same words and end with the same codes on both."""

from __future__ import annotations

import getpass
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from runner.app.telling import Told
    from runner.domain.events import Event as Entry
    from runner.domain.run import Run, Status
    from runner.wiring import Runner

_EACH = 1.2  # seconds between looks at the journal of a run that goes on


class Place(Protocol):
    """What commands about runs ask, wherever those are."""

    @property
    def now(self) -> datetime:
        """This moment."""

    def run(self, run_id: str) -> Run:
        """The run with this id, or with a beginning or an ending that no other one has; InputError where there is none."""

    def runs(self, *, tenant: str | None = None, statuses: Sequence[Status] | None = None, limit: int) -> Sequence[Run]:
        """Runs, newest first."""

    def review(self, run: Run) -> dict[str, Any] | None:
        """What was kept of the run's review."""

    def told(self, run: Run) -> Told:
        """How the run went."""

    def journal(self, run: Run, *, after: int = 0, through: Collection[Status] = ()) -> Iterator[Entry]:
        """Entries of the run's journal after this number, as they come, until the run is in none of these statuses."""

    def approve(self, run: Run, *, digest: str | None, confirmed: tuple[str, ...], comment: str) -> Run:
        """See `reviewing.approve`. Whether it is applied without being asked is as the run was started."""

    def reject(self, run: Run, *, comment: str) -> Run:
        """End a waiting run."""

    def cancel(self, run: Run) -> Run:
        """Stop a run."""


def on_a_server() -> bool:
    """Whether the settings name a server."""
    from runner import settings

    return settings.read().server is not None


@contextmanager
def at_hand() -> Iterator[Place]:
    """The place that the settings say."""
    from runner import settings, wiring

    chosen = settings.read()
    if chosen.server is not None:
        from runner.cli.remote import connected

        with connected(chosen) as remote:
            yield remote
        return
    with wiring.open_runner(chosen) as runner:
        yield Here(runner)


def me() -> str:
    """The operating-system user: who asks and approves on this machine, where nobody signs in."""
    return getpass.getuser()


@dataclass(frozen=True)
class Here:
    """This machine's store."""

    runner: Runner

    @property
    def now(self) -> datetime:
        return self.runner.ports.now()

    def run(self, run_id: str) -> Run:
        return self.runner.ports.runs.get(run_id)

    def runs(self, *, tenant: str | None = None, statuses: Sequence[Status] | None = None, limit: int) -> Sequence[Run]:
        return self.runner.ports.runs.find(tenant=tenant, statuses=statuses, limit=limit)

    def review(self, run: Run) -> dict[str, Any] | None:
        return self.runner.ports.runs.review(run.id)

    def told(self, run: Run) -> Told:
        from runner.app import telling

        return telling.told(run, self.runner.ports)

    def journal(self, run: Run, *, after: int = 0, through: Collection[Status] = ()) -> Iterator[Entry]:
        runs = self.runner.ports.runs
        while True:
            status = runs.get(run.id).status
            for entry in runs.events(run.id, after=after):
                after = entry.seq
                yield entry
            if status not in through:
                return
            Event().wait(_EACH)

    def approve(self, run: Run, *, digest: str | None, confirmed: tuple[str, ...], comment: str) -> Run:
        from runner.app import reviewing

        return reviewing.approve(
            run,
            by=me(),
            ports=self.runner.ports,
            expires_after=self.runner.settings.review_expires,
            digest=digest,
            confirmed=confirmed,
            comment=comment,
        )

    def reject(self, run: Run, *, comment: str) -> Run:
        from runner.app import reviewing

        return reviewing.reject(run, by=me(), ports=self.runner.ports, comment=comment)

    def cancel(self, run: Run) -> Run:
        from runner.app import reviewing

        return reviewing.cancel(run, by=me(), ports=self.runner.ports)
