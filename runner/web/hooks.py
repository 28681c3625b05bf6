"""Webhooks that come in: what each asks for is done by the actor that it is, so its rights end where its configuration says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from runner.app.receiving import received
from runner.domain.document import SecretReference
from runner.domain.trigger import Asked, Trigger
from runner.errors import InputError, RunnerError
from runner.ports import FleetFilter, FleetPlace, FleetRow, Received
from runner.web.desk import Desk, Started
from runner.web.gate import client_of
from runner.web.problems import problem
from runner.web.protection import HOOKS
from runner.web.rates import Rates
from runner.web.server import Server

_PAGE = 500
_LONGEST_REASON = 255

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Hooks:
    """The webhooks that a server takes, and what it knows them again by."""

    triggers: tuple[Trigger, ...]
    store: Received
    secret: Callable[[SecretReference], str]


@router.post(HOOKS + "{name}")
async def come(request: Request, name: str) -> Response:
    """One delivery. 202 with the runs that were started; 200 where there was nothing to do."""
    return await run_in_threadpool(_taken, request, name, await request.body())


def _taken(request: Request, name: str, body: bytes) -> Response:
    hooks: Hooks = request.app.state.hooks
    rates: Rates = request.app.state.rates
    server: Server = request.app.state.server
    trigger = next((one for one in hooks.triggers if one.name == name), None)
    try:
        if trigger is None:
            raise InputError("There is no such webhook", code="not-found", detail="", hint="")
        came = received(trigger, request.headers, body, now=server.now, store=hooks.store, secret=hooks.secret)
    except RunnerError:
        rates.take("bad-token", client_of(request))
        raise
    if came.asked is None:
        return JSONResponse({"id": came.id, "runs": [], "refused": []})
    try:
        rates.take("change", trigger.actor.id)
        done = _start(server, trigger, came.asked)
    except RunnerError:
        hooks.store.forget(trigger.name, came.id)  # nothing was begun: its sender may send it again
        raise
    refused = [{"tenant": tenant, "problem": problem(error)} for tenant, error in done.refused.items()]
    return JSONResponse({"id": came.id, "runs": [run.id for run in done.runs], "refused": refused}, 202)


def _start(server: Server, trigger: Trigger, asked: Asked) -> Started:
    desk = Desk(server, trigger.actor)
    if asked.push is not None:
        server.shelf.fetch(asked.push.after)
        names = list(_changed(desk))
    else:
        names = [*asked.tenants, *(name for zone in asked.zones for name in _of_zone(desk, zone))]
    return desk.start(names, plan_only=asked.behavior == "plan", reason=asked.reason[:_LONGEST_REASON])


def _changed(desk: Desk) -> Iterator[str]:
    """Tenants of which the documents say something else than they were brought to, but for those that a run of these documents is about
    already."""
    read = desk.server.shelf.documents()
    for row in _rows(desk, FleetFilter(reach=(), documented=True, behind=True)):
        if row.run is None or not row.run.open or row.run.documents != read.digest(row.tenant):
            yield row.tenant


def _of_zone(desk: Desk, zone: str) -> Iterator[str]:
    for row in _rows(desk, FleetFilter(reach=(), zone=zone, documented=True)):
        yield row.tenant


def _rows(desk: Desk, chosen: FleetFilter) -> Iterator[FleetRow]:
    after = None
    while found := desk.tenants(chosen, after=after, limit=_PAGE):
        yield from found
        after = FleetPlace.of(found[-1], "tenant")
