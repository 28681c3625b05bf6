"""One tenant's Terraform runs: workspace, engine, state credential and sealed bundle put together.

The run that executes is the only one of its tenant, so a lock it finds was left by an engine that was killed, and is released. An
engine is found again by an environment variable that names its run's directory: a number and a start time may not have been
written down yet, and the start time that a system tells moves with its clock.

A plan is bound to its tenant twice: the bundle is sealed for it, and the engine's credential opens that tenant's state only. (With an
empty `backend "http" {}` a plan made for one tenant would go silently into another's state: observed.)
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from threading import Event, Semaphore
from typing import Any

from runner.domain import building_block, masked_plan
from runner.domain import plan as plan_domain
from runner.domain import state as state_domain
from runner.domain.configuration import Configuration
from runner.domain.document import SecretReference
from runner.domain.platform import AzurePlatform
from runner.domain.review import BundleFacts
from runner.domain.run import EngineProcess, Run
from runner.domain.state import REMOTE, LocalBackend, ManagedBackend, StateBackend
from runner.errors import Canceled, EngineFailed, InputError, Refused, RemoteFailed
from runner.ports import Bundles, Journal, Planned, Runs, States
from runner.terraform import bundle, engine, initialised, process, snapshot, workspace
from runner.terraform.bundle import Bundle
from runner.terraform.engine import LOCK_FILE, PLAN_FILE, Engine, Limits, Session
from runner.terraform.hcl import filesystem_mirror
from runner.terraform.initialised import Initialised
from runner.terraform.state_service import StateService
from runner.terraform.temporary import temporary_directory

_LOOK = 0.3  # seconds between looks at whether the run is to stop
_CLI_CONFIGURATION = "TF_CLI_CONFIG_FILE"


@dataclass(frozen=True)
class Terraform:
    """The `Infrastructure` port on a real engine.

    `identity` gives the environment by which the providers sign in for a platform and subscription, `cloud` the address of the
    Resource Manager that this goes to; `stand_in` tells whether
    a provider of that source and version is the sandbox's. `directory` is where runs have their private directories; `turns` says
    how many engines may work at once.
    """

    runs: Runs
    states: States
    bundles: Bundles
    service: StateService
    sources: workspace.Sources
    directory: Path
    initialised: Initialised
    find_engine: Callable[[], Engine]
    identity: Callable[[AzurePlatform, str], Mapping[str, str]]
    secret: Callable[[SecretReference], str]
    cloud: Callable[[AzurePlatform], str]
    mirror: Path | None
    stand_in: Callable[[str, str], bool]
    limits: Limits
    turns: Semaphore
    now: Callable[[], datetime]
    redact_also: Callable[[str], None]

    @cached_property
    def engine(self) -> Engine:
        return self.find_engine()

    def plan(
        self,
        run: Run,
        platform: AzurePlatform,
        configuration: Configuration,
        *,
        journal: Journal,
        stop: Event,
        for_checks: bool = False,
    ) -> Planned:
        directory = self._terraform_directory(run)
        if directory.exists():
            process.end_all_with(*self._mark(run))  # of a runner that died; a plan changes nothing
            workspace.remove(directory, below=self.directory)
        with self._step(journal, "write the configuration"):
            files = workspace.render(configuration, self.sources)
            workspace.write(files, directory)
        with self._session(run, _planned_as(platform), configuration, journal, stop) as session:
            self._initialise(session, configuration, files, journal)
            self._refuse_strange_providers(directory, configuration)
            for address in snapshot.half_made(self._content(configuration, session) or b"{}"):
                with self._step(journal, "keep what was half made") as note:
                    engine.untaint(session, address)
                    note(address)
            with self._step(journal, "plan") as note:
                engine.plan(session)
                shown = engine.show(session)
                plan = plan_domain.read(shown)
                document = masked_plan.read(shown) if for_checks else None
                del shown  # there are secrets in it
                note(_counts(plan))
            lineage, serial = snapshot.header(self._content(configuration, session))
        lock = (directory / LOCK_FILE).read_bytes() if (directory / LOCK_FILE).exists() else b""
        plan_file = (directory / PLAN_FILE).read_bytes()
        (directory / PLAN_FILE).unlink()
        providers = engine.providers(lock.decode())
        facts = BundleFacts(
            tenant=run.tenant,
            engine=self.engine.name,
            engine_version=self.engine.version,
            providers=providers,
            stand_ins=any(self.stand_in(source, version) for source, version in providers.items()),
            configuration=workspace.digest(files),
            lock_file=bundle.sha256(lock),
            plan_file=bundle.sha256(plan_file),
            lineage=lineage,
            serial=serial,
            cloud=self.cloud(platform),
        )
        self.bundles.seal(run.id, run.tenant, Bundle(facts, plan_file, lock).packed())
        return Planned(plan=plan, bundle=facts, document=document)

    def _refuse_strange_providers(self, directory: Path, configuration: Configuration) -> None:
        """Before anything of a provider runs: what a building block asks for without saying so is in the lock file."""
        lock = directory / LOCK_FILE
        found = engine.providers(lock.read_text(encoding="utf-8")) if lock.exists() else {}
        strange = sorted(
            {*map(building_block.provider, found)} - {*building_block.OWN_PROVIDERS, *configuration.providers}
        )
        if configuration.modules and strange:
            raise InputError(
                "A building block may not be used",
                code="module-refused",
                detail=f"The building blocks of {configuration.tenant} use the provider {', '.join(strange)}, which is not among "
                "allowedProviders of the platform.",
                hint="Change the module, or add the provider where it is trusted.",
            )

    def moved(self, run: Run, platform: AzurePlatform, configuration: Configuration, facts: BundleFacts) -> list[str]:
        moved: list[str] = []
        if self.cloud(platform) != facts.cloud:
            moved.append(f"the cloud (now {self.cloud(platform)})")
        if workspace.digest(workspace.render(configuration, self.sources)) != facts.configuration:
            moved.append("the configuration")
        if (self.engine.name, self.engine.version) != (facts.engine, facts.engine_version):
            moved.append(f"the engine (now {self.engine.label})")
        remote = isinstance(
            configuration.backend, REMOTE
        )  # of which the engine knows, once it is signed in: see `apply`
        if not remote and snapshot.header(self._content(configuration)) != (facts.lineage, facts.serial):
            moved.append("the state")
        return moved

    def apply(
        self, run: Run, platform: AzurePlatform, configuration: Configuration, *, journal: Journal, stop: Event
    ) -> dict[str, Any]:
        directory = self._terraform_directory(run)
        self.runs.note(run.id, engine=process.about_to_start(self.now()))
        with self._step(journal, "restore the plan"):
            files = workspace.render(configuration, self.sources)
            sealed = self._own_bundle(run, workspace.digest(files))
            workspace.write(files, directory)
            sealed.restore(directory)
        try:
            with self._session(run, platform, configuration, journal, stop) as session:
                if not (directory / ".terraform").exists():
                    self._initialise(session, configuration, files, journal, lock=sealed.lock)
                known = (sealed.facts.lineage, sealed.facts.serial)
                if isinstance(configuration.backend, REMOTE) and snapshot.header(engine.pull(session)) != known:
                    raise Refused(
                        "The plan is out of date",
                        code="plan-outdated",
                        detail="Since it was reviewed, the state changed, so the approval is void.",
                        hint=f"lzr plan {run.source}",
                    )
                try:
                    with self._step(journal, "apply"):
                        return engine.apply(session)
                finally:
                    self._push_errored_state(session, configuration.backend, journal)
        finally:
            (directory / PLAN_FILE).unlink(missing_ok=True)
            self._take_in_errored_state(run, configuration.backend, journal)

    def settle(self, run: Run, platform: AzurePlatform, *, journal: Journal, stop: Event) -> None:
        with self._step(journal, "wait for the engine") as note:
            note(self._let_engine_end(run, stop))
        with self._step(journal, "take in the state"):
            self._take_in_errored_state(run, platform.spec.state_backend, journal)
            self._release_lock(run.tenant, journal)
        left = self._terraform_directory(run) / snapshot.ERRORED
        if isinstance(platform.spec.state_backend, REMOTE) and left.exists():
            with (
                self._step(journal, "hand in the state"),
                self._turn(journal, stop),
                self._signed_in(run, platform, "", journal, stop) as session,
            ):
                self._push_errored_state(session, platform.spec.state_backend, journal)

    def may_work_elsewhere(self, run: Run) -> bool:
        if run.engine is None or not process.is_elsewhere(run.engine):
            return False
        return self.now().timestamp() < run.engine.started + self.limits.apply.total_seconds()

    def discard(self, run: Run) -> None:
        if (self._terraform_directory(run) / snapshot.ERRORED).exists():
            return  # the only record of what the engine made: a person looks at it first
        if self._run_directory(run).exists():
            workspace.remove(self._run_directory(run), below=self.directory)

    def on_disk(self) -> tuple[str, ...]:
        return tuple(path.name for path in self.directory.iterdir()) if self.directory.is_dir() else ()

    def _initialise(
        self,
        session: Session,
        configuration: Configuration,
        files: Mapping[str, bytes],
        journal: Journal,
        *,
        lock: bytes | None = None,
    ) -> None:
        """With `lock` only what it names. With another backend than `managed`, `.terraform` names the tenant's state."""
        shared = isinstance(configuration.backend, ManagedBackend)
        key = initialised.key(files, engine=self.engine.label, mirror=self.mirror)
        with self._step(journal, "initialise") as note:
            if shared and self.initialised.reuse(key, session.directory, lock=lock):
                note("as for another tenant")
                return
            engine.init(
                session,
                backend=backend_arguments(configuration.backend, configuration.tenant),
                readonly_lock=lock is not None,
            )
            if shared:
                self.initialised.keep(key, session.directory)

    @contextmanager
    def _session(
        self, run: Run, platform: AzurePlatform, configuration: Configuration, journal: Journal, stop: Event
    ) -> Iterator[Session]:
        """Everything the engine's commands need, with a state credential that is good for just as long."""
        subscription = str(configuration.inputs["subscription_id"])
        with self._turn(journal, stop), self._signed_in(run, platform, subscription, journal, stop) as session:
            yield session

    @contextmanager
    def _turn(self, journal: Journal, stop: Event) -> Iterator[None]:
        """Wait for one of the other engines to end, if need be; Canceled when the run is to stop meanwhile."""
        if not self.turns.acquire(blocking=False):
            journal.log("info", "Waits until one of the other engines of this process has ended")
            while not self.turns.acquire(timeout=_LOOK):
                if stop.is_set():
                    raise Canceled(detail="Canceled before its engine began.")
        try:
            yield
        finally:
            self.turns.release()

    @contextmanager
    def _signed_in(
        self, run: Run, platform: AzurePlatform, subscription: str, journal: Journal, stop: Event
    ) -> Iterator[Session]:
        root = self._run_directory(run)
        logs = root / "logs"
        for path in (logs, root / "home"):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = temporary_directory(root)
        attempt = None
        backend = platform.spec.state_backend
        state = backend_environment(backend, self.secret)
        if isinstance(backend, ManagedBackend):
            attempt = self.states.open_attempt(run.tenant, run.id, now=self.now())
            self.redact_also(attempt.password)
            state = {**self.service.environment(attempt), **_retries(self.limits.grace)}
            self._release_lock(run.tenant, journal)
        identity = self.identity(platform, subscription)

        def started(found: EngineProcess) -> None:
            self.runs.note(run.id, engine=found)

        try:
            yield Session(
                engine=self.engine,
                directory=self._terraform_directory(run),
                logs=logs,
                environment={**base_environment(root, self.mirror, temporary), **identity, **state},
                limits=self.limits,
                stop=stop,
                on_lines=lambda lines: journal.log_all([(line.level, line.text) for line in lines]),
                on_start=started,
            )
        finally:
            if attempt is not None:
                self.states.close_attempt(attempt)
                self._release_lock(run.tenant, journal)
            for file in logs.iterdir():
                file.unlink()
            shutil.rmtree(temporary, ignore_errors=True)

    @contextmanager
    def _step(self, journal: Journal, name: str) -> Iterator[Callable[[str], None]]:
        with journal.step(name) as note, self._on_disk():
            yield note

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        """A full disk, or one that may not be written, is no bug."""
        try:
            yield
        except OSError as error:
            raise unusable(self.directory, error) from error

    def _mark(self, run: Run) -> tuple[str, str]:
        """By which the run's engines and their plugins are known from all other processes."""
        return _CLI_CONFIGURATION, str(_cli_configuration(self._run_directory(run)))

    def _let_engine_end(self, run: Run, stop: Event) -> str:
        """Wait for the engine; what is left then, plugins that outlived theirs included, is ended."""
        noted = [run.engine] if run.engine is not None else []
        engines = [one for one in (*noted, *process.found_with(*self._mark(run))) if process.leads(one)]
        at_work = [one for one in engines if process.still_runs(one)]
        by_itself = all(
            process.outlive(one, patience=self.limits.apply, grace=self.limits.grace, stop=stop) for one in at_work
        )
        killed = process.end_all_with(*self._mark(run))
        if not by_itself or killed:
            return "it was ended"
        return "it has ended" if at_work else "none is at work"

    def _release_lock(self, tenant: str, journal: Journal) -> None:
        """Release the lock of an engine that is gone, whoever it belonged to."""
        left = self.states.holder(tenant)
        if left is not None and self.states.unlock(tenant, left.id):
            journal.log("warn", f"Released the lock that an engine of run {left.run} left behind ({left.operation}).")

    def _content(self, configuration: Configuration, session: Session | None = None) -> bytes | None:
        """The tenant's state; one that is elsewhere only the engine can reach, in a session."""
        match configuration.backend:
            case ManagedBackend():
                current = self.states.current(configuration.tenant)
                return current[1] if current else None
            case LocalBackend() as backend:
                file = workspace.state_file(backend, configuration.tenant)
                return file.read_bytes() if file.exists() else None
            case _:
                return engine.pull(session) if session is not None else None

    def _own_bundle(self, run: Run, configuration: str) -> Bundle:
        """The run's bundle. Its own facts are looked at once more: sealed content cannot be moved between tenants, and this would
        show it if it were."""
        sealed = bundle.unpacked(self.bundles.open(run.id, run.tenant))
        if not sealed.is_whole() or (sealed.facts.tenant, sealed.facts.configuration) != (run.tenant, configuration):
            raise Refused(
                "The plan bundle is not this run's",
                code="bundle-mismatch",
                detail=f"What was kept for run {run.id} does not match what was planned for {run.tenant}.",
                hint=f"lzr plan {run.source}",
            )
        return sealed

    def _take_in_errored_state(self, run: Run, backend: object, journal: Journal) -> None:
        """A state the engine could not hand in lies in its directory; the only record of what it made."""
        file = self._terraform_directory(run) / snapshot.ERRORED
        if not file.exists() or not isinstance(backend, ManagedBackend):
            return
        current = self.states.current(run.tenant)
        try:
            content = file.read_bytes()
            if current is None:
                content = snapshot.with_lineage(content)
            version = self.states.take_in(run.tenant, content, by=f"run {run.id}", now=self.now())
            journal.log("warn", f"Took in the state that the engine could not hand in (serial {version.serial})")
        except (Refused, InputError) as refused:
            if current is None or not snapshot.is_in(content, current[0]):
                raise EngineFailed(
                    "A state could not be taken in",
                    code="errored-state-refused",
                    detail=f"{refused.detail} The engine's state is kept in {file}.",
                    hint=f"Look at it, and at: lzr state show {run.tenant}",
                ) from refused
        file.unlink()

    def _push_errored_state(self, session: Session, backend: object, journal: Journal) -> None:
        """The same for a backend elsewhere, with the engine itself; what is not taken stays where it is."""
        file = session.directory / snapshot.ERRORED
        if not isinstance(backend, REMOTE) or not file.exists():
            return
        try:
            engine.push(session, file)
        except EngineFailed as refused:
            raise EngineFailed(
                "A state could not be handed in",
                code="errored-state-refused",
                detail=f"{refused.detail} The engine's state is kept in {file}.",
                hint="Look at it, and at what the backend has.",
            ) from refused
        journal.log("warn", "Handed in the state that the engine could not hand in itself")
        file.unlink()

    def _run_directory(self, run: Run) -> Path:
        return self.directory / run.id

    def _terraform_directory(self, run: Run) -> Path:
        return self._run_directory(run) / "terraform"


