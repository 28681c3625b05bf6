"""Deployment stacks of a landing zone, and the way to them from blueprints, through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.domain.actor import Grant, Role
from tests.cli.test_blueprints import NO_NEW, artifact, publish, with_blueprints
from tests.estate import TENANT, Estate

EVERYWHERE = (Grant(role=Role.VIEWER),)
SUBSCRIPTION = "4f1c2d30-0000-4000-8000-000000000001"
STACKS = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Resources/deploymentStacks"
SPEC = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/specs/providers/Microsoft.Resources/templateSpecs/lz"


def template(*groups: str, **parameters: Any) -> dict[str, Any]:
    return {
        "parameters": {"workspaceIdentifier": {"type": "string"}, **parameters},
        "resources": [
            {
                "type": "Microsoft.Resources/resourceGroups",
                "apiVersion": "2022-09-01",
                "name": f"[concat('{name}-', parameters('workspaceIdentifier'))]",
                "location": "westeurope",
            }
            for name in groups
        ],
    }


def with_stack(estate: Estate, **given: Any) -> None:
    stack = {"name": "base", "location": "westeurope", **given}
    change = {"deploymentStacks": [stack], "approval": {"policy": "never"}}
    estate.edit("LandingZone", lambda zone: zone["spec"].update(change))


def publish_spec(estate: Estate, version: str, content: dict[str, Any]) -> None:
    id_ = f"{SPEC}/versions/{version}"
    with estate.sandbox.world.lock:
        estate.sandbox.world.estate.resources[id_.lower()] = {
            "id": id_,
            "name": version,
            "type": "Microsoft.Resources/templateSpecs/versions",
            "properties": {"mainTemplate": content},
        }


def stack(estate: Estate) -> dict[str, Any]:
    with estate.sandbox.world.lock:
        found: dict[str, Any] = estate.sandbox.world.estate.resources[f"{STACKS}/base".lower()]
        return found


def group(estate: Estate, name: str) -> bool:
    with estate.sandbox.world.lock:
        key = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}"
        return key.lower() in estate.sandbox.world.estate.resource_groups


def reconciled(estate: Estate, code: int = 0) -> dict[str, Any]:
    return estate.lzr("reconcile", "documents", "--json", code=code).run


def said(run: dict[str, Any], what: str) -> str:
    return str([one["text"] for one in run["review"][what]])


def test_a_template_beside_the_document_is_deployed_once_and_its_change_is_another_plan(estate: Estate) -> None:
    (zone,) = [file for file in estate.documents.rglob("*.yaml") if "kind: LandingZone" in file.read_text("utf-8")]
    beside = zone.parent / "base.json"
    beside.write_text(json.dumps(template("net")), encoding="utf-8")
    with_stack(estate, templateFile="base.json", denySettings={"mode": "denyDelete", "applyToChildScopes": True})

    made = reconciled(estate)
    assert made["status"] == "applied"
    assert "Deploy the stack base (template" in said(made, "sentences")
    assert "with deny mode denyDelete" in said(made, "sentences")
    assert group(estate, "net-payments")
    assert reconciled(estate)["status"] == "unchanged"

    beside.write_text(json.dumps(template("net", "log")), encoding="utf-8")
    changed = reconciled(estate)
    assert changed["status"] == "applied"
    assert "Deploy the stack base of" in said(changed, "sentences")
    assert group(estate, "log-payments")
    assert reconciled(estate)["status"] == "unchanged"


def test_a_template_spec_is_deployed_with_the_parameters_it_declares(estate: Estate) -> None:
    publish_spec(estate, "1.0", template("net", size={"type": "int"}))
    publish_spec(estate, "2.0", template("net", "log", size={"type": "int", "defaultValue": 1}))
    with_stack(estate, templateSpec=SPEC, version="1.0", parameters={"size": "2", "odd": "x ${projectIdentifier}"})

    made = reconciled(estate)
    assert stack(estate)["properties"]["parameters"] == {
        "workspaceIdentifier": {"value": "payments"},
        "size": {"value": 2},
    }
    assert "odd: it declares no such parameter" in said(made, "warnings")
    assert stack(estate)["properties"]["description"] == "lz 1.0"

    with_stack(estate, templateSpec=SPEC, version="2.0", parameters={"size": "2"})
    assert "lz 2.0 in place of lz 1.0" in said(reconciled(estate), "sentences")
    assert group(estate, "log-payments")
    items = estate.lzr("tenant", "show", TENANT, "documents", "--json").json()["items"]
    (item,) = [one for one in items if one["kind"] == "deployment stack"]
    assert (item["should"], item["found"], item["matches"]) == ("lz 2.0", "lz 2.0 (succeeded)", True)
    assert reconciled(estate)["status"] == "unchanged"
    with estate.store() as store:
        assert store.fleet.versions("corp-online", EVERYWHERE) == {"deployment stack base": {"lz 2.0": 1}}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"templateSpec": SPEC, "version": "9.9"}, "unknown-template-spec"),
        ({"template": template(owner={"type": "string"})}, "parameters-missing"),
    ],
)
def test_what_cannot_be_deployed_is_told_before_anything_is_planned(
    estate: Estate, given: dict[str, Any], code: str
) -> None:
    with_stack(estate, **given)

    assert reconciled(estate, code=2)["failure"]["code"] == code
    assert not estate.calls("PUT", "deploymentStacks")


def test_mixed_deny_settings_are_told_after_the_apply_and_the_next_run_heals_them(estate: Estate) -> None:
    with_stack(estate, template=template("net", "log"), denySettings={"mode": "denyDelete"})
    reconciled(estate)
    late = {"code": "DenyAssignmentFailure", "message": "x"}
    estate.fault(kind="operation", method="PUT", path="deploymentStacks/base", polls=1, error=late, times=1)
    with_stack(estate, template=template("net", "log"), denySettings={"mode": "denyWriteAndDelete"})
    assert reconciled(estate, code=4)["status"] == "failed"
    assert {one["denyStatus"] for one in stack(estate)["properties"]["resources"]} == {"none", "denyDelete"}

    healed = reconciled(estate)
    assert healed["status"] == "applied"
    assert "deny settings are mixed" in said(healed, "warnings")
    assert "is tried again (2. time)" in said(healed, "warnings")
    assert {one["denyStatus"] for one in stack(estate)["properties"]["resources"]} == {"denyWriteAndDelete"}
    assert reconciled(estate)["status"] == "unchanged"


def test_settings_that_azure_did_not_keep_are_a_warning_of_the_run(estate: Estate) -> None:
    with_stack(estate, template=template("net", "log"), denySettings={"mode": "denyDelete"})
    reconciled(estate)
    for one in stack(estate)["properties"]["resources"][:1]:
        one["denyStatus"] = "removedBySystem"

    again = reconciled(estate)

    assert again["status"] == "unchanged"
    assert "1 with removedBySystem" in str(again["warnings"])


@pytest.mark.parametrize(("action", "stays"), [("detach", True), ("delete", False)])
def test_a_stack_that_is_not_listed_any_more_goes_and_what_it_deployed_as_it_was_said(
    estate: Estate, action: str, stays: bool
) -> None:
    with_stack(estate, template=template("net"), actionOnUnmanage={"resources": action, "resourceGroups": action})
    reconciled(estate)
    estate.edit("LandingZone", lambda zone: zone["spec"].pop("deploymentStacks"))

    gone = reconciled(estate)

    assert gone["status"] == "applied"
    assert ("what it deployed stays" in said(gone, "risks")) is stays
    assert ("are deleted" in said(gone, "risks")) is not stays
    assert group(estate, "net-payments") is stays
    assert reconciled(estate)["status"] == "unchanged"


def test_a_blueprint_becomes_a_stack_that_deploys_the_same(estate: Estate, tmp_path: Path) -> None:
    groups = {"ProdRG": {"name": "[concat('prod-', parameters('workspaceIdentifier'))]", "location": "westeurope"}}
    publish(estate, "lz", "v1", 1, resourceGroups=groups)
    inner = {"resources": [{"type": "Microsoft.Network/virtualNetworks", "name": "hub"}]}
    artifact(estate, "lz", "v1", "net", "template", template=inner, resourceGroup="ProdRG", parameters={})
    with_blueprints(estate, {"name": "lz", "lockMode": "AllResourcesReadOnly"})

    told = estate.lzr("migrate", "blueprint", "corp-online", "--in", "documents", "--out", tmp_path / "out")
    assert "lock mode AllResourcesReadOnly becomes denySettings.mode denyWriteAndDelete" in told.stdout
    assert "system-assigned identity has no counterpart" in told.stdout
    again = estate.lzr("migrate", "blueprint", "corp-online", "--in", "documents", "--out", tmp_path / "out", code=2)
    assert "would be overwritten" in again.stderr
    assert "| artifact net (template) | nested deployment |" in (
        tmp_path / "out" / "corp-online.migration.md"
    ).read_text("utf-8")

    (zone,) = [file for file in estate.documents.rglob("*.yaml") if "kind: LandingZone" in file.read_text("utf-8")]
    written = (tmp_path / "out" / "corp-online.lz.json").read_text("utf-8")
    (zone.parent / "corp-online.lz.json").write_text(written, encoding="utf-8")
    stacks = yaml.safe_load((tmp_path / "out" / "corp-online.stacks.yaml").read_text("utf-8"))
    estate.edit("LandingZone", lambda document: document["spec"].update(stacks))

    moment = estate.start(NO_NEW, "reconcile", "documents", "--json", module="tests.at_a_time")
    assert estate.ended(moment).run["status"] == "applied"
    assert group(estate, "prod-payments")
    with estate.sandbox.world.lock:
        made = estate.sandbox.world.estate.resources[f"{STACKS}/lz".lower()]["properties"]
    assert made["denySettings"]["mode"] == "denyWriteAndDelete"


def test_a_landing_zone_without_blueprints_has_nothing_to_migrate(estate: Estate) -> None:
    told = estate.lzr("migrate", "blueprint", "corp-online", "--in", "documents", code=2)
    assert "has no blueprints" in told.stderr
    unknown = estate.lzr("migrate", "blueprint", "corp-onlin", "--in", "documents", code=2)
    assert "corp-online" in unknown.stderr
