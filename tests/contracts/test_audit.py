"""The record of who did what: written with what it tells, and any change of it is found. On SQLite and on PostgreSQL."""

from __future__ import annotations

import base64
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Executable, delete, event, insert, text, update
from sqlalchemy.exc import DBAPIError

from runner.domain.actor import Grant, Role, SignedIn
from runner.domain.audit import KnownHead
from runner.domain.deletion import Deletion, Standing
from runner.domain.run import Failure, Status
from runner.errors import InputError, Refused
from runner.ports import SCHEDULE, ApiToken
from runner.store import upkeep
from runner.store.opening import Store, open_store
from runner.store.sealing import Keyring
from runner.store.tables import audit, audit_head
from tests.store.making import HOUR, NOW, a_run, a_state, a_waiting_run, an_approval, opened


def told(store: Store) -> list[tuple[str, str, str]]:
    return [(entry.what, entry.by, entry.about) for entry in store.audit.entries()]


def wrong(store: Store, *known: KnownHead) -> list[tuple[int, str]]:
    return [(one.number, one.code) for one in store.audit.verify(known)]


class TestWhatIsRecorded:
    def test_a_run_from_its_start_to_its_end(self, store: Store) -> None:
        a_waiting_run(store, "r1", executor="here")
        store.runs.approve(an_approval("r1", comment="as agreed"), now=NOW)
        store.runs.move("r1", Status.APPLYING, now=NOW, executor="here")
        store.runs.move("r1", Status.APPLIED, now=NOW, executor="here")
        assert told(store) == [
            ("run-started", "anna@example.com", "r1"),
            ("run-approved", "bert@example.com", "r1"),
            ("run-applying", "here", "r1"),
            ("run-applied", "here", "r1"),
        ]
        approved = list(store.audit.entries())[1]
        assert approved.details == {"digest": "d1", "comment": "as agreed"}
        assert (approved.tenant, approved.zone, approved.at) == ("acme.shop.prod", "corp", NOW)
        assert wrong(store) == []

    def test_what_was_decided_against(self, store: Store) -> None:
        a_waiting_run(store, "r1")
        no = Failure(family="refused", code="rejected", summary="Rejected by carl", detail="too many owners")
        store.runs.move("r1", Status.REJECTED, now=NOW, by="carl", failure=no)
        a_waiting_run(store, "r2")
        store.runs.request_cancel("r2", by="dora", now=NOW)
        store.runs.create(a_run("r3"))
        store.runs.move("r3", Status.PLANNING, now=NOW, executor="here")
        store.runs.request_cancel("r3", by="emil", now=NOW)
        decided = [one for one in told(store) if one[0] != "run-started"]
        assert decided == [
            ("run-rejected", "carl", "r1"),
            ("run-canceled", "dora", "r2"),
            ("run-cancel-asked", "emil", "r3"),
        ]
        rejected = next(one for one in store.audit.entries() if one.what == "run-rejected")
        assert rejected.details == {"digest": "d1", "failure": "rejected", "comment": "too many owners"}

    def test_who_had_an_approved_run_applied_and_where(self, store: Store) -> None:
        a_waiting_run(store, "r1", executor="here")
        with pytest.raises(Refused, match="not approved"):
            store.runs.ask_apply("r1", options={}, by="dora", now=NOW)
        store.runs.approve(an_approval("r1"), now=NOW)
        assert store.runs.ask_apply("r1", options={"apply": True}, by="dora", now=NOW).options["apply"]
        store.runs.move("r1", Status.APPLYING, now=NOW, executor="there")
        assert told(store)[2:] == [("run-apply-asked", "dora", "r1"), ("run-applying", "there", "r1")]

    def test_an_apply_that_failed(self, store: Store) -> None:
        a_waiting_run(store, "r1", executor="here")
        store.runs.approve(an_approval("r1"), now=NOW)
        store.runs.move("r1", Status.APPLYING, now=NOW, executor="here")
        store.runs.move("r1", Status.FAILED, now=NOW, executor="here")
        assert told(store)[-1] == ("run-failed", "here", "r1")

    def test_nothing_where_nobody_asked_and_nothing_was_changed(self, store: Store) -> None:
        store.runs.create(a_run("r1", requested_by=SCHEDULE))
        store.runs.move("r1", Status.PLANNING, now=NOW, executor="here")
        store.runs.move("r1", Status.UNCHANGED, now=NOW, executor="here")
        assert told(store) == []

    def test_deletions_states_tokens_and_sessions(self, store: Store) -> None:
        store.deletions.ask(_a_deletion(), {})
        store.deletions.move("t1", Standing.APPROVED, by="bert", now=NOW, comment="yes")
        store.states.take_in("t1", a_state(1), by="runner", now=NOW)
        store.states.take_in("t1", a_state(2), by="runner", now=NOW)
        store.states.roll_back("t1", 1, by="carl", now=NOW)
        store.states.lock(store.states.open_attempt("t1", "r1", now=NOW), {"ID": "l1"}, now=NOW)
        assert not store.states.break_lock("t1", "l2", by="dora", now=NOW)
        assert store.states.break_lock("t1", "l1", by="dora", now=NOW)
        assert store.states.holder("t1") is None
        secret = store.tokens.create(_a_token())
        store.tokens.revoke("tok", by="emil", now=NOW)
        cookie = store.sessions.begin(SignedIn(id="oidc:x#1", name="Fred", issuer="x"), now=NOW)
        assert told(store) == [
            ("deletion-asked", "anna", "t1"),
            ("deletion-approved", "bert", "t1"),
            ("state-taken-in", "runner", "t1"),
            ("state-taken-in", "runner", "t1"),
            ("state-rolled-back", "carl", "t1"),
            ("state-unlocked", "dora", "t1"),
            ("token-created", "dora", "tok"),
            ("token-revoked", "emil", "tok"),
            ("signed-in", "Fred (oidc:x#1)", ""),
        ]
        kept = "".join(entry.as_json() for entry in store.audit.entries())
        assert secret not in kept
        assert cookie not in kept
        assert wrong(store) == []

    def test_what_was_refused_leaves_no_entry(self, store: Store) -> None:
        a_waiting_run(store, "r1")
        with pytest.raises(Exception, match="another plan"):
            store.runs.approve(an_approval("r1", digest="other"), now=NOW)
        assert [one[0] for one in told(store)] == ["run-started"]

    def test_text_that_a_database_cannot_keep_does_not_break_the_chain(self, store: Store) -> None:
        store.audit.record("tried", by="a\0b\ud800", about="\ud83d\ude00", details={"x": "\0\ud800"}, now=NOW)
        assert wrong(store) == []

    def test_entries_about_one_thing_and_from_some_moment_on(self, store: Store) -> None:
        for number in range(5):
            store.audit.record("tried", by="a", about=f"r{number % 2}", tenant="t", now=NOW + number * HOUR)
        store.audit.record("tried", by="a", about="t", now=NOW + 5 * HOUR)

        def numbers(**asked: Any) -> list[int]:
            return [entry.number for entry in store.audit.entries(**asked)]

        assert numbers(about="r0") == [1, 3, 5]
        assert numbers(about="t") == [1, 2, 3, 4, 5, 6]
        assert numbers(after=3) == [4, 5, 6]
        assert numbers(since=NOW + 4 * HOUR) == [5, 6]
        assert numbers(about="r0", since=NOW + HOUR, after=3) == [5]


