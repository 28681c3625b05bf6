"""The operations of the API. Each reads its request, has the desk do it, and writes what came of it."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from starlette.responses import JSONResponse, StreamingResponse

from runner.app import telling
from runner.domain.access import Warn
from runner.domain.actor import Act
from runner.domain.block_review import BlockReview
from runner.domain.review import Review
from runner.domain.run import Run, Status
from runner.errors import InputError, RunnerError
from runner.ports import FleetFilter, FleetOrder
from runner.web import problems
from runner.web.api import models
from runner.web.api.cursors import after_tenant, cursor, place, tenant_place, wrong_cursor
from runner.web.api.streams import STREAMED, stream
from runner.web.desk import Desk
from runner.web.gate import Needs

_PATIENCE = timedelta(minutes=1)  # with a server that may have died over a request
_ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"description": "Nobody is signed in, or the token is not good."},
    403: {"description": "The actor may not do this."},
    404: {"description": "There is none, or none that the actor may see."},
    409: {"description": "Not as things stand: the code says why."},
    413: {"description": "The request is too large."},
    422: {"description": "The request is wrong: the problems say where."},
    429: {"description": "Too many requests; Retry-After says when to try again."},
    500: {"description": "The server has a bug."},
    503: {"description": "The store or an issuer does not answer; the same request may succeed later."},
}
for _answer in _ERRORS.values():
    _answer["model"] = models.Problem

router = APIRouter(prefix="/api/v1", responses=_ERRORS)

Looking = Annotated[Desk, Depends(Needs(Act.LOOK))]
Operating = Annotated[Desk, Depends(Needs(Act.OPERATE))]
Approving = Annotated[Desk, Depends(Needs(Act.APPROVE))]
Limit = Annotated[int, Query(ge=1, le=500, description="How many at most.")]
Cursor = Annotated[str | None, Query(alias="cursor", max_length=4000, description="The `next` of the answer before.")]
After = Annotated[int, Query(ge=0, le=2**31 - 1, description="The number of the last entry that is known.")]
Name = Annotated[str | None, Query(max_length=255, description="Only of this one; its whole name.")]
RunId = Annotated[str, Path(max_length=64, description="The whole id of a run.")]
Called = Annotated[str, Path(max_length=255, description="Its whole name.")]


@router.get("/whoami", tags=["Access"], operation_id="whoami", summary="Who asks")
def whoami(desk: Looking) -> models.Who:
    """The actor of this request, and what they may do where."""
    return models.Who.of(desk.actor)


@router.post("/runs", tags=["Runs"], operation_id="startRuns", summary="Start runs", status_code=201)
def start_runs(
    wish: models.Start,
    desk: Operating,
    idempotency_key: Annotated[
        str | None,
        Header(
            max_length=255,
            min_length=1,
            description="Sent again with the same key, the request is done once. Kept for a day.",
        ),
    ] = None,
) -> models.Started:
    """Create a pending run for each tenant, which a server that works plans, and applies once it is approved. A run of the tenant that
    waits is superseded."""
    requests, now = desk.server.requests, desk.server.now
    ids = {name: desk.server.new_id() for name in dict.fromkeys(wish.tenants)}
    created = None
    if idempotency_key is not None:
        kept = requests.begin(
            desk.actor.id,
            idempotency_key,
            fingerprint=hashlib.sha256(wish.model_dump_json().encode()).hexdigest(),
            runs=ids,
            now=now,
            patience=_PATIENCE,
        )
        if kept.answer is not None:
            return models.Started.model_validate(kept.answer)
        ids, created = dict(kept.runs), kept.at
    try:
        done = desk.start(
            wish.tenants,
            behavior=wish.behavior,
            plan_only=wish.plan_only,
            move_to=wish.move_to,
            reason=wish.reason,
            ids=ids,
            created=created,
        )
        if not done.runs:
            raise next(iter(done.refused.values()))
    except RunnerError:
        if idempotency_key is not None:  # nothing was done: sent again, it is looked at again
            requests.forget(desk.actor.id, idempotency_key)
        raise
    answer = models.Started(
        runs=[models.Run.of(run) for run in done.runs],
        refused=[
            models.NotStarted(tenant=name, problem=models.Problem.model_validate(problems.problem(error)))
            for name, error in done.refused.items()
        ],
    )
    if idempotency_key is not None:
        requests.answered(desk.actor.id, idempotency_key, answer.model_dump(mode="json"))
    return answer


@router.get("/runs", tags=["Runs"], operation_id="listRuns", summary="List runs")
def list_runs(
    desk: Looking,
    tenant: Name = None,
    zone: Name = None,
    status: Annotated[list[Status] | None, Query(description="May be repeated.")] = None,
    limit: Limit = 50,
    cursor_: Cursor = None,
) -> models.Runs:
    """Runs that the actor may see, newest first."""
    before = _run_at(desk, "runs", cursor_) if cursor_ else None
    found = desk.runs(tenant=tenant, zone=zone, statuses=status, before=before, limit=limit + 1)
    more = cursor("runs", found[limit - 1].id) if len(found) > limit else None
    return models.Runs(items=[models.Run.of(run) for run in found[:limit]], next=more)


@router.get("/inbox", tags=["Runs"], operation_id="listInbox", summary="What waits for a decision")
def list_inbox(desk: Looking, limit: Limit = 50, cursor_: Cursor = None) -> models.Runs:
    """Runs that wait for this actor's decision: those with most risks first, and among equals the oldest."""
    after = _run_at(desk, "inbox", cursor_) if cursor_ else None
    found = desk.inbox(after=after, limit=limit + 1)
    more = cursor("inbox", found[limit - 1].id) if len(found) > limit else None
    return models.Runs(items=[models.Run.of(run) for run in found[:limit]], next=more)


