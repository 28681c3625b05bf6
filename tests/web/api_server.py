"""A site as programs meet it: clients by role at `/api/v1`, runs that are started over the API, and a second server beside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from runner.app.walk import Ports
from runner.domain.actor import Grant, Role
from runner.domain.review import Contents
from runner.domain.run import Run, Status
from runner.store.opening import Store
from tests.domain.test_review import made
from tests.web.serving import TENANT, Site, reviewed, site

API = "/api/v1"


@dataclass
class Served:
    """A server of these documents."""

    site: Site
    documents: Path
    _clients: dict[str, httpx.Client] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.site.address

    @property
    def app(self) -> FastAPI:
        return self.site.app

    @property
    def store(self) -> Store:
        return self.site.store

    @property
    def ports(self) -> Ports:
        return self.site.server.ports

    def client(self, role: str = "admin", **places: Any) -> httpx.Client:
        """The client with a token of this role, the same for the same role and places; one without a token where it is empty."""
        known = f"{role} {places}"
        if known not in self._clients:
            made = self.site.program(Grant(role=Role(role), **places), name=f"a {role}") if role else self.site.client()
            made.base_url = httpx.URL(self.url + API)
            self._clients[known] = made
        return self._clients[known]

    def started(self, **wish: Any) -> Run:
        """A run that was started over the API."""
        answer = self.client().post("/runs", json={"tenants": [TENANT], **wish})
        assert answer.status_code == 201, answer.text
        return self.ports.runs.get(answer.json()["runs"][0]["id"])

    def waiting(self, *, contents: tuple[str, ...] = (), **wish: Any) -> Run:
        """A run as it is once it was planned, without an engine."""
        run = self.moved(self.started(**wish), Status.PLANNING)
        held = tuple(Contents(resource_group=name, resources=("a", "b")) for name in contents)
        reviewed(self.site, run, made(contents=held))
        return self.moved(run, Status.WAITING)

    def moved(self, run: Run, *statuses: Status) -> Run:
        """The run after these statuses, as this process executes it."""
        for status in statuses:
            run = self.ports.runs.move(run.id, status, now=self.ports.now(), executor=self.ports.executor)
        return run

    @contextmanager
    def beside(self) -> Iterator[str]:
        """The address of a second server over the same store."""
        with site(self.store, paths=(self.documents,)) as other:
            yield other.address
