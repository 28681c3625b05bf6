"""Signing in: azure-identity unmodified, both ways of pointing it here, and what Entra says to those who may not."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import yaml
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import (
    CertificateCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from runner.azure.engine_identity import engine_environment
from runner.domain.document import ServicePrincipal
from runner.domain.platform import CLOUDS, Cloud
from runner.network.way_out import Network
from runner.sandbox.azure.seed import DEFAULT
from runner.sandbox.azure.server import Sandbox
from tests.sandbox_azure.conftest import AUDITOR, CORP, HOOKS, RUNNER, RUNNER_OBJECT, WORKLOADS, bearer, token

SECRET = "sandbox-runner-secret"
ISSUER = "https://token.pipelines.example"
SUBJECT = "repo:example/landing-zones:ref:refs/heads/main"


def _claims(found: str) -> dict[str, Any]:
    return jwt.decode(found, options={"verify_signature": False})


def _assertion(*, header: dict[str, Any] | None = None, **changes: Any) -> str:
    claims = {"iss": ISSUER, "sub": SUBJECT, "aud": "api://AzureADTokenExchange", "exp": int(time.time()) + 600}
    return jwt.encode(
        claims | changes, "a key that the sandbox has never seen before", algorithm="HS256", headers=header
    )


@pytest.fixture
def direct(sandbox: Sandbox) -> dict[str, Any]:
    """Pointed at the sandbox's own address."""
    return {"authority": sandbox.url, "disable_instance_discovery": True, "connection_verify": str(sandbox.ca_file)}


@pytest.fixture
def proxied(sandbox: Sandbox) -> dict[str, Any]:
    """Nothing but the proxy and the certificate authority: Azure's own names, instance discovery left on."""
    return {"proxies": {"https": sandbox.proxy_url}, "connection_verify": str(sandbox.ca_file)}


def test_a_client_secret_opens_arm(sandbox: Sandbox, direct: dict[str, Any]) -> None:
    with ClientSecretCredential(WORKLOADS, RUNNER, SECRET, **direct) as credential:
        found = credential.get_token(f"{sandbox.url}/.default")
    claims = _claims(found.token)
    assert (claims["oid"], claims["tid"], claims["appid"]) == (RUNNER_OBJECT, WORKLOADS, RUNNER)
    assert claims["aud"] == sandbox.url
    assert claims["exp"] - claims["iat"] == 3599


def test_a_client_secret_works_through_the_proxy_with_azures_own_names(
    proxied: dict[str, Any], sandbox: Sandbox, trust: ssl.SSLContext
) -> None:
    with ClientSecretCredential(WORKLOADS, RUNNER, SECRET, **proxied) as credential:
        found = credential.get_token("https://management.azure.com/.default").token
    answer = httpx.get(
        "https://management.azure.com/subscriptions?api-version=2022-12-01",
        headers={"Authorization": f"Bearer {found}"},
        proxy=sandbox.proxy_url,
        verify=trust,
    )
    assert answer.status_code == 200
    assert len(answer.json()["value"]) == 4


def test_every_home_tenant_signs_in_through_the_proxy(proxied: dict[str, Any]) -> None:
    with ClientSecretCredential("partner.example", RUNNER, SECRET, **proxied) as credential:
        claims = _claims(credential.get_token("https://graph.microsoft.com/.default").token)
    assert claims["roles"] == ["User.Read.All"]
    assert claims["aud"] == "https://graph.microsoft.com"


