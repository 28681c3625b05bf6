"""Things that are there before the runner: taken in after a person has seen it, never failed on. Through the command line."""

from __future__ import annotations

from typing import Any

from tests.estate import Estate

SUBSCRIPTION = "/subscriptions/4f1c2d30-0000-4000-8000-000000000001"
NETWORK = f"{SUBSCRIPTION}/resourceGroups/rg-network-checkout-dev"
GROUP = "payments.checkout-dev-user"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"


def by_policy(estate: Estate) -> None:
    estate.edit("LandingZone", lambda zone: zone["spec"].update(approval={"policy": "never"}))


def decided(estate: Estate, *arguments: str) -> dict[str, Any]:
    """Planned, which has to wait for a person whatever the policy, approved and applied."""
    planned = estate.lzr("plan", "documents", "--json", *arguments, code=6).run
    assert planned["status"] == "waiting"
    estate.lzr("approve", planned["id"])
    ended = estate.lzr("apply", planned["id"], "--json").run
    assert ended["status"] == "applied"
    return planned


def unchanged(estate: Estate) -> None:
    assert estate.lzr("reconcile", "documents", "--json").run["status"] == "unchanged"


def made_before(estate: Estate) -> str:
    """A group of the wanted name with a stranger in it; its object id."""
    with estate.sandbox.world.lock:
        directory = estate.sandbox.world.directories[estate.sandbox.world.estate.tenant_id]
        person = next(user for user in directory.users.values())
    made = estate.sandbox.drift(
        "POST",
        "/v1.0/groups",
        {"displayName": GROUP, "mailEnabled": False, "mailNickname": "before", "securityEnabled": True},
    )
    assert made.status == 201
    reference = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{person['id']}"}
    path = f"/v1.0/groups/{made.body['id']}/members/$ref"
    assert estate.sandbox.drift("POST", path, reference).status == 204
    return str(made.body["id"])


def members(estate: Estate, group: str) -> int:
    (found,) = [one for one in groups(estate) if one["id"] == group]
    return len(found["members"])


def groups(estate: Estate) -> list[dict[str, Any]]:
    return [group for tenant in estate.world()["tenants"] for group in tenant["groups"]]


def test_a_resource_group_that_exists_is_taken_over_with_its_tags_and_settles(estate: Estate) -> None:
    by_policy(estate)
    body = {"location": "westeurope", "tags": {"team": "blue"}}
    assert estate.sandbox.drift("PUT", f"{NETWORK}?api-version=2022-09-01", body).status == 201
    planned = decided(estate)
    assert [risk["code"] for risk in planned["review"]["risks"]].count("takes-over") == 1
    assert "Take over what exists" in str(planned["review"]["sentences"])
    with estate.sandbox.world.lock:
        assert estate.sandbox.world.estate.resource_groups[NETWORK.lower()]["tags"] == {"team": "blue"}
    unchanged(estate)


def test_a_resource_group_in_another_location_is_told_before_anything_happens(estate: Estate) -> None:
    estate.sandbox.drift("PUT", f"{NETWORK}?api-version=2022-09-01", {"location": "northeurope"})
    failure = estate.lzr("plan", "documents", "--json", code=2).run["failure"]
    assert failure["code"] == "resource-group-elsewhere"
    assert failure["hint"] == "Write northeurope as its location, or give it another name."


def test_a_group_of_the_wanted_name_is_used_keeps_its_members_and_outlives_the_tenant(estate: Estate) -> None:
    by_policy(estate)
    group = made_before(estate)
    planned = decided(estate)
    assert planned["review"]["adopts"] == {GROUP: group}
    assert "gives-rights-to-existing-group" in [risk["code"] for risk in planned["review"]["risks"]]
    assert [one["displayName"] for one in groups(estate)].count(GROUP) == 1
    assert members(estate, group) == 3
    unchanged(estate)

    leaving = estate.lzr("destroy", "payments.checkout-dev", "--in", "documents", "--json", code=6).run
    estate.lzr("approve", leaving["id"])
    estate.lzr("apply", leaving["id"])
    assert members(estate, group) == 1
    assert [one["displayName"] for one in groups(estate)].count(GROUP) == 1


def assigned(estate: Estate, group: str, **more: Any) -> None:
    """The role that the group is to get, under a name of somebody's own."""
    role = f"{SUBSCRIPTION}/providers/Microsoft.Authorization"
    path = f"{role}/roleAssignments/99999999-0000-4000-8000-000000000009?api-version=2022-04-01"
    properties = {"principalId": group, "roleDefinitionId": f"{role}/roleDefinitions/{CONTRIBUTOR}", **more}
    assert estate.sandbox.drift("PUT", path, {"properties": properties}).status == 201


def test_a_role_that_such_a_group_has_already_under_another_name_is_no_conflict(estate: Estate) -> None:
    assigned(estate, made_before(estate))
    planned = decided(estate)
    codes = [risk["code"] for risk in planned["review"]["risks"]]
    assert {"takes-over", "replaces"} <= set(codes)
    unchanged(estate)


