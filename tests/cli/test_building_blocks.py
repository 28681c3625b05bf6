"""Building blocks of a landing zone through the command line: from the runner, from beside the documents, and from git."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.estate import TENANT, Estate, Ran

SUBSCRIPTION = "/subscriptions/4f1c2d30-0000-4000-8000-000000000001"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"

GROUP = """
terraform {
  required_providers {
    azapi = { source = "Azure/azapi" }
  }
}
variable "subscription_id" { type = string }
variable "name" { type = string }
resource "azapi_resource" "this" {
  type                      = "Microsoft.Resources/resourceGroups@2022-09-01"
  parent_id                 = "/subscriptions/${var.subscription_id}"
  name                      = var.name
  location                  = "westeurope"
  body                      = {}
  schema_validation_enabled = false
}
output "id" { value = azapi_resource.this.id }
"""


def beside(estate: Estate, name: str, code: str = GROUP) -> None:
    """A module beside the landing zone's document."""
    (zone,) = [file for file in estate.documents.rglob("*.yaml") if "kind: LandingZone" in file.read_text("utf-8")]
    folder = zone.parent / "modules" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.tf").write_text(code, encoding="utf-8")


def with_blocks(estate: Estate, *blocks: dict[str, Any], policy: str = "never") -> None:
    change = {"buildingBlocks": list(blocks), "approval": {"policy": policy}}
    estate.edit("LandingZone", lambda zone: zone["spec"].update(change))


def group(key: str = "extra", source: str = "./modules/group", **more: Any) -> dict[str, Any]:
    inputs = {"subscription_id": {"tenant": "subscriptionId"}, "name": {"value": "rg-${projectIdentifier}-extra"}}
    return {"key": key, "source": source, "inputs": inputs, **more}


def exists(estate: Estate, name: str) -> bool:
    with estate.sandbox.world.lock:
        return f"{SUBSCRIPTION}/resourceGroups/{name}".lower() in estate.sandbox.world.estate.resource_groups


def resources(estate: Estate, part: str) -> list[dict[str, Any]]:
    with estate.sandbox.world.lock:
        return [one for key, one in estate.sandbox.world.estate.resources.items() if part.lower() in key]


def reconciled(estate: Estate, code: int = 0) -> dict[str, Any]:
    return estate.lzr("reconcile", "documents", "--json", code=code).run


def said(run: dict[str, Any], what: str = "sentences") -> str:
    return str([one["text"] for one in run["review"][what]])


