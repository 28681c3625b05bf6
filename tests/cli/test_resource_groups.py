"""A tenant that is a resource group in a parent subscription, through the command line, from its making to its leaving."""

from __future__ import annotations

from typing import Any

import pytest

from tests.estate import Estate

PARENT = "4f1c2d30-0000-4000-8000-000000000003"
OURS = f"/subscriptions/{PARENT}/resourceGroups/rg-payments-checkout-dev"
NEIGHBOUR = f"/subscriptions/{PARENT}/resourceGroups/rg-neighbour"
OWN_FIELDS = ("azureManagementGroupId", "resourceGroups")


@pytest.fixture
def groups(estate: Estate) -> Estate:
    """The demo, but its tenant is a resource group beside somebody else's."""

    def platform(one: dict[str, Any]) -> None:
        one["spec"] |= {
            "type": "azurerg",
            "subscriptionId": PARENT,
            "resourceGroupNamePattern": "rg-#{workspaceIdentifier}-#{projectIdentifier}",
        }

    def zone(one: dict[str, Any]) -> None:
        one["spec"] = {key: value for key, value in one["spec"].items() if key not in OWN_FIELDS}
        one["spec"] |= {"azureRgLocation": "westeurope", "approval": {"policy": "never"}}

    estate.edit("AzurePlatform", platform)
    estate.edit("LandingZone", zone)
    estate.edit("Tenant", lambda one: one["spec"].pop("platformTenantId"))
    estate.sandbox.drift("PUT", f"{NEIGHBOUR}?api-version=2022-09-01", {"location": "westeurope"})
    return estate


def scopes_of_roles(estate: Estate) -> set[str]:
    return {call.path.partition("/providers/")[0] for call in estate.calls("PUT", "roleAssignments", "arm")}


def test_it_is_made_with_its_groups_tags_and_function_and_then_nothing_changes(groups: Estate) -> None:
    ended = groups.lzr("reconcile", "documents", "--json").run
    assert ended["status"] == "applied"
    assert ended["function"]["status"] == 200
    assert "Create the resource group rg-payments-checkout-dev in westeurope" in str(ended["review"]["sentences"])
    assert "the resource group rg-payments-checkout-dev" in str(ended["review"]["risks"])
    assert {scope.lower() for scope in scopes_of_roles(groups)} == {OURS.lower()}
    assert not groups.calls("PUT", "managementGroups")
    with groups.sandbox.world.lock:
        estate = groups.sandbox.world.estate
        made, parent = estate.resource_groups[OURS.lower()], estate.subscription(PARENT)
        assert parent is not None
        assert made["tags"]["lz_costCenter"] == "4711"
        assert "lz_costCenter" not in parent.tags
    assert groups.lzr("reconcile", "documents", "--json").run["status"] == "unchanged"


def test_its_leaving_reaches_no_further_than_the_group(groups: Estate) -> None:
    groups.lzr("reconcile", "documents")
    planned = groups.lzr("destroy", "payments.checkout-dev", "--in", "documents", "--json", code=6).run
    groups.lzr("approve", planned["id"])
    groups.lzr("apply", planned["id"])
    deleted = [call.path for call in groups.calls("DELETE", service="arm")]
    assert deleted
    assert all(path.lower().startswith(OURS.lower()) for path in deleted)
    with groups.sandbox.world.lock:
        left = groups.sandbox.world.estate.resource_groups
        assert NEIGHBOUR.lower() in left
        assert OURS.lower() not in left


def test_stale_tags_of_the_group_are_taken_away_and_those_of_the_subscription_are_not_touched(groups: Estate) -> None:
    groups.lzr("reconcile", "documents")
    body = {"operation": "Merge", "properties": {"tags": {"lz_old": "1"}}}
    for scope in (OURS, f"/subscriptions/{PARENT}"):
        path = f"{scope}/providers/Microsoft.Resources/tags/default?api-version=2021-04-01"
        assert groups.sandbox.drift("PATCH", path, body).status == 200
    ended = groups.lzr("reconcile", "documents", "--json").run
    assert ended["review"]["stale_tags"] == {"scope": OURS, "tags": {"lz_old": "1"}}
    with groups.sandbox.world.lock:
        estate = groups.sandbox.world.estate
        parent = estate.subscription(PARENT)
        assert parent is not None
        assert "lz_old" not in estate.resource_groups[OURS.lower()]["tags"]
        assert parent.tags["lz_old"] == "1"


def test_a_tag_of_the_group_in_other_capitals_is_set_under_its_own_name_and_settles(groups: Estate) -> None:
    groups.lzr("reconcile", "documents")
    path = f"{OURS}/providers/Microsoft.Resources/tags/default?api-version=2021-04-01"
    for body in ({"operation": "Replace", "properties": {"tags": tags}} for tags in ({}, {"LZ_costcenter": "1"})):
        assert groups.sandbox.drift("PATCH", path, body).status == 200
    groups.lzr("reconcile", "documents")
    with groups.sandbox.world.lock:
        tags = groups.sandbox.world.estate.resource_groups[OURS.lower()]["tags"]
    assert tags["LZ_costcenter"] == "4711"
    assert groups.lzr("reconcile", "documents", "--json").run["status"] == "unchanged"


def test_a_location_that_the_parent_subscription_cannot_use_is_told_with_the_nearest(groups: Estate) -> None:
    groups.edit("LandingZone", lambda one: one["spec"].update(azureRgLocation="westerneurope"))
    failure = groups.lzr("plan", "documents", "--json", code=2).run["failure"]
    assert (failure["code"], failure["hint"]) == ("unknown-location", "Did you mean westeurope?")
