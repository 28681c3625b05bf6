"""Signing in by OpenID Connect, against an issuer that also does what no honest one would: sessions, rights, and every trick known."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from runner.domain.server_config import Limits, ServerConfig
from runner.store.opening import Store
from runner.web.gate import IDLE, LONGEST
from runner.web.sign_in import local
from tests.store.making import opened
from tests.web.issuer import CLIENT, Issuer, issuer, key
from tests.web.serving import Site, site

APPROVERS, VIEWERS = "0b1f2c3d-approvers", "0b1f2c3d-viewers"
RIGHTS = [{"role": "approver", "groups": [APPROVERS]}, {"role": "viewer", "groups": [VIEWERS]}]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "store", tmp_path / "key") as found:
        yield found


@pytest.fixture
def at() -> Iterator[Issuer]:
    with issuer() as found:
        yield found


def configured(at: Issuer, port: int, **more: Any) -> ServerConfig:
    sign_in = {"issuer": at.address, "clientId": CLIENT} | more.pop("signIn", {})
    given = {"publicUrl": f"http://127.0.0.1:{port}", "signIn": sign_in, "access": RIGHTS, **more}
    return ServerConfig.model_validate(given)


@contextmanager
def server(store: Store, at: Issuer, **more: Any) -> Iterator[Site]:
    """A server where people sign in at this issuer."""
    options = {name: more.pop(name) for name in ("now", "secrets") if name in more}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with site(store, config=configured(at, port, **more), port=port, **options) as found:
        yield found


@pytest.fixture
def web(store: Store, at: Issuer) -> Iterator[Site]:
    with server(store, at) as found:
        yield found


class Browser:
    """A browser that goes to the issuer and comes back, or does not."""

    def __init__(self, web: Site, at: Issuer) -> None:
        self.client = web.client(accept="text/html")
        self._at = at

    def begin(self, where: str = "/") -> dict[str, str]:
        """What the issuer is asked."""
        answer = self.client.get("/sign-in/begin", params={"next": where})
        assert answer.status_code == 303
        assert answer.headers["location"].startswith(f"{self._at.address}/authorize?")
        return {name: one[0] for name, one in parse_qs(urlsplit(answer.headers["location"]).query).items()}

    def end(self, asked: dict[str, str], token: str | None = None, **more: str) -> httpx.Response:
        """Back from the issuer, which gives this token for the code."""
        if token is not None:
            self._at.exchange = lambda form: (200, {"id_token": token})
        return self.client.get("/sign-in/callback", params={"code": "c0de", "state": asked["state"]} | more)

    def signed_in(self, **claims: Any) -> httpx.Response:
        asked = self.begin()
        return self.end(asked, self._at.token(nonce=asked["nonce"], **{"groups": [APPROVERS], **claims}))

    @property
    def inside(self) -> bool:
        return self.client.get("/").status_code == 200


@pytest.fixture
def browser(web: Site, at: Issuer) -> Browser:
    return Browser(web, at)


# --- What works ------------------------------------------------------------------------------------------------------


def test_a_person_is_let_in_with_the_rights_of_their_groups(web: Site, browser: Browser, at: Issuer) -> None:
    assert browser.client.get("/runs?status=failed").headers["location"] == "/sign-in?next=%2Fruns%3Fstatus%3Dfailed"
    asked = browser.begin("/runs?status=failed")
    assert (asked["client_id"], asked["response_type"], asked["code_challenge_method"]) == (CLIENT, "code", "S256")
    assert asked["redirect_uri"] == f"{web.address}/sign-in/callback"
    answer = browser.end(asked, at.token(nonce=asked["nonce"], name="Ada", groups=[APPROVERS, "others"]))
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs?status=failed")
    who = browser.client.get("/api/v1/whoami").json()
    assert (who["id"], who["name"], who["person"]) == (f"oidc:{at.address}#ada", "Ada", True)
    assert [grant["role"] for grant in who["grants"]] == ["approver"]
    assert at.forms[0]["code_verifier"] not in str(asked)
    assert "client_secret" not in at.forms[0]


def test_a_person_is_named_by_subject_or_app_role_as_well(store: Store, at: Issuer) -> None:
    access = [{"role": "operator", "subjects": ["0id"]}, {"role": "admin", "roles": ["lzr.admin"], "zones": ["corp"]}]
    with server(store, at, access=access) as web:
        browser = Browser(web, at)
        assert browser.signed_in(oid="0id", roles=["lzr.admin"], groups=None).status_code == 303
        grants = browser.client.get("/api/v1/whoami").json()["grants"]
        assert [(one["role"], one["zones"]) for one in grants] == [("operator", []), ("admin", ["corp"])]


@pytest.mark.parametrize("ways", [["client_secret_post"], ["client_secret_basic"], None])
def test_a_confidential_client_shows_its_secret_as_the_issuer_takes_it(
    store: Store, at: Issuer, ways: list[str] | None
) -> None:
    at.metadata["token_endpoint_auth_methods_supported"] = ways
    secret = {"clientSecret": {"env": "SECRET"}}
    with server(store, at, signIn=secret, secrets={"SECRET": "s:cret %"}) as web:
        assert Browser(web, at).signed_in().status_code == 303
    (form,) = at.forms
    if ways == ["client_secret_post"]:
        assert (form["client_secret"], form["authorization"]) == ("s:cret %", "")
    else:
        basic = httpx.BasicAuth(CLIENT, "s%3Acret+%25")
        expected = next(basic.auth_flow(httpx.Request("GET", "http://x"))).headers["authorization"]
        assert form["authorization"] == expected


def test_any_server_of_the_store_ends_a_sign_in_and_knows_its_session(web: Site, store: Store, at: Issuer) -> None:
    with site(store, config=configured(at, int(web.address.rpartition(":")[2]))) as other:
        browser = Browser(web, at)
        asked = browser.begin()
        at.exchange = lambda form: (200, {"id_token": at.token(nonce=asked["nonce"], groups=[APPROVERS])})
        elsewhere = other.client(accept="text/html", host=urlsplit(web.address).netloc)
        elsewhere.cookies = browser.client.cookies
        assert elsewhere.get("/sign-in/callback", params={"code": "c", "state": asked["state"]}).status_code == 303
        browser.client.cookies = elsewhere.cookies
        assert browser.inside


def test_a_right_that_was_taken_away_is_gone_with_the_next_request(store: Store, at: Issuer) -> None:
    with server(store, at) as web:
        browser = Browser(web, at)
        browser.signed_in()
        assert browser.inside
    with server(store, at, access=[{"role": "viewer", "groups": [VIEWERS]}]) as web:
        client = web.client(accept="text/html")
        client.cookies = browser.client.cookies
        assert client.get("/").status_code == 403


def test_what_another_issuer_said_counts_for_nothing(store: Store, at: Issuer) -> None:
    with server(store, at) as web:
        browser = Browser(web, at)
        browser.signed_in()
    with issuer() as another, server(store, another) as web:
        client = web.client(accept="text/html")
        client.cookies = browser.client.cookies
        assert client.get("/").status_code == 403


def test_a_session_of_the_terminals_code_opens_no_server_with_a_configuration(store: Store, at: Issuer) -> None:
    with site(store) as local_one:
        local_one_code(local_one)
        client = local_one.client(accept="text/html", origin=local_one.address)
        client.post("/sign-in", data={"code": local_one.codes[-1]})
        assert client.get("/").status_code == 200
    with server(store, at) as web:
        there = web.client(accept="text/html")
        there.cookies = client.cookies
        assert there.get("/").status_code == 403


def local_one_code(web: Site) -> None:
    assert web.client(origin=web.address).post("/sign-in/show").status_code == 303


# --- Who is not let in -----------------------------------------------------------------------------------------------


def test_whoever_is_not_named_gets_no_session(browser: Browser, web: Site) -> None:
    answer = browser.signed_in(groups=["others"])
    assert answer.status_code == 403
    assert "has no right on this server" in answer.text
    assert "lzr" not in browser.client.cookies
    (entry,) = web.store.audit.entries()
    assert (entry.what, entry.details["code"]) == ("sign-in-refused", "not-allowed")


def test_too_many_groups_are_told(browser: Browser) -> None:
    answer = browser.signed_in(groups=None, _claim_names={"groups": "src1"})
    assert (answer.status_code, "so many groups" in answer.text) == (403, True)


Hostile = Callable[[Issuer, str], str]
_PUBLIC = key("first").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _hs256(at: Issuer, nonce: str) -> str:
    """Signed with the published key as if it were a secret; made by hand, for the library refuses to."""
    import base64
    import hmac
    import json

    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).decode().rstrip("=")

    claims = jwt.decode(good(at, nonce), options={"verify_signature": False})
    head = part(json.dumps({"alg": "HS256", "kid": "first", "typ": "JWT"}).encode())
    text = f"{head}.{part(json.dumps(claims).encode())}"
    return f"{text}.{part(hmac.digest(_PUBLIC, text.encode(), 'sha256'))}"


def good(at: Issuer, nonce: str, **claims: Any) -> str:
    return at.token(nonce=nonce, groups=[APPROVERS], **claims)


def later(seconds: int) -> int:
    """A moment in a token, from when the test runs."""
    return int(time.time()) + seconds


HOSTILE: dict[str, Hostile] = {
    "another nonce": lambda at, nonce: good(at, "x" * len(nonce)),
    "no nonce": lambda at, nonce: at.token(groups=[APPROVERS]),
    "another audience": lambda at, nonce: good(at, nonce, aud="another-app"),
    "no audience": lambda at, nonce: good(at, nonce, aud=None),
    "another authorized party": lambda at, nonce: good(at, nonce, aud=[CLIENT, "another-app"], azp="another-app"),
    "another issuer": lambda at, nonce: good(at, nonce, iss="https://evil.example"),
    "expired": lambda at, nonce: good(at, nonce, iat=later(-900), exp=later(-600)),
    "no expiry": lambda at, nonce: good(at, nonce, exp=None),
    "not valid yet": lambda at, nonce: good(at, nonce, nbf=later(3600)),
    "issued in the future": lambda at, nonce: good(at, nonce, iat=later(3600), exp=later(4000)),
    "no subject": lambda at, nonce: good(at, nonce, sub=None),
    "another key": lambda at, nonce: good(at, nonce, by="stolen"),
    "another key under the name of the right one": lambda at, nonce: good(
        at, nonce, by="stolen", headers={"kid": "first"}
    ),
    "no signature": lambda at, nonce: jwt.encode(
        jwt.decode(good(at, nonce), options={"verify_signature": False}), "", "none", headers={"kid": "first"}
    ),
    "the published key as a secret": _hs256,
    "changed afterwards": lambda at, nonce: good(at, nonce)[:-6] + "AAAAAA",
    "no token": lambda at, nonce: "nonsense",
    "a very long one": lambda at, nonce: good(at, nonce, more="x" * 20_000),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_token_that_is_not_good_lets_nobody_in(browser: Browser, at: Issuer, kind: str) -> None:
    asked = browser.begin()
    token = HOSTILE[kind](at, asked["nonce"])
    answer = browser.end(asked, token)
    assert answer.status_code == 401, answer.text
    assert token not in answer.text
    assert not browser.inside


def test_the_good_token_of_these_tests_is_good(browser: Browser, at: Issuer) -> None:
    asked = browser.begin()
    assert browser.end(asked, good(at, asked["nonce"], azp=CLIENT)).status_code == 303
    assert browser.inside


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"state": "another"}, "did not begin this sign-in"),
        ({"state": ""}, "did not begin this sign-in"),
        ({"iss": "https://evil.example"}, "from another issuer"),
        ({"iss": ""}, "from another issuer"),
        ({"error": "access_denied"}, "let nobody in (access_denied)"),
        ({"error": "<script>"}, "let nobody in."),
        ({"code": ""}, "let nobody in"),
    ],
)
def test_a_wrong_answer_lets_nobody_in(browser: Browser, at: Issuer, wrong: dict[str, str], words: str) -> None:
    asked = browser.begin()
    answer = browser.end(asked, good(at, asked["nonce"]), **wrong)
    assert (answer.status_code, words in answer.text) == (401, True), answer.text
    assert not at.forms  # the code is shown to nobody
    assert not browser.inside


def test_an_issuer_that_says_so_names_itself_in_its_answer(browser: Browser, at: Issuer) -> None:
    at.metadata["authorization_response_iss_parameter_supported"] = True
    asked = browser.begin()
    assert browser.end(asked, good(at, asked["nonce"])).status_code == 401
    assert browser.end(asked, good(at, asked["nonce"]), iss=at.address).status_code == 303


def test_another_browser_cannot_end_a_sign_in(web: Site, browser: Browser, at: Issuer) -> None:
    asked = browser.begin()
    victim = Browser(web, at)
    assert victim.end(asked, good(at, asked["nonce"])).status_code == 401  # without any sign-in of its own
    victim.begin()
    assert victim.end(asked, good(at, asked["nonce"])).status_code == 401


def test_what_a_browser_keeps_of_a_sign_in_can_be_neither_read_nor_made(browser: Browser, at: Issuer) -> None:
    asked = browser.begin("/runs")
    kept = browser.client.cookies["lzr-sign-in"]
    for secret in (asked["state"], asked["nonce"], "/runs"):
        assert secret not in kept
    for forged in (kept[:-8] + "AAAAAAA=", "", "e30=", "\\u0000", kept[:20]):
        browser.client.cookies.set("lzr-sign-in", forged, domain="127.0.0.1", path="/")
        assert browser.end(asked, good(at, asked["nonce"])).status_code == 401
        browser.client.cookies.clear()


def test_a_code_that_was_used_lets_nobody_in(browser: Browser, at: Issuer) -> None:
    asked = browser.begin()
    at.exchange = lambda form: (400, {"error": "invalid_grant", "error_description": form["code"]})
    answer = browser.end(asked)
    assert (answer.status_code, "may have been used" in answer.text) == (401, True)
    assert "c0de" not in answer.text


@pytest.mark.parametrize("answer", [(200, b"<html>"), (200, []), (401, {"error": "invalid_client"})])
def test_an_issuer_that_cannot_be_used_is_told_as_such(browser: Browser, at: Issuer, answer: tuple[int, Any]) -> None:
    asked = browser.begin()
    at.exchange = lambda form: answer
    assert browser.end(asked).status_code in (401, 503)
    assert not browser.inside


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": None},
        {"jwks_uri": "http://evil.example/keys"},
    ],
)
def test_an_issuer_that_publishes_unsafe_addresses_is_not_used(
    browser: Browser, at: Issuer, changed: dict[str, Any]
) -> None:
    at.metadata |= changed
    answer = browser.client.get("/sign-in/begin")
    assert (answer.status_code, "cannot be used" in answer.text) == (503, True)


# --- Sessions --------------------------------------------------------------------------------------------------------


def test_a_session_ends_by_signing_out_everywhere(browser: Browser, web: Site) -> None:
    browser.signed_in()
    kept = browser.client.cookies["lzr"]
    assert browser.inside
    assert browser.client.post("/sign-out", headers={"origin": web.address}).headers["location"] == "/sign-in"
    browser.client.cookies.set("lzr", kept, domain="127.0.0.1", path="/")
    assert not browser.inside


def test_signing_in_again_ends_the_session_that_was(browser: Browser) -> None:
    browser.signed_in()
    former = browser.client.cookies["lzr"]
    browser.signed_in()
    assert browser.client.cookies["lzr"] != former
    browser.client.cookies.set("lzr", former, domain="127.0.0.1", path="/")
    assert not browser.inside


def test_a_session_ends_by_age_and_for_lack_of_use(store: Store, at: Issuer) -> None:
    moment = datetime.now(UTC)

    def passes(time: timedelta) -> None:
        nonlocal moment
        moment += time

    with server(store, at, now=lambda: moment) as web:
        idle, busy = Browser(web, at), Browser(web, at)
        idle.signed_in()
        busy.signed_in()
        begun = moment
        while moment < begun + LONGEST - IDLE:
            passes(IDLE - timedelta(minutes=2))
            assert busy.inside
        assert not idle.inside
        passes(LONGEST)
        assert not busy.inside


def test_a_sign_in_that_takes_too_long_is_begun_again(store: Store, at: Issuer) -> None:
    moment = datetime.now(UTC)
    with server(store, at, now=lambda: moment) as web:
        browser = Browser(web, at)
        asked = browser.begin()
        moment += timedelta(minutes=11)
        assert browser.end(asked, good(at, asked["nonce"])).status_code == 401


def test_cookies_are_bound_to_the_host_and_kept_from_scripts_and_other_sites(store: Store, at: Issuer) -> None:
    with site(store, config=configured(at, 1).model_copy(update={"public_url": "https://lzr.example"})) as web:
        client = web.client(accept="text/html", host="lzr.example")
        began = client.get("/sign-in/begin")
        (flow,) = began.headers.get_list("set-cookie")
        asked = {name: one[0] for name, one in parse_qs(urlsplit(began.headers["location"]).query).items()}
        assert asked["redirect_uri"] == "https://lzr.example/sign-in/callback"
        at.exchange = lambda form: (200, {"id_token": good(at, asked["nonce"])})
        back = client.get(
            "/sign-in/callback",
            params={"code": "c", "state": asked["state"]},
            headers={"cookie": flow.partition(";")[0]},
        )
        session = next(one for one in back.headers.get_list("set-cookie") if one.startswith("__Host-lzr="))
        for cookie in (flow, session):
            assert cookie.startswith("__Host-lzr")
            for attribute in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
                assert attribute in cookie
            assert "Domain" not in cookie
        assert client.get("/", headers={"cookie": session.partition(";")[0]}).status_code == 200
        assert client.get("/").headers["strict-transport-security"].startswith("max-age=31536000")


def test_too_many_attempts_are_refused_for_a_while(store: Store, at: Issuer) -> None:
    with server(store, at, limits=Limits(sign_ins=3)) as web:
        client = web.client()
        answers = [client.get("/sign-in/begin") for _ in range(5)]
        assert [one.status_code for one in answers] == [303, 303, 303, 429, 429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60


# --- Where a sign-in leads -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        " //evil.example",
        "javascript:alert(1)",
        "",
        "evil",
        "/x\r\nSet-Cookie: a=b",
    ],
)
def test_a_sign_in_leads_to_no_other_site(address: str) -> None:
    assert local(address) == "/"


@given(st.text())
def test_where_a_sign_in_leads_is_a_path_of_this_server(text: str) -> None:
    found = urlsplit(f"https://lzr.example{local(text)}")
    assert found.netloc == "lzr.example"


def test_a_path_with_a_query_is_kept() -> None:
    assert local("/tenants?zone=corp&order=age") == "/tenants?zone=corp&order=age"


# --- Without an issuer -----------------------------------------------------------------------------------------------


def test_the_code_of_the_terminal_opens_one_session(store: Store) -> None:
    with site(store) as web:
        local_one_code(web)
        (code,) = web.codes
        first, second = (web.client(accept="text/html", origin=web.address) for _ in range(2))
        assert first.post("/sign-in", data={"code": code, "next": "//evil.example"}).headers["location"] == "/"
        who = first.get("/api/v1/whoami").json()
        assert (who["person"], [grant["role"] for grant in who["grants"]]) == (False, ["admin"])
        assert who["id"].startswith("os:")
        assert second.post("/sign-in", data={"code": code}).status_code == 401
        assert "lzr" not in second.cookies
        local_one_code(web)
        assert web.codes[-1] != code  # a new one, for the first was used
        assert second.post("/sign-in", data={"code": web.codes[-1]}).status_code == 303


def test_asking_for_the_code_takes_it_from_nobody(store: Store) -> None:
    moment = datetime.now(UTC)
    with site(store, now=lambda: moment) as web:
        local_one_code(web)
        local_one_code(web)
        assert web.codes[0] == web.codes[1]
        moment += timedelta(minutes=16)
        client = web.client(origin=web.address)
        assert client.post("/sign-in", data={"code": web.codes[0]}).status_code == 401
        local_one_code(web)
        assert client.post("/sign-in", data={"code": web.codes[-1]}).status_code == 303


@pytest.mark.parametrize("code", ["", "x", "é" * 10, "x" * 5000])
def test_another_code_opens_nothing(store: Store, code: str) -> None:
    with site(store) as web:
        local_one_code(web)
        answer = web.client(origin=web.address).post("/sign-in", data={"code": code})
        assert answer.status_code in (401, 422)


def test_no_other_site_can_have_somebody_signed_in(store: Store) -> None:
    with site(store) as web:
        local_one_code(web)
        client = web.client(origin="https://evil.example")
        assert client.post("/sign-in", data={"code": web.codes[-1]}).status_code == 403
        assert client.post("/sign-in/show").status_code == 403
