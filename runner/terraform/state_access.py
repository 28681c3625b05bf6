"""One tenant's state wherever its platform keeps it, outside of any run: to read it, to hand one in, to release a lock.

A state that is elsewhere is reached by the engine itself, in a private directory with nothing but the backend's block.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event

from runner.domain.document import SecretReference
from runner.domain.platform import AzurePlatform
from runner.domain.state import LocalBackend, ManagedBackend, block, where
from runner.errors import Refused
from runner.ports import States
from runner.terraform import engine, snapshot, workspace
from runner.terraform.engine import Engine, Limits, Session
from runner.terraform.infrastructure import (
    backend_arguments,
    backend_environment,
    base_environment,
    unusable,
)
from runner.terraform.temporary import temporary_directory

_ROOT = """terraform {
  %s
}
"""


@dataclass(frozen=True)
class StateAccess:
    """`identity` gives the environment by which the engine signs in for a platform; `directory` is private. `mirror` is needed as well, for
    the engine initialises the providers of what is in a state."""

    find_engine: Callable[[], Engine]
    states: States
    secret: Callable[[SecretReference], str]
    identity: Callable[[AzurePlatform, str], Mapping[str, str]]
    directory: Path
    mirror: Path | None
    limits: Limits
    now: Callable[[], datetime]

    def read(self, platform: AzurePlatform, tenant: str) -> bytes | None:
        """The state, secrets included; None when there is none."""
        match platform.spec.state_backend:
            case ManagedBackend():
                current = self.states.current(tenant)
                return current[1] if current else None
            case LocalBackend() as backend:
                file = workspace.state_file(backend, tenant)
                return file.read_bytes() if file.exists() else None
            case _:
                with self._session(platform, tenant) as session:
                    return engine.pull(session)

    def write(self, platform: AzurePlatform, tenant: str, content: bytes, *, by: str) -> None:
        """Hand a state in where there is none yet. Refused where there is another one, and where it is not read back."""
        there = self.read(platform, tenant)
        if there is not None and not snapshot.continues(there, content):
            raise Refused(
                "There is another state already",
                code="state-in-the-way",
                detail=f"{where(platform.spec.state_backend, tenant)} holds a state with lineage and serial "
                f"{snapshot.header(there)}.",
                hint="Look at both, and remove the one that is wrong by hand.",
            )
        if there is None:
            self._hand_in(platform, tenant, content, by=by)
        back = self.read(platform, tenant)
        if back is None or not snapshot.continues(back, content):
            raise Refused(
                "The state is not read back as it was written",
                code="state-not-read-back",
                detail=f"{where(platform.spec.state_backend, tenant)} has lineage and serial {snapshot.header(back)}. The old one is where "
                "it was.",
            )

    def unlock(self, platform: AzurePlatform, tenant: str, lock_id: str) -> None:
        """Release a lock that nobody will release any more, of a backend elsewhere."""
        with self._session(platform, tenant) as session:
            engine.force_unlock(session, lock_id)

    def _hand_in(self, platform: AzurePlatform, tenant: str, content: bytes, *, by: str) -> None:
        match platform.spec.state_backend:
            case ManagedBackend():
                self.states.take_in(tenant, content, by=by, now=self.now())
            case LocalBackend() as backend:
                file = workspace.state_file(backend, tenant)
                file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _write_whole(file, content)
            case _:
                with self._session(platform, tenant) as session:
                    file = session.logs / "state.json"
                    _write_whole(file, content)
                    # Onto nothing, the engine writes it with a lineage of its own; onto that, with the one that it has (observed
                    # with Terraform 1.11.4 and the backends pg, s3 and http).
                    engine.push(session, file, first=True)
                    if (pulled := engine.pull(session)) is None or not snapshot.continues(pulled, content):
                        engine.push(session, file, first=True)

    @contextmanager
    def _session(self, platform: AzurePlatform, tenant: str) -> Iterator[Session]:
        backend = platform.spec.state_backend
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            root = Path(tempfile.mkdtemp(prefix="state-", dir=self.directory))
        except OSError as error:
            raise unusable(self.directory, error) from error
        temporary = None
        try:
            for folder in ("logs", "home"):
                (root / folder).mkdir(mode=0o700)
            temporary = temporary_directory(root)
            workspace.write({"main.tf": (_ROOT % block(backend)).encode()}, root / "terraform")
            session = Session(
                engine=self.find_engine(),
                directory=root / "terraform",
                logs=root / "logs",
                environment={
                    **base_environment(root, self.mirror, temporary),
                    **self.identity(platform, platform.spec.subscription_id or ""),
                    **backend_environment(backend, self.secret),
                },
                limits=self.limits,
                stop=Event(),
            )
            engine.init(session, backend=backend_arguments(backend, tenant))
            yield session
        finally:
            shutil.rmtree(root, ignore_errors=True)
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)


def _write_whole(file: Path, content: bytes) -> None:
    """All of it or nothing, for its owner alone."""
    fresh = file.with_name(f".{file.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    fresh.replace(file)
