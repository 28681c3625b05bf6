"""What is in Azure around a tenant before it is planned: its place, its locations, its tags. Through the command line."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.estate import Estate

SUBSCRIPTION = "4f1c2d30-0000-4000-8000-000000000001"
GROUPS = "/providers/Microsoft.Management/managementGroups"
TAGS = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Resources/tags/default?api-version=2021-04-01"


def move(estate: Estate, group: str) -> None:
    path = f"{GROUPS}/{group}/subscriptions/{SUBSCRIPTION}?api-version=2020-05-01"
    assert estate.sandbox.drift("PUT", path, {}).status == 200


def group_below(estate: Estate, name: str, parent: str) -> None:
    with estate.sandbox.world.lock:
        groups = estate.sandbox.world.estate.management_groups
        above = estate.sandbox.world.estate.management_group(parent)
        assert above is not None
        groups[name] = type(above)(name=name, display_name=name, parent=above.name)


def tag(estate: Estate, **tags: str) -> None:
    body = {"operation": "Merge", "properties": {"tags": tags}}
    assert estate.sandbox.drift("PATCH", TAGS, body).status == 200


def tags_of(estate: Estate) -> dict[str, str]:
    with estate.sandbox.world.lock:
        subscription = estate.sandbox.world.estate.subscription(SUBSCRIPTION)
        assert subscription is not None
        return dict(subscription.tags)


def by_policy(estate: Estate) -> None:
    estate.edit("LandingZone", lambda zone: zone["spec"].update(approval={"policy": "never"}))


def test_a_subscription_in_a_group_below_is_left_there_where_the_platform_allows_it(estate: Estate) -> None:
    by_policy(estate)
    estate.edit("AzurePlatform", lambda one: one["spec"].update(allowHierarchicalManagementGroupAssignment=True))
    group_below(estate, "team-a", "corp-online")
    move(estate, "team-a")
    moved = len(estate.calls("PUT", "managementGroups"))

    ended = estate.lzr("reconcile", "documents", "--json").run
    assert ended["status"] == "applied"
    assert len(estate.calls("PUT", "managementGroups")) == moved
    assert estate.lzr("reconcile", "documents", "--json").run["status"] == "unchanged"

    move(estate, "sandbox")
    back = estate.lzr("reconcile", "documents", "--json").run
    assert "from management group sandbox to corp-online" in str(back["review"]["sentences"])
    assert estate.lzr("reconcile", "documents", "--json").run["status"] == "unchanged"


def test_without_that_it_is_moved_up_directly_into_the_zones_group(estate: Estate) -> None:
    by_policy(estate)
    group_below(estate, "team-a", "corp-online")
    move(estate, "team-a")
    ended = estate.lzr("reconcile", "documents", "--json").run
    assert "from management group team-a to corp-online" in str(ended["review"]["sentences"])


def test_zones_whose_management_groups_are_nested_are_warned_of_in_the_review(estate: Estate) -> None:
    group_below(estate, "inner", "corp-online")
    inner = {
        "apiVersion": "landing-zone-runner/v1",
        "kind": "LandingZone",
        "metadata": {"name": "in"},
        "spec": {"platformRef": {"name": "azure"}, "azureManagementGroupId": "inner"},
    }
    (estate.documents / "inner.yaml").write_text(yaml.safe_dump(inner), encoding="utf-8")
    planned = estate.lzr("plan", "documents", "--json", code=6).run
    (found,) = [one for one in planned["review"]["warnings"] if one["code"] == "management-groups-overlap"]
    assert "inner of the landing zone in is below it" in found["text"]


def test_a_subscription_that_somebody_moves_after_the_review_makes_the_approval_void(estate: Estate) -> None:
    planned = estate.lzr("plan", "documents", "--json", code=6).run
    estate.lzr("approve", planned["id"])
    move(estate, "corp-internal")
    moved = len(estate.calls("PUT", "managementGroups"))
    refused = estate.lzr("apply", planned["id"], "--json", code=3).run
    assert refused["failure"]["code"] == "plan-outdated"
    assert "management group (now corp-internal)" in refused["failure"]["detail"]
    assert len(estate.calls("PUT", "managementGroups")) == moved


def test_so_does_one_that_the_review_had_found_in_its_place(estate: Estate) -> None:
    move(estate, "corp-online")
    by_policy(estate)
    estate.lzr("reconcile", "documents")
    estate.decided_by("always")
    tag(estate, lz_costCenter="drifted")
    planned = estate.lzr("plan", "documents", "--json", code=6).run
    assert not [one for one in planned["review"]["changes"] if "management_group" in one["address"]]
    estate.lzr("approve", planned["id"])
    move(estate, "sandbox")
    refused = estate.lzr("apply", planned["id"], "--json", code=3).run
    assert "management group (now sandbox)" in refused["failure"]["detail"]
    assert tags_of(estate)["lz_costCenter"] == "drifted"


def test_a_place_that_could_not_be_read_for_the_review_has_not_changed_since(estate: Estate) -> None:
    hidden = estate.fault(kind="fail", service="arm", path="getEntities.*4f1c2d30", status=403)
    planned = estate.lzr("plan", "documents", "--json", code=6).run
    assert "from management group (not known) to corp-online" in str(planned["review"]["sentences"])
    estate.mend(hidden)
    estate.lzr("approve", planned["id"])
    assert estate.lzr("apply", planned["id"], "--json").run["status"] == "applied"


def test_one_that_somebody_moves_during_the_apply_fails_the_run_and_is_moved_back_by_the_next(estate: Estate) -> None:
    by_policy(estate)
    elsewhere = {"path": f"{GROUPS}/sandbox/subscriptions/{SUBSCRIPTION}?api-version=2020-05-01", "body": {}}
    estate.fault(kind="meanwhile", method="PUT", path="groups/corp-online/subscriptions", times=1, change=elsewhere)
    failure = estate.lzr("reconcile", "documents", "--json", code=4).run["failure"]
    assert failure["code"] == "engine-apply-failed"
    assert 'must be in management group "corp-online"' in failure["detail"]
    moved = estate.lzr("reconcile", "documents", "--json").run
    assert "from management group sandbox to corp-online" in str(moved["review"]["sentences"])
    assert estate.lzr("reconcile", "documents", "--json").run["status"] == "unchanged"


def test_a_location_that_the_subscription_cannot_use_is_told_with_the_nearest(estate: Estate) -> None:
    def elsewhere(zone: dict[str, Any]) -> None:
        zone["spec"]["resourceGroups"][0]["location"] = "westeurop"

    estate.edit("LandingZone", elsewhere)
    failure = estate.lzr("plan", "documents", "--json", code=2).run["failure"]
    assert (failure["code"], failure["hint"]) == ("unknown-location", "Did you mean westeurope?")


def test_tags_with_the_prefix_that_nothing_maps_are_taken_away_after_approval_and_others_stay(estate: Estate) -> None:
    tag(estate, lz_old="from before", team="blue")
    planned = estate.lzr("plan", "documents", "--json", code=6).run
    assert planned["review"]["stale_tags"]["tags"] == {"lz_old": "from before"}
    assert "Take away the tags lz_old = from before" in estate.lzr("review", planned["id"]).stdout
    assert "lz_old" in tags_of(estate)
    estate.lzr("approve", planned["id"])
    estate.lzr("apply", planned["id"])

    left = tags_of(estate)
    assert left["team"] == "blue"
    assert "lz_old" not in left
    assert left["lz_costCenter"] == "4711"
    assert estate.lzr("reconcile", "documents", "--json").run["status"] == "unchanged"

    tag(estate, lz_old="again")
    assert estate.lzr("reconcile", "documents", "--json", code=6).run["review"]["changes"] == []


def test_a_tag_that_exists_in_other_letters_is_set_under_its_own_name_and_settles(estate: Estate) -> None:
    by_policy(estate)
    tag(estate, LZ_CostCenter="1")
    warnings = estate.lzr("reconcile", "documents", "--json").run["warnings"]
    assert [one["code"] for one in warnings if "tag" in one["code"]] == ["tag-spelled-differently"]
    assert tags_of(estate)["LZ_CostCenter"] == "4711"
    assert estate.lzr("reconcile", "documents", "--json").run["status"] == "unchanged"


def test_a_tenant_that_leaves_takes_every_tag_with_the_prefix_along_and_no_other(estate: Estate) -> None:
    by_policy(estate)
    estate.lzr("reconcile", "documents")
    tag(estate, lz_stray="1", team="blue")
    planned = estate.lzr("destroy", "payments.checkout-dev", "--in", "documents", "--json", code=6).run
    assert planned["review"]["stale_tags"]["tags"] == {"lz_stray": "1"}
    estate.lzr("approve", planned["id"])
    estate.lzr("apply", planned["id"])
    left = tags_of(estate)
    assert left["team"] == "blue"
    assert not [name for name in left if name.startswith("lz_")]


def test_tags_that_go_make_room_for_those_that_come(estate: Estate) -> None:
    by_policy(estate)
    tag(estate, **{f"other{number}": "" for number in range(44)}, lz_old="", lz_older="")
    assert len(tags_of(estate)) == 48
    estate.lzr("reconcile", "documents")
    assert len(tags_of(estate)) == 50
    assert not {"lz_old", "lz_older"} & tags_of(estate).keys()


def test_a_tag_of_somebody_else_that_would_get_another_value_is_told_once(estate: Estate) -> None:
    estate.edit("AzurePlatform", lambda one: one["spec"]["tenantTags"].pop("namespacePrefix"))
    by_policy(estate)
    tag(estate, costCenter="of the finance team")
    warned = [one for one in estate.lzr("reconcile", "documents", "--json").run["warnings"] if "tag" in one["code"]]
    assert [one["code"] for one in warned] == ["tag-taken-over"]
    assert 'becomes "4711" instead of "of the finance team"' in warned[0]["text"]
    again = estate.lzr("reconcile", "documents", "--json").run
    assert not [one for one in again["warnings"] if "tag" in one["code"]]


@pytest.mark.parametrize(("others", "code"), [(44, 6), (45, 2)])
def test_existing_tags_count_against_the_fifty(others: int, code: int, estate: Estate) -> None:
    tag(estate, **{f"other{number}": "" for number in range(others)})
    planned = estate.lzr("plan", "documents", "--json", code=code).run
    if code == 2:
        assert planned["failure"]["code"] == "too-many-tags"
        assert "47 of others (" in planned["failure"]["detail"]