@router.get("/runs/{run_id}", tags=["Runs"], operation_id="getRun", summary="One run")
def get_run(run_id: RunId, desk: Looking) -> models.RunDetails:
    """A run with its steps, approvals, warnings, outputs and the function's answer."""
    return details(desk, run_id)


@router.get(
    "/runs/{run_id}/review",
    tags=["Reviews"],
    operation_id="getReview",
    summary="What a run would do, or did",
    responses={200: {"model": Review | BlockReview}},
)
def get_review(run_id: RunId, desk: Looking) -> Response:
    """The review that an approval decides on; sensitive values are masked. Its digest is the ETag. 404 (`no-review`) where there is none
    yet."""
    run = desk.run(run_id)
    found = desk.server.ports.runs.review(run.id)
    if found is None:
        raise InputError("There is no review", code="no-review", detail=f"Run {run.id} has none.", hint="")
    return JSONResponse(found, headers={"ETag": f'"{run.digest}"'})


@router.get("/runs/{run_id}/approvals", tags=["Reviews"], operation_id="listApprovals", summary="Approvals that stand")
def list_approvals(run_id: RunId, desk: Looking) -> models.Approvals:
    """The approvals of the run that stand, oldest first."""
    found = desk.server.ports.runs.approvals(desk.run(run_id).id)
    return models.Approvals(items=[models.Approval.of(one) for one in found])


@router.post(
    "/runs/{run_id}/approve", tags=["Reviews"], operation_id="approveRun", summary="Approve exactly one review"
)
def approve_run(run_id: RunId, wish: models.Approve, desk: Approving) -> models.RunDetails:
    """Approve what this digest stands for. 409 where the run shows something else by now (`digest-mismatch`)."""
    desk.approve(run_id, digest=wish.digest, confirmed=wish.confirmed, comment=wish.comment, apply=wish.apply)
    return details(desk, run_id)


@router.post("/runs/{run_id}/reject", tags=["Reviews"], operation_id="rejectRun", summary="Reject a waiting run")
def reject_run(run_id: RunId, wish: models.Comment, desk: Approving) -> models.RunDetails:
    """End a waiting run without applying it."""
    desk.reject(run_id, comment=wish.comment)
    return details(desk, run_id)


@router.post("/runs/{run_id}/apply", tags=["Runs"], operation_id="applyRun", summary="Apply an approved run")
def apply_run(run_id: RunId, desk: Operating) -> models.RunDetails:
    """Have a server apply an approved run that was only planned."""
    desk.apply(run_id)
    return details(desk, run_id)


@router.post("/runs/{run_id}/cancel", tags=["Runs"], operation_id="cancelRun", summary="Stop a run")
def cancel_run(run_id: RunId, desk: Operating) -> models.RunDetails:
    """Stop a run: at once where it waits; the engine saves its state first where it works."""
    desk.cancel(run_id)
    return details(desk, run_id)


@router.get("/runs/{run_id}/events", tags=["Runs"], operation_id="listEvents", summary="A run's journal")
def list_events(
    run_id: RunId,
    desk: Looking,
    after: After = 0,
    limit: Annotated[int, Query(ge=1, le=5000, description="How many are looked at, at most.")] = 1000,
) -> models.Events:
    """Entries of the journal after this number, in order: statuses, steps, log lines, warnings, outputs. There are no more where `after`
    comes back as it was sent."""
    found = desk.events(run_id, after=after, limit=limit)
    told = [models.Event.of(one) for one in telling.for_people(found)]
    return models.Events(items=told, after=found[-1].seq if found else after)


@router.get(
    "/runs/{run_id}/events/stream",
    tags=["Runs"],
    operation_id="streamEvents",
    summary="A run's journal as it grows",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": STREAMED}}, "description": "Events, each as here."}},
)
def stream_events(
    request: Request,
    run_id: RunId,
    desk: Looking,
    after: After = 0,
    last_event_id: Annotated[str | None, Header(max_length=20, description="Goes before `after`.")] = None,
) -> StreamingResponse:
    """Server-sent events. The id of each is its number in the journal: sent as Last-Event-ID, also to another server, it goes on from
    there. Ends with an event `end`, or after some minutes."""
    return stream(request, desk.server.ports.runs, desk.run(run_id).id, after=after)


