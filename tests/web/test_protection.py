"""What holds for every request and every answer: host, origin, size, headers, and what is logged."""

from __future__ import annotations

import http.client
import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.domain.actor import Grant, Role
from runner.domain.server_config import ServerConfig
from runner.errors import RemoteFailed
from runner.logs import JsonLines, Redactor
from runner.web import protection
from runner.web.protection import LARGEST_BODY, Origin
from tests.store.making import opened
from tests.web.serving import Site, ada, site


@pytest.fixture(scope="module")
def web(web_of_module: Site) -> Site:
    return web_of_module


@pytest.fixture
def public(tmp_path: Path) -> Iterator[Site]:
    config = ServerConfig.model_validate({"publicUrl": "https://lzr.example/"})
    with opened(tmp_path / "store", tmp_path / "key") as store, site(store, config=config) as found:
        yield found


# --- Whose request it is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8460", "127.0.0.1.evil.example", "[", "[::1", "", "0"])
def test_a_name_that_leads_here_from_outside_is_refused(web: Site, host: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(web.address.rpartition(":")[2]), timeout=30)
    connection.putrequest("GET", "/sign-in", skip_host=True)
    connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status in (400, 422), answer.read()
    connection.close()


def test_this_machine_may_be_named_in_any_way_it_has(web: Site) -> None:
    for host in ("localhost:1", "127.0.0.1", "[::1]:8460"):
        assert web.client(host=host).get("/sign-in").status_code == 200


def test_a_public_server_knows_its_own_name_only(public: Site) -> None:
    for host, status in (("lzr.example", 200), ("LZR.example:443", 200), ("lzr.example:8443", 422), ("localhost", 422)):
        assert public.client(host=host).get("/sign-in").status_code == status
    assert public.client().get("/healthz").status_code == 200  # a load balancer knows it by address


