"""A real server over a real store for tests of the API: it answers on loopback, executes nothing, and its tokens are the store's."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from runner import wiring
from runner.app.walk import Ports
from runner.domain.actor import Grant, Role
from runner.domain.review import Contents
from runner.domain.run import Run, Status
from runner.ports import ApiToken
from runner.settings import Settings
from runner.store.tokens import new_id
from runner.web.opening import opened
from runner.web.server import Server
from runner.web.serving import answering
from tests.domain.test_review import made

DEMO = Path(__file__).parent.parent.parent / "examples" / "demo"
TENANT = "payments.checkout-dev"


@dataclass
class Served:
    """One server. Others over the same store are made with `beside`."""

    url: str
    app: FastAPI
    server: Server
    runner: wiring.Runner
    documents: Path
    _stack: ExitStack
    _clients: dict[str, httpx.Client] = field(default_factory=dict)

    @property
    def ports(self) -> Ports:
        return self.runner.ports

    def token(self, role: str, *, zones: tuple[str, ...] = (), workspaces: tuple[str, ...] = ()) -> str:
        """The secret of a new token with this role."""
        now = self.ports.now()
        return self.runner.store.tokens.create(
            ApiToken(
                id=new_id(),
                name=f"a {role}",
                grants=(Grant(role=Role(role), zones=zones, workspaces=workspaces),),
                created_by="tests",
                created=now,
                expires=now + timedelta(hours=1),
            )
        )

    def client(self, role: str = "admin", **places: Any) -> httpx.Client:
        """A client with a token of this role; without one where it is empty."""
        known = f"{role} {places}"
        if known not in self._clients:
            headers = {"Authorization": f"Bearer {self.token(role, **places)}"} if role else {}
            made = httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, trust_env=False, timeout=30)
            self._clients[known] = self._stack.enter_context(made)
        return self._clients[known]

    def started(self, **wish: Any) -> Run:
        """A run that was started over the API."""
        answer = self.client().post("/runs", json={"tenants": [TENANT], **wish})
        assert answer.status_code == 201, answer.text
        return self.ports.runs.get(answer.json()["runs"][0]["id"])

    def waiting(self, *, contents: tuple[str, ...] = (), **wish: Any) -> Run:
        """A run as it is once it was planned, without an engine."""
        run, runs = self.started(**wish), self.ports.runs
        held = tuple(Contents(resource_group=name, resources=("a", "b")) for name in contents)
        review = made(contents=held).model_copy(update={"run": run.id, "tenant": run.tenant})
        self.moved(run, Status.PLANNING)
        runs.keep_review(run.id, digest=review.digest, review=review.model_dump(mode="json"))
        runs.note(run.id, digest=review.digest, counts=review.summary)
        return self.moved(run, Status.WAITING)

    def moved(self, run: Run, *statuses: Status) -> Run:
        """The run after these statuses, as this process executes it."""
        for status in statuses:
            run = self.ports.runs.move(run.id, status, now=self.ports.now(), executor=self.ports.executor)
        return run

    @contextmanager
    def beside(self) -> Iterator[str]:
        """The address of a second server over the same store."""
        with (
            opened(self.runner, [self.documents], None, works=False, address="http://127.0.0.1") as other,
            answering(other.app, "127.0.0.1", 0) as port,
        ):
            yield f"http://127.0.0.1:{port}"


@contextmanager
def serving(directory: Path, store: str) -> Iterator[Served]:
    """A server over this store, with the demo's documents."""
    documents = directory / "documents"
    shutil.copytree(DEMO, documents, dirs_exist_ok=True)
    settings = Settings(
        store=SecretStr(store), store_key_file=directory / "key", work_dir=directory / "work", log_level="error"
    )
    with ExitStack() as stack:
        runner = stack.enter_context(wiring.open_runner(settings))
        made = stack.enter_context(opened(runner, [documents], None, works=False, address="http://127.0.0.1"))
        made.server.shelf.look()
        port = stack.enter_context(answering(made.app, "127.0.0.1", 0))
        yield Served(f"http://127.0.0.1:{port}", made.app, made.server, runner, documents, stack)
