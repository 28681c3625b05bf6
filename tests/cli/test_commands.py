"""Every command tells what it is for, with an example; errors are words and exit codes."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from runner import cli
from runner.cli import COMMANDS, SECTIONS, lzr
from runner.errors import EngineFailed, InputError, Refused, RemoteFailed


def commands() -> Iterator[tuple[str, click.Command]]:
    """All commands by what a person types."""
    context = click.Context(lzr)
    for name in COMMANDS:
        command = lzr.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            for sub in command.list_commands(context):
                found = command.get_command(context, sub)
                assert found is not None
                yield f"{name} {sub}", found


ALL = dict(commands())


def test_every_command_is_in_one_section_of_the_help() -> None:
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted(COMMANDS)


@pytest.mark.parametrize("name", [name for name, command in ALL.items() if not isinstance(command, click.Group)])
def test_every_help_has_an_example_that_the_command_line_understands(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lzr-backup.tar.gz").touch()
    command = ALL[name]
    assert command.help is not None
    examples = re.findall(r"^\s+(lzr .+)$", command.help, re.MULTILINE)
    assert any(example.startswith(f"lzr {name}") for example in examples), f"no example of lzr {name}"
    for example in examples:
        words = shlex.split(example, comments=True)[1:]
        found, rest = resolved(words)
        with click.Context(found, ignore_unknown_options=False) as context:
            found.parse_args(context, rest)  # raises for an option or argument it does not know


def resolved(words: list[str]) -> tuple[click.Command, list[str]]:
    words = words[2:] if words[0] == "--server" else words
    if " ".join(words[:2]) in ALL:
        return ALL[" ".join(words[:2])], words[2:]
    return ALL[words[0]], words[1:]


def test_a_misspelt_command_is_answered_with_the_one_it_probably_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["aproove"]) == 2
    assert "approve" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [(InputError, 2), (Refused, 3), (EngineFailed, 4), (RemoteFailed, 5)],
    ids=lambda value: str(value),
)
def test_an_error_is_told_in_words_with_its_exit_code(
    error: type[InputError], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error("What went wrong", code="some-code", detail="Here it was.", hint="lzr do this")

    monkeypatch.setitem(COMMANDS, "fails", ("tests.cli.test_commands", "Fails."))
    monkeypatch.setattr("tests.cli.test_commands.fails", click.command()(fail), raising=False)
    assert cli.run(["fails"]) == code
    told = capsys.readouterr().err
    assert [part in told for part in ("What went wrong", "Here it was.", "lzr do this")] == [True] * 3


def test_a_bug_is_told_as_one_and_shows_no_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def bug() -> None:
        canary = "canary-in-a-local-variable"
        raise ZeroDivisionError(len(canary))

    monkeypatch.setitem(COMMANDS, "fails", ("tests.cli.test_commands", "Fails."))
    monkeypatch.setattr("tests.cli.test_commands.fails", click.command()(bug), raising=False)
    assert cli.run(["fails"]) == 70
    told = capsys.readouterr()
    assert "The runner has a bug (ZeroDivisionError)" in told.err
    assert "canary-in-a-local-variable" not in told.out + told.err


def test_an_unknown_setting_fails_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LZR_WORKER", "3")
    for arguments in (
        ["runs"],
        ["validate", "."],
        ["schema"],
        ["init", "zones"],
        ["render", "t", "--out", "o"],
        ["sandbox"],
    ):
        assert cli.run(arguments) == 2
        assert "LZR_WORKER is not known" in capsys.readouterr().err


def test_help_is_given_whatever_the_settings_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LZR_WORKER", "3")
    for arguments in (["--help"], ["validate", "--help"], ["store", "check", "--help"]):
        assert cli.run(arguments) == 0
        assert "Usage: lzr" in capsys.readouterr().out


def test_the_sandbox_without_its_packages_says_which_extra_has_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    assert cli.run(["sandbox"]) == 2
    told = capsys.readouterr().err
    assert "grpc" in told
    assert "pip install 'landing-zone-runner[sandbox]'" in told


def test_help_needs_nothing_that_is_slow_to_load() -> None:
    code = "import sys; from runner import cli; cli.run(['--help']); sys.exit('pydantic' in sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"LZR_STORE": "store"}, capture_output=True, check=False
    )
    assert told.returncode == 0


def test_a_wrong_setting_is_told_without_its_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LZR_WORKERS", "canary")
    assert cli.run(["runs", "--json"]) == 2
    told = capsys.readouterr()
    assert json.loads(told.out)["error"]["code"] == "wrong-setting"
    assert "canary" not in told.out + told.err
