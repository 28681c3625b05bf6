"""What people decide about runs: start one, approve, reject, cancel. An approval names the digest it saw."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from runner.app import deciding, deleting
from runner.app.walk import Ports, refuse_of_meshstack, review_of, snapshot_of
from runner.domain.actor import Actor
from runner.domain.configuration import Snapshot
from runner.domain.review import Review
from runner.domain.run import APPLY, OPEN, Behavior, Failure, Run, Status
from runner.errors import InputError, Refused
from runner.ports import Approval, Runs

_AT_A_TIME = 500
SHORTEST_DIGEST = 8  # characters of a digest that a person may type


def start(
    snapshot: Snapshot,
    *,
    run_id: str,
    source: str,
    by: str,
    ports: Ports,
    behavior: Behavior = Behavior.APPLY,
    reason: str = "",
    options: Mapping[str, Any] | None = None,
    anywhere: bool = False,
    created: datetime | None = None,
) -> Run:
    """Create a pending run for the tenant, this process's or (`anywhere`) that of the first server that takes it. One that waits is
    superseded by it. With the same id and `created` it is made once, however often this is asked for. Refused where the tenant is being
    deleted and this is not how, or the other way round."""
    deleting.expect_may_begin(snapshot.placed.tenant.name, behavior, ports)
    now = created or ports.now()
    return ports.runs.create(
        Run(
            id=run_id,
            tenant=snapshot.placed.tenant.name,
            landing_zone=snapshot.placed.zone.name,
            behavior=behavior,
            status=Status.PENDING,
            requested_by=by,
            reason=deleting.checked(reason),
            created=now,
            updated=now,
            source=source,
            workspace=snapshot.placed.tenant.spec.workspace_identifier,
            documents=snapshot.digest,
            options=dict(options or {}),
            executor="" if anywhere else ports.executor,
        ),
        snapshot.model_dump(mode="json", by_alias=True, exclude_none=True),
    )


def approve(
    run: Run,
    *,
    by: str,
    ports: Ports,
    expires_after: timedelta,
    digest: str | None = None,
    confirmed: tuple[str, ...] = (),
    comment: str = "",
    approver: Actor | None = None,
    apply: bool | None = None,
) -> Run:
    """Approve what the run's review shows. Refused when that is not what the approver saw, not theirs to approve, or too old. `approver`
    is who signed in, None where nobody did; `apply` says whether a server is to apply it, None leaves that as the run was started."""
    _expect_waiting(run)
    if _waits_too_long(run, ports.now(), expires_after):
        _expire(run, ports)
        raise Refused(
            "The review is too old",
            code="review-expired",
            detail=f"Run {run.id} waited since {run.updated:%Y-%m-%d %H:%M} UTC, longer than a review may (LZR_REVIEW_EXPIRES).",
            hint=again(run),
        )
    made = review_of(run, ports)
    if digest is not None:
        expect_digest(run, digest, made.digest)
    _expect_not_stopped(run, made)
    placed = snapshot_of(run, ports).placed
    deciding.expect_not_denied_now(run, made, placed, ports)
    rules = placed.zone.spec.approval
    if rules.four_eyes:
        _expect_second_person(run, approver)
    for contents in made.contents:
        if contents.resource_group not in confirmed:
            raise Refused(
                "Deletion to be confirmed by name",
                code="contents-not-confirmed",
                detail=f"The resource group {contents.resource_group} holds {len(contents.resources)} resources, "
                "which would be deleted with it.",
                hint=f"lzr approve {run.id} --confirm-delete {contents.resource_group}",
            )
    now = ports.now()
    if apply is False and run.options.get(APPLY):  # before: as soon as it is approved a server takes it
        ports.runs.note(run.id, options={APPLY: False})
    approval = Approval(run=run.id, digest=made.digest, by=by, at=now, expires=now + rules.valid_for, comment=comment)
    approved = ports.runs.approve(approval, now=now)
    return ports.runs.note(run.id, options={APPLY: True}) if apply else approved


def expect_digest(run: Run, given: str, shown: str) -> None:
    """Refused where what the approver gave is not (the beginning of) the digest of the run's review."""
    if len(given) < SHORTEST_DIGEST:
        raise InputError(
            "The digest is too short",
            code="digest-too-short",
            detail=f"{given!r} could be the beginning of many; at least {SHORTEST_DIGEST} characters name one.",
            hint=f"lzr review {run.id}",
        )
    if not shown.startswith(given.lower()):
        raise Refused(
            "Another digest",
            code="digest-mismatch",
            detail=f"The review of run {run.id} has the digest {shown}, not {given}.",
            hint=f"lzr review {run.id}",
        )


def _expect_not_stopped(run: Run, made: Review) -> None:
    """Refused where a check blocks the plan, or a rule denies it: nobody may approve it then."""
    if not made.stops:
        return
    raise Refused(
        "Nobody may approve this plan",
        code="check-blocks" if made.blocked_by else "policy-denies",
        detail=". ".join(made.stops).rstrip(".") + ".",
        hint=f"lzr review {run.id} shows what was found. Change what is asked for and plan again.",
    )


