"""GitHub, GitLab and Azure DevOps on one port of loopback, as far as a runner needs them; and what the tests of pipelines share."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from runner.agent.contract import BlockRun, Status, read
from runner.agent.pipelines import Outcome, Way, execute

NOW = datetime(2026, 10, 5, 8, 0, 0, tzinfo=UTC)
RUN_ID = "8c1f0e52-0000-4000-8000-000000000001"
RUN_TOKEN = "run-token-canary-4b1d"
INPUT_SECRET = "input-secret-canary-77aa"
PAT = "pat-canary-5e5e5e5e"
TRIGGER_TOKEN = "glptt-canary-c0ffee"
ACCESS_TOKEN = "ghs_access-token-canary"


@cache
def app_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


def app_pem(form: PrivateFormat = PrivateFormat.TraditionalOpenSSL) -> str:
    return app_key().private_bytes(Encoding.PEM, form, NoEncryption()).decode()


@dataclass(frozen=True)
class Received:
    """One request as it came in; `path` as it was encoded."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> list[tuple[str, str]]:
        """The fields of a multipart form, in their order."""
        message = message_from_bytes(f"Content-Type: {self.headers['Content-Type']}\n\n".encode() + self.body)
        parts = [part for part in message.walk() if not part.is_multipart()]
        named = [
            (part.get_param("name", header="content-disposition"), part.get_payload(decode=True)) for part in parts
        ]
        return [(str(name), content.decode()) for name, content in named if isinstance(content, bytes)]


