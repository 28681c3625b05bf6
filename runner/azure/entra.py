"""The Directory port on Entra: one workload tenant whose groups get members, and the home tenants in which people are looked up.

A home tenant that cannot be asked fails the whole look-up (RemoteFailed): to go on without it would make its people look absent, and
their memberships would be proposed for removal. Somebody who is merely not there is a result. Groups themselves are Terraform's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from runner.azure.graph import Graph, quoted
from runner.azure.http import Json, Patience, Reply, Tries, unexpected
from runner.azure.people import (
    Account,
    HomeAccount,
    LookUpBy,
    Sought,
    addresses,
    as_guest,
    at_home,
    guest_name,
    invited,
    known,
    nobody,
    read_account,
    sought,
)
from runner.domain.access import Found, Invitation, Member
from runner.domain.platform import B2bUserInvitation
from runner.domain.tenant import Person
from runner.errors import RemoteFailed
from runner.ports import Claim, Invitations

Kind = Literal["user", "group", "servicePrincipal", "device", "orgContact", "other"]
KINDS: dict[str, Kind] = {
    "#microsoft.graph.user": "user",
    "#microsoft.graph.group": "group",
    "#microsoft.graph.servicePrincipal": "servicePrincipal",
    "#microsoft.graph.device": "device",
    "#microsoft.graph.orgContact": "orgContact",
}
LAG = timedelta(minutes=2)  # how long Entra's replicas may differ; usually seconds
TURN = timedelta(minutes=10)  # how long another run may take to invite the same guest
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True)
class HomeTenant:
    """Where people are looked up, with that tenant's own credential."""

    name: str
    graph: Graph
    is_workload: bool


