"""Puts the program together: the only place that reads `Settings` and knows every adapter.

With `LZR_SANDBOX` set, every platform's cloud is the sandbox and the providers are its stand-ins (unless a mirror is
set): documents stay as they are, so what is tried in the sandbox is what runs on Azure.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from runner import packaged
from runner.app.walk import Ports
from runner.domain.configuration import Snapshot
from runner.domain.document import SecretReference, ServicePrincipal
from runner.domain.platform import AzurePlatform, Cloud
from runner.domain.run import Run
from runner.errors import InputError, RunnerError
from runner.logs import Redactor, configure
from runner.policy.checks import CheckCommands
from runner.policy.expressions import CelExpressions
from runner.ports import Azure, Courier, Rehearsal, Rights
from runner.sandbox.handle import SandboxHandle, read_handle
from runner.settings import Settings
from runner.store.opening import WORKFLOWS, Store, is_address, open_store, prepare_directory, workflow_engine
from runner.store.sealing import Keyring

if TYPE_CHECKING:
    from runner.app.doctor import Instruments
    from runner.app.notifying import Notifier
    from runner.azure.connect import Connections
    from runner.domain.server_config import ServerConfig
    from runner.durable import Durable
    from runner.network.way_out import Network
    from runner.terraform.infrastructure import Terraform
    from runner.terraform.module_sources import ModuleSources
    from runner.terraform.state_access import StateAccess
    from runner.terraform.workspace import Sources

Made = TypeVar("Made")


@dataclass
class Runner:
    """A runner that is put together. What only some commands need is made when it is asked for."""

    settings: Settings
    store: Store
    redactor: Redactor
    executor: str
    sandbox: SandboxHandle | None
    stack: ExitStack

    @cached_property
    def ports(self) -> Ports:
        """The application's ports."""
        return Ports(
            runs=self.store.runs,
            deletions=self.store.deletions,
            bundles=self.store.bundles,
            holdings=self.store.holdings,
            infrastructure=self.infrastructure,
            modules=self.modules,
            checks=CheckCommands(
                directory=self.settings.checks, limit=self.settings.check_timeout, redact=self.redactor
            ),
            expressions=CelExpressions(),
            azure=self.connect,
            reread=reread,
            now=now,
            redact=self.redactor,
            executor=self.executor,
        )

    @cached_property
    def infrastructure(self) -> Lazily[Terraform]:
        return Lazily(lambda: _terraform(self))

    @cached_property
    def modules(self) -> Lazily[ModuleSources]:
        return Lazily(lambda: _module_sources(self))

    @contextmanager
    def durable(self) -> Iterator[Durable]:
        """This process as one that executes runs."""
        from runner.durable import Durable

        where = self.settings.store.get_secret_value()
        address = where if is_address(where) else f"sqlite:///{Path(where).absolute() / WORKFLOWS}"
        durable = Durable(
            ports=self.ports,
            liveness=self.store.liveness,
            database_url=address,
            engine=None if is_address(where) else self.stack.enter_context(workflow_engine(Path(where) / WORKFLOWS)),
            workers=self.settings.workers,
        )
        with durable:
            yield durable

    def connect(self, platform: AzurePlatform, stop: threading.Event) -> AbstractContextManager[Azure]:
        """The platform's Azure with the platform's own identities."""
        return nullcontext(self.connections.connect(self.placed_in_cloud(platform), stop=stop))

    @cached_property
    def connections(self) -> Connections:
        """Shared by all runs of this process: one pool, one token per identity."""
        from runner.azure.connect import Connections

        _ = self.token_of_pipeline
        hosts = self.settings.function_hosts
        return self.stack.enter_context(
            Connections(
                network=self.network,
                secret=self.secret,
                invitations=self.store.invitations(self.executor),
                allowed_function_hosts=hosts if self.sandbox is None else (*hosts, self.sandbox.host),
            )
        )

    @cached_property
    def token_of_pipeline(self) -> Path | None:
        """The file that holds the federated token of the pipeline around this process, named where `workloadIdentity` looks for it."""
        from runner.azure import pipeline_token

        offer = pipeline_token.offered(os.environ) if self.sandbox is None else None
        if offer is None:
            return None
        self.redactor.add(offer.bearer)
        file = self.stack.enter_context(pipeline_token.kept(offer, self.network, hide=self.redactor.add))
        os.environ[pipeline_token.TOKEN_FILE] = str(file)  # azure-identity and the engine look there
        self.stack.callback(os.environ.pop, pipeline_token.TOKEN_FILE, None)
        return file

    def identity(self, platform: AzurePlatform, subscription_id: str) -> Mapping[str, str]:
        """The environment by which the engine's providers sign in."""
        from runner.azure.engine_identity import engine_environment

        _ = self.token_of_pipeline
        found = self.placed_in_cloud(platform)
        made = engine_environment(
            found.spec.service_principal,
            entra_tenant=found.spec.entra_tenant,
            cloud=found.spec.endpoints,
            network=self.network,
            secret=self.secret,
            subscription_id=subscription_id,
            managed_identity=self.sandbox.identity_environment() if self.sandbox is not None else None,
        )
        for value in made.secrets:
            self.redactor.add(value)
        extra = {"LZR_SANDBOX_URL": self.sandbox.url} if self.sandbox is not None else {}
        return {**made.environment, **extra}

    def placed_in_cloud(self, platform: AzurePlatform) -> AzurePlatform:
        """The platform as it is, or with the sandbox for its cloud."""
        if self.sandbox is None:
            return platform
        cloud = Cloud(
            name="sandbox",
            authority=self.sandbox.url,
            resource_manager=self.sandbox.url,
            graph=self.sandbox.url,
        )
        return platform.model_copy(update={"spec": platform.spec.model_copy(update={"cloud": cloud})})

    def cloud_of(self, platform: AzurePlatform) -> str:
        """Which Azure the platform is in; a sandbox is known by its directory, for its address changes with each start."""
        if self.sandbox is not None:
            return f"sandbox {Path(self.sandbox.ca_file).absolute().parent}"
        return platform.spec.endpoints.resource_manager

    @cached_property
    def instruments(self) -> Instruments:
        """What the doctor looks with."""
        from runner.app.doctor import Instruments

        return Instruments(
            rehearsal=_rehearsal(self),
            azure=self.look_at,
            rights=self.rights,
            store=self.told_of_the_store,
            now=now,
        )

    def look_at(self, platform: AzurePlatform, stop: threading.Event) -> AbstractContextManager[Azure]:
        """The same for somebody who looks on: it gives up soon."""
        found = self.connections.connect(self.placed_in_cloud(platform), stop=stop, hurried=True)
        return nullcontext(found)

    def rights(
        self, platform: AzurePlatform, principal: ServicePrincipal, entra_tenant: str, stop: threading.Event
    ) -> Rights:
        """What an identity is and may do in one Entra tenant."""
        return self.connections.rights(self.placed_in_cloud(platform), principal, entra_tenant, stop=stop)

    def told_of_the_store(self) -> str:
        """Where the store is and with which key it opened, in words."""
        keyring = self.store.keyring
        source = keyring.path if keyring.path is not None else "LZR_STORE_KEY"
        return f"{shown(self.settings.store.get_secret_value())} opens with the key {keyring.first()} from {source}."

    @cached_property
    def network(self) -> Network:
        from runner.network.way_out import Network

        sandbox = self.sandbox
        return Network(
            proxy=self.settings.proxy if sandbox is None else sandbox.proxy_url,  # what is not the sandbox goes nowhere
            no_proxy=self.settings.no_proxy if sandbox is None else (),
            ca_file=self.settings.ca_file if sandbox is None else Path(sandbox.ca_file),
            function_timeout=self.settings.function_timeout,
        )

    @cached_property
    def mirror(self) -> Path | None:
        """Where providers come from; in the sandbox its stand-ins, unless a mirror of real ones is set."""
        if self.settings.mirror is not None or self.sandbox is None:
            return self.settings.mirror
        from runner.sandbox.provider.mirror import install
        from runner.terraform.infrastructure import unusable

        where = work_directory(self.settings)
        try:
            return install(where / "stand-ins")
        except OSError as error:
            raise unusable(where, error) from error

    def prepare(self) -> None:
        """Have what executing runs needs: better a wrong setting is told now than by each run."""
        _ = self.infrastructure.real.engine

    def secret(self, reference: SecretReference) -> str:
        """The secret a document refers to; from then on it is hidden in every text."""
        value = read_secret(reference)
        self.redactor.add(value)
        return value


