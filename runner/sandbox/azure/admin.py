"""The sandbox's own address, `/sandbox`: look at the world, change it behind the runner's back, switch faults.

It answers on loopback host names only, so nothing that goes through the proxy ever meets it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Protocol

from runner.sandbox.azure.faults import Faults, read_fault
from runner.sandbox.azure.wire import Answer, Call, Json, Rejection
from runner.sandbox.azure.wire import call as make_call
from runner.sandbox.azure.world import World

DRIFT_API_VERSION = "2022-09-01"


class Change(Protocol):
    """Does an ARM or Graph call as somebody who may do everything."""

    def __call__(self, call: Call, *, tenant: str | None = None) -> Answer: ...


def answer(world: World, faults: Faults, call: Call, change: Change) -> Answer:
    """Answer a call below `/sandbox`; a wrong seed or fault is an `InputError`."""
    match (call.method, *call.segments[1:]):
        case ("GET", "world"):
            return Answer(200, world.snapshot())
        case ("PUT", "world"):
            given = call.json()
            for fault in _faults(given.get("faults", [])):
                read_fault(fault)  # a wrong one leaves the world as it was
            world.seed(given)
            faults.load(world.contents.faults)
            return Answer(204)
        case ("GET", "calls"):
            return Answer(200, {"value": [asdict(logged) for logged in world.calls]})
        case ("DELETE", "calls"):
            world.calls.clear()
            return Answer(204)
        case ("GET", "faults"):
            return Answer(200, {"value": faults.as_list()})
        case ("PUT", "faults"):
            faults.load(_list(call))
            return Answer(200, {"value": faults.as_list()})
        case ("POST", "faults"):
            return Answer(201, {"id": faults.add(read_fault(call.json()))})
        case ("DELETE", "faults"):
            faults.clear()
            return Answer(204)
        case ("DELETE", "faults", fault_id):
            return Answer(204 if faults.clear(fault_id) else 404)
        case ("POST", "drift"):
            return drift(call.json(), host=call.host, change=change)
        case ("PUT", "functions", name) if name in world.functions:
            given = call.json()
            world.functions[name].status = _status(given.get("status", 200))
            world.functions[name].body = given.get("body")
            return Answer(204)
        case _:
            raise Rejection(404, "NotFound", f"The sandbox has nothing at '{call.method} {call.path}'.")


def drift(given: Json, *, host: str, change: Change) -> Answer:
    """Do `{method, path, body, tenant}`: a change that somebody made in the portal."""
    method, path = given.get("method", "PUT"), given.get("path")
    if not isinstance(path, str) or not path.startswith("/") or not isinstance(method, str):
        raise Rejection(
            400,
            "InvalidRequestContent",
            "A drift has a method, a path that starts with '/', and perhaps a body and a tenant.",
        )
    if "api-version=" not in path:
        path += f"{'&' if '?' in path else '?'}api-version={DRIFT_API_VERSION}"
    body = b"" if given.get("body") is None else json.dumps(given["body"]).encode()
    return change(make_call(method, path, host=host, body=body), tenant=given.get("tenant"))


def _list(call: Call) -> list[Json]:
    """The faults in a body: a list, or an object with `value`."""
    try:
        given: Any = json.loads(call.body or b"[]")
    except ValueError:
        raise Rejection(400, "InvalidRequestContent", "The request content is not JSON.") from None
    return _faults(given.get("value") if isinstance(given, dict) else given)


def _faults(given: Any) -> list[Json]:
    if not isinstance(given, list):
        raise Rejection(400, "InvalidRequestContent", "The faults must be a list.")
    return given


def _status(given: object) -> int:
    if not isinstance(given, int) or not 200 <= given <= 599:
        raise Rejection(400, "InvalidRequestContent", "The status must be between 200 and 599.")
    return given
