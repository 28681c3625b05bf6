"""Where the stand-ins go and as whom: only to the sandbox, with every credential that the real providers take."""

from __future__ import annotations

import datetime as dt
import json
import threading
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from runner.sandbox.provider.access import (
    Identity,
    Settings,
    identity_for_azapi,
    identity_for_azuread,
    is_loopback,
    origin,
    sandbox_origin,
)
from runner.sandbox.provider.contract import Failed
from runner.sandbox.provider.rest import Rest
from tests.sandbox_provider.double import CALLER, Azure, Store
from tests.sandbox_provider.engine import Workspace

CONFIGURATION = """
data "azapi_client_config" "me" {}
data "azuread_client_config" "me" {}
"""


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"LZR_SANDBOX_URL": ""}, "works in the sandbox only"),
        ({"LZR_SANDBOX_URL": "https://management.azure.com"}, "must be on loopback"),
        ({"LZR_SANDBOX_URL": "http://127.0.0.1:1"}, "not an https address"),
        (
            {"ARM_ENVIRONMENT": "public", "ARM_RESOURCE_MANAGER_ENDPOINT": "", "ARM_METADATA_HOSTNAME": ""},
            "refuses this cloud",
        ),
        ({"ARM_RESOURCE_MANAGER_ENDPOINT": "https://management.azure.com"}, "refuses this address"),
        ({"ARM_RESOURCE_MANAGER_ENDPOINT": "https://127.0.0.1:1"}, "refuses this address"),
        ({"ARM_ACTIVE_DIRECTORY_AUTHORITY_HOST": "https://login.microsoftonline.com/"}, "refuses this address"),
        ({"ARM_METADATA_HOSTNAME": "management.azure.com"}, "refuses this address"),
        ({"SSL_CERT_FILE": ""}, "certificate authority is unknown"),
        ({"SSL_CERT_FILE": "/nonexistent"}, "certificate authority cannot be read"),
        ({"ARM_CLIENT_SECRET": ""}, "No credential is configured"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value.replace(" ", "-"),
)
def test_anything_but_the_sandbox_is_refused(
    terraform: Workspace, store: Store, azure: Azure, changed: dict[str, str], says: str
) -> None:
    terraform.environment |= changed
    terraform.write(CONFIGURATION)
    ran = terraform.plan()
    assert ran.code == 1
    assert says in ran.text
    assert azure.calls == []


def test_an_endpoint_of_the_provider_block_is_checked_too(terraform: Workspace, store: Store) -> None:
    terraform.write(
        'provider "azapi" {\n endpoint = [{ resource_manager_endpoint = "https://management.azure.com" }]\n}\n'
        + CONFIGURATION
    )
    ran = terraform.plan()
    assert ran.code == 1
    assert "refuses this address" in ran.text


def test_a_certificate_of_another_authority_is_not_trusted(
    terraform: Workspace, store: Store, tmp_path: Path, mirror: Path
) -> None:
    from tests.sandbox_provider.double import make_certificate

    (tmp_path / "other").mkdir()
    terraform.environment["SSL_CERT_FILE"] = str(make_certificate(tmp_path / "other"))
    terraform.write(CONFIGURATION)
    ran = terraform.plan()
    assert ran.code == 1
    assert "CERTIFICATE_VERIFY_FAILED" in ran.text


@pytest.mark.parametrize(
    ("host", "yes"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("localhost", True),
        ("::1", True),
        ("127.0.0.1.example.com", False),
        ("localhost.example.com", False),
        ("10.0.0.1", False),
        ("", False),
        ("0.0.0.0", False),
    ],
)
def test_a_loopback_host_is_an_address_and_not_a_name_that_looks_like_one(host: str, yes: bool) -> None:
    assert is_loopback(host) is yes


