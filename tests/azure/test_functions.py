"""The function call: what is sent, what is kept of the answer, and whom it never reaches."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.azure.functions import AzureFunctions, scope_of
from runner.domain.invocation import Invocation, encoded
from runner.errors import Canceled, InputError, Refused, RemoteFailed
from runner.network.way_out import Network
from tests.azure.conftest import CLIENT_ID, SECRET, Connected, Waiting
from tests.azure.loopback import TOKEN, Loopback, Received, Reply, issue

Serve = Callable[..., Loopback]
Connect = Callable[[Loopback], Connected]
HEADERS = (("x-mesh-project-identifier", "portal"), ("x-mesh-tag-cost-center", "Caf%C3%A9 = 1;2"))


@pytest.fixture
def functions(connected: Connect, waiting: Waiting) -> Callable[..., AzureFunctions]:
    """Make the function caller for a server, which is allowed by name unless the test says otherwise."""

    def make(server: Loopback, *, allowed: tuple[str, ...] = ("127.0.0.1",), seconds: float = 5) -> AzureFunctions:
        network = Network(ca_file=server.ca_file, function_timeout=timedelta(seconds=seconds))
        return AzureFunctions(
            credential=connected(server).credential,
            network=network,
            tls=network.tls(),
            patience=waiting.patience,
            allowed_hosts=frozenset(allowed),
        )

    return make


Make = Callable[..., AzureFunctions]


def call_to(server: Loopback, path: str = "/api/hook") -> Invocation:
    return Invocation(url=f"{server.url}{path}", scope=CLIENT_ID, headers=HEADERS)


def test_a_function_is_posted_with_its_headers_and_a_token_for_its_application(serve: Serve, functions: Make) -> None:
    server = serve(lambda received: Reply(200, body=b"done"))

    answer = functions(server).call(call_to(server, "/api/hook?code=a%20b"))

    (received,) = server.requests
    assert (answer.status, answer.body) == (200, "done")
    assert (received.method, received.path, received.query, received.body) == (
        "POST",
        "/api/hook",
        {"code": "a b"},
        b"",
    )
    assert received.headers == [
        ("Host", f"127.0.0.1:{server.port}".encode()),
        ("Authorization", f"Bearer {TOKEN}".encode()),
        ("User-Agent", b"landing-zone-runner"),
        ("Accept", b"*/*"),
        ("Content-Length", b"0"),
        *((name, value.encode()) for name, value in HEADERS),
    ]
    assert server.token_requests[0].form["scope"] == f"{CLIENT_ID}/.default"


@pytest.mark.parametrize(
    ("given_scope", "scope"),
    [
        (CLIENT_ID, f"{CLIENT_ID}/.default"),
        ("api://my-function", "api://my-function/.default"),
        ("api://my-function/", "api://my-function/.default"),
        ("api://my-function/.default", "api://my-function/.default"),
    ],
)
def test_a_scope_may_be_an_id_a_uri_or_a_scope(given_scope: str, scope: str) -> None:
    assert scope_of(given_scope) == scope


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(value=st.text(st.characters(codec="utf-8"), max_size=80))
def test_header_values_reach_the_function_byte_for_byte(value: str, serve: Serve, functions: Make) -> None:
    server = serve(lambda received: Reply(204))
    sent = encoded(value)

    functions(server).call(Invocation(url=server.url, scope=CLIENT_ID, headers=(("x-mesh-tag-a", sent),)))

    assert server.requests[0].header("x-mesh-tag-a") == sent.encode("ascii")


@pytest.mark.parametrize(
    "header",
    [
        ("x-mesh-a", "one\r\nx-evil: two"),
        ("x-mesh-a", "caf\u00e9"),
        ("x-mesh-a\r\n", "one"),
        ("x mesh", "one"),
        ("", "one"),
        ("Authorization", "Bearer mine"),
        ("Host", "elsewhere"),
        ("Transfer-Encoding", "chunked"),
    ],
)
def test_a_header_that_would_change_the_request_is_refused(
    header: tuple[str, str], serve: Serve, functions: Make
) -> None:
    server = serve(lambda received: Reply(204))

    with pytest.raises(InputError) as failure:
        functions(server).call(Invocation(url=server.url, scope=CLIENT_ID, headers=(header,)))

    assert failure.value.code == "function-header-invalid"
    assert server.requests == []


@pytest.mark.parametrize("status", [204, 400, 401, 404, 429, 500, 503])
def test_any_status_is_an_answer_and_never_asked_again(status: int, serve: Serve, functions: Make) -> None:
    server = serve(lambda received: Reply(status, headers={"Retry-After": "1"}))

    assert functions(server).call(call_to(server)).status == status
    assert len(server.requests) == 1


def test_a_redirect_is_an_answer_and_not_followed(serve: Serve, functions: Make) -> None:
    server = serve(lambda received: Reply(307, headers={"Location": "https://127.0.0.1/elsewhere"}))

    assert functions(server).call(call_to(server)).status == 307
    assert len(server.requests) == 1


def test_only_the_first_kilobyte_of_an_answer_is_kept(serve: Serve, functions: Make) -> None:
    server = serve(lambda received: Reply(200, body=b"x" * 50_000_000))

    answer = functions(server).call(call_to(server))

    assert answer.body == "x" * 1024
    assert answer.seconds < 5


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"a\x00b\x1b[31mc\r\n\td", "a b [31mc \n\td"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ("é".encode() * 600, "é" * 512),
        (b"x" + "é".encode() * 600, "x" + "é" * 511),
        (b"", ""),
    ],
)
def test_an_answer_is_shown_as_harmless_text(body: bytes, shown: str, serve: Serve, functions: Make) -> None:
    server = serve(lambda received: Reply(200, body=body))

    assert functions(server).call(call_to(server)).body == shown


@pytest.mark.parametrize("before", [0, 5, 1000, 1015, 1023])
def test_a_token_that_the_function_echoes_is_not_kept(before: int, serve: Serve, functions: Make) -> None:
    server = serve(lambda received: Reply(200, body=b"x" * before + (received.header("Authorization") or b"")))

    body = functions(server).call(call_to(server)).body

    assert TOKEN[:8] not in body


def test_an_answer_that_is_too_slow_ends_with_the_time_limit(serve: Serve, functions: Make) -> None:
    server = serve(lambda received: Reply(200, body=b"x" * 200, trickle=0.05))
    started = time.monotonic()

    with pytest.raises(RemoteFailed) as failure:
        functions(server, seconds=0.6).call(call_to(server))

    assert failure.value.code == "function-timeout"
    assert failure.value.temporary
    assert "0.6 seconds" in failure.value.detail
    assert time.monotonic() - started < 3


def test_a_call_that_waits_ends_when_the_run_is_stopped(serve: Serve, functions: Make, waiting: Waiting) -> None:
    server = serve(lambda received: Reply(200, body=b"x" * 400, trickle=0.05))
    threading.Timer(0.3, waiting.stop.set).start()
    started = time.monotonic()

    with pytest.raises(Canceled):
        functions(server, seconds=30).call(call_to(server))

    assert time.monotonic() - started < 3


def test_a_function_that_says_nothing_holds_nobody_up_who_is_stopped(
    serve: Serve, functions: Make, waiting: Waiting
) -> None:
    over = threading.Event()

    def silent(received: Received) -> Reply:
        over.wait(20)
        return Reply(200)

    server = serve(silent)
    threading.Timer(0.3, waiting.stop.set).start()
    started = time.monotonic()

    with pytest.raises(Canceled):
        functions(server, seconds=30).call(call_to(server))
    over.set()

    assert time.monotonic() - started < 10


def test_a_connection_that_breaks_is_reported_and_not_tried_again(serve: Serve, functions: Make) -> None:
    server = serve(lambda received: Reply(drop=True))

    with pytest.raises(RemoteFailed) as failure:
        functions(server).call(call_to(server))

    assert failure.value.code == "function-unreachable"
    assert len(server.requests) == 1


def test_a_function_with_a_certificate_of_nobody_known_is_not_called(
    serve: Serve, functions: Make, connected: Connect, waiting: Waiting
) -> None:
    server = serve(lambda received: Reply(200))
    made = connected(server)
    public = Network()
    caller = AzureFunctions(made.credential, public, public.tls(), waiting.patience, frozenset({"127.0.0.1"}))

    with pytest.raises(RemoteFailed) as failure:
        caller.call(call_to(server))

    assert "private CA" in failure.value.hint
    assert not failure.value.temporary
    assert server.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:{port}/",
        "https://localhost:{port}/",
        "https://127.1:{port}/",
        "https://[::1]:{port}/",
        "https://[::ffff:127.0.0.1]:{port}/",
        "https://0x7f000001:{port}/",
        "https://2130706433:{port}/",
        "https://169.254.169.254/metadata/instance",
        "https://168.63.129.16/",
        "http://20.50.2.1/",
        "http://127.0.0.1:{port}/",
        "file:///etc/passwd",
    ],
)
def test_no_way_of_writing_it_reaches_the_inside(url: str, serve: Serve, functions: Make) -> None:
    server = serve(lambda received: Reply(200))

    with pytest.raises((Refused, InputError)):
        functions(server, allowed=()).call(Invocation(url=url.format(port=server.port), scope=CLIENT_ID, headers=()))

    assert server.requests == []


@pytest.mark.parametrize(
    "url", ["https://user:pass@127.0.0.1/", "https:///path", "https://exa mple.com/", "nothing", ""]
)
def test_a_url_that_is_none_is_an_input_error(url: str, serve: Serve, functions: Make) -> None:
    server = serve(lambda received: Reply(200))

    with pytest.raises((InputError, Refused)):
        functions(server).call(Invocation(url=url, scope=CLIENT_ID, headers=()))


def test_a_host_may_be_allowed_for_one_port_only(serve: Serve, functions: Make) -> None:
    server = serve(lambda received: Reply(200))

    assert functions(server, allowed=(f"127.0.0.1:{server.port}",)).call(call_to(server)).status == 200
    with pytest.raises(Refused):
        functions(server, allowed=("127.0.0.1:1",)).call(call_to(server))


@pytest.fixture
def two_faced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A name service that names a public address first and this machine ever after."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def answer(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "rebind.example":
            return real(host, port, *args, **kwargs)
        asked.append(host)
        address = "192.0.2.1" if len(asked) > 1 else "20.50.2.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return asked


def test_the_connection_goes_to_the_address_that_was_checked(
    two_faced: list[str], serve: Serve, functions: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is resolved once; what is connected to is the checked number and not the name again."""
    server = serve(lambda received: Reply(200))
    caller = functions(server, allowed=())
    caller.credential.get_token(f"{CLIENT_ID}/.default")
    connected_to: list[Any] = []

    def refuse(address: Any, *args: Any, **kwargs: Any) -> Any:
        connected_to.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", refuse)

    with pytest.raises(RemoteFailed) as failure:
        caller.call(Invocation(url="https://rebind.example/", scope=CLIENT_ID, headers=()))

    assert failure.value.code == "function-unreachable"
    assert connected_to == [("20.50.2.1", 443)]
    assert two_faced == ["rebind.example"]


