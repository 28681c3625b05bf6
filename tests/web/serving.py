"""A server for tests: the real application over a real store, with documents, actors who come by token, and runs to look at."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from runner.app.walk import Ports
from runner.domain.actor import Actor, Grant, Role, SignedIn
from runner.domain.configuration import Snapshot
from runner.domain.platform import AzurePlatform
from runner.domain.review import Review
from runner.domain.run import Run, Status
from runner.domain.server_config import Limits, ServerConfig
from runner.durable import new_id
from runner.errors import RemoteFailed
from runner.policy.expressions import CelExpressions
from runner.ports import ApiToken, Azure
from runner.store.opening import Store
from runner.web.app import Entrance, build
from runner.web.gate import StoreGate, rights
from runner.web.hooks import Hooks
from runner.web.issuers import Issuers
from runner.web.local_code import LocalCode
from runner.web.openid import OpenId
from runner.web.protection import Origin
from runner.web.rates import Rates
from runner.web.server import Server
from runner.web.serving import answering
from runner.web.shelf import Shelf
from runner.web.sign_in import SigningIn

DEMO = Path(__file__).parent.parent.parent / "examples" / "demo"
TENANT = "payments.checkout-dev"
ZONE = "corp-online"
EVERYWHERE = (Grant(role=Role.ADMIN),)


class _Unreached:
    """A port that these tests never get to: the server in them executes nothing."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"nothing is executed here, and {name} was asked for")


@dataclass
class Site:
    """A server and how to speak to it."""

    store: Store
    server: Server
    app: FastAPI
    address: str
    codes: list[str]
    """What the terminal showed."""
    allowed: dict[str, tuple[Grant, ...]]
    """What actors may that no configuration names, by id."""
    _clients: list[httpx.Client] = field(default_factory=list)

    def client(self, **headers: str) -> httpx.Client:
        """Somebody without a session."""
        made = httpx.Client(base_url=self.address, headers=headers, timeout=60, trust_env=False)
        self._clients.append(made)
        return made

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def token(self, *grants: Grant, name: str = "tests") -> str:
        """A new API token with these grants; an administrator's without any."""
        now = datetime.now(UTC)
        kept = ApiToken(
            id=new_id()[-10:],
            name=name,
            grants=grants or EVERYWHERE,
            created_by="tests",
            created=now,
            expires=now + timedelta(hours=1),
        )
        return self.store.tokens.create(kept)

    def program(self, *grants: Grant, name: str = "tests") -> httpx.Client:
        """A program with these grants."""
        return self.client(authorization=f"Bearer {self.token(*grants, name=name)}")

    def person(self, actor: Actor) -> Person:
        """A browser in which this actor is signed in."""
        self.allowed[actor.id] = actor.grants
        who = SignedIn(id=actor.id, name=actor.name, issuer="https://id.example" if actor.person else "")
        cookie = self.store.sessions.begin(who, now=self.server.now)
        client = self.client(accept="text/html")
        client.cookies.set("lzr", cookie)
        return Person(client, cookie)


@dataclass
class Person:
    """A signed-in browser, as far as HTTP goes."""

    client: httpx.Client
    cookie: str

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def post(self, path: str, **form: Any) -> httpx.Response:
        """Send a form as the page would."""
        from runner.web.protection import csrf_of

        return self.client.post(path, data={"csrf": csrf_of(self.cookie), **form})


