"""What roles allow, and where grants reach."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.domain.actor import Act, Actor, Grant, Role, may, may_anywhere, may_everywhere, not_allowed, places

_NAMES = st.lists(st.sampled_from(["corp", "lab", "acme", "beta"]), max_size=2).map(tuple)
_GRANTS = st.lists(st.builds(Grant, role=st.sampled_from(Role), zones=_NAMES, workspaces=_NAMES), max_size=3).map(tuple)


def _with(*grants: Grant) -> Actor:
    return Actor(id="oidc:https://id.example#1", name="Ada", grants=grants, person=True)


def test_a_role_allows_what_it_is_for_and_nothing_else() -> None:
    allowed = {
        role: {act for act in Act if may(_with(Grant(role=role)), act, zone="z", workspace="w")} for role in Role
    }
    assert allowed == {
        Role.VIEWER: {Act.LOOK},
        Role.OPERATOR: {Act.LOOK, Act.OPERATE},
        Role.APPROVER: {Act.LOOK, Act.APPROVE},
        Role.ADMIN: set(Act),
    }


def test_a_grant_reaches_only_its_zones_and_workspaces() -> None:
    actor = _with(Grant(role=Role.APPROVER, zones=("corp",), workspaces=("acme",)), Grant(role=Role.VIEWER))
    assert may(actor, Act.APPROVE, zone="corp", workspace="acme")
    assert not may(actor, Act.APPROVE, zone="corp", workspace="beta")
    assert not may(actor, Act.APPROVE, zone="lab", workspace="acme")
    assert may(actor, Act.LOOK, zone="lab", workspace="beta")
    assert may_everywhere(actor, Act.LOOK)
    assert not may_everywhere(actor, Act.APPROVE)


def test_whoever_was_granted_nothing_may_nothing() -> None:
    assert not any(may_anywhere(_with(), act) for act in Act)
    assert "none" in not_allowed(_with(), Act.LOOK, "runs").detail


@given(grants=_GRANTS, act=st.sampled_from(Act), zone=st.sampled_from(["corp", "x"]), workspace=st.just("acme"))
def test_another_grant_never_takes_anything_away(
    grants: tuple[Grant, ...], act: Act, zone: str, workspace: str
) -> None:
    for number in range(len(grants)):
        fewer = _with(*grants[:number])
        if may(fewer, act, zone=zone, workspace=workspace):
            assert may(_with(*grants), act, zone=zone, workspace=workspace)


@given(
    grants=_GRANTS,
    act=st.sampled_from(Act),
    zone=st.sampled_from(["corp", "x"]),
    workspace=st.sampled_from(["acme", "y"]),
)
def test_lists_are_narrowed_to_exactly_what_may_be_done(
    grants: tuple[Grant, ...], act: Act, zone: str, workspace: str
) -> None:
    reached = any(grant.reaches(zone, workspace) for grant in places(_with(*grants), act))
    assert reached is may(_with(*grants), act, zone=zone, workspace=workspace)
