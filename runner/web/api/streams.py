"""A run's journal as server-sent events (WHATWG HTML, "Server-sent events"), which any server goes on with where another one stopped.

The number of each entry is its id, so a client that lost its connection names the last one it saw. What is new is looked for in the
store a few times a second: no server has to know which other one executes the run.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from runner.app.telling import for_people
from runner.domain.events import Event
from runner.domain.run import ENDED, Status
from runner.errors import Refused
from runner.ports import Runs

MOST_OPEN = 200  # of one server
_LOOK = 0.25  # seconds
_HEARTBEAT = 15.0  # seconds without anything new; proxies close what is silent
_LONGEST = 300.0  # seconds; whoever asks again has to be let in again
_AT_ONCE = 500  # entries
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Streams:
    """How many streams are open here."""

    def __init__(self) -> None:
        self.open = 0


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
        while time.monotonic() - began < _LONGEST:
            status, fresh = await run_in_threadpool(_fresh, runs, run_id, seen)
            if fresh:
                seen, told = fresh[-1].seq, time.monotonic()
                yield "".join(_event(one) for one in for_people(tuple(fresh)))
            elif status in ENDED:
                yield f"event: end\nid: {seen}\ndata: {json.dumps({'status': status})}\n\n"
                return
            elif time.monotonic() - told >= _HEARTBEAT:
                told = time.monotonic()
                yield ": still there\n\n"
            await asyncio.sleep(_LOOK)
    finally:
        streams.open -= 1


def _fresh(runs: Runs, run_id: str, seen: int) -> tuple[Status | None, Sequence[Event]]:
    """How the run stands, and what is new in its journal; the quickest look first."""
    standing = runs.standing([run_id]).get(run_id)
    if standing is None:
        return Status.CANCELED, ()  # it was forgotten
    status, newest = standing
    return status, runs.events(run_id, after=seen)[:_AT_ONCE] if newest > seen else ()


def _event(event: Event) -> str:
    data = {"seq": event.seq, "at": event.at.isoformat(), "kind": event.kind.value, "data": event.data}
    return f"id: {event.seq}\nevent: {event.kind.value}\ndata: {json.dumps(data)}\n\n"