class Entra:
    """The people and groups of one platform."""

    def __init__(
        self,
        workload: HomeTenant,
        *,
        homes: Sequence[HomeTenant],
        look_up_by: LookUpBy,
        invitation: B2bUserInvitation | None,
        invitations: Invitations,
        tenant_id: Callable[[], str],
        patience: Patience,
    ) -> None:
        self._tenant_id = tenant_id
        self._graph = workload.graph
        self._homes = homes
        self._look_up_by = look_up_by
        self._invitation = invitation
        self._invitations = invitations
        self._patience = patience

    def look_up(self, people: Sequence[Person]) -> dict[str, Found]:
        """See Directory. Asks each home tenant about all of them at once, then the workload tenant about those from elsewhere."""
        wanted = {person.username: sought(person, self._look_up_by) for person in people}
        homes = self._find_at_home(wanted)
        results: dict[str, Found] = {}
        elsewhere: list[tuple[Person, HomeAccount | None]] = []
        for person in people:
            home = at_home(person, wanted[person.username], homes[person.username])
            if isinstance(home, HomeAccount) and home.in_workload_tenant:
                results[person.username] = known(person, home.account)
            elif isinstance(home, HomeAccount):
                elsewhere.append((person, home))
            elif self._may_come_from_outside(person) and (home is None or wanted[person.username] is None):
                elsewhere.append((person, None))
            else:
                results[person.username] = home or nobody(
                    person, wanted[person.username], [home.name for home in self._homes]
                )
        candidates = self._find_guests(elsewhere)
        for (person, home), accounts in zip(elsewhere, candidates, strict=True):
            results[person.username] = as_guest(person, home, accounts) or invited(person, home, self._invitation)
        return results

    def groups_named(self, names: Sequence[str]) -> dict[str, str]:
        """See Directory. Names are compared without regard to case. Two groups of one name are an error, never a guess, and so is one that
        can hold no role or whose members nobody can set."""
        asked = list(dict.fromkeys(names))
        answers = self._graph.groups([f"displayName eq {quoted(name)}" for name in asked])
        found: dict[str, str] = {}
        for name, groups in zip(asked, answers, strict=True):
            ids = sorted({str(group["id"]).lower() for group in groups if _same(group.get("displayName"), name)})
            if len(ids) > 1:
                raise RemoteFailed(
                    "Several groups have the same name",
                    code="several-groups-match",
                    detail=f"{name} is the name of {', '.join(ids)}.",
                    hint="Rename or delete all but one of them, or name the right one in existingGroups of the tenant.",
                )
            if ids:
                _expect_usable(name, next(group for group in groups if str(group["id"]).lower() == ids[0]))
                found[name] = ids[0]
        return found

    def group_names(self, ids: Sequence[str]) -> dict[str, str]:
        """See Directory."""
        asked = list(dict.fromkeys(ids))
        answers = self._graph.groups([f"id eq {quoted(object_id)}" for object_id in asked])
        return {
            object_id: str(groups[0].get("displayName") or object_id)
            for object_id, groups in zip(asked, answers, strict=True)
            if groups
        }

    def members(self, group_id: str) -> tuple[Member, ...]:
        """See Directory."""
        return tuple(
            Member(
                object_id=str(found["id"]).lower(),
                kind=KINDS.get(str(found.get("@odata.type")), "other"),
                label=found.get("userPrincipalName") or found.get("displayName") or "",
            )
            for found in self._graph.members(_object_id(group_id))
        )

    def invite(self, invitation: Invitation) -> str:
        """See Directory. One run at a time invites an address; the others wait for what it gets."""
        tenant = self._tenant_id()  # platforms may name one tenant by its id and by its domains
        for _ in self._patience.looks(TURN, at_most=5.0):
            guest = self._guest_at(invitation.email)
            if guest is not None:
                return guest
            claim = self._invitations.claim(tenant, invitation.email, now=self._patience.now(), believed=LAG)
            if isinstance(claim, str):
                return claim
            if claim is not None:
                return self._claimed(invitation, claim)
        raise RemoteFailed(
            "Another run invites the same guest",
            code="invitation-under-way",
            detail=f"It has been inviting {invitation.email} for more than {TURN.total_seconds() / 60:.0f} minutes.",
            hint="Wait for it to end, or cancel it, then run again.",
            temporary=True,
        )

    def add_member(self, group_id: str, object_id: str) -> None:
        """See Directory. A group or guest made seconds ago may be unknown to the replica that answers: asked again for a while."""
        tries = Tries(replace(self._patience, limit=LAG, attempts=12))
        while (reply := self._graph.add_member(_object_id(group_id), _object_id(object_id))).status == 404:
            tries.wait_or_raise(_not_added(group_id, object_id, reply))
        # Graph refuses a member that it has already; only the list of members, which is late as well, tells that from a real refusal
        if reply.status == 400 and not any(
            self._graph.is_member(group_id, object_id) for _ in self._patience.looks(LAG)
        ):
            raise _not_added(group_id, object_id, reply)

    def remove_member(self, group_id: str, object_id: str) -> None:
        """See Directory."""
        self._graph.remove_member(_object_id(group_id), _object_id(object_id))

    def _find_at_home(self, wanted: Mapping[str, Sought | None]) -> dict[str, list[HomeAccount]]:
        """Everyone in any home tenant who is like one of the people, by username."""
        asked = {name: one for name, one in wanted.items() if one is not None}
        found: dict[str, list[HomeAccount]] = {name: [] for name in wanted}
        for home in self._homes:
            answers = home.graph.users([_like(one) for one in asked.values()])
            for name, users in zip(asked, answers, strict=True):
                found[name] += [HomeAccount(home.name, read_account(user), home.is_workload) for user in users]
        return found

    def _find_guests(self, people: Sequence[tuple[Person, HomeAccount | None]]) -> list[list[Account]]:
        """For each of the people everyone in the workload tenant who may be them."""
        questions = [_guest_filters(person, home) for person, home in people]
        answers = iter(self._graph.users([text for filters in questions for text in filters]))
        return [_distinct(next(answers) for _ in filters) for filters in questions]

    def _may_come_from_outside(self, person: Person) -> bool:
        """Whether somebody without a home account may be a guest. Without home tenants the platform invites whoever is missing."""
        invites_anyone = self._invitation is not None and all(home.is_workload for home in self._homes)
        return person.guest or invites_anyone

    def _claimed(self, invitation: Invitation, claim: Claim) -> str:
        """Invite with the right to. What another run may have sent is looked for first, for as long as a directory may hide it."""
        try:
            # once in any case: between the look before and the claim another run may have begun and ended
            found = self._appearing(invitation.email, LAG if claim.inherited else timedelta())
            guest = found or self._send_for_sure(invitation, claim)
        except BaseException:
            self._invitations.give_up(claim)
            raise
        self._invitations.sent(claim, guest, now=self._patience.now())
        return guest

    def _send_for_sure(self, invitation: Invitation, claim: Claim) -> str:
        """After an outcome that is not clear the guest is looked for, and at most one more invitation is sent."""
        try:
            return self._send(invitation, claim)
        except RemoteFailed as error:
            if not error.temporary:
                raise
        return self._appearing(invitation.email, LAG) or self._send(invitation, claim)

    def _appearing(self, address: str, within: timedelta) -> str | None:
        """The guest with this address, who may be there without being seen yet."""
        looks = (self._guest_at(address) for _ in self._patience.looks(within))
        return next((guest for guest in looks if guest is not None), None)

    def _guest_at(self, address: str) -> str | None:
        """The object id of the one external account with this address."""
        accounts = _distinct(self._graph.users(_address_filters(address)))
        guests = [account for account in accounts if account.external and account.has_address(address)]
        if len(guests) > 1:
            raise RemoteFailed(
                "Several guests have the same address",
                code="several-people-match",
                detail=f"{address} leads to {', '.join(sorted(guest.object_id for guest in guests))}.",
                hint="Delete all but one of these guests.",
            )
        return guests[0].object_id if guests else None

    def _send(self, invitation: Invitation, claim: Claim) -> str:
        body = {
            "invitedUserEmailAddress": invitation.email,
            "invitedUserDisplayName": invitation.display_name,
            "inviteRedirectUrl": invitation.redirect_url,
            "sendInvitationMessage": invitation.send_mail,
        }
        try:
            answer = self._graph.invite(body)
        except RemoteFailed as error:
            if error.status in range(400, 500) and not error.temporary:
                self._invitations.give_up(claim, refused=True)  # nobody has to look for a guest who is not made
            raise
        object_id = str((answer.get("invitedUser") or {}).get("id", ""))
        if not UUID.fullmatch(object_id):
            raise unexpected("The answer to the invitation names no user.")
        return object_id.lower()


