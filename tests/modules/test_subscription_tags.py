"""Some of a subscription's tags: ours are kept, theirs are never touched."""

from collections.abc import Mapping
from json import dumps

import pytest

from runner.sandbox.azure.faults import Throttle
from tests.modules.workbench import SUBSCRIPTION, Bench

TAGS = f"{SUBSCRIPTION}/providers/Microsoft.Resources/tags/default?api-version=2021-04-01"
THEIRS = {"costCenter": "4711", "createdBy": "central-it"}
OURS = {"mesh-env": "prod", "mesh-project": "shop"}
UPDATE = "module.tags.azapi_update_resource.tags[0]"


def off(name: str) -> str:
    return f'module.tags.azapi_resource_action.tag_off["{name}"]'


def build(bench: Bench, tags: Mapping[str, str], scope: str = SUBSCRIPTION) -> None:
    bench.build(
        f'module "tags" {{\n source = "./modules/subscription-tags"\n scope = "{scope}"\n tags = {dumps(tags)}\n}}'
    )


def set_by_hand(bench: Bench, tags: Mapping[str, str], operation: str = "Merge") -> None:
    assert bench.azure.drift("PATCH", TAGS, {"operation": operation, "properties": {"tags": dict(tags)}}).status == 200


def tags(bench: Bench) -> dict[str, str]:
    return tags_at(bench, TAGS)


def tags_at(bench: Bench, address: str) -> dict[str, str]:
    answer = bench.azure.drift("GET", address)
    assert isinstance(answer.body, dict)
    return dict(answer.body["properties"]["tags"])


@pytest.fixture
def tagged(bench: Bench) -> Bench:
    """A bench that has set our tags beside theirs."""
    build(bench, OURS)
    bench.reconcile()
    return bench


def test_ours_are_laid_over_theirs_with_one_put(bench: Bench) -> None:
    build(bench, OURS)

    assert bench.reconcile() == [f"PUT {TAGS}"]
    assert tags(bench) == THEIRS | OURS


def test_the_second_plan_is_empty_whatever_others_have_tagged_since(tagged: Bench) -> None:
    set_by_hand(tagged, {"policy": "x"})
    tagged.forget_calls()

    assert tagged.plan() == {}
    assert tagged.calls() == [f"GET {TAGS}"]


def test_a_value_that_somebody_changed_is_shown_and_set_again(tagged: Bench) -> None:
    set_by_hand(tagged, {"mesh-env": "dev", "policy": "x"})

    assert tagged.plan() == {UPDATE: "update"}
    tagged.apply()
    assert tags(tagged) == THEIRS | OURS | {"policy": "x"}
    assert tagged.plan() == {}


def test_a_tag_that_somebody_removed_is_shown_and_set_again(tagged: Bench) -> None:
    set_by_hand(tagged, {"mesh-env": ""}, operation="Delete")
    assert "mesh-env" not in tags(tagged)

    assert tagged.plan() == {UPDATE: "update"}
    tagged.apply()
    assert tags(tagged) == THEIRS | OURS


def test_a_new_value_is_one_put(tagged: Bench) -> None:
    build(tagged, OURS | {"mesh-env": "test"})

    assert tagged.plan() == {UPDATE: "update"}
    assert tagged.reconcile() == [f"PUT {TAGS}"]
    assert tags(tagged) == THEIRS | OURS | {"mesh-env": "test"}


def test_a_dropped_tag_is_removed_before_the_others_are_put_back(tagged: Bench) -> None:
    build(tagged, {"mesh-env": "prod", "mesh-new": ""})

    assert tagged.plan() == {UPDATE: "update", off("mesh-project"): "delete", off("mesh-new"): "create"}
    tagged.azure.faults.add(Throttle(method="PATCH", times=1))  # gives a PUT that does not wait the time to be first
    assert tagged.reconcile() == [f"PATCH {TAGS}", f"PATCH {TAGS}", f"PUT {TAGS}"]
    assert tags(tagged) == THEIRS | {"mesh-env": "prod", "mesh-new": ""}
    assert tagged.plan() == {}


def test_a_dropped_tag_alone_takes_one_patch(tagged: Bench) -> None:
    build(tagged, {"mesh-env": "prod"})
    tagged.reconcile()

    assert tags(tagged) == THEIRS | {"mesh-env": "prod"}
    assert tagged.plan() == {}


def test_a_name_in_other_case_replaces_the_tag(tagged: Bench) -> None:
    build(tagged, {"Mesh-Env": "prod", "mesh-project": "shop"})
    tagged.reconcile()

    assert tags(tagged) == THEIRS | {"Mesh-Env": "prod", "mesh-project": "shop"}
    assert tagged.plan() == {}


def test_the_last_tags_go_one_by_one_and_without_a_put(tagged: Bench) -> None:
    build(tagged, {})

    assert tagged.reconcile() == [f"PATCH {TAGS}"] * 2
    assert tags(tagged) == THEIRS
    assert tagged.plan() == {}


def test_no_tags_need_no_call(bench: Bench) -> None:
    build(bench, {})

    assert bench.plan() == {}
    assert bench.calls() == []


def test_tags_come_back_after_a_time_without(tagged: Bench) -> None:
    build(tagged, {})
    tagged.reconcile()
    build(tagged, OURS)
    tagged.reconcile()

    assert tags(tagged) == THEIRS | OURS
    assert tagged.plan() == {}


def test_leaving_the_configuration_removes_ours_alone(tagged: Bench) -> None:
    set_by_hand(tagged, {"policy": "x"})
    tagged.build("")
    tagged.reconcile()

    assert tags(tagged) == THEIRS | {"policy": "x"}


def test_another_scope_gets_the_tags_and_the_old_one_loses_them(tagged: Bench) -> None:
    other = SUBSCRIPTION.replace("001", "002")
    build(tagged, OURS, scope=other)
    tagged.reconcile()

    assert tags(tagged) == THEIRS
    assert tags_at(tagged, TAGS.replace(SUBSCRIPTION, other)) == OURS
    assert tagged.plan() == {}
