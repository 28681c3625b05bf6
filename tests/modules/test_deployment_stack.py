"""A deployment stack: deployed from a template or a template spec, its deny settings kept, what it has no longer left or deleted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runner.sandbox.azure.faults import LateFailure, Slowly
from tests.modules.workbench import SUBSCRIPTION, SUBSCRIPTION_ID, Bench

ID = f"{SUBSCRIPTION}/providers/Microsoft.Resources/deploymentStacks/lz"
CALL = f"{ID}?api-version=2024-03-01"
ADDRESS = "module.stack_lz.azapi_resource.this"
SPEC = f"{SUBSCRIPTION}/resourceGroups/specs/providers/Microsoft.Resources/templateSpecs/lz"


def template(*groups: str) -> dict[str, Any]:
    resources = [
        {
            "type": "Microsoft.Resources/resourceGroups",
            "apiVersion": "2022-09-01",
            "name": f"[concat('{group}-', parameters('owner'))]",
            "location": "westeurope",
        }
        for group in groups
    ]
    return {"parameters": {"owner": {"type": "string"}}, "resources": resources, "outputs": {}}


def build(
    bench: Bench,
    *groups: str,
    description: str = "lz 1",
    attempt: int = 1,
    mode: str = "none",
    resource_groups: str = "detach",
    spec: str = "",
) -> None:
    what = (
        f'template_spec_version_id = "{SPEC}/versions/{spec}"'
        if spec
        else f"template = {json.dumps(template(*groups))}"
    )
    bench.build(
        f"""
        module "stack_lz" {{
          source             = "./modules/deployment-stack"
          subscription_id    = "{SUBSCRIPTION_ID}"
          name               = "lz"
          location           = "westeurope"
          description        = "{description}"
          parameters         = {{ owner = "alice" }}
          attempt            = {attempt}
          deny_settings      = {{ mode = "{mode}" }}
          action_on_unmanage = {{ resource_groups = "{resource_groups}" }}
          {what}
        }}
        output "state" {{ value = module.stack_lz.state }}
        output "ids" {{ value = module.stack_lz.resource_ids }}
        """
    )


def held(bench: Bench) -> dict[str, Any]:
    return bench.azure.world.estate.resources[ID.lower()]


def group(bench: Bench, name: str) -> bool:
    return f"{SUBSCRIPTION}/resourceGroups/{name}".lower() in bench.azure.world.estate.resource_groups


@pytest.fixture
def made(bench: Bench) -> Bench:
    build(bench, "net", "log", mode="denyDelete")
    bench.reconcile()
    return bench


def test_it_deploys_its_template_with_one_put(bench: Bench) -> None:
    build(bench, "net", mode="denyDelete")

    assert bench.reconcile() == [f"PUT {CALL}"]
    assert bench.output("state") == "succeeded"
    assert bench.output("ids") == [f"{SUBSCRIPTION}/resourceGroups/net-alice"]
    assert group(bench, "net-alice")


def test_the_second_plan_is_empty_although_the_reply_has_no_template(made: Bench) -> None:
    made.forget_calls()

    assert made.plan() == {}
    assert made.calls() == [f"GET {CALL}"]


def test_a_template_spec_is_deployed_and_another_version_in_place(bench: Bench) -> None:
    for version, groups in (("1", ["net"]), ("2", ["net", "log"])):
        bench.azure.world.estate.resources[f"{SPEC}/versions/{version}".lower()] = {
            "id": f"{SPEC}/versions/{version}",
            "name": version,
            "type": "Microsoft.Resources/templateSpecs/versions",
            "properties": {"mainTemplate": template(*groups)},
        }
    build(bench, spec="1", description="lz 1")
    bench.reconcile()
    assert bench.plan() == {}
    build(bench, spec="2", description="lz 2")

    assert bench.plan() == {ADDRESS: "update"}
    bench.apply()
    assert held(bench)["properties"]["description"] == "lz 2"
    assert group(bench, "log-alice")
    assert bench.plan() == {}


def test_a_deny_mode_that_somebody_changed_is_shown_and_healed(made: Bench) -> None:
    held(made)["properties"]["denySettings"]["mode"] = "none"

    assert made.plan() == {ADDRESS: "update"}
    made.apply()
    assert held(made)["properties"]["denySettings"]["mode"] == "denyDelete"
    assert made.plan() == {}


@pytest.mark.parametrize(("action", "stays"), [("detach", True), ("delete", False)])
def test_what_the_template_has_no_longer_stays_or_goes(bench: Bench, action: str, stays: bool) -> None:
    build(bench, "net", "log", resource_groups=action)
    bench.reconcile()
    build(bench, "net", resource_groups=action, description="lz 2")
    bench.reconcile()

    assert group(bench, "net-alice")
    assert group(bench, "log-alice") is stays


@pytest.mark.parametrize(("action", "stays"), [("detach", True), ("delete", False)])
def test_destroying_it_leaves_or_deletes_what_it_deployed(bench: Bench, action: str, stays: bool) -> None:
    build(bench, "net", resource_groups=action)
    bench.reconcile()
    bench.build("")

    (call,) = bench.reconcile()
    assert call.startswith(f"DELETE {ID}?")
    assert f"unmanageaction.resourcegroups={action}" in call.lower()
    assert bench.azure.drift("GET", CALL).status == 404
    assert group(bench, "net-alice") is stays


def test_a_deployment_that_fails_late_is_tried_again_by_another_attempt(made: Bench) -> None:
    made.azure.faults.add(Slowly(method="PUT", path="deploymentStacks/lz", polls=1, error=LateFailure(), times=1))
    build(made, "net", "log", mode="denyWriteAndDelete")
    assert "DeploymentFailed" in made.failure("apply", "-auto-approve")
    assert held(made)["properties"]["provisioningState"] == "failed"
    assert {one["denyStatus"] for one in held(made)["properties"]["resources"]} == {"none", "denyDelete"}

    build(made, "net", "log", mode="denyWriteAndDelete", attempt=2)
    assert made.plan() == {ADDRESS: "update"}
    made.apply()
    assert {one["denyStatus"] for one in held(made)["properties"]["resources"]} == {"denyWriteAndDelete"}
    assert made.plan() == {}
