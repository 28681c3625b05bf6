"""An estate of its own for an end-to-end test: a sandbox in this process, documents to edit, a store, and `lzr` as real processes.

Every test can ask for the fixture `estate`. Nothing that an estate started outlives it, engines whose runner was killed included.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from types import MappingProxyType
from typing import Any, TypeVar

import psutil
import pytest
import yaml

from runner.domain.run import Run, Status
from runner.sandbox.azure.server import Sandbox
from runner.sandbox.azure.world import LoggedCall
from runner.sandbox.provider.mirror import install
from runner.store.opening import Store, is_address
from tests.store.making import opened as opened_store

DEMO = Path(__file__).parent.parent / "examples" / "demo"
SECRET = "sandbox-runner-secret"
TENANT = "payments.checkout-dev"
PATIENCE = 120.0  # seconds; a busy machine takes its time, and a test that passes never waits for it
_SHOWN = 2_000  # characters of an output that did not please

T = TypeVar("T")


@dataclass(frozen=True, repr=False)
class Ran:
    """How a command ended and what it said."""

    stdout: str
    stderr: str
    code: int

    def __repr__(self) -> str:
        return f"ended with {self.code}, and said:\n{self.stdout[-_SHOWN:]}\n{self.stderr[-_SHOWN:]}"

    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def run(self) -> dict[str, Any]:
        """The only run that `--json` told of."""
        (found,) = self.json()["runs"]
        assert isinstance(found, dict)
        return found


@dataclass
class Estate:
    """A sandbox, documents, a store and the processes that work on them."""

    directory: Path
    sandbox: Sandbox
    where: str
    environment: dict[str, str]
    _started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def documents(self) -> Path:
        """The copy of examples/demo that this estate is described by."""
        return self.directory / "documents"

    @property
    def work(self) -> Path:
        return self.directory / "work"

    def lzr(self, *arguments: object, code: int | None = 0, **settings: object) -> Ran:
        """Run `lzr` to its end; it has to end with `code` (None: with any). `settings` are further variables."""
        return self.ended(self.start(*arguments, settings=settings), code=code)

    def start(
        self, *arguments: object, module: str = "runner", settings: Mapping[str, object] = MappingProxyType({})
    ) -> subprocess.Popen[str]:
        """Start `lzr` (or another module) and let it go on; `ended` waits for it."""
        process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            env=self.environment | {name: str(value) for name, value in settings.items()},
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def ended(self, process: subprocess.Popen[str], *, code: int | None = 0) -> Ran:
        """Wait for a process that was started; it has to end with `code`."""
        stdout, stderr = process.communicate(timeout=PATIENCE)
        ran = Ran(stdout, stderr, process.returncode)
        assert code is None or ran.code == code, f"expected was {code}, it {ran}"
        return ran

    def kill(self, process: subprocess.Popen[str]) -> None:
        """`kill -9`."""
        process.kill()
        process.communicate(timeout=PATIENCE)

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The store as these processes have it, opened here."""
        with opened_store(self.where, self.directory / "key") as opened:
            yield opened

    def runs(self, *statuses: Status, tenant: str | None = None) -> tuple[Run, ...]:
        """Runs in one of these statuses (all, when none is given), oldest first."""
        with self.store() as store:
            return store.runs.find(tenant=tenant, statuses=statuses or None, limit=1000)[::-1]

    def calls(self, method: str = "", path: str = "", service: str = "") -> list[LoggedCall]:
        """What the sandbox was asked, oldest first: of this method and service, with `path` somewhere in its path."""
        with self.sandbox.world.lock:
            logged = list(self.sandbox.world.calls)
        return [
            call
            for call in logged
            if method in ("", call.method) and service in ("", call.service) and path.lower() in call.path.lower()
        ]

    def world(self) -> dict[str, Any]:
        """Everything that exists in the sandbox."""
        with self.sandbox.world.lock:
            found: dict[str, Any] = self.sandbox.world.snapshot()
        return found

    def fault(self, **fault: Any) -> str:
        """Switch a fault of the sandbox on; its id, for `mend`."""
        from runner.sandbox.azure.faults import read_fault

        with self.sandbox.world.lock:
            return self.sandbox.faults.add(read_fault(fault))

    def mend(self, fault: str | None = None) -> None:
        """Switch a fault off, or all."""
        with self.sandbox.world.lock:
            self.sandbox.faults.clear(fault)

    def edit(self, kind: str, change: Callable[[dict[str, Any]], object], *, name: str | None = None) -> None:
        """Change the documents of a kind (and name) in place."""
        for file in sorted(self.documents.rglob("*.yaml")):
            found = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
            meant = [one for one in found if one["kind"] == kind and name in (None, one["metadata"]["name"])]
            for document in meant:
                change(document)
            if meant:
                file.write_text(yaml.safe_dump_all(found, sort_keys=False), encoding="utf-8")

    def decided_by(self, policy: str) -> None:
        """Set the landing zone's approval policy: always, never or when-destructive."""
        self.edit("LandingZone", lambda zone: zone["spec"]["approval"].update(policy=policy))

    def add_tenant(self, number: int) -> str:
        """One more tenant like the demo's, with the sandbox's subscription of this number (2 or 3); its name."""
        file = next((self.documents / "tenants").glob("*.yaml"))
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        project = f"project-{number}"
        document["metadata"]["name"] = f"payments.{project}"
        subscription = f"4f1c2d30-0000-4000-8000-{number:012d}"
        document["spec"] |= {"projectIdentifier": project, "platformTenantId": subscription}
        (self.documents / "tenants" / f"{project}.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        return str(document["metadata"]["name"])

    def close(self) -> None:
        """End everything that was started here."""
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            if process.stdout is not None and not process.stdout.closed:
                process.communicate(timeout=PATIENCE)
        for engine in self.engines():
            try:
                os.killpg(engine.pid, signal.SIGKILL)
            except ProcessLookupError:
                engine.kill()

    def engines(self) -> list[psutil.Process]:
        """The engines that work in this estate's workspaces now, whoever started them."""
        found = []
        for process in psutil.process_iter():
            try:
                below = Path(process.cwd()).is_relative_to(self.work)
                if below and os.getpgid(process.pid) == process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found


def eventually(condition: Callable[[], T], what: str = "", *, within: float = PATIENCE) -> T:
    """Wait until the condition is true; what it gave. Fails after `within` seconds."""
    deadline, pause = time.monotonic() + within, Event()
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {within} s: {what or condition}"
        pause.wait(0.01)
    return found


@contextmanager
def opened_estate(
    directory: Path, certificates: Path, *, where: str | None = None, like: Path | None = None
) -> Iterator[Estate]:
    """An estate in this directory, on a store in it or at the address `where`; with the store of the (closed) estate `like`."""
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copytree(DEMO, directory / "documents")
    store = where or str(directory / "store")
    if like is not None:
        shutil.copytree(like / "store", store)
        shutil.copyfile(like / "key", directory / "key")
        (directory / "key").chmod(0o600)
        shutil.copyfile(like / "audit-key", directory / "audit-key")
        (directory / "audit-key").chmod(0o600)
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG") or "COVERAGE" in name}
    environment = kept | {
        "HOME": str(directory),
        "PYTHONPATH": str(Path(__file__).parent.parent),
        "XDG_STATE_HOME": str(directory / "state"),
        "LZR_SANDBOX": str(certificates),
        "LZR_STORE": store,
        "LZR_STORE_KEY_FILE": str(directory / "key"),
        "LZR_AUDIT_KEY_FILE": str(directory / "audit-key"),
        "LZR_WORK_DIR": str(directory / "work"),
        "LZR_MIRROR": str(install(certificates / "stand-ins")),
        "LZ_CLIENT_SECRET": SECRET,
    }
    if not is_address(store):
        Path(store).mkdir(mode=0o700, exist_ok=True)
    with Sandbox(certificates) as sandbox:
        sandbox.write_handle()
        estate = Estate(directory=directory, sandbox=sandbox, where=store, environment=environment)
        try:
            yield estate
        finally:
            estate.close()


@pytest.fixture(scope="session")
def sandbox_certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for all sandboxes of a pytest process: making keys is the slow part of starting one."""
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture
def estate(tmp_path: Path, sandbox_certificates: Path) -> Iterator[Estate]:
    """An estate with the demo's documents on an empty SQLite store."""
    with opened_estate(tmp_path / "estate", sandbox_certificates) as found:
        yield found
