"""What the agent is told: `runner-config.yml` and `RUNNER_…` variables, as the existing runner reads them, and what this one adds.

Source of names and defaults: github meshcloud/building-block-runner, tf-block-runner/tfrun/config.go and README. A variable goes before
the file; a key that nobody knows is told and left alone, for the file may serve another runner too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from runner.errors import InputError

DEFAULT_FILE = "runner-config.yml"
UNLIMITED = 10_000
_PRIVATE_KEY_FILE = "runner-private.pem"
_NOBODY = "single-run"
_NOWHERE = "https://meshstack.invalid"


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="allow", alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True
    )


class Api(_Part):
    """Where meshStack is, and the credential that claims runs."""

    url: str
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    username: str = ""
    password: SecretStr = SecretStr("")

    @model_validator(mode="before")
    @classmethod
    def _older_name(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("user") and not given.get("username"):
            return {**{key: value for key, value in given.items() if key != "user"}, "username": given["user"]}
        return given

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", value):
            raise ValueError("this is no address, as https://mesh.example")
        return value.rstrip("/")


class Config(_Part):
    """The agent's configuration. Times in `…Mins` are minutes, those in `…Seconds` seconds."""

    runner_uuid: str = Field(pattern=r"^[A-Za-z0-9-]+$")
    api: Api
    private_key: SecretStr = SecretStr("")
    private_key_file: Path = Path(_PRIVATE_KEY_FILE)
    timeout_mins: float = Field(default=60, gt=0)
    ws_timeout_mins: float = Field(default=5, gt=0)
    init_timeout_mins: float = Field(default=3, gt=0)
    working_dir: Path | None = None
    tf_install_dir: Path | None = None
    insecure_host_keys: bool = False
    max_concurrent_runs: int = 3
    poll_seconds: float = Field(default=10, gt=0)
    error_seconds: float = Field(default=60, gt=0)
    grace_seconds: float = Field(default=120, gt=0)
    keep_runs: int = Field(default=1000, ge=10)
    engines: dict[str, str] = {}
    engine_download: bool = True
    engine_mirror: str = ""
    landing_zones: tuple[str, ...] = ()
    management_port: int | None = None
    ssh_known_hosts: str = ""
    single_run: bool = False
    run_json_file: Path | None = None
    log_level: str = ""

    @property
    def slots(self) -> int:
        """How many runs at once; a negative number in the file means as many as there are."""
        return self.max_concurrent_runs if self.max_concurrent_runs > 0 else UNLIMITED

    @property
    def unknown(self) -> tuple[str, ...]:
        """Keys of the file that this runner does not read."""
        return (*(self.model_extra or ()), *(f"api.{key}" for key in self.api.model_extra or ()))

    def key_pem(self) -> tuple[str, str]:
        """The private key's PEM, and where it came from; InputError where it cannot be read."""
        if self.private_key.get_secret_value():
            return self.private_key.get_secret_value(), "privateKey"
        try:
            return self.private_key_file.read_text(encoding="utf-8"), str(self.private_key_file)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                "The runner's private key cannot be read",
                code="runner-key-unreadable",
                detail=f"{self.private_key_file}: {getattr(error, 'strerror', None) or type(error).__name__}.",
                hint="Name it with privateKeyFile or RUNNER_PRIVATE_KEY_FILE, or give it as privateKey.",
            ) from None


_VARIABLES: dict[str, tuple[str, ...]] = {
    "RUNNER_UUID": ("runnerUuid",),
    "RUNNER_API_URL": ("api", "url"),
    "RUNNER_API_CLIENT_ID": ("api", "clientId"),
    "RUNNER_API_CLIENT_SECRET": ("api", "clientSecret"),
    "RUNNER_API_USERNAME": ("api", "username"),
    "RUNNER_API_PASSWORD": ("api", "password"),
    "RUNNER_PRIVATE_KEY_FILE": ("privateKeyFile",),
    "RUNNER_MAX_CONCURRENT_RUNS": ("maxConcurrentRuns",),
    "SSH_KNOWN_HOSTS": ("sshKnownHosts",),
    "RUN_JSON_FILE_PATH": ("runJsonFile",),
    "LOG_LEVEL": ("logLevel",),
}


def read(environment: Mapping[str, str], file: Path | None = None) -> Config:
    """The configuration; InputError naming file and key, or variable, where something is missing or wrong."""
    named = file or (Path(environment["RUNNER_CONFIG_FILE"]) if environment.get("RUNNER_CONFIG_FILE") else None)
    path = named or Path(DEFAULT_FILE)
    given = _content(path) if named is not None or path.exists() else {}
    for variable, keys in _VARIABLES.items():
        if value := environment.get(variable):
            _put(given, keys, value)
    if environment.get("RUNNER_PRIVATE_KEY_FILE"):
        given.pop("privateKey", None)
    if port := environment.get("MANAGEMENT_PORT") or environment.get("PORT"):
        given["managementPort"] = port
    if environment.get("EXECUTION_MODE") == "single-run":
        given["singleRun"] = True
    if given.get("runJsonFile"):  # the run says where meshStack is, and has the only credential
        given.setdefault("runnerUuid", _NOBODY)
        _put(given, ("api", "url"), str((given.get("api") or {}).get("url") or _NOWHERE))
    try:
        config = Config.model_validate(given)
    except ValidationError as error:
        raise _wrong(error, str(path)) from None
    relative = config.private_key_file
    if not relative.is_absolute() and not environment.get("RUNNER_PRIVATE_KEY_FILE") and "privateKeyFile" in given:
        return config.model_copy(update={"private_key_file": path.parent / relative})
    return config


def _content(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise _unreadable(f"{path}: {why}.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise _unreadable(f"{path}{where}: it is no YAML.") from None
    if not isinstance(found, dict):
        raise _unreadable(f"{path}: it is no mapping of keys to values.")
    return found


def _unreadable(detail: str) -> InputError:
    return InputError(
        "The agent's configuration cannot be read",
        code="agent-config-unreadable",
        detail=detail,
        hint="Name the file with --config or RUNNER_CONFIG_FILE; the README shows one.",
    )


def _put(given: dict[str, Any], keys: tuple[str, ...], value: str) -> None:
    for key in keys[:-1]:
        found = given.get(key)
        given[key] = dict(found) if isinstance(found, dict) else {}
        given = given[key]
    given[keys[-1]] = value


def _wrong(error: ValidationError, file: str) -> InputError:
    variables = {".".join(keys): variable for variable, keys in _VARIABLES.items()}
    lines = []
    for one in error.errors(include_input=False):
        key = ".".join(map(str, one["loc"]))
        also = f" (or {variables[key]})" if key in variables else ""
        lines.append(f"{key}{also}: {one['msg'].removeprefix('Value error, ')}")
    return InputError(
        "The agent's configuration is wrong",
        code="agent-config-wrong",
        detail=f"{file}: " + "; ".join(lines),
        hint="Correct the file, or set the variable.",
    )
