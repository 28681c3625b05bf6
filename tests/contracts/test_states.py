"""The contracts of `States` and `Bundles`, held by the store on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from runner.domain.state import REHEARSAL
from runner.errors import InputError, Refused
from runner.ports import Attempt, LockHolder, States
from runner.store.opening import Store
from tests.store.making import NOW, a_run, a_state, opened, sha256

TENANT = "acme.shop.prod"


@pytest.fixture
def states(store: Store) -> States:
    return store.states


@pytest.fixture
def attempt(states: States) -> Attempt:
    return states.open_attempt(TENANT, "r1", now=NOW)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(Refused) as refused:
        call()
    return refused.value.code


def info(lock_id: str = "l1") -> dict[str, Any]:
    return {
        "ID": lock_id,
        "Operation": "OperationTypeApply",
        "Info": "",
        "Who": "anna@host",
        "Version": "1.11.4",
        "Created": "2026-03-04T05:06:07.000000089Z",
        "Path": "",
    }


class TestVersions:
    def test_a_tenant_has_no_state_at_first(self, states: States) -> None:
        assert states.current(TENANT) is None
        assert states.versions(TENANT) == ()
        assert states.tenants() == ()
        states.open_attempt(TENANT, "r1", now=NOW)
        assert states.tenants() == ()

    def test_a_state_comes_back_byte_by_byte(self, states: States, attempt: Attempt) -> None:
        content = a_state(3)
        version = states.write(attempt, content, lock_id=None, now=NOW)
        assert (version.number, version.serial, version.lineage, version.by) == (1, 3, "5a1e", "r1")
        assert (version.at, version.size, version.sha256) == (NOW, len(content), sha256(content))
        assert states.current(TENANT) == (version, content)
        assert states.version(TENANT, 1) == (version, content)
        assert states.tenants() == (TENANT,)

    def test_what_was_only_tried_leaves_no_trace(self, states: States, attempt: Attempt) -> None:
        states.write(attempt, a_state(), lock_id=None, now=NOW)
        tried = states.open_attempt(f"{REHEARSAL}1", "lzr doctor", now=NOW)
        states.lock(tried, info(), now=NOW)
        states.write(tried, a_state(), lock_id="l1", now=NOW)
        states.forget(tried.tenant)
        states.forget(tried.tenant)
        assert states.tenants() == (TENANT,)
        assert states.holder(tried.tenant) is None
        assert states.authenticate(tried.username, tried.password) is None
        with pytest.raises(ValueError):
            states.forget(TENANT)

    def test_the_history_is_kept_newest_first(self, states: States, attempt: Attempt) -> None:
        for serial in (1, 2, 5):
            states.write(attempt, a_state(serial), lock_id=None, now=NOW)
        assert [(version.number, version.serial) for version in states.versions(TENANT)] == [(3, 5), (2, 2), (1, 1)]
        assert states.version(TENANT, 2)[1] == a_state(2)

    def test_equal_content_is_not_kept_twice(self, states: States, attempt: Attempt) -> None:
        first = states.write(attempt, a_state(), lock_id=None, now=NOW)
        assert states.write(attempt, a_state(), lock_id=None, now=NOW) == first
        assert len(states.versions(TENANT)) == 1

    @pytest.mark.parametrize(
        "content", [a_state(2), a_state(3, secret="other"), a_state(4, lineage="f00"), a_state(1, lineage="f00")]
    )
    def test_what_is_no_successor_is_refused(self, states: States, attempt: Attempt, content: bytes) -> None:
        states.write(attempt, a_state(3), lock_id=None, now=NOW)
        assert refusal(lambda: states.write(attempt, content, lock_id=None, now=NOW)) == "state-conflict"
        assert refusal(lambda: states.take_in(TENANT, content, by="anna", now=NOW)) == "state-conflict"
        assert states.current(TENANT)[1] == a_state(3)  # type: ignore[index]

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"no json",
            b"\xff\xfe",
            b"[]",
            b"3",
            b"{}",
            b'{"serial": 1}',
            b'{"serial": "1", "lineage": "a"}',
            b'{"serial": true, "lineage": "a"}',
            b'{"serial": -1, "lineage": "a"}',
            b'{"serial": 1.5, "lineage": "a"}',
            b'{"serial": 9223372036854775808, "lineage": "a"}',
            b'{"serial": 1, "lineage": ""}',
            b"[" * 100_000,
        ],
    )
    def test_what_is_no_state_is_an_input_error(self, states: States, attempt: Attempt, content: bytes) -> None:
        with pytest.raises(InputError) as error:
            states.write(attempt, content, lock_id=None, now=NOW)
        assert error.value.code == "state-not-readable"
        assert states.current(TENANT) is None

    def test_the_newest_versions_are_kept_and_the_count_goes_on(self, where: str | Path, key: Path) -> None:
        with opened(where, key, keep_versions=3) as store:
            attempt = store.states.open_attempt(TENANT, "r1", now=NOW)
            other = store.states.open_attempt("other", "r2", now=NOW)
            store.states.write(other, a_state(), lock_id=None, now=NOW)
            for serial in range(1, 8):
                store.states.write(attempt, a_state(serial), lock_id=None, now=NOW)
            assert [version.number for version in store.states.versions(TENANT)] == [7, 6, 5]
            assert [version.number for version in store.states.versions("other")] == [1]

    def test_a_version_that_is_not_there_is_an_input_error(self, states: States) -> None:
        for call in (
            lambda: states.version(TENANT, 1),
            lambda: states.roll_back(TENANT, 1, by="anna", now=NOW),
        ):
            with pytest.raises(InputError) as error:
                call()
            assert error.value.code == "state-version-not-found"

    def test_a_large_state_is_kept(self, states: States, attempt: Attempt) -> None:
        content = a_state(resources=[{"name": f"r{n}", "value": "x" * 1000} for n in range(5000)])
        states.write(attempt, content, lock_id=None, now=NOW)
        assert states.current(TENANT)[1] == content  # type: ignore[index]


class TestTakingIn:
    def test_a_state_that_an_engine_could_not_write_is_kept_despite_the_lock(
        self, states: States, attempt: Attempt
    ) -> None:
        states.write(attempt, a_state(1), lock_id=None, now=NOW)
        states.lock(attempt, info(), now=NOW)
        version = states.take_in(TENANT, a_state(2), by="anna", now=NOW)
        assert (version.number, version.by) == (2, "anna")
        assert states.take_in(TENANT, a_state(2), by="bert", now=NOW) == version

    def test_a_first_state_is_taken_in(self, states: States) -> None:
        assert states.take_in(TENANT, a_state(4), by="anna", now=NOW).number == 1


class TestRollingBack:
    def test_an_old_version_becomes_the_newest_with_the_next_serial(self, states: States, attempt: Attempt) -> None:
        for serial in (1, 2, 3):
            states.write(attempt, a_state(serial, secret=f"s{serial}"), lock_id=None, now=NOW)
        version = states.roll_back(TENANT, 1, by="anna", now=NOW)
        assert (version.number, version.serial, version.by) == (4, 4, "anna")
        assert states.current(TENANT) == (version, a_state(4, secret="s1"))
        states.write(attempt, a_state(5), lock_id=None, now=NOW)

    def test_nothing_but_the_serial_is_touched(self, states: States, attempt: Attempt) -> None:
        odd = (
            b'{"outputs": {"serial": 1, "n": 0.12345678901234567890123, "big": 1e400},\n'
            b'  "serial"  :  1 , "lineage": "a", "note": "\\"serial\\": 1"}'
        )
        states.write(attempt, odd, lock_id=None, now=NOW)
        states.write(attempt, b'{"serial": 7, "lineage": "a"}', lock_id=None, now=NOW)
        states.roll_back(TENANT, 1, by="anna", now=NOW)
        assert states.current(TENANT)[1] == odd.replace(b'"serial"  :  1 ', b'"serial"  :  8 ')  # type: ignore[index]

    def test_the_newest_version_stays_as_it_is(self, states: States, attempt: Attempt) -> None:
        version = states.write(attempt, a_state(), lock_id=None, now=NOW)
        assert states.roll_back(TENANT, 1, by="anna", now=NOW) == version

    def test_nothing_is_rolled_back_while_the_state_is_locked(self, states: States, attempt: Attempt) -> None:
        for serial in (1, 2):
            states.write(attempt, a_state(serial), lock_id=None, now=NOW)
        states.lock(attempt, info(), now=NOW)
        assert refusal(lambda: states.roll_back(TENANT, 1, by="anna", now=NOW)) == "state-locked"


class TestLocks:
    def test_a_lock_has_one_holder_who_is_shown_to_others(self, states: States, attempt: Attempt) -> None:
        assert states.holder(TENANT) is None
        assert states.lock(attempt, info(), now=NOW) is None
        holder = LockHolder(
            id="l1",
            operation="OperationTypeApply",
            who="anna@host",
            created="2026-03-04T05:06:07.000000089Z",
            run="r1",
            info=info(),
        )
        assert states.lock(attempt, info("l2"), now=NOW) == holder
        assert states.holder(TENANT) == holder

    def test_asking_again_with_the_same_id_is_fine(self, states: States, attempt: Attempt) -> None:
        assert states.lock(attempt, info(), now=NOW) is None
        assert states.lock(attempt, info(), now=NOW) is None

    def test_a_lock_is_released_by_its_id_or_by_force(self, states: States, attempt: Attempt) -> None:
        states.lock(attempt, info(), now=NOW)
        assert not states.unlock(TENANT, "l2")
        assert states.unlock(TENANT, "l1")
        assert states.unlock(TENANT, "l1")
        states.lock(attempt, info(), now=NOW)
        assert states.unlock(TENANT, None)
        assert states.holder(TENANT) is None

    def test_only_the_holder_writes_while_the_state_is_locked(self, states: States, attempt: Attempt) -> None:
        states.lock(attempt, info(), now=NOW)
        for wrong in ("l2", None):
            assert refusal(lambda: states.write(attempt, a_state(), lock_id=wrong, now=NOW)) == "state-locked"  # noqa: B023
        assert states.write(attempt, a_state(), lock_id="l1", now=NOW).number == 1

    def test_tenants_are_locked_apart(self, states: States, attempt: Attempt) -> None:
        other = states.open_attempt("other", "r2", now=NOW)
        assert states.lock(attempt, info(), now=NOW) is None
        assert states.lock(other, info("l2"), now=NOW) is None
        assert states.unlock("other", "l2")
        assert states.holder(TENANT) is not None

    @pytest.mark.parametrize("wrong", [{}, {"ID": ""}, {"ID": 3}])
    def test_a_lock_without_an_id_is_an_input_error(
        self, states: States, attempt: Attempt, wrong: dict[str, Any]
    ) -> None:
        with pytest.raises(InputError):
            states.lock(attempt, wrong, now=NOW)

    def test_of_many_who_lock_at_once_one_gets_it(self, states: States, attempt: Attempt) -> None:
        with ThreadPoolExecutor(8) as pool:
            taken = list(pool.map(lambda n: states.lock(attempt, info(f"l{n}"), now=NOW), range(16)))
        assert taken.count(None) == 1


class TestAttempts:
    def test_a_credential_opens_its_attempt(self, states: States, attempt: Attempt) -> None:
        assert states.authenticate(attempt.username, attempt.password) == attempt
        assert (attempt.tenant, attempt.run, attempt.number) == (TENANT, "r1", 1)

    def test_a_wrong_credential_opens_nothing(self, states: States, attempt: Attempt) -> None:
        other = states.open_attempt("other", "r2", now=NOW)
        for username, password in (
            (attempt.username, other.password),
            (attempt.username, ""),
            (attempt.username, "\0\ud800"),
            ("", ""),
            ("\0", attempt.password),
            ("nobody", attempt.password),
        ):
            assert states.authenticate(username, password) is None

    def test_a_newer_attempt_supersedes_the_older(self, states: States, attempt: Attempt) -> None:
        newer = states.open_attempt(TENANT, "r2", now=NOW)
        assert newer.number == 2
        assert states.authenticate(attempt.username, attempt.password) == attempt
        for call in (
            lambda: states.write(attempt, a_state(), lock_id=None, now=NOW),
            lambda: states.lock(attempt, info(), now=NOW),
        ):
            assert refusal(call) == "state-attempt-superseded"
        assert states.write(newer, a_state(), lock_id=None, now=NOW).by == "r2"

    def test_an_attempt_of_another_tenant_is_not_superseded(self, states: States, attempt: Attempt) -> None:
        states.open_attempt("other", "r2", now=NOW)
        assert states.write(attempt, a_state(), lock_id=None, now=NOW).number == 1

    def test_a_closed_attempt_opens_nothing(self, states: States, attempt: Attempt) -> None:
        states.close_attempt(attempt)
        states.close_attempt(attempt)
        assert states.authenticate(attempt.username, attempt.password) is None
        assert refusal(lambda: states.write(attempt, a_state(), lock_id=None, now=NOW)) == "state-attempt-superseded"

    def test_closing_the_newest_attempt_does_not_revive_an_older_one(self, states: States, attempt: Attempt) -> None:
        states.close_attempt(states.open_attempt(TENANT, "r2", now=NOW))
        assert refusal(lambda: states.write(attempt, a_state(), lock_id=None, now=NOW)) == "state-attempt-superseded"

    def test_an_attempt_that_was_made_up_writes_nothing(self, states: States, attempt: Attempt) -> None:
        for made_up in (
            replace(attempt, username="x"),
            replace(attempt, tenant="other"),
        ):
            assert refusal(lambda: states.write(made_up, a_state(), lock_id=None, now=NOW)) == (  # noqa: B023
                "state-attempt-superseded"
            )

    def test_of_attempts_that_were_opened_at_once_one_is_the_newest(self, states: States) -> None:
        with ThreadPoolExecutor(8) as pool:
            opened_at_once = list(pool.map(lambda n: states.open_attempt(TENANT, f"r{n}", now=NOW), range(16)))
        assert sorted(attempt.number for attempt in opened_at_once) == list(range(1, 17))
        written = 0
        for attempt in opened_at_once:
            try:
                states.write(attempt, a_state(), lock_id=None, now=NOW)
                written += 1
            except Refused:
                pass
        assert written == 1


class TestBundles:
    def test_a_bundle_opens_for_its_run_and_tenant_only(self, store: Store) -> None:
        store.runs.create(a_run("r1", "t1"))
        store.runs.create(a_run("r2", "t2"))
        store.bundles.seal("r1", "t1", b"old")
        store.bundles.seal("r1", "t1", b"plan")
        assert store.bundles.open("r1", "t1") == b"plan"
        assert refusal(lambda: store.bundles.open("r1", "t2")) == "bundle-of-another-tenant"
        assert refusal(lambda: store.bundles.open("r2", "t2")) == "bundle-not-found"

    def test_a_discarded_bundle_is_gone(self, store: Store) -> None:
        store.runs.create(a_run("r1", "t1"))
        store.bundles.seal("r1", "t1", b"plan")
        store.bundles.discard("r1")
        store.bundles.discard("r1")
        assert refusal(lambda: store.bundles.open("r1", "t1")) == "bundle-not-found"

    def test_a_bundle_belongs_to_a_run(self, store: Store) -> None:
        with pytest.raises(InputError):
            store.bundles.seal("r1", "t1", b"plan")


class Histories(RuleBasedStateMachine):
    """Whatever engines, operators and zombies do in any order, the history only grows by successors of the newest attempt."""

    attempts: Bundle[Attempt] = Bundle("attempts")

    @initialize(target=attempts)
    def open_the_store(self) -> Any:
        self.place = tempfile.TemporaryDirectory()
        directory = Path(self.place.name)
        self.store = opened(directory / "store", directory / "key", keep_versions=4)
        self.states = self.store.states
        self.contents: list[bytes] = []
        self.serial = 0
        self.newest: Attempt | None = None
        self.lock: str | None = None
        return multiple()

    def teardown(self) -> None:
        self.store.close()
        self.place.cleanup()

    @rule(target=attempts)
    def open_attempt(self) -> Attempt:
        self.newest = self.states.open_attempt(TENANT, "r", now=NOW)
        return self.newest

    @rule(attempt=attempts)
    def close_attempt(self, attempt: Attempt) -> None:
        self.states.close_attempt(attempt)
        if attempt == self.newest:
            self.newest = None

    @rule(attempt=attempts, step=st.integers(-1, 2), secret=st.sampled_from(["a", "b"]), lock=st.sampled_from("xy"))
    def write(self, attempt: Attempt, step: int, secret: str, lock: str) -> None:
        content = a_state(max(self.serial + step, 0), secret=secret)
        same = bool(self.contents) and content == self.contents[-1]
        fits = not self.contents or same or step > 0
        allowed = attempt == self.newest and self.lock in (None, lock) and fits
        try:
            self.states.write(attempt, content, lock_id=lock, now=NOW)
        except Refused:
            assert not allowed
        else:
            assert allowed
            self._kept(content)

    @rule(step=st.integers(0, 2), secret=st.sampled_from(["a", "b"]))
    def take_in(self, step: int, secret: str) -> None:
        content = a_state(self.serial + step, secret=secret)
        try:
            self.states.take_in(TENANT, content, by="anna", now=NOW)
        except Refused:
            assert self.contents
            assert step == 0
        else:
            self._kept(content)

    @rule(attempt=attempts, lock=st.sampled_from("xy"))
    def take_lock(self, attempt: Attempt, lock: str) -> None:
        try:
            holder = self.states.lock(attempt, info(lock), now=NOW)
        except Refused:
            assert attempt != self.newest
            return
        assert attempt == self.newest
        assert (holder is None) == (self.lock in (None, lock))
        self.lock = self.lock or lock

    @rule(lock=st.sampled_from(["x", "y", None]))
    def release(self, lock: str | None) -> None:
        released = self.states.unlock(TENANT, lock)
        assert released == (lock is None or self.lock in (None, lock))
        self.lock = None if released else self.lock

    @rule(back=st.integers(0, 3))
    def roll_back(self, back: int) -> None:
        number = len(self.contents) - back
        if number < 1:
            return
        try:
            self.states.roll_back(TENANT, number, by="anna", now=NOW)
        except Refused:
            assert self.lock is not None
            return
        if back:
            self._kept(
                json.dumps(json.loads(self.contents[number - 1]) | {"serial": self.serial + 1}, indent=2).encode()
            )

    def _kept(self, content: bytes) -> None:
        if not self.contents or content != self.contents[-1]:
            self.contents.append(content)
        self.serial = json.loads(content)["serial"]

    @invariant()
    def the_history_is_what_was_kept(self) -> None:
        versions = self.states.versions(TENANT)
        newest = len(self.contents)
        assert [version.number for version in versions] == list(range(newest, max(newest - 4, 0), -1))
        for version in versions:
            assert self.states.version(TENANT, version.number)[1] == self.contents[version.number - 1]


Histories.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestHistories = Histories.TestCase
