"""Who gets into which group: what is wanted, what is there, and the difference a reviewer decides on.

Pure. Look-ups and Graph calls are the adapter's; here are only the rules: a group the runner made is owned whole (any other
member, nested groups included, is removed after review), an adopted group keeps foreign members, a person who was not found
is a warning and never a failure, several matches are a warning and never a guess, and nobody leaves on a guess either.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict

from runner.domain.tenant import Person


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Warn(Frozen):
    """Something a person should know that stops nothing. `code` is constant and kebab-case; `text` is a full sentence."""

    code: str
    text: str


class Invitation(Frozen):
    """A guest invitation that will be sent: to whom, where the link leads, and whether Microsoft mails it."""

    person: str
    email: str
    display_name: str
    redirect_url: str
    send_mail: bool


class Known(Frozen):
    """A person found in the workload tenant: the object id that goes into groups."""

    person: str
    object_id: str
    display_name: str = ""
    pending_guest: bool = False


class Invitee(Frozen):
    """A person found in a home tenant (or flagged as a guest) who is not in the workload tenant yet."""

    person: str
    invitation: Invitation


class Missing(Frozen):
    """A person who gets no access, and why."""

    person: str
    warning: Warn


Found = Known | Invitee | Missing


class Member(Frozen):
    """A member of a group as Graph reports it."""

    object_id: str
    kind: Literal["user", "group", "servicePrincipal", "device", "orgContact", "other"] = "user"
    label: str = ""


class Group(Frozen):
    """A group by the alias of its role. `object_id` is unknown (None) until Terraform has made it."""

    alias: str
    name: str
    object_id: str | None = None
    adopted: bool = False


class Addition(Frozen):
    """One membership to add. Without object id the person is invited first and the id comes from the invitation."""

    alias: str
    group_name: str
    person: str
    object_id: str | None = None
    group_id: str | None = None


class Removal(Frozen):
    """One membership to take away."""

    alias: str
    group_name: str
    group_id: str
    object_id: str
    kind: str
    label: str


class AccessPlan(Frozen):
    """All access changes of a run, in the order in which they are carried out: invite, add, remove."""

    invitations: tuple[Invitation, ...] = ()
    additions: tuple[Addition, ...] = ()
    removals: tuple[Removal, ...] = ()
    warnings: tuple[Warn, ...] = ()
    unchanged: int = 0

    @property
    def empty(self) -> bool:
        return not (self.invitations or self.additions or self.removals)


@dataclass(frozen=True)
class Wanted:
    """The membership that documents ask for: persons by group alias, in document order."""

    groups: tuple[Group, ...]
    people: Mapping[str, tuple[Person, ...]]


def diff(
    wanted: Wanted,
    found: Mapping[str, Found],
    current: Mapping[str, Sequence[Member]],
    granted: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> AccessPlan:
    """What has to change so that each group holds exactly the wanted people.

    `found` maps a person's username to the result of the look-up; `current` maps a group's alias to its members now
    (absent or empty for a group that does not exist yet); `granted` maps a group's object id to those whom the runner itself put
    into it, who are the only ones to leave an adopted group. Ids are compared without regard to case, as Graph does. Where a
    person of a group could not be told apart, no user leaves that group: it may be that very person.
    """
    invitations: dict[str, Invitation] = {}
    warnings: dict[str, Warn] = {}
    additions: list[Addition] = []
    removals: list[Removal] = []
    unchanged = 0
    for group in wanted.groups:
        present = {member.object_id.lower(): member for member in current.get(group.alias, ())}
        staying: set[str] = set()
        undecided = False
        for person in wanted.people.get(group.alias, ()):
            match found[person.username]:
                case Known() as known if known.object_id.lower() not in staying:
                    staying.add(known.object_id.lower())
                    if known.object_id.lower() in present:
                        unchanged += 1
                    else:
                        additions.append(_addition(group, person.label, known.object_id))
                case Invitee() as invitee if invitee.invitation.email.casefold() not in staying:
                    # two people with one address are one guest, invited once; the addition finds its invitation by person
                    staying.add(invitee.invitation.email.casefold())
                    sent = invitations.setdefault(invitee.invitation.email.casefold(), invitee.invitation)
                    additions.append(_addition(group, sent.person, None))
                case Missing() as missing:
                    warnings.setdefault(person.username, missing.warning)
                    undecided = undecided or missing.warning.code in UNDECIDED
                case _:
                    pass
        if group.object_id is None:
            continue
        ours = {key.lower() for key in granted.get(group.object_id, ())} if group.adopted else present.keys()
        strangers = [member for key, member in present.items() if key not in staying and key in ours]
        leaving = [member for member in strangers if not (undecided and member.kind == "user")]
        removals += [removal(group, group.object_id, member) for member in leaving]
        if len(leaving) < len(strangers):
            warnings.setdefault(f"group {group.alias}", _held_back(group, len(strangers) - len(leaving)))
    return AccessPlan(
        invitations=tuple(invitations.values()),
        additions=tuple(additions),
        removals=tuple(removals),
        warnings=tuple(warnings.values()),
        unchanged=unchanged,
    )


# Look-ups that could not be decided, or that only a slip in the document keeps from it: the person may be the very member that
# would now be removed.
UNDECIDED = frozenset(
    {
        "several-people-match",
        "home-tenant-unreachable",
        "external-id-differs-in-case",
        "person-without-look-up-value",
    }
)


def _addition(group: Group, person: str, object_id: str | None) -> Addition:
    return Addition(
        alias=group.alias, group_name=group.name, person=person, object_id=object_id, group_id=group.object_id
    )


def removal(group: Group, group_id: str, member: Member) -> Removal:
    return Removal(
        alias=group.alias,
        group_name=group.name,
        group_id=group_id,
        object_id=member.object_id,
        kind=member.kind,
        label=member.label or member.object_id,
    )


def _held_back(group: Group, count: int) -> Warn:
    who = "1 member stays" if count == 1 else f"{count} members stay"
    return Warn(
        code="removals-held-back",
        text=f"It is not certain who a person of {group.name} is, so {who} in it who would otherwise leave: "
        "one of them may be that person. They leave once the look-up is clear.",
    )