def _like(wanted: Sought) -> str:
    """The filter that finds whoever may be meant, and of an external id also the spellings that are usually mistaken for it."""
    mistaken = (wanted.value.upper(),) if wanted.exact else ()
    return _equals(wanted.attribute, wanted.value, wanted.value.lower(), *mistaken)


def _guest_filters(person: Person, home: HomeAccount | None) -> list[str]:
    """The filters that together find a person's account where it is not at home.

    Only plain ones: they are answered by the directory itself, not by the index behind `ConsistencyLevel: eventual`, which
    learns of a new guest late.
    """
    filters = [text for address in addresses(person, home) for text in _address_filters(address)]
    if home is None:
        return filters
    identities = [
        f"identities/any(i:i/issuer eq {quoted(home.tenant)} and i/issuerAssignedId eq {quoted(name)})"
        for name in (home.account.object_id, home.account.principal_name)
        if name
    ]
    return [f"id eq {quoted(home.account.object_id)}", *identities, *filters]


def _address_filters(address: str) -> list[str]:
    named = guest_name(address)
    return [
        _equals("mail", address, address.lower()),
        *(f"otherMails/any(m:m eq {quoted(one)})" for one in dict.fromkeys((address, address.lower()))),
        *(
            f"startsWith(userPrincipalName,{quoted(one)})"
            for one in dict.fromkeys((named, guest_name(address.lower())))
        ),
    ]


def _equals(attribute: str, *values: str) -> str:
    spellings = list(dict.fromkeys(values))
    if len(spellings) == 1:
        return f"{attribute} eq {quoted(spellings[0])}"
    return f"{attribute} in ({','.join(map(quoted, spellings))})"


def _distinct(answers: Iterable[Iterable[Json]]) -> list[Account]:
    accounts = (read_account(user) for users in answers for user in users)
    return list({account.object_id: account for account in accounts}.values())


def _same(found: object, name: str) -> bool:
    return isinstance(found, str) and found.casefold() == name.casefold()


def _object_id(value: str) -> str:
    """An id that may stand in an address: one that is none would address another thing."""
    if not UUID.fullmatch(value):
        raise ValueError("An object id is a UUID.")
    return value.lower()


def _not_added(group_id: str, object_id: str, reply: Reply) -> RemoteFailed:
    error = reply.body.get("error")
    code = error.get("code", "") if isinstance(error, dict) else ""
    absent = reply.status == 404
    return RemoteFailed(
        "A member could not be added to a group",
        code="member-not-added",
        detail=f"{object_id} into group {group_id}: Graph answered {reply.status} {code}".rstrip() + ".",
        hint="Check that both still exist, then plan again."
        if absent
        else "Check what kind of member and group they are.",
        temporary=absent,
        status=reply.status,
    )


def _expect_usable(name: str, group: Json) -> None:
    """Azure gives roles to security groups only, and Graph takes no members for a group whose members come from elsewhere."""
    if group.get("securityEnabled") is False:
        why = "is no security group, so Azure gives it no role"
    elif "DynamicMembership" in (group.get("groupTypes") or []):
        why = "has a rule for its members, so nobody can be put into it"
    elif group.get("onPremisesSyncEnabled"):
        why = "comes from a directory on premises, so nobody can be put into it"
    else:
        return
    raise RemoteFailed(
        "A group of the wanted name cannot be used",
        code="group-unusable",
        detail=f"{name} ({group['id']}) {why}.",
        hint="Rename it, or name another one in existingGroups of the tenant.",
    )
