"""Terraform's `http` state backend on loopback, over the `States` port. It speaks the protocol and keeps nothing itself.

One per process serves all its runs. The address names the tenant and the credential opens one tenant only, so a plan that was made
for one tenant cannot reach another's state. Plain HTTP: it never leaves the machine, and nothing but the credential opens it.

What the engine shows (observed with Terraform 1.11.4): of a refused lock the `ID` in the answer; of a refused write the status
alone, after which it saves `errored.tfstate` in its directory. It repeats a request on statuses from 500 and never below, so a
store that is away for a moment is a 503 and a superseded attempt is a 409.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runner.errors import InputError, Refused, RunnerError
from runner.ports import Attempt, States

LARGEST_STATE = 256 * 1024 * 1024
_PATH = "/state/"
_GRACE = timedelta(seconds=5)
_RETRIES = {
    # 1 + 2 + 4 + 8 + 15 + 15 seconds: a restart of the store's database goes by unnoticed
    "TF_HTTP_RETRY_MAX": "6",
    "TF_HTTP_RETRY_WAIT_MIN": "1",
    "TF_HTTP_RETRY_WAIT_MAX": "15",
}


class StateService:
    """Serves states on 127.0.0.1 while it is entered."""

    def __init__(
        self,
        states: States,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        largest: int = LARGEST_STATE,
    ) -> None:
        self._states = states
        self._now = now
        self._largest = largest
        self._socket: socket.socket | None = None
        self._server: _Server | None = None
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        # named as TCP, or asyncio leaves Nagle's algorithm on and each answer waits 40 ms for a delayed acknowledgement
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(512)  # before the thread starts: a request that comes at once waits instead of failing
        config = uvicorn.Config(
            Starlette(routes=[Route(_PATH + "{tenant:path}", self._answer, methods=list(_OPERATIONS))]),
            log_config=None,
            access_log=False,
            loop="asyncio",
            http="h11",
            lifespan="off",
            ws="none",
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=int(_GRACE.total_seconds()),
        )
        self._server = _Server(config)
        self._thread = Thread(target=self._server.run, args=([self._socket],), name="state-service", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None and self._thread is not None and self._socket is not None:
            self._server.leave()
            self._thread.join(2 * _GRACE.total_seconds())
            self._socket.close()

    @property
    def port(self) -> int:
        if self._socket is None:
            raise RuntimeError("the state service is not running")
        return int(self._socket.getsockname()[1])

    def environment(self, attempt: Attempt) -> dict[str, str]:
        """What an engine with an empty `backend "http" {}` needs for this attempt. It holds the credential: for its process only."""
        address = f"http://127.0.0.1:{self.port}{_PATH}{quote(attempt.tenant, safe='')}"
        return {
            "TF_HTTP_ADDRESS": address,
            "TF_HTTP_LOCK_ADDRESS": address,
            "TF_HTTP_UNLOCK_ADDRESS": address,
            "TF_HTTP_LOCK_METHOD": "LOCK",
            "TF_HTTP_UNLOCK_METHOD": "UNLOCK",
            "TF_HTTP_USERNAME": attempt.username,
            "TF_HTTP_PASSWORD": attempt.password,
            **_RETRIES,
        }

    async def _answer(self, request: Request) -> Response:
        """Only reading a body is asynchronous; the credential comes first, so nobody else makes this process hold one."""
        attempt = await run_in_threadpool(self._admitted, request)
        try:
            body = await _body(request, self._largest, keep=isinstance(attempt, Attempt))
        except ClientDisconnect:
            return Response(status_code=400)
        if isinstance(attempt, Response):
            return attempt
        if body is None:
            return _said(413, code="state-too-large", summary="The state is too large")
        call = _Call(self._states, attempt, request.query_params.get("ID"), body, self._now())
        return await run_in_threadpool(_done, _OPERATIONS[request.method], call, request.headers.get("content-md5"))

    def _admitted(self, request: Request) -> Attempt | Response:
        try:
            attempt = self._states.authenticate(*_credential(request.headers.get("authorization", "")))
        except RunnerError as error:
            return _explained(error)
        if attempt is None:
            return Response(status_code=401, headers={"www-authenticate": 'Basic realm="state"'})
        if attempt.tenant != request.path_params["tenant"]:
            return _said(403, code="state-of-another-tenant", summary="This credential opens another tenant's state")
        return attempt


class _Server(uvicorn.Server):
    """Serves until it is told to leave, and hears of that at once; uvicorn itself looks ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._left: asyncio.Future[None] | None = None
        self._starting = Lock()

    async def main_loop(self) -> None:
        with self._starting:
            if self.should_exit:
                return
            self._left = asyncio.get_running_loop().create_future()
        await self._left

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Uvicorn takes 0.1 s to part with connections on which nothing is going on."""
        if self.server_state.tasks:
            await super().shutdown(sockets)
            return
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for _ in range(100):  # at most about as long as uvicorn would
            if not self.server_state.connections:
                return
            await asyncio.sleep(0.001)

    def leave(self) -> None:
        """From any thread."""
        with self._starting:
            self.should_exit = True
            if self._left is not None:
                self._left.get_loop().call_soon_threadsafe(self._left.set_result, None)


@dataclass(frozen=True)
class _Call:
    """One request of an engine whose credential was accepted."""

    states: States
    attempt: Attempt
    lock_id: str | None
    body: bytes
    now: datetime


def _read(call: _Call) -> Response:
    kept = call.states.current(call.attempt.tenant)
    return Response(status_code=404) if kept is None else Response(kept[1], media_type="application/json")


def _write(call: _Call) -> Response:
    call.states.write(call.attempt, call.body, lock_id=call.lock_id, now=call.now)
    return Response()


def _lock(call: _Call) -> Response:
    holder = call.states.lock(call.attempt, _lock_info(call.body), now=call.now)
    return Response() if holder is None else JSONResponse(dict(holder.info), status_code=423)


def _unlock(call: _Call) -> Response:
    """Release the lock that the body names. One without a name is refused: an engine may release only what it took."""
    lock_id = _lock_info(call.body)["ID"]
    if call.states.unlock(call.attempt.tenant, lock_id):
        return Response()
    holder = call.states.holder(call.attempt.tenant)
    return JSONResponse(dict(holder.info) if holder else {}, status_code=423)


_OPERATIONS: Mapping[str, Callable[[_Call], Response]] = {
    "GET": _read,
    "HEAD": _read,
    "POST": _write,
    "LOCK": _lock,
    "UNLOCK": _unlock,
}


def _done(operation: Callable[[_Call], Response], call: _Call, digest: str | None) -> Response:
    try:
        _refuse_damaged(digest, call.body)
        return operation(call)
    except RunnerError as error:
        return _explained(error)


async def _body(request: Request, largest: int, *, keep: bool) -> bytes | None:
    """The body; None when it is too large. One that is not kept is read all the same: closing the connection on an engine that
    still sends could cost it the answer, and it would try again."""
    if int(request.headers.get("content-length", "0")) > largest:
        return None
    content, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > largest:
            return None
        if keep:
            content += chunk
    return bytes(content)


def _credential(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    try:
        username, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return "", ""
    return (username, password) if scheme.lower() == "basic" else ("", "")


def _refuse_damaged(expected: str | None, body: bytes) -> None:
    """Terraform and OpenTofu send a Content-MD5 with every body."""
    if expected is None:
        return
    digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    if expected.strip() != digest:
        raise InputError("The request did not arrive whole", code="state-body-damaged", detail="Its MD5 is another.")


def _lock_info(body: bytes) -> dict[str, Any]:
    try:
        info = json.loads(body)
    except (ValueError, RecursionError):
        info = None
    if not isinstance(info, dict) or not isinstance(info.get("ID"), str) or not info["ID"]:
        raise InputError("This is no lock", code="state-lock-not-readable", detail="A lock info needs an ID.")
    return info


def _explained(error: RunnerError) -> Response:
    status = 423 if error.code == "state-locked" else _STATUSES.get(type(error), 503)
    return _said(status, code=error.code, summary=error.summary, detail=error.detail, hint=error.hint)


_STATUSES: Mapping[type[RunnerError], int] = {InputError: 400, Refused: 409}


def _said(status: int, *, code: str, summary: str, detail: str = "", hint: str = "") -> Response:
    """An answer that says what happened; as `ID` too, for that is what an engine prints of a lock that it did not get."""
    sentence = f"{summary}. {detail} {hint}".strip()
    said = {"ID": sentence, "code": code, "summary": summary, "detail": detail, "hint": hint}
    return JSONResponse(said, status_code=status)
