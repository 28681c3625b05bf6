"""A tiny Azure on loopback HTTPS: it hands out tokens, and answers either from a recording or from a plain store of objects.

It is the counterpart the provider tests need to be exact about calls. The sandbox's own emulator is far richer and has tests of its own.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT = "22222222-2222-2222-2222-222222222222"
CALLER = "99999999-9999-9999-9999-999999999999"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; a status of 0 cuts the connection."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """One HTTP call that arrived and how it was answered; tokens and metadata are not recorded."""

    method: str
    url: str
    body: Any
    status: int
    at: float

    @property
    def path(self) -> str:
        return urlsplit(self.url).path


Responder = Callable[[str, str, Any], Answer]


@dataclass
class Azure:
    """A running double."""

    url: str
    ca_file: Path
    calls: list[Call] = field(default_factory=list)
    token_requests: list[dict[str, str]] = field(default_factory=list)
    respond: Responder | None = None
    guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    def environment(self) -> dict[str, str]:
        """The variables that a run in the sandbox gives the engine."""
        return {
            "LZR_SANDBOX_URL": self.url,
            "SSL_CERT_FILE": str(self.ca_file),
            "ARM_METADATA_HOSTNAME": self.host,
            "ARM_ENVIRONMENT": "custom",
            "ARM_ACTIVE_DIRECTORY_AUTHORITY_HOST": f"{self.url}/",
            "ARM_RESOURCE_MANAGER_ENDPOINT": self.url,
            "ARM_RESOURCE_MANAGER_AUDIENCE": f"{self.url}/",
            "ARM_TENANT_ID": TENANT,
            "ARM_CLIENT_ID": CLIENT,
            "ARM_CLIENT_SECRET": "a-secret-that-must-not-show",
            "ARM_SUBSCRIPTION_ID": SUBSCRIPTION,
            "ARM_USE_CLI": "false",
        }

    def answer(self, method: str, url: str, raw: bytes) -> Answer:
        path = urlsplit(url).path
        if path.endswith("/oauth2/v2.0/token"):
            form = {key: values[0] for key, values in parse_qs(raw.decode()).items()}
            self.token_requests.append(form)
            return Answer(200, {"access_token": _token(), "expires_in": 3599, "token_type": "Bearer"})
        if path == "/metadata/endpoints":
            return Answer(
                200, {"authentication": {"loginEndpoint": self.url}, "microsoftGraphResourceId": f"{self.url}/"}
            )
        body = json.loads(raw) if raw else None
        with self.guard:
            assert self.respond is not None
            answer = self.respond(method, url, body)
            self.calls.append(Call(method, url, body, answer.status, time.monotonic()))
        return answer

    def sent(self, *methods: str) -> list[str]:
        """List the recorded calls as `METHOD path`, of these methods only if any are named."""
        return [f"{call.method} {call.path}" for call in self.calls if not methods or call.method in methods]


def _token() -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"oid": CALLER, "tid": TENANT}).encode()).decode().rstrip("=")
    return f"e30.{claims}.c2ln"


def not_found(path: str) -> Answer:
    return Answer(404, {"error": {"code": "ResourceNotFound", "message": f"The Resource '{path}' was not found."}})


@dataclass
class Store:
    """Answers from a store of objects by path; the next answers of a call can be set beforehand."""

    objects: dict[str, Any] = field(default_factory=dict)
    planned: list[tuple[str, str, deque[Answer]]] = field(default_factory=list)

    def answer_next(self, method: str, pattern: str, *answers: Answer) -> None:
        """Answer the next calls of `method` whose path matches with these, in this order."""
        self.planned.append((method, pattern, deque(answers)))

    def __call__(self, method: str, url: str, body: Any) -> Answer:
        path = urlsplit(url).path
        for wanted, pattern, answers in self.planned:
            if answers and wanted == method and re.search(pattern, path):
                return answers.popleft()
        match method:
            case "PUT":
                status = 200 if path in self.objects else 201
                own = {"id": path, "name": path.rpartition("/")[2]}
                done = {"provisioningState": "Succeeded"}
                self.objects[path] = {**own, **body, "properties": {**done, **(body.get("properties") or {})}}
                return Answer(status, self.objects[path])
            case "DELETE":
                return Answer(200 if self.objects.pop(path, None) else 204)
            case "POST":
                return Answer(200, {"echo": body})
            case _:
                return Answer(200, self.objects[path]) if path in self.objects else not_found(path)


@dataclass
class Recording:
    """Answers as Azure's emulator once answered the real providers, and refuses any call that they did not make."""

    url: str
    bodies: list[Any]
    waiting: dict[tuple[str, str], deque[tuple[Any, Answer]]] = field(default_factory=lambda: defaultdict(deque))
    differences: list[str] = field(default_factory=list)

    def load(self, calls: list[list[Any]]) -> None:
        """Expect the calls of one step."""
        for method, url, status, request, response, *rest in calls:
            headers = {
                name: value.replace("{sandbox}", urlsplit(self.url).netloc)
                for name, value in (rest[0] if rest else {}).items()
            }
            if "Retry-After" in headers:
                headers["Retry-After"] = "0"
            answer = Answer(status, self._body(response), headers)
            self.waiting[method, url].append((self._body(request), answer))

    def _body(self, index: int | None) -> Any:
        if index is None:
            return None
        return json.loads(json.dumps(self.bodies[index]).replace("{sandbox}", urlsplit(self.url).netloc))

    def __call__(self, method: str, url: str, body: Any) -> Answer:
        if not (queue := self.waiting[method, url]):
            self.differences.append(f"not observed: {method} {url} {json.dumps(body)}")
            return Answer(418, {"error": {"code": "NotObserved", "message": f"{method} {url}"}})
        # Two resources may call one URL at the same time, in any order.
        index = next((index for index, (wanted, _) in enumerate(queue) if _steady(wanted) == _steady(body)), 0)
        wanted, answer = queue[index]
        del queue[index]
        if _steady(wanted) != _steady(body):
            self.differences.append(
                f"{method} {url}\n  observed {json.dumps(wanted)}\n  now      {json.dumps(body, sort_keys=True)}"
            )
        return answer

    def finish(self) -> list[str]:
        """Return what differed from the recording since the last step, calls that were not made included."""
        missing = [f"missing: {method} {url}" for (method, url), queue in self.waiting.items() for _ in queue]
        found, self.differences = self.differences + missing, []
        self.waiting.clear()
        return found


def _steady(body: Any) -> Any:
    """Leave out what is random in every run: the probe's name and the made-up nickname."""
    if not isinstance(body, dict):
        return body
    probe = str(body.get("displayName", "")).startswith("TERRAFORM_UPDATE_")
    return {key: value for key, value in body.items() if key != "mailNickname" and not (probe and key == "displayName")}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    azure: Azure

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = self.azure.answer(self.command, self.path, raw)
        if not answer.status:
            self.close_connection = True
            return
        content = b"" if answer.body is None else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 - the names http.server calls

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is no error."""


def make_certificate(directory: Path) -> Path:
    """Write a self-signed certificate for 127.0.0.1 with its key into one file."""
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "double")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(hours=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = directory / "azure.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@contextmanager
def running(certificate: Path) -> Iterator[Azure]:
    """Run a double on a free port."""
    handler = type("Handler", (_Handler,), {})
    server = _Server(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    azure = Azure(f"https://127.0.0.1:{server.server_address[1]}", certificate)
    handler.azure = azure  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield azure
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
