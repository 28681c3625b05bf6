"""The agent's configuration: what the existing runner's file and variables mean here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.agent.config import UNLIMITED, Config, read
from runner.errors import InputError

FILE: dict[str, Any] = {
    "runnerUuid": "145638c0-43bd-4462-80cb-07dc779b88c2",
    "api": {"url": "https://mesh.example/", "clientId": "id", "clientSecret": "from-the-file"},
}


def written(tmp_path: Path, **more: Any) -> Path:
    file = tmp_path / "runner-config.yml"
    file.write_text(yaml.safe_dump({**FILE, **more}), encoding="utf-8")
    return file


def test_a_file_alone_is_enough_and_the_rest_has_the_existing_runners_defaults(tmp_path: Path) -> None:
    config = read({}, written(tmp_path))
    assert config.api.url == "https://mesh.example"
    assert (config.timeout_mins, config.ws_timeout_mins, config.init_timeout_mins) == (60, 5, 3)
    assert config.private_key_file == Path("runner-private.pem")
    assert (config.slots, config.poll_seconds, config.error_seconds) == (3, 10, 60)


def test_variables_alone_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = read(
        {
            "RUNNER_UUID": "u-1",
            "RUNNER_API_URL": "http://127.0.0.1:8080",
            "RUNNER_API_USERNAME": "user",
            "RUNNER_API_PASSWORD": "word",
            "RUNNER_PRIVATE_KEY_FILE": "/keys/one.pem",
            "RUNNER_MAX_CONCURRENT_RUNS": "-1",
            "MANAGEMENT_PORT": "8105",
            "EXECUTION_MODE": "single-run",
            "RUN_JSON_FILE_PATH": "/run/run.json",
            "SSH_KNOWN_HOSTS": "/etc/hosts.known",
            "LOG_LEVEL": "DEBUG",
        }
    )
    assert (config.runner_uuid, config.api.username, config.slots, config.single_run) == (
        "u-1",
        "user",
        UNLIMITED,
        True,
    )
    assert (config.private_key_file, config.run_json_file) == (Path("/keys/one.pem"), Path("/run/run.json"))
    assert (config.management_port, config.ssh_known_hosts, config.log_level) == (8105, "/etc/hosts.known", "DEBUG")


def test_a_run_in_a_file_needs_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = read({"EXECUTION_MODE": "single-run", "RUN_JSON_FILE_PATH": "/run/run.json"})
    assert (config.runner_uuid, config.api.url) == ("single-run", "https://meshstack.invalid")


def test_a_variable_goes_before_the_file_and_the_file_is_found_by_its_own_variable(tmp_path: Path) -> None:
    file = written(tmp_path, privateKey="-----in the file-----")
    given = {
        "RUNNER_CONFIG_FILE": str(file),
        "RUNNER_API_CLIENT_SECRET": "from-outside",
        "RUNNER_PRIVATE_KEY_FILE": "k.pem",
    }
    config = read(given)
    assert config.api.client_secret.get_secret_value() == "from-outside"
    assert config.private_key.get_secret_value() == ""
    assert config.private_key_file == Path("k.pem")


def test_a_key_file_of_the_file_is_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("PEM", encoding="utf-8")
    assert read({}, written(tmp_path, privateKeyFile="key.pem")).key_pem() == ("PEM", str(tmp_path / "key.pem"))


def test_the_older_name_of_the_user_is_read_and_both_ports(tmp_path: Path) -> None:
    older = {"url": "https://mesh.example", "user": "me", "password": "x"}
    assert read({"PORT": "9000"}, written(tmp_path, api=older)).api.username == "me"
    assert read({"PORT": "9000", "MANAGEMENT_PORT": "9001"}, written(tmp_path)).management_port == 9001


def test_keys_that_nobody_knows_are_told_and_left_alone(tmp_path: Path) -> None:
    config = read({}, written(tmp_path, registration={"x": 1}, api={**FILE["api"], "later": True}))
    assert config.unknown == ("registration", "api.later")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"api": {"url": "not-an-address", "clientId": "i"}}, "api.url (or RUNNER_API_URL): this is no address"),
        ({"runnerUuid": "a b"}, "runnerUuid (or RUNNER_UUID)"),
        ({"timeoutMins": 0}, "timeoutMins"),
        ({"api": None}, "api"),
    ],
)
def test_what_is_wrong_is_told_with_key_and_variable_and_without_its_value(
    tmp_path: Path, more: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError) as wrong:
        read({}, written(tmp_path, **more))
    assert told in wrong.value.detail
    assert "not-an-address" not in wrong.value.detail


@pytest.mark.parametrize("content", [b"- a list", b"a: [", b"\xff\xfe"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.yml"
    file.write_bytes(content)
    with pytest.raises(InputError) as wrong:
        read({}, file)
    assert "broken.yml" in wrong.value.detail


def test_a_file_that_is_named_and_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as wrong:
        read({"RUNNER_CONFIG_FILE": str(tmp_path / "none.yml")})
    assert "No such file" in wrong.value.detail


def test_secrets_of_the_file_are_not_in_what_is_printed_of_it(tmp_path: Path) -> None:
    assert "from-the-file" not in repr(read({}, written(tmp_path)))
    assert isinstance(read({}, written(tmp_path)), Config)