@pytest.mark.parametrize(
    "address", ["", "ftp://127.0.0.1", "https://", "https://127.0.0.1:port", "https://127.0.0.1:99999"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(Failed):
        origin(address)


def test_the_port_belongs_to_the_sandbox() -> None:
    assert sandbox_origin({"LZR_SANDBOX_URL": "https://127.0.0.1:8443"}) == ("127.0.0.1", 8443)


@pytest.fixture
def identity(azure: Azure) -> Iterator[Callable[..., Identity]]:
    host, port = origin(azure.url)
    rest = Rest(host, port, str(azure.ca_file), Event(), user_agent="test")

    def configured(provider: str = "azuread", **environment: str) -> Identity:
        known = {"ARM_TENANT_ID": "tenant", "ARM_CLIENT_ID": "client"}
        machine = {"azapi": identity_for_azapi, "azuread": identity_for_azuread}[provider]
        return Identity(Settings({}, known | environment), azure.url, rest, machine)

    yield configured
    rest.close()


def test_a_client_secret_is_exchanged_once(azure: Azure, identity: Callable[..., Identity]) -> None:
    who = identity(ARM_CLIENT_SECRET="s3cret")
    assert who.token("scope") == who.token("scope")
    assert who.object_id("scope") == CALLER
    assert azure.token_requests == [
        {"grant_type": "client_credentials", "client_id": "client", "scope": "scope", "client_secret": "s3cret"}
    ]


def test_a_token_that_is_about_to_end_is_renewed(azure: Azure, identity: Callable[..., Identity]) -> None:
    who = identity(ARM_CLIENT_SECRET="s3cret")
    who.tokens["scope"] = ("old", 0.0)
    assert who.token("scope") != "old"


def test_an_argument_of_the_block_wins_over_the_environment(azure: Azure, identity: Callable[..., Identity]) -> None:
    who = identity(ARM_CLIENT_SECRET="environment")
    block = Settings({"client_secret": "block"}, who.settings.environment)
    Identity(block, azure.url, who.rest, who.machine).token("scope")
    assert azure.token_requests[0]["client_secret"] == "block"


def test_a_secret_may_be_in_a_file(azure: Azure, identity: Callable[..., Identity], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-file\n", encoding="utf-8")
    identity(ARM_CLIENT_SECRET_FILE_PATH=str(tmp_path / "secret")).token("scope")
    assert azure.token_requests[0]["client_secret"] == "from-file"


def test_a_federated_token_is_read_from_its_file(
    azure: Azure, identity: Callable[..., Identity], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("a.b.c\n", encoding="utf-8")
    identity(ARM_USE_OIDC="true", ARM_OIDC_TOKEN_FILE_PATH=str(tmp_path / "token")).token("scope")
    assert azure.token_requests[0]["client_assertion"] == "a.b.c"
    assert azure.token_requests[0]["client_assertion_type"].endswith("jwt-bearer")


def test_a_federated_token_that_is_not_there_is_a_diagnostic(azure: Azure, identity: Callable[..., Identity]) -> None:
    with pytest.raises(Failed, match="file with the credential cannot be read"):
        identity(ARM_USE_OIDC="true", ARM_OIDC_TOKEN_FILE_PATH="/nonexistent").token("scope")


def test_a_client_certificate_signs_an_assertion(
    azure: Azure, identity: Callable[..., Identity], tmp_path: Path
) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "client")])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    )
    certificate = builder.not_valid_before(now).not_valid_after(now + dt.timedelta(days=1)).sign(key, hashes.SHA256())
    path = tmp_path / "client.pfx"
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(b"client", key, certificate, None, BestAvailableEncryption(b"pw"))
    )
    environment = {"ARM_CLIENT_CERTIFICATE_PATH": str(path), "ARM_CLIENT_CERTIFICATE_PASSWORD": "pw"}
    identity(**environment, ARM_USE_MSI="true").token("scope")  # the certificate comes first
    header, claims, _ = azure.token_requests[0]["client_assertion"].split(".")
    assert json.loads(urlsafe_b64decode(header + "=="))["alg"] == "RS256"
    assert json.loads(urlsafe_b64decode(claims + "=="))["aud"] == f"{azure.url}/tenant/oauth2/v2.0/token"
    with pytest.raises(Failed, match="client certificate cannot be read"):
        identity(ARM_CLIENT_CERTIFICATE_PATH=str(path), ARM_CLIENT_CERTIFICATE_PASSWORD="wrong").token("scope")


class _ManagedIdentity(BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(f"{self.path} {self.headers['Metadata']} {self.headers['X-IDENTITY-HEADER']}")
        body = json.dumps({"access_token": "from-msi", "expires_in": "100"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


@pytest.fixture
def machine() -> Iterator[tuple[str, list[str]]]:
    """Where a machine's identity is asked for, and what it was asked."""
    asked: list[str] = []
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (_ManagedIdentity,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/token", asked
    server.shutdown()
    thread.join()
    server.server_close()


MACHINE = {"ARM_USE_MSI": "true", "IDENTITY_HEADER": "proof"}


@pytest.mark.parametrize(
    ("provider", "variable", "version", "headers"),
    [
        ("azuread", "ARM_MSI_ENDPOINT", "2018-02-01", "true None"),
        ("azapi", "IDENTITY_ENDPOINT", "2019-08-01", "None proof"),  # as azidentity in App Service
    ],
)
def test_each_provider_asks_for_a_managed_identity_in_its_own_way(
    identity: Callable[..., Identity],
    machine: tuple[str, list[str]],
    provider: str,
    variable: str,
    version: str,
    headers: str,
) -> None:
    endpoint, asked = machine
    elsewhere = dict.fromkeys(("ARM_MSI_ENDPOINT", "IDENTITY_ENDPOINT"), "http://127.0.0.1:1/token")
    who = identity(provider, **MACHINE | elsewhere | {variable: endpoint})
    assert who.token("https://arm/.default") == "from-msi"
    assert asked == [f"/token?api-version={version}&resource=https%3A%2F%2Farm&client_id=client {headers}"]


@pytest.mark.parametrize(
    ("provider", "environment"),
    [
        ("azuread", {"ARM_MSI_ENDPOINT": "http://169.254.169.254/token"}),
        ("azuread", {"IDENTITY_ENDPOINT": "http://127.0.0.1:1/token"}),
        ("azapi", {"IDENTITY_ENDPOINT": "http://169.254.169.254/token"}),
        ("azapi", {"ARM_MSI_ENDPOINT": "http://127.0.0.1:1/token"}),
        ("azapi", {"IDENTITY_ENDPOINT": "http://127.0.0.1:1/token", "IDENTITY_HEADER": ""}),
    ],
)
def test_a_managed_identity_is_asked_on_loopback_only(
    identity: Callable[..., Identity], provider: str, environment: dict[str, str]
) -> None:
    with pytest.raises(Failed, match="refuses this address"):
        identity(provider, **MACHINE | environment).token("scope")


def test_a_refused_secret_is_not_quoted(azure: Azure, identity: Callable[..., Identity]) -> None:
    who = identity(ARM_CLIENT_SECRET="s3cret")
    who.authority = f"{azure.url}/metadata/endpoints?"
    with pytest.raises(Failed) as refused:
        who.token("scope")
    assert "s3cret" not in refused.value.problem.detail
