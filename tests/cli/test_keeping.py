"""Commands about the store and its states: what they say, what they ask, and what they refuse without an answer."""

from __future__ import annotations

import io
import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from runner import cli
from runner.cli.asking import ask
from runner.errors import Refused
from runner.store.opening import open_store
from runner.store.sealing import Keyring
from tests.store.making import NOW, a_state

TENANT = "acme.shop.prod"
Lzr = Callable[..., tuple[int, str, str]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store that the commands use, with two versions of a tenant's state."""
    place = tmp_path / "store"
    monkeypatch.setenv("LZR_STORE", str(place))
    place.mkdir(mode=0o700)
    monkeypatch.setenv("LZR_AUDIT_KEY_FILE", str(tmp_path / "audit-key"))
    keyrings = Keyring.from_file(place / "key"), Keyring.from_file(tmp_path / "audit-key", of="audit")
    with open_store(place, *keyrings) as store:
        for serial in (1, 2):
            store.states.take_in(TENANT, a_state(serial), by="anna", now=NOW)
    return place


@pytest.fixture
def lzr(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lzr:
    def lzr(*arguments: object, answer: str = "") -> tuple[int, str, str]:
        """Exit code, standard output and standard error; without an answer nobody is there to give one."""
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        code = cli.run([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return lzr


def keys(file: Path) -> tuple[str, ...]:
    return Keyring.from_file(file).ids


class TestRotatingTheKey:
    def test_it_is_asked_for_and_says_what_becomes_of_backups(self, lzr: Lzr, place: Path) -> None:
        before = keys(place / "key")
        code, _, told = lzr("store", "rotate-key", answer="n\n")
        assert code == 130
        assert "Backups from before open with the old key only" in told
        assert keys(place / "key") == before

    def test_without_anybody_to_answer_it_is_refused_and_yes_is_named(self, lzr: Lzr, place: Path) -> None:
        before = keys(place / "key")
        code, _, told = lzr("store", "rotate-key")
        assert code == 3
        assert "--yes" in told
        assert keys(place / "key") == before

    @pytest.mark.parametrize(("more", "answer"), [((), "y\n"), (("--yes",), "")])
    def test_the_old_key_is_kept_beside_and_opens_a_backup_from_before(
        self, lzr: Lzr, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], answer: str
    ) -> None:
        (old,) = keys(place / "key")
        assert lzr("store", "backup", tmp_path / "backup")[0] == 0
        code, told, _ = lzr("store", "rotate-key", *more, answer=answer)
        assert code == 0
        (kept,) = place.glob("key.before-*")
        assert str(kept) in told
        assert kept.name == f"key.before-{keys(place / 'key')[0]}"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert keys(kept) == (old,)
        assert lzr("store", "restore", tmp_path / "backup", "--force")[0] == 3
        monkeypatch.setenv("LZR_STORE_KEY_FILE", str(kept))
        code, told, _ = lzr("store", "restore", tmp_path / "backup", "--force")
        assert code == 0
        assert f"It opens with {kept}" in told
        assert lzr("store", "check")[0] == 0

    def test_a_key_from_a_variable_is_rotated_as_before_for_nothing_is_lost(
        self, lzr: Lzr, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fresh = place.parent / "fresh"
        Keyring.from_file(fresh).first()
        monkeypatch.setenv("LZR_STORE_KEY", fresh.read_text() + (place / "key").read_text())
        code, told, _ = lzr("store", "rotate-key")
        assert code == 0
        assert "No longer needed here" in told
        assert not list(place.glob("key.before-*"))


class TestStates:
    @pytest.mark.parametrize("arguments", [("versions",), ("versions", "--json"), ("show",), ("show", "--raw")])
    def test_a_tenant_without_a_state_is_an_error_in_every_form(self, lzr: Lzr, arguments: tuple[str, ...]) -> None:
        code, out, told = lzr("state", arguments[0], "nobody", *arguments[1:])
        assert code == 2
        assert "stateBackend local" in out + told
        if "--json" in arguments:
            assert json.loads(out)["error"]["code"] == "unknown-state"

    def test_rolling_back_to_what_is_the_state_already_asks_nothing_and_changes_nothing(self, lzr: Lzr) -> None:
        code, told, asked = lzr("state", "rollback", TENANT, 2)
        assert (code, asked) == (0, "")
        assert "is the state of acme.shop.prod already" in told
        assert len(json.loads(lzr("state", "versions", TENANT, "--json")[1])) == 2

    def test_rolling_back_is_asked_for(self, lzr: Lzr) -> None:
        assert lzr("state", "rollback", TENANT, 1, answer="n\n")[0] == 130
        code, _, told = lzr("state", "rollback", TENANT, 1)
        assert code == 3
        assert "--yes" in told
        assert lzr("state", "rollback", TENANT, 1, answer="y\n")[0] == 0
        assert lzr("state", "rollback", TENANT, 2, "--yes")[0] == 0
        assert [row["serial"] for row in json.loads(lzr("state", "versions", TENANT, "--json")[1])] == [4, 3, 2, 1]

    def test_rolling_back_to_what_never_was_is_an_error(self, lzr: Lzr) -> None:
        assert lzr("state", "rollback", TENANT, 9, "--yes")[0] == 2
        assert lzr("state", "rollback", "nobody", 1, "--yes")[0] == 2


def test_a_key_file_in_a_folder_that_is_not_there_is_a_wrong_setting(
    lzr: Lzr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LZR_STORE_KEY_FILE", str(tmp_path / "missing" / "key"))
    for store in (tmp_path / "store", tmp_path / "new"):
        monkeypatch.setenv("LZR_STORE", str(store))
        code, _, told = lzr("runs")
        assert code == 2
        assert "LZR_STORE_KEY_FILE" in told
        assert str(tmp_path / "missing") in told
        assert "Make room" not in told


def test_a_person_who_stops_the_question_at_a_terminal_has_canceled(monkeypatch: pytest.MonkeyPatch) -> None:
    import click

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    with pytest.raises(click.Abort):
        ask("Do it?", yes=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(Refused):
        ask("Do it?", yes=False)
