"""What an actor may see and do, and doing it: the one place where a wish is checked against grants. Page and API both come here.

What an actor may not see does not exist for them: the same answer as for an id that nobody gave out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from runner.app import deleting, inventory, reviewing
from runner.domain.actor import Act, Actor, Grant, may, not_allowed, places
from runner.domain.configuration import Snapshot
from runner.domain.deletion import Deletion
from runner.domain.events import Event
from runner.domain.landing_zone import LandingZone
from runner.domain.run import APPLY, SCHEDULED, Behavior, Run, Status
from runner.domain.state_difference import Difference, differences
from runner.errors import InputError, RunnerError
from runner.ports import FleetFilter, FleetOrder, FleetPlace, FleetRow, StateVersion
from runner.web.server import Server


@dataclass(frozen=True)
class Started:
    """The runs that were created, and why others were not, by tenant."""

    runs: tuple[Run, ...]
    refused: dict[str, RunnerError]


@dataclass(frozen=True)
class Desk:
    """Everything that this actor may see and do."""

    server: Server
    actor: Actor

    # --- Looking -----------------------------------------------------------------------------------------------------

    @property
    def reach(self) -> tuple[Grant, ...]:
        """What the actor may look at."""
        return places(self.actor, Act.LOOK)

    def may(self, act: Act, run: Run) -> bool:
        """Whether the actor may do this to the run."""
        return may(self.actor, act, zone=run.landing_zone, workspace=run.workspace)

    def run(self, run_id: str) -> Run:
        """The run with exactly this id; InputError (`run-not-found`) where there is none, or none that the actor may see."""
        with suppress(InputError):  # of several runs whose ids begin so: whoever asks may not know that there are any
            found = self.server.ports.runs.get(run_id)
            if found.id == run_id and self.may(Act.LOOK, found):
                return found
        raise InputError("There is no such run", code="run-not-found", detail=f"No run is {run_id!r}.", hint="")

    def runs(
        self,
        *,
        tenant: str | None = None,
        zone: str | None = None,
        statuses: Sequence[Status] | None = None,
        before: Run | None = None,
        newest: bool = False,
        limit: int = 50,
    ) -> tuple[Run, ...]:
        """Runs that the actor may see, newest first; see `Runs.find`."""
        return self.server.ports.runs.find(
            tenant=tenant, zone=zone, statuses=statuses, reach=self.reach, before=before, newest=newest, limit=limit
        )

    def inbox(
        self, *, zone: str | None = None, risky: bool = False, after: Run | None = None, limit: int = 100
    ) -> tuple[Run, ...]:
        """What waits for this actor's decision, riskiest first, then oldest; see `Runs.waiting`. Runs that the actor may not approve for
        another reason than their role (four eyes) are among them, for rejecting is theirs."""
        reach = places(self.actor, Act.APPROVE)
        return self.server.ports.runs.waiting(reach, zone=zone, risky=risky, after=after, limit=limit)

    def review(self, run_id: str, *, digest: str | None = None) -> dict[str, Any] | None:
        """What was kept of the run's review (`runner.domain.review.Review` or `block_review.BlockReview` as JSON), or of the one before
        it with this digest."""
        return self.server.ports.runs.review(self.run(run_id).id, digest=digest)

    def events(self, run_id: str, *, after: int = 0, limit: int | None = None) -> tuple[Event, ...]:
        """The run's journal after this number; with `limit` the first so many entries of that."""
        return self.server.ports.runs.events(self.run(run_id).id, after=after, limit=limit)

    def tenants(
        self,
        chosen: FleetFilter,
        *,
        order: FleetOrder = "tenant",
        descending: bool = False,
        after: FleetPlace | None = None,
        offset: int = 0,
        limit: int = 100,
    ) -> tuple[FleetRow, ...]:
        """Tenants of the filter, which is narrowed to what the actor may see whatever its reach says."""
        return self.server.fleet.page(
            self._narrowed(chosen), order=order, descending=descending, after=after, offset=offset, limit=limit
        )

    def counts(self, chosen: FleetFilter) -> dict[str, int]:
        """See `Fleet.counts`, narrowed alike."""
        return self.server.fleet.counts(self._narrowed(chosen))

    def tenant(self, name: str) -> FleetRow:
        """The tenant; InputError (`tenant-unknown`) where there is none that the actor may see."""
        found = self.server.fleet.of(name)
        if found is None or not may(self.actor, Act.LOOK, zone=found.landing_zone, workspace=found.workspace):
            raise _no_tenant(name)
        return found

    def zones(self) -> dict[str, int]:
        """Landing zones that the actor may see, by name, with how many tenants they have; documented ones without tenants too."""
        found = {
            name: 0
            for name in (self.server.shelf.shelved.read.zones if self.server.shelf.shelved.read else ())
            if any(not grant.zones or name in grant.zones for grant in self.reach)
        }
        return dict(sorted((found | self.server.fleet.zones(self.reach)).items()))

    def versions(self, zone: str) -> dict[str, dict[str, int]]:
        """See `Fleet.versions`."""
        return self.server.fleet.versions(zone, self.reach)

    def zone(self, name: str) -> LandingZone | None:
        """The landing zone as documented; None where it is documented no longer. InputError where the actor may not see it."""
        if name not in self.zones():
            raise InputError(
                "There is no such landing zone", code="zone-unknown", detail=f"No zone is {name!r}.", hint=""
            )
        read = self.server.shelf.shelved.read
        return read.zones.get(name) if read is not None else None

    def state_versions(self, tenant: str) -> tuple[StateVersion, ...]:
        """The history of the tenant's managed state, newest first."""
        return self.server.states.versions(self.tenant(tenant).tenant)

    def state_difference(
        self, tenant: str, number: int, *, since: int | None = None
    ) -> tuple[StateVersion, StateVersion | None, tuple[Difference, ...]]:
        """This version, the one `since` which to compare or else the kept one before it (None where there is none), and what is
        different; sensitive values are masked."""
        versions = self.state_versions(tenant)
        older = next((one for one in versions if one.number < number and since in (None, one.number)), None)
        version, content = self.server.states.version(tenant, number)
        if older is None:
            return version, None, ()
        return version, older, differences(self.server.states.version(tenant, older.number)[1], content)

    def in_azure(self, tenant: str) -> dict[str, Any]:
        """What Azure says of the tenant now (`inventory.look`)."""
        self.tenant(tenant)
        return inventory.look(self.server.shelf.documents().placed(tenant), self.server.ports)

    def deletion(self, tenant: str) -> Deletion:
        """The deletion that was asked for last; InputError (`deletion-unknown`) where nobody did."""
        found = self.server.ports.deletions.of(self.tenant(tenant).tenant)
        if found is None:
            raise InputError(
                "Nobody asked for its deletion", code="deletion-unknown", detail=f"{tenant} is to stay.", hint=""
            )
        return found

    # --- Doing -------------------------------------------------------------------------------------------------------

    def start(
        self,
        tenants: Sequence[str],
        *,
        behavior: Behavior = Behavior.APPLY,
        plan_only: bool = False,
        move_to: str | None = None,
        reason: str = "",
        ids: Mapping[str, str] = MappingProxyType({}),
        created: datetime | None = None,
    ) -> Started:
        """Create a pending run for each tenant, which any working server of the store executes. With `plan_only` an approved one is
        applied only when somebody asks for it. What may not be run now is told of each tenant; wrong documents are an InputError. With
        `ids` by tenant and `created` doing it again makes no other runs."""
        read = self.server.shelf.documents()
        options: dict[str, Any] = {"plan_only": True} if plan_only else {APPLY: True}
        options |= {"move_to": move_to} if move_to else {}
        started: list[Run] = []
        refused: dict[str, RunnerError] = {}
        for name in dict.fromkeys(tenants):
            try:
                run_id = ids.get(name) or self.server.new_id()
                started.append(self._start(read.for_run(name), behavior, options, reason, run_id, created))
            except RunnerError as error:
                refused[name] = error
        return Started(tuple(started), refused)

    def approve(
        self,
        run_id: str,
        *,
        digest: str,
        confirmed: Sequence[str] = (),
        comment: str = "",
        apply: bool | None = True,
    ) -> Run:
        """Approve what this digest stands for (the whole of it), and have it applied where `apply` says so (None: where the run was
        started so)."""
        run = self._allowed(run_id, Act.APPROVE)
        return reviewing.approve(
            run,
            by=self.actor.label,
            ports=self.server.ports,
            expires_after=self.server.review_expires,
            digest=digest,
            confirmed=tuple(confirmed),
            comment=comment,
            approver=self.actor,
            apply=apply,
        )

    def reject(self, run_id: str, *, comment: str = "") -> Run:
        """End a waiting run."""
        run = self._allowed(run_id, Act.APPROVE)
        return reviewing.reject(run, by=self.actor.label, ports=self.server.ports, comment=comment)

    def apply(self, run_id: str) -> Run:
        """Have an approved run applied by a working server."""
        return reviewing.have_applied(self._allowed(run_id, Act.OPERATE), by=self.actor.label, ports=self.server.ports)

    def cancel(self, run_id: str) -> Run:
        """Stop a run."""
        return reviewing.cancel(self._allowed(run_id, Act.OPERATE), by=self.actor.label, ports=self.server.ports)

    def ask_deletion(self, tenant: str, *, reason: str) -> Deletion:
        """Ask that the tenant is deleted."""
        read = self.server.shelf.documents()
        snapshot = read.for_run(tenant)
        self._expect(Act.OPERATE, snapshot)
        return deleting.ask(
            snapshot, reason=reason, source=self.server.shelf.source, by=self.actor.label, ports=self.server.ports
        )

    def decide_deletion(self, tenant: str, *, approved: bool, comment: str = "") -> Deletion:
        """Approve or decline it."""
        found = self.tenant(tenant)
        if not may(self.actor, Act.APPROVE, zone=found.landing_zone, workspace=found.workspace):
            raise not_allowed(self.actor, Act.APPROVE, tenant)
        decide = deleting.approve if approved else deleting.decline
        return decide(tenant, by=self.actor.label, comment=comment, ports=self.server.ports)

    # --- Checks ------------------------------------------------------------------------------------------------------

    def _start(
        self,
        snapshot: Snapshot,
        behavior: Behavior,
        options: dict[str, Any],
        reason: str,
        run_id: str,
        created: datetime | None,
    ) -> Run:
        self._expect(Act.OPERATE, snapshot)
        ports, tenant = self.server.ports, snapshot.placed.tenant.name
        for other in ports.runs.find(tenant=tenant, statuses=(Status.PLANNING,), limit=1):
            if other.options.get(SCHEDULED):  # nobody asked for it, and a person waits
                ports.runs.request_cancel(other.id, by=self.actor.label, now=ports.now())
        return reviewing.start(
            snapshot,
            run_id=run_id,
            source=self.server.shelf.source,
            by=self.actor.label,
            ports=ports,
            behavior=behavior,
            reason=reason,
            options={**options, "asked_by": self.actor.id},
            anywhere=True,
            created=created,
        )

    def _allowed(self, run_id: str, act: Act) -> Run:
        run = self.run(run_id)
        if not self.may(act, run):
            raise not_allowed(self.actor, act, f"runs of {run.tenant}")
        return run

    def _expect(self, act: Act, snapshot: Snapshot) -> None:
        zone, workspace = snapshot.placed.zone.name, snapshot.placed.tenant.spec.workspace_identifier
        if not may(self.actor, Act.LOOK, zone=zone, workspace=workspace):
            raise _no_tenant(snapshot.placed.tenant.name)
        if not may(self.actor, act, zone=zone, workspace=workspace):
            raise not_allowed(self.actor, act, f"runs of {snapshot.placed.tenant.name}")

    def _narrowed(self, chosen: FleetFilter) -> FleetFilter:
        return replace(chosen, reach=self.reach)


def _no_tenant(name: str) -> InputError:
    return InputError("There is no such tenant", code="tenant-unknown", detail=f"No tenant is {name!r}.", hint="")