@given(host=st.text())
def test_no_host_header_is_a_surprise(host: str) -> None:
    for origin in (Origin(None), Origin("https://lzr.example")):
        assert origin.knows(host) in (True, False)


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({"origin": "https://lzr.example"}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({}, True),
        ({"origin": "http://lzr.example"}, False),
        ({"origin": "https://lzr.example:8443"}, False),
        ({"origin": "https://lzr.example.evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"origin": "https://evil.example", "sec-fetch-site": "same-origin"}, False),
    ],
)
def test_a_change_comes_from_the_servers_own_page(headers: dict[str, str], own: bool) -> None:
    assert Origin("https://lzr.example").is_own({"host": "lzr.example", **headers}) is own


def test_a_session_needs_the_token_of_its_forms(web: Site) -> None:
    person, other = web.person(ada()), web.person(ada())
    for csrf in ("", "x", protection.csrf_of(other.cookie), "é"):
        answer = person.client.post("/start", data={"csrf": csrf, "tenants": "nobody"})
        assert answer.status_code == 403
    answer = person.client.post("/start", json={"tenants": ["nobody"]})  # a form that is none
    assert answer.status_code == 403
    as_htmx = person.client.post(
        "/start", data={"tenants": "nobody"}, headers={"x-csrf-token": protection.csrf_of(person.cookie)}
    )
    assert as_htmx.status_code == 409


# --- Size and time ---------------------------------------------------------------------------------------------------


def test_a_body_that_is_too_large_is_not_read(web: Site) -> None:
    client = web.program(Grant(role=Role.OPERATOR))
    whole = client.post("/api/v1/runs", content=b"x" * (LARGEST_BODY + 1))
    pieces = client.post("/api/v1/runs", content=(b"x" * 65536 for _ in range(20)))
    for answer in (whole, pieces):
        assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    assert client.post("/api/v1/runs", content=b" " * LARGEST_BODY).status_code == 422


def test_a_body_that_does_not_come_holds_nothing_up(web: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protection, "_SLOWEST_BODY", 0.1)
    port = int(web.address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
        slow.sendall(b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\ncode=")
        assert slow.recv(12) == b"HTTP/1.1 408"


def test_a_head_without_an_end_is_not_read(web: Site) -> None:
    with socket.create_connection(("127.0.0.1", int(web.address.rpartition(":")[2])), timeout=30) as endless:
        endless.sendall(b"GET /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nMore: " + b"x" * 40_000)
        assert endless.recv(12) == b"HTTP/1.1 400"


# --- Answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/sign-in", "/", "/nothing", "/api/v1/whoami", "/api/v1/nothing", "/healthz"])
def test_every_answer_tells_browsers_to_be_strict(web: Site, path: str) -> None:
    for client in (web.client(), web.client(accept="text/html"), web.client(host="evil.example")):
        headers = client.get(path).headers
        policy = {one.split()[0]: one.split()[1:] for one in headers["content-security-policy"].split("; ")}
        assert policy["default-src"] == ["'none'"]
        assert policy["script-src"] == policy["style-src"] == policy["form-action"] == ["'self'"]
        assert policy["frame-ancestors"] == policy["base-uri"] == ["'none'"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in headers
        assert "server" not in headers


def test_static_files_are_kept_and_nothing_beside_them_is_given(web: Site) -> None:
    page = web.client().get("/sign-in").text
    style = next(one for one in page.split('"') if one.startswith("/static/page."))
    answer = web.client().get(style)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert "immutable" in answer.headers["cache-control"]
    for path in ("/static/../base.html", "/static/%2e%2e/base.html", "/static/base.html", "/static/"):
        assert web.client().get(path).status_code in (404, 422)


def test_https_is_insisted_on_where_the_server_is_reached_by_it(public: Site) -> None:
    assert "max-age=31536000" in public.client(host="lzr.example").get("/sign-in").headers["strict-transport-security"]


def test_a_part_of_a_page_leads_to_the_sign_in_once_the_session_is_over(web: Site) -> None:
    answer = web.client(**{"hx-request": "true"}).get("/")
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/sign-in")


# --- The log ---------------------------------------------------------------------------------------------------------


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonLines(Redactor()))
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    own, handler = logging.getLogger("lzr"), Lines()
    level = own.level
    own.addHandler(handler)
    own.setLevel("INFO")
    yield handler.lines
    own.removeHandler(handler)
    own.setLevel(level)


def test_a_request_is_logged_without_what_is_secret_in_it(web: Site, lines: list[dict[str, Any]]) -> None:
    secret = web.token(Grant(role=Role.VIEWER))
    client = web.client(authorization=f"Bearer {secret}", cookie="lzr=c00kie")
    client.get("/api/v1/whoami?access_token=in-query")
    client.get("/%1b[31m%0aevil")
    web.client().get("/sign-in/callback?code=in-query&state=in-query")
    web.client(authorization="Bearer lzr_nonsense").get("/")
    web.client().get("/healthz")
    web.client().get("/static/nothing")
    told = json.dumps(lines)
    for hidden in (secret, "c00kie", "in-query", "lzr_nonsense", "\\u001b", "healthz", "static"):
        assert hidden not in told
    (answered, *_) = [one for one in lines if one["event"] == "answered"]
    assert (answered["method"], answered["path"], answered["status"]) == ("GET", "/api/v1/whoami", 200)
    assert (answered["client"], answered["actor"][:6]) == ("127.0.0.1", "token:")
    assert answered["ms"] >= 0


def test_whoever_is_turned_away_is_recorded(public: Site, lines: list[dict[str, Any]]) -> None:
    secret = "lzr_" + "a" * 10 + "_" + "b" * 40 + "_00000000"
    assert public.client(host="lzr.example", authorization=f"Bearer {secret}").get("/?q=in-query").status_code == 401
    viewer = public.client(host="lzr.example", authorization=f"Bearer {public.token(Grant(role=Role.VIEWER))}")
    for path in ("/start", "/runs/none/cancel"):
        assert viewer.post(path, data={"tenants": "x"}).status_code == 403
    assert public.client(host="lzr.example").get("/sign-in/callback?code=in-query&state=x").status_code == 401
    kept = [one for one in public.store.audit.entries() if one.what.endswith("refused")]
    assert [(one.what, one.details["code"], one.details["path"]) for one in kept] == [
        ("access-refused", "token-not-good", "/"),
        ("access-refused", "not-allowed", "/start"),
        ("access-refused", "not-allowed", "/runs/none/cancel"),
        ("sign-in-refused", "not-signed-in", "/sign-in/callback"),
    ]
    assert [one.by.partition(" ")[0] for one in kept] == ["somebody", "tests", "tests", "somebody"]
    assert [one["event"] for one in lines if one["event"].endswith("refused")] == [one.what for one in kept]
    for hidden in (secret, "in-query"):
        assert hidden not in "".join(one.as_json() for one in kept) + json.dumps(lines)


def test_a_flood_of_refusals_does_not_fill_the_record(public: Site) -> None:
    nobody = public.client(host="lzr.example", authorization=f"Bearer {public.token(Grant(role=Role.OPERATOR))}")
    before = public.store.audit.head().number
    for _ in range(130):
        nobody.post("/runs/none/approve")
    assert public.store.audit.head().number - before == 120


def test_a_record_that_cannot_be_written_stops_no_refusal(public: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: object, **values: object) -> None:
        raise RemoteFailed("The store is away", code="store-away")

    monkeypatch.setattr(type(public.store.audit), "record", away)
    assert public.client(host="lzr.example", authorization="Bearer x").get("/").status_code == 401
