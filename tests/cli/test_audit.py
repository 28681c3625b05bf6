"""`lzr audit` and `lzr token`: what they tell, what they find, and with which exit code."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from runner import cli
from runner.store.opening import open_store
from runner.store.sealing import Keyring
from tests.store.making import HOUR, NOW, a_run, a_waiting_run, an_approval

Lzr = Callable[..., tuple[int, str, str]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store in which an approved run, a state and an attack on the terminal were recorded."""
    place, audit_key = tmp_path / "store", tmp_path / "audit-key"
    monkeypatch.setenv("LZR_STORE", str(place))
    monkeypatch.setenv("LZR_AUDIT_KEY_FILE", str(audit_key))
    place.mkdir(mode=0o700)
    with open_store(place, Keyring.from_file(place / "key"), Keyring.from_file(audit_key, of="audit")) as store:
        a_waiting_run(store, "r1")
        store.runs.approve(an_approval("r1", comment="\x1b[2J\u202eno"), now=NOW)
        store.runs.create(a_run("r2", tenant="acme.other", created=NOW + 48 * HOUR))
        store.states.lock(store.states.open_attempt("acme.locked", "r2", now=NOW), {"ID": "l1", "Who": "dead"}, now=NOW)
    return place


@pytest.fixture
def lzr(place: Path, capsys: pytest.CaptureFixture[str]) -> Lzr:
    def lzr(*arguments: object) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        code = cli.run([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return lzr


def found(lzr: Lzr, *arguments: object) -> tuple[int, Any]:
    code, out, _ = lzr("audit", *arguments, "--json")
    return code, json.loads(out)


class TestListing:
    def test_entries_are_told_oldest_first_and_harmlessly(self, lzr: Lzr) -> None:
        code, out, _ = lzr("audit", "list")
        assert code == 0
        lines = out.splitlines()
        assert [line.split()[3] for line in lines] == ["run-started", "run-approved", "run-started"]
        assert lines[1].split()[4:6] == ["r1", "acme.shop.prod"]
        assert "by bert@example.com" in lines[1]
        assert "\x1b" not in out
        assert "\u202e" not in out

    def test_those_about_a_run_a_tenant_and_from_some_day_on(self, lzr: Lzr) -> None:
        for asked, numbers in (
            (("--about", "r1"), [1, 2]),
            (("--about", "acme.shop.prod"), [1, 2]),
            (("--about", "acme.other"), [3]),
            (("--since", "2026-03-05"), [3]),
            (("--limit", "1"), [3]),
            (("--about", "r1", "--limit", "1"), [2]),
            (("--about", "nobody"), []),
        ):
            assert [entry["number"] for entry in found(lzr, "list", *asked)[1]] == numbers, asked
        assert lzr("audit", "list", "--about", "nobody")[1] == "No entries.\n"


class TestVerifying:
    def test_a_whole_chain_with_the_heads_that_were_kept(self, lzr: Lzr) -> None:
        head = lzr("audit", "head")[1].strip()
        assert lzr("audit", "verify", "--head", head)[:2] == (
            0,
            "The audit is whole: every entry is as it was written.\n",
        )
        lzr("token", "create", "nightly", "--role", "viewer")
        assert found(lzr, "verify", "--head", head, "--head", "0:") == (0, {"whole": True, "wrong": []})

    def test_what_was_changed_is_named_by_its_number(self, lzr: Lzr, place: Path) -> None:
        tampered(place, "UPDATE audit SET by = 'nobody' WHERE number = 2")
        code, told = found(lzr, "verify")
        assert code == 7
        assert [(one["number"], one["code"]) for one in told["wrong"]] == [(2, "entry-changed")]
        assert lzr("audit", "verify")[:2] == (7, "✗ Entry 2 was changed, or the one before it was.\n")

    def test_a_cut_off_end_is_found_by_its_seal(self, lzr: Lzr, place: Path) -> None:
        shortened = "UPDATE audit_head SET number = 2, mac = (SELECT mac FROM audit WHERE number = 2)"
        tampered(place, shortened, "DELETE FROM audit WHERE number = 3")
        assert [(one["number"], one["code"]) for one in found(lzr, "verify")[1]["wrong"]] == [(3, "cut-off")]

    def test_an_end_that_is_gone_is_told_and_never_a_traceback(self, lzr: Lzr, place: Path) -> None:
        tampered(place, "DELETE FROM audit_head")
        assert found(lzr, "verify")[1]["wrong"][0]["code"] == "head-missing"
        for command in (("audit", "head"), ("audit", "list"), ("audit", "export", place.parent / "out")):
            code, out, told = lzr(*command)
            assert code == 3
            assert "audit" in out + told
            assert "Traceback" not in out + told

    @pytest.mark.parametrize("head", ["", "3", "x:y", "3:abc", "-1:" + "0" * 64, "²:" + "0" * 64])
    def test_what_is_no_head_is_wrong_input(self, lzr: Lzr, head: str) -> None:
        assert lzr("audit", "verify", "--head", head)[0] == 2

    def test_without_its_key_nothing_is_taken_for_whole(self, lzr: Lzr, tmp_path: Path) -> None:
        (tmp_path / "audit-key").unlink()
        code, out, told = lzr("audit", "verify")
        assert code == 3
        assert "lzr audit verify" in out + told


class TestExports:
    @pytest.fixture
    def export(self, lzr: Lzr, tmp_path: Path) -> Path:
        assert lzr("audit", "export", tmp_path / "audit.jsonl")[0] == 0
        return tmp_path / "audit.jsonl"

    def test_one_is_verified_without_the_store(
        self, lzr: Lzr, export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        head = lzr("audit", "head")[1].strip()
        monkeypatch.setenv("LZR_STORE", str(tmp_path / "elsewhere"))
        assert found(lzr, "verify", "--export", export, "--head", head) == (0, {"whole": True, "wrong": []})
        assert not (tmp_path / "elsewhere").exists()

    @pytest.mark.parametrize(
        ("change", "wrong"),
        [
            (lambda lines: [lines[0].replace("anna", "nobody"), *lines[1:]], (1, "entry-changed")),
            (lambda lines: [lines[0], *lines[2:]], (2, "entry-missing")),
            (lambda lines: [lines[1], lines[0], *lines[2:]], (1, "entry-missing")),
            (lambda lines: [lines[0], *lines], (2, "entry-out-of-place")),
            (lambda lines: lines[:-1], (4, "head-missing")),
            (lambda lines: [*lines[:2], lines[3]], (3, "cut-off")),
            (lambda lines: [*lines[:2], shortened(lines)], (3, "cut-off")),
        ],
    )
    def test_any_change_of_one_is_found(
        self, lzr: Lzr, export: Path, change: Callable[[list[str]], list[str]], wrong: tuple[int, str]
    ) -> None:
        export.write_text("\n".join(change(export.read_text().splitlines())) + "\n")
        code, told = found(lzr, "verify", "--export", export)
        assert code == 7
        assert [(one["number"], one["code"]) for one in told["wrong"]] == [wrong]

    @pytest.mark.parametrize("more", ["{}", "no json", "[1]", '{"number": 1}', "\udcff"])
    def test_what_is_no_export_is_wrong_input_with_its_line(self, lzr: Lzr, export: Path, more: str) -> None:
        export.write_text(export.read_text() + more + "\n", errors="surrogateescape")
        code, out, told = lzr("audit", "verify", "--export", export)
        assert code == 2
        assert "line 5" in out + told

    def test_a_place_that_cannot_be_written_is_wrong_input(self, lzr: Lzr, tmp_path: Path) -> None:
        assert lzr("audit", "export", tmp_path / "no" / "where")[0] == 2


def test_who_unlocked_a_state_is_recorded(lzr: Lzr) -> None:
    assert lzr("state", "unlock", "acme.locked", "--yes")[0] == 0
    (entry,) = found(lzr, "list", "--about", "acme.locked")[1]
    assert (entry["what"], entry["by"], entry["details"]["lock"]) == ("state-unlocked", getpass.getuser(), "l1")
    assert lzr("state", "unlock", "acme.locked", "--yes")[1] == "acme.locked is not locked.\n"


def test_tokens_are_made_listed_revoked_and_recorded(lzr: Lzr) -> None:
    code, secret, told = lzr("token", "create", "nightly", "--role", "operator", "--zone", "corp", "--days", "7")
    assert code == 0
    (listed,) = json.loads(lzr("token", "list", "--json")[1])
    assert secret.strip() not in json.dumps(listed)
    assert secret.strip().startswith(f"lzr_{listed['id']}_")
    assert listed["grants"] == [{"role": "operator", "zones": ["corp"], "workspaces": []}]
    assert lzr("token", "revoke", listed["id"])[0] == 0
    assert "revoked" in lzr("token", "list")[1]
    kept = found(lzr, "list", "--about", listed["id"])[1]
    assert [entry["what"] for entry in kept] == ["token-created", "token-revoked"]
    assert secret.strip().split("_")[2] not in json.dumps(kept) + told
    assert 'grants [{"role": "operator", ' in lzr("audit", "list", "--about", listed["id"])[1]


@pytest.mark.parametrize("days", ["0", "366", "x"])
def test_a_token_lives_for_a_year_at_most(lzr: Lzr, days: str) -> None:
    assert lzr("token", "create", "nightly", "--role", "viewer", "--days", days)[0] == 2


def shortened(lines: list[str]) -> str:
    """The head that somebody without the key can make for the first two entries."""
    return json.dumps({**json.loads(lines[-1]), "number": 2, "mac": json.loads(lines[1])["mac"]})


def tampered(place: Path, *statements: str) -> None:
    audit_keyring = Keyring.from_file(place.parent / "audit-key", of="audit")
    with (
        open_store(place, Keyring.from_file(place / "key"), audit_keyring) as store,
        store.engine.begin() as tx,
    ):
        for name in ("update", "delete"):
            tx.execute(text(f"DROP TRIGGER audit_no_{name}"))
        for statement in statements:
            tx.execute(text(statement))
