"""A server that is told to stop while it executes: once, and twice."""

from __future__ import annotations

import signal

from tests.estate import Estate, eventually
from tests.faults.outcome import expect_at_rest, expect_whole, statuses
from tests.served import Served, a_token, served


def begun(estate: Estate, server: Served) -> None:
    """The approved run is being applied by the server, and takes a while."""
    (run,) = estate.runs()
    server.post(f"/runs/{run.id}/apply")
    eventually(lambda: estate.calls("PUT", "resourceGroups"))


def test_told_once_it_lets_its_work_end(approved: Estate) -> None:
    approved.fault(kind="slow", service="arm", method="PUT", path="resourceGroups", seconds=2)
    with served(approved, token=a_token(approved)) as server:
        begun(approved, server)
        server.process.send_signal(signal.SIGTERM)
        ran = approved.ended(server.process)
    assert "what is at work may end" in ran.stderr
    assert statuses(approved) == ["applied"]
    expect_whole(approved)


def test_told_twice_it_has_its_engines_save_their_states(approved: Estate) -> None:
    approved.fault(kind="slow", service="arm", method="PUT", path="resourceGroups", seconds=3)
    with served(approved, token=a_token(approved)) as server:
        begun(approved, server)
        assert server.process.stderr is not None
        server.process.send_signal(signal.SIGINT)
        while "No more requests" not in server.process.stderr.readline():
            pass
        server.process.send_signal(signal.SIGINT)
        ran = approved.ended(server.process)
    assert "their engines save their state first" in ran.stderr
    assert statuses(approved) == ["canceled"]
    expect_at_rest(approved)
