"""A server put together: a runner's store and ports, its configuration, and what lets people in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI

from runner import wiring
from runner.domain.server_config import Limits, ServerConfig
from runner.durable import new_id
from runner.web.app import Entrance, build
from runner.web.gate import StoreGate, rights
from runner.web.hooks import Hooks
from runner.web.issuers import Issuers
from runner.web.local_code import LocalCode
from runner.web.openid import OpenId
from runner.web.protection import Origin
from runner.web.rates import Rates
from runner.web.server import Server
from runner.web.shelf import Shelf
from runner.web.sign_in import SigningIn


@dataclass(frozen=True)
class Opened:
    """A server's means, its application, and the code by which whoever sits at the machine signs in; None with a configuration."""

    server: Server
    app: FastAPI
    code: LocalCode | None


@contextmanager
def opened(
    runner: wiring.Runner,
    paths: Sequence[Path],
    config: ServerConfig | None,
    *,
    works: bool,
    address: str,
    show: Callable[[str], None] = lambda code: None,
) -> Iterator[Opened]:
    """The server of this runner; `address` is how it is reached where the configuration does not say. `show` puts a code for whoever
    sits at the machine on its terminal."""
    settings, store = runner.settings, runner.store
    network = wiring.outside(settings)
    for value in network.secrets():
        runner.redactor.add(value)
    server = Server(
        ports=runner.ports,
        fleet=store.fleet,
        states=store.states,
        requests=store.requests,
        audit=store.audit,
        shelf=Shelf(paths, store.fleet),
        review_expires=settings.review_expires,
        public_url=config.origin if config is not None else address.rstrip("/"),
        works=works,
        keep_quiet_runs=settings.keep_quiet_runs,
        new_id=new_id,
    )
    with network.client(network.tls()) as client:
        issuers = Issuers(client, wiring.now)
        rates = Rates(config.limits if config is not None else Limits())
        origin = Origin(config.origin if config is not None else None)
        code = LocalCode(wiring.now, show) if config is None else None
        openid = None
        if config is not None and config.sign_in is not None:
            openid = OpenId(config.sign_in, f"{config.origin}/sign-in/callback", issuers, client, runner.secret)
        signing_in = SigningIn(store.sessions, rights(config), rates, origin, wiring.now, openid, code)
        gate = StoreGate(
            sessions=store.sessions,
            tokens=store.tokens,
            rights=rights(config),
            workloads=config.workloads if config is not None else (),
            issuers=issuers,
            rates=rates,
            now=wiring.now,
        )
        triggers = config.webhooks if config is not None else ()
        hooks = Hooks(triggers, store.received, runner.secret)
        app = build(server, Entrance(gate=gate, origin=origin, rates=rates, signing_in=signing_in, hooks=hooks))
        yield Opened(server, app, code)
