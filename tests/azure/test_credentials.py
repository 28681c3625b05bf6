"""Signing in: every way against a token service on loopback, what a refusal says, and what is never shown."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from azure.core.credentials import AccessToken
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from runner.azure.credentials import Credential, credential
from runner.domain.document import SecretReference, ServicePrincipal
from runner.errors import InputError, RemoteFailed, RunnerError
from runner.network.way_out import Network
from tests.azure.conftest import CLIENT_ID, SECRET, cloud_at, network_to
from tests.azure.loopback import TENANT, TOKEN, Loopback, Received, Reply, issue

Serve = Callable[..., Loopback]
SCOPE = "https://graph.microsoft.com/.default"


def nothing(received: Received) -> Reply:
    return Reply(404)


def sign_in(
    server: Loopback,
    auth: dict[str, Any],
    *,
    secret: Callable[[SecretReference], str] = lambda reference: SECRET,
    client_id: str | None = CLIENT_ID,
    network: Network | None = None,
) -> Credential:
    found = ServicePrincipal.model_validate({"clientId": client_id, "auth": auth})
    return credential(
        found, entra_tenant=TENANT, cloud=cloud_at(server.url), network=network or network_to(server), secret=secret
    )


BY_SECRET = {"type": "credential", "credential": {"env": "THE_SECRET"}}


def refusal(status: int, number: int, error: str = "invalid_client", *, headers: dict[str, str] | None = None) -> Any:
    """A token service that accepts nobody, and repeats what it was sent."""

    def answer(received: Received) -> Reply:
        if received.method == "GET":
            return issue(received)
        body = {
            "error": error,
            "error_description": f"AADSTS{number}: {received.body.decode()}",
            "error_codes": [number],
            "trace_id": "0f3a1c52-8a3e-4e60-b8e8-2a6d65a01d00",
        }
        return Reply(status, body=body, headers=headers or {})

    return answer


def failure_of(made: Credential) -> RunnerError:
    with pytest.raises(RunnerError) as caught:
        made.get_token(SCOPE)
    made.close()
    shown = "".join(traceback.format_exception(caught.value)) + repr(made)
    shown += repr(caught.value) + caught.value.detail + caught.value.hint
    assert SECRET not in shown
    return caught.value


def test_a_client_secret_gets_a_token_for_the_scope(serve: Serve) -> None:
    server = serve(nothing)
    made = sign_in(server, BY_SECRET)

    assert made.get_token(SCOPE).token == TOKEN
    made.close()

    form = server.token_requests[0].form
    assert (form["client_id"], form["client_secret"], form["scope"]) == (CLIENT_ID, SECRET, SCOPE)
    assert server.token_requests[0].path == f"/{TENANT}/oauth2/v2.0/token"


def test_nothing_is_read_or_asked_before_the_first_token(serve: Serve) -> None:
    server = serve(nothing)

    def never(reference: SecretReference) -> str:
        raise AssertionError(reference)

    sign_in(server, BY_SECRET, secret=never).close()

    assert server.token_requests == []


def test_each_scope_has_its_own_token_which_is_asked_for_once(serve: Serve) -> None:
    server = serve(nothing)
    made = sign_in(server, BY_SECRET)

    for _ in range(3):
        made.get_token(SCOPE)
        made.get_token("https://management.azure.com/.default")
    made.close()

    assert len(server.token_requests) == 2


class Issuing:
    """A TokenCredential whose tokens live for so many seconds."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        self.asked = 0

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.asked += 1
        return AccessToken(TOKEN, int(time.time()) + self.seconds)


@pytest.mark.parametrize(("seconds", "asked"), [(3600, 1), (301, 1), (299, 3), (-5, 3)])
def test_a_token_is_kept_until_five_minutes_before_its_end(seconds: int, asked: int) -> None:
    inner = Issuing(seconds)
    made = Credential(lambda remember: inner, who="somebody", kind="credential")

    for _ in range(3):
        made.get_token(SCOPE)

    assert inner.asked == asked


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (7000215, "value, not its id"),
        (7000222, "expired"),
        (700016, "not known in this Entra tenant"),
        (90002, "no such Entra tenant"),
        (50034, "Check the application"),
    ],
)
def test_a_refusal_names_the_identity_the_number_and_what_to_do(number: int, words: str, serve: Serve) -> None:
    error = failure_of(sign_in(serve(nothing, tokens=refusal(401, number)), BY_SECRET))

    assert isinstance(error, RemoteFailed)
    assert (error.code, error.temporary, error.status) == ("token-refused", False, 401)
    assert CLIENT_ID in error.detail
    assert TENANT in error.detail
    assert f"invalid_client AADSTS{number} (trace 0f3a1c52-" in error.detail
    assert words in error.hint


