"""Azure resource ids, put together and taken apart."""

from __future__ import annotations

import pytest

from runner.sandbox.provider.resource_id import InvalidId, build, parse, parse_import, type_of

CASES = [
    ("rg", "/subscriptions/s", "Microsoft.Resources/resourceGroups", "/subscriptions/s/resourceGroups/rg"),
    ("s", "/", "Microsoft.Resources/subscriptions", "/subscriptions/s"),
    ("alias", "/", "Microsoft.Subscription/aliases", "/providers/Microsoft.Subscription/aliases/alias"),
    (
        "default",
        "/subscriptions/s",
        "Microsoft.Resources/tags",
        "/subscriptions/s/providers/Microsoft.Resources/tags/default",
    ),
    (
        "sub",
        "/providers/Microsoft.Management/managementGroups/corp",
        "Microsoft.Management/managementGroups/subscriptions",
        "/providers/Microsoft.Management/managementGroups/corp/subscriptions/sub",
    ),
    (
        "v1",
        "/providers/Microsoft.Management/managementGroups/m/providers/Microsoft.Blueprint/blueprints/lz",
        "Microsoft.Blueprint/blueprints/versions",
        "/providers/Microsoft.Management/managementGroups/m/providers/Microsoft.Blueprint/blueprints/lz/versions/v1",
    ),
    (
        "ra",
        "/subscriptions/s/resourceGroups/rg",
        "Microsoft.Authorization/roleAssignments",
        "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Authorization/roleAssignments/ra",
    ),
]


@pytest.mark.parametrize(("name", "parent", "type_", "id_"), CASES, ids=[case[2] for case in CASES])
def test_an_id_is_built_and_taken_apart_again(name: str, parent: str, type_: str, id_: str) -> None:
    assert build(name, parent, f"{type_}@2020-01-01").id == id_
    found = parse(id_, f"{type_}@2020-01-01")
    assert (found.name, found.parent_id, found.type) == (name, parent, type_)
    assert type_of(id_) == type_
    assert parse_import(f"{id_}?api-version=2020-01-01") == found


@pytest.mark.parametrize(
    ("id_", "versioned", "reason"),
    [
        ("/subscriptions/s", "Microsoft.Resources/resourceGroups@1", "not matched"),
        ("/subscriptions/s", "Microsoft.Resources/subscriptions", "`type` is invalid"),
        ("subscriptions/s", "Microsoft.Resources/subscriptions@1", "should start with"),
    ],
)
def test_an_id_of_another_type_is_refused(id_: str, versioned: str, reason: str) -> None:
    with pytest.raises(InvalidId, match=reason):
        parse(id_, versioned)


def test_a_child_below_the_wrong_parent_is_refused() -> None:
    with pytest.raises(InvalidId, match=r"expect ID of `Microsoft\.Management/managementGroups`"):
        build("s", "/subscriptions/s", "Microsoft.Management/managementGroups/subscriptions@2020-05-01")


def test_an_import_id_needs_a_version() -> None:
    with pytest.raises(InvalidId, match="api-version"):
        parse_import("/subscriptions/s/resourceGroups/rg")