def _expect_second_person(run: Run, approver: Actor | None) -> None:
    """Refused where it is not certain that two people look: names of accounts on some machine are nobody's identity."""
    asked_by = str(run.options.get("asked_by") or "")
    if approver is None or not approver.person:
        raise Refused(
            "Four eyes need sign-in",
            code="four-eyes-without-sign-in",
            detail=f"The landing zone {run.landing_zone} wants a second person, and only a server with sign-in tells people apart.",
            hint="Approve on the page of a server with sign-in, or set spec.approval.fourEyes to false.",
        )
    if not asked_by:
        raise Refused(
            "It is not known who asked",
            code="four-eyes-asker-unknown",
            detail=f"{run.requested_by} asked for run {run.id} without signing in, and might be the same person.",
            hint="Ask for the run again on the server.",
        )
    if asked_by == approver.id:
        raise Refused(
            "A second person has to approve",
            code="four-eyes-same-person",
            detail=f"The landing zone {run.landing_zone} wants four eyes, and {run.requested_by} asked for run {run.id}.",
            hint="Ask somebody else who may approve.",
        )


def have_applied(run: Run, *, by: str, ports: Ports) -> Run:
    """Have a server apply the approved run; Refused when it is not approved."""
    refuse_of_meshstack(run)
    return ports.runs.ask_apply(run.id, options={APPLY: True}, by=by, now=ports.now())


def reject(run: Run, *, by: str, ports: Ports, comment: str = "") -> Run:
    """End a waiting run without applying it."""
    _expect_waiting(run, or_approved=True)
    ports.bundles.discard(run.id)
    reason = Failure(family="refused", code="rejected", summary=f"Rejected by {by}", detail=comment)
    return ports.runs.move(run.id, Status.REJECTED, now=ports.now(), failure=reason, by=by)


def cancel(run: Run, *, by: str, ports: Ports) -> Run:
    """Stop a run: at once where it only waits, within a moment where it is at work."""
    if run.status not in OPEN:
        raise Refused(
            "Nothing to cancel",
            code="run-has-ended",
            detail=f"Run {run.id} is {run.status}.",
            hint=f"lzr run {run.id}",
        )
    return ports.runs.request_cancel(run.id, by=by, now=ports.now())


def expire(ports: Ports, *, after: timedelta) -> int:
    """End reviews that nobody decided on for so long, and approvals that ran out before anybody applied them; how many."""
    now = ports.now()
    stale = [
        run
        for run in every_run(ports.runs, Status.WAITING, Status.APPROVED)
        if (_waits_too_long(run, now, after) if run.status is Status.WAITING else _approval_ran_out(run, now, ports))
    ]
    for run in stale:
        with suppress(Refused):  # somebody decided at this moment
            _expire(run, ports)
    return len(stale)


def every_run(runs: Runs, *statuses: Status) -> Iterator[Run]:
    """All runs that stand so, however many, newest first; a few at a time."""
    before = None
    while found := runs.find(statuses=statuses, before=before, limit=_AT_A_TIME):
        yield from found
        before = found[-1]


def waiting_review(run: Run, ports: Ports) -> Review | None:
    """The review of a run that waits for a person."""
    return review_of(run, ports) if run.status is Status.WAITING else None


def _waits_too_long(run: Run, now: datetime, after: timedelta) -> bool:
    return run.updated + after < now


def _approval_ran_out(run: Run, now: datetime, ports: Ports) -> bool:
    approvals = ports.runs.approvals(run.id)
    return not approvals or approvals[-1].expires <= now


def _expire(run: Run, ports: Ports) -> None:
    ports.runs.move(run.id, Status.EXPIRED, now=ports.now())  # first: what somebody begins to apply keeps its plan
    ports.bundles.discard(run.id)
    if run.status is Status.APPROVED:  # by policy perhaps: then its workspace is still there
        ports.infrastructure.discard(run)


def again(run: Run) -> str:
    """The command that plans the same anew."""
    paths = shlex.join(run.source.split(os.pathsep))
    if run.behavior is Behavior.APPLY:
        return f"lzr plan {paths} --tenant {run.tenant}"
    moved = f" --move-to {shlex.quote(run.options['move_to'])}" if run.options.get("move_to") else ""
    return f"lzr destroy {run.tenant} --in {paths}{moved}"


def _expect_waiting(run: Run, *, or_approved: bool = False) -> None:
    refuse_of_meshstack(run)
    if run.status is Status.WAITING or (or_approved and run.status is Status.APPROVED):
        return
    why = {
        Status.SUPERSEDED: "a newer plan of the tenant took its place",
        Status.APPROVED: "it is approved already",
        Status.EXPIRED: "it waited too long",
    }.get(run.status, f"it is {run.status}")
    raise Refused(
        "The run does not wait for a decision",
        code="run-not-waiting",
        detail=f"Run {run.id}: {why}.",
        hint=f"lzr apply {run.id}" if run.status is Status.APPROVED else f"lzr runs {run.tenant}",
    )
