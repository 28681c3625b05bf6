"""Tokens that pipelines give out: asked for as each CI wants it, in a private file, and always a fresh one."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from runner import settings, wiring
from runner.azure.pipeline_token import AUDIENCE, Offer, kept, offered
from runner.errors import RemoteFailed
from tests.azure.conftest import network_to
from tests.azure.loopback import TOKEN, Loopback, Reply
from tests.azure.test_credentials import SCOPE, nothing, sign_in
from tests.estate import eventually

Serve = Callable[..., Loopback]


def of_github(url: str) -> dict[str, str]:
    return {
        "GITHUB_ACTIONS": "true",
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{url}/token?api-version=2.0",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request-canary",
    }


def of_azure_devops(url: str) -> dict[str, str]:
    return {
        "TF_BUILD": "True",
        "SYSTEM_OIDCREQUESTURI": f"{url}/oidctoken",
        "SYSTEM_ACCESSTOKEN": "request-canary",
        "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID": "connection",
    }


def an_offer(variables: dict[str, str]) -> Offer:
    found = offered(variables)
    assert found is not None
    return found


def test_github_is_asked_for_a_token_for_entra(serve: Serve) -> None:
    server = serve(lambda received: Reply(body={"value": "federated"}))
    with kept(an_offer(of_github(server.url)), network_to(server)) as file:
        assert file.read_text() == "federated"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert not file.exists()
    (asked,) = server.requests
    assert (asked.method, asked.path) == ("GET", "/token")
    assert dict(asked.query) == {"api-version": "2.0", "audience": AUDIENCE}
    assert asked.text("Authorization") == "Bearer request-canary"


def test_azure_devops_is_asked_for_the_token_of_a_service_connection(serve: Serve) -> None:
    server = serve(lambda received: Reply(body={"oidcToken": "federated"}))
    with kept(an_offer(of_azure_devops(server.url)), network_to(server)) as file:
        assert file.read_text() == "federated"
    (asked,) = server.requests
    assert (asked.method, asked.path) == ("POST", "/oidctoken")
    assert dict(asked.query) == {"api-version": "7.1", "serviceConnectionId": "connection"}
    assert asked.text("Authorization") == "Bearer request-canary"


def test_gitlab_hands_its_token_over(serve: Serve) -> None:
    server = serve(nothing)
    with kept(an_offer({"GITLAB_CI": "true", "AZURE_ID_TOKEN": "federated"}), network_to(server)) as file:
        assert file.read_text() == "federated"
    assert not server.requests


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"GITHUB_ACTIONS": "true"},
        {"TF_BUILD": "True", "SYSTEM_OIDCREQUESTURI": "https://x", "SYSTEM_ACCESSTOKEN": "x"},
        {"TF_BUILD": "True", "SYSTEM_OIDCREQUESTURI": "https://x", "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID": "x"},
        {"GITLAB_CI": "true"},
        {"AZURE_ID_TOKEN": "x"},
        of_github("https://x") | {"AZURE_FEDERATED_TOKEN_FILE": "/token"},
    ],
)
def test_where_nothing_is_offered_or_a_file_is_named_nobody_is_asked(variables: dict[str, str]) -> None:
    assert offered(variables) is None


def test_the_token_is_renewed_and_one_that_cannot_be_stays(serve: Serve) -> None:
    answers = iter([Reply(body={"value": "first"}), Reply(500), Reply(body={"value": "second"})])
    server = serve(lambda received: next(answers, Reply(drop=True)))
    with kept(an_offer(of_github(server.url)), network_to(server), each=0.01) as file:
        eventually(lambda: file.read_text() == "second")
        seen = len(server.requests)
        eventually(lambda: len(server.requests) > seen)
        assert file.read_text() == "second"


@pytest.mark.parametrize(
    "reply", [Reply(403), Reply(500), Reply(body=b"<html>"), Reply(body=[]), Reply(body={"value": 3}), Reply(drop=True)]
)
def test_no_token_is_told_without_what_asked_for_it(reply: Reply, serve: Serve) -> None:
    server = serve(lambda received: reply)
    with pytest.raises(RemoteFailed) as failed, kept(an_offer(of_github(server.url)), network_to(server)):
        pass
    assert failed.value.code == "pipeline-token-unavailable"
    assert "canary" not in f"{failed.value} {failed.value.hint}"
    assert failed.value.temporary == (reply.drop or reply.status == 500)


def test_a_request_goes_nowhere_without_tls(serve: Serve) -> None:
    offer = an_offer(of_github("http://pipeline.example"))
    with pytest.raises(RemoteFailed, match="not reached by https"), kept(offer, network_to(serve(nothing))):
        pass


def test_every_sign_in_uses_the_token_of_the_moment(serve: Serve, tmp_path: Path) -> None:
    server = serve(nothing)
    (tmp_path / "token").write_text("first\n")
    made = sign_in(server, {"type": "workloadIdentity", "tokenFile": str(tmp_path / "token")})
    assert made.get_token(SCOPE).token == TOKEN
    (tmp_path / "token").write_text("second")
    made.get_token("https://management.azure.com/.default")
    made.close()
    assert [asked.form["client_assertion"] for asked in server.token_requests] == ["first", "second"]


def test_a_runner_in_a_pipeline_names_the_file_where_workload_identity_looks(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(lambda received: Reply(body={"value": "federated-canary"}))
    for name, value in of_github(server.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AZURE_FEDERATED_TOKEN_FILE", raising=False)
    monkeypatch.setenv("LZR_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("LZR_CA_FILE", str(server.ca_file))
    with wiring.open_runner(settings.read()) as runner:
        assert not server.requests  # what only looks into the store needs none
        _ = runner.connections
        file = Path(os.environ["AZURE_FEDERATED_TOKEN_FILE"])
        assert file.read_text() == "federated-canary"
        assert "canary" not in runner.redactor("request-canary and federated-canary")
    assert "AZURE_FEDERATED_TOKEN_FILE" not in os.environ
    assert not file.exists()
