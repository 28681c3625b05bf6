"""The pages and what their forms do. A page reads; a form does one thing and leads back to a page."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from runner.app import telling
from runner.app.walk import is_of_meshstack
from runner.domain.actor import Act, may, may_anywhere
from runner.domain.run import OPEN, Behavior, Run, Status
from runner.errors import InputError, Refused
from runner.ports import FleetFilter, FleetOrder
from runner.web.desk import Desk
from runner.web.gate import Needs
from runner.web.pages import differences, picture, reviews
from runner.web.pages.rendering import page

router = APIRouter(include_in_schema=False)

Looking = Annotated[Desk, Depends(Needs(Act.LOOK))]
Operating = Annotated[Desk, Depends(Needs(Act.OPERATE))]
Approving = Annotated[Desk, Depends(Needs(Act.APPROVE))]

ROWS = 100
_LOG_LINES = 500  # that a page begins with; the rest is a link away
_MOST_STARTED = 500


@router.get("/")
def inbox(request: Request, desk: Looking, begin: int = 0, zone: str = "", risky: bool = False) -> Response:
    """What waits for me."""
    found = desk.inbox(offset=max(0, begin), limit=ROWS + 1)
    shown = [run for run in found[:ROWS] if (not zone or run.landing_zone == zone) and (not risky or run.risks)]
    at_work = desk.runs(statuses=(Status.PENDING, Status.PLANNING, Status.APPROVED, Status.APPLYING), limit=ROWS)
    failed = desk.runs(statuses=(Status.FAILED, Status.INTERRUPTED), limit=10)
    values = {
        "runs": shown,
        "at_work": at_work,
        "failed": failed,
        "zone": zone,
        "risky": risky,
        "zones": sorted({run.landing_zone for run in found} | ({zone} if zone else set())),
        "next": begin + ROWS if len(found) > ROWS else None,
        "approves": may_anywhere(desk.actor, Act.APPROVE),
        "wrong": desk.server.shelf.shelved.wrong if may_anywhere(desk.actor, Act.OPERATE) else None,
    }
    return page(request, "inbox.html", values)


@router.get("/runs")
def runs(request: Request, desk: Looking, status: str = "", tenant: str = "", before: str = "") -> Response:
    """Runs, newest first."""
    statuses = (Status(status),) if status in list(Status) else None
    last = desk.run(before) if before else None
    found = desk.runs(statuses=statuses, tenant=tenant or None, before=last, limit=ROWS + 1)
    more = found[ROWS - 1].id if len(found) > ROWS else None
    values = {"runs": found[:ROWS], "status": status, "tenant": tenant, "statuses": list(Status), "next": more}
    return page(request, "runs.html", values)


@router.get("/runs/{run_id}")
def run(
    request: Request,
    run_id: str,
    desk: Looking,
    q: str = "",
    begin: Annotated[int, Query(ge=0)] = 0,
    part: Literal["", "standing", "changes"] = "",
) -> Response:
    """One run: verdict, people, changes, steps, log."""
    found = desk.run(run_id)
    return page(
        request,
        {"": "run.html", "standing": "standing.html", "changes": "changes.html"}[part],
        _of(desk, found, q, begin),
    )


@router.get("/runs/{run_id}/changes/{number}")
def change(
    request: Request, run_id: str, number: int, desk: Looking, everything: bool = False, whole: bool = False
) -> Response:
    """One change, attribute by attribute."""
    kept = desk.review(run_id)
    found = reviews.change_at(kept, number) if kept is not None else None
    if kept is None or found is None:
        raise InputError("There is no such change", code="not-found", detail="The run shows something else.", hint="")
    values = {
        "run": desk.run(run_id),
        "number": number,
        "sentence": kept["sentences"][number],
        "change": found,
        "rows": differences.rows(found, everything=everything, whole=whole),
        "everything": everything,
        "whole": whole,
    }
    whole_page = request.headers.get("hx-request") != "true"
    return page(request, "change.html" if whole_page else "change_rows.html", values)


@router.post("/runs/{run_id}/approve")
def approve(
    request: Request,
    run_id: str,
    desk: Approving,
    digest: Annotated[str, Form(min_length=64, max_length=64)],
    comment: Annotated[str, Form(max_length=2000)] = "",
    confirmed: Annotated[str, Form(max_length=5000)] = "",
    apply: Annotated[bool, Form()] = False,
) -> Response:
    """Approve exactly what the form was shown with."""
    try:
        desk.approve(run_id, digest=digest, confirmed=confirmed.split(), comment=comment, apply=apply)
    except Refused as refused:
        values = _of(desk, desk.run(run_id), "", 0) | {"refused": refused, "comment": comment}
        return page(request, "run.html", values, status=409)
    return RedirectResponse(f"/runs/{run_id}", 303)


@router.post("/runs/{run_id}/reject")
def reject(run_id: str, desk: Approving, comment: Annotated[str, Form(max_length=2000)] = "") -> Response:
    """Reject it."""
    desk.reject(run_id, comment=comment)
    return RedirectResponse(f"/runs/{run_id}", 303)


@router.post("/runs/{run_id}/apply")
def apply(run_id: str, desk: Operating) -> Response:
    """Have it applied."""
    desk.apply(run_id)
    return RedirectResponse(f"/runs/{run_id}", 303)


@router.post("/runs/{run_id}/cancel")
def cancel(run_id: str, desk: Operating) -> Response:
    """Stop it."""
    desk.cancel(run_id)
    return RedirectResponse(f"/runs/{run_id}", 303)


@router.post("/start")
def start(
    request: Request,
    desk: Operating,
    tenants: Annotated[list[str], Form(max_length=_MOST_STARTED)],
    plan_only: Annotated[bool, Form()] = False,
    reason: Annotated[str, Form(max_length=255)] = "",
) -> Response:
    """Start runs of these tenants."""
    done = desk.start(tenants, behavior=Behavior.APPLY, plan_only=plan_only, reason=reason)
    if len(done.runs) == 1 and not done.refused:
        return RedirectResponse(f"/runs/{done.runs[0].id}", 303)
    if not done.refused:
        return RedirectResponse("/", 303)
    return page(request, "started.html", {"done": done}, status=200 if done.runs else 409)


@router.get("/tenants")
def tenants(
    request: Request,
    desk: Looking,
    zone: str = "",
    text: Annotated[str, Query(max_length=255)] = "",
    status: str = "",
    only: Literal["", "drifted", "behind", "undocumented", "never-run"] = "",
    order: FleetOrder = "tenant",
    descending: bool = False,
    begin: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> Response:
    """All tenants."""
    statuses: tuple[Status | None, ...] = (Status(status),) if status in list(Status) else ()
    chosen = FleetFilter(
        reach=(),
        zone=zone or None,
        text=text,
        statuses=(None,) if only == "never-run" else statuses,
        drifted=True if only == "drifted" else None,
        documented=False if only == "undocumented" else None,
        behind=True if only == "behind" else None,
    )
    found = desk.tenants(chosen, order=order, descending=descending, offset=begin, limit=ROWS)
    counts = desk.counts(chosen)
    asked = {"zone": zone, "text": text, "status": status, "only": only, "order": order, "descending": descending}
    values = {
        "rows": found,
        "counts": counts,
        "all_counts": desk.counts(FleetFilter(reach=())),
        "zones": list(desk.zones()),
        "asked": asked,
        "statuses": list(Status),
        "begin": begin,
        "size": ROWS,
        "link": lambda **more: (
            "/tenants?" + urlencode({k: v for k, v in {**asked, **more}.items() if v not in ("", False, 0)})
        ),
        "operates": may_anywhere(desk.actor, Act.OPERATE),
    }
    return page(request, "tenants.html", values)


@router.get("/tenants/{name}")
def tenant(request: Request, name: str, desk: Looking) -> Response:
    """One tenant."""
    row = desk.tenant(name)
    place = {"zone": row.landing_zone, "workspace": row.workspace}
    read = desk.server.shelf.shelved.read
    documented = read.placed(name) if read is not None and name in read.tenants else None
    newest = desk.review(row.run.id) if row.run is not None else None
    values = {
        "row": row,
        "document": read.source("Tenant", name) if documented is not None and read is not None else "",
        "placed": documented,
        "runs": desk.runs(tenant=name, limit=20),
        "versions": desk.state_versions(name)[:20],
        "warnings": reviews.texts((newest or {}).get("warnings") or ()),
        "drift": [one["address"] for one in (newest or {}).get("drift") or ()],
        "deletion": desk.server.ports.deletions.of(name),
        "operates": may(desk.actor, Act.OPERATE, **place),
        "approves": may(desk.actor, Act.APPROVE, **place),
    }
    return page(request, "tenant.html", values)


@router.get("/tenants/{name}/azure")
def in_azure(request: Request, name: str, desk: Looking) -> Response:
    """What is there of it in Azure now."""
    values = {"name": name, "found": desk.in_azure(name)}
    whole_page = request.headers.get("hx-request") != "true"
    return page(request, "azure.html" if whole_page else "azure_items.html", values)


@router.get("/tenants/{name}/states/{number}")
def state(request: Request, name: str, number: int, desk: Looking) -> Response:
    """What one version of its state changed."""
    version, before, found = desk.state_difference(name, number)
    values = {
        "name": name,
        "version": version,
        "before": before,
        "found": [(one, differences.rows(one.model_dump(mode="json"))) for one in found[:_MOST_STARTED]],
    }
    return page(request, "state.html", values)


@router.post("/tenants/{name}/deletion")
def ask_deletion(name: str, desk: Operating, reason: Annotated[str, Form(min_length=1, max_length=255)]) -> Response:
    """Ask that it is deleted."""
    desk.ask_deletion(name, reason=reason)
    return RedirectResponse(f"/tenants/{name}", 303)


@router.post("/tenants/{name}/deletion/{decision}")
def decide_deletion(
    name: str,
    decision: Literal["approve", "decline"],
    desk: Approving,
    comment: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    """Decide on its deletion."""
    desk.decide_deletion(name, approved=decision == "approve", comment=comment)
    return RedirectResponse(f"/tenants/{name}", 303)


@router.get("/zones")
def zones(request: Request, desk: Looking) -> Response:
    """All landing zones."""
    read = desk.server.shelf.shelved.read
    return page(request, "zones.html", {"zones": desk.zones(), "documents": read.zones if read is not None else {}})


@router.get("/zones/{name}")
def zone(request: Request, name: str, desk: Looking) -> Response:
    """One landing zone."""
    found = desk.zone(name)
    read = desk.server.shelf.shelved.read
    platform = read.platforms.get(found.spec.platform_ref.name) if read is not None and found is not None else None
    chosen = FleetFilter(reach=(), zone=name)
    values = {
        "name": name,
        "zone": found,
        "document": read.source("LandingZone", name) if read is not None and found is not None else "",
        "picture": picture.picture(found, platform) if found is not None else None,
        "counts": desk.counts(chosen),
        "rows": desk.tenants(chosen, limit=ROWS),
    }
    return page(request, "zone.html", values)


def _of(desk: Desk, found: Run, search: str, begin: int) -> dict[str, Any]:
    kept = desk.server.ports.runs.review(found.id)
    told = telling.told(found, desk.server.ports)
    log = [event for event in telling.for_people(desk.server.ports.runs.events(found.id)) if event.kind == "log"]
    of_meshstack = is_of_meshstack(found)
    waits = found.status is Status.WAITING and not of_meshstack
    return {
        "run": found,
        "kept": kept,
        "told": told,
        "shown": reviews.changes(kept, search=search, begin=begin) if kept is not None else None,
        "people": reviews.people(kept) if kept is not None else (),
        "steps": reviews.steps(kept) if kept is not None else (),
        "risks": reviews.texts(kept.get("risks") or ()) if kept is not None else (),
        "warnings": reviews.texts(kept.get("warnings") or ()) if kept is not None else (),
        "providers": reviews.providers(kept) if kept is not None else "",
        "log": log[-_LOG_LINES:],
        "seen": max((event.seq for event in log), default=0),
        "older_log": max(0, len(log) - _LOG_LINES),
        "search": search,
        "begin": begin,
        "open": found.status in OPEN,
        "approves": waits and kept is not None and not reviews.stopped(kept) and desk.may(Act.APPROVE, found),
        "rejects": (waits or found.status is Status.APPROVED) and not of_meshstack and desk.may(Act.APPROVE, found),
        "applies": found.status is Status.APPROVED and not found.options.get("apply") and desk.may(Act.OPERATE, found),
        "cancels": found.status in OPEN and desk.may(Act.OPERATE, found),
        "refused": None,
        "comment": "",
    }
