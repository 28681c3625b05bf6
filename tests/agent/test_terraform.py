"""Runs of Terraform building blocks, as meshStack sees them."""

from __future__ import annotations

from tests.agent.mesh import Mesh


def test_an_apply_is_told_step_by_step_and_ends_with_outputs(mesh: Mesh) -> None:
    inputs = [{"key": "region", "value": "northeurope"}]
    run = mesh.done(definition=mesh.terraform(), inputs=inputs)
    assert run["status"] == "SUCCEEDED", run
    assert [step["id"] for step in run["steps"]] == [
        "sources",
        "input",
        "init_tf",
        "pre_run_script",
        "execute_tf",
        "output",
    ]
    assert {step["status"] for step in run["steps"]} == {"SUCCEEDED"}
    assert run["outputs"] == {"region": {"value": "northeurope", "type": "STRING", "isSensitive": False}}
