"""A run's journal as server-sent events: whole, in order, soon, and resumed anywhere."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest

from runner.domain.events import Kind
from runner.domain.run import Run, Status
from runner.errors import RemoteFailed
from runner.web.api import streams
from tests.web.api_server import Served

pytest_plugins = ("tests.web.api_fixtures",)


@contextmanager
def streamed(
    served: Served, run: Run, *, url: str = "", after: int = 0, last: str = ""
) -> Iterator[Iterator[dict[str, Any]]]:
    """The events of a stream as they come: id, event, data."""
    headers = {"Authorization": served.client().headers["Authorization"]} | ({"Last-Event-ID": last} if last else {})
    address = f"{url or served.url}/api/v1/runs/{run.id}/events/stream"
    with (
        httpx.Client(trust_env=False, timeout=30) as client,
        client.stream("GET", address, params={"after": after}, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        yield parsed(answer.iter_lines())


def parsed(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    event: dict[str, Any] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if name and name != "retry":
            event[name] = json.loads(value) if name == "data" else value
        elif event:
            yield event
            event = {}


def logged(served: Served, run: Run, *texts: str) -> None:
    served.ports.runs.append_log(
        run.id, [{"step": "plan", "level": "info", "text": text} for text in texts], now=served.ports.now()
    )


def test_what_happened_comes_first_then_what_happens_then_the_end(served: Served) -> None:
    run = served.started()
    with streamed(served, run) as events:
        first = next(events)
        assert (first["id"], first["event"], first["data"]["data"]) == ("1", "status", {"status": "pending"})
        served.moved(run, Status.PLANNING)
        assert next(events)["data"]["data"] == {"status": "planning"}
        served.ports.runs.append(run.id, Kind.INTENT, {"what": "for the runner alone"}, now=served.ports.now())
        logged(served, run, "one", "two")
        told = [next(events), next(events)]
        assert [event["data"]["data"]["text"] for event in told] == ["one", "two"]
        assert [event["id"] for event in told] == ["4", "5"]
        served.moved(run, Status.FAILED)
        assert next(events)["data"]["data"]["status"] == "failed"
        assert next(events) == {"event": "end", "id": "6", "data": {"status": "failed"}}
        assert next(events, None) is None


def test_another_server_goes_on_where_the_first_one_stopped(served: Served) -> None:
    run = served.moved(served.started(), Status.PLANNING)
    logged(served, run, *map(str, range(1300)))  # more than are read at once
    seen: list[str] = []
    with served.beside() as other:
        for turn in range(4):
            with streamed(
                served, run, url=other if turn % 2 else "", last=seen[-1] if seen else "", after=1000
            ) as events:
                seen += [next(events)["id"] for _ in range(50 if turn else 1)]
        assert seen == [str(number) for number in range(1001, 1152)]
        served.moved(run, Status.CANCELED)
        with streamed(served, run, url=other, last=seen[-1], after=3) as events:
            seen += [event["id"] for event in events if event["event"] != "end"]
    assert seen == [str(number) for number in range(1001, 1304)]


def test_what_is_new_comes_soon(served: Served) -> None:
    run = served.moved(served.started(), Status.PLANNING)
    took: list[float] = []
    with streamed(served, run, after=2) as events:
        for number in range(8):
            began = time.monotonic()
            logged(served, run, str(number))
            next(events)
            took.append(time.monotonic() - began)
    assert sorted(took)[len(took) // 2] < 0.5


def test_many_streams_share_one_look_and_hold_no_thread(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    run = served.moved(served.started(), Status.PLANNING)
    looks: list[int] = []
    standing = type(served.ports.runs).standing

    def counted(self: Any, run_ids: Any) -> Any:
        looks.append(len(run_ids))
        return standing(self, run_ids)

    monkeypatch.setattr(type(served.ports.runs), "standing", counted)
    before = threading.active_count()
    began = time.monotonic()
    with streamed(served, run) as first, streamed(served, run) as second, streamed(served, run) as third:
        for events in (first, second, third):
            assert [next(events)["id"] for _ in range(2)] == ["1", "2"]
        logged(served, run, "for all")
        assert {next(events)["id"] for events in (first, second, third)} == {"3"}
        assert threading.active_count() <= before + 3  # of the pool that every request is answered with
    assert len(looks) <= (time.monotonic() - began) / 0.2 + 2
    assert set(looks) == {1}


def test_only_so_many_streams_are_open(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST_OPEN", 1)
    run, path = served.started(), "/runs/{}/events/stream"
    with streamed(served, run) as events:
        next(events)
        refused = served.client().get(path.format(run.id))
        assert (refused.status_code, refused.json()["code"]) == (429, "too-many-requests")
    deadline = time.monotonic() + 20
    while served.app.state.streams.open and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    with streamed(served, run) as events:
        assert next(events)["id"] == "1"


def test_silence_is_told_too(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_HEARTBEAT", 0.1)
    monkeypatch.setattr(streams, "_LONGEST", 1.0)
    run = served.waiting()
    answer = served.client().get(f"/runs/{run.id}/events/stream").text
    assert ": still there\n\n" in answer
    assert "event: end" not in answer  # it waits: whoever asks again is told the rest


def test_a_store_that_goes_away_ends_the_stream_and_the_client_comes_again(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = served.started()

    def away(*_: object) -> None:
        raise RemoteFailed("The store does not answer", code="store-unreachable", temporary=True)

    with monkeypatch.context() as patched, streamed(served, run) as events:
        next(events)
        patched.setattr(type(served.ports.runs), "standing", away)
        assert next(events, None) is None
    served.ports.runs.request_cancel(run.id, by="x", now=served.ports.now())
    with streamed(served, run, last="1") as events:
        assert [event["event"] for event in events] == ["status", "end"]


def test_a_server_that_stops_does_not_wait_for_streams(served: Served) -> None:
    run, leaving = served.started(), ExitStack()
    other = leaving.enter_context(served.beside())
    with streamed(served, run, url=other) as events:
        next(events)
        began = time.monotonic()
        leaving.close()
        assert time.monotonic() - began < 3
        assert next(events, None) is None


@pytest.mark.parametrize("last", ["nonsense", "-1", "99999999999999", "²", ""])
def test_an_id_that_no_entry_has_is_as_none(served: Served, last: str) -> None:
    run = served.started()
    served.ports.runs.request_cancel(run.id, by="x", now=served.ports.now())
    headers = [(b"Last-Event-ID", last.encode())]
    answer = served.client().get(f"/runs/{run.id}/events/stream", headers=headers)
    assert "id: 1\n" in answer.text
    assert answer.text.endswith('data: {"status": "canceled"}\n\n')
