"""Puts the agent together: its configuration file with this process's settings, the store, and the way out."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path

from runner import wiring
from runner.agent import envelope
from runner.agent.agent import Agent, Shelves
from runner.agent.config import Config
from runner.agent.engines import Engines
from runner.agent.meshapi import MeshApi
from runner.agent.sources import Sources
from runner.agent.telemetry import Metrics, Tracing
from runner.agent.terraform_block import Tools
from runner.azure.network import Network
from runner.errors import InputError
from runner.store.filelocks import locked
from runner.terraform import engine
from runner.terraform.engine import Engine

_PATIENCE = timedelta(minutes=15)  # for another run that fetches the same


@contextmanager
def open_agent(runner: wiring.Runner, config: Config) -> Iterator[Agent]:
    """The agent of this process, known to others as alive meanwhile. InputError where its key cannot be used."""
    settings = runner.settings
    network = Network(proxy=settings.proxy, no_proxy=settings.no_proxy, ca_file=settings.ca_file)
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
        yield Agent(
            tools=Tools(
                config=config,
                api=MeshApi(client, config, now=wiring.now, wait=stop.wait, hide=runner.redactor.add),
                sources=_sources(config, network, settings.ca_file, work),
                engines=_engines(config, network, settings.engine, work),
                environment=dict(os.environ),
                surroundings=network.environment(),
                mirror=settings.mirror,
                hide=runner.redactor.add,
                now=wiring.now,
            ),
            key=key,
            runs=runner.store.runs,
            claims=runner.store.claims,
            liveness=runner.store.liveness,
            executor=runner.executor,
            redactor=runner.redactor,
            client=client,
            shelves=Shelves(work=(work / "agent").absolute(), cache=(work / "agent-cache").absolute()),
            engine_grace=settings.limits.grace,
            metrics=Metrics(),
            tracing=tracing,
            stop=stop,
        )


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
