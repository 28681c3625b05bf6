"""Settings of this process, from `LZR_…` variables. Only `wiring` reads them; an unknown `LZR_…` variable fails the start."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from runner.errors import InputError

PREFIX = "LZR_"


def default_store() -> str:
    """`$XDG_STATE_HOME/landing-zone-runner`, or its usual place below the home directory."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return str(Path(base) / "landing-zone-runner")


class LimitSettings(BaseModel):
    """Time limits of the engine's phases (ISO 8601 durations like PT30M, or seconds)."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    init: timedelta = timedelta(minutes=10)
    """Longest time for installing providers."""
    plan: timedelta = timedelta(hours=1)
    """Longest time for a plan."""
    apply: timedelta = timedelta(hours=6)
    """Longest time for an apply, and for waiting on the engine of a runner that died."""
    grace: timedelta = timedelta(minutes=2)
    """Time a stopped engine gets to save its state before it is killed."""


class Settings(BaseSettings):
    """What can be set. Lists are separated by commas."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    store: SecretStr = Field(default_factory=lambda: SecretStr(default_store()))
    """Directory of the store (SQLite), or a postgresql:// address. Default: the user's state directory."""
    store_key_file: Path | None = None
    """File with the key that plans and states are encrypted with. Default: `key` in the store's directory, made on first use."""
    store_key: SecretStr | None = None
    """The key itself, where it comes from a secret store; goes before the file."""
    work_dir: Path | None = None
    """Private directory for the workspaces of runs. Default: `work` in the store's directory."""
    engine: Path | None = None
    """The terraform or tofu to use. Default: terraform, then tofu, on PATH, then the one of the extra `engine`."""
    mirror: Path | None = None
    """Unpacked filesystem mirror of providers; nothing is downloaded then. Default: the registry."""
    workers: int = Field(default=2, ge=1, le=64)
    """How many runs go on at once in this process."""
    keep_states: int = Field(default=50, ge=2)
    """How many versions of each tenant's state are kept."""
    review_expires: timedelta = timedelta(days=7)
    """How long a review waits for a decision before its run expires."""
    proxy: str | None = None
    """HTTP proxy for the engine, ARM, Graph, tokens and functions alike."""
    no_proxy: Annotated[tuple[str, ...], NoDecode] = ()
    """Hosts that are reached without the proxy."""
    ca_file: Path | None = None
    """PEM file of certificate authorities to trust instead of the system's."""
    function_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Hosts of functions that may be called although they are private addresses."""
    function_timeout: timedelta = timedelta(seconds=100)
    """How long a function may take to answer."""
    sandbox: Path | None = None
    """Directory of a running `lzr sandbox`: everything goes there instead of to Azure."""
    log_level: str = Field(default="warning", pattern=r"^(debug|info|warning|error)$")
    """Lowest level of the process's own log on standard error."""
    limits: LimitSettings = LimitSettings()
    """Time limits of the engine, see below."""

    @field_validator("no_proxy", "function_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


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
            f"{PREFIX}{'__'.join(str(p) for p in e['loc']).upper()}: {e['msg']}"
            for e in error.errors(include_input=False)
        ]
        raise InputError("A setting is wrong", code="wrong-setting", detail="; ".join(wrong)) from None


def _known(name: str) -> bool:
    head, _, rest = name.removeprefix(PREFIX).lower().partition("__")
    if head == "limits" and rest:
        return rest in LimitSettings.model_fields
    return not rest and head in Settings.model_fields


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
