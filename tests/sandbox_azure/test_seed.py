"""Seeds: what a wrong one is told, and that a right one grows the same world each time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from runner.errors import InputError
from runner.sandbox.azure.seed import DEFAULT
from runner.sandbox.azure.server import Sandbox
from runner.sandbox.azure.world import World

Change = Callable[[dict[str, Any]], object]


def _seed() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(DEFAULT.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda seed: seed.pop("azure"), "azure"),
        (lambda seed: seed.update(tenant="x"), "tenant"),
        (lambda seed: seed["tenants"].clear(), "tenants"),
        (lambda seed: seed["tenants"][0].update(id="no uuid"), "tenants.0.id"),
        (lambda seed: seed["tenants"][1]["users"][0].update(employeId="E1"), "tenants.1.users.0.employeId"),
        (lambda seed: seed["tenants"][1]["users"][0].update(employeeId=1001), "tenants.1.users.0.employeeId"),
        (lambda seed: seed["tenants"][0]["groups"][0].update(members=["nobody"]), "tenants.0.groups.0.members"),
        (
            lambda seed: seed["tenants"][0]["applications"][0]["assignedRoles"][0].update(role="X"),
            "tenants.0.applications.0.assignedRoles.0",
        ),
        (
            lambda seed: seed["tenants"][0]["applications"][0].update(certificates=["none"]),
            "tenants.0.applications.0.certificates.0",
        ),
        (lambda seed: seed["azure"].update(tenant="nowhere.example"), "azure.tenant"),
        (lambda seed: seed["azure"]["managementGroups"][1].update(parent="none"), "azure.managementGroups.1.parent"),
        (
            lambda seed: seed["azure"]["managementGroups"][0].update(parent="landing-zones"),
            "azure.managementGroups.0.parent",
        ),
        (
            lambda seed: seed["azure"]["subscriptions"][0].update(managementGroup="none"),
            "azure.subscriptions.0.managementGroup",
        ),
        (lambda seed: seed["azure"]["subscriptions"][0].update(state="Gone"), "azure.subscriptions.0.state"),
        (
            lambda seed: seed["azure"]["subscriptions"][1].update(id=seed["azure"]["subscriptions"][0]["id"]),
            "azure.subscriptions.1.id",
        ),
        (
            lambda seed: seed["azure"]["subscriptions"][3]["resourceGroups"][0].update(location="moon"),
            "azure.subscriptions.3.resourceGroups.0",
        ),
        (lambda seed: seed["azure"]["roleAssignments"][0].update(role="Emperor"), "azure.roleAssignments.0.role"),
        (
            lambda seed: seed["functions"][0].update(clientId="00000000-0000-4000-8000-000000000000"),
            "functions.0.clientId",
        ),
        (lambda seed: seed.update(faults=[{"kind": "flood"}]), "kind"),
    ],
)
def test_a_wrong_seed_is_told_by_its_key(change: Change, key: str, tmp_path: Path, directory: Path) -> None:
    seed = _seed()
    change(seed)
    path = tmp_path / "seed.yaml"
    path.write_text(yaml.safe_dump(seed))
    with pytest.raises(InputError) as caught:
        Sandbox(directory, seed=path)
    assert key in caught.value.detail


def test_a_seed_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("tenants: [")
    (tmp_path / "empty.yaml").write_text("")
    for name in ("absent.yaml", "broken.yaml", "empty.yaml"):
        with pytest.raises(InputError) as caught:
            World.from_yaml(tmp_path / name)
        assert caught.value.code in ("seed-unreadable", "seed-not-yaml", "seed-invalid")


def test_the_same_seed_grows_the_same_world() -> None:
    assert World.from_yaml().snapshot() == World.from_yaml().snapshot()


def test_a_snapshot_holds_no_secret() -> None:
    assert "sandbox-runner-secret" not in str(World.from_yaml().snapshot())


def test_the_world_can_be_sown_anew_from_outside(azure: httpx.Client, sandbox: Sandbox) -> None:
    seed = _seed()
    seed["azure"]["subscriptions"] = seed["azure"]["subscriptions"][:1]
    seed["azure"]["roleAssignments"] = seed["azure"]["roleAssignments"][:1]
    seed["faults"] = [{"kind": "fail", "path": "/operationresults/", "status": 503}]
    assert azure.put("/sandbox/world", json=seed).status_code == 204
    assert len(azure.get("/subscriptions?api-version=2022-12-01").json()["value"]) == 1
    assert len(sandbox.faults.as_list()) == 1
    for wrong in (seed | {"tenants": []}, seed | {"faults": [{"kind": "flood"}]}):
        answer = azure.put("/sandbox/world", json=wrong)
        assert answer.status_code == 422
        assert answer.json()["error"]["code"] in ("seed-invalid", "fault-invalid")
    assert len(azure.get("/subscriptions?api-version=2022-12-01").json()["value"]) == 1
    assert len(sandbox.faults.as_list()) == 1


def test_anything_can_be_placed_anywhere(directory: Path, tmp_path: Path) -> None:
    seed = _seed()
    blueprint = "/providers/Microsoft.Management/managementGroups/example/providers/Microsoft.Blueprint/blueprints/lz"
    seed["azure"]["resources"] = [{"id": f"{blueprint}/versions/v1", "properties": {"parameters": {}}}]
    (tmp_path / "seed.yaml").write_text(yaml.safe_dump(seed))
    with Sandbox(directory, seed=tmp_path / "seed.yaml") as sandbox:
        found = sandbox.drift("GET", f"{blueprint}/versions").body["value"]
        assert [one["type"] for one in found] == ["Microsoft.Blueprint/blueprints/versions"]
        assert sandbox.drift("GET", f"{blueprint}/versions/v2").status == 404
