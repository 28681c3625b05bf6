"""A blueprint as the deployment stack that takes its place."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.domain.blueprint import Blueprint, LockMode
from runner.domain.deployment_stack import DeploymentStack
from runner.domain.migration import Definition, Migrated, migrate

PRINCIPAL = "33333333-3333-4333-8333-333333333333"


def artifact(name: str, kind: str, **properties: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, "properties": properties}


def migrated(
    *artifacts: dict[str, Any],
    blueprint: Blueprint | None = None,
    parameters: dict[str, Any] | None = None,
    groups: dict[str, Any] | None = None,
) -> Migrated:
    properties = {"parameters": parameters or {}, "resourceGroups": groups or {}}
    return migrate(
        blueprint or Blueprint(name="lz"),
        Definition("v3", properties, artifacts),
        location="westeurope",
        template_file="lz.json",
    )


def only(made: Migrated) -> dict[str, Any]:
    (resource,) = made.template["resources"]
    return dict(resource)


def notes(made: Migrated) -> str:
    return "\n".join(f"{line.what} -> {line.becomes}: {line.note}" for line in made.report)


@pytest.mark.parametrize(
    ("lock", "mode"),
    [("None", "none"), ("AllResourcesReadOnly", "denyWriteAndDelete"), ("AllResourcesDoNotDelete", "denyDelete")],
)
def test_a_lock_becomes_a_deny_setting_with_its_exceptions(lock: LockMode, mode: str) -> None:
    actions = tuple(f"Microsoft.Storage/a{number}/action" for number in range(200))
    which = Blueprint(
        name="lz",
        lock_mode=lock,
        excluded_principals=(PRINCIPAL,) * 5,
        excluded_actions=actions,
        parameters={"a": 1, "b": 2},
    )
    made = migrated(blueprint=which, parameters={"A": {"type": "int"}})
    settings = made.stack["denySettings"]
    assert settings["mode"] == mode
    assert len(settings["excludedPrincipals"]) == 5
    assert len(settings["excludedActions"]) == 200
    assert made.stack["parameters"] == {"a": 1}
    assert f"lock mode {lock} -> denySettings.mode {mode}" in notes(made)
    assert "parameter b of the landing zone -> : The blueprint declares no such parameter" in notes(made)


def test_the_stack_is_one_that_a_landing_zone_takes() -> None:
    made = migrated(blueprint=Blueprint(name="lz", lock_mode="AllResourcesReadOnly", excluded_principals=(PRINCIPAL,)))
    read = DeploymentStack.model_validate({**made.stack, "template": made.template}, by_alias=True, by_name=False)
    assert read.deny_settings.apply_to_child_scopes
    assert read.action_on_unmanage.resources == "detach"


def test_a_template_artifact_becomes_a_nested_deployment_in_its_resource_group() -> None:
    made = migrated(
        artifact(
            "net",
            "template",
            template={"resources": []},
            resourceGroup="ProdRG",
            parameters={"region": {"value": "[resourceGroup().location]"}, "who": {"value": "[parameters('owner')]"}},
        ),
        parameters={"owner": {"type": "string"}},
        groups={"ProdRG": {"name": "prod", "location": "westeurope"}},
    )
    group, nested = made.template["resources"]
    assert (group["type"], group["name"], group["location"]) == (
        "Microsoft.Resources/resourceGroups",
        "prod",
        "westeurope",
    )
    assert nested["resourceGroup"] == "prod"
    assert nested["dependsOn"] == ["[subscriptionResourceId('Microsoft.Resources/resourceGroups', 'prod')]"]
    assert nested["properties"]["expressionEvaluationOptions"] == {"scope": "inner"}
    assert nested["properties"]["parameters"] == {
        "region": {"value": "['westeurope']"},
        "who": {"value": "[parameters('owner')]"},
    }


def test_outputs_of_another_artifact_become_a_reference_and_an_order() -> None:
    made = migrated(
        artifact("logs", "template", template={"resources": []}),
        artifact(
            "net",
            "template",
            template={"resources": []},
            dependsOn=["logs"],
            parameters={"workspace": {"value": "[concat(artifacts('logs').outputs.workspaceId, '-x')]"}},
        ),
    )
    _, net = made.template["resources"]
    assert (
        net["properties"]["parameters"]["workspace"]["value"]
        == "[concat(reference('lz-logs').outputs.workspaceId.value, '-x')]"
    )
    assert net["dependsOn"] == ["lz-logs"]
    assert net["location"] == "[deployment().location]"


def test_a_policy_keeps_its_parameters_and_says_what_it_may_need() -> None:
    made = migrated(
        artifact(
            "tags",
            "policyAssignment",
            displayName="Tags",
            policyDefinitionId="/providers/Microsoft.Authorization/policyDefinitions/x",
            parameters={"tagName": {"value": "costCenter"}},
        )
    )
    found = only(made)
    assert found["type"] == "Microsoft.Authorization/policyAssignments"
    assert found["properties"]["parameters"] == {"tagName": {"value": "costCenter"}}
    assert "needs an identity" in notes(made)


def test_each_principal_of_a_role_gets_an_assignment_with_a_lasting_name() -> None:
    role = "/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
    made = migrated(
        artifact("readers", "roleAssignment", roleDefinitionId=role, principalIds=[PRINCIPAL, "[parameters('p')]"])
    )
    first, second = made.template["resources"]
    assert first["name"] == f"[guid(subscription().id, 'lz/readers', '{PRINCIPAL}')]"
    assert second["properties"]["principalId"] == "[parameters('p')]"


def test_principals_that_only_the_deployment_knows_are_copied() -> None:
    made = migrated(artifact("readers", "roleAssignment", roleDefinitionId="/r", principalIds="[parameters('people')]"))
    found = only(made)
    assert found["copy"] == {"name": "readers", "count": "[length(parameters('people'))]"}
    assert found["properties"]["principalId"] == "[parameters('people')[copyIndex()]]"


def test_a_role_at_a_resource_group_is_given_inside_of_it() -> None:
    made = migrated(
        artifact("readers", "roleAssignment", roleDefinitionId="/r", principalIds=[PRINCIPAL], resourceGroup="RG"),
        groups={"RG": {"name": "prod", "location": "westeurope"}},
    )
    inside = made.template["resources"][1]
    assert inside["resourceGroup"] == "prod"
    assert inside["properties"]["template"]["resources"][0]["type"] == "Microsoft.Authorization/roleAssignments"


def test_a_resource_group_that_was_left_open_becomes_a_parameter_and_is_told() -> None:
    made = migrated(groups={"Prod RG": {"location": "westeurope"}})
    assert only(made)["name"] == "[parameters('ProdRGName')]"
    assert made.template["parameters"] == {"ProdRGName": {"type": "string"}}
    assert "leaves it open" in notes(made)


def test_what_does_not_map_is_told() -> None:
    made = migrated(
        artifact("odd", "somethingNew"),
        parameters={"password": {"type": "secureString"}},
        blueprint=Blueprint(name="lz", max_auto_upgrade_version="v3"),
    )
    lost = [line.what for line in made.report if not line.becomes]
    assert lost == [
        "parameter password",
        "artifact odd (somethingNew)",
        "maxAutoUpgradeVersion v3",
        "system-assigned identity",
        "assignment lz",
    ]


EXPRESSIONS = st.sampled_from(
    ["plain", "[parameters('a')]", "[resourceGroups('RG').name]", "[artifacts('x').outputs.y]", "[[not an expression"]
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "name": st.sampled_from(["x", "y", "z"]),
                "kind": st.sampled_from(["template", "policyAssignment", "roleAssignment"]),
                "properties": st.fixed_dictionaries(
                    {
                        "resourceGroup": st.sampled_from([None, "RG", "Open"]),
                        "dependsOn": st.lists(st.sampled_from(["x", "y", "z", "gone"])),
                        "parameters": st.dictionaries(st.just("p"), st.fixed_dictionaries({"value": EXPRESSIONS})),
                        "principalIds": EXPRESSIONS | st.lists(EXPRESSIONS),
                        "roleDefinitionId": EXPRESSIONS,
                    }
                ),
            }
        ),
        max_size=3,
        unique_by=lambda one: str(one["name"]),
    )
)
def test_a_template_names_no_parameter_that_it_does_not_declare_and_nothing_of_blueprints(artifacts: list[Any]) -> None:
    made = migrated(
        *artifacts,
        parameters={"a": {"type": "string"}},
        groups={"RG": {"name": "[parameters('a')]", "location": "westeurope"}, "Open": {}},
    )
    text = json.dumps(made.template)
    assert set(re.findall(r"parameters\('(\w+)'\)", text)) <= set(made.template["parameters"])
    assert "artifacts(" not in text
    assert "resourceGroups(" not in text
