"""A real PostgreSQL for tests: one server per pytest process, on a socket of its own, and an empty database for each test.

Use it with `pytest_plugins = ("tests.postgres",)` in the test module.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest


@dataclass(frozen=True)
class Postgres:
    """A running server. `socket` is the directory it listens in; it has no port on the network."""

    socket: Path
    data: Path

    def url(self, database: str) -> str:
        return f"postgresql://lzr@/{database}?host={self.socket}"

    def run(self, statement: str, *, database: str = "postgres") -> list[tuple[object, ...]]:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def restart(self) -> None:
        self._ctl("restart", "-m", "immediate")

    def start(self) -> None:
        quick = "-c fsync=off -c full_page_writes=off -c max_connections=200 -c shared_buffers=16MB"
        place = f"-c listen_addresses='' -c unix_socket_directories={self.socket}"
        self._ctl("start", "-l", str(self.data / "server.log"), "-o", f"{place} {quick}")

    def stop(self) -> None:
        self._ctl("stop", "-m", "immediate")

    def _ctl(self, *arguments: str) -> None:
        _as_its_user(_binary("pg_ctl"), "-D", str(self.data), "-w", *arguments)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server; it stops with the session."""
    place = Path(tempfile.mkdtemp(prefix="pg"))  # short: a socket's path has at most 107 characters
    if os.geteuid() == 0:
        shutil.chown(place, "nobody")
    server = Postgres(socket=place, data=place / "data")
    try:
        _as_its_user(_binary("initdb"), "-D", str(server.data), "-U", "lzr", "-A", "trust", "-E", "UTF8", "--no-sync")
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="session")
def _database(postgres: Postgres) -> str:
    postgres.run("CREATE DATABASE test")
    return "test"


@pytest.fixture
def postgres_database(postgres: Postgres, _database: str) -> str:
    """The address of an empty database. It is emptied rather than made anew: dropping one takes a checkpoint each time."""
    postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{_database}'")
    theirs = "schema_name NOT LIKE 'pg\\_%' AND schema_name <> 'information_schema'"
    for (schema,) in postgres.run(
        f"SELECT schema_name FROM information_schema.schemata WHERE {theirs}", database=_database
    ):
        postgres.run(f'DROP SCHEMA "{schema}" CASCADE', database=_database)
    postgres.run("CREATE SCHEMA public", database=_database)
    return postgres.url(_database)


def _as_its_user(*command: str) -> None:
    """PostgreSQL refuses to run as root."""
    prefix = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups") if os.geteuid() == 0 else ()
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    # the server keeps what it inherits open for as long as it runs, so its output is not a pipe
    subprocess.run([*prefix, *command], check=True, env=environment, cwd="/", stdout=subprocess.DEVNULL, timeout=60)


def _binary(name: str) -> str:
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(debian[-1]) if debian else None)
    if found is None:
        raise FileNotFoundError(f"{name} is needed: install PostgreSQL")
    return found
