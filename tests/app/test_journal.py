"""What a run's journal keeps of what is said while it goes on."""

from __future__ import annotations

from runner.app.journal import RunJournal
from runner.domain.events import Kind
from runner.logs import Redactor
from runner.store.opening import Store
from tests.store.making import NOW, a_run

KEY = "-----BEGIN KEY-----\nYSBzZWNyZXQgb2YgdHdvIGxpbmVz\n-----END KEY-----"


def _kept(store: Store, *texts: str) -> list[str]:
    redactor = Redactor()
    redactor.add(KEY)
    store.runs.create(a_run())
    journal = RunJournal(runs=store.runs, run="r1", now=lambda: NOW, redact=redactor)
    journal.log_all([("info", text) for text in texts])
    return [event.data["text"] for event in store.runs.events("r1", kinds={Kind.LOG})]


def test_a_message_of_several_lines_is_kept_line_by_line(file_store: Store) -> None:
    assert _kept(file_store, "A lock file\nwas made.\n", "", "Done") == ["A lock file", "was made.", "", "Done"]


def test_a_secret_of_several_lines_is_in_none_of_them(file_store: Store) -> None:
    kept = "\n".join(_kept(file_store, f"Error: {KEY}\nis no key"))
    assert not [line for line in KEY.split("\n") if line in kept]
    assert kept.endswith("is no key")


def test_a_secret_where_a_long_message_is_cut_is_not_half_there(file_store: Store) -> None:
    [kept] = _kept(file_store, "x" * (20_000 - 25) + KEY)
    assert "BEGIN" not in kept
