"""A run: its verdict, what it would do, and how it goes. The parts of the page are asked for alone as well, while the run goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from fastapi import Query, Request
from starlette.responses import Response, StreamingResponse

from runner.app import telling
from runner.app.walk import is_of_meshstack
from runner.domain.actor import Act
from runner.domain.events import Kind, StepStatus
from runner.domain.run import ENDED, ENDED_WELL, OPEN, Behavior, Run, Status
from runner.errors import InputError
from runner.web.desk import Desk
from runner.web.pages import differences, reviews
from runner.web.pages.rendering import log_line, page, streamed
from runner.web.pages.routing import Looking, router

_LOG_LINES = 500  # that a page begins with
_AT_ONCE = 2_000  # lines of a whole log


Everything = Annotated[bool, Query(description="What stays as it is as well.")]


@router.get("/runs/{run_id}")
def run(
    request: Request,
    run_id: str,
    desk: Looking,
    q: Annotated[str, Query(max_length=255)] = "",
    sign: Annotated[str, Query(max_length=1)] = "",
    begin: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    comment: Annotated[str, Query(max_length=2000)] = "",
    part: Literal["", "verdict", "decision"] = "",
) -> Response:
    """One run: verdict, people, changes, steps, log."""
    found = desk.run(run_id)
    if part == "verdict":
        return page(request, "verdict.html", _standing(desk, found) | {"out_of_band": True})
    if part == "decision":
        return page(request, "decision.html", _decision(desk, found, desk.review(run_id)) | {"comment": comment})
    more = {"search": q, "chosen": sign, "begin": begin, "comment": comment}
    return shown(request, desk, found, more=more)


def shown(request: Request, desk: Desk, found: Run, *, more: Mapping[str, Any], status: int = 200) -> Response:
    """The whole page of a run."""
    kept = desk.review(found.id)
    nothing = {"search": "", "chosen": "", "begin": 0, "comment": "", "refused": None, "newer": None, "different": None}
    asked: dict[str, Any] = {**nothing, **more}
    newest = desk.server.ports.runs.standing([found.id])[found.id][1]
    log = desk.events(found.id, after=max(0, newest - _LOG_LINES))
    values = {
        **asked,
        **_standing(desk, found),
        **_decision(desk, found, kept),
        **_review(kept, search=asked["search"], sign=asked["chosen"], begin=asked["begin"]),
        "log": [event for event in log if event.kind is Kind.LOG],
        "seen": newest,
        "older_log": newest > _LOG_LINES,
        "record": False,
    }
    return page(request, "run.html", values | {"comment": asked["comment"]}, status=status)


@router.get("/runs/{run_id}/changes/{number}")
def change(
    request: Request, run_id: str, number: int, desk: Looking, everything: Everything = False, whole: bool = False
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
        "last": len(kept["sentences"]) - 1,
    }
    whole_page = request.headers.get("hx-request") != "true"
    return page(request, "change.html" if whole_page else "change_rows.html", values)


@router.get("/runs/{run_id}/record")
def record(request: Request, run_id: str, desk: Looking, everything: Everything = False) -> Response:
    """The whole review with all that belongs to it, to print or to keep: every change with its attributes."""
    found = desk.run(run_id)
    kept = desk.review(run_id)
    if kept is None:
        raise InputError("The run has no review", code="no-review", detail="It was not planned.", hint="")
    by_address = {one["address"]: one for one in kept["changes"]}
    values = {
        **_standing(desk, found),
        **_review(kept, most=None),
        "rows_of": lambda one: differences.rows(
            by_address.get(kept["sentences"][one.number]["address"], {}), everything=everything
        ),
        "bound": reviews.bound_to(kept),
        "everything": everything,
        "record": True,
    }
    return streamed(request, "record.html", values)


@router.get("/runs/{run_id}/log")
def log(run_id: str, desk: Looking) -> Response:
    """The run's whole log as text."""
    found = desk.run(run_id)

    def lines() -> Iterator[str]:
        seen = 0
        while entries := desk.server.ports.runs.events(found.id, after=seen, limit=_AT_ONCE, kinds={Kind.LOG}):
            seen = entries[-1].seq
            told = (f"{one.at:%Y-%m-%dT%H:%M:%SZ} {log_line(str(one.data['text']))}\n" for one in entries)
            yield "".join(told)

    return StreamingResponse(lines(), media_type="text/plain; charset=utf-8")


def _standing(desk: Desk, found: Run) -> dict[str, Any]:
    """How it stands, which changes as it goes on."""
    told = telling.told(found, desk.server.ports)
    return {
        "run": found,
        "told": told,
        "open": found.status in OPEN,
        "at_work": next((step for step in reversed(told.steps) if step.status is StepStatus.RUNNING), None),
        "of_meshstack": is_of_meshstack(found),
        "out_of_band": False,
    }


def _decision(desk: Desk, found: Run, kept: Mapping[str, Any] | None) -> dict[str, Any]:
    """Who decided, and what may be decided by who asks."""
    of_meshstack = is_of_meshstack(found)
    waits = found.status is Status.WAITING and not of_meshstack
    stopped = reviews.stopped(kept or {}) if waits else ""
    read = desk.server.shelf.shelved.read
    documented = read.digest(found.tenant) if read is not None and found.tenant in read.tenants else None
    return {
        "run": found,
        "of_meshstack": of_meshstack,
        "approvals": desk.server.ports.runs.approvals(found.id),
        **_after(desk, found),
        "contents": tuple(one["resource_group"] for one in (kept or {}).get("contents") or ()),
        "stopped": stopped,
        "has_review": kept is not None,
        "stale": found.status in OPEN and documented is not None and documented != found.documents,
        "approves": waits and kept is not None and not stopped and desk.may(Act.APPROVE, found),
        "rejects": (waits or found.status is Status.APPROVED) and not of_meshstack and desk.may(Act.APPROVE, found),
        "applies": found.status is Status.APPROVED and not found.options.get("apply") and desk.may(Act.OPERATE, found),
        "cancels": found.status in OPEN and desk.may(Act.OPERATE, found),
    }


def _after(desk: Desk, found: Run) -> dict[str, Any]:
    """Where it goes on after a run that came to nothing."""
    if found.status not in ENDED - ENDED_WELL or is_of_meshstack(found):
        return {"since": None, "again": False}
    newer = next(iter(desk.runs(tenant=found.tenant, limit=1)), found)
    return {
        "since": newer if newer.id != found.id else None,
        "again": newer.id == found.id and found.behavior is Behavior.APPLY and desk.may(Act.OPERATE, found),
    }


def _review(
    kept: Mapping[str, Any] | None,
    *,
    search: str = "",
    sign: str = "",
    begin: int = 0,
    most: int | None = reviews.AT_ONCE,
) -> dict[str, Any]:
    """What it would do; `kept` alone where there is no review yet."""
    if kept is None:
        return {"kept": None}
    return {
        "kept": kept,
        "shown": reviews.changes(kept, search=search, sign=sign, begin=begin, most=most),
        "words": reviews.SIGNS,
        "people": reviews.people(kept),
        "steps": reviews.steps(kept),
        "beside": reviews.beside(kept),
        "preview": reviews.is_preview(kept),
        "risks": reviews.texts(kept.get("risks") or ()),
        "warnings": reviews.texts(kept.get("warnings") or ()),
        "drift": differences.drift(kept),
        "providers": reviews.providers(kept),
        "sources": reviews.sources(kept),
    }
