"""The values that a landing zone gives to the parameters of blueprints and templates."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.domain.parameters import Declared, Filled, declared_of, fill

STANDARD = {"workspaceIdentifier": "payments", "SubscriptionId": "4f1c", "tagCostCenter": "1234"}


def filled(
    declared: dict[str, Any],
    own: dict[str, Any] | None = None,
    fixed: dict[str, str] | None = None,
    standard: dict[str, str] | None = None,
) -> Filled:
    return fill(
        "The blueprint lz", declared_of(declared), fixed or {}, own or {}, standard or STANDARD, {"projectName": "Shop"}
    )


def told(made: Filled) -> str:
    return " ".join(warning.text for warning in made.warnings)


def test_of_the_standard_values_only_what_is_declared_is_passed() -> None:
    made = filled({"workspaceIdentifier": {"type": "string"}, "tagCostCenter": {"type": "string"}})
    assert made.values == {"workspaceIdentifier": "payments", "tagCostCenter": "1234"}
    assert made.warnings == ()


def test_names_are_compared_without_capitals_and_passed_as_they_are_declared() -> None:
    made = filled({"subscriptionid": {"type": "string"}, "TagCostCenter": {"type": "String"}})
    assert made.values == {"subscriptionid": "4f1c", "TagCostCenter": "1234"}


def test_own_values_go_before_standard_ones_and_may_use_variables() -> None:
    declared = {"workspaceIdentifier": {"type": "string"}, "labels": {"type": "object"}}
    own = {"WorkspaceIdentifier": "ws-${projectName}", "labels": {"of": ["${projectName}", 3]}}
    assert filled(declared, own).values == {"workspaceIdentifier": "ws-Shop", "labels": {"of": ["Shop", 3]}}


def test_a_static_parameter_is_never_passed_and_a_zone_that_tries_is_told() -> None:
    made = filled({}, {"sku": "S1"}, {"sku": "the artifact policy-tags"})
    assert made.values == {}
    assert "static, its value is fixed in the artifact policy-tags" in told(made)


def test_a_standard_parameter_that_was_made_static_is_told_because_tags_do_not_reach_it() -> None:
    made = filled({}, fixed={"tagCostCenter": "the artifact rg"})
    assert made.values == {}
    assert "tagCostCenter: it is static" in told(made)


def test_what_is_not_declared_is_left_out_and_told() -> None:
    made = filled({}, {"colour": "red"})
    assert made.values == {}
    assert "colour: it declares no such parameter" in told(made)


def test_a_declared_parameter_is_passed_also_where_an_artifact_fixes_one_of_its_name() -> None:
    made = filled({"sku": {"type": "string"}}, {"sku": "S1"}, {"sku": "the artifact rg"})
    assert made.values == {"sku": "S1"}


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        ("int", "12", 12),
        ("int", 12, 12),
        ("bool", "True", True),
        ("bool", False, False),
        ("array", "x", ["x"]),
        ("array", ["x"], ["x"]),
        ("object", {"a": 1}, {"a": 1}),
        ("string", 12, "12"),
        ("string", True, "true"),
    ],
)
def test_a_value_becomes_the_declared_type(type_: str, value: Any, expected: Any) -> None:
    assert filled({"x": {"type": type_}}, {"x": value}).values == {"x": expected}


@pytest.mark.parametrize(
    ("type_", "value"),
    [("int", "twelve"), ("int", True), ("bool", "yes"), ("object", "x"), ("string", ["x"]), ("unheard-of", "x")],
)
def test_a_value_of_another_type_is_left_out_and_told(type_: str, value: Any) -> None:
    made = filled({"x": {"type": type_}}, {"x": value})
    assert made.values == {}
    assert f"declared as {type_}" in told(made)


@pytest.mark.parametrize("type_", ["secureString", "SecureObject"])
def test_a_secret_is_never_taken_from_a_document(type_: str) -> None:
    made = filled({"password": {"type": type_}}, {"password": "hunter2"})
    assert made.values == {}
    assert made.missing == ("password",)
    assert "hunter2" not in told(made)


def test_only_allowed_values_are_passed() -> None:
    declared = {"sku": {"type": "string", "allowedValues": ["S1", "S2"]}}
    assert filled(declared, {"sku": "s1"}).values == {"sku": "s1"}
    assert '"S3" is none of the allowed values "S1", "S2"' in told(filled(declared, {"sku": "S3"}))


def test_what_has_no_value_and_no_default_is_missing() -> None:
    declared = {
        "owner": {"type": "string"},
        "sku": {"type": "string", "defaultValue": "S1"},
        "note": {"type": "string", "nullable": True},
    }
    assert filled(declared).missing == ("owner",)


def test_a_variable_that_the_tenant_does_not_have_leaves_the_parameter_out() -> None:
    made = filled({"x": {"type": "string"}}, {"x": "${nobody}"})
    assert made.missing == ("x",)
    assert "${nobody} is neither a variable nor a tag" in told(made)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_malformed_declarations_declare_nothing_and_break_nothing(parameters: Any) -> None:
    for name, declared in declared_of(parameters).items():
        assert isinstance(name, str)
        assert isinstance(declared, Declared)


@given(value=st.text())
def test_a_text_is_passed_as_it_is_unless_it_has_variables(value: str) -> None:
    made = filled({"x": {"type": "string"}}, {"x": value.replace("${", "")})
    assert made.values == {"x": value.replace("${", "")}
