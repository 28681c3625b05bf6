"""A run's JSON as meshStack sends it: what is known is read, what is not is left alone, what is wrong is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runner.agent import contract
from runner.agent.contract import Behavior, Terraform, Unknown
from runner.agent.meshapi import claimed
from runner.errors import RemoteFailed
from tests.agent.mesh import Mesh


def document(**implementation: Any) -> dict[str, Any]:
    return {
        "kind": "meshBuildingBlockRun",
        "metadata": {"uuid": "8c1f0e52-0000-4000-8000-000000000001", "createdOn": "2026-01-01T00:00:00Z"},
        "spec": {
            "runNumber": 7,
            "behavior": "DETECT",
            "runToken": "t",
            "somethingNew": {"deep": [1]},
            "buildingBlock": {"uuid": "b", "spec": {"displayName": "d", "projectIdentifier": None}},
            "buildingBlockDefinition": {"uuid": "d", "spec": {"version": 3, "implementation": implementation}},
        },
        "status": "IN_PROGRESS",
        "_links": {"self": {"href": "https://mesh.example/x"}, "later": {"href": "…", "name": "n"}},
    }


TERRAFORM = {"type": "TERRAFORM", "repositoryUrl": "https://g.example/r.git", "refName": None, "knownHost": None}


def read(**implementation: Any) -> contract.BlockRun:
    return contract.read(json.dumps(document(**implementation)).encode())


def test_what_is_not_known_is_left_alone_and_what_is_null_is_nothing() -> None:
    run = read(**TERRAFORM, futureSwitch=True)
    assert isinstance(run.implementation, Terraform)
    assert (run.spec.behavior, run.block.spec.project_identifier, run.implementation.ref_name) == (
        Behavior.DETECT,
        "",
        "",
    )
    assert run.link("self") == "https://mesh.example/x"
    assert run.link("planArtifact") == ""


def test_a_kind_from_the_future_is_told_by_its_name() -> None:
    assert read(type="PULUMI", anything=1).implementation == Unknown(type="PULUMI")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (json.dumps(document(type="TERRAFORM")).encode(), "TERRAFORM.repositoryUrl"),
        (b"{}", "metadata"),
        (b"[]", "Input should be an object"),
        (b"\xff", "JSON"),
    ],
)
def test_what_is_no_run_is_refused_by_field_and_without_values(content: bytes, told: str) -> None:
    with pytest.raises(RemoteFailed) as refused:
        contract.read(content)
    assert told in refused.value.detail


def test_a_secret_is_not_in_what_is_printed_of_a_run() -> None:
    run = read(**TERRAFORM, sshPrivateKey="-----KEY-----")
    assert "-----KEY-----" not in repr(run)
    assert "'t'" not in repr(run)


def test_a_run_is_spoken_of_by_its_links_and_without_them_at_the_usual_places() -> None:
    linked = {
        **document(**TERRAFORM),
        "_links": {
            "registerSource": {"href": "https://mesh.example/reg"},
            "updateSource": {"href": "https://mesh.example/upd/{sourceId}", "templated": True},
            "meshstackBaseUrl": {"href": "https://mesh.example/base"},
        },
    }
    by_link = claimed(linked, base="https://api.example", source="r/1")
    assert (by_link.register, by_link.update, by_link.base) == (
        "https://mesh.example/reg",
        "https://mesh.example/upd/r%2F1",
        "https://mesh.example/base",
    )
    usual = claimed(document(**TERRAFORM), base="https://api.example", source="r")
    assert usual.register.startswith("https://api.example/api/meshobjects/meshbuildingblockruns/8c1f0e52-")
    assert usual.register.endswith("/status/source")
    assert usual.update == f"{usual.register}/r"
    assert "token" not in repr(usual)


def test_the_runner_is_named_when_it_claims(mesh: Mesh) -> None:
    run = mesh.done(definition={"type": "MANUAL"})
    assert run["claimedBy"] == f"{mesh.stack.runner_uuid}-worker-1"
    assert run["source"]["id"] == mesh.stack.runner_uuid
