"""Landing zones that are ordered in meshStack as building blocks: the whole walk of a tenant, told as steps of the run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.agent import contract
from runner.agent.landing_zone import is_landing_zone, tenant_document
from runner.domain.run import Status
from runner.errors import InputError
from tests.agent.mesh import Mesh, opened_mesh
from tests.agent.test_terraform import statuses, steps
from tests.estate import TENANT, Estate, eventually
from tests.faults.outcome import expect_once, function_calls

EXAMPLE = Path(__file__).parents[2] / "examples" / "meshstack"
ORDER = json.loads((EXAMPLE / "orders" / "landing-zone.json").read_text(encoding="utf-8"))


@pytest.fixture
def mesh(estate: Estate) -> Iterator[Mesh]:
    """A meshStack whose agent works on the estate's Azure, and takes the example's repository for landing zones."""
    with opened_mesh(estate.directory / "meshstack") as opened:
        opened.settings = {**estate.environment, "LZR_CA_FILE": str(opened.stack.ca_file), "LZR_LOG_LEVEL": "error"}
        opened.configure(landingZones=[f"{opened.stack.git_https_url}/landing-zones.git"])
        yield opened
        assert opened.stack.complaints == []


def ordered(
    mesh: Mesh, *, policy: str = "never", process: subprocess.Popen[str] | None = None, **more: Any
) -> dict[str, Any]:
    """The example's order, from this meshStack's git server, carried out by an agent of its own (or by this one) to its end."""
    uuid, started = begun(mesh, policy=policy, process=process, **more)
    if process is not None:
        return mesh.stack.wait(uuid, timeout=120)
    out, err = started.communicate(timeout=120)
    assert started.returncode == 0, (out, err)
    return mesh.stack.run(uuid)


def begun(
    mesh: Mesh, *, policy: str = "never", process: subprocess.Popen[str] | None = None, **more: Any
) -> tuple[str, subprocess.Popen[str]]:
    """An order with an agent for it; its id in meshStack."""
    zone = (EXAMPLE / "landing-zone" / "landing-zone.yaml").read_text(encoding="utf-8")
    mesh.stack.git.repository(
        "landing-zones",
        {
            "landing-zone/platform.yaml": (EXAMPLE / "landing-zone" / "platform.yaml").read_bytes(),
            "landing-zone/landing-zone.yaml": zone.replace("policy: never", f"policy: {policy}"),
        },
    )
    definition = {**ORDER["definition"], "repositoryUrl": f"{mesh.stack.git_https_url}/landing-zones.git"}
    uuid = mesh.stack.enqueue(**{**ORDER, "definition": definition, **more})
    return uuid, process or mesh.start("--once")


def test_an_order_goes_the_whole_way_and_is_told_step_by_step(mesh: Mesh, estate: Estate) -> None:
    run = ordered(mesh)
    assert run["status"] == "SUCCEEDED", run["steps"]
    names = [step["displayName"] for step in run["steps"]]
    assert names[:2] == ["Prepare Run and download Sources", "Write the Tenant's Document"]
    assert {"Plan", "Apply", "Call the function"} <= set(names), names
    assert set(statuses(run).values()) == {"SUCCEEDED"}
    assert run["outputs"]["subscription_id"]["value"] == "4f1c2d30-0000-4000-8000-000000000001"
    assert run["outputs"]["group_ids"]["type"] == "CODE"
    assert "dev2@partner.example is invited" in run["summary"]
    world = estate.world()
    members = {g["displayName"]: len(g["members"]) for t in world["tenants"] for g in t["groups"]}
    assert members[f"{TENANT}-admin"] == 1
    assert members[f"{TENANT}-user"] == 1
    assert function_calls(estate) == 1
    (applied,) = estate.runs(Status.APPLIED)
    assert (applied.tenant, applied.requested_by, applied.reason) == (TENANT, "jdoe", f"meshStack run {run['uuid']}")


def test_a_landing_zone_that_wants_a_person_fails_and_the_plan_waits_for_one(mesh: Mesh, estate: Estate) -> None:
    run = ordered(mesh, policy="always")
    assert run["status"] == "FAILED"
    failed = [step for step in run["steps"] if step["status"] == "FAILED"]
    (waiting,) = estate.runs(Status.WAITING)
    assert "A person has to decide" in failed[0]["userMessage"]
    assert f"lzr approve {waiting.id}" in failed[0]["systemMessage"]
    assert estate.calls("PUT") == []
    estate.lzr("approve", waiting.id)
    assert estate.lzr("apply", waiting.id, "--json").run["status"] == "applied"


def test_a_dry_run_that_is_approved_in_meshstack_is_applied_as_it_was_shown(mesh: Mesh, estate: Estate) -> None:
    plan = ordered(mesh, policy="always", behavior="DETECT")
    assert (plan["status"], plan["changesDetected"]) == ("SUCCEEDED", True)
    assert estate.calls("PUT") == []
    run = ordered(mesh, policy="always", block=plan["block"], predecessor=plan["uuid"])
    assert run["status"] == "SUCCEEDED", run["steps"]
    (applied,) = estate.runs(Status.APPLIED)
    with estate.store() as store:
        (approval,) = store.runs.approvals(applied.id)
    assert (approval.by, approval.comment) == ("jdoe", f"in meshStack, run {run['uuid']}")
    again = ordered(mesh, policy="always", behavior="DETECT", block=plan["block"])
    assert (again["status"], again["changesDetected"]) == ("SUCCEEDED", False)


def test_after_a_death_in_the_middle_the_order_has_failed_and_the_next_one_finishes_it(
    mesh: Mesh, estate: Estate
) -> None:
    mesh.settings["LZR_LIMITS__GRACE"] = "PT6S"
    estate.fault(kind="slow", service="arm", method="PUT", path="resourceGroups", seconds=3)
    uuid, process = begun(mesh)
    eventually(lambda: estate.calls("PUT", "resourceGroups"))
    process.kill()
    process.wait()
    estate.mend()
    follower = mesh.start()
    lost = mesh.stack.wait(uuid)
    assert lost["status"] == "FAILED"
    assert "The runner died while it was at" in lost["summary"]
    run = ordered(mesh, block=lost["block"], process=follower)
    assert run["status"] == "SUCCEEDED", run["steps"]
    expect_once(estate)
    assert [run.status for run in estate.runs(tenant=TENANT)] == [Status.INTERRUPTED, Status.APPLIED]


def test_an_abort_in_meshstack_stops_the_tenants_run(mesh: Mesh, estate: Estate) -> None:
    estate.fault(kind="slow", service="arm", method="PUT", path="resourceGroups", seconds=3)
    uuid, process = begun(mesh)
    eventually(lambda: estate.calls("PUT", "resourceGroups"))
    mesh.stack.abort(uuid, softly=True)
    process.communicate(timeout=120)
    assert mesh.stack.run(uuid)["status"] == "ABORTED"
    assert [run.status for run in estate.runs(tenant=TENANT)] == [Status.CANCELED]
    assert function_calls(estate) == 0


def test_an_order_that_is_no_tenant_fails_with_what_is_wrong(mesh: Mesh) -> None:
    inputs = [one for one in ORDER["inputs"] if one["key"] != "landing_zone"]
    run = ordered(mesh, inputs=inputs)
    assert run["status"] == "FAILED"
    assert "The input landing_zone: it is missing" in steps(run)["input"]["userMessage"]
    unknown = ordered(mesh, inputs=[{"key": "landing_zone", "value": "nowhere"}])
    assert "nowhere" in unknown["steps"][-1]["systemMessage"]


def test_a_repository_that_the_operator_did_not_name_is_no_landing_zone(mesh: Mesh, estate: Estate) -> None:
    mesh.configure(landingZones=[])
    run = ordered(mesh)
    assert "Plan" not in [step["displayName"] for step in run["steps"]]
    assert estate.calls("PUT") == []


def read(inputs: list[dict[str, Any]]) -> contract.BlockRun:
    document = {
        "metadata": {"uuid": "r"},
        "spec": {
            "behavior": "APPLY",
            "buildingBlock": {
                "uuid": "b",
                "spec": {"workspaceIdentifier": "w", "projectIdentifier": "p", "inputs": inputs},
            },
            "buildingBlockDefinition": {"spec": {"implementation": {"type": "MANUAL"}}},
        },
    }
    return contract.read(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("allowed", "url", "path", "is_one"),
    [
        ("https://g.example/z.git", "https://g.example/z.git", "any", True),
        ("https://g.example/z", "https://g.example/z.git/", "", True),
        ("https://g.example/z.git//corp", "https://g.example/z.git", "/corp/", True),
        ("https://g.example/z.git//corp", "https://g.example/z.git", "other", False),
        ("https://g.example/z.git//corp", "https://g.example/z.git", "corp/deeper", False),
        ("git@g.example:z.git//corp", "git@g.example:z.git", "corp", True),
        ("https://g.example/z.git", "https://evil.example/z.git", "", False),
    ],
)
def test_which_repositories_and_folders_are_landing_zones(allowed: str, url: str, path: str, is_one: bool) -> None:
    source = contract.Terraform(type="TERRAFORM", repository_url=url, repository_path=path)
    assert is_landing_zone(source, (allowed,)) is is_one


ZONE = {"key": "landing_zone", "value": "z"}


def test_a_tenant_has_the_orders_workspace_and_project_unless_inputs_say_otherwise() -> None:
    assert tenant_document(read([ZONE])) == {
        "apiVersion": "landing-zone-runner/v1",
        "kind": "Tenant",
        "metadata": {"name": "w.p"},
        "spec": {"landingZoneRef": {"name": "z"}, "workspaceIdentifier": "w", "projectIdentifier": "p"},
    }
    named = tenant_document(read([ZONE, {"key": "tenant_name", "value": "n"}, {"key": "project", "value": "q"}]))
    assert (named["metadata"]["name"], named["spec"]["projectIdentifier"]) == ("n", "q")


def test_people_without_roles_are_left_out_and_unknown_fields_of_people_are_no_values() -> None:
    people = [{"username": "a", "euid": None, "roles": ["R"]}, {"username": "b", "roles": []}]
    made = tenant_document(read([ZONE, {"key": "users", "type": "CODE", "value": json.dumps(people)}]))
    assert made["spec"]["users"] == [{"username": "a", "roles": ["R"]}]


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ({"key": "sudo", "value": "x"}, "no such input"),
        ({"key": "users", "value": "{", "type": "CODE"}, "no JSON"),
    ],
)
def test_an_input_that_a_landing_zone_does_not_have_is_refused(extra: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError) as refused:
        tenant_document(read([ZONE, extra]))
    assert told in refused.value.detail
