"""What may be set: wrong settings are told at the start, in words, and never with what they hold."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from runner import settings, wiring
from runner.domain.document import SecretReference
from runner.errors import InputError
from runner.sandbox import certificates


def wrong(monkeypatch: pytest.MonkeyPatch, **variables: str) -> InputError:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as caught:
        settings.read()
    return caught.value


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LZR_WORKERS", "0", "greater than or equal to 1"),
        ("LZR_LIMITS__INIT", "-PT5S", "greater than"),
        ("LZR_REVIEW_EXPIRES", "0", "greater than"),
        ("LZR_PROXY", "proxy:3128", "no address of a proxy"),
        ("LZR_CA_FILE", "/nonexistent/ca.pem", "No such file"),
        ("LZR_CA_FILE", __file__, "no PEM file"),
        ("LZR_MIRROR", "/nonexistent", "no folder"),
        ("LZR_LOG_LEVEL", "loud", "should match"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    error = wrong(monkeypatch, **{name: value})
    assert error.code == "wrong-setting"
    assert error.detail.startswith(f"{name}: ")
    assert said in error.detail


@pytest.mark.parametrize("name", ["LZR_ENGIN", "LZR_LIMITS", "LZR_LIMITS__COFFEE"])
def test_an_unknown_setting_fails_the_start(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    error = wrong(monkeypatch, **{name: "1"})
    assert (error.code, name in error.detail) == ("unknown-setting", True)


@pytest.mark.parametrize(("written", "meant"), [("PT1M30S", 90), ("90", 90), ("0.5", 0.5)])
def test_a_duration_is_iso_8601_or_seconds(monkeypatch: pytest.MonkeyPatch, written: str, meant: float) -> None:
    monkeypatch.setenv("LZR_FUNCTION_TIMEOUT", written)
    assert settings.read().function_timeout.total_seconds() == meant


def test_a_password_in_a_wrong_proxy_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "canary" not in str(wrong(monkeypatch, LZR_PROXY="anna:canary@proxy:3128").__dict__)


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in settings.Settings.model_fields:
        monkeypatch.setenv(f"LZR_{name.upper()}", "")
    monkeypatch.delenv("LZR_LIMITS")
    assert settings.read() == settings.Settings()
    assert settings.read().store.get_secret_value() == settings.default_store()


@pytest.mark.parametrize("store", ["", "/elsewhere/store"])
def test_a_sandbox_has_a_store_and_an_audit_key_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: str
) -> None:
    monkeypatch.setenv("LZR_SANDBOX", str(tmp_path))
    monkeypatch.setenv("LZR_STORE", store)
    read = settings.read()
    assert read.store.get_secret_value() == (store or str(tmp_path / "store"))
    assert read.audit_key_file == tmp_path / "audit-key"


@pytest.mark.parametrize(("name", "value"), [("LZR_AUDIT_KEY_FILE", "/elsewhere/key"), ("LZR_AUDIT_KEY", "canary")])
def test_an_audit_key_that_is_named_is_taken_in_a_sandbox_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    monkeypatch.setenv("LZR_SANDBOX", str(tmp_path))
    monkeypatch.setenv(name, value)
    assert settings.read().audit_key_file == (Path(value) if name.endswith("FILE") else None)


def test_paths_that_the_engine_gets_as_well_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ca = certificates.ensure(tmp_path, names=["localhost"], now=datetime.now(UTC)).ca_file
    (tmp_path / "mirror").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LZR_CA_FILE", ca.name)
    monkeypatch.setenv("LZR_MIRROR", "mirror")
    read = settings.read()
    assert (read.ca_file, read.mirror) == (ca, tmp_path / "mirror")


@pytest.mark.parametrize("content", ["", "\n"])
def test_an_empty_secret_is_a_missing_one(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret").write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        wiring.read_secret(SecretReference(file=str(tmp_path / "secret")))
    assert (caught.value.code, "is empty" in caught.value.detail) == ("secret-missing", True)