def unusable(directory: Path, error: OSError) -> RemoteFailed:
    """What is said of a directory for runs that cannot be written."""
    return RemoteFailed(
        "The work directory cannot be used",
        code="work-directory-unusable",
        detail=f"{error.filename or directory}: {error.strerror or type(error).__name__}.",
        hint="Make room, look who may write there, or name another directory with LZR_WORK_DIR.",
    )


def _cli_configuration(root: Path) -> Path:
    return root / "cli.tfrc"


def _planned_as(platform: AzurePlatform) -> AzurePlatform:
    """The platform as the engine signs in to it for a plan."""
    planner = platform.spec.plan_service_principal
    if planner is None:
        return platform
    return platform.model_copy(update={"spec": platform.spec.model_copy(update={"service_principal": planner})})


def base_environment(root: Path, mirror: Path | None, temporary: Path) -> dict[str, str]:
    """The engine's environment before sign-in and state: nothing is inherited but PATH (for git, az and the shim's Python)."""
    configuration = _cli_configuration(root)
    content = "disable_checkpoint = true\n"
    if mirror is not None:
        content += filesystem_mirror(mirror)
    configuration.write_text(content, encoding="utf-8")
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(root / "home"),  # not the user's: plugins and credentials of ~/.terraform.d would be found there
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        _CLI_CONFIGURATION: str(configuration),
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "CHECKPOINT_DISABLE": "1",
    }


