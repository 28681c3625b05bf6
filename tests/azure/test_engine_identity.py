"""The engine's environment: the same identity as the runner's own, no other way to sign in, and every secret named."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from runner.azure.engine_identity import EngineIdentity, engine_environment
from runner.domain.document import ServicePrincipal
from runner.domain.platform import CLOUDS, Cloud
from runner.network.way_out import Network
from tests.azure.conftest import CLIENT_ID, SECRET
from tests.azure.loopback import TENANT

SUBSCRIPTION = "33333333-3333-4333-8333-333333333333"
OTHER_WAYS = {"ARM_USE_CLI": "false", "ARM_USE_MSI": "false", "ARM_USE_OIDC": "false"}


def environment(
    auth: dict[str, Any],
    *,
    cloud: Cloud = CLOUDS["public"],
    network: Network = Network(),  # noqa: B008 - frozen
    client_id: str | None = CLIENT_ID,
    subscription_id: str | None = SUBSCRIPTION,
) -> EngineIdentity:
    return engine_environment(
        ServicePrincipal.model_validate({"clientId": client_id, "auth": auth}),
        entra_tenant=TENANT,
        cloud=cloud,
        network=network,
        secret=lambda reference: SECRET,
        subscription_id=subscription_id,
    )


BY_SECRET = {"type": "credential", "credential": {"env": "THE_SECRET"}}


def test_a_client_secret() -> None:
    made = environment(BY_SECRET)

    assert made.environment == {
        "ARM_TENANT_ID": TENANT,
        "ARM_CLIENT_ID": CLIENT_ID,
        "ARM_CLIENT_SECRET": SECRET,
        "ARM_SUBSCRIPTION_ID": SUBSCRIPTION,
        "ARM_ENVIRONMENT": "public",
        "ARM_RESOURCE_PROVIDER_REGISTRATIONS": "none",
        **OTHER_WAYS,
    }
    assert made.secrets == (SECRET,)
    assert SECRET not in repr(made)


@pytest.mark.parametrize(("cloud", "name"), [("public", "public"), ("usgov", "usgovernment"), ("china", "china")])
def test_the_known_clouds_by_name(cloud: str, name: str) -> None:
    assert environment(BY_SECRET, cloud=CLOUDS[cloud]).environment["ARM_ENVIRONMENT"] == name


@pytest.mark.parametrize("name", ["custom", "public"])
def test_any_other_cloud_by_its_addresses_whatever_it_is_called(name: str) -> None:
    cloud = Cloud(
        name=name,
        authority="https://login.example:8443",
        resource_manager="https://arm.example:8443/",
        graph="https://graph.example",
        resource_manager_audience="https://management.example",
    )

    made = environment(BY_SECRET, cloud=cloud).environment

    assert made["ARM_ENVIRONMENT"] == "custom"
    assert made["ARM_METADATA_HOSTNAME"] == "arm.example:8443"
    assert made["ARM_ACTIVE_DIRECTORY_AUTHORITY_HOST"] == "https://login.example:8443/"
    assert made["ARM_RESOURCE_MANAGER_ENDPOINT"] == "https://arm.example:8443"
    assert made["ARM_RESOURCE_MANAGER_AUDIENCE"] == "https://management.example/"
    assert made["ARM_DISABLE_INSTANCE_DISCOVERY"] == "true"


def test_a_certificate_travels_as_a_bundle_with_a_password_of_its_own(tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "runner")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    certificate = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)
    (tmp_path / "runner.pem").write_bytes(pem)

    made = environment({"type": "certificate", "certificate": {"file": str(tmp_path / "runner.pem")}})

    password = made.environment["ARM_CLIENT_CERTIFICATE_PASSWORD"]
    bundle = base64.b64decode(made.environment["ARM_CLIENT_CERTIFICATE"])
    read_key, read_certificate, _ = pkcs12.load_key_and_certificates(bundle, password.encode())
    assert isinstance(read_key, rsa.RSAPrivateKey)
    assert read_key.private_numbers() == key.private_numbers()
    assert read_certificate == certificate
    assert set(made.secrets) == {password, made.environment["ARM_CLIENT_CERTIFICATE"]}
    # 1.2.840.113549.1.12.1.3, pbeWithSHAAnd3-KeyTripleDES-CBC: the one that azidentity reads
    assert bytes.fromhex("2a864886f70d010c0103") in bundle


def test_workload_identity_names_the_token_file_only() -> None:
    made = environment({"type": "workloadIdentity", "tokenFile": "/var/run/token"})

    assert made.environment["ARM_USE_OIDC"] == "true"
    assert made.environment["ARM_OIDC_TOKEN_FILE_PATH"] == "/var/run/token"
    assert made.secrets == ()


def test_a_managed_identity_takes_along_what_its_machine_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:42356/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "header-canary")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for the engine")

    made = environment({"type": "managedIdentity"}, client_id=None, subscription_id=None)

    assert made.environment == {
        "ARM_TENANT_ID": TENANT,
        "ARM_ENVIRONMENT": "public",
        "ARM_RESOURCE_PROVIDER_REGISTRATIONS": "none",
        **OTHER_WAYS,
        "ARM_USE_MSI": "true",
        "IDENTITY_ENDPOINT": "http://127.0.0.1:42356/msi/token",
        "IDENTITY_HEADER": "header-canary",
    }
    assert made.secrets == ("header-canary",)


def test_a_person_signs_in_with_the_azure_cli(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    made = environment({"type": "azureCli"}, client_id=None).environment

    assert made["AZURE_CONFIG_DIR"] == str(tmp_path / ".azure")  # the engine's own home directory is another
    monkeypatch.setenv("AZURE_CONFIG_DIR", "elsewhere")
    assert environment({"type": "azureCli"}).environment["AZURE_CONFIG_DIR"] == str(Path("elsewhere").absolute())
    assert made["ARM_USE_CLI"] == "true"
    assert "ARM_CLIENT_ID" not in made


def test_the_proxys_password_is_among_the_secrets() -> None:
    made = environment(BY_SECRET, network=Network(proxy="http://user:hidden@proxy:8080"))

    assert made.environment["HTTPS_PROXY"] == "http://user:hidden@proxy:8080"
    assert made.secrets == (SECRET, "hidden")


def test_every_value_that_is_secret_is_named(tmp_path: Path) -> None:
    """Whatever the way to sign in, a value of the environment that came from a secret is found among `secrets`."""
    made = environment(BY_SECRET, network=Network(proxy=f"http://user:{SECRET}@proxy:8080"))

    assert [name for name, value in made.environment.items() if SECRET in value] == ["HTTPS_PROXY", "ARM_CLIENT_SECRET"]
    assert SECRET in made.secrets
