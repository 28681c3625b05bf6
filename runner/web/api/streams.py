"""A run's journal as server-sent events (WHATWG HTML, "Server-sent events"), which any server goes on with where another one stopped.

The number of each entry is its id, so a client that lost its connection names the last one it saw. What is new is looked for in the
store a few times a second, with one look for all streams of a server: no server has to know which other one executes the run, and a
stream that waits holds no thread.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from runner.app.telling import for_people
from runner.domain.events import Event
from runner.domain.run import ENDED, Status
from runner.errors import Refused, RemoteFailed
from runner.ports import Runs

MOST_OPEN = 200  # of one server
_LOOK = 0.2  # seconds
_HEARTBEAT = 15.0  # seconds without anything new; proxies close what is silent
_LONGEST = 300.0  # seconds; whoever asks again has to be let in again
_AT_ONCE = 500  # entries
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

STREAMED = {
    "type": "object",
    "description": "One server-sent event.",
    "properties": {
        "id": {"type": "string", "description": "Its number in the journal.", "pattern": "^[0-9]+$"},
        "event": {"type": "string", "description": "The kind of the entry; `end` at the end of the run."},
        "data": {
            "type": "string",
            "description": "The entry as JSON; at the end the run's status alone.",
            "contentMediaType": "application/json",
            "contentSchema": {"anyOf": [{"$ref": "#/components/schemas/Event"}, {"$ref": "#/components/schemas/End"}]},
        },
    },
    "required": ["id", "event", "data"],
}

_Standing = tuple[Status, int] | None  # None: there is no such run


class Streams:
    """The streams that are open here. Everything happens on the server's one event loop."""

    def __init__(self) -> None:
        self.open = 0
        self.closing = False
        self._asked: dict[str, asyncio.Future[_Standing]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def standing(self, runs: Runs, run_id: str) -> _Standing:
        """How the run stands at the next look, and the number of its newest entry."""
        if run_id not in self._asked:
            self._asked[run_id] = asyncio.get_running_loop().create_future()
        found = self._asked[run_id]
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(runs))
        return await asyncio.shield(found)  # others may wait for the same

    async def _look(self, runs: Runs) -> None:
        """Answer whoever asks before the next look. Where the store does not answer either, they are told."""
        while self._asked:
            await asyncio.sleep(_LOOK)
            asked, self._asked = self._asked, {}
            try:
                found = await run_in_threadpool(runs.standing, list(asked))
            except Exception as error:  # noqa: BLE001 - raised where it is awaited
                for waiting in asked.values():
                    waiting.set_exception(error)
            else:
                for run_id, waiting in asked.items():
                    waiting.set_result(found.get(run_id))
        self._looking = None


def stream(request: Request, runs: Runs, run_id: str, *, after: int) -> StreamingResponse:
    """The journal after this number as it grows, to the end of the run (an event `end` with its status). Refused where too many are
    open."""
    streams: Streams = request.app.state.streams
    if streams.open >= MOST_OPEN:
        raise Refused(
            "Too many streams",
            code="too-many-requests",
            detail=f"{MOST_OPEN} are open on this server.",
            hint="Ask for the events without a stream, or try again.",
        )
    return StreamingResponse(
        _told(streams, runs, run_id, _resumed(request, after)), media_type="text/event-stream", headers=_HEADERS
    )


def _resumed(request: Request, after: int) -> int:
    last = request.headers.get("last-event-id", "")
    return int(last) if last.isascii() and last.isdigit() and len(last) < 10 else after


async def _told(streams: Streams, runs: Runs, run_id: str, seen: int) -> AsyncIterator[str]:
    streams.open += 1
    try:
        began = told = time.monotonic()
        yield "retry: 1000\n\n"
        newest = seen + 1
        while time.monotonic() - began < _LONGEST and not streams.closing:
            while newest > seen:
                fresh = await run_in_threadpool(runs.events, run_id, after=seen, limit=_AT_ONCE)
                if not fresh:
                    break
                seen, told = fresh[-1].seq, time.monotonic()
                yield "".join(_event(one) for one in for_people(fresh))
                newest = seen + 1 if len(fresh) == _AT_ONCE else seen
            standing = await streams.standing(runs, run_id)
            status, newest = standing or (None, seen)  # None: it was forgotten since
            if newest <= seen and (status is None or status in ENDED):
                yield f"event: end\nid: {seen}\ndata: {json.dumps({'status': status})}\n\n"
                return
            if time.monotonic() - told >= _HEARTBEAT:
                told = time.monotonic()
                yield ": still there\n\n"
    except RemoteFailed:
        return  # the client asks again, and goes on from where it is
    finally:
        streams.open -= 1


def _event(event: Event) -> str:
    data = {"seq": event.seq, "at": event.at.isoformat(), "kind": event.kind.value, "data": event.data}
    return f"id: {event.seq}\nevent: {event.kind.value}\ndata: {json.dumps(data)}\n\n"