def _retries(grace: timedelta) -> dict[str, str]:
    """How often the engine asks a state service that does not answer: for as long as fits twice (to save, and to unlock) into the
    time that it gets when it is stopped. Longer, and it would be killed while it still has the state in hand."""
    waits = (1, 2, 4, 8, 15, 15)  # seconds, doubled up to the longest that the state service sets
    fitting = [tries for tries in range(len(waits) + 1) if 2 * sum(waits[:tries]) <= grace.total_seconds()]
    return {"TF_HTTP_RETRY_MAX": str(fitting[-1])}


def backend_arguments(backend: StateBackend, tenant: str) -> tuple[str, ...]:
    """What `init` is told of a backend for this tenant's state, beside its block and environment."""
    if isinstance(backend, LocalBackend):
        Path(backend.directory).mkdir(mode=0o700, parents=True, exist_ok=True)
    named = state_domain.settings(backend, tenant)
    return tuple(
        f"-backend-config={key}={str(value).lower() if value in (True, False) else value}"
        for key, value in named.items()
    )


def backend_environment(backend: StateBackend, secret: Callable[[SecretReference], str]) -> dict[str, str]:
    """What the engine reads of a backend from its environment, credentials among it. `managed` has another for each attempt."""
    secrets = {name: secret(reference) for name, reference in state_domain.credentials(backend).items()}
    return {**state_domain.variables(backend), **secrets}


def _counts(plan: plan_domain.Plan) -> str:
    return "no changes" if plan.empty else f"{len(plan.changes)} changes"