@router.get("/tenants", tags=["Tenants"], operation_id="listTenants", summary="List tenants")
def list_tenants(
    desk: Looking,
    zone: Name = None,
    text: Annotated[str, Query(max_length=255, description="Part of the tenant's or workspace's name.")] = "",
    status: Annotated[list[Status | Literal["never"]] | None, Query(description="Of the newest run.")] = None,
    drifted: Annotated[bool | None, Query(description="It differs although the documents did not change.")] = None,
    documented: Annotated[bool | None, Query(description="The documents still have it.")] = None,
    behind: Annotated[
        bool | None, Query(description="The documents say something else than it was brought to.")
    ] = None,
    order: Annotated[FleetOrder, Query(description="What they are sorted by.")] = "tenant",
    descending: Annotated[bool, Query(description="Last things first.")] = False,
    limit: Limit = 100,
    cursor_: Cursor = None,
) -> models.Tenants:
    """Tenants that are documented or were run."""
    chosen = FleetFilter(
        reach=(),
        zone=zone,
        text=text,
        statuses=tuple(None if one == "never" else Status(one) for one in status or ()),
        drifted=drifted,
        documented=documented,
        behind=behind,
    )
    after = tenant_place(order, cursor_) if cursor_ else None
    found = desk.tenants(chosen, order=order, descending=descending, after=after, limit=limit + 1)
    return models.Tenants(
        items=[models.Tenant.of(row) for row in found[:limit]],
        next=after_tenant(found[limit - 1], order) if len(found) > limit else None,
        counts=desk.counts(chosen),
    )


@router.get("/tenants/{name}", tags=["Tenants"], operation_id="getTenant", summary="One tenant")
def get_tenant(name: Called, desk: Looking) -> models.Tenant:
    """A tenant with its newest run."""
    return models.Tenant.of(desk.tenant(name))


@router.get(
    "/tenants/{name}/state-versions",
    tags=["Tenants"],
    operation_id="listStateVersions",
    summary="Versions of a tenant's state",
)
def list_state_versions(name: Called, desk: Looking) -> models.StateVersions:
    """The history of the tenant's managed state, newest first. What is in a state is not told over HTTP."""
    return models.StateVersions(items=[models.StateVersion.of(one) for one in desk.state_versions(name)])


@router.get("/tenants/{name}/deletion", tags=["Tenants"], operation_id="getDeletion", summary="A tenant's deletion")
def get_deletion(name: Called, desk: Looking) -> models.Deletion:
    """The deletion that was asked for last; 404 (`deletion-unknown`) where nobody did."""
    return models.Deletion.of(desk.deletion(name))


@router.post(
    "/tenants/{name}/deletion",
    tags=["Tenants"],
    operation_id="askDeletion",
    summary="Ask for a tenant's deletion",
    status_code=201,
)
def ask_deletion(name: Called, wish: models.Reason, desk: Operating) -> models.Deletion:
    """Nothing is deleted yet: somebody approves, then a run with the behavior destroy plans how it leaves."""
    return models.Deletion.of(desk.ask_deletion(name, reason=wish.reason))


@router.post(
    "/tenants/{name}/deletion/{decision}",
    tags=["Tenants"],
    operation_id="decideDeletion",
    summary="Approve or decline a deletion",
)
def decide_deletion(
    name: Called,
    decision: Annotated[Literal["approve", "decline"], Path(description="What is decided.")],
    wish: models.Comment,
    desk: Approving,
) -> models.Deletion:
    """Decide on a deletion that was asked for."""
    return models.Deletion.of(desk.decide_deletion(name, approved=decision == "approve", comment=wish.comment))


@router.get("/zones", tags=["Landing zones"], operation_id="listZones", summary="List landing zones")
def list_zones(desk: Looking) -> models.Zones:
    """Landing zones that the actor may see, by name."""
    read = desk.server.shelf.shelved.read
    known = read.zones if read is not None else {}
    return models.Zones(
        items=[models.Zone(name=n, tenants=count, documented=n in known) for n, count in desk.zones().items()]
    )


@router.get("/zones/{name}", tags=["Landing zones"], operation_id="getZone", summary="One landing zone")
def get_zone(name: Called, desk: Looking) -> models.ZoneDetails:
    """A landing zone with its document, which refers to secrets and holds none."""
    found = desk.zone(name)
    document = found.model_dump(mode="json", by_alias=True, exclude_none=True) if found is not None else None
    tenants = desk.zones()[name]
    return models.ZoneDetails(
        name=name,
        tenants=tenants,
        documented=found is not None,
        document=document,
        versions=desk.versions(name),
    )


def details(desk: Desk, run_id: RunId) -> models.RunDetails:
    """The run as it stands now."""
    told = telling.told(desk.run(run_id), desk.server.ports)
    return models.RunDetails(
        **models.Run.of(told.run).model_dump(),
        approvals=[models.Approval.of(one) for one in told.approvals],
        steps=[models.RunStep.model_validate(step.model_dump()) for step in told.steps],
        warnings_told=[Warn(code=warning["code"], text=warning["text"]) for warning in told.warnings],
        outputs=told.outputs,
        function=told.function,
    )


def _run_at(desk: Desk, kind: str, given: str) -> Run:
    found = place(kind, given)
    try:
        return desk.run(str(found))
    except InputError:  # no such run, or it was forgotten since
        raise wrong_cursor() from None
