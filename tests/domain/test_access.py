"""Who is invited, added and removed: the rules that keep wanted people in and guesses out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.domain.access import (
    UNDECIDED,
    AccessPlan,
    Found,
    Group,
    Invitation,
    Invitee,
    Known,
    Member,
    Missing,
    Wanted,
    Warn,
    diff,
)
from runner.domain.tenant import Person

ADMIN = Group(alias="admin", name="payments-admin", object_id="G1")
ADOPTED = Group(alias="reader", name="everybody", object_id="G2", adopted=True)
NEW = Group(alias="user", name="payments-user")


def person(name: str, email: str | None = None) -> Person:
    return Person(username=name, email=email, roles=("any",))


def known(name: str, object_id: str | None = None) -> Known:
    return Known(person=name, object_id=object_id or f"id-{name}")


def invitee(name: str, email: str | None = None) -> Invitee:
    address = email or f"{name}@partner.example"
    invitation = Invitation(
        person=name, email=address, display_name=name, redirect_url="https://x.example", send_mail=False
    )
    return Invitee(person=name, invitation=invitation)


def missing(name: str, code: str = "person-not-found") -> Missing:
    return Missing(person=name, warning=Warn(code=code, text=f"{name} was not found."))


def members(*ids: str) -> tuple[Member, ...]:
    return tuple(Member(object_id=each) for each in ids)


def plan(group: Group, found: Sequence[Found], current: Sequence[Member] = ()) -> AccessPlan:
    """The plan for one group that is to hold everybody who was looked up."""
    people = tuple(person(each.person) for each in found)
    return diff(Wanted((group,), {group.alias: people}), {each.person: each for each in found}, {group.alias: current})


def test_who_is_wanted_and_not_there_is_added() -> None:
    result = plan(ADMIN, [known("jane")])
    assert [(each.person, each.object_id, each.group_name) for each in result.additions] == [
        ("jane", "id-jane", "payments-admin")
    ]


def test_who_is_there_and_wanted_stays_whatever_the_capitals_of_the_id() -> None:
    result = plan(ADMIN, [known("jane", "ID-Jane")], members("id-jANE"))
    assert result.empty
    assert result.unchanged == 1


def test_who_is_there_and_not_wanted_leaves() -> None:
    result = plan(ADMIN, [], members("old"))
    assert [(each.object_id, each.group_id) for each in result.removals] == [("old", "G1")]


def test_a_nested_group_leaves_a_group_that_is_owned() -> None:
    result = plan(ADMIN, [], [Member(object_id="nested", kind="group", label="All staff")])
    assert [(each.kind, each.label) for each in result.removals] == [("group", "All staff")]


def test_an_adopted_group_keeps_members_nobody_asked_for() -> None:
    result = plan(ADOPTED, [known("jane")], members("foreign"))
    assert result.removals == ()
    assert [each.person for each in result.additions] == ["jane"]


def test_an_adopted_group_loses_whom_the_runner_put_there_and_nobody_else() -> None:
    wanted = Wanted(groups=(ADOPTED,), people={ADOPTED.alias: ()})
    there = {ADOPTED.alias: (*members("foreign"), *members("OURS"))}
    result = diff(wanted, {}, there, {"G2": ["ours"], "elsewhere": ["foreign"]})
    assert [each.object_id for each in result.removals] == ["OURS"]


def test_a_group_that_does_not_exist_yet_has_nobody_to_lose() -> None:
    result = plan(NEW, [known("jane")], members("left-over"))
    assert result.removals == ()
    assert len(result.additions) == 1


def test_a_person_who_is_not_found_becomes_a_warning() -> None:
    result = plan(ADMIN, [missing("old.name")], members("stranger"))
    assert [warning.code for warning in result.warnings] == ["person-not-found"]
    assert [each.object_id for each in result.removals] == ["stranger"]


@pytest.mark.parametrize("code", sorted(UNDECIDED))
def test_nobody_leaves_while_a_person_of_the_group_could_not_be_told_apart(code: str) -> None:
    result = plan(ADMIN, [missing("jane", code)], [*members("maybe-jane"), Member(object_id="nested", kind="group")])
    assert [each.object_id for each in result.removals] == ["nested"]
    assert [warning.code for warning in result.warnings] == [code, "removals-held-back"]


def test_one_group_with_an_undecided_person_holds_back_nothing_in_another() -> None:
    wanted = Wanted((ADMIN, Group(alias="b", name="b", object_id="G9")), {"admin": (person("jane"),), "b": ()})
    found: dict[str, Found] = {"jane": missing("jane", "several-people-match")}
    result = diff(wanted, found, {"admin": members("x"), "b": members("y")})
    assert [each.object_id for each in result.removals] == ["y"]


def test_a_guest_is_invited_once_and_added_to_each_group() -> None:
    guest = person("lee", "lee@partner.example")
    wanted = Wanted((ADMIN, NEW), {"admin": (guest,), "user": (guest,)})
    result = diff(wanted, {"lee": invitee("lee")}, {})
    assert len(result.invitations) == 1
    assert [(each.alias, each.object_id) for each in result.additions] == [("admin", None), ("user", None)]


def test_an_addition_names_the_invitation_it_waits_for() -> None:
    """The object id of a guest comes from the invitation, which is found by person."""
    guest = person("lee", "lee@partner.example")
    result = diff(Wanted((ADMIN,), {"admin": (guest,)}), {"lee": invitee("lee")}, {})
    assert {each.person for each in result.additions} == {each.person for each in result.invitations}


def test_two_people_with_one_address_are_one_guest() -> None:
    people = (person("lee", "lee@partner.example"), person("lee2", "Lee@Partner.example"))
    found: dict[str, Found] = {
        "lee": invitee("lee", "lee@partner.example"),
        "lee2": invitee("lee2", "Lee@Partner.example"),
    }
    result = diff(Wanted((ADMIN,), {"admin": people}), found, {})
    assert len(result.invitations) == 1
    assert [each.person for each in result.additions] == [result.invitations[0].person]


def test_two_user_names_of_one_person_are_one_member() -> None:
    result = plan(ADMIN, [known("jane", "ID"), known("jane.doe", "id")])
    assert len(result.additions) == 1
    again = plan(ADMIN, [known("jane", "ID"), known("jane.doe", "id")], members("id"))
    assert (again.empty, again.unchanged) == (True, 1)


# --- whatever the world looks like -----------------------------------------------------------------------------------

IDS = st.sampled_from(["a", "B", "c", "D", "e"])
NAMES = st.sampled_from(["n1", "n2", "n3", "n4", "n5", "n6"])
KINDS = st.sampled_from(["user", "group", "servicePrincipal"])
CODES = st.sampled_from(["person-not-found", *sorted(UNDECIDED)])


def results(name: str) -> st.SearchStrategy[Found]:
    return st.one_of(
        IDS.map(lambda each: known(name, each)),
        st.sampled_from(["x@p.example", "X@p.example", "y@p.example"]).map(lambda each: invitee(name, each)),
        CODES.map(lambda code: missing(name, code)),
    )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Wanted, dict[str, Found], dict[str, tuple[Member, ...]]]:
    groups = (
        Group(alias="own", name="own", object_id="G1"),
        Group(alias="adopted", name="adopted", object_id="G2", adopted=True),
        Group(alias="new", name="new"),
    )
    people = {
        group.alias: tuple(person(name) for name in draw(st.lists(NAMES, unique=True, max_size=5))) for group in groups
    }
    found = {name: draw(results(name)) for name in ["n1", "n2", "n3", "n4", "n5", "n6"]}
    ids = st.lists(st.tuples(IDS, KINDS), unique_by=lambda each: each[0].lower(), max_size=5)
    current = {
        alias: tuple(Member.model_validate({"object_id": each.lower(), "kind": kind}) for each, kind in draw(ids))
        for alias in ("own", "adopted")
    }
    return Wanted(groups, people), found, current


def applied(
    result: AccessPlan, wanted: Wanted, found: dict[str, Found], current: dict[str, tuple[Member, ...]]
) -> tuple[Wanted, dict[str, Found], dict[str, tuple[Member, ...]]]:
    """The world after the plan: groups exist, guests are known by the id their invitation gave."""
    guests = {each.person: f"guest-{each.email.casefold()}" for each in result.invitations}
    after = {
        group.alias: {each.object_id.lower(): each for each in current.get(group.alias, ())} for group in wanted.groups
    }
    for gone in result.removals:
        del after[gone.alias][gone.object_id.lower()]
    for added in result.additions:
        object_id = added.object_id or guests[added.person]
        assert object_id.lower() not in after[added.alias], "added twice"
        after[added.alias][object_id.lower()] = Member(object_id=object_id)
    groups = tuple(
        group if group.object_id else group.model_copy(update={"object_id": "made"}) for group in wanted.groups
    )
    known_now: dict[str, Found] = {
        name: known(name, f"guest-{each.invitation.email.casefold()}") if isinstance(each, Invitee) else each
        for name, each in found.items()
    }
    return Wanted(groups, wanted.people), known_now, {alias: tuple(each.values()) for alias, each in after.items()}


@given(worlds())
def test_applying_a_plan_leaves_nothing_to_do(
    world: tuple[Wanted, dict[str, Found], dict[str, tuple[Member, ...]]],
) -> None:
    result = diff(*world)
    assert diff(*applied(result, *world)).empty


@given(worlds())
def test_nobody_who_is_wanted_is_ever_removed_and_adopted_groups_lose_nobody(
    world: tuple[Wanted, dict[str, Found], dict[str, tuple[Member, ...]]],
) -> None:
    wanted, found, current = world
    result = diff(wanted, found, current)
    for gone in result.removals:
        looked_up = [found[each.username] for each in wanted.people[gone.alias]]
        assert gone.alias == "own"
        assert gone.object_id.lower() not in {each.object_id.lower() for each in looked_up if isinstance(each, Known)}
        if gone.kind == "user":
            assert not any(isinstance(each, Missing) and each.warning.code in UNDECIDED for each in looked_up)


@given(worlds())
def test_everybody_wanted_is_a_member_afterwards_or_named_in_a_warning(
    world: tuple[Wanted, dict[str, Found], dict[str, tuple[Member, ...]]],
) -> None:
    wanted, found, current = world
    result = diff(wanted, found, current)
    _, known_now, after = applied(result, wanted, found, current)
    texts = " ".join(warning.text for warning in result.warnings)
    for alias, people in wanted.people.items():
        present = {each.object_id.lower() for each in after[alias]}
        for each in people:
            match known_now[each.username]:
                case Known() as there:
                    assert there.object_id.lower() in present
                case _:
                    assert each.username in texts
