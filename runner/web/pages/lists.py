"""Pages that list: what waits for me, runs, tenants and landing zones. Filters and order are in the address, and the store's work."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import Query, Request
from starlette.responses import Response

from runner.domain import versions
from runner.domain.actor import Act, may_anywhere
from runner.domain.run import Status
from runner.ports import FleetFilter, FleetOrder
from runner.web.pages import picture, policies
from runner.web.pages.rendering import page
from runner.web.pages.routing import ROWS, Looking, router

Begin = Annotated[int, Query(ge=0, le=10_000_000)]
Text = Annotated[str, Query(max_length=255)]
Only = Literal["", "drifted", "behind", "undocumented", "never-run"]

_AT_WORK = (Status.PENDING, Status.PLANNING, Status.APPROVED, Status.APPLYING)
_FAILED = (Status.FAILED, Status.INTERRUPTED)
_FEW = 10


@router.get("/")
def inbox(request: Request, desk: Looking, after: Text = "", zone: Text = "", risky: bool = False) -> Response:
    """What waits for me."""
    last = desk.run(after) if after else None
    found = desk.inbox(zone=zone or None, risky=risky, after=last, limit=ROWS + 1)
    at_work = desk.runs(statuses=_AT_WORK, zone=zone or None, limit=ROWS)
    values = {
        "runs": found[:ROWS],
        "at_work": at_work,
        "failed": desk.runs(statuses=_FAILED, zone=zone or None, newest=True, limit=_FEW),
        "newest": desk.runs(zone=zone or None, limit=_FEW) if not found and not at_work else (),
        "zone": zone,
        "risky": risky,
        "zones": list(desk.zones()),
        "next": _address("/", zone=zone, risky=risky, after=found[ROWS - 1].id) if len(found) > ROWS else None,
        "approves": may_anywhere(desk.actor, Act.APPROVE),
        "operates": may_anywhere(desk.actor, Act.OPERATE),
    }
    return page(request, "inbox.html", values)


@router.get("/runs")
def runs(
    request: Request, desk: Looking, status: str = "", zone: Text = "", tenant: Text = "", before: Text = ""
) -> Response:
    """Runs, newest first."""
    statuses = (Status(status),) if status in list(Status) else None
    last = desk.run(before) if before else None
    found = desk.runs(statuses=statuses, zone=zone or None, tenant=tenant or None, before=last, limit=ROWS + 1)
    more = found[ROWS - 1].id if len(found) > ROWS else None
    values = {
        "runs": found[:ROWS],
        "status": status,
        "zone": zone,
        "tenant": tenant,
        "zones": list(desk.zones()),
        "statuses": list(Status),
        "next": _address("/runs", status=status, zone=zone, tenant=tenant, before=more) if more else None,
    }
    return page(request, "runs.html", values)


@router.get("/tenants")
def tenants(
    request: Request,
    desk: Looking,
    zone: Text = "",
    text: Text = "",
    status: str = "",
    only: Only = "",
    order: FleetOrder = "tenant",
    descending: bool = False,
    begin: Begin = 0,
) -> Response:
    """All tenants."""
    chosen = _chosen(zone, text, status, only)
    asked: dict[str, Any] = {"zone": zone, "text": text, "status": status, "only": only}
    asked |= {"order": "" if order == "tenant" else order, "descending": descending}
    everybody = FleetFilter(reach=())
    counts = desk.counts(chosen)
    values = {
        "rows": desk.tenants(chosen, order=order, descending=descending, offset=begin, limit=ROWS),
        "counts": counts,
        "all_counts": counts if chosen == everybody else desk.counts(everybody),
        "zones": list(desk.zones()),
        "asked": asked,
        "order": order,
        "statuses": list(Status),
        "begin": begin,
        "size": ROWS,
        "link": lambda **more: _address("/tenants", **{**asked, **more}),
        "operates": may_anywhere(desk.actor, Act.OPERATE),
    }
    return page(request, "tenants.html", values)


@router.get("/zones")
def zones(request: Request, desk: Looking) -> Response:
    """All landing zones."""
    read = desk.server.shelf.shelved.read
    documented = read.zones if read is not None else {}
    values = {
        "zones": desk.zones(),
        "documents": documented,
        "policies": {name: policies.approval(zone.spec.approval) for name, zone in documented.items()},
    }
    return page(request, "zones.html", values)


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
        "policy": policies.approval(found.spec.approval) if found is not None else None,
        "versions": policies.versions(versions.documented(found) if found is not None else {}, desk.versions(name)),
        "counts": desk.counts(chosen),
        "rows": desk.tenants(chosen, limit=ROWS),
    }
    return page(request, "zone.html", values)


def _chosen(zone: str, text: str, status: str, only: Only) -> FleetFilter:
    statuses: tuple[Status | None, ...] = (Status(status),) if status in list(Status) else ()
    return FleetFilter(
        reach=(),
        zone=zone or None,
        text=text,
        statuses=(None,) if only == "never-run" else statuses,
        drifted=True if only == "drifted" else None,
        documented=False if only == "undocumented" else None,
        behind=True if only == "behind" else None,
    )


def _address(path: str, **asked: Any) -> str:
    """The address of a list with these filters, without those that say nothing."""
    told = {name: "true" if value is True else value for name, value in asked.items() if value not in ("", False, 0)}
    return f"{path}?{urlencode(told)}" if told else path
