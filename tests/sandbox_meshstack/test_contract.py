"""What a runner that does everything right is given and told."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import httpx
import yaml
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from runner.agent.contract import MEDIA_TYPE, read
from runner.sandbox.meshstack.documents import SECRETS
from runner.sandbox.meshstack.server import MeshStack
from runner.sandbox.meshstack.wire import RUN_TYPE
from tests.sandbox_meshstack.speaking import MANUAL, Json, Speaker, headers

TERRAFORM = {"type": "TERRAFORM", "repositoryUrl": "git@github.com:example/blocks.git", "sshPrivateKey": "a\nkey\n"}


def opened(value: str, directory: Path) -> str:
    """The format of section 5, taken apart by hand."""
    key = load_pem_private_key((directory / "runner-private.pem").read_bytes(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    size, content = key.key_size // 8, base64.b64decode(value, validate=True)
    secret = key.decrypt(content[:size], padding.OAEP(padding.MGF1(SHA1()), SHA1(), None))
    assert len(secret) == 16
    length = int.from_bytes(content[size : size + 4], "big", signed=True)
    iv, sealed = content[size + 4 : size + 4 + length], content[size + 4 + length :]
    return AESGCM(secret).decrypt(iv, sealed, None).decode()


def test_a_run_is_claimed_registered_reported_and_over(speaker: Speaker) -> None:
    run = speaker.claimed()
    assert run.document["status"] == "IN_PROGRESS"
    steps = [{"id": "init", "displayName": "Init", "status": "PENDING"}, {"id": "apply", "displayName": "Apply"}]
    assert run.register(steps=steps).status_code == 200
    told = run.report(status="IN_PROGRESS", steps=[{"id": "init", "status": "SUCCEEDED"}])
    assert told.json() == {"runAborted": False}
    run.report(status="SUCCEEDED", steps=[{"id": "apply", "status": "SUCCEEDED", "userMessage": "Done"}])
    seen = speaker.mesh.wait(run.uuid)
    assert seen["status"] == "SUCCEEDED"
    assert seen["source"] == {"id": "me"}
    assert [(step["id"], step["displayName"], step["status"]) for step in seen["steps"]] == [
        ("init", "Init", "SUCCEEDED"),
        ("apply", "Apply", "SUCCEEDED"),
    ]
    assert [patch["body"]["status"] for patch in seen["patches"]] == ["IN_PROGRESS", "SUCCEEDED"]
    assert seen["enqueuedOn"] <= seen["claimedOn"] <= seen["registeredOn"] <= seen["finalOn"]
    assert speaker.mesh.complaints == []
    assert [(method, status, who) for method, _, status, who in speaker.mesh.log] == [
        ("POST", 200, "none"),
        ("POST", 201, "key"),
        ("POST", 200, "run"),
        ("PATCH", 200, "run"),
        ("PATCH", 200, "run"),
    ]


def test_runs_are_handed_out_in_the_order_they_were_asked_for_and_only_once(speaker: Speaker) -> None:
    wanted = [speaker.mesh.enqueue(definition=MANUAL) for _ in range(3)]
    assert [speaker.claim().json()["metadata"]["uuid"] for _ in wanted] == wanted
    assert speaker.claim().status_code == 404
    assert speaker.mesh.complaints == []


def test_the_agent_can_read_the_run(speaker: Speaker) -> None:
    answer = speaker.claimed(definition=TERRAFORM, definition_uuid="definition-1", display_name="network")
    run = read(json.dumps(answer.document).encode())
    assert run.implementation.type == "TERRAFORM"
    assert run.block.spec.workspace_identifier == "payments"
    assert run.spec.building_block_definition.uuid == "definition-1"
    assert run.spec.trigger.author.username == "jdoe"
    assert run.link("updateSource", sourceId="me").endswith(f"{run.id}/status/source/me")
    assert run.link("meshstackBaseUrl") == speaker.mesh.url
    assert (run.link("planArtifact"), run.link("tfStateLock")) == ("", "")
    assert RUN_TYPE == MEDIA_TYPE


def test_the_agent_and_the_sandbox_mean_the_same_secrets() -> None:
    from runner.agent.contract import SECRETS as READ

    assert {kind: name.lower() for kind, name in SECRETS.items()} == {
        kind: fields[0].replace("_", "") for kind, fields in READ.items()
    }


def test_secrets_are_sealed_for_the_runner_whatever_their_type(speaker: Speaker, directory: Path) -> None:
    inputs = [
        {"key": "word", "value": "s3cr3t-ümläut", "isSensitive": True},
        {"key": "count", "value": 3, "type": "INTEGER", "isSensitive": True},
        {"key": "several", "value": ["a", "b"], "type": "MULTI_SELECT", "isSensitive": True, "isEnvironment": True},
        {"key": "nothing", "value": "", "isSensitive": True},
        {"key": "clear", "value": {"a": 1}, "type": "CODE"},
    ]
    run = speaker.claimed(definition=TERRAFORM, inputs=inputs)
    got = {one["key"]: one for one in run.document["spec"]["buildingBlock"]["spec"]["inputs"]}
    assert opened(got["word"]["value"], directory) == "s3cr3t-ümläut"
    assert opened(got["count"]["value"], directory) == "3"
    assert json.loads(opened(got["several"]["value"], directory)) == ["a", "b"]
    assert got["several"]["isEnvironment"] is True
    assert got["nothing"]["value"] == ""
    assert got["clear"]["value"] == {"a": 1}
    implementation = run.document["spec"]["buildingBlockDefinition"]["spec"]["implementation"]
    assert opened(implementation["sshPrivateKey"], directory) == "a\nkey\n"


def test_a_block_of_a_workspace_has_no_project_and_no_platform(speaker: Speaker) -> None:
    spec = speaker.claimed(project=None, platform=None).document["spec"]["buildingBlock"]["spec"]
    assert spec["targetRef"]["kind"] == "meshWorkspace"
    assert not {"projectIdentifier", "fullPlatformIdentifier"} & set(spec)


def test_runs_of_a_block_are_numbered(speaker: Speaker) -> None:
    runs = [speaker.claimed(block="block-1"), speaker.claimed(block="block-1"), speaker.claimed(block="block-2")]
    assert [run.document["spec"]["runNumber"] for run in runs] == [1, 2, 1]


def test_messages_are_overwritten_and_outputs_of_all_steps_are_one(speaker: Speaker) -> None:
    run = speaker.working()
    region = {"value": "westeurope", "type": "STRING", "isSensitive": False}
    count = {"value": 3, "type": "INTEGER"}
    run.report(status="IN_PROGRESS", steps=[{"id": "a", "systemMessage": "one", "outputs": {"region": region}}])
    run.report(status="IN_PROGRESS", steps=[{"id": "b", "outputs": {"count": count}}])
    run.report(steps=[{"id": "a", "systemMessage": "one, two"}], summary="said", unknownProperty=1)
    seen = run.seen
    assert [step["id"] for step in seen["steps"]] == ["a", "b"]
    assert seen["steps"][0]["systemMessage"] == "one, two"
    assert seen["outputs"] == {"region": region, "count": {**count, "isSensitive": False}}
    assert seen["summary"] == "said"


def test_the_plan_of_a_dry_run_is_handed_to_the_apply_that_follows(speaker: Speaker) -> None:
    plan = b"\x00plan\xff" * 1000
    dry = speaker.working(behavior="DETECT")
    dry.report(status="SUCCEEDED", artifact=base64.b64encode(plan).decode(), changesDetected=True)
    assert (dry.seen["artifactSize"], dry.seen["changesDetected"]) == (len(plan), True)
    assert speaker.mesh.artifact(dry.uuid) == plan
    run = speaker.claimed(behavior="APPLY", predecessor=dry.uuid)
    got = speaker.http.get(
        run.link("planArtifact"), headers={"Authorization": run.token, "Accept": "application/octet-stream"}
    )
    assert (got.status_code, got.content) == (200, plan)
    assert got.headers["Content-Type"] == "application/octet-stream"
    assert speaker.mesh.complaints == []


def test_a_second_source_may_report_for_the_run(speaker: Speaker) -> None:
    run = speaker.working()
    run.report(status="IN_PROGRESS", steps=[{"id": "trigger", "status": "SUCCEEDED"}])
    assert run.register("github", steps=[{"id": "job"}]).status_code == 200
    assert run.report("github", status="SUCCEEDED", steps=[{"id": "job", "status": "SUCCEEDED"}]).status_code == 200
    assert [source["id"] for source in run.seen["sources"]] == ["me", "github"]
    assert speaker.mesh.complaints == []


def test_the_runners_own_credential_may_register_and_report(speaker: Speaker) -> None:
    run, own = speaker.claimed(), speaker.own()
    assert run.register(credential=own).status_code == 200
    assert run.report(credential=own, status="FAILED").status_code == 200
    assert speaker.mesh.complaints == []


def test_the_runners_user_is_as_good_as_its_key(speaker: Speaker) -> None:
    pair = base64.b64encode(f"{speaker.mesh.username}:{speaker.mesh.password}".encode()).decode()
    speaker.mesh.enqueue(definition=MANUAL)
    assert speaker.claim(f"Basic {pair}").status_code == 201
    assert speaker.mesh.log[-1][3] == "basic"


def test_anybody_allowed_can_look_at_a_run(speaker: Speaker) -> None:
    run = speaker.claimed()
    got = speaker.http.get(run.link("self"), headers=headers(run.token))
    assert got.json()["status"] == "IN_PROGRESS"
    assert got.headers["Content-Type"] == RUN_TYPE


def test_it_says_who_claimed_and_which_version_it_is(speaker: Speaker) -> None:
    uuid = speaker.mesh.enqueue(definition=MANUAL)
    speaker.claim(**{"X-Block-Runner-Node-Id": "node-1"})
    assert speaker.mesh.run(uuid)["claimedBy"] == "node-1"
    assert "version" in speaker.http.get("/mesh/info").json()


def test_an_apply_without_an_output_of_its_definition_has_failed(speaker: Speaker) -> None:
    run = speaker.working(expected_outputs=["url"])
    run.report(status="SUCCEEDED", steps=[{"id": "a", "status": "IN_PROGRESS"}])
    assert run.seen["status"] == "FAILED"
    assert run.seen["warnings"] == ["outputs are missing: url"]


def test_a_success_with_unfinished_steps_is_warned_of(speaker: Speaker) -> None:
    run = speaker.working()
    run.report(status="SUCCEEDED", steps=[{"id": "a", "status": "IN_PROGRESS"}])
    assert run.seen["warnings"] == ["steps are not finished: a"]


def test_what_is_needed_to_work_for_it_is_in_files(mesh: MeshStack, directory: Path) -> None:
    config = yaml.safe_load((directory / "runner-config.yml").read_text(encoding="utf-8"))
    assert config == {
        "runnerUuid": mesh.runner_uuid,
        "api": {"url": mesh.url, "clientId": mesh.client_id, "clientSecret": mesh.client_secret},
        "privateKeyFile": str(directory / "runner-private.pem"),
    }
    handle = json.loads((directory / "meshstack.json").read_text(encoding="utf-8"))
    assert handle == mesh.handle()
    assert mesh.client_secret not in str(handle)
    for name in ("runner-private.pem", "git-client-key", "git-host-key", "runner-config.yml"):
        assert (directory / name).stat().st_mode & 0o077 == 0


def test_what_can_be_done_inside_can_be_done_from_outside(http: httpx.Client, speaker: Speaker) -> None:
    order = {"behavior": "DETECT", "definition": MANUAL, "displayName": "net", "block": None, "locking": False}
    uuid = http.post("/sandbox/runs", json=order).json()["uuid"]
    assert [run["uuid"] for run in http.get("/sandbox/runs").json()] == [uuid]
    assert speaker.claim().json()["metadata"]["uuid"] == uuid
    assert http.get(f"/sandbox/runs/{uuid}").json() == speaker.mesh.run(uuid)
    assert http.post(f"/sandbox/runs/{uuid}/abort").json()["status"] == "ABORTED"
    assert http.get("/sandbox/complaints").json() == []
    assert http.get("/sandbox/log").json()[0]["path"] == "/api/login"


def test_a_wrong_order_is_refused_and_is_no_complaint(http: httpx.Client, mesh: MeshStack) -> None:
    wrong: list[Json] = [{}, {"definition": {}}, {"definition": MANUAL, "a": 1}, {"definition": MANUAL, "inputs": [1]}]
    for order in wrong:
        assert http.post("/sandbox/runs", json=order).status_code == 400
    assert http.post("/sandbox/runs", json={"definition": MANUAL, "predecessor": "nobody"}).status_code == 404
    assert http.get("/sandbox/runs/nobody").status_code == 404
    assert http.get("/sandbox/nothing").status_code == 404
    assert mesh.complaints == []
