"""What another process does in a test: `python -m tests.store.acting WHAT WHERE KEY [argument…]`.

It prints a line when it is ready and for each thing it did; it goes on when a line comes in.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

from sqlalchemy import event

from runner.domain.events import Kind
from runner.domain.run import Status
from runner.errors import Refused, RunnerError
from runner.ports import Claim
from runner.store import archive, upkeep
from runner.store.invitations import SqlInvitations
from runner.store.liveness import FileLiveness, PostgresLiveness
from runner.store.opening import Store
from runner.store.runs import SqlRuns
from runner.store.sealing import Keyring
from tests.store.making import NOW, a_run, a_state, audit_keys, opened

TENANT = "acme.shop.prod"


def say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def wait() -> str:
    return sys.stdin.readline().strip()


def impatient(store: Store) -> tuple[SqlRuns, FileLiveness | PostgresLiveness]:
    """Runs and liveness that believe at once that an executor is dead when its lock is free."""
    liveness: FileLiveness | PostgresLiveness = (
        FileLiveness(store.directory / "alive")
        if store.directory is not None
        else PostgresLiveness(store.engine, grace=timedelta())
    )
    return SqlRuns(store.database, liveness), liveness


def open_new(where: str, key: Path) -> None:
    """Open a store that may not be there yet, at the same moment as others."""
    say("ready")
    wait()
    with opened(where, key) as store:
        say(store.keyring.ids[0])


def make_key(_where: str, key: Path) -> None:
    """Ask for the key in a file that is not there yet, at the same moment as others."""
    keyring = Keyring.from_file(key)
    say("ready")
    wait()
    say(keyring.first())


def append(where: str, key: Path) -> None:
    """Write a journal at the same moment as others."""
    with opened(where, key) as store:
        say("ready")
        wait()
        for number in range(50):
            store.runs.append("r1", Kind.LOG, {"number": number}, now=NOW)
        say("done")


def start_run(where: str, key: Path, executor: str) -> None:
    """Start the run at the same moment as others, and live on."""
    with opened(where, key) as store, store.liveness.hold(executor):
        say("ready")
        wait()
        try:
            store.runs.move("r1", Status.APPLYING, now=NOW, executor=executor)
            say("started")
        except Refused as error:
            say(error.code)
        wait()


def lock(where: str, key: Path, username: str, password: str, lock_id: str) -> None:
    """Lock the state at the same moment as others."""
    with opened(where, key) as store:
        attempt = store.states.authenticate(username, password)
        assert attempt is not None
        say("ready")
        wait()
        say("taken" if store.states.lock(attempt, {"ID": lock_id}, now=NOW) is None else "held")


def hold(where: str, key: Path, executor: str) -> None:
    """Execute the run until it is killed."""
    with opened(where, key) as store, store.liveness.hold(executor):
        store.runs.move("r1", Status.PLANNING, now=NOW, executor=executor)
        say("ready")
        wait()


def take_over(where: str, key: Path, dead: str, executor: str) -> None:
    """Try to get the run each time a line comes in."""
    with opened(where, key) as store:
        runs, _ = impatient(store)
        say("ready")
        while wait():
            say(runs.take_over("r1", dead=dead, executor=executor, now=NOW))


def claim(where: str, key: Path, executor: str) -> None:
    """Claim an invitation at the same moment as others, and live on."""
    with opened(where, key) as store, store.liveness.hold(executor):
        _, liveness = impatient(store)
        say("ready")
        while wait():
            found = SqlInvitations(store.database, liveness, executor).claim(
                "tenant", "dev@partner.example", now=NOW, believed=timedelta(minutes=2)
            )
            say(
                "waits" if found is None else "inherited" if isinstance(found, Claim) and found.inherited else "claimed"
            )


def reserve(where: str, key: Path, tenant: str, *candidates: str) -> None:
    """Reserve a subscription of a pool for the tenant, at the same moment as others for theirs."""
    with opened(where, key) as store:
        say("ready")
        wait()
        found = store.holdings.reserve(tenant, candidates, run=f"r-{tenant}", now=NOW)
        say(found.subscription if found else "none")


def watch(where: str, key: Path) -> None:
    """Say when the run is approved, and when it is asked to stop."""
    with opened(where, key) as store:
        say("ready")
        pause = Event()
        while store.runs.get("r1").status is not Status.APPROVED:
            pause.wait(0.05)
        say("approved")
        while not store.runs.cancel_requested("r1"):
            pause.wait(0.05)
        say("canceled")


def write(where: str, key: Path) -> None:
    """Write states and journal lines until it is killed; say each number that was kept."""
    with opened(where, key, keep_versions=10_000) as store:
        attempt = store.states.open_attempt(TENANT, "r1", now=NOW)
        for serial in count(1):
            entry = store.runs.append("r1", Kind.LOG, {"text": "x" * 500}, now=NOW)
            version = store.states.write(attempt, a_state(serial, secret="x" * 5000), lock_id=None, now=NOW)
            say(f"{version.number} {entry.seq}")


def record(where: str, key: Path, who: str) -> None:
    """Record and start runs until it is killed; say each number of the audit that was kept by then."""
    with opened(where, key) as store:
        for number in count(1):
            store.runs.create(a_run(f"{who}-{number}", tenant=who, requested_by=who))
            store.audit.record("tried", by=who, now=NOW)
            say(store.audit.head().number)


def fill(where: str, key: Path) -> None:
    """Write states until the disk is full, which here is a limit on the size of files; say each that was kept."""
    with opened(where, key, keep_versions=10_000) as store:
        attempt = store.states.open_attempt(TENANT, "r1", now=NOW)
        limit = max(file.stat().st_size for file in Path(where).glob("store.db*")) + 200_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        for serial in count(1):
            content = a_state(serial, secret=os.urandom(5000).hex())
            try:
                version = store.states.write(attempt, content, lock_id=None, now=NOW)
            except RunnerError as error:
                say(error.code)
                break
            say(version.number)
        say(f"newest {store.states.versions(TENANT)[0].number}")


def rotate(where: str, key: Path, die_at: str) -> None:
    """Rotate the key; die before this commit."""
    with opened(where, key) as store:
        commits = count(1)

        @event.listens_for(store.engine, "commit")
        def _(_connection: Any) -> None:
            if next(commits) == int(die_at):
                os.kill(os.getpid(), signal.SIGKILL)

        upkeep.rotate_key(store)


def restore(where: str, key: Path, backup: str, die_at: str) -> None:
    """Restore over what is there; die before this change of a file's name in the directory."""
    changes = count(1)

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        changed = {"os.rename": 1, "os.remove": 0}.get(name)  # place of the path among the arguments
        if changed is None or Path(str(arguments[changed])).parent != Path(where):
            return
        if next(changes) == int(die_at):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    archive.restore(Path(backup), Path(where), Keyring.from_file(key), audit_keys(key), now=NOW, force=True)


