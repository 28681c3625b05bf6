"""Settings of this process, from `LZR_…` variables. Only `wiring` reads them; an unknown `LZR_…` variable fails the start."""

from __future__ import annotations

import os
import re
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from runner.errors import InputError

PREFIX = "LZR_"

# ISO 8601, or a number of seconds
Positive = Annotated[
    timedelta,
    BeforeValidator(
        lambda value: float(value) if isinstance(value, str) and re.fullmatch(r"[0-9.]+", value) else value
    ),
    Field(gt=timedelta(0)),
]


def default_store() -> str:
    """`$XDG_STATE_HOME/landing-zone-runner`, or its usual place below the home directory."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return str(Path(base) / "landing-zone-runner")


def default_audit_key() -> Path:
    """`$XDG_CONFIG_HOME/landing-zone-runner/audit-key`, or its usual place below the home directory: never in the store."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "landing-zone-runner" / "audit-key"


class LimitSettings(BaseModel):
    """Time limits of the engine's phases (ISO 8601 durations like PT30M, or seconds)."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    init: Positive = timedelta(minutes=10)
    """Longest time for installing providers."""
    plan: Positive = timedelta(hours=1)
    """Longest time for a plan."""
    apply: Positive = timedelta(hours=6)
    """Longest time for an apply, and for waiting on the engine of a runner that died."""
    grace: Positive = timedelta(minutes=2)
    """Time a stopped engine gets to save its state before it is killed."""


class Settings(BaseSettings):
    """What can be set. Lists are separated by commas."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,  # an unset variable of a pipeline arrives as an empty one
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    store: SecretStr = Field(default_factory=lambda: SecretStr(default_store()))
    """Directory of the store (SQLite), or a postgresql:// address. Default: the user's state directory; in a sandbox its own."""
    store_key_file: Path | None = None
    """File with the key that plans and states are encrypted with. Default: `key` in the store's directory, made on first use."""
    store_key: SecretStr | None = None
    """The key itself, where it comes from a secret store; goes before the file."""
    audit_key_file: Path | None = None
    """File with the audit's keys, the first for new entries. Default: `audit-key` in the user's configuration; in a sandbox its own."""
    audit_key: SecretStr | None = None
    """The key itself, where it comes from a secret store; goes before the file."""
    work_dir: Path | None = None
    """Private directory for the workspaces of runs. Default: `work` in the store's directory."""
    engine: str | None = None
    """The terraform or tofu to use: a path or a name on PATH. Default: terraform, tofu, then the one of the extra `engine`."""
    mirror: Path | None = None
    """Unpacked filesystem mirror of providers; nothing is downloaded then. Default: the registry."""
    workers: int = Field(default=2, ge=1, le=64)
    """How many engines work at once in this process; as many more runs look around meanwhile."""
    keep_states: int = Field(default=50, ge=2)
    """How many versions of each tenant's state are kept."""
    review_expires: Positive = timedelta(days=7)
    """How long a review waits for a decision before its run expires."""
    keep_quiet_runs: Positive = timedelta(days=90)
    """How long a server keeps runs that changed nothing, beside the newest ten of each tenant. Those that applied something stay."""
    proxy: str | None = None
    """HTTP proxy for the engine, ARM, Graph, tokens and functions alike."""
    no_proxy: Annotated[tuple[str, ...], NoDecode] = ()
    """Hosts that are reached without the proxy."""
    ca_file: Path | None = None
    """PEM file of certificate authorities to trust instead of the system's."""
    function_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Hosts of functions that may be called although they are private addresses."""
    function_timeout: Positive = timedelta(seconds=100)
    """How long a function may take to answer."""
    checks: Path | None = None
    """Directory of the check commands that landing zones name. Only operators may be able to write there."""
    check_timeout: Positive = timedelta(minutes=5)
    """How long a check command may take."""
    server: str | None = None
    """Address of a server (`lzr serve`) that commands about runs ask instead of this machine's store; `--server` goes before it."""
    server_token: SecretStr | None = None
    """API token, or workload identity token, for that server. In GitHub Actions one is asked for where none is given."""
    server_token_file: Path | None = None
    """File with that token."""
    sandbox: Path | None = None
    """Directory of a running `lzr sandbox`: everything goes there instead of to Azure."""
    log_level: str = Field(default="warning", pattern=r"^(debug|info|warning|error)$")
    """Lowest level of the process's own log on standard error."""
    limits: LimitSettings = LimitSettings()
    """Time limits of the engine, see below."""

    @model_validator(mode="before")
    @classmethod
    def _apart_from_the_real_world(cls, given: dict[str, object]) -> dict[str, object]:
        """What was tried in a sandbox, states and approvals of function calls, must never be taken for Azure's."""
        if not given.get("sandbox"):
            return given
        place = Path(str(given["sandbox"]))
        own_key = {} if given.get("audit_key") else {"audit_key_file": str(place / "audit-key")}
        return {"store": str(place / "store"), **own_key, **given}

    @field_validator("no_proxy", "function_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("proxy")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        # without the value in the message: it may hold a password
        if value is not None and not re.match(r"https?://[^\s/]+", value):
            raise ValueError("this is no address of a proxy, as http://proxy.corp.example:3128")
        return value

    @field_validator("server")
    @classmethod
    def _is_a_server(cls, value: str | None) -> str | None:
        """Tokens are sent there: in the clear on this machine only."""
        if value is not None and not re.fullmatch(
            r"(https://[^\s/?#@]+|http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?)/?", value
        ):
            raise ValueError("this is no address of a server, as https://lzr.example; http only to this machine")
        return value.rstrip("/") if value is not None else None

    @field_validator("ca_file")
    @classmethod
    def _holds_authorities(cls, value: Path | None) -> Path | None:
        """Absolute, for the engine works in a directory of its own."""
        if value is None:
            return None
        try:
            ssl.create_default_context(cafile=str(value))
        except OSError as error:  # ssl.SSLError is one
            why = "it is no PEM file with certificates" if isinstance(error, ssl.SSLError) else error.strerror
            raise ValueError(f"{value} cannot be used: {why}") from None
        return value.absolute()

    @field_validator("mirror", "checks")
    @classmethod
    def _is_a_folder(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_dir():
            raise ValueError(f"{value} is no folder")
        return value.absolute() if value is not None else None


def read() -> Settings:
    """The settings; InputError when one is wrong or unknown."""
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and not _known(name))
    if unknown:
        raise InputError(
            "Unknown setting",
            code="unknown-setting",
            detail=f"{', '.join(unknown)} {'is' if len(unknown) == 1 else 'are'} not known.",
            hint="The README lists all settings; unset what is misspelt.",
        )
    try:
        return Settings()
    except ValidationError as error:
        wrong = [
            f"{PREFIX}{'__'.join(str(p) for p in e['loc']).upper()}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors(include_input=False)
        ]
        raise InputError("A setting is wrong", code="wrong-setting", detail="; ".join(wrong)) from None


def _known(name: str) -> bool:
    head, _, rest = name.removeprefix(PREFIX).lower().partition("__")
    if head == "limits" and rest:
        return rest in LimitSettings.model_fields
    return not rest and head in Settings.model_fields and head != "limits"


def table() -> str:
    """All settings as a Markdown table, for the README."""
    lines = ["| variable | meaning | default |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        if name != "limits":
            lines.append(f"| `{PREFIX}{name.upper()}` | {field.description} | {_default(field.default)} |")
    for name, field in LimitSettings.model_fields.items():
        lines.append(f"| `{PREFIX}LIMITS__{name.upper()}` | {field.description} | {_default(field.default)} |")
    return "\n".join(lines) + "\n"


def _default(value: object) -> str:
    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        for size, letter in ((86400, "d"), (3600, "h"), (60, "min")):
            if seconds % size == 0 and seconds >= size:
                return f"{seconds // size} {letter}"
        return f"{seconds} s"
    return f"`{value}`" if isinstance(value, (int, str)) else ""