def test_a_group_that_was_used_and_is_deleted_is_made_anew(estate: Estate) -> None:
    group = made_before(estate)
    decided(estate)
    assert estate.sandbox.drift("DELETE", f"/v1.0/groups/{group}").status == 204
    planned = decided(estate)
    assert planned["review"]["adopts"] == {}
    assert f"Create the group {GROUP}" in str(planned["review"]["sentences"])
    unchanged(estate)


def test_what_would_be_taken_over_is_explained_with_every_difference(estate: Estate) -> None:
    group = made_before(estate)
    estate.sandbox.drift(
        "PUT", f"{NETWORK}?api-version=2022-09-01", {"location": "westeurope", "tags": {"team": "blue"}}
    )
    assigned(estate, group, condition="@Resource[a] StringEquals 'b'", conditionVersion="2.0")
    told = estate.lzr("tenant", "adopt", "payments.checkout-dev", "documents", code=6).stdout
    explained = told.partition("Infrastructure")[0]
    assert "Exists already                    3 taken over" in explained
    assert f"Use the group {GROUP} that exists already ({group})" in explained
    assert "the resource group rg-network-checkout-dev, as it is" in explained
    assert "body.properties.condition: @Resource[a] StringEquals 'b' → null" in explained
    assert NETWORK in explained
    assert "createdOn" not in explained
    assert not estate.calls("PUT", service="arm")


def test_where_nothing_exists_it_is_said_so_and_planned_all_the_same(estate: Estate) -> None:
    told = estate.lzr("tenant", "adopt", "payments.checkout-dev", "documents", code=6).stdout
    assert "Nothing that exists already would be taken over" in told
    assert "Create the resource group" in told


def test_a_subscription_that_is_in_its_management_group_needs_no_taking_over(estate: Estate) -> None:
    by_policy(estate)
    place = "/providers/Microsoft.Management/managementGroups/corp-online/subscriptions"
    path = f"{place}/4f1c2d30-0000-4000-8000-000000000001?api-version=2020-05-01"
    assert estate.sandbox.drift("PUT", path, {}).status == 200
    planned = estate.lzr("plan", "documents", "--json").run
    assert "Keep the subscription" in str(planned["review"]["sentences"])
    assert "takes-over" not in str(planned["review"]["risks"])
    estate.lzr("apply", planned["id"])
    unchanged(estate)


def test_a_tenant_that_is_as_it_should_be_is_asked_nothing_more(estate: Estate) -> None:
    """Looking for what exists costs calls only where a plan creates something."""
    by_policy(estate)
    estate.lzr("reconcile", "documents")
    before = len(estate.calls())
    run = estate.lzr("reconcile", "documents", "--json").run
    assert "look for what exists already" not in [step["name"] for step in run["steps"]]
    paths = [call.path.partition("?")[0].lower() for call in estate.calls()[before:]]
    assert not [path for path in paths if path.endswith("/roleassignments")]
    assert paths.count(NETWORK.lower()) == 1  # the engine's own refresh


def test_a_resource_group_tenant_takes_over_its_own_group(estate: Estate) -> None:
    parent = "4f1c2d30-0000-4000-8000-000000000003"
    pattern = "rg-#{workspaceIdentifier}-#{projectIdentifier}"
    estate.edit(
        "AzurePlatform",
        lambda one: one["spec"].update(type="azurerg", subscriptionId=parent, resourceGroupNamePattern=pattern),
    )

    def zone(one: dict[str, Any]) -> None:
        for name in ("azureManagementGroupId", "resourceGroups"):
            one["spec"].pop(name)
        one["spec"].update(azureRgLocation="westeurope", approval={"policy": "never"})

    estate.edit("LandingZone", zone)
    estate.edit("Tenant", lambda one: one["spec"].pop("platformTenantId"))
    own = f"/subscriptions/{parent}/resourceGroups/rg-payments-checkout-dev"
    estate.sandbox.drift("PUT", f"{own}?api-version=2022-09-01", {"location": "westeurope", "tags": {"team": "blue"}})
    planned = decided(estate)
    assert "the resource group rg-payments-checkout-dev, as it is" in str(planned["review"]["sentences"])
    with estate.sandbox.world.lock:
        assert estate.sandbox.world.estate.resource_groups[own.lower()]["tags"]["team"] == "blue"
    unchanged(estate)


def test_a_group_of_the_wanted_name_that_cannot_hold_roles_is_told_before_anything_happens(estate: Estate) -> None:
    body = {"displayName": GROUP, "mailEnabled": True, "mailNickname": "mail", "securityEnabled": False}
    assert estate.sandbox.drift("POST", "/v1.0/groups", body | {"groupTypes": ["Unified"]}).status == 201
    failure = estate.lzr("plan", "documents", "--json", code=5).run["failure"]
    assert failure["code"] == "group-unusable"
    assert "is no security group" in failure["detail"]
    assert "existingGroups" in failure["hint"]
