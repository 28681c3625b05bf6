"""The story of a deletion up to the plan by which the tenant leaves: asked for, approved or declined, and what is known of it then.

Who plans and applies the leaving of a tenant without asking before has asked and approved by that: the plan is reviewed.
"""

from __future__ import annotations

from typing import Any

from runner.app.walk import Ports
from runner.domain.configuration import Placed, Snapshot
from runner.domain.deletion import LONGEST_REASON, Deletion, Standing
from runner.domain.run import ENDED_WELL, OPEN, Behavior, Run, Status
from runner.errors import InputError, Refused

_TRIED = (Status.FAILED, Status.CANCELED, Status.INTERRUPTED)
_LOOKED_AT = 200  # runs


def ask(snapshot: Snapshot, *, reason: str, source: str, by: str, ports: Ports) -> Deletion:
    """Ask for the deletion of a tenant; approved at once where its landing zone says so."""
    if not reason.strip():
        raise InputError(
            "A deletion needs a reason", code="reason-missing", detail="It is empty.", hint='--reason "project ended"'
        )
    tenant, zone = snapshot.placed.tenant.name, snapshot.placed.zone
    asked = Deletion(
        tenant=tenant,
        standing=Standing.REQUESTED,
        reason=checked(reason),
        requested_by=by,
        requested=ports.now(),
        source=source,
    )
    ports.deletions.ask(asked, _as_json(snapshot))
    if not zone.spec.automate_deletion_approval:
        return asked
    return ports.deletions.move(tenant, Standing.APPROVED, by=f"zone:{zone.name}", now=ports.now())


def checked(reason: str) -> str:
    """The reason; InputError where it is longer than one may be."""
    if len(reason) > LONGEST_REASON:
        raise InputError(
            "The reason is too long",
            code="reason-too-long",
            detail=f"It has {len(reason)} characters; at most {LONGEST_REASON} are kept.",
            hint="Say it in fewer words.",
        )
    return reason


def approve(tenant: str, *, by: str, comment: str, ports: Ports) -> Deletion:
    """From now on the tenant is planned to leave, and in no other way."""
    return ports.deletions.move(tenant, Standing.APPROVED, by=by, comment=comment, now=ports.now())


def decline(tenant: str, *, by: str, comment: str, ports: Ports) -> Deletion:
    """The tenant stays: the next run gives everybody the access of the documents again. A plan of its leaving that waits is canceled."""
    leaving = [run for run in ports.runs.find(tenant=tenant, statuses=tuple(OPEN)) if run.behavior is Behavior.DESTROY]
    for run in leaving:
        if run.status is Status.APPLYING:
            raise Refused(
                "The tenant is leaving",
                code="tenant-leaving",
                detail=f"Run {run.id} is at work.",
                hint=f"lzr cancel {run.id}, then decline; what has left by then comes back with the next run.",
            )
    declined = ports.deletions.move(tenant, Standing.DECLINED, by=by, comment=comment, now=ports.now())
    for run in leaving:
        ports.runs.request_cancel(run.id, by=by, now=ports.now())
    return declined


def expect_may_begin(tenant: str, behavior: Behavior, ports: Ports) -> None:
    """Refused where a run of that behaviour is not what becomes of the tenant now."""
    deletion = ports.deletions.of(tenant)
    if deletion is None:
        return
    match deletion.standing, behavior:
        case Standing.REQUESTED, Behavior.DESTROY:
            raise Refused(
                "The deletion is not approved",
                code="deletion-not-approved",
                detail=f"{deletion.requested_by} asked for the deletion of {tenant} ({deletion.reason}); nobody has decided yet.",
                hint=f"lzr tenant approve-deletion {tenant}, or decline-deletion",
            )
        case Standing.APPROVED, Behavior.APPLY:
            raise Refused(
                "The tenant leaves",
                code="tenant-leaves",
                detail=f"The deletion of {tenant} was approved by {deletion.decided_by}, so it is not reconciled any more.",
                hint=f"lzr destroy {tenant}, or lzr tenant decline-deletion {tenant}",
            )
        case Standing.GONE, Behavior.APPLY:
            raise Refused(
                "The tenant was deleted",
                code="tenant-deleted",
                detail=f"{tenant} is gone since {deletion.ended:%Y-%m-%d %H:%M} UTC, and its document is still there.",
                hint=f"Remove the document; or, to have the tenant anew: lzr tenant purge {tenant}",
            )


def suspends_access(placed: Placed, ports: Ports) -> bool:
    """Whether nobody has access to the tenant now: somebody asked for its deletion, nobody has decided, and the platform does not keep
    permissions even of deleted tenants."""
    deletion = ports.deletions.of(placed.tenant.name)
    asked = deletion is not None and deletion.standing is Standing.REQUESTED
    return asked and not placed.platform.spec.skip_user_group_permission_cleanup


def moved(run: Run, placed: Placed, *, suspended: bool, ports: Ports) -> list[str]:
    """What became of the tenant's deletion since the run was planned, in words; empty when it is as it was."""
    deletion = ports.deletions.of(run.tenant)
    standing = deletion.standing if deletion else None
    if run.behavior is Behavior.APPLY:
        stays = standing not in (Standing.APPROVED, Standing.GONE)
        as_planned = stays and suspended is suspends_access(placed, ports)
    else:
        declined_since = (
            standing is Standing.DECLINED and deletion and deletion.decided and deletion.decided > run.created
        )
        as_planned = standing is not Standing.REQUESTED and not declined_since
    return [] if as_planned else [f"the deletion of the tenant (now {standing or 'forgotten'})"]


def begin_leaving(run: Run, snapshot: Snapshot, *, by: str, ports: Ports) -> None:
    """Have the tombstone there before anything goes. Who approved a plan of the leaving has approved the deletion."""
    known = ports.deletions.of(run.tenant)
    if known is None or not known.under_way:
        asked = Deletion(
            tenant=run.tenant,
            standing=Standing.REQUESTED,
            reason=run.reason,
            requested_by=run.requested_by,
            requested=run.created,
            source=run.source,
        )
        ports.deletions.ask(asked, _as_json(snapshot))
        ports.deletions.move(run.tenant, Standing.APPROVED, by=by, now=ports.now())


def end_leaving(run: Run, ports: Ports) -> None:
    """The tenant is gone, and its tombstone with it; may be said twice, and of a tenant that nobody asked to delete."""
    known = ports.deletions.of(run.tenant)
    if known is not None and known.standing in (Standing.APPROVED, Standing.GONE):
        ports.deletions.move(run.tenant, Standing.GONE, by=run.requested_by, now=ports.now())


def last_known(tenant: str, ports: Ports) -> Snapshot | None:
    """What the documents said of a tenant that they do not name any more: the tombstone, else the last run that came to a good end,
    else the last that tried."""
    if (kept := ports.deletions.tombstone(tenant)) is not None:
        return Snapshot.model_validate(kept)
    for statuses in (tuple(ENDED_WELL), _TRIED):
        for run in ports.runs.find(tenant=tenant, statuses=statuses, limit=_LOOKED_AT):
            if run.behavior is Behavior.APPLY:
                return Snapshot.model_validate(ports.runs.snapshot(run.id))
    return None


def _as_json(snapshot: Snapshot) -> dict[str, Any]:
    return snapshot.model_dump(mode="json", by_alias=True, exclude_none=True)
