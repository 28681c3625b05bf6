"""Runs of Terraform building blocks, as meshStack sees them."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from typing import Any

import pytest

from runner.agent.backends import own_backend
from tests.agent.mesh import BLOCK, Mesh

SIX = ["sources", "input", "init_tf", "pre_run_script", "execute_tf", "output"]


def steps(run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {step["id"]: step for step in run["steps"]}


def statuses(run: dict[str, Any]) -> dict[str, str]:
    return {step["id"]: step["status"] for step in run["steps"]}


def test_an_apply_is_told_step_by_step_and_ends_with_outputs(mesh: Mesh) -> None:
    run = mesh.done(definition=mesh.terraform(), inputs=[{"key": "region", "value": "northeurope"}])
    assert run["status"] == "SUCCEEDED"
    assert statuses(run) == dict.fromkeys(SIX, "SUCCEEDED")
    assert [step["displayName"] for step in run["steps"]] == [
        "Prepare Run and download Sources",
        "Initialize Inputs",
        "Initialize Terraform and select Workspace",
        "Execute Pre-Run Script",
        "Run Terraform Apply",
        "Collect Outputs and clean up",
    ]
    assert run["outputs"] == {"region": {"value": "northeurope", "type": "STRING", "isSensitive": False}}
    assert steps(run)["execute_tf"]["userMessage"] == "1 added, 0 changed, 0 destroyed.\n+ Create terraform_data.this"
    assert "terraform_data.this: Creation complete" in steps(run)["execute_tf"]["systemMessage"]
    assert "Warning" not in steps(run)["execute_tf"]["systemMessage"]
    assert run["summary"] == "**1 added, 0 changed, 0 destroyed.**\n\n- `+ Create terraform_data.this`"


def test_meshstack_keeps_the_state_of_a_block_without_a_backend(mesh: Mesh) -> None:
    run = mesh.done(definition=mesh.terraform())
    kept = mesh.stack.state("payments", run["block"])
    assert [resource["type"] for resource in kept["state"]["resources"]] == ["terraform_data"]
    assert not any("/lock" in path for _, path, _, _ in mesh.stack.log)


def test_a_state_with_locking_is_locked_meanwhile_and_free_after(mesh: Mesh) -> None:
    run = mesh.done(definition=mesh.terraform(), locking=True)
    assert run["status"] == "SUCCEEDED"
    calls = [(method, status) for method, path, status, _ in mesh.stack.log if path.endswith("/lock")]
    assert calls == [("POST", 200), ("DELETE", 200)] * 2  # plan and apply
    assert mesh.stack.state("payments", run["block"])["lock"] is None


def test_a_state_that_meshstack_does_not_take_is_kept_sealed_where_the_agent_is(mesh: Mesh) -> None:
    mesh.stack.fault(kind="status", path="/api/terraform/state", method="POST", status=403)
    run = mesh.done(definition=mesh.terraform(), inputs=[{"key": "region", "value": "only-in-the-state"}])
    assert run["status"] == "FAILED"
    assert f"lzr state show {run['block']} --raw" in steps(run)["execute_tf"]["systemMessage"]
    with mesh.opened() as agent:
        found = agent.kit.tools.rescue.states.current(run["block"])
    assert found is not None
    assert b"only-in-the-state" in found[1]
    kept = b"".join(path.read_bytes() for path in (mesh.directory / "store").rglob("*") if path.is_file())
    assert b'"lineage"' not in kept


def test_a_second_apply_changes_what_is_there_and_tells_when_nothing_is_to_do(mesh: Mesh) -> None:
    first = mesh.done(definition=mesh.terraform(), inputs=[{"key": "region", "value": "one"}])
    again = {"definition": mesh.terraform(), "block": first["block"]}
    second = mesh.done(**again, inputs=[{"key": "region", "value": "two"}])
    assert steps(second)["execute_tf"]["userMessage"].startswith("0 added, 1 changed, 0 destroyed.")
    assert second["outputs"]["region"]["value"] == "two"
    third = mesh.done(**again, inputs=[{"key": "region", "value": "two"}])
    assert steps(third)["execute_tf"]["userMessage"] == "Nothing had to be changed."
    assert third["outputs"]["region"]["value"] == "two"


def test_a_dry_run_leaves_its_plan_and_says_whether_anything_changes(mesh: Mesh) -> None:
    run = mesh.done(behavior="DETECT", definition=mesh.terraform())
    assert run["status"] == "SUCCEEDED"
    assert run["changesDetected"] is True
    assert statuses(run) == dict.fromkeys(SIX[:-1], "SUCCEEDED")
    assert steps(run)["execute_tf"]["displayName"] == "Run Terraform Plan"
    assert steps(run)["execute_tf"]["userMessage"].startswith("1 to add, 0 to change, 0 to destroy.")
    artifact = mesh.stack.artifact(run["uuid"])
    assert artifact is not None
    assert "tfplan" in zipfile.ZipFile(io.BytesIO(artifact)).namelist()
    assert mesh.stack.state("payments", run["block"])["state"] is None


def test_a_dry_run_without_changes_says_so(mesh: Mesh) -> None:
    first = mesh.done(definition=mesh.terraform())
    run = mesh.done(behavior="DETECT", definition=mesh.terraform(), block=first["block"])
    assert run["changesDetected"] is False
    assert steps(run)["execute_tf"]["userMessage"] == "Nothing changes."


def test_an_approved_plan_is_applied_as_it_was_made_whatever_the_inputs_are_now(mesh: Mesh) -> None:
    inputs = [{"key": "region", "value": "planned"}]
    plan = mesh.done(behavior="DETECT", definition=mesh.terraform(), inputs=inputs)
    run = mesh.done(
        definition=mesh.terraform(),
        inputs=inputs,
        block=plan["block"],
        predecessor=plan["uuid"],
    )
    assert run["status"] == "SUCCEEDED"
    assert run["outputs"]["region"]["value"] == "planned"
    assert steps(run)["execute_tf"]["userMessage"].startswith("1 added")


def test_an_approved_plan_that_is_out_of_date_fails_and_nothing_else_is_planned(mesh: Mesh) -> None:
    plan = mesh.done(behavior="DETECT", definition=mesh.terraform())
    mesh.done(definition=mesh.terraform(), block=plan["block"], inputs=[{"key": "region", "value": "meanwhile"}])
    writes = mesh.stack.state("payments", plan["block"])["writes"]
    run = mesh.done(definition=mesh.terraform(), block=plan["block"], predecessor=plan["uuid"])
    assert run["status"] == "FAILED"
    assert "stale" in steps(run)["execute_tf"]["systemMessage"]
    assert mesh.stack.state("payments", plan["block"])["writes"] == writes


def test_a_plan_that_cannot_be_fetched_fails_the_run(mesh: Mesh) -> None:
    plan = mesh.done(behavior="DETECT", definition=mesh.terraform())
    mesh.stack.fault(kind="status", path="plan", method="GET", status=503)
    run = mesh.done(definition=mesh.terraform(), block=plan["block"], predecessor=plan["uuid"])
    assert run["status"] == "FAILED"
    assert statuses(run)["init_tf"] == "FAILED"
    assert mesh.stack.state("payments", plan["block"])["state"] is None


def test_destroy_takes_everything_away(mesh: Mesh) -> None:
    first = mesh.done(definition=mesh.terraform())
    run = mesh.done(behavior="DESTROY", definition=mesh.terraform(), block=first["block"])
    assert run["status"] == "SUCCEEDED"
    assert steps(run)["execute_tf"]["displayName"] == "Run Terraform Destroy"
    assert steps(run)["execute_tf"]["userMessage"].startswith("0 added, 0 changed, 1 destroyed.")
    assert mesh.stack.state("payments", run["block"])["state"]["resources"] == []
    assert run["outputs"] == {}


def test_an_own_backend_wins_and_the_blocks_workspace_in_it_goes_with_the_block(mesh: Mesh) -> None:
    states = mesh.directory / "states"
    code = f'terraform {{\n  backend "local" {{\n    workspace_dir = "{states}"\n  }}\n}}\n{BLOCK}'
    run = mesh.done(definition=mesh.terraform({"main.tf": code}))
    assert run["status"] == "SUCCEEDED"
    assert mesh.stack.state("payments", run["block"])["state"] is None
    workspace = f"payments.checkout-dev.azure.meshcloud-azure:{run['block']}"
    assert [path.name for path in states.iterdir()] == [workspace]
    states.joinpath(workspace).rename(states / f"moved.to.another:{run['block']}")  # renamed in meshStack since
    again = mesh.done(definition=mesh.terraform(), block=run["block"])
    assert steps(again)["execute_tf"]["userMessage"] == "Nothing had to be changed."
    gone = mesh.done(behavior="DESTROY", definition=mesh.terraform(), block=run["block"])
    assert gone["status"] == "SUCCEEDED"
    assert list(states.iterdir()) == []


def test_a_block_whose_state_nobody_keeps_is_told_so(mesh: Mesh) -> None:
    run = mesh.done(definition=mesh.terraform(useMeshHttpBackendFallback=False))
    assert run["status"] == "SUCCEEDED"
    assert "Nobody keeps the state" in steps(run)["execute_tf"]["userMessage"]


def test_an_asynchronous_block_has_one_step_and_its_run_goes_on(mesh: Mesh) -> None:
    uuid = mesh.stack.enqueue(definition=mesh.terraform(is_async=True))
    with mesh.agent():
        run = mesh.stack.wait(uuid, until=lambda run: statuses(run) == {"trigger": "SUCCEEDED"})
    assert run["status"] == "IN_PROGRESS"
    assert mesh.stack.state("payments", run["block"])["state"]["resources"]


def test_an_asynchronous_block_is_applied_before_it_is_destroyed(mesh: Mesh) -> None:
    definition = mesh.terraform(is_async=True)
    uuid = mesh.stack.enqueue(behavior="DESTROY", definition=definition)
    with mesh.agent():
        run = mesh.stack.wait(uuid, until=lambda run: statuses(run) == {"trigger": "SUCCEEDED"})
    text = steps(run)["trigger"]["systemMessage"]
    assert text.index("1 added") < text.index("1 destroyed")


OUTPUTS = """
output "number" { value = 7 }
output "yes" { value = true }
output "text" { value = "a" }
output "list" { value = ["a", 1] }
output "nothing" { value = null }
output "secret" {
  value     = "hidden-from-logs"
  sensitive = true
}
"""


def test_outputs_have_meshstacks_types(mesh: Mesh) -> None:
    run = mesh.done(definition=mesh.terraform({"main.tf": OUTPUTS}))
    assert {name: (out["type"], out["value"]) for name, out in run["outputs"].items()} == {
        "number": ("INTEGER", 7),
        "yes": ("BOOLEAN", True),
        "text": ("STRING", "a"),
        "list": ("CODE", '[\n  "a",\n  1\n]'),
        "secret": ("STRING", "hidden-from-logs"),
    }
    assert {name for name, out in run["outputs"].items() if out["isSensitive"]} == {"secret"}
    assert "hidden-from-logs" not in json.dumps([step.get("systemMessage") for step in run["steps"]])


TYPES = """
variable "text" { type = string }
variable "as_text" { type = string }
variable "number" { type = number }
variable "yes" { type = bool }
variable "code" { type = object({ a = list(number) }) }
variable "expression" { type = map(string) }
variable "list" { type = list(string) }
variable "choice" { type = string }
variable "choices" { type = list(string) }
variable "from_environment" { type = string }
variable "hidden" { type = number }
variable "hidden_code" {
  type      = any
  sensitive = true
}

