"""`/sandbox/…`: what no real meshStack has. Order runs, look at everything, break and mend; nobody has to sign in."""

from __future__ import annotations

from typing import Any

from runner.errors import InputError
from runner.sandbox.meshstack.wire import Answer, Call, Json, Rejection
from runner.sandbox.meshstack.world import World


def answer(world: World, call: Call) -> Answer:
    """One call from outside. Hold the world's lock."""
    try:
        return _answer(world, call, call.segments[1:])
    except Rejection as rejection:
        return rejection.answer  # a mistake out here is nobody's complaint
    except InputError as error:
        return Answer(400, {"status": 400, "message": str(error)})


def _answer(world: World, call: Call, path: tuple[str, ...]) -> Answer:
    match call.method, path:
        case "POST", ("runs",):
            return Answer(201, {"uuid": world.enqueue(call.json()).uuid})
        case "GET", ("runs",):
            return Answer(200, [_short(run.described()) for run in world.runs.all()])
        case "GET", ("runs", uuid):
            return Answer(200, world.runs.found(uuid).described())
        case "POST", ("runs", uuid, "abort"):
            run = world.runs.found(uuid)
            world.runs.abort(run, softly=_given(call).get("softly") is True)
            return Answer(200, run.described())
        case "POST", ("faults",):
            world.break_something(call.json())
            return Answer(204)
        case "DELETE", ("faults",):
            world.faults.clear()
            return Answer(204)
        case "GET", ("complaints",):
            return Answer(200, world.complaints)
        case "GET", ("log",):
            return Answer(200, [vars(entry) for entry in world.log])
        case _, ("state", workspace, block, *rest):
            return _state(world, call, (workspace, block), rest)
        case "GET", ("pipelines",):
            return Answer(200, [one.described() for one in world.pipelines.started])
        case "POST", ("pipelines", "next"):
            given = call.json()
            world.pipelines.plan(given.get("conclusion", "success"), given.get("polls", 3))
            return Answer(204)
    raise Rejection(404, "the sandbox has nothing here")


def _state(world: World, call: Call, place: tuple[str, str], rest: list[str]) -> Answer:
    match call.method, rest:
        case "GET", []:
            return Answer(200, world.states.described(place))
        case "PUT", []:
            world.states.put(place, call.json())
        case "PUT", ["lock"]:
            world.states.hold(place, {"ID": "held", "Who": "jane", **_given(call)}, principal="jane")
        case "DELETE", ["lock"]:
            world.states.release(place)
        case _:
            raise Rejection(404, "the sandbox has nothing here")
    return Answer(204)


def _given(call: Call) -> Json:
    return call.json() if call.body else {}


def _short(run: Json) -> dict[str, Any]:
    wanted = ("uuid", "behavior", "block", "workspace", "status", "enqueuedOn", "claimedOn", "finalOn")
    return {name: run[name] for name in wanted}
