"""The contract of `Liveness`, held by locked files and by PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from runner.errors import InputError, Refused, RemoteFailed
from runner.store.database import postgres_engine
from runner.store.liveness import FileLiveness, PostgresLiveness
from tests.postgres import Postgres
from tests.store.test_processes import eventually

BRISK = timedelta(milliseconds=50)


@pytest.fixture(params=["files", "postgresql"])
def liveness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FileLiveness | PostgresLiveness]:
    if request.param == "files":
        yield FileLiveness(tmp_path / "alive")
        return
    engine = postgres_engine(request.getfixturevalue("postgres_database"))
    yield PostgresLiveness(engine, grace=timedelta(), interval=BRISK)
    engine.dispose()


Either = FileLiveness | PostgresLiveness


def test_an_executor_is_alive_while_it_holds_its_lock(liveness: Either) -> None:
    assert not liveness.alive("e1")
    with liveness.hold("e1"), liveness.hold("e2"):
        assert liveness.alive("e1")
        assert list(liveness.dead(["e1", "e2", "e3"])) == ["e3"]
    assert not liveness.alive("e1")
    assert set(liveness.dead(["e1", "e2"])) == {"e1", "e2"}


def test_nobody_is_no_executor(liveness: Either) -> None:
    assert not liveness.alive("")
    assert list(liveness.dead([""])) == [""]
    assert list(liveness.dead([])) == []


def test_a_name_is_held_once(liveness: Either) -> None:
    with liveness.hold("e1"):
        with pytest.raises(Refused) as refused, liveness.hold("e1"):
            pass
        assert refused.value.code == "executor-runs-already"
        assert liveness.alive("e1")
    with liveness.hold("e1"):
        assert liveness.alive("e1")


@pytest.mark.parametrize("name", ["", "../key", "a/b", ".hidden", "a b", "x" * 129, "ä"])
def test_a_name_that_could_lead_elsewhere_is_an_input_error(liveness: Either, name: str) -> None:
    with pytest.raises(InputError), liveness.hold(name):
        pass


def test_an_engine_that_outlives_its_runner_does_not_keep_the_runner_alive(tmp_path: Path) -> None:
    liveness = FileLiveness(tmp_path)
    with ExitStack() as stack:
        with liveness.hold("e1"):
            engine = subprocess.Popen(
                [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False, start_new_session=True
            )
            stack.enter_context(engine)
            stack.callback(engine.kill)
        assert engine.poll() is None
        assert not liveness.alive("e1")


def test_who_looks_does_not_take_the_lock_away_from_who_wants_it(tmp_path: Path) -> None:
    liveness = FileLiveness(tmp_path)
    (tmp_path / "e1").touch()
    for _ in range(200):
        assert not liveness.alive("e1")
    with liveness.hold("e1"):
        assert liveness.alive("e1")


class TestLostConnections:
    def test_a_holder_takes_its_lock_back(self, postgres: Postgres, postgres_database: str) -> None:
        engine = postgres_engine(postgres_database)
        impatient = PostgresLiveness(engine, grace=timedelta(), interval=BRISK)
        with impatient.hold("e1"):
            postgres.run("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
            assert eventually(lambda: impatient.alive("e1"))
        engine.dispose()

    def test_nobody_is_taken_for_dead_while_the_server_restarts(
        self, postgres: Postgres, postgres_database: str
    ) -> None:
        engine = postgres_engine(postgres_database)
        liveness = PostgresLiveness(engine, grace=timedelta(seconds=60), interval=BRISK)
        with liveness.hold("e1"):
            postgres.restart()
            assert list(liveness.dead(["e1"])) == []
        engine.dispose()

    def test_the_dead_are_named_when_they_did_not_come_back(self, postgres_database: str) -> None:
        engine = postgres_engine(postgres_database)
        liveness = PostgresLiveness(engine, grace=2 * BRISK, interval=BRISK)
        with liveness.hold("e1"):
            assert list(liveness.dead(["e1", "e2"])) == ["e2"]
        assert list(liveness.dead(["e1", "e2"])) == ["e1", "e2"]
        engine.dispose()

    def test_a_server_that_is_away_is_a_remote_failure(self, postgres: Postgres, postgres_database: str) -> None:
        engine = postgres_engine(postgres_database)
        liveness = PostgresLiveness(engine)
        postgres.stop()
        try:
            for call in (lambda: liveness.alive("e1"), lambda: liveness.hold("e1").__enter__()):
                with pytest.raises(RemoteFailed) as failed:
                    call()
                assert (failed.value.code, failed.value.temporary) == ("store-unreachable", True)
        finally:
            postgres.start()
            engine.dispose()
