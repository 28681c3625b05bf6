"""One agent for every kind of building block, against meshStack's pipelines on loopback."""

from __future__ import annotations

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.agent.mesh import Mesh
from tests.agent.test_terraform import statuses, steps
from tests.estate import eventually

PEM = (
    rsa.generate_private_key(public_exponent=65537, key_size=2048)
    .private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    .decode()
)
INPUTS = [{"key": "region", "value": "westeurope"}]


def github(mesh: Mesh, *, is_async: bool = False) -> dict[str, Any]:
    return {
        "type": "GITHUB_WORKFLOW",
        "githubBaseUrl": f"{mesh.stack.url}/github",
        "owner": "example",
        "appId": "4711",
        "appPem": PEM,
        "repository": "blocks",
        "branch": "main",
        "applyWorkflow": "apply.yml",
        "destroyWorkflow": "destroy.yml",
        "async": is_async,
        "omitRunObjectInput": False,
    }


def azure_devops(mesh: Mesh) -> dict[str, Any]:
    return {
        "type": "AZURE_DEVOPS",
        "azureDevOpsBaseUrl": f"{mesh.stack.url}/azure-devops",
        "organization": "example",
        "project": "blocks",
        "pipelineId": "7",
        "personalAccessToken": "a-personal-access-token",
        "async": False,
    }


def gitlab(mesh: Mesh) -> dict[str, Any]:
    return {
        "type": "GITLAB_CICD",
        "gitlabBaseUrl": f"{mesh.stack.url}/gitlab",
        "projectId": "42",
        "refName": "main",
        "pipelineTriggerToken": "a-pipeline-trigger-token",
    }


def test_one_agent_serves_every_kind(mesh: Mesh) -> None:
    definitions = [{"type": "MANUAL"}, mesh.terraform(), github(mesh), azure_devops(mesh)]
    ids = [mesh.stack.enqueue(definition=definition, inputs=INPUTS) for definition in definitions]
    with mesh.agent():
        found = [mesh.stack.wait(uuid) for uuid in ids]
    assert [run["status"] for run in found] == ["SUCCEEDED"] * 4, [run["steps"] for run in found]
    manual, _, workflow, pipeline = found
    assert manual["outputs"]["region"]["value"] == "westeurope"
    assert statuses(workflow)["gh-trigger"] == "SUCCEEDED"
    assert any(step.startswith("gh-workflow-job-") for step in statuses(workflow))
    assert statuses(pipeline)["azure-devops-trigger"] == "SUCCEEDED"
    assert any(step.startswith("ado-stage-") for step in statuses(pipeline))


def test_a_pipeline_that_fails_fails_the_run(mesh: Mesh) -> None:
    mesh.stack.next_pipeline("failure")
    run = mesh.done(definition=github(mesh), inputs=INPUTS)
    assert run["status"] == "FAILED"
    assert "FAILED" in statuses(run).values()


def test_a_run_that_is_handed_over_stays_in_progress_and_its_trigger_is_done(mesh: Mesh) -> None:
    ids = [mesh.stack.enqueue(definition=d, inputs=INPUTS) for d in (gitlab(mesh), github(mesh, is_async=True))]
    with mesh.agent():
        found = [mesh.stack.wait(uuid, until=lambda run: "SUCCEEDED" in statuses(run).values()) for uuid in ids]
    assert [run["status"] for run in found] == ["IN_PROGRESS"] * 2
    with mesh.opened() as agent:
        assert agent.kit.claims.all() == ()


def test_no_secret_of_a_definition_reaches_a_pipeline(mesh: Mesh) -> None:
    for definition in (gitlab(mesh), github(mesh, is_async=True), azure_devops(mesh)):
        uuid = mesh.stack.enqueue(definition=definition, inputs=INPUTS)
        with mesh.agent():
            mesh.stack.wait(uuid, until=lambda run: "SUCCEEDED" in statuses(run).values())
    sent = json.dumps(mesh.stack.pipelines)
    assert PEM.splitlines()[1] not in sent
    assert "a-personal-access-token" not in sent


def test_an_abort_is_honoured_while_a_pipeline_is_followed(mesh: Mesh) -> None:
    mesh.stack.next_pipeline(polls=10_000)
    uuid = mesh.stack.enqueue(definition=azure_devops(mesh), inputs=INPUTS)
    with mesh.agent():
        mesh.stack.wait(
            uuid, until=lambda run: statuses(run).get("azure-devops-trigger") in ("SUCCEEDED", "IN_PROGRESS")
        )
        mesh.stack.abort(uuid, softly=True)
        other = mesh.stack.wait(mesh.stack.enqueue(definition={"type": "MANUAL"}))
    assert other["status"] == "SUCCEEDED"
    assert mesh.stack.run(uuid)["status"] == "ABORTED"


def test_a_pipeline_that_cannot_be_reached_fails_with_who_must_act(mesh: Mesh) -> None:
    run = mesh.done(definition={**azure_devops(mesh), "azureDevOpsBaseUrl": "http://127.0.0.1:9"}, inputs=INPUTS)
    assert run["status"] == "FAILED"
    assert "127.0.0.1" in steps(run)["azure-devops-trigger"]["systemMessage"]


def test_an_abort_cancels_the_pipeline_itself(mesh: Mesh) -> None:
    for definition in (github(mesh), azure_devops(mesh)):
        mesh.stack.next_pipeline(polls=10_000)
        uuid = mesh.stack.enqueue(definition=definition, inputs=INPUTS)
        with mesh.agent():
            mesh.stack.wait(uuid, until=lambda run: len(statuses(run)) > 1)
            mesh.stack.abort(uuid, softly=True)
            eventually(lambda: mesh.stack.pipelines[-1]["state"] == "completed")
    assert [one["conclusion"] for one in mesh.stack.pipelines] == ["cancelled"] * 2