def test_a_name_with_one_inner_address_among_others_is_refused(
    serve: Serve, functions: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(lambda received: Reply(200))
    caller = functions(server, allowed=())
    caller.credential.get_token(f"{CLIENT_ID}/.default")
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in ("20.50.2.1", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)

    with pytest.raises(Refused):
        caller.call(Invocation(url="https://mixed.example/", scope=CLIENT_ID, headers=()))


def test_behind_a_proxy_an_inner_name_is_refused_before_the_proxy_is_asked(
    serve: Serve, connected: Connect, waiting: Waiting
) -> None:
    server = serve(lambda received: Reply(200))
    network = Network(proxy="http://127.0.0.1:1", ca_file=server.ca_file)
    caller = AzureFunctions(connected(server).credential, network, network.tls(), waiting.patience)

    with pytest.raises(Refused):
        caller.call(Invocation(url="https://db.internal/", scope=CLIENT_ID, headers=()))
    with pytest.raises(RemoteFailed):
        caller.call(Invocation(url="https://my-app.azurewebsites.net/", scope=CLIENT_ID, headers=()))


def test_a_busy_token_service_is_waited_for_before_the_call(serve: Serve, functions: Make, waiting: Waiting) -> None:
    answers = [Reply(429, headers={"Retry-After": "9"}), None]

    def tokens(received: Received) -> Reply:
        return (answers.pop(0) if answers and received.method == "POST" else None) or issue(received)

    server = serve(lambda received: Reply(200), tokens=tokens)

    assert functions(server).call(call_to(server)).status == 200
    assert 9 <= waiting.seconds[0] <= 10.8


def test_no_secret_is_in_what_is_raised(serve: Serve, functions: Make) -> None:
    server = serve(lambda received: Reply(drop=True))
    caller = functions(server)

    with pytest.raises(RemoteFailed) as failure:
        caller.call(call_to(server, "/api/hook?code=key-canary"))

    shown = f"{failure.value} {failure.value.detail} {failure.value!r} {caller!r}"
    assert not any(canary in shown for canary in (SECRET, TOKEN, "key-canary"))