@pytest.mark.parametrize("way", ["direct", "proxied"])
def test_a_workload_identity_exchanges_its_assertion(way: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(_assertion())
    options = request.getfixturevalue(way)
    with WorkloadIdentityCredential(
        tenant_id=WORKLOADS, client_id=RUNNER, token_file_path=str(tmp_path / "token"), **options
    ) as credential:
        assert _claims(credential.get_token("https://management.azure.com/.default").token)["oid"] == RUNNER_OBJECT


def _exchange(client: httpx.Client, assertion: str) -> httpx.Response:
    form = {
        "grant_type": "client_credentials",
        "client_id": RUNNER,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion,
        "scope": "https://management.azure.com/.default",
    }
    return client.post(f"/{WORKLOADS}/oauth2/v2.0/token", data=form)


@pytest.mark.parametrize("name", ["x5t", "x5t#S256"])
def test_a_federated_assertion_may_name_its_issuers_certificate(anonymous: httpx.Client, name: str) -> None:
    assert _exchange(anonymous, _assertion(header={name: "of-the-issuer"})).status_code == 200


@pytest.mark.parametrize("issuer", [RUNNER, RUNNER.upper()])
def test_an_assertion_of_the_application_itself_needs_its_certificate(anonymous: httpx.Client, issuer: str) -> None:
    answer = _exchange(anonymous, _assertion(iss=issuer, sub=issuer))
    assert (answer.status_code, answer.json()["error_codes"]) == (401, [700027])


@pytest.fixture
def certified(directory: Path, tmp_path: Path) -> Iterator[tuple[Sandbox, bytes]]:
    """A sandbox whose runner application has a certificate registered, and that certificate with its key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "runner")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM)
    seed = yaml.safe_load(DEFAULT.read_text(encoding="utf-8"))
    seed["tenants"][0]["applications"][0]["certificates"] = [pem.decode()]
    (tmp_path / "seed.yaml").write_text(yaml.safe_dump(seed))
    with Sandbox(directory, seed=tmp_path / "seed.yaml") as sandbox:
        yield sandbox, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + pem


def test_a_registered_certificate_opens_both_ways(certified: tuple[Sandbox, bytes]) -> None:
    sandbox, pem = certified
    trust = {"connection_verify": str(sandbox.ca_file)}
    ways: list[dict[str, Any]] = [
        {"authority": sandbox.url, "disable_instance_discovery": True},
        {"proxies": {"https": sandbox.proxy_url}},
    ]
    for way in ways:
        with CertificateCredential(WORKLOADS, RUNNER, certificate_data=pem, **trust, **way) as credential:
            claims = _claims(credential.get_token("https://management.azure.com/.default").token)
            assert claims["oid"] == RUNNER_OBJECT


def test_a_certificate_that_is_not_registered_is_refused(
    certified: tuple[Sandbox, bytes], direct: dict[str, Any]
) -> None:
    _, pem = certified
    with (
        CertificateCredential(WORKLOADS, RUNNER, certificate_data=pem, **direct) as credential,
        pytest.raises(ClientAuthenticationError, match="AADSTS700027"),
    ):
        credential.get_token("https://management.azure.com/.default")


def test_a_managed_identity_gets_its_token_as_in_app_service(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in sandbox.handle().identity_environment().items():
        monkeypatch.setenv(name, value)
    with ManagedIdentityCredential() as credential:
        claims = _claims(credential.get_token("https://management.azure.com/.default").token)
    assert claims["oid"] == RUNNER_OBJECT


def test_an_engine_with_a_managed_identity_is_sent_here_and_not_to_the_machines_own(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_HEADER", "header-canary")
    monkeypatch.setenv("IDENTITY_SERVER_THUMBPRINT", "of the machine")
    made = engine_environment(
        ServicePrincipal.model_validate({"auth": {"type": "managedIdentity"}}),
        entra_tenant=WORKLOADS,
        cloud=Cloud(authority=sandbox.url, resource_manager=sandbox.url, graph=sandbox.url),
        network=Network(),
        secret=str,
        managed_identity=sandbox.handle().identity_environment(),
    )
    assert made.environment["ARM_USE_MSI"] == "true"
    assert made.environment["ARM_MSI_ENDPOINT"] == made.environment["IDENTITY_ENDPOINT"] == sandbox.identity_url
    assert "header-canary" not in made.environment.values()
    assert "IDENTITY_SERVER_THUMBPRINT" not in made.environment
    assert made.secrets == ()


def test_a_managed_identity_gets_its_token_as_on_a_machine(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", sandbox.identity_url.split("/metadata")[0])
    with ManagedIdentityCredential(client_id=RUNNER) as credential:
        assert _claims(credential.get_token("https://management.azure.com/.default").token)["appid"] == RUNNER


def test_the_managed_identity_endpoint_wants_its_header(sandbox: Sandbox) -> None:
    url = f"{sandbox.identity_url}?resource=https://management.azure.com/"
    assert httpx.get(url).status_code == 400
    assert httpx.get(url, headers={"Metadata": "true"}).json()["token_type"] == "Bearer"
    missing = httpx.get(f"{url}&client_id={HOOKS}", headers={"Metadata": "true"})
    assert (missing.status_code, missing.json()["error"]) == (400, "invalid_request")


def test_a_wrong_secret_is_told_as_entra_tells_it(anonymous: httpx.Client) -> None:
    answer = token(anonymous, secret="wrong")
    assert answer.status_code == 401
    body = answer.json()
    assert body["error"] == "invalid_client"
    assert body["error_codes"] == [7000215]
    assert body["error_description"].startswith("AADSTS7000215: Invalid client secret provided.")
    assert {"timestamp", "trace_id", "correlation_id", "error_uri"} <= body.keys()


@pytest.mark.parametrize(
    ("changes", "status", "number"),
    [
        ({"tenant": "nowhere.example"}, 400, 90002),
        ({"client_id": "00000000-0000-4000-8000-000000000000"}, 400, 700016),
        ({"scope": "https://management.azure.com/user_impersonation"}, 400, 1002012),
        ({"scope": "api://unknown/.default"}, 400, 500011),
        ({"client_id": AUDITOR, "secret": "sandbox-auditor-secret", "scope": f"api://{HOOKS}/.default"}, 400, 501051),
    ],
)
def test_what_cannot_be_had_has_entras_number(
    anonymous: httpx.Client, changes: dict[str, str], status: int, number: int
) -> None:
    answer = token(anonymous, **changes)
    assert (answer.status_code, answer.json()["error_codes"]) == (status, [number])


@pytest.mark.parametrize(
    ("changes", "number"),
    [({"sub": "repo:somebody/else"}, 700213), ({"iss": "https://elsewhere.example"}, 700213), ({"exp": 1}, 700024)],
)
def test_an_assertion_that_is_not_registered_or_too_old_is_refused(
    anonymous: httpx.Client, changes: dict[str, Any], number: int
) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": RUNNER,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": _assertion(**changes),
        "scope": "https://management.azure.com/.default",
    }
    answer = anonymous.post(f"/{WORKLOADS}/oauth2/v2.0/token", data=form)
    assert (answer.status_code, answer.json()["error_codes"]) == (401, [number])


def test_version_one_of_the_token_endpoint_takes_a_resource(anonymous: httpx.Client) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": RUNNER,
        "client_secret": SECRET,
        "resource": "https://management.azure.com/",
    }
    body = anonymous.post(f"/{WORKLOADS}/oauth2/token", data=form).json()
    assert body["resource"] == "https://management.azure.com/"
    assert body["expires_in"] == "3599"
    assert _claims(body["access_token"])["aud"] == "https://management.azure.com/"


def test_issuer_and_endpoints_carry_the_host_that_was_asked(sandbox: Sandbox, trust: ssl.SSLContext) -> None:
    path = f"/{WORKLOADS}/v2.0/.well-known/openid-configuration"
    for base, proxy in ((sandbox.url, None), ("https://login.microsoftonline.com", sandbox.proxy_url)):
        found = httpx.get(base + path, verify=trust, proxy=proxy).json()
        assert found["issuer"] == f"{base}/{WORKLOADS}/v2.0"
        assert found["token_endpoint"] == f"{base}/{WORKLOADS}/oauth2/v2.0/token"
        keys = httpx.get(found["jwks_uri"], verify=trust, proxy=proxy).json()["keys"]
        assert keys[0]["kty"] == "RSA"


def test_the_published_key_verifies_a_token(anonymous: httpx.Client) -> None:
    found = token(anonymous).json()["access_token"]
    key = jwt.PyJWK(anonymous.get("/keys").json()["keys"][0])
    assert jwt.decode(found, key, algorithms=["RS256"], options={"verify_aud": False})["tid"] == WORKLOADS


def test_the_metadata_document_points_here(anonymous: httpx.Client, sandbox: Sandbox) -> None:
    found = anonymous.get("/metadata/endpoints?api-version=2022-09-01").json()
    assert found["resourceManager"] == f"{sandbox.url}/"
    assert found["microsoftGraphResourceId"] == f"{sandbox.url}/"
    assert found["authentication"]["loginEndpoint"] == sandbox.url


@pytest.mark.parametrize("cloud", ["public", "usgov", "china"])
def test_the_metadata_document_of_a_cloud_names_that_clouds_addresses(
    sandbox: Sandbox, trust: ssl.SSLContext, cloud: str
) -> None:
    addresses = CLOUDS[cloud]
    url = f"{addresses.resource_manager}/metadata/endpoints?api-version=2022-09-01"
    found = httpx.get(url, verify=trust, proxy=sandbox.proxy_url).json()
    assert found["authentication"]["loginEndpoint"] == addresses.authority
    assert found["microsoftGraphResourceId"] == f"{addresses.graph}/"
    assert found["resourceManager"] == f"{addresses.resource_manager}/"


@pytest.mark.parametrize("path", ["/subscriptions?api-version=2022-12-01", "/v1.0/users"])
def test_a_forged_token_is_refused(anonymous: httpx.Client, path: str) -> None:
    real = token(anonymous).json()["access_token"]
    claims = _claims(real)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = [
        jwt.encode(claims, key, algorithm="RS256"),
        jwt.encode(claims, "", algorithm="none"),
        real[:-6] + "AAAAAA",
        "nonsense",
    ]
    for one in forged:
        answer = anonymous.get(path, headers={"Authorization": f"Bearer {one}"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")
        assert "Bearer" in answer.headers["www-authenticate"]


def test_a_token_runs_out(anonymous: httpx.Client, sandbox: Sandbox) -> None:
    headers = bearer(anonymous)
    assert anonymous.get("/subscriptions?api-version=2022-12-01", headers=headers).status_code == 200
    sandbox.world.now = lambda: datetime.now(UTC) + timedelta(hours=1)
    answer = anonymous.get("/subscriptions?api-version=2022-12-01", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "ExpiredAuthenticationToken")


def test_arm_refuses_a_token_for_graph_and_one_of_another_tenant(anonymous: httpx.Client) -> None:
    for_graph = bearer(anonymous, scope="https://graph.microsoft.com/.default")
    answer = anonymous.get("/subscriptions?api-version=2022-12-01", headers=for_graph)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "InvalidAuthenticationTokenAudience")
    elsewhere = bearer(anonymous, tenant=CORP)
    answer = anonymous.get("/subscriptions?api-version=2022-12-01", headers=elsewhere)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "InvalidAuthenticationTokenTenant")


def test_graph_refuses_a_token_for_arm(anonymous: httpx.Client) -> None:
    for_arm = bearer(anonymous, scope="https://management.azure.com/.default")
    assert anonymous.get("/v1.0/users", headers=for_arm).status_code == 401
