"""The function app: who gets in, and what it keeps."""

from __future__ import annotations

import ssl

import httpx

from runner.sandbox.azure.server import Sandbox
from tests.sandbox_azure.conftest import AUDITOR, HOOKS, RUNNER, bearer


def test_a_call_is_kept_with_its_headers_and_without_its_token(anonymous: httpx.Client, sandbox: Sandbox) -> None:
    headers = bearer(anonymous, scope=f"{HOOKS}/.default") | {"x-mesh-project-identifier": "checkout-dev"}
    answer = anonymous.post(sandbox.function_url, headers=headers, content="{}")
    assert (answer.status_code, answer.json()) == (200, {"message": "onboarded"})
    (call,) = sandbox.world.function_calls
    assert call.headers["x-mesh-project-identifier"] == "checkout-dev"
    assert (call.caller, call.audience, call.body) == (RUNNER, HOOKS, "{}")
    token = headers["Authorization"].split()[1]
    assert token not in str(sandbox.world.snapshot())
    assert token not in str(list(sandbox.world.calls))


def test_the_audience_may_be_written_as_an_address(anonymous: httpx.Client, sandbox: Sandbox) -> None:
    headers = bearer(anonymous, scope=f"api://{HOOKS}/.default")
    assert anonymous.post(sandbox.function_url, headers=headers).status_code == 200


def test_nobody_else_gets_in(anonymous: httpx.Client, sandbox: Sandbox) -> None:
    for_arm = bearer(anonymous, scope="https://management.azure.com/.default")
    for_all = bearer(anonymous)  # the sandbox's own address stands for ARM and Graph, not for functions
    auditor = bearer(anonymous, client_id=AUDITOR, secret="sandbox-auditor-secret")
    for headers in ({}, for_arm, for_all, auditor, {"Authorization": "Bearer x"}):
        assert anonymous.post(sandbox.function_url, headers=headers).status_code == 401
    assert not sandbox.world.function_calls


def test_it_answers_under_its_own_host_name_through_the_proxy(
    anonymous: httpx.Client, sandbox: Sandbox, trust: ssl.SSLContext
) -> None:
    headers = bearer(anonymous, scope=f"{HOOKS}/.default")
    with httpx.Client(proxy=sandbox.proxy_url, verify=trust) as client:
        assert client.post("https://lz-hooks.azurewebsites.net/api/onboard", headers=headers).status_code == 200
        assert client.post("https://lz-hooks.azurewebsites.net/onboard", headers=headers).status_code == 200
        assert client.post("https://other.azurewebsites.net/api/onboard", headers=headers).status_code == 404
        assert client.get("https://lz-hooks.azurewebsites.net/api/onboard", headers=headers).status_code == 404


def test_its_answer_can_be_changed(anonymous: httpx.Client, sandbox: Sandbox) -> None:
    headers = bearer(anonymous, scope=f"{HOOKS}/.default")
    assert anonymous.put("/sandbox/functions/onboard", json={"status": 500, "body": "it is broken"}).status_code == 204
    answer = anonymous.post(sandbox.function_url, headers=headers)
    assert (answer.status_code, answer.text) == (500, "it is broken")
    assert anonymous.put("/sandbox/functions/onboard", json={"status": 9}).status_code == 400
    assert anonymous.put("/sandbox/functions/none", json={}).status_code == 404
