"""Which call is whose: the API of meshStack with its checks, the stand-ins for pipelines, and the faults before all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from runner.sandbox.meshstack import control
from runner.sandbox.meshstack.credentials import Who
from runner.sandbox.meshstack.documents import RUNS
from runner.sandbox.meshstack.faults import Fault
from runner.sandbox.meshstack.wire import RUN_TYPE, Answer, Call, Rejection
from runner.sandbox.meshstack.world import Logged, World

LARGEST_BODY = 16 * 1024 * 1024
"""What meshStack takes since December 2025."""

_RUNS = tuple(RUNS.strip("/").split("/"))


class Front:
    """Answers every call, one at a time. `pause` waits so many seconds, or until the server stops."""

    def __init__(self, world: World, pause: Callable[[float], Awaitable[None]]) -> None:
        self._world = world
        self._pause = pause

    async def respond(self, call: Call) -> Answer | None:
        """The answer, or None where a fault cuts the connection."""
        if call.segments[:1] == ("sandbox",):
            with self._world.changed:
                answer = control.answer(self._world, call)
                self._world.changed.notify_all()
            return answer
        with self._world.changed:
            fault = self._world.faults.striking(call)
            if fault is not None and fault.kind == "expire":
                self._world.credentials.expire(fault.tokens)
        if fault is None or fault.kind == "expire":
            return self._take(call)
        return await self._struck(call, fault)

    async def _struck(self, call: Call, fault: Fault) -> Answer | None:
        answer = self._take(call) if fault.when == "after" else None
        if fault.kind == "slow":
            await self._pause(fault.seconds)
            return answer or self._take(call)
        status = fault.status if fault.kind == "status" else 0
        if answer is None:
            self._log(call, status, self._who(call).kind)
        if fault.kind == "drop":
            return None
        headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        return Answer(status, {"status": status, "message": "the sandbox was told to answer so"}, headers)

    def _take(self, call: Call) -> Answer:
        with self._world.changed:
            who = self._who(call)
            try:
                if call.too_large:
                    raise Rejection(413, f"the body has more than {LARGEST_BODY} bytes")
                answer = self._route(call, who)
            except Rejection as rejection:
                if rejection.blame:
                    self._world.complaints.append(f"{call.method} {call.path}: {rejection.message}")
                answer = rejection.answer
            self._log(call, answer.status, who.kind)
            self._world.changed.notify_all()
            return answer

    def _who(self, call: Call) -> Who:
        return self._world.credentials.who(call.headers.get("authorization", ""))

    def _log(self, call: Call, status: int, who: str) -> None:
        self._world.log.append(Logged(call.method, call.path, status, who))

    def _route(self, call: Call, who: Who) -> Answer:
        match call.segments:
            case ("api", "login"):
                _only(call, "POST")
                return self._world.credentials.login(call)
            case ("mesh", "info"):
                return Answer(
                    200, {"version": "2026.40.0", "metadata": {}, "adminWorkspaceIdentifier": "platform-team"}
                )
            case ("api", "meshobjects", "meshbuildingblockruns", *rest):
                return self._runs(call, who, rest)
            case ("api", "terraform", "state", "workspace", workspace, block_word, block, *rest) if (
                block_word.lower() == "buildingblock" and rest in ([], ["lock"])
            ):
                return self._state(call, who, workspace, block, lock=bool(rest))
            case ("github", *_):
                return self._world.github.answer(call)
            case ("gitlab", *_):
                return self._world.gitlab.answer(call)
            case ("azure-devops", *_):
                return self._world.azure_devops.answer(call)
        raise Rejection(404, "there is nothing here")

    def _runs(self, call: Call, who: Who, rest: list[str]) -> Answer:
        match rest:
            case ["create"]:
                return self._claim(call, who)
            case [uuid]:
                _only(call, "GET")
                _speaks(call, body=False)
                self._allow(who, uuid, runner=True)
                return Answer(200, self._world.runs.found(uuid).sent(), {"Content-Type": RUN_TYPE})
            case [uuid, "status", "source"]:
                _only(call, "POST")
                self._allow(who, uuid, runner=True)
                _speaks(call, body=True)
                return self._world.runs.register(self._world.runs.found(uuid), call.json())
            case [uuid, "status", "source", source]:
                _only(call, "PATCH")
                self._allow(who, uuid, runner=True)
                _speaks(call, body=True)
                return self._world.runs.report(self._world.runs.found(uuid), source, call.json())
            case [uuid, "plan-artifact"]:
                _only(call, "GET")
                self._allow(who, uuid, runner=False)
                if not call.accepts("application/octet-stream", "*/*"):
                    raise Rejection(406, "a plan is application/octet-stream")
                plan = self._world.runs.plan(self._world.runs.found(uuid))
                return Answer(200, plan, {"Content-Type": "application/octet-stream"})
        raise Rejection(404, "there is nothing here")

    def _claim(self, call: Call, who: Who) -> Answer:
        _only(call, "POST")
        _speaks(call, body=bool(call.body))
        if who.fault or not who.is_runner:
            raise Rejection(401, who.fault or "only the runner itself can claim", blame=who.blame)
        if call.body:
            raise Rejection(400, "a claim has no body")
        wanted = call.query.get("forRunnerUuid")
        if not wanted:
            raise Rejection(400, "forRunnerUuid is wanted")
        if wanted != self._world.runner:
            raise Rejection(403, f"{wanted} is not this runner")
        run = self._world.runs.claim(call.headers.get("x-block-runner-node-id", ""))
        return Answer(201, run.sent(), {"Content-Type": RUN_TYPE})

    def _allow(self, who: Who, run: str, *, runner: bool) -> None:
        """A run's own token opens what is the run's; the runner's credential only where `runner` says so."""
        if who.fault:
            raise Rejection(401, who.fault, blame=who.blame)
        if not (who.run == run and who.kind == "run") and not (runner and who.is_runner):
            raise Rejection(401, f"this is not the token of the run {run}")

    def _state(self, call: Call, who: Who, workspace: str, block: str, *, lock: bool) -> Answer:
        if who.fault:
            raise Rejection(401, who.fault, blame=who.blame)
        if not who.run:
            raise Rejection(
                403, "the runner has no MANAGED_TFSTATE_LIST, MANAGED_TFSTATE_SAVE or MANAGED_TFSTATE_DELETE"
            )
        run = self._world.runs.found(who.run)
        if (run.order.workspace, run.order.block) != (workspace, block):
            raise Rejection(403, f"the run {run.uuid} is of another building block")
        if not lock:
            return self._world.states.state(call, (workspace, block))
        if not run.order.locking:
            raise Rejection(404, f"the run {run.uuid} has no lock")
        return self._world.states.lock(call, (workspace, block), run.uuid)


def _only(call: Call, method: str) -> None:
    if call.method != method:
        raise Rejection(405, f"only {method} is known here")


def _speaks(call: Call, *, body: bool) -> None:
    if not call.accepts(RUN_TYPE):
        raise Rejection(406, f"Accept does not name {RUN_TYPE}")
    if body and call.content_type != RUN_TYPE:
        raise Rejection(415, f"Content-Type is not {RUN_TYPE}")
