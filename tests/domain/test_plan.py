"""Reading a plan: masked while it is read, and nothing unknown taken for harmless."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.domain.plan import SENSITIVE, UNKNOWN, Action, Plan, masked, read, with_unknowns
from runner.errors import EngineFailed


def entry(actions: list[str], before: Any = None, after: Any = None, **change: Any) -> dict[str, Any]:
    return {
        "address": 'module.groups.azuread_group_without_members.this["admin"]',
        "module_address": "module.groups",
        "mode": "managed",
        "type": "azuread_group_without_members",
        "name": "this",
        "index": "admin",
        "change": {"actions": actions, "before": before, "after": after, **change},
    }


def plan_of(*entries: dict[str, Any], **more: Any) -> Plan:
    return read({"format_version": "1.2", "resource_changes": list(entries), **more})


@pytest.mark.parametrize(
    ("actions", "action"),
    [
        (["create"], Action.CREATE),
        (["update"], Action.UPDATE),
        (["delete"], Action.DELETE),
        (["delete", "create"], Action.REPLACE),
        (["create", "delete"], Action.REPLACE),
        (["forget"], Action.FORGET),
    ],
)
def test_each_action_has_its_meaning(actions: list[str], action: Action) -> None:
    assert plan_of(entry(actions, {}, {})).changes[0].action is action


@pytest.mark.parametrize("actions", [["forget", "create"], ["transmogrify"], []])
def test_an_action_of_a_newer_engine_is_an_error(actions: list[str]) -> None:
    with pytest.raises(EngineFailed) as caught:
        plan_of(entry(actions))
    assert caught.value.code == "unreadable-plan"


@pytest.mark.parametrize("version", ["2.0", "", "0.9"])
def test_a_plan_of_another_format_is_an_error(version: str) -> None:
    with pytest.raises(EngineFailed):
        read({"format_version": version})


def test_what_stays_as_it_is_counts_as_a_resource_and_is_no_change() -> None:
    plan = plan_of(entry(["no-op"], {"a": 1}, {"a": 1}), entry(["delete"], {"a": 1}))
    assert [change.action for change in plan.changes] == [Action.DELETE]
    assert plan.resources == 1


def test_an_import_without_a_change_is_shown() -> None:
    (change,) = plan_of(entry(["no-op"], {}, {}, importing={"id": "/groups/1"})).changes
    assert change.importing == "/groups/1"


def test_data_sources_are_not_changes() -> None:
    data = entry(["read"], None, {"a": 1}) | {"mode": "data"}
    assert plan_of(data).empty


def test_attributes_are_told_one_by_one_with_what_is_not_known_yet() -> None:
    (change,) = plan_of(
        entry(
            ["update"],
            {"name": "old", "same": 1, "list": [1], "gone": "x"},
            {"name": "new", "same": 1, "list": [1, 2], "gone": None},
            after_unknown={"id": True},
            replace_paths=[["name"]],
        )
    ).changes
    assert [(a.path, a.before, a.after, a.forces_replacement) for a in change.attributes] == [
        ("gone", "x", None, False),
        ("id", None, UNKNOWN, False),
        ("list", [1], [1, 2], False),
        ("name", "old", "new", True),
    ]
    assert change.after == {"name": "new", "same": 1, "list": [1, 2], "gone": None, "id": UNKNOWN}


def test_a_sensitive_output_of_the_state_is_not_read() -> None:
    outputs = {"open": {"value": 1}, "hidden": {"value": "canary", "sensitive": True}}
    plan = plan_of(prior_state={"values": {"outputs": outputs}})
    assert plan.outputs == {"open": 1, "hidden": SENSITIVE}


def test_drift_without_a_visible_difference_is_left_out() -> None:
    same = entry(["update"], {"a": 1}, {"a": 1})
    other = entry(["update"], {"a": 1}, {"a": 2})
    gone = entry(["delete"], {"a": 1}, None)
    plan = plan_of(resource_drift=[same, other, gone])
    assert [change.action for change in plan.drift] == [Action.UPDATE, Action.DELETE]


def test_what_a_provider_reads_back_empty_is_no_drift() -> None:
    """azuread sets these to empty lists when it reads a group back; nobody changed them."""
    read_back = entry(["update"], {"types": None, "name": "a"}, {"types": [], "name": "a"})
    renamed = entry(["update"], {"types": None, "name": "a"}, {"types": [], "name": "b"})
    plan = plan_of(resource_drift=[read_back, renamed])
    assert [[one.path for one in change.attributes] for change in plan.drift] == [["name"]]


def test_tags_of_a_resource_group_are_no_drift_of_the_group() -> None:
    group = {"type": "Microsoft.Resources/resourceGroups@2022-09-01", "location": "westeurope"}
    tagged = entry(["update"], {**group, "tags": None}, {**group, "tags": {"lz_project": "robots"}})
    elsewhere = entry(["update"], {"tags": None}, {"tags": {"lz_project": "robots"}})
    plan = plan_of(resource_drift=[tagged, elsewhere])
    assert [[one.path for one in change.attributes] for change in plan.drift] == [["tags.lz_project"]]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@st.composite
def value_with_secret(draw: st.DrawFn) -> tuple[Any, Any]:
    """A value with a canary somewhere inside, and the engine's mark for it."""
    value: Any = "canary"
    mark: Any = True
    for _ in range(draw(st.integers(0, 4))):
        if draw(st.booleans()):
            before = draw(st.lists(json_values, max_size=2))
            value, mark = [*before, value], [*([False] * len(before)), mark]
        else:
            others = draw(st.dictionaries(st.text(min_size=1, max_size=3), json_values, max_size=2))
            others.pop("k", None)
            value, mark = {**others, "k": value}, {"k": mark}
    return value, mark


@given(value_with_secret())
def test_a_marked_part_never_survives_however_deep(case: tuple[Any, Any]) -> None:
    value, mark = case
    assert "canary" not in json.dumps(masked(value, mark))


@given(value_with_secret(), json_values)
def test_no_change_shows_what_either_side_marks(case: tuple[Any, Any], other: Any) -> None:
    value, mark = case
    plan = plan_of(
        entry(["update"], {"x": value}, {"x": other}, before_sensitive={"x": mark}),
        entry(["update"], {"x": other}, {"x": value}, after_sensitive={"x": mark}),
    )
    assert "canary" not in plan.model_dump_json()


@given(json_values)
def test_without_marks_a_value_stays_as_it_is(value: Any) -> None:
    assert masked(value, None) == value
    assert with_unknowns(value, None) == value
