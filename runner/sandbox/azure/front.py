"""The sandbox without its transport: one call in, one reply out, everything under the world's lock.

Knows the order of things: which service, which faults, who calls, what the service answers, one line in the log.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime

from runner.errors import InputError
from runner.sandbox.azure import admin, arm, functions, graph, login
from runner.sandbox.azure.faults import Effects, Faults
from runner.sandbox.azure.hosts import Service, service_of
from runner.sandbox.azure.tokens import Caller, Tokens, bearer
from runner.sandbox.azure.wire import Answer, Call, Rejection, rejected
from runner.sandbox.azure.world import LoggedCall, World

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reply:
    """What the transport has to do: wait, then answer, or cut the connection."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    delay: float = 0.0
    cut: bool = False


def written(answer: Answer, *, now: datetime, delay: float = 0.0, cut: bool = False) -> Reply:
    """Write an answer down. Done under the world's lock: what the answer shows may change a moment later."""
    headers = {"Date": format_datetime(now, usegmt=True)} | dict(answer.headers)
    if answer.body is None:
        return Reply(answer.status, headers, b"", delay, cut)
    if isinstance(answer.body, str):
        return Reply(
            answer.status, {"Content-Type": "text/plain; charset=utf-8"} | headers, answer.body.encode(), delay, cut
        )
    return Reply(
        answer.status, {"Content-Type": "application/json"} | headers, json.dumps(answer.body).encode(), delay, cut
    )


class Front:
    """Where every call arrives."""

    def __init__(self, world: World, tokens: Tokens) -> None:
        self.world = world
        self.tokens = tokens
        self.faults = Faults(lambda: world.now())
        self.faults.load(world.contents.faults)

    def take(self, call: Call) -> Reply:
        """Answer one call."""
        with self.world.lock:
            service = service_of(call.host, call.segments)
            if service == "sandbox":
                return self._written(self._admin(call))
            if service is None:
                elsewhere = Rejection(421, "MisdirectedRequest", "The sandbox does not stand for this host.")
                return self._written(rejected(None, elsewhere, now=self.world.now()))
            answer, effects = self._served(service, call)
            return self._written(answer, delay=effects.delay, cut=effects.drop is not None)

    def identity(self, call: Call) -> Reply:
        """Answer one call to the managed identity endpoint."""
        with self.world.lock:
            try:
                answer = login.managed_identity(self.world, self.tokens, call)
            except Rejection as error:
                answer = rejected("login", error, now=self.world.now())
            self._note("login", call, answer.status, "")
            return self._written(answer)

    def _written(self, answer: Answer, *, delay: float = 0.0, cut: bool = False) -> Reply:
        return written(answer, now=self.world.now().astimezone(UTC), delay=delay, cut=cut)

    def change(self, call: Call, *, tenant: str | None = None) -> Answer:
        """Do something behind everybody's back: any ARM or Graph call, as somebody who may, without faults."""
        with self.world.lock:
            service = service_of(call.host, call.segments)
            try:
                answer = self._as_somebody(service, call, tenant)
            except Rejection as error:
                answer = rejected(service, error, now=self.world.now())
            operation = self.world.estate.pending.get(call.path.lower())
            while operation is not None and not operation.look():
                pass
            return replace(answer, body=deepcopy(answer.body))

    def _as_somebody(self, service: Service | None, call: Call, tenant: str | None) -> Answer:
        somebody, calm = "somebody in the portal", Faults(self.world.now)
        if service != "graph":
            return arm.answer(self.world, calm, call, None, somebody)
        directory = self.world.directory(tenant or self.world.estate.tenant_id)
        if directory is None:
            raise Rejection(404, "TenantNotFound", f"No tenant has the id or domain '{tenant}'.")
        return graph.answer(self.world, calm, call, directory, None, somebody)

    def _admin(self, call: Call) -> Answer:
        try:
            return admin.answer(self.world, self.faults, call, self.change)
        except InputError as error:
            return Answer(error.http_status, {"error": {"code": error.code, "message": str(error)}})
        except Rejection as error:
            return rejected("arm", error, now=self.world.now())

    def _served(self, service: Service, call: Call) -> tuple[Answer, Effects]:
        who = self._identify(service, call)
        caller = who if isinstance(who, Caller) else None
        by = self._name(caller)
        effects = self.faults.strike(service, call, caller.client_id if caller else "")
        never = effects.drop == "before"
        answer = Answer(0) if never else effects.answer or self._answer(service, call, who, by)
        self._note(service, call, answer.status, by)
        for change in effects.meanwhile:
            answer = replace(answer, body=deepcopy(answer.body))  # it shows what was there before the change
            done = admin.drift(change.model_dump(), host=call.host, change=self.change)
            if done.status >= 400:
                refused = Rejection(500, "SandboxFault", f"The change that was to be made meanwhile: {done.body}.")
                answer = rejected(service, refused, now=self.world.now())
        return answer, effects

    def _identify(self, service: Service, call: Call) -> Caller | Rejection | None:
        """For whom the call's token speaks, or why for nobody; functions and the authority ask for themselves."""
        if service not in ("arm", "graph"):
            return None
        try:
            return self.tokens.caller(bearer(call.headers.get("authorization")))
        except Rejection as error:
            code = "InvalidAuthenticationToken" if service == "graph" else error.code
            challenge = f'Bearer authorization_uri="{call.origin}/{self.world.estate.tenant_id}", error="invalid_token"'
            return Rejection(error.status, code, error.message, headers={"WWW-Authenticate": challenge})

    def _answer(self, service: Service, call: Call, who: Caller | Rejection | None, by: str) -> Answer:
        try:
            return self._ask(service, call, who, by)
        except Rejection as error:
            return rejected(service, error, now=self.world.now())
        except Exception:
            log.exception("The sandbox has a bug: %s %s", call.method, call.path)
            bug = Rejection(500, "SandboxBug", "The sandbox failed at this call; its log says where.")
            return rejected(service, bug, now=self.world.now())

    def _ask(self, service: Service, call: Call, who: Caller | Rejection | None, by: str) -> Answer:
        match service, who:
            case _, Rejection():
                raise who
            case "login", _:
                return login.answer(self.world, self.tokens, call)
            case "graph", Caller():
                directory = graph.directory_of(self.world, who)
                if call.method == "POST" and call.segments[1:] == ("$batch",):
                    return graph.batch(call, self._step)
                answer = graph.answer(self.world, self.faults, call, directory, who, by)
                return replace(answer, headers={"request-id": str(uuid.uuid4()), **answer.headers})
            case "arm", Caller():
                answer = arm.answer(self.world, self.faults, call, who, by)
                ids = dict.fromkeys(("x-ms-request-id", "x-ms-correlation-request-id"), str(uuid.uuid4()))
                return replace(answer, headers={**ids, **answer.headers})
            case _:
                return functions.answer(self.world, self.tokens, call)

    def _step(self, call: Call) -> Answer:
        """One call of a batch: it meets the same faults and is logged like any other; a dropped one fails alone."""
        answer, effects = self._served("graph", call)
        if effects.drop is None:
            return answer
        return rejected("graph", Rejection(504, "GatewayTimeout", "The call was dropped."), now=self.world.now())

    def _name(self, caller: Caller | None) -> str:
        if caller is None:
            return ""
        directory = self.world.directories.get(caller.tenant_id)
        return directory.name_of(caller.object_id) if directory else caller.client_id

    def _note(self, service: Service, call: Call, status: int, by: str) -> None:
        at = self.world.now().isoformat(timespec="milliseconds")
        self.world.calls.append(LoggedCall(at, service, call.method, call.described(), status, by))
