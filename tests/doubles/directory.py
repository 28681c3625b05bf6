"""A directory in memory: the same promises as Entra's, in the simplest way that keeps them.

For tests of what stands above the Directory port. `tests/contracts/test_directory.py` holds it to what the real adapter does.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from runner.domain.access import Found, Invitation, Invitee, Known, Member, Missing, Warn
from runner.domain.platform import B2bUserInvitation
from runner.domain.tenant import Person

LookUpBy = Literal["userPrincipalName", "email", "externalId"]


@dataclass(frozen=True)
class User:
    """An account. `home` is the object id it has in its home tenant, for guests that carry it."""

    name: str
    mail: str = ""
    employee_id: str = ""
    enabled: bool = True
    guest: bool = False
    pending: bool = False
    home: str = ""
    other_mails: tuple[str, ...] = ()
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def value(self, look_up_by: LookUpBy) -> str:
        return {"userPrincipalName": self.name, "email": self.mail, "externalId": self.employee_id}[look_up_by]


@dataclass
class MemoryDirectory:
    """Home tenants (none: people are looked up in the workload tenant), the workload tenant's users, and its groups."""

    look_up_by: LookUpBy = "userPrincipalName"
    invitation: B2bUserInvitation | None = None
    homes: dict[str, list[User]] = field(default_factory=dict)
    users: list[User] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    groups: dict[str, dict[str, Member]] = field(default_factory=dict)
    sent: list[Invitation] = field(default_factory=list)

    def add_group(self, name: str, members: Sequence[Member] = ()) -> str:
        group_id = str(uuid.uuid4())
        self.names[group_id] = name
        self.groups[group_id] = {member.object_id: member for member in members}
        return group_id

    def look_up(self, people: Sequence[Person]) -> dict[str, Found]:
        return {person.username: self._look_up(person) for person in people}

    def groups_named(self, names: Sequence[str]) -> dict[str, str]:
        ids = {name.casefold(): group_id for group_id, name in self.names.items()}
        return {name: ids[name.casefold()] for name in names if name.casefold() in ids}

    def group_names(self, ids: Sequence[str]) -> dict[str, str]:
        return {object_id: self.names[object_id] for object_id in ids if object_id in self.names}

    def members(self, group_id: str) -> tuple[Member, ...]:
        return tuple(self.groups.get(group_id, {}).values())

    def invite(self, invitation: Invitation) -> str:
        there = [user for user in self.users if user.guest and _has(user, invitation.email)]
        if there:
            return there[0].id
        self.sent.append(invitation)
        guest = User(f"{invitation.email}#EXT#", mail=invitation.email, guest=True, pending=True)
        self.users.append(guest)
        return guest.id

    def add_member(self, group_id: str, object_id: str) -> None:
        label = next((user.name for user in self.users if user.id == object_id), "")
        self.groups.setdefault(group_id, {}).setdefault(object_id, Member(object_id=object_id, label=label))

    def remove_member(self, group_id: str, object_id: str) -> None:
        self.groups.get(group_id, {}).pop(object_id, None)

    def _look_up(self, person: Person) -> Found:
        value, exact = _sought(person, self.look_up_by)
        if not value and not person.guest:
            return _missing(person, "person-without-look-up-value")
        at_home = self.homes or {"workload": self.users}
        like = [
            user for users in at_home.values() for user in users if value and _same(user.value(self.look_up_by), value)
        ]
        fitting = [user for user in like if not exact or user.value(self.look_up_by) == value]
        fitting = [user for user in fitting if not user.guest] or fitting
        if len(fitting) > 1:
            return _missing(person, "several-people-match")
        if like and not fitting:
            return _missing(person, "external-id-differs-in-case", like[0].value(self.look_up_by))
        if fitting and not fitting[0].enabled:
            return _missing(person, "account-disabled")
        if fitting and not self.homes:
            return _known(person, fitting[0])
        if not fitting and not (person.guest or (self.invitation and not self.homes)):
            return _missing(person, "person-not-found")
        return self._from_elsewhere(person, fitting[0] if fitting else None)

    def _from_elsewhere(self, person: Person, home: User | None) -> Found:
        reachable = [found for found in ((home.mail, home.name) if home else (person.email or "",)) if found]
        same = [user for user in self.users if home and user.guest and user.home == home.id]
        with_address = [user for user in self.users if any(_has(user, address) for address in reachable)]
        guests = same or [user for user in with_address if user.guest]
        if len(guests) > 1:
            return _missing(person, "several-people-match")
        if guests:
            return _known(person, guests[0]) if guests[0].enabled else _missing(person, "account-disabled")
        if with_address:
            return _missing(person, "address-belongs-to-member")
        if self.invitation is None:
            return _missing(person, "guest-not-invited")
        if not reachable:
            return _missing(person, "guest-without-mail")
        invitation = Invitation(
            person=person.label,
            email=reachable[0],
            display_name=f"{person.first_name} {person.last_name}".strip() or reachable[0],
            redirect_url=self.invitation.redirect_url,
            send_mail=person.guest or self.invitation.send_azure_invitation_mail,
        )
        return Invitee(person=person.label, invitation=invitation)


def _sought(person: Person, look_up_by: LookUpBy) -> tuple[str, bool]:
    match look_up_by:
        case "userPrincipalName":
            return person.euid or person.username, person.euid is not None
        case "email":
            return person.euid or person.email or "", person.euid is not None
        case "externalId":
            return person.euid or "", True


def _known(person: Person, user: User) -> Known:
    return Known(person=person.label, object_id=user.id, pending_guest=user.pending)


def _missing(person: Person, code: str, more: str = "") -> Missing:
    return Missing(person=person.label, warning=Warn(code=code, text=f"{person.label}: {code} {more}".rstrip()))


def _same(found: str, wanted: str) -> bool:
    return found.casefold() == wanted.casefold()


def _has(user: User, address: str) -> bool:
    return any(_same(found, address) for found in (user.mail, *user.other_mails) if found)
