"""What is well, what is to be watched and what is to be mended; and that every fix says what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.domain import diagnosis, permissions
from runner.domain.azure_actions import Granted
from runner.domain.diagnosis import Check, State
from runner.domain.permissions import When, Where

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
CONDITIONS = frozenset({When.ALWAYS, When.RESOURCE_GROUPS, When.LEAVING})
NEEDS = permissions.needed(Where.SUBSCRIPTION, CONDITIONS)


@pytest.mark.parametrize(
    ("left", "state", "words"),
    [
        (timedelta(days=31), State.OK, "good until 2026-12-02"),
        (timedelta(days=30), State.WARNING, "in 30 days"),
        (timedelta(days=1, hours=1), State.WARNING, "in 1 day"),
        (timedelta(hours=3), State.WARNING, "less than a day"),
        (timedelta(0), State.WRONG, "ended on 2026-11-01"),
        (timedelta(days=-400), State.WRONG, "ended on"),
    ],
)
def test_a_credential_is_warned_of_a_month_before_it_ends(left: timedelta, state: State, words: str) -> None:
    found = diagnosis.of_expiry("client secret", NOW + left, now=NOW, renew="az make another")
    assert found.state is state
    assert words in found.text
    assert (found.fix == "az make another") == (state is not State.OK)


@given(st.timedeltas(min_value=timedelta(days=-9999), max_value=timedelta(days=9999)))
def test_a_credential_never_gets_better_by_waiting(left: timedelta) -> None:
    order = [State.OK, State.WARNING, State.WRONG]
    today = diagnosis.of_expiry("certificate", NOW + left, now=NOW, renew="x").state
    tomorrow = diagnosis.of_expiry("certificate", NOW + left, now=NOW + timedelta(days=1), renew="x").state
    assert order.index(today) <= order.index(tomorrow)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_clock_that_is_more_than_five_minutes_off_breaks_tokens(minutes: int) -> None:
    found = diagnosis.of_clock(timedelta(minutes=minutes))
    assert found.state is State.WRONG
    assert ("ahead of" if minutes > 0 else "behind") in found.text
    assert diagnosis.of_clock(timedelta(minutes=minutes) * 0.8).state is State.OK


def test_missing_actions_are_named_with_the_narrowest_built_in_roles_that_have_them() -> None:
    found = diagnosis.of_actions(NEEDS, [Granted(("*/read",))], scope="/subscriptions/1", assignee="--assignee oid")
    assert found.state is State.WRONG
    assert "Microsoft.Authorization/roleAssignments/write (giving roles to groups)" in found.text
    assert "/read" not in found.text
    assert "--role 'User Access Administrator' --scope /subscriptions/1" in found.fix
    assert "--role Reader" not in found.fix


def test_what_only_a_leaving_tenant_needs_is_a_warning() -> None:
    all_but_one = Granted(("*",), ("Microsoft.Resources/subscriptions/resourceGroups/delete",))
    found = diagnosis.of_actions(NEEDS, [all_but_one], scope="/subscriptions/1", assignee="--assignee oid")
    assert found.state is State.WARNING


def test_names_in_commands_are_quoted() -> None:
    found = diagnosis.of_actions(NEEDS, [], scope="/a b;rm -rf /", assignee="--assignee oid")
    assert "'/a b;rm -rf /'" in found.fix


def test_a_managed_identity_is_given_graph_roles_another_way_than_an_application() -> None:
    lacking = permissions.needed(Where.GRAPH, {When.NO_UNIT})
    application = diagnosis.of_graph_roles(lacking, lacking, client_id="abc")
    assert "az ad app permission add --id abc" in application.fix
    assert "7ab1d382-f21e-4acd-a863-ba3e13f7da61=Role" in application.fix
    assert "admin-consent" in application.fix
    assert "az ad app" not in diagnosis.of_graph_roles(lacking, lacking, client_id=None).fix


class TestFunction:
    def test_without_the_role_all_documented_pitfalls_are_named(self) -> None:
        found = diagnosis.of_function([], version="1.0", accepted=None, offers=["Access"], restricted=True)
        assert found.state is State.WRONG
        for words in ("SPP-Access", "admin consent", "accessTokenAcceptedVersion", "Terraform"):
            assert words in found.fix
        assert "appRoles" not in found.fix

    def test_an_application_that_offers_no_such_role_is_told_to(self) -> None:
        found = diagnosis.of_function([], version="1.0", accepted=None, offers=["Other"], restricted=True)
        assert "appRoles" in found.fix

    def test_an_application_that_lets_everybody_in_is_a_warning(self) -> None:
        found = diagnosis.of_function(["Access"], version="2.0", accepted=2, offers=["Access"], restricted=False)
        assert found.state is State.WARNING
        assert "Assignment required" in found.fix

    def test_what_cannot_be_read_is_not_held_against_it(self) -> None:
        found = diagnosis.of_function(["Access"], version="1.0", accepted=None, offers=None, restricted=None)
        assert found.state is State.OK
        assert "accessTokenAcceptedVersion" in found.text


@pytest.mark.parametrize("state", State)
def test_only_what_is_wrong_makes_the_whole_fail(state: State) -> None:
    assert diagnosis.healthy([Check("a", "b", state, "c")]) is (state is not State.WRONG)
