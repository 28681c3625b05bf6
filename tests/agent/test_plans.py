"""Saved plans between a dry run and its approval, with real providers from a mirror."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from runner.agent import terraform_block
from runner.sandbox.provider.mirror import install
from runner.terraform.engine import providers
from tests.agent.mesh import Mesh
from tests.agent.test_terraform import statuses, steps

CODE = """
terraform {
  required_providers {
    azapi = { source = "azure/azapi" }
  }
}

resource "terraform_data" "this" {
  input = "x"
}
"""


def test_a_plan_carries_the_choice_of_providers_and_its_apply_takes_those(
    mesh: Mesh, sandbox_certificates: Path
) -> None:
    mesh.settings["LZR_MIRROR"] = str(install(sandbox_certificates / "stand-ins"))
    definition = mesh.terraform({"main.tf": CODE}, name="with-provider")
    plan = mesh.done(behavior="DETECT", definition=definition)
    assert plan["status"] == "SUCCEEDED", steps(plan)
    artifact = mesh.stack.artifact(plan["uuid"])
    assert artifact is not None
    lock = zipfile.ZipFile(io.BytesIO(artifact)).read(".terraform.lock.hcl").decode()
    assert list(providers(lock)) == ["registry.terraform.io/azure/azapi"]
    run = mesh.done(definition=definition, block=plan["block"], predecessor=plan["uuid"])
    assert run["status"] == "SUCCEEDED", steps(run)
    assert "from the dependency lock file" in steps(run)["init_tf"]["systemMessage"]
    with mesh.opened() as agent:
        review = agent.kit.runs.review(run["uuid"])
    assert review is not None
    assert review["providers"] == providers(lock)
    assert review["predecessor"] is True


def test_a_plan_that_is_too_large_to_be_kept_fails_the_dry_run(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terraform_block, "LARGEST_ARTIFACT", 100)
    run = mesh.done(behavior="DETECT", definition=mesh.terraform())
    assert run["status"] == "FAILED"
    assert "The plan is too large to be kept" in run["summary"]


def test_what_is_no_plan_is_not_applied(mesh: Mesh) -> None:
    plan = mesh.done(behavior="DETECT", definition=mesh.terraform())
    with mesh.stack._world.changed:
        mesh.stack._world.runs.found(plan["uuid"]).artifact = b"no plan at all"
    run = mesh.done(definition=mesh.terraform(), block=plan["block"], predecessor=plan["uuid"])
    assert run["status"] == "FAILED"
    assert statuses(run)["init_tf"] == "FAILED"
    assert "The approved plan cannot be read" in steps(run)["init_tf"]["userMessage"]
    assert mesh.stack.state("payments", run["block"])["state"] is None