class Lazily(Generic[Made]):
    """A port that is made when the first run needs it: commands that only look need neither engine nor git."""

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: Made | None = None

    @property
    def real(self) -> Made:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def outside(settings: Settings) -> Network:
    """The way out that the settings say, whatever a sandbox has: to what is the same there, as git, issuers and a meshStack."""
    from runner.network.way_out import Network

    return Network(proxy=settings.proxy, no_proxy=settings.no_proxy, ca_file=settings.ca_file)


def _module_sources(runner: Runner) -> ModuleSources:
    """Where building blocks come from. Git goes the way out that the settings say, also in the sandbox: code is the same there."""
    from runner.store.filelocks import locked
    from runner.terraform.module_sources import ModuleSources

    settings = runner.settings
    network = outside(settings)
    for value in network.secrets():
        runner.redactor.add(value)
    way_out = network.environment()
    surroundings = {name: value for name, value in way_out.items() if name in ("HTTPS_PROXY", "NO_PROXY")}
    if settings.ca_file is not None:
        surroundings["GIT_SSL_CAINFO"] = str(settings.ca_file)
    return ModuleSources(
        directory=work_directory(settings) / "modules",
        surroundings=surroundings,
        client=lambda: network.client(network.tls()),
        lock=lambda path: locked(path, patience=timedelta(minutes=5)),
    )


