"""How Resource Manager finds who answers: routes by resource id, in any case, and what each needs to know of the caller."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from runner.sandbox.azure.directory import Directory
from runner.sandbox.azure.estate import Estate, Operation
from runner.sandbox.azure.faults import Faults
from runner.sandbox.azure.tokens import Caller
from runner.sandbox.azure.wire import Answer, Call, Json, page
from runner.sandbox.azure.world import World

Ids = Mapping[str, str]

KEPT_OPERATIONS = 10_000


@dataclass(frozen=True, kw_only=True)
class Session:
    """One call's surroundings. Without a caller it is somebody in the portal, who may do everything."""

    world: World
    faults: Faults
    caller: Caller | None
    by: str

    @property
    def estate(self) -> Estate:
        """What Resource Manager knows."""
        return self.world.estate

    @property
    def home(self) -> Directory:
        """The directory that the subscriptions trust."""
        return self.world.directories[self.estate.tenant_id]

    @property
    def object_id(self) -> str | None:
        """Whose object id Azure writes into `createdBy`."""
        return self.caller.object_id if self.caller else None

    def page(self, call: Call, items: Sequence[Any], *, show: Callable[[Any], Json] = lambda item: item) -> Answer:
        """Answer a list, cut into pages; only what is on the page is shown."""
        shown, link = page(items, call=call, most=self.world.contents.page_size, show=show)
        return Answer(200, {"value": shown} | ({"nextLink": link} if link else {}))

    def start(self, operation: Operation, target: str) -> None:
        """Remember an operation under its id and under what it works on."""
        while len(self.estate.operations) >= KEPT_OPERATIONS:
            self.estate.operations.pop(next(iter(self.estate.operations)))
        self.estate.operations[operation.id] = operation
        self.estate.pending[target.lower()] = operation


class Handler(Protocol):
    """Answers one method of one route; `ids` are the parts of the path that the route names."""

    def __call__(self, session: Session, call: Call, ids: Ids, /) -> Answer: ...


@dataclass(frozen=True)
class Route:
    """A form of resource id, the resource type whose permission it asks for, and who answers which method.

    Without a type everybody with a token may ask: the handler shows only what the caller may see.
    """

    pattern: re.Pattern[str]
    type: str | None
    handlers: Mapping[str, Handler]


def route(template: str, type_: str | None, **handlers: Handler) -> Route:
    """Make a route. `{name}` is one segment, `{name*}` any number of them, as many as fit."""
    pattern = re.escape(template).replace(r"\{", "{").replace(r"\}", "}").replace(r"\*", "*")
    pattern = re.sub(r"\{(\w+)\*\}", r"(?P<\1>.*)", pattern)
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
    return Route(re.compile(pattern, re.IGNORECASE), type_, handlers)


def action(type_: str, call: Call) -> str:
    """The permission that a call on a resource type needs."""
    match call.method:
        case "GET" | "HEAD":
            return f"{type_}/read"
        case "DELETE":
            return f"{type_}/delete"
        case "POST":
            return f"{type_}/{call.segments[-1]}/action"
        case _:
            return f"{type_}/write"