@pytest.mark.parametrize(
    ("status", "number"), [(500, 0), (503, 90033), (429, 90055), (400, 90033), (400, 50196), (504, 0), (408, 0)]
)
def test_a_busy_token_service_is_temporary(status: int, number: int, serve: Serve) -> None:
    error = failure_of(sign_in(serve(nothing, tokens=refusal(status, number, "temporarily_unavailable")), BY_SECRET))

    assert isinstance(error, RemoteFailed)
    assert (error.code, error.temporary) == ("token-unreachable", True)


def test_a_tenant_that_the_authority_does_not_know_is_refused(serve: Serve) -> None:
    body = {"error": "invalid_tenant", "error_description": "AADSTS90002: …", "error_codes": [90002]}
    error = failure_of(sign_in(serve(nothing, tokens=lambda received: Reply(400, body=body)), BY_SECRET))

    assert error.code == "token-refused"
    assert "no such Entra tenant" in error.hint


def test_an_answer_that_is_not_entras_is_no_token(serve: Serve) -> None:
    error = failure_of(sign_in(serve(nothing, tokens=lambda received: Reply(200, body=b"<html/>")), BY_SECRET))

    assert isinstance(error, RemoteFailed)
    assert not error.temporary


@pytest.mark.parametrize("auth", ["credential", "workloadIdentity"])
def test_a_token_service_that_cannot_be_reached_is_temporary(auth: str, serve: Serve, tmp_path: Path) -> None:
    server = serve(nothing, tokens=lambda received: Reply(drop=True))
    (tmp_path / "token").write_text("federated")
    by = BY_SECRET if auth == "credential" else {"type": auth, "tokenFile": str(tmp_path / "token")}

    error = failure_of(sign_in(server, by))

    assert isinstance(error, RemoteFailed)
    assert (error.code, error.temporary) == ("token-unreachable", True)


def test_a_token_service_with_a_certificate_of_nobody_known_is_not_temporary(serve: Serve) -> None:
    error = failure_of(sign_in(serve(nothing), BY_SECRET, network=Network()))

    assert isinstance(error, RemoteFailed)
    assert (error.code, error.temporary) == ("token-unreachable", False)
    assert "private CA" in error.hint


def test_what_the_token_service_echoes_is_not_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    def echo(received: Received) -> Reply:
        as_text = {"Content-Type": "text/plain"}
        return issue(received) if received.method == "GET" else Reply(400, body=received.body, headers=as_text)

    with caplog.at_level(logging.DEBUG):
        failure_of(sign_in(serve(nothing, tokens=refusal(401, 7000215)), BY_SECRET))
        failure_of(sign_in(serve(nothing, tokens=echo), BY_SECRET))

    assert SECRET not in caplog.text


def test_after_a_failure_the_token_service_is_asked_afresh(serve: Serve) -> None:
    answers = [Reply(429, headers={"Retry-After": "60"}), Reply(400, body={"error": "invalid_client"})]

    def tokens(received: Received) -> Reply:
        return answers.pop(0) if answers and received.method == "POST" else issue(received)

    secrets = ["old", "old", "rotated"]
    server = serve(nothing, tokens=tokens)
    made = sign_in(server, BY_SECRET, secret=lambda reference: secrets.pop(0))

    for temporary in (True, False):
        with pytest.raises(RemoteFailed) as failure:
            made.get_token(SCOPE)
        assert failure.value.temporary is temporary
    assert made.get_token(SCOPE).token == TOKEN
    made.close()

    assert [request.form["client_secret"] for request in server.token_requests] == ["old", "old", "rotated"]


def test_a_federated_token_is_sent_instead_of_a_secret(serve: Serve, tmp_path: Path) -> None:
    server = serve(nothing)
    (tmp_path / "token").write_text("federated-assertion")
    made = sign_in(server, {"type": "workloadIdentity", "tokenFile": str(tmp_path / "token")})

    assert made.get_token(SCOPE).token == TOKEN
    made.close()

    assert server.token_requests[0].form["client_assertion"] == "federated-assertion"


