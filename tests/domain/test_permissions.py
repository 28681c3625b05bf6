"""The table of permissions: whole, without contradictions, and asked for exactly where documents need it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from runner import documents
from runner.domain import permissions
from runner.domain.landing_zone import LandingZone
from runner.domain.permissions import NEEDS, When, Where
from runner.domain.platform import AzurePlatform

EXAMPLES = Path(__file__).parents[2] / "examples"


def read(example: str) -> tuple[AzurePlatform, tuple[LandingZone, ...]]:
    found = documents.read([EXAMPLES / example])
    return next(iter(found.platforms.values())), tuple(found.zones.values())


def with_spec(platform: AzurePlatform, **changes: Any) -> AzurePlatform:
    return platform.model_copy(update={"spec": platform.spec.model_copy(update=changes)})


def names(where: Where, conditions: frozenset[When]) -> set[str]:
    return {need.permission for need in permissions.needed(where, conditions)}


def test_every_permission_is_there_once_for_each_place_and_condition() -> None:
    keys = [(need.permission, need.where, need.when) for need in NEEDS]
    assert len(keys) == len(set(keys))


def test_every_arm_action_names_a_built_in_role_and_every_graph_role_its_id() -> None:
    for need in NEEDS:
        if need.where in (Where.MANAGEMENT_GROUP, Where.ORIGIN, Where.SUBSCRIPTION, Where.IDENTITY):
            assert need.role
            assert re.fullmatch(r"(\*|Microsoft\.\w+)(/[\w*]+)+", need.permission)
        if need.where in (Where.GRAPH, Where.HOME):
            assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", need.id)
        assert need.source


def test_one_name_has_one_id() -> None:
    ids: dict[str, set[str]] = {}
    for need in NEEDS:
        ids.setdefault(need.permission, set()).add(need.id)
    assert all(len(found) == 1 for found in ids.values())


def test_guests_need_a_permission_only_where_they_are_invited() -> None:
    platform, zones = read("demo")
    assert "User.Invite.All" in names(Where.GRAPH, permissions.conditions(platform, zones))
    nobody = with_spec(platform, b2b_user_invitation=None)
    assert "User.Invite.All" not in names(Where.GRAPH, permissions.conditions(nobody, zones))


def test_an_administrative_unit_takes_the_narrower_set() -> None:
    platform, zones = read("documents/subscriptions")
    conditions = permissions.conditions(platform, zones)
    assert names(Where.GRAPH, conditions) == {"User.Read.All", "AdministrativeUnit.Read.All"}
    assert names(Where.UNIT, conditions) == {"Groups Administrator"}


def test_resource_groups_need_their_actions_with_azurerg_or_where_a_zone_has_some() -> None:
    write = "Microsoft.Resources/subscriptions/resourceGroups/write"
    assert write in names(Where.SUBSCRIPTION, permissions.conditions(*read("documents/resource-groups")))
    assert write in names(Where.SUBSCRIPTION, permissions.conditions(*read("demo")))
    assert write not in names(Where.SUBSCRIPTION, permissions.conditions(*read("documents/home-tenants")))


def test_a_platform_of_resource_groups_needs_nothing_at_management_groups() -> None:
    conditions = permissions.conditions(*read("documents/resource-groups"))
    assert not names(Where.MANAGEMENT_GROUP, conditions) | names(Where.ORIGIN, conditions)


def test_every_row_of_the_table_is_asked_for_by_some_documents() -> None:
    asked = {
        need
        for example in (
            "demo",
            *(
                f"documents/{name}"
                for name in ("subscriptions", "resource-groups", "home-tenants", "deployments", "building-blocks")
            ),
        )
        for where in Where
        for need in permissions.needed(where, permissions.conditions(*read(example)))
    }
    assert set(NEEDS) == asked


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ({"Directory.Read.All", "Group.ReadWrite.All", "User.Invite.All"}, set()),
        ({"Directory.ReadWrite.All"}, set()),
        ({"Directory.Read.All", "User.Invite.All"}, {"Group.ReadWrite.All"}),
        (set(), {"Directory.Read.All", "Group.ReadWrite.All", "User.Invite.All"}),
    ],
)
def test_wider_roles_of_graph_do_as_well(roles: set[str], expected: set[str]) -> None:
    needs = permissions.needed(Where.GRAPH, permissions.conditions(*read("demo")))
    assert {need.permission for need in permissions.missing_roles(needs, roles)} == expected


def test_the_table_of_the_readme_names_every_permission() -> None:
    table = permissions.table()
    for need in NEEDS:
        assert f"`{need.permission}`" in table
