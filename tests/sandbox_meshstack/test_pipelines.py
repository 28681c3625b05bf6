"""GitHub, GitLab and Azure DevOps: what they take, what they refuse, and how a pipeline runs its course."""

from __future__ import annotations

import time
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from runner.sandbox.meshstack.server import MeshStack

WORKFLOW = "/github/repos/example/blocks/actions/workflows/apply.yml"
ADO = "/azure-devops/example/blocks/_apis"
VERSION = {"api-version": "7.1"}


@pytest.fixture(scope="session")
def pem() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


@pytest.fixture
def github(mesh: MeshStack, pem: str) -> MeshStack:
    mesh.enqueue(
        definition={
            "type": "GITHUB_WORKFLOW",
            "githubBaseUrl": f"{mesh.url}/github",
            "owner": "example",
            "appId": 17,
            "appPem": pem,
            "repository": "blocks",
            "branch": "main",
            "applyWorkflow": "apply.yml",
        }
    )
    return mesh


def statement(pem: str, **changed: Any) -> dict[str, str]:
    now = int(time.time())
    claims = {"iat": now - 10, "exp": now + 300, "iss": "17", **changed}
    return {"Authorization": f"Bearer {jwt.encode(claims, pem, algorithm='RS256')}"}


def installed(http: httpx.Client, pem: str) -> dict[str, str]:
    found = http.get("/github/repos/example/blocks/installation", headers=statement(pem))
    made = http.post(f"/github/app/installations/{found.json()['id']}/access_tokens", headers=statement(pem))
    assert made.status_code == 201
    return {"Authorization": f"Bearer {made.json()['token']}"}


def test_a_workflow_is_dispatched_found_and_followed(github: MeshStack, http: httpx.Client, pem: str) -> None:
    token = installed(http, pem)
    sent = {"ref": "main", "inputs": {"buildingBlockRun": "e30="}}
    assert http.post(f"{WORKFLOW}/dispatches", json=sent, headers=token).status_code == 204
    assert http.get(f"{WORKFLOW}/runs", params={"branch": "other"}, headers=token).json()["workflow_runs"] == []
    found = http.get(f"{WORKFLOW}/runs", params={"branch": "main"}, headers=token).json()["workflow_runs"]
    assert [(run["status"], run["conclusion"], run["event"]) for run in found] == [
        ("queued", None, "workflow_dispatch")
    ]
    where = f"/github/repos/example/blocks/actions/runs/{found[0]['id']}"
    got = [http.get(where, headers=token).json() for _ in range(2)]
    assert [(run["status"], run["conclusion"]) for run in got] == [("in_progress", None), ("completed", "success")]
    jobs = http.get(f"{where}/jobs", headers=token).json()
    assert [(job["name"], job["conclusion"]) for job in jobs["jobs"]] == [("plan", "success"), ("deploy", "success")]
    recorded = github.pipelines[0]
    assert (recorded["kind"], recorded["workflow"], recorded["inputs"]) == ("github", "apply.yml", sent["inputs"])
    assert github.complaints == []


def test_how_the_next_pipeline_ends_can_be_chosen(github: MeshStack, http: httpx.Client, pem: str) -> None:
    token = installed(http, pem)
    assert http.post("/sandbox/pipelines/next", json={"conclusion": "failure", "polls": 1}).status_code == 204
    for _ in range(2):
        http.post(f"/github/api/v3{WORKFLOW[7:]}/dispatches", json={"ref": "main"}, headers=token)
    http.get(f"{WORKFLOW}/runs", headers=token)
    told = [(one["state"], one["conclusion"]) for one in http.get("/sandbox/pipelines").json()]
    assert told == [("completed", "failure"), ("queued", "success")]
    assert http.post("/sandbox/pipelines/next", json={"polls": 0}).status_code == 400


@pytest.mark.parametrize("inputs", [{"a": "x" * 65_536}, {"a": 1}, []])
def test_a_dispatch_with_wrong_inputs_is_refused(
    github: MeshStack, http: httpx.Client, pem: str, inputs: object
) -> None:
    token = installed(http, pem)
    good = {"ref": "main", "inputs": {"a": "x" * 65_535}}
    assert http.post(f"{WORKFLOW}/dispatches", json=good, headers=token).status_code == 204
    sent = {"ref": "main", "inputs": inputs}
    expected = 204 if inputs == [] else 422  # nothing is nothing
    assert http.post(f"{WORKFLOW}/dispatches", json=sent, headers=token).status_code == expected
    assert len(github.complaints) == (0 if inputs == [] else 1)