def _terraform(runner: Runner) -> Terraform:
    from runner.sandbox.provider.mirror import is_stand_in
    from runner.terraform.engine import Limits, discover
    from runner.terraform.infrastructure import Terraform
    from runner.terraform.initialised import Initialised
    from runner.terraform.state_service import StateService

    settings = runner.settings
    return Terraform(
        runs=runner.store.runs,
        states=runner.store.states,
        bundles=runner.store.bundles,
        service=runner.stack.enter_context(StateService(runner.store.states, now=now)),
        sources=sources(),
        directory=work_directory(settings) / "runs",
        initialised=Initialised(work_directory(settings) / "initialised"),
        find_engine=lambda: discover(settings.engine),
        identity=runner.identity,
        secret=runner.secret,
        cloud=runner.cloud_of,
        mirror=runner.mirror,
        stand_in=is_stand_in,
        limits=Limits(**settings.limits.model_dump()),
        turns=threading.Semaphore(settings.workers),
        now=now,
        redact_also=runner.redactor.add,
    )


def state_access(runner: Runner) -> StateAccess:
    """States wherever platforms keep them."""
    from runner.terraform.engine import Limits, discover
    from runner.terraform.state_access import StateAccess

    settings = runner.settings
    return StateAccess(
        find_engine=lambda: discover(settings.engine),
        states=runner.store.states,
        secret=runner.secret,
        identity=runner.identity,
        directory=work_directory(settings),
        mirror=runner.mirror,
        limits=Limits(**settings.limits.model_dump()),
        now=now,
    )


def notifier(runner: Runner, config: ServerConfig, folder: Path, stop: threading.Event) -> Notifier:
    """What tells people of runs, as the configuration in this folder says. In a sandbox nobody outside this machine is told."""
    from runner.app.notifying import Notifier

    return Notifier(
        channels=config.notifications.channels,
        outbox=runner.store.outbox,
        runs=runner.store.runs,
        courier=courier(runner, config, folder),
        public_url=config.public_url.rstrip("/"),
        stop=stop,
    )


def courier(runner: Runner, config: ServerConfig, folder: Path) -> Courier:
    """What brings notices to channels."""
    from runner.channels.courier import WHAT, ChannelCourier
    from runner.network.posting import Way

    for value in runner.network.secrets():
        runner.redactor.add(value)
    hosts = frozenset(config.notifications.allowed_hosts)
    way = Way(runner.network, runner.network.tls(), WHAT, hosts)
    return ChannelCourier(way, runner.secret, folder)


def _rehearsal(runner: Runner) -> Rehearsal:
    from runner.sandbox.provider.mirror import is_stand_in
    from runner.terraform.engine import Limits, discover
    from runner.terraform.rehearsal import EngineRehearsal
    from runner.terraform.state_service import StateService

    settings = runner.settings
    for value in runner.network.secrets():
        runner.redactor.add(value)
    return EngineRehearsal(
        find_engine=lambda: discover(settings.engine),
        states=runner.store.states,
        service=runner.stack.enter_context(StateService(runner.store.states, now=now)),
        secret=runner.secret,
        sources=sources(),
        directory=work_directory(settings),
        mirror=runner.mirror,
        surroundings=runner.network.environment(),
        stand_in=is_stand_in,
        limits=Limits(**settings.limits.model_dump()),
        now=now,
        redact_also=runner.redactor.add,
    )


@contextmanager
def open_runner(settings: Settings) -> Iterator[Runner]:
    """The runner for one command; InputError where the settings name a server."""
    redactor = Redactor()
    configure(settings.log_level, redactor)
    if settings.store_key is not None:
        redactor.add(settings.store_key.get_secret_value())
    if settings.audit_key is not None:
        redactor.add(settings.audit_key.get_secret_value())
    with ExitStack() as stack:
        store = stack.enter_context(
            open_store(
                settings.store.get_secret_value(),
                keyring(settings),
                audit_keyring(settings),
                keep_versions=settings.keep_states,
            )
        )
        sandbox = read_handle(settings.sandbox) if settings.sandbox is not None else None
        if sandbox is not None:  # azure-identity asks the process's own environment
            os.environ.update(sandbox.identity_environment())
        yield Runner(
            settings=settings,
            store=store,
            redactor=redactor,
            executor=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}",
            sandbox=sandbox,
            stack=stack,
        )


