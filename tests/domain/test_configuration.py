"""From documents to blocks and values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runner.domain.configuration import Leaving, compose, unmapped_roles, wanted
from runner.domain.facts import Facts
from runner.domain.platform import CLOUDS, PORTALS
from tests.domain.documents import CONTRIBUTOR, OWNER, READER, SUBSCRIPTION, placed

PERSON = {"username": "dev1", "roles": ["admin"]}


def test_a_subscription_gets_its_group_place_roles_and_tags() -> None:
    made = compose(placed())
    assert made.kind == "subscription"
    assert made.blocks == {"management_group", "groups", "roles", "tags"}
    assert made.inputs["management_group_id"] == "corp-online"
    assert made.inputs["groups"]["admin"]["display_name"] == "payments.checkout-dev-admin"
    assert made.inputs["role_assignments"] == {
        f"admin/{OWNER}": {"group": "admin", "role_definition_id": OWNER, "condition": None},
        f"user/{CONTRIBUTOR}": {"group": "user", "role_definition_id": CONTRIBUTOR, "condition": None},
        f"reader/{READER}": {"group": "reader", "role_definition_id": READER, "condition": None},
    }


def test_the_suffix_of_the_role_fills_the_group_name() -> None:
    made = compose(placed(platform={"groupNamePattern": "lz-#{projectIdentifier:%S}-#{platformGroupAlias}"}))
    assert [group.name for group in made.groups] == [
        "lz-CHECKOUT-DEV-admin",
        "lz-CHECKOUT-DEV-user",
        "lz-CHECKOUT-DEV-reader",
    ]


def test_a_zone_without_mapping_takes_the_platforms() -> None:
    mapping = [{"projectRoleRef": {"name": "ops"}, "azureRole": {"alias": "operators", "id": READER}}]
    made = compose(placed(platform={"azureRoleMappings": mapping}, zone={"azureRoleMappings": []}))
    assert [group.alias for group in made.groups] == ["operators"]


def test_a_role_may_have_several_definitions_and_a_condition() -> None:
    mapping = {
        "projectRoleRef": {"name": "admin"},
        "azureGroupSuffix": "admin",
        "azureRoleDefinitions": [
            {"azureRoleDefinitionId": OWNER, "abacCondition": "@x"},
            {"azureRoleDefinitionId": READER},
        ],
    }
    made = compose(placed(zone={"azureRoleMappings": [mapping]}))
    assert made.inputs["role_assignments"][f"admin/{OWNER}"]["condition"] == "@x"
    assert len(made.inputs["role_assignments"]) == 2


def test_a_role_definition_listed_twice_is_refused_lest_one_condition_vanish() -> None:
    mapping = {
        "projectRoleRef": {"name": "admin"},
        "azureGroupSuffix": "admin",
        "azureRoleDefinitions": [
            {"azureRoleDefinitionId": OWNER, "abacCondition": "@x"},
            {"azureRoleDefinitionId": OWNER.upper()},
        ],
    }
    with pytest.raises(ValidationError, match="listed twice in this mapping"):
        placed(zone={"azureRoleMappings": [mapping]})


@pytest.mark.parametrize(
    ("cloud", "portal"),
    [
        (None, "https://portal.azure.com"),
        ("public", "https://portal.azure.com"),
        ("usgov", "https://portal.azure.us"),
        ("china", "https://portal.azure.cn"),
    ],
)
def test_guests_arrive_at_the_portal_of_the_cloud_unless_told_otherwise(cloud: str | None, portal: str) -> None:
    platform: dict[str, Any] = {"cloud": cloud} if cloud else {}
    for invited, expected in (({}, portal), ({"redirectUrl": "https://x.example"}, "https://x.example")):
        invitation = placed(platform={**platform, "b2bUserInvitation": invited}).platform.spec.b2b_user_invitation
        assert invitation is not None
        assert invitation.redirect_url == expected


def test_every_cloud_has_a_portal_and_one_given_by_addresses_has_to_be_told_its_own() -> None:
    assert set(PORTALS) == set(CLOUDS)
    addresses = {name: f"https://{name}.example" for name in ("authority", "resourceManager", "graph")}
    with pytest.raises(ValidationError, match="redirectUrl is needed"):
        placed(platform={"cloud": addresses, "b2bUserInvitation": {}})
    told = {"redirectUrl": "https://x.example"}
    assert placed(platform={"cloud": addresses, "b2bUserInvitation": told}).platform.spec.b2b_user_invitation


def test_an_adopted_group_is_given_by_id_and_not_made() -> None:
    existing = {"projectRoleRef": {"name": "user"}, "objectId": SUBSCRIPTION}
    made = compose(placed(tenant={"existingGroups": [existing]}))
    assert made.inputs["existing_groups"] == {"user": SUBSCRIPTION}
    assert set(made.inputs["groups"]) == {"admin", "reader"}
    assert [group.alias for group in made.groups if group.adopted] == ["user"]


def test_a_resource_group_tenant_lives_in_its_parent_subscription() -> None:
    made = compose(
        placed(
            platform={
                "type": "azurerg",
                "subscriptionId": SUBSCRIPTION,
                "resourceGroupNamePattern": "rg-#{projectIdentifier}",
            },
            zone={"azureRgLocation": "westeurope", "azureManagementGroupId": None},
            tenant={"platformTenantId": None},
        )
    )
    assert made.kind == "resource-group"
    assert "management_group" not in made.blocks
    assert made.resource_groups == ("tenant",)
    assert made.inputs["resource_groups"] == {"tenant": {"name": "rg-checkout-dev", "location": "westeurope"}}


def test_leaving_keeps_the_place_and_destroys_the_rest() -> None:
    made = compose(placed(), leaving=Leaving())
    assert made.blocks == frozenset()
    assert made.removed == ("management_group",)


def test_leaving_moves_the_subscription_only_when_asked() -> None:
    made = compose(placed(), leaving=Leaving(move_to="decommissioned"))
    assert made.removed == ()
    assert made.blocks == {"management_group"}
    assert made.inputs["management_group_id"] == "decommissioned"


def test_groups_and_their_roles_stay_where_the_platform_says_so() -> None:
    made = compose(placed(platform={"skipUserGroupPermissionCleanup": True}), leaving=Leaving())
    assert made.removed == ("management_group", "groups", "roles")


def test_people_go_into_the_groups_of_their_roles() -> None:
    users = [PERSON, {"username": "dev2", "roles": ["user", "admin"]}]
    which = placed(tenant={"users": users})
    people = wanted(which, compose(which).groups).people
    assert {alias: [person.username for person in found] for alias, found in people.items()} == {
        "admin": ["dev1", "dev2"],
        "user": ["dev2"],
        "reader": [],
    }


def test_a_role_that_nothing_maps_is_a_warning() -> None:
    (warning,) = unmapped_roles(placed(tenant={"users": [{"username": "dev1", "roles": ["auditor"]}]}))
    assert warning.code == "role-not-mapped"
    assert "auditor" in warning.text


hostile = st.text(min_size=1, max_size=30).filter(lambda text: text.strip() == text)


@given(hostile, hostile)
def test_text_of_documents_reaches_values_only(workspace_name: str, tag: str) -> None:
    """Structure is made of the runner's own words: nothing a document says can become Terraform code."""
    which = placed(
        platform={"tenantTags": {"namespacePrefix": "lz_", "tagMappers": [{"key": "k", "valuePattern": "x"}]}},
        zone={"displayName": workspace_name},
        tenant={"workspaceName": workspace_name, "projectTags": {"t": [tag]}},
    )
    made = compose(which)
    assert made.blocks <= {"management_group", "groups", "roles", "tags"}
    assert json.loads(json.dumps(made.inputs)) == made.inputs
    assert all(isinstance(leaf, (str, int, bool, type(None))) for leaf in leaves(made.inputs))


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for part in value.values():
            yield from leaves(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from leaves(part)
    else:
        yield value


def test_a_subscription_below_the_zones_group_stays_there_only_where_the_platform_allows_it() -> None:
    below = Facts(above=("root", "corp-online", "team-a"))
    allowed = placed(platform={"allowHierarchicalManagementGroupAssignment": True})
    assert "management_group" not in compose(allowed, below).blocks
    assert "management_group" in compose(placed(), below).blocks
    for elsewhere in ((), ("root",), ("root", "corp-online"), ("root", "other", "corp")):
        assert "management_group" in compose(allowed, Facts(above=elsewhere)).blocks
    leaving = compose(allowed, below, leaving=Leaving(move_to="corp-online"))
    assert leaving.inputs["management_group_id"] == "corp-online"


def test_a_tag_is_set_under_the_name_it_has_already() -> None:
    mappers = [{"key": "Owner", "valuePattern": "x"}, {"key": "team", "valuePattern": "y"}]
    which = placed(platform={"tenantTags": {"tagMappers": mappers}})
    assert compose(which, Facts(tag_spellings={"Owner": "OWNER"})).inputs["tags"] == {"OWNER": "x", "team": "y"}