def git(folder: Path, *arguments: str) -> str:
    settings = ("-c", "user.name=t", "-c", "user.email=t@example", "-c", "init.defaultBranch=main")
    ran = subprocess.run(["git", *settings, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return ran.stdout.strip()


def repository(folder: Path) -> Path:
    """A repository with the module `group` at the tag v1."""
    (folder / "group").mkdir(parents=True)
    git(folder, "init", "--quiet")
    release(folder, "v1", GROUP)
    return folder


def release(folder: Path, tag: str, code: str) -> str:
    (folder / "group" / "main.tf").write_text(code, encoding="utf-8")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", tag)
    git(folder, "tag", "--force", tag)
    return git(folder, "rev-parse", "HEAD")


def with_git(estate: Estate, *arguments: object, code: int | None = 0) -> Ran:
    """`lzr` that may read repositories on this machine, which nobody's runner may."""
    return estate.ended(estate.start(*arguments, module="tests.local_git"), code=code)


def test_the_four_that_come_with_the_runner_are_planned_applied_and_then_quiet(estate: Estate) -> None:
    with_blocks(
        estate,
        {
            "key": "providers",
            "source": "resource-provider-registration",
            "inputs": {"subscription_id": {"tenant": "subscriptionId"}, "namespaces": {"value": ["Microsoft.Web"]}},
        },
        {
            "key": "budget",
            "displayName": "Monthly budget",
            "source": "budget",
            "tenantInputs": ["amount"],
            "inputs": {
                "scope": {"tenant": "scope"},
                "amount": {"value": 500},
                "notifications": {"value": {"most": {"threshold": 80, "contact_roles": ["Owner"]}}},
            },
        },
        {
            "key": "eligible",
            "source": "eligible-role-assignments",
            "inputs": {
                "scope": {"tenant": "scope"},
                "subscription_id": {"tenant": "subscriptionId"},
                "group_ids": {"tenant": "groupIds"},
                "assignments": {
                    "value": {"operators": {"group": "user", "role_definition_id": CONTRIBUTOR, "duration": "P365D"}}
                },
            },
        },
        {
            "key": "pipeline",
            "source": "pipeline-identity",
            "mandatory": False,
            "inputs": {
                "resource_group_id": {"tenant": "resourceGroupIds.network"},
                "name": {"value": "deployer-${projectIdentifier}"},
                "location": {"value": "westeurope"},
                "credentials": {
                    "value": {
                        "main": {"issuer": "https://token.pipelines.example", "subject": "repo:${projectIdentifier}"}
                    }
                },
            },
        },
    )
    chosen = [{"key": "pipeline"}, {"key": "budget", "inputs": {"amount": 750}}]
    estate.edit("Tenant", lambda tenant: tenant["spec"].update(buildingBlocks=chosen))

    made = reconciled(estate)

    assert made["status"] == "applied"
    assert "Create Microsoft.Consumption/budgets monthly (building block Monthly budget)" in said(made)
    assert "activate the role Contributor" in said(made)
    assert "activate the role Contributor" in said(made, "risks")
    (budget,) = resources(estate, "/budgets/")
    assert budget["properties"]["amount"] == 750
    (eligible,) = resources(estate, "/roleeligibilityscheduleinstances/")
    assert eligible["properties"]["roleDefinitionId"].endswith(CONTRIBUTOR)
    (credential,) = resources(estate, "/federatedidentitycredentials/")
    assert credential["properties"]["subject"] == "repo:checkout-dev"
    again = reconciled(estate)
    assert (again["status"], said(again)) == ("unchanged", "[]")

    with_blocks(estate)
    estate.edit("Tenant", lambda tenant: tenant["spec"].pop("buildingBlocks"))
    gone = reconciled(estate)
    assert "Take from the group payments.checkout-dev-user that it may activate" in said(gone, "risks")
    assert resources(estate, "/roleeligibilityscheduleinstances/") == []
    assert resources(estate, "/budgets/") == []


def test_a_module_beside_the_document_gets_outputs_of_another_and_its_code_is_part_of_what_is_approved(
    estate: Estate,
) -> None:
    beside(estate, "group")
    tagged = 'variable "id" { type = string }\nresource "terraform_data" "this" { input = var.id }\noutput "id" { value = var.id }\n'
    beside(estate, "tagged", tagged)
    with_blocks(
        estate,
        {"key": "after", "source": "./modules/tagged", "inputs": {"id": {"output": "id", "of": "extra"}}},
        group(),
        policy="always",
    )
    waiting = reconciled(estate, code=6)
    assert "Create Microsoft.Resources/resourceGroups rg-checkout-dev-extra (building block extra)" in said(waiting)
    shown = estate.lzr("review", waiting["id"]).stdout
    assert "building block extra: ./modules/group, code" in shown
    estate.lzr("approve", waiting["id"])
    beside(estate, "group", GROUP + "\n# changed after it was approved\n")

    refused = estate.lzr("apply", waiting["id"], "--json", code=3).run
    assert refused["failure"]["code"] == "plan-outdated"
    assert not exists(estate, "rg-checkout-dev-extra")

    again = reconciled(estate, code=6)
    estate.lzr("approve", again["id"])
    assert estate.lzr("apply", again["id"], "--json").run["status"] == "applied"
    assert exists(estate, "rg-checkout-dev-extra")


def test_a_module_from_git_is_pinned_to_the_commit_that_was_reviewed(estate: Estate, tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo")
    source = f"git::file://{repo}//group?ref=v1"
    estate.edit("AzurePlatform", lambda one: one["spec"].update(allowedModuleSources=[str(repo)]))
    with_blocks(estate, group(source=source), policy="always")
    first = git(repo, "rev-parse", "HEAD")

    waiting = with_git(estate, "reconcile", "documents", "--json", code=6).run
    assert waiting["review"]["facts"]["blocks"]["extra"]["commit"] == first
    moved = release(repo, "v1", GROUP.replace('"westeurope"', '"northeurope"'))  # the tag is moved meanwhile
    estate.lzr("approve", waiting["id"])
    assert with_git(estate, "apply", waiting["id"], "--json").run["status"] == "applied"
    with estate.sandbox.world.lock:
        made = estate.sandbox.world.estate.resource_groups[
            f"{SUBSCRIPTION}/resourceGroups/rg-checkout-dev-extra".lower()
        ]
    assert made["location"] == "westeurope"

    after = with_git(estate, "reconcile", "documents", "--json", code=6).run
    assert after["review"]["facts"]["blocks"]["extra"]["commit"] == moved
    assert "Delete and create anew Microsoft.Resources/resourceGroups" in said(after, "risks")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ('provider "azapi" {}\n', "configures a provider"),
        ('terraform {\n  backend "local" {}\n}\n', "has a backend"),
        (
            'resource "terraform_data" "x" {\n  provisioner "local-exec" {\n    command = "id"\n  }\n}\n',
            "has a provisioner",
        ),
        ('module "x" {\n  source = "Azure/naming/azurerm"\n}\n', "only modules inside of it"),
        (
            'terraform {\n  required_providers {\n    random = { source = "hashicorp/random" }\n  }\n}\n',
            "hashicorp/random",
        ),
        ("this is { no HCL", "cannot be read"),
    ],
)
def test_what_a_module_may_not_do_is_told_before_any_engine_reads_it(estate: Estate, code: str, words: str) -> None:
    beside(estate, "group", code)
    with_blocks(estate, group())

    failed = reconciled(estate, code=2)

    assert failed["failure"]["code"] == "module-refused"
    assert words in failed["failure"]["detail"]
    assert "main.tf" in failed["failure"]["detail"]
    assert not [step for step in failed["steps"] if step["name"] == "initialise"]


def test_plans_are_made_by_an_identity_of_their_own_where_the_platform_has_one(estate: Estate) -> None:
    planner = {
        "clientId": "7d3f0c52-aaaa-4a6e-9c55-2a4b6f1d0003",
        "auth": {"type": "credential", "credential": {"env": "AUDITOR"}},
    }
    estate.edit("AzurePlatform", lambda one: one["spec"].update(planServicePrincipal=planner))
    with_blocks(estate)
    reader = {
        "properties": {
            "principalId": "7d3f0c52-bbbb-4a6e-9c55-2a4b6f1d0003",
            "roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7",
        }
    }
    root = "/providers/Microsoft.Management/managementGroups/7d3f0c52-1111-4a6e-9c55-2a4b6f1d0001"
    name = f"{root}/providers/Microsoft.Authorization/roleAssignments/7d3f0c52-ffff-4a6e-9c55-2a4b6f1d0003"
    assert estate.sandbox.drift("PUT", f"{name}?api-version=2022-04-01", reader).status == 201

    done = estate.lzr("reconcile", "documents", "--json", AUDITOR="sandbox-auditor-secret").run

    assert done["status"] == "applied"
    who = {call.caller for call in estate.calls("PUT", service="arm")}
    assert who == {"landing-zone-runner"}
    assert "read-only-auditor" in {call.caller for call in estate.calls("GET", service="arm")}


def test_a_rendered_directory_has_the_blocks_code_and_values(estate: Estate, tmp_path: Path) -> None:
    beside(estate, "group")
    with_blocks(estate, group(), {"key": "far", "source": "git::https://git.example/a.git?ref=v1", "inputs": {}})
    estate.edit("AzurePlatform", lambda one: one["spec"].update(allowedModuleSources=["git.example"]))

    told = estate.lzr("render", TENANT, "--in", "documents", "--out", tmp_path / "out").stdout

    assert "building block far is left out" in told
    assert (tmp_path / "out" / "blocks" / "extra" / "main.tf").read_text("utf-8") == GROUP
    values = json.loads((tmp_path / "out" / "inputs.auto.tfvars.json").read_text("utf-8"))
    assert values["building_blocks"] == {"extra": {"name": "rg-checkout-dev-extra"}}
    assert 'module "block_extra"' in (tmp_path / "out" / "main.tf").read_text("utf-8")