@dataclass(frozen=True)
class Reply:
    """What goes back. `drop` cuts the connection instead."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False

    @property
    def content(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


PAGE = Reply(200, b"<!DOCTYPE html><html><title>Sign in</title></html>", {"Content-Type": "text/html"})


class Services:
    """The three services. A script for a request goes before what they would answer; `progress` is what a pipeline goes through, one
    state for each look, and `unseen` how many looks at the list a new run of GitHub is missing from."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.clock = Clock()
        self.progress: list[tuple[str, str | None]] = [("completed", "success")]
        self.parts: list[dict[str, Any]] = []
        self.runs: list[dict[str, Any]] = []
        self.unseen = 0
        self.at_dispatch: Callable[[], None] = lambda: None
        self.permissions: dict[str, str] = {"actions": "write", "metadata": "read"}
        self._coming: list[dict[str, Any]] = []
        self._scripts: list[tuple[str, str, list[Reply]]] = []
        self._lock = threading.Lock()
        self.url = ""

    def script(self, method: str, path: str, *replies: Reply) -> None:
        """Answer such requests with each reply in turn, then as if there was no script."""
        self._scripts.append((method, path, list(replies)))

    def sent(self, method: str, path: str) -> list[Received]:
        return [one for one in self.requests if one.method == method and re.search(path, one.path)]

    def answer(self, got: Received) -> Reply:
        with self._lock:
            self.requests.append(got)
            for method, path, replies in self._scripts:
                if replies and method == got.method and re.search(path, got.path):
                    return replies.pop(0)
            for pattern, answer in self._ROUTES:
                if found := re.fullmatch(pattern, f"{got.method} {got.path}"):
                    return answer(self, got, *found.groups())
        return Reply(404, {"message": "Not Found"})

    def _installation(self, got: Received) -> Reply:
        if not _signed(got):
            return Reply(401, {"message": "A JSON web token could not be decoded"})
        return Reply(body={"id": 77, "app_slug": "blocks", "app_id": 4711})

    def _access(self, got: Received) -> Reply:
        if not _signed(got):
            return Reply(401, {"message": "A JSON web token could not be decoded"})
        return Reply(201, {"token": ACCESS_TOKEN, "permissions": self.permissions})

    def _dispatch(self, got: Received, workflow: str) -> Reply:
        self.at_dispatch()
        run = self.github_run(900 + len(self.runs) + len(self._coming), created=self.clock.now)
        self._coming.append(run)
        return Reply(204)

    def github_run(self, number: int, *, created: datetime, login: str = "blocks[bot]", **more: Any) -> dict[str, Any]:
        """A run as GitHub lists it."""
        url = f"https://github.example/platform/blocks/actions/runs/{number}"
        when = created.strftime("%Y-%m-%dT%H:%M:%SZ")
        run = {"id": number, "event": "workflow_dispatch", "status": "queued", "conclusion": None, "created_at": when}
        return run | {"html_url": url, "triggering_actor": {"login": login}} | more

    def _list(self, got: Received, workflow: str) -> Reply:
        if self._coming:
            self.unseen -= 1
            if self.unseen < 0:
                self.runs = self._coming + self.runs
                self._coming = []
        return Reply(body={"total_count": len(self.runs), "workflow_runs": self.runs})

    def _next(self) -> tuple[str, str | None]:
        return self.progress.pop(0) if len(self.progress) > 1 else self.progress[0]

    def _github(self, got: Received, number: str) -> Reply:
        status, conclusion = self._next()
        url = f"https://github.example/platform/blocks/actions/runs/{number}"
        return Reply(body={"id": int(number), "status": status, "conclusion": conclusion, "html_url": url})

    def _jobs(self, got: Received, number: str) -> Reply:
        return Reply(body={"jobs": self.parts})

    def _taken(self, got: Received, *_: str) -> Reply:
        return Reply(202, {})

    def _gitlab(self, got: Received, project: str) -> Reply:
        if dict(got.form)["token"] != TRIGGER_TOKEN:
            return Reply(404, {"message": "404 Not Found"})
        return Reply(201, {"id": 31, "web_url": "https://gitlab.example/p/-/pipelines/31"})

    def _azure_run(self, got: Received, pipeline: str) -> Reply:
        if got.headers["Authorization"] != "Basic " + base64.b64encode(f":{PAT}".encode()).decode():
            return PAGE if got.method == "GET" else Reply(203, PAGE.content, PAGE.headers)
        return Reply(
            200, {"id": 55, "state": "inProgress", "_links": {"web": {"href": "https://dev.example/build/55"}}}
        )

    def _azure_look(self, got: Received, pipeline: str, number: str) -> Reply:
        state, result = self._next()
        links = {"web": {"href": "https://dev.example/build/55"}}
        return Reply(body={"id": 55, "state": state, "result": result, "_links": links})

    def _timeline(self, got: Received, number: str) -> Reply:
        return Reply(body={"records": self.parts})

    def _patched(self, got: Received, number: str) -> Reply:
        return Reply(body={"id": 55, "status": "cancelling"})

    _ROUTES: list[tuple[str, Callable[..., Reply]]] = [
        (r"GET /repos/platform/blocks/installation", _installation),
        (r"POST /app/installations/77/access_tokens", _access),
        (r"POST /repos/platform/blocks/actions/workflows/([^/]+)/dispatches", _dispatch),
        (r"GET /repos/platform/blocks/actions/workflows/([^/]+)/runs", _list),
        (r"GET /repos/platform/blocks/actions/runs/(\d+)", _github),
        (r"GET /repos/platform/blocks/actions/runs/(\d+)/jobs", _jobs),
        (r"POST /repos/platform/blocks/actions/runs/(\d+)/cancel", _taken),
        (r"POST /api/v4/projects/([^/]+)/trigger/pipeline", _gitlab),
        (r"POST /org/proj/_apis/pipelines/(\d+)/runs", _azure_run),
        (r"GET /org/proj/_apis/pipelines/(\d+)/runs/(\d+)", _azure_look),
        (r"GET /org/proj/_apis/build/builds/(\d+)/timeline", _timeline),
        (r"PATCH /org/proj/_apis/build/builds/(\d+)", _patched),
    ]


