"""A runner in a few lines, for tests that want to say exactly what goes over the wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from runner.sandbox.meshstack.server import MeshStack

RUN = "application/vnd.meshcloud.api.meshbuildingblockrun.v1.hal+json"
CREATE = "/api/meshobjects/meshbuildingblockruns/create"
MANUAL = {"type": "MANUAL"}
Json = dict[str, Any]


def headers(credential: str, **more: str) -> dict[str, str]:
    return {"Authorization": credential, "Accept": RUN, "Content-Type": RUN, **more}


@dataclass
class Speaker:
    """Speaks to one meshStack."""

    mesh: MeshStack
    http: httpx.Client

    def login(self, **changed: Any) -> httpx.Response:
        body = {"clientId": self.mesh.client_id, "clientSecret": self.mesh.client_secret, **changed}
        return self.http.post("/api/login", json=body)

    def own(self) -> str:
        return f"Bearer {self.login().json()['access_token']}"

    def claim(self, credential: str = "", **more: str) -> httpx.Response:
        given = headers(credential or self.own(), **more)
        return self.http.post(CREATE, params={"forRunnerUuid": self.mesh.runner_uuid}, headers=given)

    def claimed(self, **order: Any) -> Claimed:
        """Order a run and claim it."""
        uuid = self.mesh.enqueue(**{"definition": MANUAL, **order})
        answer = self.claim()
        assert answer.status_code == 201
        assert answer.json()["metadata"]["uuid"] == uuid
        return Claimed(self, answer.json())

    def working(self, **order: Any) -> Claimed:
        """Order a run, claim it and register for it."""
        run = self.claimed(**order)
        assert run.register().status_code == 200
        return run


@dataclass
class Claimed:
    """Speaks about one run with the run's own token."""

    speaker: Speaker
    document: Json

    @property
    def uuid(self) -> str:
        return str(self.document["metadata"]["uuid"])

    @property
    def token(self) -> str:
        return f"Bearer {self.document['spec']['runToken']}"

    @property
    def block(self) -> str:
        return str(self.document["spec"]["buildingBlock"]["uuid"])

    @property
    def seen(self) -> Json:
        return self.speaker.mesh.run(self.uuid)

    def link(self, name: str, **values: str) -> str:
        return str(self.document["_links"][name]["href"]).format(**values)

    def register(self, source: str = "me", *, credential: str = "", **body: Any) -> httpx.Response:
        given = {"source": {"id": source}, **body}
        return self.speaker.http.post(
            self.link("registerSource"), json=given, headers=headers(credential or self.token)
        )

    def report(self, source: str = "me", *, credential: str = "", **body: Any) -> httpx.Response:
        where = self.link("updateSource", sourceId=source)
        return self.speaker.http.patch(where, json=body, headers=headers(credential or self.token))

    def state(self, method: str, *, lock: bool = False, **more: Any) -> httpx.Response:
        """As Terraform's http backend asks."""
        where = f"/api/terraform/state/workspace/payments/buildingBlock/{self.block}{'/lock' if lock else ''}"
        return self.speaker.http.request(method, where, auth=("x", self.document["spec"]["runToken"]), **more)