def keyring(settings: Settings) -> Keyring:
    """The keys that open the store: from the variable, else from the file, which is made on first use. InputError where the settings
    name a server: then its store is meant, and not this machine's."""
    if settings.server is not None:
        raise InputError(
            "This works on the machine only",
            code="on-the-machine-only",
            detail=f"The command needs the store itself, and {settings.server} is to be asked (--server, LZR_SERVER).",
            hint="Give it on the server's machine, without a server.",
        )
    if settings.store_key is not None:
        return Keyring.from_value(settings.store_key)
    where = settings.store.get_secret_value()
    if settings.store_key_file is None and is_address(where):
        raise InputError(
            "No key for the store",
            code="store-key-missing",
            detail="A store in PostgreSQL needs its key from a file or variable that all workers share.",
            hint="Set LZR_STORE_KEY_FILE or LZR_STORE_KEY.",
        )
    if settings.store_key_file is None:
        prepare_directory(Path(where))
    return Keyring.from_file(settings.store_key_file or Path(where) / "key")


def audit_keyring(settings: Settings) -> Keyring:
    """The keys that the audit's entries are bound with: from the variable, else from the file, which is made on first use."""
    if settings.audit_key is not None:
        return Keyring.from_value(settings.audit_key, of="audit")
    path = settings.audit_key_file
    if path is None and is_address(settings.store.get_secret_value()):
        raise InputError(
            "No key for the audit",
            code="audit-key-missing",
            detail="The audit of a store in PostgreSQL needs its key from a file or variable that all workers share.",
            hint="Set LZR_AUDIT_KEY_FILE or LZR_AUDIT_KEY; the store's own key must not be it.",
        )
    if path is None:
        from runner.settings import default_audit_key

        path = default_audit_key()
        prepare_directory(path.parent)
    return Keyring.from_file(path, of="audit")


def shown(where: str) -> str:
    """A store's place for people: of an address neither password nor options, which may hold one."""
    if not is_address(where):
        return where
    from sqlalchemy.engine import make_url

    return make_url(where).set(query={}).render_as_string(hide_password=True)


def work_directory(settings: Settings) -> Path:
    """The private directory for workspaces; beside the store, or below the user's state directory for a database server."""
    if settings.work_dir is not None:
        return settings.work_dir.absolute()
    where = settings.store.get_secret_value()
    if is_address(where):
        from runner.settings import default_store

        return Path(default_store()) / "work"
    return Path(where).absolute() / "work"


def sources() -> Sources:
    """Templates and modules as they ship with the runner."""
    from runner.terraform.workspace import Sources

    return Sources(templates=packaged.templates(), modules=packaged.modules())


def now() -> datetime:
    return datetime.now(UTC)


def reread(run: Run, snapshot: Snapshot) -> str | None:
    """The digest of the run's documents as they are now; None when they cannot be read any more or name the tenant no longer. Of a run
    that was planned without the tenant's document, that of what stands in for it.

    Mostly they are still in the files where they were: one tenant of thousands does not need all of them read again.
    """
    from runner import documents

    found = None
    for where in (snapshot.files, run.source.split(os.pathsep)):
        with suppress(RunnerError):
            found = documents.read([Path(path) for path in where]).digest(run.tenant)
        if found == snapshot.digest:
            break
    if found is None and run.options.get("undocumented"):
        with suppress(RunnerError):
            placed = documents.stand_in([Path(path) for path in run.source.split(os.pathsep)], snapshot.placed)
            found = documents.digest_of_placed(placed)
    return found


def read_secret(reference: SecretReference) -> str:
    """The value an environment variable or file holds; InputError names the place, never the value."""
    if reference.env is not None:
        value = os.environ.get(reference.env, "")
        if value:
            return value
        raise InputError(
            "A secret is missing",
            code="secret-missing",
            detail=f"The documents take a secret from the environment variable {reference.env}, which is not set.",
            hint=f"export {reference.env}=…",
        )
    path = Path(reference.file or "")
    try:
        value = path.read_text(encoding="utf-8").rstrip("\r\n")
        why = "" if value else "is empty"
    except (OSError, UnicodeDecodeError) as error:
        why = f"cannot be read ({type(error).__name__})"
    if why:
        raise InputError(
            "A secret is missing",
            code="secret-missing",
            detail=f"The documents take a secret from the file {path}, which {why}.",
            hint="Check the path, what is in it, and who may read it.",
        )
    return value
