"""Several real processes on one store, and what a `kill -9` leaves."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest

from runner.domain.events import Kind
from runner.domain.notice import Event as Happened
from runner.domain.notice import notice_of
from runner.domain.run import Status
from runner.errors import Refused
from runner.ports import Letter
from runner.store.archive import back_up
from runner.store.liveness import PostgresLiveness
from runner.store.opening import Store
from runner.store.sealing import Keyring
from runner.store.upkeep import check
from tests.store.acting import TENANT
from tests.store.making import NOW, a_run, a_state, a_waiting_run, an_approval, an_approved_run, opened

Start = Callable[..., "Process"]


class Process:
    """Another process that does what `tests.store.acting` says."""

    def __init__(self, act: str, where: str | Path, key: Path, *arguments: object) -> None:
        command = [sys.executable, "-m", "tests.store.acting", act, str(where), str(key), *map(str, arguments)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self, line: str = "go") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)

    def end(self) -> int:
        """Let it end, and read what it still says."""
        self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as stack:

        def started(*arguments: object) -> Process:
            process = Process(*arguments)  # type: ignore[arg-type]
            stack.enter_context(process.process)
            stack.callback(process.kill)
            return process

        yield started


def at_once(processes: list[Process]) -> list[str]:
    """Let all of them go on at the same moment; what each said then."""
    assert {process.hear() for process in processes} == {"ready"}
    for process in processes:
        process.tell()
    return [process.hear() for process in processes]


def killed_everywhere(process: Process) -> Iterator[int]:
    """Yield after each kill, until there is no later point to kill it at and it ended well."""
    assert process.hear() == "ready"
    for die_at in range(1, 100):
        process.tell(str(die_at))
        said = process.hear()
        if said != "killed":
            assert said == "ended 0"
            return
        yield die_at


def eventually(condition: Callable[[], bool], *, seconds: float = 10) -> bool:
    deadline, pause = time.monotonic() + seconds, Event()
    while not condition():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.02)
    return True


class TestTogether:
    def test_processes_that_make_a_store_at_once_agree_on_its_key(
        self, where: str | Path, key: Path, start: Start
    ) -> None:
        said = at_once([start("open_new", where, key) for _ in range(4)])
        assert len(set(said)) == 1
        assert said[0] == Keyring.from_file(key).ids[0]
        assert len(key.read_text().split()) == 1

    def test_processes_that_make_a_key_at_once_agree_on_it(self, key: Path, start: Start) -> None:
        said = at_once([start("make_key", "-", key) for _ in range(4)])
        assert len(set(said)) == 1
        assert Keyring.from_file(key).ids == (said[0],)

    def test_one_process_may_invite_and_when_it_is_killed_one_other_goes_on(
        self, store: Store, where: str | Path, key: Path, start: Start
    ) -> None:
        processes = [start("claim", where, key, f"worker-{number}") for number in range(3)]
        said = at_once(processes)
        assert sorted(said) == ["claimed", "waits", "waits"]
        processes.pop(said.index("claimed")).kill()
        for process in processes:
            process.tell()
        assert sorted(process.hear() for process in processes) == ["inherited", "waits"]

    def test_processes_that_want_the_same_subscription_of_a_pool_get_another_one_each(
        self, store: Store, where: str | Path, key: Path, start: Start
    ) -> None:
        pool = [f"4f1c2d30-0000-4000-8000-00000000000{number}" for number in range(2)]
        for number in range(3):
            a_waiting_run(store, f"r-t{number}", tenant=f"t{number}")
        said = at_once([start("reserve", where, key, f"t{number}", *pool) for number in range(3)])
        assert sorted(said) == [*pool, "none"]

    def test_processes_that_write_one_journal_at_once_lose_nothing(
        self, store: Store, where: str | Path, key: Path, start: Start
    ) -> None:
        store.runs.create(a_run())
        assert set(at_once([start("append", where, key) for _ in range(3)])) == {"done"}
        assert [entry.seq for entry in store.runs.events("r1")] == list(range(1, 152))

    def test_a_webhook_that_comes_to_several_processes_is_taken_by_one(
        self, store: Store, where: str | Path, key: Path, start: Start
    ) -> None:
        said = at_once([start("deliver", where, key, "msg_1") for _ in range(3)])
        assert sorted(said) == ["repeated", "repeated", "taken"]

    def test_each_letter_is_one_processs_and_when_it_is_killed_another_ones(
        self, store: Store, where: str | Path, key: Path, start: Start
    ) -> None:
        names = [f"m{number:02}" for number in range(20)]
        notices = {name: notice_of(Happened.WAITING, a_run(name), None, public_url="") for name in names}
        store.outbox.put(
            [Letter(name, "ops", "waiting", notice) for name, notice in notices.items()], seen=NOW, now=NOW
        )
        processes = [start("take_letters", where, key, 60) for _ in range(2)]
        said = [[name for name in line.split() if name != "none"] for line in at_once(processes)]
        assert sorted(name for each in said for name in each) == names
        processes[0].kill()
        processes[1].tell()
        assert processes[1].hear() == "sent"
        later = NOW + timedelta(seconds=60)
        left = []
        while (letter := store.outbox.take(["ops"], now=later, lease=timedelta(seconds=60))) is not None:
            left.append(letter.id)
        assert sorted(left) == sorted(said[0])

    def test_one_process_gets_the_run(self, store: Store, where: str | Path, key: Path, start: Start) -> None:
        an_approved_run(store)
        processes = [start("start_run", where, key, f"e{number}") for number in range(3)]
        said = at_once(processes)
        assert said.count("started") == 1
        assert set(said) == {"started", "run-executed-elsewhere"}
        assert store.runs.get("r1").executor == f"e{said.index('started')}"

    def test_one_process_gets_the_lock(self, store: Store, where: str | Path, key: Path, start: Start) -> None:
        attempt = store.states.open_attempt(TENANT, "r1", now=NOW)
        credential = (attempt.username, attempt.password)
        said = at_once([start("lock", where, key, *credential, f"l{number}") for number in range(3)])
        assert sorted(said) == ["held", "held", "taken"]

    def test_a_decision_is_seen_by_another_process_within_a_second(
        self, store: Store, where: str | Path, key: Path, start: Start
    ) -> None:
        a_waiting_run(store)
        watcher = start("watch", where, key)
        watcher.hear()
        store.runs.approve(an_approval(), now=NOW)
        approved = time.monotonic()
        assert watcher.hear() == "approved"
        assert time.monotonic() - approved < 1
        store.runs.move("r1", Status.APPLYING, now=NOW)
        store.runs.request_cancel("r1", by="anna", now=NOW)
        canceled = time.monotonic()
        assert watcher.hear() == "canceled"
        assert time.monotonic() - canceled < 1

    def test_work_is_taken_over_from_the_dead_and_never_from_the_living(
        self, store: Store, where: str | Path, key: Path, start: Start
    ) -> None:
        store.runs.create(a_run())
        first = start("hold", where, key, "first")
        first.hear()
        second = start("take_over", where, key, "first", "second")
        second.hear()

        def asked() -> bool:
            second.tell()
            return second.hear() == "True"

        assert not any(asked() for _ in range(10))
        first.kill()
        assert eventually(asked)
        assert not asked()
        assert store.runs.get("r1").executor == "second"


class TestKilled:
    def test_a_lock_of_a_killed_process_is_free(self, store: Store, where: str | Path, key: Path, start: Start) -> None:
        store.runs.create(a_run())
        process = start("hold", where, key, "first")
        process.hear()
        liveness = store.liveness
        if isinstance(liveness, PostgresLiveness):
            liveness = PostgresLiveness(store.engine, grace=timedelta())
        assert liveness.alive("first")
        assert list(liveness.dead(["first"])) == []
        process.kill()
        assert eventually(lambda: not liveness.alive("first"))
        assert list(liveness.dead(["first"])) == ["first"]

    def test_what_was_acknowledged_is_kept_and_nothing_is_half_there(
        self, store: Store, where: str | Path, key: Path, start: Start
    ) -> None:
        store.runs.create(a_run(tenant=TENANT))
        process = start("write", where, key)
        for _ in range(30):
            number, seq = map(int, process.hear().split())
        process.kill()
        versions = store.states.versions(TENANT)
        assert [version.number for version in versions] == list(range(len(versions), 0, -1))
        assert versions[0].number >= number
        assert store.runs.events("r1")[-1].seq >= seq
        assert check(store).findings == ()

    def test_processes_that_record_at_once_and_are_killed_leave_one_whole_chain(
        self, store: Store, where: str | Path, key: Path, start: Start
    ) -> None:
        processes = [start("record", where, key, name) for name in ("anna", "bert", "carl")]
        said = [int(process.hear()) for _ in range(10) for process in processes]
        for process in processes:
            process.kill()
        assert list(store.audit.verify()) == []
        assert store.audit.head().number >= max(said)
        recorded = {entry.about for entry in store.audit.entries() if entry.what == "run-started"}
        assert {run.id for run in store.runs.find(limit=len(recorded) + 1)} == recorded

    def test_a_rotation_that_is_killed_anywhere_leaves_everything_readable(
        self, store: Store, where: str | Path, key: Path, start: Start
    ) -> None:
        attempt = store.states.open_attempt(TENANT, "r1", now=NOW)
        for serial in range(1, 46):
            store.states.write(attempt, a_state(serial), lock_id=None, now=NOW)
        store.runs.create(a_run())
        store.bundles.seal("r1", TENANT, b"plan")
        points = 0
        for _ in killed_everywhere(start("rotate", where, key)):
            points += 1
            with opened(where, key) as reopened:
                assert check(reopened).findings == ()
                assert reopened.states.current(TENANT) == store.states.current(TENANT)
                assert store.bundles.open("r1", TENANT) == b"plan"
        assert points > 4
        assert len(key.read_text().split()) == 1
        assert check(store).findings == ()

    def test_a_restore_that_is_killed_anywhere_leaves_one_whole_store_or_none(
        self, directory: Path, key: Path, tmp_path: Path, start: Start
    ) -> None:
        with opened(directory, key) as store:
            store.states.take_in(TENANT, a_state(1), by="anna", now=NOW)
            back_up(store, tmp_path / "backup", now=NOW)
            store.states.take_in(TENANT, a_state(2), by="anna", now=NOW)
        (directory / "durable.db").touch(mode=0o600)
        seen = set()
        for _ in killed_everywhere(start("restore", directory, key, tmp_path / "backup")):
            try:
                with opened(directory, key) as store:
                    current = store.states.current(TENANT)
                    assert current is not None
                    seen.add(f"serial {current[0].serial}")
                    assert check(store).findings == ()
            except Refused as error:
                seen.add(error.code)
        assert "store-half-restored" in seen
        assert seen <= {"serial 1", "serial 2", "store-half-restored"}
        with opened(directory, key) as store:
            assert [version.serial for version in store.states.versions(TENANT)] == [1]
        assert not (directory / "durable.db").exists()
        assert not list(directory.glob(".restore-*"))


class TestDiskFull:
    def test_nothing_that_was_acknowledged_is_lost(
        self, file_store: Store, directory: Path, key: Path, start: Start
    ) -> None:
        file_store.close()
        process = start("fill", directory, key)
        kept = 0
        while (said := process.hear()).isdigit():
            kept = int(said)
        assert said == "store-cannot-write"
        assert process.hear() == f"newest {kept}"
        assert process.end() == 0
        assert kept > 5
        with opened(directory, key) as store:
            assert store.states.versions(TENANT)[0].number == kept
            assert check(store).findings == ()
            store.runs.create(a_run())
            store.runs.append("r1", Kind.LOG, {}, now=NOW)
