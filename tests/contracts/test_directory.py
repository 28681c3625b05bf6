"""The Directory port: what the in-memory double and Entra (on the sandbox's Azure) both promise."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest

from runner.azure.connect import Connections
from runner.domain.access import Found, Invitation, Invitee, Known, Member, Missing
from runner.domain.platform import B2bUserInvitation
from runner.domain.tenant import Person
from runner.network.way_out import Network
from runner.ports import Directory
from runner.sandbox.azure.server import Sandbox
from tests.azure.scenes import INVITES, SERVICE_PRINCIPAL, WORKLOAD, Group, Scene, platform_at, seed_of
from tests.doubles.directory import LookUpBy, MemoryDirectory, User
from tests.doubles.invitations import MemoryInvitations


class Stage(Protocol):
    """Somewhere the scene is played."""

    def play(self, scene: Scene) -> Directory: ...

    def sent(self) -> list[tuple[str, bool, str]]:
        """The invitations that went out: address, whether mailed, where the link leads."""


class MemoryStage:
    def play(self, scene: Scene) -> Directory:
        self._directory = MemoryDirectory(
            look_up_by=scene.look_up_by, invitation=scene.invitation, homes=scene.home, users=list(scene.users)
        )
        for group in scene.groups:
            self._directory.names[group.id] = group.name
            members = [
                *(Member(object_id=found, kind="user") for found in group.users),
                *(Member(object_id=found, kind="group") for found in group.groups),
                *(Member(object_id=found, kind="servicePrincipal") for found in group.applications),
            ]
            self._directory.groups[group.id] = {member.object_id: member for member in members}
        return self._directory

    def sent(self) -> list[tuple[str, bool, str]]:
        return [(found.email, found.send_mail, found.redirect_url) for found in self._directory.sent]


class EntraStage:
    def __init__(self, sandbox: Sandbox, opened: ExitStack) -> None:
        self._sandbox = sandbox
        self._opened = opened

    def play(self, scene: Scene) -> Directory:
        self._sandbox.world.seed(seed_of(scene) | {"pageSize": 3})
        network = Network(ca_file=self._sandbox.ca_file)
        connections = self._opened.enter_context(
            Connections(network=network, secret=lambda reference: "secret", invitations=MemoryInvitations())
        )
        platform = platform_at(self._sandbox.url, scene)
        return connections.connect(platform, stop=threading.Event(), sleep=lambda seconds: None).directory

    def sent(self) -> list[tuple[str, bool, str]]:
        sent = self._sandbox.world.directories[WORKLOAD].invitations
        return [(found.mail, found.mail_sent, found.redirect_url) for found in sent]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture(params=["memory", "entra"])
def stage(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Stage]:
    with ExitStack() as opened:
        yield MemoryStage() if request.param == "memory" else EntraStage(sandbox, opened)


def person(username: str, **more: Any) -> Person:
    return Person(username=username, roles=("reader",), **more)


def found_by(directory: Directory, someone: Person) -> Found:
    return directory.look_up([someone])[someone.username]


def missing(found: Found) -> str:
    assert isinstance(found, Missing)
    assert found.warning.text
    return found.warning.code


JANE = User("jane@corp.example", mail="jane.doe@corp.example", employee_id="E1")


# --- at home ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("look_up_by", "someone"),
    [
        ("userPrincipalName", person("jane@corp.example")),
        ("userPrincipalName", person("JANE@corp.example")),
        ("userPrincipalName", person("jdoe", euid="jane@corp.example")),
        ("email", person("jdoe", email="jane.doe@corp.example")),
        ("email", person("jdoe", email="Jane.Doe@Corp.example")),
        ("email", person("jdoe", euid="jane.doe@corp.example")),
        ("email", person("jdoe", email="private@mail.example", euid="jane.doe@corp.example")),
        ("externalId", person("jdoe", euid="E1")),
    ],
)
def test_a_person_of_the_workload_tenant_is_found_by_the_platforms_strategy(
    look_up_by: LookUpBy, someone: Person, stage: Stage
) -> None:
    directory = stage.play(Scene(users=[JANE], look_up_by=look_up_by))

    found = found_by(directory, someone)

    assert isinstance(found, Known)
    assert (found.object_id, found.pending_guest) == (JANE.id, False)


@pytest.mark.parametrize("look_up_by", ["userPrincipalName", "email", "externalId"])
@pytest.mark.parametrize("invitation", [None, INVITES], ids=["inviting", "not inviting"])
def test_an_external_id_that_differs_in_case_only_is_a_warning_that_names_what_was_found(
    look_up_by: LookUpBy, invitation: B2bUserInvitation | None, stage: Stage
) -> None:
    directory = stage.play(Scene(users=[JANE], look_up_by=look_up_by, invitation=invitation))

    found = found_by(directory, person("jdoe", email=JANE.mail, euid=JANE.value(look_up_by).swapcase()))

    assert missing(found) == "external-id-differs-in-case"
    assert isinstance(found, Missing)
    assert JANE.value(look_up_by) in found.warning.text


def test_a_person_who_is_not_found_becomes_a_warning(stage: Stage) -> None:
    directory = stage.play(Scene(users=[JANE], invitation=None))

    assert missing(found_by(directory, person("nobody@corp.example"))) == "person-not-found"


@pytest.mark.parametrize("look_up_by", ["email", "externalId"])
def test_a_person_without_what_the_strategy_needs_becomes_a_warning(look_up_by: LookUpBy, stage: Stage) -> None:
    directory = stage.play(Scene(users=[JANE], look_up_by=look_up_by, invitation=None))

    assert missing(found_by(directory, person("jane@corp.example"))) == "person-without-look-up-value"


def test_a_disabled_account_gets_no_access(stage: Stage) -> None:
    disabled = User("jane@corp.example", enabled=False)
    directory = stage.play(Scene(users=[disabled]))

    assert missing(found_by(directory, person("jane@corp.example"))) == "account-disabled"


def test_several_accounts_are_a_warning_and_never_a_guess(stage: Stage) -> None:
    twins = [User(f"jane{number}@corp.example", mail="jane@corp.example") for number in (1, 2)]
    directory = stage.play(Scene(users=twins, look_up_by="email"))

    assert missing(found_by(directory, person("jane", email="jane@corp.example"))) == "several-people-match"


def test_accounts_in_several_home_tenants_are_a_warning(stage: Stage) -> None:
    home = {"corp.example": [JANE], "partner.example": [User("j@partner.example", employee_id="E1")]}
    directory = stage.play(Scene(home=home, look_up_by="externalId"))

    assert missing(found_by(directory, person("jdoe", euid="E1"))) == "several-people-match"


def test_who_is_a_guest_in_one_home_tenant_is_at_home_in_the_other(stage: Stage) -> None:
    guest = User("jane.doe@corp.example", mail="jane.doe@corp.example", guest=True)
    home = {"partner.example": [guest], "corp.example": [JANE]}
    directory = stage.play(Scene(home=home, look_up_by="email"))

    found = found_by(directory, person("jdoe", email="jane.doe@corp.example"))

    assert isinstance(found, Invitee)
    assert found.invitation.email == "jane.doe@corp.example"


def test_values_with_signs_that_mean_something_are_looked_up_as_they_are(stage: Stage) -> None:
    odd = [
        "o'neill@corp.example",
        "a+b&c=d@corp.example",
        "50%#?/@corp.example",
        "müller@corp.example",
        "x' or 'a' eq 'a",
    ]
    users = [User(f"user{place}@corp.example", mail=mail) for place, mail in enumerate(odd[:-1])]
    directory = stage.play(Scene(users=users, look_up_by="email", invitation=None))

    found = directory.look_up([person(f"p{place}", euid=mail) for place, mail in enumerate(odd)])

    for place, user in enumerate(users):
        one = found[f"p{place}"]
        assert isinstance(one, Known)
        assert one.object_id == user.id
    assert missing(found["p4"]) == "person-not-found"


def test_many_people_are_looked_up_at_once(stage: Stage) -> None:
    users = [User(f"user{number}@corp.example") for number in range(70)]
    directory = stage.play(Scene(home={"corp.example": users}))

    found = directory.look_up([person(user.name) for user in users])

    assert len(found) == 70
    assert all(isinstance(one, Invitee) for one in found.values())


def test_nobody_asked_for_nobody_found(stage: Stage) -> None:
    assert stage.play(Scene()).look_up([]) == {}


# --- guests ----------------------------------------------------------------------------------------------------------


def test_a_person_from_home_who_is_not_there_is_to_be_invited(stage: Stage) -> None:
    directory = stage.play(Scene(home={"corp.example": [JANE]}))

    found = found_by(directory, person("jane@corp.example", first_name="Jane", email="private@mail.example"))

    assert isinstance(found, Invitee)
    assert found.invitation.email == "jane.doe@corp.example"
    assert found.invitation.redirect_url == "https://portal.example/welcome"
    assert not found.invitation.send_mail
    assert stage.sent() == []


def test_without_a_mailbox_the_sign_in_name_at_home_is_invited(stage: Stage) -> None:
    directory = stage.play(Scene(home={"corp.example": [User("adm-jane@corp.example")]}))

    found = found_by(directory, person("adm-jane@corp.example", email="private@mail.example"))

    assert isinstance(found, Invitee)
    assert found.invitation.email == "adm-jane@corp.example"


@pytest.mark.parametrize("pending", [False, True])
@pytest.mark.parametrize(
    "guest",
    [
        User("jane.doe@corp.example", mail="jane.doe@corp.example", guest=True),
        User("jane.doe@corp.example", mail="JANE.DOE@corp.example", guest=True),
        User("other@x.example", mail="other@x.example", other_mails=("jane.doe@corp.example",), guest=True),
        User("old-name@corp.example", mail="old-name@corp.example", home=JANE.id, guest=True),
        User("jane@corp.example", mail="jane@corp.example", guest=True),
    ],
    ids=["mail", "mail in other letters", "other mail", "home identity", "sign-in name"],
)
def test_an_existing_guest_is_found_again_also_while_pending(guest: User, pending: bool, stage: Stage) -> None:
    there = User(**{**vars(guest), "pending": pending})
    directory = stage.play(Scene(home={"corp.example": [JANE]}, users=[there]))

    found = found_by(directory, person("jane@corp.example"))

    assert isinstance(found, Known)
    assert (found.object_id, found.pending_guest) == (there.id, pending)


def test_the_home_identity_decides_between_guests_with_one_address(stage: Stage) -> None:
    right = User("jane.old@corp.example", mail="jane.old@corp.example", home=JANE.id, guest=True)
    wrong = User("jane.doe@corp.example", mail="jane.doe@corp.example", guest=True)
    directory = stage.play(Scene(home={"corp.example": [JANE]}, users=[right, wrong]))

    found = found_by(directory, person("jane@corp.example"))

    assert isinstance(found, Known)
    assert found.object_id == right.id


def test_several_guests_are_a_warning_and_never_a_guess(stage: Stage) -> None:
    guests = [
        User("one@x.example", mail="one@x.example", other_mails=("jane.doe@corp.example",), guest=True),
        User("jane.doe@corp.example", mail="jane.doe@corp.example", guest=True),
    ]
    directory = stage.play(Scene(home={"corp.example": [JANE]}, users=guests))

    assert missing(found_by(directory, person("jane@corp.example"))) == "several-people-match"


def test_an_account_of_the_workload_tenant_itself_is_nobodys_guest(stage: Stage) -> None:
    local = User("jane@workload.example", mail="jane.doe@corp.example")
    directory = stage.play(Scene(home={"corp.example": [JANE]}, users=[local]))

    assert missing(found_by(directory, person("jane@corp.example"))) == "address-belongs-to-member"


def test_a_disabled_guest_gets_no_access(stage: Stage) -> None:
    guest = User("jane.doe@corp.example", mail="jane.doe@corp.example", guest=True, enabled=False)
    directory = stage.play(Scene(home={"corp.example": [JANE]}, users=[guest]))

    assert missing(found_by(directory, person("jane@corp.example"))) == "account-disabled"


def test_somebody_disabled_at_home_is_not_invited(stage: Stage) -> None:
    directory = stage.play(Scene(home={"corp.example": [User("jane@corp.example", enabled=False)]}))

    assert missing(found_by(directory, person("jane@corp.example"))) == "account-disabled"


def test_a_platform_that_invites_nobody_warns(stage: Stage) -> None:
    directory = stage.play(Scene(home={"corp.example": [JANE]}, invitation=None))

    assert missing(found_by(directory, person("jane@corp.example"))) == "guest-not-invited"


def test_somebody_whom_no_home_tenant_knows_is_not_invited(stage: Stage) -> None:
    directory = stage.play(Scene(home={"corp.example": [JANE]}))

    assert missing(found_by(directory, person("x", email="x@elsewhere.example"))) == "person-not-found"


def test_without_home_tenants_whoever_is_missing_is_invited(stage: Stage) -> None:
    directory = stage.play(Scene(users=[JANE]))

    found = found_by(directory, person("x", email="x@elsewhere.example"))

    assert isinstance(found, Invitee)
    assert found.invitation.email == "x@elsewhere.example"


def test_somebody_flagged_as_a_guest_needs_no_home_and_always_gets_the_mail(stage: Stage) -> None:
    directory = stage.play(Scene(home={"corp.example": [JANE]}))

    outsider = found_by(directory, person("x", email="x@elsewhere.example", guest=True))
    insider = found_by(directory, person("jane@corp.example", guest=True))

    assert isinstance(outsider, Invitee)
    assert (outsider.invitation.email, outsider.invitation.send_mail) == ("x@elsewhere.example", True)
    assert isinstance(insider, Invitee)
    assert (insider.invitation.email, insider.invitation.send_mail) == ("jane.doe@corp.example", True)


def test_the_platform_may_send_the_mail_to_everybody(stage: Stage) -> None:
    mails = B2bUserInvitation(redirect_url="https://portal.example", send_azure_invitation_mail=True)
    directory = stage.play(Scene(home={"corp.example": [JANE]}, invitation=mails))

    found = found_by(directory, person("jane@corp.example"))

    assert isinstance(found, Invitee)
    assert found.invitation.send_mail


def test_a_guest_without_a_mail_cannot_be_invited(stage: Stage) -> None:
    directory = stage.play(Scene())

    assert missing(found_by(directory, person("x", guest=True))) == "guest-without-mail"


@pytest.mark.parametrize("mailed", [False, True])
def test_an_invitation_is_sent_as_reviewed(mailed: bool, stage: Stage) -> None:
    directory = stage.play(Scene())

    guest = directory.invite(invitation_to("x@elsewhere.example", mailed=mailed))

    assert stage.sent() == [("x@elsewhere.example", mailed, "https://portal.example/welcome")]
    found = found_by(directory, person("x", email="x@elsewhere.example", guest=True))
    assert isinstance(found, Known)
    assert (found.object_id, found.pending_guest) == (guest, True)


@pytest.mark.parametrize("pending", [False, True])
def test_a_guest_who_is_there_is_never_invited_twice(pending: bool, stage: Stage) -> None:
    guest = User("x@elsewhere.example", mail="X@elsewhere.example", guest=True, pending=pending)
    directory = stage.play(Scene(users=[guest]))

    assert directory.invite(invitation_to("x@elsewhere.example")) == guest.id
    assert stage.sent() == []


def test_inviting_again_sends_nothing_again(stage: Stage) -> None:
    directory = stage.play(Scene())

    first = directory.invite(invitation_to("x@elsewhere.example"))

    assert directory.invite(invitation_to("x@elsewhere.example")) == first
    assert len(stage.sent()) == 1


def invitation_to(email: str, *, mailed: bool = False) -> Invitation:
    return Invitation(
        person="x", email=email, display_name="X", redirect_url="https://portal.example/welcome", send_mail=mailed
    )


# --- groups ----------------------------------------------------------------------------------------------------------


def test_groups_are_found_by_name(stage: Stage) -> None:
    groups = [Group("ws.project-reader"), Group("it's & co"), Group("other")]
    directory = stage.play(Scene(groups=groups))

    found = directory.groups_named(["ws.project-reader", "it's & co", "WS.project-READER", "none"])

    assert found["ws.project-reader"] == groups[0].id
    assert found["it's & co"] == groups[1].id
    assert "none" not in found


def test_all_members_of_every_kind_are_seen(stage: Stage) -> None:
    users = [User(f"user{number}@corp.example") for number in range(10)]
    nested = Group("nested")
    group = Group("group", users=[user.id for user in users], groups=[nested.id], applications=[SERVICE_PRINCIPAL])
    directory = stage.play(Scene(users=users, groups=[nested, group]))

    kinds = {member.object_id: member.kind for member in directory.members(group.id)}

    assert kinds == {**{user.id: "user" for user in users}, nested.id: "group", SERVICE_PRINCIPAL: "servicePrincipal"}


def test_a_group_that_does_not_exist_has_no_members(stage: Stage) -> None:
    assert stage.play(Scene()).members(str(uuid.uuid4())) == ()


def test_a_member_is_added_once_however_often_it_is_asked_for(stage: Stage) -> None:
    group = Group("group")
    directory = stage.play(Scene(users=[JANE], groups=[group]))

    directory.add_member(group.id, JANE.id)
    directory.add_member(group.id, JANE.id)

    assert [member.object_id for member in directory.members(group.id)] == [JANE.id]


def test_a_member_is_removed_and_stays_in_the_directory(stage: Stage) -> None:
    group = Group("group", users=[JANE.id])
    directory = stage.play(Scene(users=[JANE], groups=[group]))

    directory.remove_member(group.id, JANE.id)
    directory.remove_member(group.id, JANE.id)

    assert directory.members(group.id) == ()
    assert isinstance(found_by(directory, person(JANE.name)), Known)


def test_removing_from_a_group_that_is_gone_is_fine(stage: Stage) -> None:
    stage.play(Scene()).remove_member(str(uuid.uuid4()), JANE.id)


def test_nested_groups_and_applications_are_removed_alike(stage: Stage) -> None:
    nested = Group("nested")
    group = Group("group", groups=[nested.id], applications=[SERVICE_PRINCIPAL])
    directory = stage.play(Scene(groups=[nested, group]))

    for member in directory.members(group.id):
        directory.remove_member(group.id, member.object_id)

    assert directory.members(group.id) == ()
    assert directory.groups_named(["nested"]) == {"nested": nested.id}
