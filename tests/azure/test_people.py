"""The rules of look-up, without any directory: what must hold for every person and every answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.azure.graph import quoted
from runner.azure.people import (
    Account,
    HomeAccount,
    Sought,
    as_guest,
    at_home,
    guest_name,
    invited,
    read_account,
    sought,
)
from runner.domain.access import Invitee, Known, Missing
from runner.domain.platform import B2bUserInvitation
from runner.domain.tenant import Person

ATTRIBUTES = ("userPrincipalName", "mail", "employeeId")
words = st.text(st.sampled_from("abAB@.'#é"), min_size=1, max_size=6)


def person(**more: Any) -> Person:
    return Person.model_validate({"username": "jane", "roles": ["reader"], **more})


@st.composite
def accounts(draw: st.DrawFn) -> Account:
    return Account(
        object_id=draw(st.sampled_from("123456")),
        principal_name=draw(words),
        mail=draw(words | st.just("")),
        employee_id=draw(words | st.just("")),
        enabled=draw(st.booleans()),
        guest=draw(st.booleans()),
    )


homes = st.lists(st.builds(HomeAccount, st.sampled_from(["one", "two"]), accounts()), max_size=4)
values = st.builds(Sought, st.sampled_from(ATTRIBUTES), words, exact=st.booleans())


@given(values, homes)
def test_an_account_is_only_ever_taken_when_it_alone_fits(wanted: Sought, found: list[HomeAccount]) -> None:
    result = at_home(person(), wanted, found)

    fitting = [home for home in found if wanted.fits(home.account)]
    fitting = [home for home in fitting if not home.account.external] or fitting
    if isinstance(result, HomeAccount):
        assert fitting == [result]
        assert result.account.enabled
    elif len(fitting) > 1:
        assert isinstance(result, Missing)
        assert result.warning.code == "several-people-match"
    else:
        assert not any(home.account.enabled for home in fitting)


@given(words, homes)
def test_an_external_id_never_fits_in_other_letters(value: str, found: list[HomeAccount]) -> None:
    result = at_home(person(euid=value), Sought("employeeId", value, exact=True), found)

    if isinstance(result, HomeAccount):
        assert result.account.employee_id == value


@given(homes, st.lists(accounts(), max_size=4))
def test_a_guest_is_only_ever_an_external_account(found: list[HomeAccount], candidates: list[Account]) -> None:
    home = found[0] if found else None
    result = as_guest(person(email="a@b"), home, candidates)

    if isinstance(result, Known):
        chosen = [account for account in candidates if account.object_id == result.object_id]
        assert any(account.external or (home and account.object_id == home.account.object_id) for account in chosen)


@given(st.text(max_size=40))
def test_a_quoted_value_cannot_leave_its_quotes(value: str) -> None:
    literal = quoted(value)

    assert literal[0] == literal[-1] == "'"
    assert literal[1:-1].replace("''", "").count("'") == 0
    assert literal[1:-1].replace("''", "'") == value


@pytest.mark.parametrize(
    ("look_up_by", "given_person", "expected"),
    [
        ("userPrincipalName", {}, Sought("userPrincipalName", "jane", exact=False)),
        ("userPrincipalName", {"euid": "J"}, Sought("userPrincipalName", "J", exact=True)),
        ("email", {"email": "j@x"}, Sought("mail", "j@x", exact=False)),
        ("email", {"email": "j@x", "euid": "J"}, Sought("mail", "J", exact=True)),
        ("email", {"euid": "J"}, Sought("mail", "J", exact=True)),
        ("email", {}, None),
        ("externalId", {"euid": "J"}, Sought("employeeId", "J", exact=True)),
        ("externalId", {"email": "j@x"}, None),
    ],
)
def test_each_strategy_looks_for_its_own_value(
    look_up_by: Any, given_person: dict[str, str], expected: Sought | None
) -> None:
    assert sought(person(**given_person), look_up_by) == expected


@pytest.mark.parametrize(
    ("user", "external"),
    [
        ({"userType": "Guest"}, True),
        ({"userPrincipalName": "jane_x.example#EXT#@workload.example"}, True),
        ({"externalUserState": "PendingAcceptance", "userType": "Member"}, True),
        ({"userType": "Member", "userPrincipalName": "jane@workload.example"}, False),
        ({"userType": None, "externalUserState": None}, False),
    ],
)
def test_who_signs_in_elsewhere_is_external(user: dict[str, Any], external: bool) -> None:
    assert read_account({"id": "1", **user}).external is external


@pytest.mark.parametrize(
    ("issuer", "name", "matches"),
    [
        ("home-tenant", "OBJECT-ID", True),
        ("home-tenant", "jane@corp.example", True),
        ("corp.example", "object-id", True),
        ("ExternalAzureAD", "object-id", True),
        ("another-tenant", "object-id", False),
        ("home-tenant", "another", False),
        ("ExternalAzureAD", None, False),
    ],
)
def test_a_home_identity_is_issuer_and_name_together(issuer: str, name: str | None, matches: bool) -> None:
    home = HomeAccount("Home-Tenant", Account("object-id", principal_name="jane@corp.example"))
    guest = read_account({"id": "1", "identities": [{"issuer": issuer, "issuerAssignedId": name}]})

    assert guest.is_of(home) is matches


def test_an_account_with_nothing_set_is_like_nobody() -> None:
    empty = read_account({"id": "1", "mail": None, "otherMails": None, "identities": None, "employeeId": None})

    assert empty.enabled
    assert not empty.has_address("")
    assert not empty.is_of(HomeAccount("", Account("")))


def test_a_guests_made_up_name_is_no_address() -> None:
    guest = Account("1", principal_name="jane_x.example#EXT#@corp.example", mail="jane@x.example")

    assert HomeAccount("corp.example", guest).addresses == ("jane@x.example",)


def test_the_same_account_under_another_name_of_the_tenant_is_the_person() -> None:
    account = Account("object-id", principal_name="jane@corp.example")

    found = as_guest(person(), HomeAccount("corp.example", account), [account])

    assert isinstance(found, Known)
    assert found.object_id == "object-id"


def test_a_guests_name_is_made_from_the_invited_address() -> None:
    assert guest_name("jane.doe@corp.example") == "jane.doe_corp.example#EXT#@"


@pytest.mark.parametrize(
    ("given_person", "display_name"),
    [({"firstName": "Jane", "lastName": "Doe"}, "Jane Doe"), ({"firstName": "Jane"}, "Jane"), ({}, "j@x")],
)
def test_an_invitation_is_addressed_to_a_name(given_person: dict[str, str], display_name: str) -> None:
    found = invited(person(email="j@x", **given_person), None, B2bUserInvitation())

    assert isinstance(found, Invitee)
    assert found.invitation.display_name == display_name
    assert found.invitation.redirect_url == "https://portal.azure.com"


def test_the_homes_own_name_of_a_person_is_used_in_the_invitation() -> None:
    home = HomeAccount("home", Account("1", principal_name="jane@corp.example", display_name="Doe, Jane"))

    found = invited(person(firstName="J"), home, B2bUserInvitation())

    assert isinstance(found, Invitee)
    assert found.invitation.display_name == "Doe, Jane"