@contextmanager
def site(
    store: Store,
    *,
    paths: tuple[Path, ...] = (DEMO,),
    config: ServerConfig | None = None,
    now: Any = None,
    client: httpx.Client | None = None,
    secrets: Mapping[str, str] | None = None,
    port: int = 0,
) -> Iterator[Site]:
    """The application over this store."""
    clock = now or (lambda: datetime.now(UTC))
    unreached: Any = _Unreached()

    def azure(platform: AzurePlatform, stop: threading.Event) -> AbstractContextManager[Azure]:
        raise RemoteFailed("Azure is not here", code="azure-away", detail="These tests have none.")

    def reread(run: Run, snapshot: Snapshot) -> str | None:
        return snapshot.digest

    ports = Ports(
        runs=store.runs,
        deletions=store.deletions,
        bundles=store.bundles,
        holdings=store.holdings,
        infrastructure=unreached,
        modules=unreached,
        checks=unreached,
        expressions=CelExpressions(),
        azure=azure,
        reread=reread,
        now=clock,
        redact=str,
        executor="tests",
    )
    server = Server(
        ports=ports,
        fleet=store.fleet,
        states=store.states,
        requests=store.requests,
        audit=store.audit,
        shelf=Shelf(paths, store.fleet),
        review_expires=timedelta(days=7),
        public_url=config.origin if config is not None else "http://127.0.0.1",
        works=False,
        keep_quiet_runs=timedelta(days=90),
        new_id=new_id,
    )
    server.shelf.look()
    rates = Rates(config.limits if config is not None else Limits(sign_ins=1000, changes=10_000))
    origin = Origin(config.origin if config is not None else None)
    with nullcontext(client) if client is not None else httpx.Client() as found:
        issuers = Issuers(found, clock)
        codes: list[str] = []
        allowed: dict[str, tuple[Grant, ...]] = {}

        def may(who: SignedIn) -> tuple[Grant, ...]:
            return allowed[who.id] if who.id in allowed else rights(config)(who)

        code = LocalCode(clock, codes.append) if config is None else None
        openid = None
        if config is not None and config.sign_in is not None:
            openid = OpenId(
                config.sign_in,
                f"{config.origin}/sign-in/callback",
                issuers,
                found,
                lambda reference: (secrets or {})[reference.env or ""],
            )
        signing_in = SigningIn(store.sessions, may, rates, origin, clock, openid, code)
        gate = StoreGate(
            sessions=store.sessions,
            tokens=store.tokens,
            rights=may,
            workloads=config.workloads if config is not None else (),
            issuers=issuers,
            rates=rates,
            now=clock,
        )
        hooks = Hooks(
            config.webhooks if config is not None else (),
            store.received,
            lambda reference: (secrets or {})[reference.env or ""],
        )
        app = build(server, Entrance(gate=gate, origin=origin, rates=rates, signing_in=signing_in, hooks=hooks))
        with answering(app, "127.0.0.1", port) as bound:
            made = Site(store, server, app, f"http://127.0.0.1:{bound}", codes, allowed)
            try:
                yield made
            finally:
                made.close()


def ada(*grants: Grant, subject: str = "ada") -> Actor:
    """A person who signed in."""
    return Actor(
        id=f"oidc:https://id.example#{subject}", name=subject.capitalize(), grants=grants or EVERYWHERE, person=True
    )


def waiting(site: Site, made: Review | None = None, *, tenant: str = TENANT, **fields: Any) -> Run:
    """A run of the tenant that waits, as planning leaves it, with this review."""
    from runner.app import reviewing
    from tests.domain.test_review import change
    from tests.domain.test_review import made as a_review

    read = site.server.shelf.documents()
    options = fields.pop("options", {})
    run = reviewing.start(
        read.for_run(tenant),
        run_id=new_id(),
        source=site.server.shelf.source,
        by=fields.pop("by", "Bert (oidc:https://id.example#bert)"),
        ports=site.server.ports,
        options=options,
        **fields,
    )
    from runner.domain.plan import Action

    shown = made or a_review(change("resource_group_network", Action.CREATE, after={"name": "rg"}))
    site.store.runs.move(run.id, Status.PLANNING, now=site.server.now, executor="tests")
    reviewed(site, run, shown)
    return site.store.runs.move(run.id, Status.WAITING, now=site.server.now, executor="tests")


def reviewed(site: Site, run: Run, made: Review) -> None:
    """Keep this as what the run would do, in place of what was there."""
    shown = made.model_copy(update={"run": run.id, "tenant": run.tenant})
    site.store.runs.keep_review(run.id, digest=shown.digest, review=shown.model_dump(mode="json"))
    risks = sum(risk.destructive for risk in shown.risks)
    site.store.runs.note(run.id, digest=shown.digest, risks=risks, counts=shown.summary)


def documents(directory: Path, **zone: Any) -> Path:
    """A copy of the demo's documents whose landing zone has these fields as well."""
    import shutil

    import yaml

    where = directory / "documents"
    shutil.copytree(DEMO, where)
    file = where / "landing-zone.yaml"
    found = yaml.safe_load(file.read_text())
    found["spec"] |= zone
    file.write_text(yaml.safe_dump(found))
    return where
