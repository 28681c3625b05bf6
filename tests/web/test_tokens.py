"""Programs: API tokens, and the workload identity tokens of pipelines by issuer, audience and claims."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from runner.domain.actor import Grant, Role
from runner.domain.server_config import Limits, ServerConfig
from runner.store.opening import Store
from tests.store.making import opened
from tests.web.issuer import Issuer, issuer, jwk
from tests.web.serving import Site, site

AUDIENCE = "https://lzr.example"
# As each issuer's documentation has them:
# https://docs.github.com/actions/reference/security/oidc
# https://docs.gitlab.com/ci/secrets/id_token_authentication/
# https://learn.microsoft.com/azure/devops/pipelines/release/configure-workload-identity
CLAIMS: dict[str, dict[str, Any]] = {
    "github": {
        "sub": "repo:acme/landing-zones:ref:refs/heads/main",
        "repository_id": "74",
        "repository_owner_id": "65",
        "ref": "refs/heads/main",
        "environment": "production",
    },
    "gitlab": {
        "sub": "project_path:acme/landing-zones:ref_type:branch:ref:main",
        "project_id": "20",
        "ref": "main",
        "ref_protected": "true",
    },
    "azure": {
        "sub": "p://acme/platform/landing-zones",
        "org_id": "3f",
        "prj_id": "5a",
        "def_id": "6",
    },
}
NEEDED: dict[str, dict[str, Any]] = {
    "github": {"repository_id": 74, "repository_owner_id": "65", "ref": ["refs/heads/main", "refs/heads/release/*"]},
    "gitlab": {"project_id": 20, "ref_protected": "true"},
    "azure": {"org_id": "3f", "prj_id": "5a", "def_id": [6, 7]},
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "store", tmp_path / "key") as found:
        yield found


@pytest.fixture
def at() -> Iterator[Issuer]:
    with issuer() as found:
        yield found


def configured(at: Issuer, kind: str = "github", **more: Any) -> ServerConfig:
    workload = {
        "name": kind,
        "role": "operator",
        "zones": ["corp-online"],
        "issuer": at.address,
        "audience": AUDIENCE,
        "claims": NEEDED[kind],
    }
    return ServerConfig.model_validate({"publicUrl": "https://lzr.example", "workloads": [workload], **more})


def asked(web: Site, token: str) -> httpx.Response:
    return web.client(authorization=f"Bearer {token}", host="lzr.example").get("/api/v1/whoami")


@pytest.fixture
def web(store: Store, at: Issuer) -> Iterator[Site]:
    with site(store, config=configured(at)) as found:
        yield found


# --- Pipelines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CLAIMS)
def test_a_pipeline_is_let_in_by_its_own_token(store: Store, at: Issuer, kind: str) -> None:
    with site(store, config=configured(at, kind)) as web:
        answer = asked(web, at.token(aud=AUDIENCE, **CLAIMS[kind]))
        assert answer.status_code == 200, answer.text
        who = answer.json()
        assert (who["id"], who["name"]) == (f"workload:{at.address}#{CLAIMS[kind]['sub']}", kind)
        assert who["person"] is False
        assert [(one["role"], one["zones"]) for one in who["grants"]] == [("operator", ["corp-online"])]


@pytest.mark.parametrize("kind", CLAIMS)
def test_another_project_of_the_same_issuer_is_refused(store: Store, at: Issuer, kind: str) -> None:
    with site(store, config=configured(at, kind)) as web:
        for name in NEEDED[kind]:
            for other in ({name: "66"}, {name: None}, {name: [CLAIMS[kind][name]]}, {name: {"a": 1}}):
                answer = asked(web, at.token(aud=AUDIENCE, **CLAIMS[kind] | other))
                assert (answer.status_code, answer.json()["code"]) == (401, "token-not-good"), other


class In(int):
    """So many seconds from when the test runs."""


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "https://another.example"},
        {"aud": None},
        {"aud": []},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"exp": In(-120), "iat": In(-600)},
        {"exp": None},
        {"iat": None},
        {"iat": In(600), "exp": In(900)},
        {"nbf": In(600)},
        {"exp": In(30 * 86400)},
        {"exp": "never"},
        {"sub": None},
        {"ref": "refs/heads/main2"},
        {"ref": "refs/heads/mai"},
        {"ref": "refs/tags/release/1"},
        {"by": "stolen"},
        {"by": "stolen", "headers": {"kid": "first"}},
    ],
)
def test_a_pipelines_token_that_is_not_good_is_refused(web: Site, at: Issuer, changed: dict[str, Any]) -> None:
    now = int(time.time())
    said = {name: now + value if isinstance(value, In) else value for name, value in changed.items()}
    answer = asked(web, at.token(**{"aud": AUDIENCE, **CLAIMS["github"], **said}))
    assert (answer.status_code, answer.json()["code"]) == (401, "token-not-good"), answer.text


def test_a_pattern_stands_for_branches(web: Site, at: Issuer) -> None:
    token = at.token(aud=AUDIENCE, **CLAIMS["github"] | {"ref": "refs/heads/release/1.2"})
    assert asked(web, token).status_code == 200


def test_a_clock_that_is_a_little_off_is_forgiven(web: Site, at: Issuer) -> None:
    now = int(time.time())
    token = at.token(aud=AUDIENCE, **CLAIMS["github"], iat=now + 20, nbf=now + 20, exp=now + 300)
    assert asked(web, token).status_code == 200


def _deep() -> str:
    return "[" * 3000 + "]" * 3000


@pytest.mark.parametrize(
    "secret",
    [
        "a.b.c",
        "..",
        "é.é.é",
        f"{base64.urlsafe_b64encode(b'{}').decode()}..",
        f"{base64.urlsafe_b64encode(_deep().encode()).decode().rstrip('=')}.e30.AAAA",
        f"{base64.urlsafe_b64encode(json.dumps({'alg': 'RS256'}).encode()).decode().rstrip('=')}."
        f"{base64.urlsafe_b64encode(_deep().encode()).decode().rstrip('=')}.AAAA",
        "x" * 30_000,
        "x" * 20_000 + ".e30.AAAA",
        "lzr_" + "a" * 10 + "_" + "b" * 40 + "_00000000",
    ],
)
def test_nonsense_is_refused_and_nobody_is_asked(web: Site, at: Issuer, secret: str) -> None:
    client = web.client(host="lzr.example")
    answer = client.get("/api/v1/whoami", headers={b"authorization": f"Bearer {secret}".encode("latin-1")})
    assert answer.status_code == 401, answer.text
    assert not at.asked


def test_only_configured_issuers_are_asked(web: Site, at: Issuer) -> None:
    with issuer() as evil:
        assert asked(web, evil.token(aud=AUDIENCE, **CLAIMS["github"])).status_code == 401
        assert not evil.asked
    assert not at.asked


def test_what_an_issuer_publishes_is_asked_for_once(web: Site, at: Issuer) -> None:
    for _ in range(3):
        assert asked(web, at.token(aud=AUDIENCE, **CLAIMS["github"])).status_code == 200
        assert asked(web, at.token(aud=AUDIENCE, by="stolen", **CLAIMS["github"])).status_code == 401
    assert at.asked == ["/.well-known/openid-configuration", "/keys"]


def test_a_new_key_is_found_and_one_that_was_taken_back_opens_nothing(store: Store, at: Issuer) -> None:
    moment = datetime.now(UTC)
    with site(store, config=configured(at), now=lambda: moment) as web:
        old, new = (at.token(aud=AUDIENCE, by=name, **CLAIMS["github"]) for name in ("first", "second"))
        assert asked(web, old).status_code == 200
        at.keys = [jwk("second")]
        assert asked(web, new).status_code == 401  # it was looked at just now, and is not asked again and again
        moment += timedelta(minutes=2)
        assert asked(web, new).status_code == 200
        assert asked(web, old).status_code == 401


def test_an_issuer_that_is_away_stops_nothing_for_a_day_and_is_not_asked_all_the_time(store: Store, at: Issuer) -> None:
    moment = datetime.now(UTC)
    token = at.token(aud=AUDIENCE, **CLAIMS["github"])
    with site(store, config=configured(at), now=lambda: moment) as web:
        assert asked(web, token).status_code == 200
        at.away, at.asked = True, []
        moment += timedelta(hours=2)
        for _ in range(3):
            assert asked(web, token).status_code == 200
        assert len(at.asked) == 1
        moment += timedelta(days=1)
        assert asked(web, token).json()["code"] == "issuer-unusable"
        assert asked(web, token).status_code == 503
        at.away = False
        moment += timedelta(seconds=11)
        assert asked(web, token).status_code == 200


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [{"kty": "oct", "k": "c2VjcmV0", "kid": "first", "alg": "HS256"}],
        [jwk("first") | {"use": "enc"}],
        [{"kty": "RSA", "kid": "first", "n": 5, "e": None}],
        ["x"],
        "x",
    ],
)
def test_keys_that_are_not_for_signatures_prove_nothing(web: Site, at: Issuer, keys: Any) -> None:
    at.keys = keys
    assert asked(web, at.token(aud=AUDIENCE, **CLAIMS["github"])).status_code in (401, 503)


def test_an_answer_without_an_end_is_not_read(web: Site, at: Issuer) -> None:
    at.metadata["more"] = "x" * 2_000_000
    answer = asked(web, at.token(aud=AUDIENCE, **CLAIMS["github"]))
    assert (answer.status_code, "more than" in answer.json()["detail"]) == (503, True)


# --- API tokens ------------------------------------------------------------------------------------------------------


def test_an_api_token_is_let_in_until_it_is_revoked(web: Site) -> None:
    secret = web.token(Grant(role=Role.VIEWER), name="nightly")
    who = asked(web, secret).json()
    assert (who["name"], who["id"][:6], who["person"]) == ("nightly", "token:", False)
    web.store.tokens.revoke(who["id"].removeprefix("token:"), by="tests", now=web.server.now)
    answer = asked(web, secret)
    assert (answer.status_code, "was revoked" in answer.text, secret in answer.text) == (401, True, False)


def test_an_api_token_expires(store: Store) -> None:
    moment = datetime.now(UTC)
    with site(store, now=lambda: moment) as web:
        client = web.program(Grant(role=Role.VIEWER))
        assert client.get("/api/v1/whoami").status_code == 200
        moment += timedelta(hours=2)
        assert client.get("/api/v1/whoami").status_code == 401


def test_bad_tokens_are_limited_and_take_nothing_from_good_ones(store: Store, at: Issuer) -> None:
    with site(store, config=configured(at, limits=Limits(sign_ins=3))) as web:
        secret = web.token()
        answers = [asked(web, "nonsense") for _ in range(5)]
        assert [one.status_code for one in answers] == [401, 401, 401, 429, 429]
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert asked(web, secret).status_code == 200


def test_changes_of_one_actor_are_limited(store: Store, at: Issuer) -> None:
    with site(store, config=configured(at, limits=Limits(changes=2))) as web:
        client = web.client(authorization=f"Bearer {web.token()}", host="lzr.example")
        other = web.client(authorization=f"Bearer {web.token()}", host="lzr.example")
        codes = [client.post("/api/v1/runs/none/cancel").status_code for _ in range(4)]
        assert codes == [404, 404, 429, 429]
        assert client.get("/api/v1/whoami").status_code == 200
        assert other.post("/api/v1/runs/none/cancel").status_code == 404


def test_a_token_goes_before_a_session(web: Site) -> None:
    client = web.client(authorization="Bearer nonsense", host="lzr.example", cookie="__Host-lzr=x")
    assert client.get("/api/v1/whoami").status_code == 401