def test_an_app_proves_who_it_is(github: MeshStack, http: httpx.Client, pem: str) -> None:
    now = int(time.time())
    where = "/github/repos/example/blocks/installation"
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    other = stranger.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    wrong = [
        {},
        {"Authorization": "Bearer nothing"},
        statement(other),
        statement(pem, iss="18"),
        statement(pem, iat=now + 60),
        statement(pem, exp=now - 1),
        statement(pem, exp=now + 3600),
    ]
    assert [http.get(where, headers=given).status_code for given in wrong] == [401] * len(wrong)
    assert http.get("/github/repos/nobody/blocks/installation", headers=statement(pem)).status_code == 404
    assert http.post("/github/app/installations/9/access_tokens", headers=statement(pem)).status_code == 404
    assert http.post(f"{WORKFLOW}/dispatches", json={"ref": "main"}, headers=statement(pem)).status_code == 401
    assert http.get("/github/nothing").status_code == 404
    token = installed(http, pem)
    assert http.get("/github/repos/nobody/a/actions/runs/1", headers=token).status_code == 404
    assert http.get("/github/repos/example/blocks/actions/runs/1", headers=token).status_code == 404
    assert len(github.complaints) == len(wrong) + 6


def test_gitlab_is_triggered_by_a_form(mesh: MeshStack, http: httpx.Client) -> None:
    mesh.enqueue(definition={"type": "GITLAB_CICD", "projectId": 42, "pipelineTriggerToken": "glptt-1"})
    where = "/gitlab/api/v4/projects/42/trigger/pipeline"
    fields = {
        "token": "glptt-1",
        "ref": "main",
        "variables[MESHSTACK_BEHAVIOR]": "APPLY",
        "inputs[region]": "wésteurope",
    }
    form: Any = {name: (None, value) for name, value in fields.items()}
    made = http.post(where, files=form)
    assert (made.status_code, made.json()["status"]) == (201, "created")
    recorded = mesh.pipelines[0]
    assert recorded["variables"] == {"MESHSTACK_BEHAVIOR": "APPLY"}
    assert recorded["inputs"] == {"region": "wésteurope"}
    assert mesh.complaints == []
    assert http.post(where, files={**form, "token": (None, "guess")}).status_code == 404
    assert http.post(where, files={"token": (None, "glptt-1")}).status_code == 400
    assert http.post(where, data=fields).status_code == 415
    assert http.get("/gitlab/api/v4/version").status_code == 404
    assert len(mesh.complaints) == 4
    assert "glptt-1" not in str(mesh.pipelines)


def test_azure_devops_runs_a_pipeline(mesh: MeshStack, http: httpx.Client) -> None:
    mesh.enqueue(definition={"type": "AZURE_DEVOPS", "organization": "example", "personalAccessToken": "pat-1"})
    mesh.next_pipeline("failure")
    sent = {
        "templateParameters": {"MESHSTACK_BEHAVIOR": "APPLY"},
        "resources": {"repositories": {"self": {"refName": "refs/heads/main"}}},
    }
    pat = ("", "pat-1")
    made = http.post(f"{ADO}/pipelines/7/runs", params=VERSION, json=sent, auth=pat).json()
    assert made["state"] == "inProgress"
    assert mesh.pipelines[0]["templateParameters"] == sent["templateParameters"]
    assert mesh.pipelines[0]["resources"] == sent["resources"]
    run, timeline = f"{ADO}/pipelines/7/runs/{made['id']}", f"{ADO}/build/builds/{made['id']}/timeline"
    told = []
    for _ in range(3):
        got = http.get(run, params=VERSION, auth=pat).json()
        records = http.get(timeline, params=VERSION, auth=pat).json()["records"]
        stages = [(one["state"], one["result"]) for one in records if one["type"] == "Stage"]
        told.append((got["state"], got.get("result"), stages))
    assert told == [
        ("inProgress", None, [("pending", None), ("pending", None)]),
        ("inProgress", None, [("inProgress", None), ("pending", None)]),
        ("completed", "failed", [("completed", "failed"), ("completed", "skipped")]),
    ]
    assert mesh.complaints == []


def test_azure_devops_refuses_what_is_wrong(mesh: MeshStack, http: httpx.Client) -> None:
    mesh.enqueue(definition={"type": "AZURE_DEVOPS", "organization": "example", "personalAccessToken": "pat-1"})
    runs, pat = f"{ADO}/pipelines/7/runs", ("", "pat-1")
    assert http.post(runs, params=VERSION, json={}, auth=("", "guess")).status_code == 401
    assert http.post(runs.replace("example", "other"), params=VERSION, json={}, auth=pat).status_code == 401
    assert http.post(runs, json={}, auth=pat).status_code == 400
    assert http.post(runs, params=VERSION, content=b"{}", auth=pat).status_code == 415
    assert http.get(f"{runs}/1", params=VERSION, auth=pat).status_code == 404
    assert http.get(f"{ADO}/nothing", params=VERSION, auth=pat).status_code == 404
    assert len(mesh.complaints) == 6


def test_a_fault_strikes_a_pipelines_service_too(mesh: MeshStack, http: httpx.Client) -> None:
    mesh.fault(kind="status", path="^/gitlab", status=502, times=1)
    assert http.get("/gitlab/api/v4/version").status_code == 502
    assert mesh.complaints == []
