"""A tenant: what it should be and is, its runs, states and deletion, and starting runs of it and of others."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Form, Query, Request
from starlette.responses import RedirectResponse, Response

from runner.domain.actor import Act, may
from runner.domain.run import Behavior
from runner.web.pages import differences, documented, reviews
from runner.web.pages.rendering import page
from runner.web.pages.routing import Approving, Looking, Operating, router

_RUNS = 20
_VERSIONS = 50
_SHOWN = 500  # differing resources of a state
_MOST_STARTED = 500

Reason = Annotated[str, Form(max_length=255)]


@router.get("/tenants/{name}")
def tenant(request: Request, name: str, desk: Looking) -> Response:
    """One tenant."""
    row = desk.tenant(name)
    place = {"zone": row.landing_zone, "workspace": row.workspace}
    read = desk.server.shelf.shelved.read
    placed = read.placed(name) if read is not None and name in read.tenants else None
    kept = desk.review(row.run.id) if row.run is not None else None
    ran = desk.runs(tenant=name, limit=_RUNS)
    values = {
        "row": row,
        "document": read.source("Tenant", name) if placed is not None and read is not None else "",
        "wanted": documented.wanted_of(placed) if placed is not None else (),
        "people": documented.people_of(placed) if placed is not None else (),
        "runs": ran,
        "wrote": {run.id: run for run in ran},
        "versions": desk.state_versions(name)[:_VERSIONS],
        "warnings": reviews.texts((kept or {}).get("warnings") or ()),
        "drift": differences.drift(kept or {}),
        "record": False,
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
def state(
    request: Request, name: str, number: int, desk: Looking, since: Annotated[int | None, Query(ge=0)] = None
) -> Response:
    """What one version of its state changed, since the one before it or an older one."""
    version, before, found = desk.state_difference(name, number, since=since)
    values = {
        "name": name,
        "version": version,
        "before": before,
        "older": [one for one in desk.state_versions(name) if one.number < number][:_VERSIONS],
        "found": [(one, differences.rows(one.model_dump(mode="json"))) for one in found[:_SHOWN]],
        "more": max(0, len(found) - _SHOWN),
    }
    return page(request, "state.html", values)


@router.post("/start")
def start(
    request: Request,
    desk: Operating,
    tenants: Annotated[list[str], Form(max_length=_MOST_STARTED)],
    plan_only: Annotated[bool, Form()] = False,
    reason: Reason = "",
) -> Response:
    """Start runs of these tenants."""
    done = desk.start(tenants, behavior=Behavior.APPLY, plan_only=plan_only, reason=reason)
    if len(done.runs) == 1 and not done.refused:
        return RedirectResponse(f"/runs/{done.runs[0].id}", 303)
    if not done.refused:
        return RedirectResponse("/", 303)
    return page(request, "started.html", {"done": done}, status=200 if done.runs else 409)


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