def killed_at(act: Callable[..., None]) -> Callable[..., None]:
    """The act again and again, each in a process of its own that dies where the line that came in says."""

    def each(*arguments: Any) -> None:
        say("ready")
        while die_at := wait():
            child = os.fork()
            if child == 0:
                act(*arguments, die_at)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            say("killed" if os.WIFSIGNALED(status) else f"ended {os.waitstatus_to_exitcode(status)}")

    return each


def deliver(where: str, key: Path, message: str) -> None:
    """Take a webhook that another process gets at the same moment."""
    with opened(where, key) as store:
        say("ready")
        wait()
        say("taken" if store.received.take("ci", message, until=NOW) else "repeated")


def take_letters(where: str, key: Path, lease: str) -> None:
    """Take letters one after the other until there are none, and send the last one only when told to."""
    with opened(where, key) as store:
        say("ready")
        wait()
        taken = []
        while (letter := store.outbox.take(["ops"], now=NOW, lease=timedelta(seconds=float(lease)))) is not None:
            taken.append(letter)
        say(" ".join(letter.id for letter in taken) or "none")
        wait()
        for letter in taken:
            store.outbox.sent(letter, now=NOW)
        say("sent")


ACTS: dict[str, Callable[..., None]] = {
    "open_new": open_new,
    "make_key": make_key,
    "append": append,
    "start_run": start_run,
    "lock": lock,
    "hold": hold,
    "take_over": take_over,
    "claim": claim,
    "reserve": reserve,
    "watch": watch,
    "deliver": deliver,
    "take_letters": take_letters,
    "write": write,
    "record": record,
    "fill": fill,
    "rotate": killed_at(rotate),
    "restore": killed_at(restore),
}

if __name__ == "__main__":
    ACTS[sys.argv[1]](sys.argv[2], Path(sys.argv[3]), *sys.argv[4:])
