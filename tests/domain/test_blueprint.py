"""Which version of a blueprint a tenant gets, and what Azure Blueprints still does at which date."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.domain.blueprint import Blueprint, Published, choose, definition_id
from runner.domain.retirement import Phase, phase

NAMES = st.text(alphabet="abcdefv0123456789.-", min_size=1, max_size=6)
BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)


@st.composite
def published(draw: st.DrawFn) -> list[Published]:
    """Versions in any order, none of them named twice, each published at a time of its own."""
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique_by=str.lower))
    minutes = draw(st.permutations(range(len(names))))
    return [Published(name, BEGINNING + timedelta(minutes=at)) for name, at in zip(names, minutes, strict=True)]


def blueprint(most: str | None = None) -> Blueprint:
    return Blueprint(name="lz", location="westeurope", max_auto_upgrade_version=most)


def latest(versions: list[Published]) -> str:
    return max(versions, key=lambda version: version.at).name


@given(versions=published(), most=st.none() | NAMES)
def test_a_new_tenant_gets_what_was_published_last_whatever_the_maximum(
    versions: list[Published], most: str | None
) -> None:
    choice = choose(blueprint(most), versions, None)
    assert choice.version == latest(versions)
    assert not choice.older


@given(versions=published(), data=st.data())
def test_an_assigned_tenant_moves_to_the_maximum_and_only_there(versions: list[Published], data: st.DataObject) -> None:
    current = data.draw(st.sampled_from(versions))
    most = data.draw(st.sampled_from(versions))
    choice = choose(blueprint(most.name), versions, current.name)
    assert choice.version == most.name
    assert choice.older is (most.at < current.at)
    assert choice.warnings == ()


@given(versions=published(), data=st.data())
def test_without_a_maximum_an_assigned_tenant_stays(versions: list[Published], data: st.DataObject) -> None:
    current = data.draw(st.sampled_from(versions))
    assert choose(blueprint(), versions, current.name).version == current.name


@given(versions=published(), data=st.data())
def test_a_maximum_that_nobody_published_moves_nothing_and_is_told(
    versions: list[Published], data: st.DataObject
) -> None:
    current = data.draw(st.sampled_from(versions))
    unknown = data.draw(NAMES.filter(lambda name: name.lower() not in {one.name.lower() for one in versions}))
    choice = choose(blueprint(unknown), versions, current.name)
    assert (choice.version, choice.older) == (current.name, False)
    assert [warning.code for warning in choice.warnings] == ["blueprint-version-unknown"]


@given(versions=published(), data=st.data())
def test_the_choice_is_stable(versions: list[Published], data: st.DataObject) -> None:
    """Once a tenant has the chosen version, the next run chooses the same, but for a new tenant above the maximum."""
    most = data.draw(st.sampled_from(versions)).name
    current = data.draw(st.sampled_from(versions)).name
    first = choose(blueprint(most), versions, current).version
    assert choose(blueprint(most), versions, first).version == first


def test_capitals_of_a_version_do_not_count() -> None:
    versions = [Published("V1", BEGINNING), Published("V2", BEGINNING + timedelta(days=1))]
    assert choose(blueprint("v2"), versions, "v1").version == "V2"


def test_a_current_version_that_is_not_published_any_more_is_kept_as_long_as_nothing_else_is_asked_for() -> None:
    assert choose(blueprint(), [Published("v2", BEGINNING)], "v1").version == "v1"
    assert choose(blueprint("v2"), [Published("v2", BEGINNING)], "v1").version == "v2"


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-10-30T23:59:59+00:00", Phase.OPEN),
        ("2026-10-31T00:00:00+00:00", Phase.NO_NEW),
        ("2026-12-31T23:59:59+00:00", Phase.NO_NEW),
        ("2027-01-01T00:00:00+00:00", Phase.FROZEN),
        ("2027-01-30T23:59:59+00:00", Phase.FROZEN),
        ("2027-01-31T00:00:00+00:00", Phase.GONE),
        ("2027-01-31T01:00:00+02:00", Phase.FROZEN),
    ],
)
def test_azure_blueprints_ends_in_steps(moment: str, expected: Phase) -> None:
    assert phase(datetime.fromisoformat(moment)) is expected


def test_a_blueprint_lies_in_the_zones_management_group_or_in_its_own() -> None:
    inside = definition_id(blueprint(), "corp")
    assert inside == "/providers/Microsoft.Management/managementGroups/corp/providers/Microsoft.Blueprint/blueprints/lz"
    elsewhere = Blueprint(name="lz", management_group_id="shared")
    assert "/managementGroups/shared/" in definition_id(elsewhere, "corp")