def _signed(got: Received) -> bool:
    token = got.headers["Authorization"].removeprefix("Bearer ")
    signed, _, signature = token.rpartition(".")
    decoded = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    try:
        app_key().public_key().verify(decoded, signed.encode(), PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""


@contextmanager
def serving() -> Iterator[Services]:
    """The services, for a test."""
    services = Services()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def handle_request(self) -> None:
            parts = urlsplit(self.path)
            reply = services.answer(
                Received(
                    method=self.command,
                    path=parts.path,
                    query={name: values[0] for name, values in parse_qs(parts.query).items()},
                    headers=dict(self.headers.items()),
                    body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
                )
            )
            if reply.drop:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 204:
                self.send_header("Content-Length", str(len(reply.content)))
            self.end_headers()
            self.wfile.write(reply.content)

        do_GET = do_POST = do_PATCH = handle_request  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    server = _Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    services.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield services
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Clock:
    """Time that goes on only by waiting; `then` is done at each waiting."""

    now: datetime = NOW
    waits: list[float] = field(default_factory=list)
    then: Callable[[], None] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += timedelta(seconds=seconds)
        self.then()


@dataclass(frozen=True)
class Step:
    """A step as it was told."""

    id: str
    name: str
    status: Status
    user: str
    system: str
    outputs: Mapping[str, Any] | None


class Heard:
    """Hears what is told."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def step(
        self,
        id: str,  # noqa: A002
        name: str,
        status: Status,
        *,
        user: str = "",
        system: str = "",
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        self.steps.append(Step(id, name, status, user, system, outputs))

    def of(self, step: str) -> list[Status]:
        """The states that a step went through."""
        return [one.status for one in self.steps if one.id == step]

    def text(self) -> str:
        return repr(self.steps)


class Agent:
    """Carries out runs against the services as the agent does, with a clock of its own."""

    def __init__(self, services: Services, clock: Clock | None = None) -> None:
        self.services = services
        self.told = Heard()
        self.stop = threading.Event()
        self.clock = clock or services.clock
        self.patience = 1800.0

    def way(self, client: httpx.Client) -> Way:
        return Way(client, self.stop, self.clock.sleep, lambda: self.clock.now, patience=self.patience)

    def execute(self, document: dict[str, Any], **more: Any) -> Outcome:
        with httpx.Client(timeout=30, trust_env=False) as client:
            return execute(read_run(document), document, self.told, self.way(client), **more)


def read_run(document: dict[str, Any]) -> BlockRun:
    return read(json.dumps(document).encode())


def one_input(key: str, value: Any, kind: str = "STRING", *, secret: bool = False, env: bool = False) -> dict[str, Any]:
    return {"key": key, "value": value, "type": kind, "isSensitive": secret, "isEnvironment": env}


INPUTS = (
    one_input("region", "westeurope"),
    one_input("replicas", 3, "INTEGER"),
    one_input("public", True, "BOOLEAN"),
    one_input("zones", ["1", "2"], "MULTI_SELECT"),
    one_input("password", INPUT_SECRET, secret=True),
    one_input("ARM_TENANT_ID", "11111111-1111-4111-8111-111111111111", env=True),
)


def document_of(
    implementation: dict[str, Any], *, behavior: str = "APPLY", inputs: tuple[dict[str, Any], ...] = INPUTS
) -> dict[str, Any]:
    """A run's JSON with its secrets decrypted."""
    base = "https://mesh.example"
    this = f"{base}/api/meshobjects/meshbuildingblockruns/{RUN_ID}"
    return {
        "kind": "meshBuildingBlockRun",
        "apiVersion": "v1",
        "metadata": {"uuid": RUN_ID},
        "spec": {
            "runNumber": 7,
            "behavior": behavior,
            "runToken": RUN_TOKEN,
            "buildingBlock": {
                "uuid": "5f2d0000-0000-4000-8000-000000000001",
                "spec": {"displayName": "stärter", "workspaceIdentifier": "payments", "inputs": list(inputs)},
            },
            "buildingBlockDefinition": {
                "uuid": "b23c0000-0000-4000-8000-000000000001",
                "spec": {"workspaceIdentifier": "platform", "version": 3, "implementation": implementation},
            },
        },
        "status": "IN_PROGRESS",
        "_links": {
            "self": {"href": this},
            "registerSource": {"href": f"{this}/status/source"},
            "updateSource": {"href": f"{this}/status/source/{{sourceId}}", "templated": True},
            "meshstackBaseUrl": {"href": base},
        },
    }
