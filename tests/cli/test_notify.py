"""`lzr notify`: trying a channel, and sending again what none took."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from runner import cli
from runner.domain.notice import Event, notice_of
from runner.ports import Letter
from runner.store.opening import Store
from tests.azure.loopback import Reply
from tests.channels.conftest import PATH, SIGNING, Serve
from tests.channels.conftest import certificates as certificates
from tests.channels.conftest import serve as serve
from tests.store.making import NOW, a_run, opened

CONFIG = """
publicUrl: https://lzr.example.com
notifications:
  allowedHosts: [127.0.0.1]
  channels:
    - {name: chat, type: slack, url: {env: CHAT_URL}}
    - {name: program, type: webhook, url: "https://127.0.0.1:9/", secrets: [{env: HOOK}]}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command line keeps its store, with a configuration."""
    monkeypatch.setenv("LZR_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("LZR_STORE_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("LZR_AUDIT_KEY_FILE", str(tmp_path / "audit-key"))
    (tmp_path / "server.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


@pytest.fixture
def buried(place: Path) -> Iterator[Store]:
    """A store with two letters that no channel took."""
    with opened(place / "store", place / "key") as store:
        for name in ("m1", "m2"):
            notice = notice_of(Event.WAITING, a_run(name, "acme.\u202eshop"), None, public_url="")
            store.outbox.put([Letter(name, "chat", "waiting", notice)], seen=NOW, now=NOW)
            taken = store.outbox.take(["chat"], now=NOW, lease=timedelta(minutes=5))
            assert taken is not None
            store.outbox.bury(taken, now=NOW, code="notice-not-taken", detail="hooks.slack.com answers 404.")
        yield store


def test_a_sample_goes_to_the_channel(
    place: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(lambda received: Reply(200))
    monkeypatch.setenv("CHAT_URL", f"{server.url}{PATH}")
    monkeypatch.setenv("LZR_CA_FILE", str(server.ca_file))
    assert cli.run(["notify", "test", "chat", "--config", str(place / "server.yaml")]) == 0
    told = capsys.readouterr()
    assert "chat took it" in told.out
    assert server.requests[0].json["text"].startswith("Test: ")
    assert "canary" not in told.out + told.err


def test_a_channel_that_does_not_take_it_is_told_without_its_secrets(
    place: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(lambda received: Reply(404))
    monkeypatch.setenv("CHAT_URL", f"{server.url}{PATH}")
    monkeypatch.setenv("HOOK", SIGNING)
    monkeypatch.setenv("LZR_CA_FILE", str(server.ca_file))
    monkeypatch.setenv("LZR_LOG_LEVEL", "debug")
    for channel in ("chat", "program"):
        assert cli.run(["notify", "test", channel, "--config", str(place / "server.yaml")]) == 5
    told = capsys.readouterr()
    assert "127.0.0.1 answers 404." in told.err
    assert "canary" not in told.out + told.err
    assert "MfKQ" not in told.out + told.err


def test_an_unknown_channel_and_a_missing_secret_are_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["notify", "test", "nobody", "--config", str(place / "server.yaml")]) == 2
    assert "One of: chat, program" in capsys.readouterr().err
    assert cli.run(["notify", "test", "chat", "--config", str(place / "server.yaml")]) == 2
    assert "CHAT_URL" in capsys.readouterr().err


def test_what_no_channel_took_is_listed(buried: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["notify", "failed"]) == 0
    told = capsys.readouterr().out
    assert "acme.<U+202E>shop waits for a decision" in told
    assert "hooks.slack.com answers 404." in told
    assert cli.run(["notify", "failed", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["id"], one["channel"], one["code"]) for one in found] == [
        ("m1", "chat", "notice-not-taken"),
        ("m2", "chat", "notice-not-taken"),
    ]


def test_what_no_channel_took_is_sent_again_by_id_or_all(buried: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["notify", "retry"]) == 2
    assert cli.run(["notify", "retry", "m1", "--all"]) == 2
    assert cli.run(["notify", "retry", "m1", "unknown"]) == 2
    assert [one.letter.id for one in buried.outbox.dead()] == ["m2"]
    assert cli.run(["notify", "retry", "--all"]) == 0
    assert "1 will be sent again" in capsys.readouterr().out
    assert cli.run(["notify", "failed"]) == 0
    assert "Nothing failed." in capsys.readouterr().out