def test_the_platform_around_names_the_token_file(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("federated-assertion")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    made = sign_in(serve(nothing), {"type": "workloadIdentity"})

    assert made.get_token(SCOPE).token == TOKEN
    made.close()


def test_without_any_token_file_the_document_is_wrong(serve: Serve) -> None:
    error = failure_of(sign_in(serve(nothing), {"type": "workloadIdentity"}))

    assert isinstance(error, InputError)
    assert error.code == "token-file-unknown"


def test_a_token_file_that_is_gone_is_reported(serve: Serve, tmp_path: Path) -> None:
    error = failure_of(sign_in(serve(nothing), {"type": "workloadIdentity", "tokenFile": str(tmp_path / "none")}))

    assert isinstance(error, RemoteFailed)
    assert not error.temporary
    assert "token file" in error.hint


def test_a_managed_identity_asks_the_machine(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(lambda received: Reply(body={"access_token": TOKEN, "expires_in": "3599", "token_type": "Bearer"}))
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", server.url)
    made = sign_in(server, {"type": "managedIdentity"})

    assert made.get_token(SCOPE).token == TOKEN
    made.close()

    assert server.requests[0].query["resource"] == "https://graph.microsoft.com"
    assert server.requests[0].query["client_id"] == CLIENT_ID


@pytest.mark.parametrize(("status", "temporary"), [(400, False), (404, True), (410, True), (429, True), (500, True)])
def test_a_managed_identity_that_is_refused_or_not_ready(
    status: int, temporary: bool, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(lambda received: Reply(status, body={"error": "invalid_request", "error_description": "x"}))
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", server.url)

    error = failure_of(sign_in(server, {"type": "managedIdentity"}, client_id=None))

    assert isinstance(error, RemoteFailed)
    assert error.temporary is temporary


def test_a_person_at_a_terminal_signs_in_with_the_azure_cli(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "az"
    expires = int((datetime.now(UTC) + timedelta(hours=1)).timestamp())
    script.write_text(
        f'#!/bin/sh\necho x >> {tmp_path}/calls\necho \'{{"accessToken": "{TOKEN}", "expires_on": {expires}}}\'\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    made = sign_in(serve(nothing), {"type": "azureCli"}, client_id=None)

    assert made.get_token(SCOPE).token == TOKEN
    assert made.get_token(SCOPE).token == TOKEN
    assert (tmp_path / "calls").read_text() == "x\n"


def test_without_the_azure_cli_people_are_told_to_sign_in(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    error = failure_of(sign_in(serve(nothing), {"type": "azureCli"}, client_id=None))

    assert isinstance(error, RemoteFailed)
    assert "az login" in error.hint


class Pair:
    """A key and its self-signed certificate."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "runner")])
        now = datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder(name, name, self.key.public_key(), x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=1))
            .sign(self.key, hashes.SHA256())
        )

    def pem(self, password: bytes | None = None) -> bytes:
        encryption = BestAvailableEncryption(password) if password else NoEncryption()
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        return self.certificate.public_bytes(Encoding.PEM) + key

    def pfx(self, password: bytes) -> bytes:
        return pkcs12.serialize_key_and_certificates(
            b"x", self.key, self.certificate, None, BestAvailableEncryption(password)
        )


@pytest.fixture(scope="module")
def pair() -> Pair:
    return Pair()


@pytest.mark.parametrize("form", ["pem", "pem with password", "pfx"])
def test_a_certificate_signs_the_assertion(form: str, pair: Pair, serve: Serve, tmp_path: Path) -> None:
    server = serve(nothing)
    contents = {"pem": pair.pem(), "pem with password": pair.pem(SECRET.encode()), "pfx": pair.pfx(SECRET.encode())}
    (tmp_path / "certificate").write_bytes(contents[form])
    auth: dict[str, Any] = {"type": "certificate", "certificate": {"file": str(tmp_path / "certificate")}}
    if form != "pem":
        auth["password"] = {"env": "THE_PASSWORD"}
    made = sign_in(server, auth)

    assert made.get_token(SCOPE).token == TOKEN
    made.close()

    assertion = server.token_requests[0].form["client_assertion"]
    claims = jwt.decode(
        assertion,
        pair.key.public_key(),
        algorithms=["RS256", "PS256"],
        audience=f"{server.url}/{TENANT}/oauth2/v2.0/token",
    )
    assert claims["iss"] == CLIENT_ID


@pytest.mark.parametrize("problem", ["no file", "wrong password", "no key", "another key", "not RSA", "not base64"])
def test_a_certificate_that_cannot_be_used_is_an_input_error(
    problem: str, pair: Pair, serve: Serve, tmp_path: Path
) -> None:
    elliptic = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    certificate = pair.certificate.public_bytes(Encoding.PEM)
    contents = {
        "wrong password": pair.pfx(b"another"),
        "no key": certificate,
        "another key": certificate + Pair().pem().partition(b"-----END CERTIFICATE-----\n")[2],
        "not RSA": certificate + elliptic,
    }
    path = tmp_path / "certificate"
    if problem in contents:
        path.write_bytes(contents[problem])
    reference = {"env": "THE_CERTIFICATE"} if problem == "not base64" else {"file": str(path)}
    auth = {"type": "certificate", "certificate": reference, "password": {"env": "THE_PASSWORD"}}
    if problem in ("no key", "another key", "not RSA"):
        del auth["password"]

    error = failure_of(sign_in(serve(nothing), auth))

    assert isinstance(error, InputError)
    assert error.code == "certificate-unusable"


def test_azure_identity_is_not_loaded_before_it_is_needed() -> None:
    code = (
        "import sys, runner.azure.connect, runner.azure.engine_identity;"
        "sys.exit(any(name.startswith(('azure.', 'msal', 'requests')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