output "seen" {
  value = jsonencode({
    text = var.text, as_text = var.as_text, number = var.number, yes = var.yes, code = var.code, expression = var.expression,
    list = var.list, choice = var.choice, choices = var.choices, env = var.from_environment, hidden = var.hidden,
    file = file("${path.module}/note.txt"), hidden_code = nonsensitive(var.hidden_code)
  })
}
"""


def test_inputs_of_every_type_arrive_as_what_they_are(mesh: Mesh) -> None:
    note = "data:text/plain;base64," + base64.b64encode("ümläut\n".encode()).decode()
    run = mesh.done(
        definition=mesh.terraform({"main.tf": TYPES}),
        inputs=[
            {"key": "text", "value": 'quotes " and ${none}'},
            {"key": "as_text", "value": '{"a": 1}', "type": "CODE"},
            {"key": "number", "value": 3, "type": "INTEGER"},
            {"key": "yes", "value": True, "type": "BOOLEAN"},
            {"key": "code", "value": '{"a": [1, 2]}', "type": "CODE"},
            {"key": "expression", "value": '{ a = "b" }', "type": "CODE"},
            {"key": "list", "value": '["x", "y"]', "type": "LIST"},
            {"key": "choice", "value": "one", "type": "SINGLE_SELECT"},
            {"key": "choices", "value": ["one", "two"], "type": "MULTI_SELECT"},
            {"key": "note.txt", "value": note, "type": "FILE", "isSensitive": True},
            {"key": "TF_VAR_from_environment", "value": "e", "isEnvironment": True},
            {"key": "hidden", "value": 41, "type": "INTEGER", "isSensitive": True},
            {"key": "hidden_code", "value": '["in", "code"]', "type": "CODE", "isSensitive": True},
        ],
    )
    assert run["status"] == "SUCCEEDED", steps(run)
    assert json.loads(run["outputs"]["seen"]["value"]) == {
        "text": 'quotes " and ${none}',
        "as_text": '{"a": 1}',
        "number": 3,
        "yes": True,
        "code": {"a": [1, 2]},
        "expression": {"a": "b"},
        "list": ["x", "y"],
        "choice": "one",
        "choices": ["one", "two"],
        "env": "e",
        "hidden": 41,
        "file": "ümläut\n",
        "hidden_code": ["in", "code"],
    }


SEES = """
variable "meshstack_building_block_id" { default = "" }
variable "meshstack_building_block_run_id" { default = "" }
variable "meshstack_building_block_run_b64" { default = "" }
output "block" { value = var.meshstack_building_block_id }
output "run" { value = var.meshstack_building_block_run_id }
output "document" { value = var.meshstack_building_block_run_b64 }
"""


def test_a_block_knows_its_own_id_its_run_and_the_run_without_the_definitions_secrets(mesh: Mesh) -> None:
    definition = mesh.terraform({"main.tf": SEES}, sshPrivateKey="-----not a key but a secret-----")
    secret = {"key": "password", "value": "in-clear-here", "isSensitive": True, "isEnvironment": True}
    run = mesh.done(definition=definition, inputs=[secret])
    assert (run["outputs"]["block"]["value"], run["outputs"]["run"]["value"]) == (run["block"], run["uuid"])
    document = json.loads(base64.b64decode(run["outputs"]["document"]["value"]))
    assert document["metadata"]["uuid"] == run["uuid"]
    assert document["spec"]["buildingBlock"]["spec"]["inputs"][0]["value"] == "in-clear-here"
    assert "sshPrivateKey" not in document["spec"]["buildingBlockDefinition"]["spec"]["implementation"]


def test_a_plan_that_may_be_applied_later_does_not_depend_on_its_run(mesh: Mesh) -> None:
    definition = mesh.terraform({"main.tf": SEES})
    plan = mesh.done(behavior="DETECT", definition=definition)
    run = mesh.done(definition=definition, block=plan["block"], predecessor=plan["uuid"])
    assert (run["outputs"]["run"]["value"], run["outputs"]["document"]["value"]) == ("", "")
    assert run["outputs"]["block"]["value"] == run["block"]


SCRIPT = """
echo "behavior $1"
python3 -c 'import json, sys; print("run", json.load(sys.stdin)["metadata"]["uuid"])'
printf 'ready for you' > "$MESHSTACK_USER_MESSAGE"
echo "$TOKEN"
printf 'no end of line'
false | true
"""


def test_the_pre_run_script_gets_behavior_and_run_and_tells_the_user(mesh: Mesh) -> None:
    definition = mesh.terraform(preRunScript=SCRIPT.replace("false | true\n", ""))
    token = {"key": "TOKEN", "value": "very-secret-value", "isSensitive": True, "isEnvironment": True}
    run = mesh.done(definition=definition, inputs=[token])
    step = steps(run)["pre_run_script"]
    assert run["status"] == "SUCCEEDED"
    assert step["userMessage"] == "ready for you"
    assert step["systemMessage"].split("\n") == ["behavior APPLY", f"run {run['uuid']}", "(hidden)", "no end of line"]


def test_a_pre_run_script_that_fails_fails_the_run_before_anything_is_planned(mesh: Mesh) -> None:
    run = mesh.done(definition=mesh.terraform(preRunScript=SCRIPT))
    assert run["status"] == "FAILED"
    assert statuses(run) == {
        **dict.fromkeys(SIX[:3], "SUCCEEDED"),
        **dict.fromkeys(SIX[3:], "FAILED"),
    }
    assert "ready for you" in steps(run)["pre_run_script"]["userMessage"]
    assert steps(run)["output"]["systemMessage"] == "An earlier step failed."
    assert mesh.stack.state("payments", run["block"])["state"] is None


def test_programs_of_a_run_see_only_what_they_may_of_the_agents_environment(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "of-the-agent")
    monkeypatch.setenv("NIX_CONFIG", "passed-on")
    definition = mesh.terraform(preRunScript="env | cut -d= -f1 | sort | tr '\\n' ' '")
    run = mesh.done(definition=definition, inputs=[{"key": "MINE", "value": "x", "isEnvironment": True}])
    names = set(steps(run)["pre_run_script"]["systemMessage"].split())
    assert {"MINE", "NIX_CONFIG", "GIT_SSH_COMMAND", "TF_HTTP_PASSWORD", "TF_HTTP_USERNAME", "PATH"} <= names
    assert not {name for name in names if name.startswith(("AZURE_", "LZR_STORE", "RUNNER_"))}


def test_an_engine_that_is_not_there_fails_the_run_with_those_that_are(mesh: Mesh) -> None:
    mesh.configure(engines={})
    run = mesh.done(definition=mesh.terraform(terraformVersion="1.5.5"))
    assert run["status"] == "FAILED"
    assert statuses(run)["init_tf"] == "FAILED"
    assert "wants terraform 1.5.5. Present: terraform" in steps(run)["init_tf"]["userMessage"]


def test_code_that_terraform_refuses_fails_with_its_own_words(mesh: Mesh) -> None:
    run = mesh.done(definition=mesh.terraform({"main.tf": 'output "x" { value = nothing.of_that_name }'}))
    assert run["status"] == "FAILED"
    assert statuses(run)["execute_tf"] == "FAILED"
    assert "nothing" in steps(run)["execute_tf"]["systemMessage"]
    assert "Terraform plan failed" in steps(run)["execute_tf"]["userMessage"]


@pytest.mark.parametrize(
    ("code", "own"),
    [
        ('terraform {\n  backend "s3" {}\n}', "s3"),
        ('terraform {\n  cloud {\n    organization = "o"\n  }\n}', "cloud"),
        ("# backend\n", ""),
        ('output "backend" {\n  value = "backend \\"s3\\" {}"\n}', ""),
        ('terraform {\n  required_version = ">= 1" # no backend\n}', ""),
        ("this is { no HCL, backend", ""),
    ],
)
def test_a_backend_of_the_code_is_found_by_reading_it(code: str, own: str) -> None:
    assert own_backend({"main.tf": code}) == own


def test_a_backend_in_json_is_found_as_well() -> None:
    assert own_backend({"main.tf.json": '{"terraform": {"backend": {"azurerm": {}}}}'}) == "azurerm"
