"""Puts the agent together: its configuration file with this process's settings, the store, and the way out."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from runner import documents, wiring
from runner.agent import envelope
from runner.agent.agent import Agent
from runner.agent.config import Config
from runner.agent.engines import Engines
from runner.agent.kit import Kit, Shelves
from runner.agent.meshapi import MeshApi
from runner.agent.rescue import Rescue
from runner.agent.sources import Sources
from runner.agent.telemetry import Metrics, Tracing
from runner.agent.terraform_block import Tools
from runner.app import recovery, reviewing
from runner.app.walk import Ports
from runner.domain.events import Event
from runner.domain.review import Review
from runner.domain.run import EXECUTING, OPEN, Behavior, Run, Status
from runner.errors import InputError, Refused
from runner.network.way_out import Network
from runner.store.filelocks import locked
from runner.terraform import engine
from runner.terraform.engine import Engine

if TYPE_CHECKING:
    from runner.durable import Durable

_PATIENCE = timedelta(minutes=15)  # for another run that fetches the same


@contextmanager
def open_agent(runner: wiring.Runner, config: Config) -> Iterator[Agent]:
    """The agent of this process, known to others as alive meanwhile. InputError where its key cannot be used."""
    settings = runner.settings
    network = wiring.outside(settings)
    api = config.api
    for value in (*network.secrets(), api.client_secret.get_secret_value(), api.password.get_secret_value()):
        runner.redactor.add(value)
    key = None
    if config.run_json_file is None:  # what a controller hands over is decrypted already
        pem, where = config.key_pem()
        envelope.hide_all(pem, runner.redactor.add)
        key = envelope.private_key(pem, where=where)
    stop = threading.Event()
    work = config.working_dir or wiring.work_directory(settings)
    with ExitStack() as stack:
        client = stack.enter_context(network.client(network.tls()))
        stack.enter_context(runner.store.liveness.hold(runner.executor))
        tracing = Tracing(os.environ)
        stack.callback(tracing.close)
        kit = Kit(
            tools=Tools(
                config=config,
                api=MeshApi(
                    client,
                    config,
                    now=wiring.now,
                    wait=stop.wait,
                    hide=runner.redactor.add,
                    unhide=runner.redactor.drop,
                ),
                sources=_sources(config, network, settings.ca_file, work),
                engines=_engines(config, network, settings.engine, work),
                environment=dict(os.environ),
                surroundings=network.environment(),
                mirror=settings.mirror,
                hide=runner.redactor.add,
                rescue=Rescue(states=runner.store.states, aside=work.absolute(), now=wiring.now),
                now=wiring.now,
            ),
            key=key,
            runs=runner.store.runs,
            claims=runner.store.claims,
            liveness=runner.store.liveness,
            executor=runner.executor,
            redactor=runner.redactor,
            client=client,
            shelves=Shelves(
                work=(work / "agent").absolute(),
                cache=(work / "agent-cache").absolute(),
                zones=(work / "agent-landing-zones").absolute(),
            ),
            engine_grace=settings.limits.grace,
            metrics=Metrics(),
            tracing=tracing,
            walk=LandingZones(runner, stack.enter_context(ExitStack())),
        )
        yield Agent(kit, stop)


class LandingZones:
    """Fulfils the agent's `Walk` with this project's durable engine, which is started with the first order and is an executor of its
    own: what it leaves when it dies is settled by the agent and never gone on with."""

    def __init__(self, runner: wiring.Runner, stack: ExitStack) -> None:
        self._runner = replace(runner, executor=f"{runner.executor}-zones", stack=stack)
        self._starting = threading.Lock()
        self._durable: Durable | None = None

    def _engine(self) -> Durable:
        with self._starting:
            if self._durable is None:
                self._runner.prepare()
                self._durable = self._runner.stack.enter_context(self._runner.durable())
            return self._durable

    @property
    def _ports(self) -> Ports:
        return self._runner.ports

    def start(
        self, folder: Path, tenant: str, *, destroy: bool, plan_only: bool, by: str, reason: str, order: str
    ) -> Run:
        """See Walk."""
        from runner.durable import new_id  # brings DBOS, which agents without landing zones do without

        durable = self._engine()
        read = documents.read([folder])
        run = reviewing.start(
            read.for_run(tenant),
            run_id=new_id(),
            source=str(folder.absolute()),
            by=by,
            ports=self._ports,
            behavior=Behavior.DESTROY if destroy else Behavior.APPLY,
            reason=reason,
            options={"order": order, **({"plan_only": True} if plan_only else {})},
        )
        durable.plan(run)
        return run

    def approve(self, run: str, *, digest: str, by: str, comment: str) -> None:
        """See Walk."""
        durable = self._engine()
        approved = reviewing.approve(
            self._ports.runs.get(run),
            by=by,
            ports=self._ports,
            expires_after=self._runner.settings.review_expires,
            digest=digest,
            comment=comment,
        )
        durable.apply(approved)

    def look(self, run: str) -> Run:
        """See Walk. An approved run is applied as soon as it is seen."""
        found = recovery.heir_of(self._ports.runs.get(run), self._ports)
        if found.status is Status.APPROVED and not found.options.get("plan_only"):
            durable = self._engine()
            if not durable.will_apply(found):
                with suppress(Refused):
                    durable.apply(found)
                return self._ports.runs.get(found.id)
        return found

    def events(self, run: str, *, after: int) -> tuple[Event, ...]:
        """See Walk."""
        return self._ports.runs.events(run, after=after)

    def review(self, run: str) -> Review | None:
        """See Walk."""
        kept = self._ports.runs.review(run)
        return None if kept is None else Review.model_validate(kept)

    def cancel(self, run: str, *, by: str) -> None:
        """See Walk."""
        with suppress(Refused):
            reviewing.cancel(self._ports.runs.get(run), by=by, ports=self._ports)

    def settle(self, order: str) -> None:
        """See Walk."""
        ports = self._ports
        for run in ports.runs.find(statuses=tuple(OPEN), limit=1000):
            if run.options.get("order") != order or run.status is Status.WAITING:
                continue
            if not ports.runs.take_over(run.id, dead=run.executor, executor=ports.executor, now=ports.now()):
                continue
            if run.status in EXECUTING:
                recovery.settle(run, ports, threading.Event())  # waits for its engine, which may still make things
            if run.status is Status.APPLYING:
                recovery.end_interrupted(ports.runs.get(run.id), ports)
            else:
                ports.infrastructure.discard(run)
                ports.runs.move(run.id, Status.CANCELED, now=ports.now(), executor=ports.executor)


def _sources(config: Config, network: Network, ca_file: Path | None, work: Path) -> Sources:
    way_out = network.environment()
    surroundings = {name: value for name, value in way_out.items() if name in ("HTTPS_PROXY", "NO_PROXY")}
    if ca_file is not None:
        surroundings["GIT_SSL_CAINFO"] = str(ca_file)
    return Sources(
        mirrors=(work / "agent-cache" / "git").absolute(),
        surroundings=surroundings,
        lock=lambda path: locked(path, patience=_PATIENCE),
        environment=os.environ,
        known_hosts=config.ssh_known_hosts,
        insecure_host_keys=config.insecure_host_keys,
    )


def _engines(config: Config, network: Network, setting: str | None, work: Path) -> Engines:
    @cache
    def installed() -> tuple[Engine, ...]:
        try:
            return (engine.discover(setting),)
        except InputError:
            return ()

    return Engines(
        directory=(config.tf_install_dir or work / "engines").absolute(),
        installed=installed,
        check=cache(lambda path: engine.at(path, wanted_by="the runner's store of engines")),
        mapping=config.engines,
        download=config.engine_download,
        mirror=config.engine_mirror,
        client=lambda: network.client(network.tls()),
        lock=lambda path: locked(path, patience=_PATIENCE),
    )
