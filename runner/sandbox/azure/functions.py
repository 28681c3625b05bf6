"""The function app: lets in whom Azure's App Authentication would, and keeps what it received."""

from __future__ import annotations

from runner.sandbox.azure.contents import FunctionApp
from runner.sandbox.azure.hosts import LOOPBACK, name_of
from runner.sandbox.azure.tokens import Caller, Tokens, bearer
from runner.sandbox.azure.wire import Answer, Call, Rejection
from runner.sandbox.azure.world import FunctionCall, World


def answer(world: World, tokens: Tokens, call: Call) -> Answer:
    """Answer a call to a function; what is turned away at the door was never received."""
    function = _find(world, call)
    if function is None:
        return Answer(404)
    caller = _let_in(world, tokens, function, call) if function.client_id else None
    world.function_calls.append(
        FunctionCall(
            function=function.name,
            method=call.method,
            path=call.described(),
            headers={name: value for name, value in call.headers.items() if name != "authorization"},
            body=call.body.decode("utf-8", "replace"),
            caller=caller.client_id if caller else "",
            audience=caller.audience if caller else "",
            status=function.status,
            at=world.now().isoformat(timespec="seconds"),
        )
    )
    return Answer(function.status, function.body)


def _find(world: World, call: Call) -> FunctionApp | None:
    """By the last part of the path, and by host where the host is a function app's own."""
    host = name_of(call.host)
    names = call.segments[1:] if call.segments[:1] == ("api",) else call.segments
    function = world.functions.get(names[0]) if len(names) == 1 and call.method == "POST" else None
    return function if function and (host in LOOPBACK or host == function.host) else None


def _let_in(world: World, tokens: Tokens, function: FunctionApp, call: Call) -> Caller:
    """Check the token: for this application, from this tenant, with the role it asks for."""
    caller = tokens.caller(bearer(call.headers.get("authorization")))
    directory = world.directories[function.tenant_id]
    app = directory.applications[str(function.client_id)]
    if caller.tenant_id != directory.id or caller.audience not in app.audiences:
        raise Rejection(401, "Unauthorized", "The token was not made for this function.")
    if function.required_role and function.required_role not in caller.roles:
        raise Rejection(403, "Forbidden", f"The token does not carry the role '{function.required_role}'.")
    return caller