class TestTheChain:
    def test_is_held_last_so_that_whoever_has_it_waits_for_nothing(self, store: Store) -> None:
        """Else two transactions could wait for each other: a rotation of the key holds the store's row and wants the chain."""
        held, after = set[int](), list[str]()

        @event.listens_for(store.engine, "before_cursor_execute")
        def _(connection: Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
            if id(connection.get_transaction()) in held and not re.search(r"\baudit(_head)?\b", statement):
                after.append(statement)
            if statement.startswith("SELECT") and "FROM audit_head" in statement:
                held.add(id(connection.get_transaction()))

        @event.listens_for(store.engine, "commit")
        def _(connection: Connection) -> None:
            held.discard(id(connection.get_transaction()))

        a_waiting_run(store, "r1", executor="here")
        store.runs.approve(an_approval("r1"), now=NOW)
        store.runs.ask_apply("r1", options={}, by="anna", now=NOW)
        store.runs.move("r1", Status.APPLYING, now=NOW, executor="here")
        store.runs.move("r1", Status.APPLIED, now=NOW, executor="here")
        store.runs.create(a_run("r2"))
        store.runs.create(a_run("r3"))  # in place of r2
        store.runs.request_cancel("r3", by="anna", now=NOW)
        store.states.take_in("t1", a_state(1), by="runner", now=NOW)
        store.states.take_in("t1", a_state(2), by="runner", now=NOW)
        store.states.roll_back("t1", 1, by="anna", now=NOW)
        store.deletions.ask(_a_deletion(), {})
        store.deletions.move("t1", Standing.APPROVED, by="bert", now=NOW)
        store.tokens.create(_a_token())
        store.tokens.revoke("tok", by="anna", now=NOW)
        upkeep.rotate_key(store)
        assert store.audit.head().number == 16
        assert after == []

    def test_takes_a_new_key_and_goes_on_being_verified_with_the_old_one_beside_it(
        self, store: Store, where: str | Path, key: Path
    ) -> None:
        store.audit.record("tried", by="a", now=NOW)
        file = key.with_name("audit-key")
        old = file.read_text()
        file.write_text(f"{_a_key(b'new')}\n{old}")
        with opened(where, key) as later:
            later.audit.record("tried", by="b", now=NOW)
            assert [entry.key for entry in later.audit.entries()] == [*Keyring.from_file(file).ids][::-1]
            assert wrong(later) == []

    def test_tells_what_was_made_with_a_key_that_is_lost(self, store: Store, where: str | Path, key: Path) -> None:
        for _ in range(3):
            store.audit.record("tried", by="a", now=NOW)
        lost = store.audit.head().key
        key.with_name("audit-key").write_text(_a_key(b"new"))
        with opened(where, key) as later:
            assert wrong(later) == [(1, "key-unknown"), (4, "key-unknown")]  # the entries, and the end
            later.audit.record("tried", by="b", now=NOW)
            assert [one.text for one in later.audit.verify()] == [
                f"Entries 1 to 3 were made with the key {lost}, which is not here."
            ]

    def test_makes_no_new_key_by_itself_where_it_has_begun(self, store: Store, where: str | Path, key: Path) -> None:
        store.audit.record("tried", by="a", now=NOW)
        key.with_name("audit-key").unlink()
        with pytest.raises(Refused) as refused, opened(where, key):
            pass
        assert refused.value.code == "audit-key-missing"
        assert not key.with_name("audit-key").exists()

    def test_is_not_bound_with_the_key_of_the_store(self, where: str | Path, key: Path) -> None:
        same = Keyring.from_file(key)
        with pytest.raises(Refused) as refused, open_store(where, same, Keyring.from_file(key, of="audit")):
            pass
        assert refused.value.code == "audit-key-not-apart"

    def test_has_its_key_outside_of_the_store(self, tmp_path: Path, key: Path) -> None:
        directory = tmp_path / "store"
        inside = Keyring.from_file(directory / "audit-key", of="audit")
        with pytest.raises(Refused) as refused, open_store(directory, Keyring.from_file(key), inside):
            pass
        assert refused.value.code == "audit-key-not-apart"
        assert not directory.exists()

    def test_a_wrong_key_file_is_spoken_of_as_the_audits(self, where: str | Path, key: Path) -> None:
        key.with_name("audit-key").write_text("no key")
        key.with_name("audit-key").chmod(0o600)
        with pytest.raises(InputError) as wrong_key, opened(where, key):
            pass
        assert wrong_key.value.code == "audit-key-malformed"


class TestWhoeverWritesIntoTheStore:
    @pytest.fixture(autouse=True)
    def _entries(self, store: Store) -> None:
        for number in range(1, 6):
            store.audit.record(
                "tried", by=f"who{number}", about="t", details={"n": number}, now=NOW + timedelta(seconds=number)
            )

    @pytest.mark.parametrize("statement", [update(audit).values(by="x"), delete(audit)])
    def test_cannot_change_an_entry_by_mistake(self, store: Store, statement: Executable) -> None:
        with pytest.raises(DBAPIError), store.engine.begin() as tx:
            tx.execute(statement)
        assert wrong(store) == []

    def test_cannot_replace_an_entry_by_mistake(self, store: Store) -> None:
        first = next(store.audit.entries()).model_dump()
        with pytest.raises(DBAPIError), store.engine.begin() as tx:
            tx.execute(insert(audit).prefix_with("OR REPLACE", dialect="sqlite").values(**first))
        assert wrong(store) == []

    @pytest.mark.parametrize("field", ["by", "what", "about", "tenant", "zone", "mac", "details", "at"])
    def test_is_found_to_have_changed_an_entry(self, store: Store, field: str) -> None:
        value: object = {"details": {"n": 99}, "at": NOW}.get(field, "x")
        past_the_triggers(store, update(audit).where(audit.c.number == 3).values({field: value}))
        assert wrong(store) == [(3, "entry-changed")]

    def test_is_found_to_have_left_one_out_or_moved_it(self, store: Store) -> None:
        past_the_triggers(store, delete(audit).where(audit.c.number == 3))
        assert wrong(store) == [(3, "entry-missing")]
        past_the_triggers(store, update(audit).where(audit.c.number == 4).values(number=3))
        assert wrong(store) == [(3, "entry-changed")]

    def test_is_found_to_have_added_one(self, store: Store) -> None:
        forged = list(store.audit.entries())[-1].model_copy(update={"number": 6, "by": "nobody"})
        past_the_triggers(store, insert(audit).values(**forged.model_dump()))
        assert wrong(store) == [(6, "entry-out-of-place")]
        with pytest.raises(Refused) as refused:
            store.runs.create(a_run("r1"))  # which is not done unrecorded
        assert refused.value.code == "audit-altered"
        assert store.runs.find() == ()
        past_the_triggers(store, update(audit_head).values(number=6, mac=forged.mac))
        assert wrong(store) == [(6, "entry-changed")]

    def test_is_found_to_have_cut_off_the_end(self, store: Store) -> None:
        kept, entries = store.audit.head(), list(store.audit.entries())
        past_the_triggers(store, delete(audit).where(audit.c.number > 3))
        assert wrong(store) == [(4, "cut-off")]
        past_the_triggers(store, update(audit_head).values(number=3, mac=entries[2].mac))
        assert wrong(store) == [(4, "cut-off")]  # for the end does not bear its seal
        assert wrong(store, kept) == [(4, "cut-off")]

    def test_is_found_to_have_cut_off_the_end_also_when_more_was_recorded_since(self, store: Store) -> None:
        entries = list(store.audit.entries())
        shortened = update(audit_head).values(number=3, mac=entries[2].mac)
        past_the_triggers(store, delete(audit).where(audit.c.number > 3), shortened)
        for _ in range(3):
            store.audit.record("tried", by="a", now=NOW)
        assert wrong(store) == [(7, "cut-off")]

    def test_gains_nothing_from_naming_another_key(self, store: Store) -> None:
        entries = list(store.audit.entries())
        shortened = update(audit_head).values(number=3, mac=entries[2].mac, key="another")
        past_the_triggers(store, delete(audit).where(audit.c.number > 3), shortened)
        assert wrong(store) == [(4, "key-unknown")]
        store.audit.record("tried", by="a", now=NOW)
        assert wrong(store) == [(5, "cut-off")]
        past_the_triggers(store, update(audit).where(audit.c.number == 3).values(key="another"))
        assert wrong(store) == [(3, "key-unknown"), (5, "cut-off")]

    def test_is_found_to_have_taken_the_end_away(self, store: Store) -> None:
        past_the_triggers(store, delete(audit_head))
        assert wrong(store) == [(6, "head-missing")]
        for act in (store.audit.head, lambda: store.runs.create(a_run("r1"))):
            with pytest.raises(Refused) as refused:
                act()
            assert refused.value.code == "audit-altered"

    def test_is_found_by_a_head_kept_elsewhere_to_have_put_an_older_chain_back(self, store: Store) -> None:
        older = store.audit.head()
        store.audit.record("tried", by="x", now=NOW)
        newer = store.audit.head()
        past_the_triggers(
            store, delete(audit).where(audit.c.number > 5), update(audit_head).values(**older.model_dump())
        )
        assert wrong(store) == []  # as when the store is restored
        assert wrong(store, older) == []
        assert wrong(store, older, newer) == [(6, "cut-off")]
        store.audit.record("tried", by="another", now=NOW)
        assert wrong(store, older, newer) == [(6, "another-chain")]


def past_the_triggers(store: Store, *statements: Executable) -> None:
    with store.engine.begin() as tx:
        if tx.dialect.name == "sqlite":
            for name in ("update", "delete"):
                tx.execute(text(f"DROP TRIGGER IF EXISTS audit_no_{name}"))
        else:
            tx.execute(text("DROP TRIGGER IF EXISTS audit_only_added_to ON audit"))
        for statement in statements:
            tx.execute(statement)


def _a_deletion() -> Deletion:
    return Deletion(tenant="t1", standing=Standing.REQUESTED, reason="ended", requested_by="anna", requested=NOW)


def _a_token() -> ApiToken:
    return ApiToken("tok", "nightly", (Grant(role=Role.VIEWER),), "dora", NOW, NOW + HOUR)


def _a_key(of: bytes) -> str:
    return base64.b64encode(of.ljust(32, b"x")).decode()
