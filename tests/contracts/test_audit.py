"""The record of who did what: written with what it tells, and any change of it is found. On SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import multiprocessing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, insert, text, update
from sqlalchemy.exc import DBAPIError

from runner.domain.actor import Grant, Role, SignedIn
from runner.domain.audit import BEGINNING, Entry, Head, verify
from runner.domain.deletion import Deletion, Standing
from runner.domain.run import Status
from runner.ports import SCHEDULE, ApiToken
from runner.store.opening import Store
from runner.store.tables import audit, audit_head
from tests.store.making import HOUR, NOW, a_run, a_state, a_waiting_run, an_approval, opened

pytest_plugins = ("tests.store.fixtures",)


def told(store: Store) -> list[tuple[str, str, str]]:
    return [(entry.what, entry.by, entry.about) for entry in store.audit.entries()]


def wrong(store: Store, *known: Head) -> list[str]:
    found = verify(store.audit.entries(), store.audit.mac, head=store.audit.head(), known=known)
    return [f"{one.number}: {one.text}" for one in found]


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
        assert approved.details == {"tenant": "acme.shop.prod", "digest": "d1", "comment": "as agreed"}
        assert (approved.zone, approved.at) == ("corp", NOW)
        assert wrong(store) == []

    def test_what_was_decided_against(self, store: Store) -> None:
        a_waiting_run(store, "r1")
        store.runs.move("r1", Status.REJECTED, now=NOW, by="carl")
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
        asked = Deletion(tenant="t1", standing=Standing.REQUESTED, reason="ended", requested_by="anna", requested=NOW)
        store.deletions.ask(asked, {})
        store.deletions.move("t1", Standing.APPROVED, by="bert", now=NOW, comment="yes")
        store.states.take_in("t1", a_state(1), by="runner", now=NOW)
        store.states.take_in("t1", a_state(2), by="runner", now=NOW)
        store.states.roll_back("t1", 1, by="carl", now=NOW)
        token = ApiToken("tok", "nightly", (Grant(role=Role.VIEWER),), "dora", NOW, NOW + HOUR)
        secret = store.tokens.create(token)
        store.tokens.revoke("tok", by="emil", now=NOW)
        cookie = store.sessions.begin(SignedIn(id="oidc:x#1", name="Fred", issuer="x"), now=NOW)
        assert told(store) == [
            ("deletion-asked", "anna", "t1"),
            ("deletion-approved", "bert", "t1"),
            ("state-taken-in", "runner", "t1"),
            ("state-taken-in", "runner", "t1"),
            ("state-rolled-back", "carl", "t1"),
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

    def test_entries_about_one_thing(self, store: Store) -> None:
        for number in range(5):
            store.audit.record("tried", by="a", about=f"t{number % 2}", now=NOW)
        assert [entry.number for entry in store.audit.entries(about="t0")] == [1, 3, 5]
        assert [entry.number for entry in store.audit.entries(after=3)] == [4, 5]


class TestWhoeverWritesIntoTheStore:
    @pytest.fixture(autouse=True)
    def _entries(self, store: Store) -> None:
        for number in range(1, 6):
            store.audit.record(
                "tried", by=f"who{number}", about="t", details={"n": number}, now=NOW + timedelta(seconds=number)
            )

    def _past_the_triggers(self, store: Store, *statements: object) -> None:
        with store.engine.begin() as tx:
            if tx.dialect.name == "sqlite":
                for name in ("update", "delete"):
                    tx.execute(text(f"DROP TRIGGER IF EXISTS audit_no_{name}"))
            else:
                tx.execute(text("DROP TRIGGER IF EXISTS audit_only_added_to ON audit"))
            for statement in statements:
                tx.execute(statement)  # type: ignore[call-overload]

    @pytest.mark.parametrize("statement", [update(audit).values(by="x"), delete(audit)])
    def test_cannot_change_an_entry_by_mistake(self, store: Store, statement: object) -> None:
        with pytest.raises(DBAPIError), store.engine.begin() as tx:
            tx.execute(statement)  # type: ignore[call-overload]
        assert wrong(store) == []

    @pytest.mark.parametrize(
        "values",
        [
            {"by": "x"},
            {"what": "x"},
            {"about": "x"},
            {"zone": "x"},
            {"details": {"n": 99}},
            {"at": NOW},
            {"mac": "0" * 64},
        ],
    )
    def test_is_found_to_have_changed_an_entry(self, store: Store, values: dict[str, object]) -> None:
        self._past_the_triggers(store, update(audit).where(audit.c.number == 3).values(**values))
        assert wrong(store) == ["3: it, or what stood before it, was changed"]

    def test_is_found_to_have_left_one_out_or_moved_it(self, store: Store) -> None:
        self._past_the_triggers(store, delete(audit).where(audit.c.number == 3))
        assert wrong(store) == ["3: entry 3 is missing: 4 follows 2"]
        self._past_the_triggers(store, update(audit).where(audit.c.number == 4).values(number=3))
        assert wrong(store)[0].startswith("3:")

    def test_is_found_to_have_added_one(self, store: Store) -> None:
        last = list(store.audit.entries())[-1]
        forged = last.model_copy(update={"number": 6, "by": "nobody"})
        self._past_the_triggers(store, insert(audit).values(**forged.model_dump()), update(audit_head).values(number=6))
        assert wrong(store) == ["6: it, or what stood before it, was changed"]

    def test_is_found_to_have_cut_off_the_end(self, store: Store) -> None:
        kept, entries = store.audit.head(), list(store.audit.entries())
        self._past_the_triggers(store, delete(audit).where(audit.c.number > 3))
        assert wrong(store) == ["4: the chain ends at 3, and the store says that it ends at 5"]
        self._past_the_triggers(store, update(audit_head).values(number=3, mac=entries[2].mac))
        assert wrong(store) == []  # so well done that only a head that was kept elsewhere shows it
        assert wrong(store, kept) == ["4: the chain was cut off: it had 5 entries when that head was kept"]

    def test_is_found_to_have_begun_another_chain(self, store: Store) -> None:
        kept = store.audit.head()
        self._past_the_triggers(store, delete(audit), update(audit_head).values(number=0, mac=BEGINNING))
        for _ in range(5):
            store.audit.record("tried", by="x", now=NOW)
        assert wrong(store) == []
        assert wrong(store, kept) == ["5: it is another one than when that head was kept"]

    def test_a_key_that_is_not_here_is_told(self, store: Store) -> None:
        found = list(verify(store.audit.entries(), lambda key, content: None, head=store.audit.head()))
        assert "which is not here" in found[0].text


def _writes(where: str, key: str, name: str) -> None:
    with opened(where, Path(key)) as store:
        for _ in range(25):
            store.audit.record("tried", by=name, now=NOW)


def test_several_processes_write_one_chain(store: Store, where: str | Path, key: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_writes, args=(str(where), str(key), name)) for name in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert store.audit.head().number == 75
    assert wrong(store) == []


def _mac(key: str, content: bytes) -> str:
    return sha256(b"key" + content).hexdigest()


_TEXT = st.text(max_size=5)
_ENTRIES = st.lists(st.tuples(_TEXT, _TEXT, st.dictionaries(_TEXT, st.integers(), max_size=2)), min_size=1, max_size=6)


@given(given_=_ENTRIES, data=st.data())
def test_any_single_change_of_any_entry_is_found(
    given_: list[tuple[str, str, dict[str, int]]], data: st.DataObject
) -> None:
    chain: list[Entry] = []
    before = BEGINNING
    for number, (by, about, details) in enumerate(given_, start=1):
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
        entry = Entry(number=number, at=at, by=by, what="w", about=about, zone="", details=details, key="k")
        entry = entry.model_copy(update={"mac": _mac("k", entry.content(before))})
        before = entry.mac
        chain.append(entry)
    head = Head(number=len(chain), mac=before)
    assert list(verify(chain, _mac, head=head)) == []
    which = data.draw(st.integers(0, len(chain) - 1))
    field = data.draw(st.sampled_from(["by", "what", "about", "zone", "details", "at", "mac", "gone", "twice"]))
    changed = list(chain)
    if field == "gone":
        del changed[which]
    elif field == "twice":
        changed.insert(which, chain[which])
    else:
        other: object = {
            "details": {"other": 1, **chain[which].details, "n": "changed"},
            "at": datetime(2025, 1, 1, tzinfo=UTC),
        }.get(
            field,
            getattr(chain[which], field, "") if field in ("details", "at") else str(getattr(chain[which], field)) + "x",
        )
        changed[which] = chain[which].model_copy(update={field: other})
    found = list(verify(changed, _mac, head=head))
    assert len(found) == 1
    assert found[0].number <= which + 2


def test_an_export_is_verified_line_by_line(store: Store) -> None:
    for _ in range(3):
        store.audit.record("tried", by="a", now=NOW)
    lines = [entry.as_json() for entry in store.audit.entries()]
    again = [Entry.model_validate_json(line) for line in lines]
    assert list(verify(again, store.audit.mac, head=store.audit.head())) == []
    assert json.loads(lines[0])["number"] == 1
