"""The Rehearsal port: the engine, its providers and a state backend, tried out with nothing that reaches Azure.

A state backend is tried by the engine itself, exactly as a run would use it: a root module with one resource of Terraform's own,
`terraform_data`, is planned and applied, and planned once more. No change then means that what was written is read back. While it is
applied it starts a second engine on the same state, which must not get in: an engine without a lock would succeed.
"""

from __future__ import annotations

import json
import secrets
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from threading import Event

from runner.domain.document import SecretReference
from runner.domain.state import REHEARSAL, REMOTE, LocalBackend, ManagedBackend, StateBackend, block
from runner.errors import EngineFailed, RemoteFailed
from runner.ports import Provider, States
from runner.terraform import engine, workspace
from runner.terraform.engine import LOCK_FILE, Engine, Limits, Session
from runner.terraform.infrastructure import (
    backend_arguments,
    backend_environment,
    base_environment,
    unusable,
)
from runner.terraform.state_service import StateService
from runner.terraform.temporary import temporary_directory

_SECOND = "second.code"  # file with the exit code of the engine that must not get in
_ROOT = """terraform {
  required_version = ">= 1.9"

  %s
}

variable "written" {
  type = string
}

variable "second" {
  type = string
}

resource "terraform_data" "rehearsal" {
  input = var.written

  provisioner "local-exec" {
    command = var.second
  }
}
"""

_EMPTY = """terraform {
  %s
}
"""


@dataclass(frozen=True)
class EngineRehearsal:
    """See Rehearsal. `surroundings` are the variables by which the engine reaches registries; `directory` is private."""

    find_engine: Callable[[], Engine]
    states: States
    service: StateService
    secret: Callable[[SecretReference], str]
    sources: workspace.Sources
    directory: Path
    mirror: Path | None
    surroundings: Mapping[str, str]
    stand_in: Callable[[str, str], bool]
    limits: Limits
    now: Callable[[], datetime]
    redact_also: Callable[[str], None]

    @cached_property
    def _engine(self) -> Engine:
        return self.find_engine()

    def engine(self) -> str:
        return f"{self._engine.label} ({shlex.join(self._engine.argv)})"

    def source(self) -> str:
        """See Rehearsal. Each engine has its own registry."""
        if self.mirror is not None:
            return f"the mirror {self.mirror}"
        return "registry.terraform.io" if self._engine.name == "terraform" else "registry.opentofu.org"

    def providers(self, stop: Event) -> tuple[Provider, ...]:
        """Every module that ships with the runner says which providers it needs; all of them are called, and nothing else of them."""
        needs = {path.parent.name: path.read_bytes() for path in sorted(self.sources.modules.glob("*/terraform.tf"))}
        calls = "".join(f'module "{name}" {{\n  source = "./modules/{name}"\n}}\n' for name in needs)
        files = {f"modules/{name}/terraform.tf": content for name, content in needs.items()}
        with self._session({"main.tf": calls.encode(), **files}, {}, stop) as session:
            with _hinted(self._how_to_get_providers()):
                engine.init(session)
            lock = (session.directory / LOCK_FILE).read_text(encoding="utf-8")
        return tuple(
            Provider(source, version, self.stand_in(source, version))
            for source, version in engine.providers(lock).items()
        )

    def state(self, backend: StateBackend, stop: Event) -> bool:
        """See Rehearsal. EngineFailed when what was written is not read back."""
        remote = isinstance(
            backend, REMOTE
        )  # which keeps an empty state when all in it is destroyed: one name, one rest
        name = REHEARSAL + ("rehearsal" if remote else secrets.token_hex(4))
        root = {"main.tf": (_ROOT % block(backend)).encode()}
        with self._state_of(backend, name) as environment, self._session(root, environment, stop) as session:
            second = [*self._engine.argv, "plan", "-input=false", "-lock-timeout=0s"]
            values = {
                "written": secrets.token_hex(16),
                "second": f"{shlex.join(second)} >/dev/null 2>&1; echo $? >{_SECOND}",
            }
            (session.directory / workspace.INPUTS).write_text(json.dumps(values), encoding="utf-8")
            with _hinted(f"Look whether the {backend.type} backend can be reached and written from this machine."):
                engine.init(session, backend=_arguments(backend, name))
                engine.plan(session)
                engine.apply(session)
                changed = engine.plan(session)
                if remote:
                    (session.directory / "main.tf").write_bytes((_EMPTY % block(backend)).encode())
                    (session.directory / workspace.INPUTS).unlink()
                    engine.plan(session)
                    engine.apply(session)
            if changed:
                raise EngineFailed(
                    "The state is not read back as it was written",
                    code="state-not-read-back",
                    detail=f"The engine wrote a state to the backend {backend.type} and then did not find it.",
                    hint="Look whether something else serves or caches that place.",
                )
            code = (session.directory / _SECOND).read_text(encoding="utf-8").strip()
        return code != "0"

    def _how_to_get_providers(self) -> str:
        if self.mirror is not None:
            return "Unpack them into LZR_MIRROR as HOST/NAMESPACE/NAME/VERSION/PLATFORM, or leave LZR_MIRROR out."
        return f"Check the way to {self.source()} (LZR_PROXY, LZR_CA_FILE), or name a mirror with LZR_MIRROR."

    @contextmanager
    def _session(self, files: Mapping[str, bytes], environment: Mapping[str, str], stop: Event) -> Iterator[Session]:
        """A private directory with these files and everything the engine's commands need; nothing of it stays."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            root = Path(tempfile.mkdtemp(prefix="rehearsal-", dir=self.directory))
        except OSError as error:
            raise unusable(self.directory, error) from error
        temporary = None
        try:
            for folder in ("logs", "home"):
                (root / folder).mkdir(mode=0o700)
            temporary = temporary_directory(root)
            workspace.write(files, root / "terraform")
            yield Session(
                engine=self._engine,
                directory=root / "terraform",
                logs=root / "logs",
                environment={
                    **base_environment(root, self.mirror, temporary),
                    **self.surroundings,
                    **environment,
                },
                limits=self.limits,
                stop=stop,
            )
        finally:
            shutil.rmtree(root, ignore_errors=True)
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)

    @contextmanager
    def _state_of(self, backend: StateBackend, name: str) -> Iterator[Mapping[str, str]]:
        """The environment in which a backend serves the state of this name, which is removed in the end."""
        match backend:
            case ManagedBackend():
                attempt = self.states.open_attempt(name, "lzr doctor", now=self.now())
                self.redact_also(attempt.password)
                try:
                    yield self.service.environment(attempt)
                finally:
                    self.states.forget(name)
            case LocalBackend():
                file = workspace.state_file(backend, name)
                try:
                    yield {}
                finally:
                    for left in (file, Path(f"{file}.backup"), file.with_name(f".{file.name}.lock.info")):
                        with suppress(OSError):
                            left.unlink(missing_ok=True)
            case _:
                yield backend_environment(backend, self.secret)


@contextmanager
def _hinted(hint: str) -> Iterator[None]:
    """What to do when the engine fails; of its errors it says that itself only for a module's author."""
    try:
        yield
    except EngineFailed as error:
        raise EngineFailed(error.summary, code=error.code, detail=error.detail, hint=error.hint or hint) from error


def _arguments(backend: StateBackend, name: str) -> tuple[str, ...]:
    try:
        return backend_arguments(backend, name)
    except OSError as error:
        raise RemoteFailed(
            "The state cannot be kept there",
            code="state-backend-unusable",
            detail=f"{error.filename}: {error.strerror or type(error).__name__}.",
            hint="Look whether the directory of stateBackend can be made, and who may write there.",
        ) from error
