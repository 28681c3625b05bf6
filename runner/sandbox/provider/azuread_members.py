"""`azuread_group_member`, `azuread_administrative_unit_member` and `azuread_invitation`: never changed, only made anew."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from runner.sandbox.provider import arguments, schema
from runner.sandbox.provider.contract import Change, Failed, Object, Path, Planned, Private, Problem, Stored
from runner.sandbox.provider.directory import checked_uuids, on_create, settled
from runner.sandbox.provider.graph import BETA, STABLE, Graph, GraphFailed, quoted


@dataclass(frozen=True)
class Membership:
    """A directory object in a collection: of a group, or of an administrative unit."""

    type_name: str
    owner: str
    """The argument that names what has the member."""
    collection: str
    """Graph's path of what has the member, before its id."""
    link: str
    """What stands between the two ids in the id of this resource."""
    prefix: str = ""
    """What stands before them."""

    def validate(self, config: Object) -> list[Problem]:
        return arguments.check(config, checked_uuids(self.owner, "member_object_id"), arguments.checked_timeouts)

    def plan(self, session: Graph, change: Change) -> Planned:
        return _replacing(self.type_name, change, (self.owner, "member_object_id"))

    def create(self, session: Graph, change: Change) -> Stored:
        planned = change.planned
        owner, member = planned[self.owner], planned["member_object_id"]
        id_ = f"{self.prefix}{owner}{self.link}{member}"
        path = f"{self.collection}/{owner}"
        try:
            with session.holding(owner):
                if session.find(path) is None:
                    raise Failed(f"{owner} was not found", f"There is no {path}.", (self.owner,))
                if any(found["id"] == member for found in session.collect(f"{path}/members")):
                    detail = "To be managed via Terraform this resource needs to be imported into the State."
                    raise Failed(f'A resource with the ID "{id_}" already exists', detail)
                session.post(f"{path}/members/$ref", session.reference(member))
                self._until(session, owner, member, arguments.deadline(planned, "create"), there=True)
        except GraphFailed as failure:
            raise Failed(f"Adding {id_}", failure.text) from failure
        return Stored({**planned, "id": id_})

    def read(self, session: Graph, state: Object, private: Private) -> Stored:
        owner, member = self._parts(state["id"])
        try:
            is_there = self._is_there(session, owner, member)
        except GraphFailed as failure:
            if failure.status != 404:
                raise Failed(f"Retrieving {state['id']}", failure.text) from failure
            is_there = False
        return Stored({**state, self.owner: owner, "member_object_id": member} if is_there else None, private)

    def update(self, session: Graph, change: Change) -> Stored:
        return Stored(change.planned, change.private)  # only `timeouts` changes without a new object

    def delete(self, session: Graph, state: Object) -> None:
        owner, member = self._parts(state["id"])
        try:
            with session.holding(owner):
                session.delete(f"{self.collection}/{owner}/members/{member}/$ref")
                self._until(session, owner, member, arguments.deadline(state, "delete"), there=False)
        except GraphFailed as failure:
            raise Failed(f"Removing {state['id']}", failure.text) from failure

    def import_(self, session: Graph, id_: str, empty: Object) -> Stored:
        owner, member = self._parts(id_)
        return Stored({**empty, "id": id_, self.owner: owner, "member_object_id": member})

    def _parts(self, id_: str) -> tuple[str, str]:
        owner, link, member = id_.removeprefix(self.prefix).partition(self.link)
        if not id_.startswith(self.prefix) or not link or not member or "/" in owner + member:
            raise Failed("Invalid ID", f'Expected an ID like "{self.prefix}<id>{self.link}<id>", got "{id_}".')
        return owner, member

    def _is_there(self, session: Graph, owner: str, member: str) -> bool:
        return bool(session.collect(f"{self.collection}/{owner}/members", filter=f"id eq {quoted(member)}"))

    def _until(self, session: Graph, owner: str, member: str, deadline: float, *, there: bool) -> None:
        """Wait until the members say so. A new member was seen once by the observed provider, a removed one is looked for five times."""
        if there and self._is_there(session, owner, member):
            return
        session.until(
            lambda: self._is_there(session, owner, member) is there, deadline, f"The membership of {member} in {owner}"
        )


class Invitation:
    """The resource type `azuread_invitation`: a guest."""

    def validate(self, config: Object) -> list[Problem]:
        return arguments.check(
            config, arguments.checked_one_of("user_type", "Guest", "Member"), arguments.checked_timeouts
        )

    def plan(self, session: Graph, change: Change) -> Planned:
        planned = {**change.planned, "user_type": change.planned["user_type"] or "Guest"}
        replacing = ("redirect_url", "user_display_name", "user_email_address", "user_type", "message")
        return _replacing("azuread_invitation", Change(change.prior, planned, change.config, change.private), replacing)

    def create(self, session: Graph, change: Change) -> Stored:
        planned = change.planned
        body: Object = {
            "invitedUserEmailAddress": planned["user_email_address"],
            "inviteRedirectUrl": planned["redirect_url"],
            "invitedUserType": planned["user_type"],
        }
        if planned["user_display_name"]:
            body["invitedUserDisplayName"] = planned["user_display_name"]
        if planned["message"]:
            body |= {"sendInvitationMessage": True, "invitedUserMessageInfo": _message(planned["message"][0])}
        state = None
        try:
            made = session.post(f"{STABLE}/invitations", body)
            user = made["invitedUser"]["id"]
            state = {**settled(planned), "id": made["id"], "user_id": user, "redeem_url": made["inviteRedeemUrl"]}
            path = f"{STABLE}/users/{user}"
            for company in (f"TERRAFORM_UPDATE_{uuid.uuid4()}", None):  # shows that the guest can be written to
                session.patch_new(path, {"@odata.type": "#microsoft.graph.user", "companyName": company})
            session.get(path)
        except GraphFailed as failure:
            raise Failed("Creating invitation", failure.text, state=state) from failure
        return Stored(state)

    def read(self, session: Graph, state: Object, private: Private) -> Stored:
        try:
            user = session.find(f"{STABLE}/users/{state['user_id']}")
        except GraphFailed as failure:
            raise Failed(f"Retrieving invited user {state['user_id']}", failure.text) from failure
        return Stored(
            {**state, "user_email_address": user.get("mail") or state["user_email_address"]} if user else None, private
        )

    def update(self, session: Graph, change: Change) -> Stored:
        return Stored(change.planned, change.private)  # only `timeouts` changes without a new object

    def delete(self, session: Graph, state: Object) -> None:
        path = f"{STABLE}/users/{state['user_id']}"
        try:
            session.delete(path)
            session.until(
                lambda: session.find(path) is None, arguments.deadline(state, "delete"), "The deletion of the guest"
            )
        except GraphFailed as failure:
            raise Failed(f"Deleting invited user {state['user_id']}", failure.text) from failure

    def import_(self, session: Graph, id_: str, empty: Object) -> Stored:
        raise Failed("Resource Import Not Implemented", "An invitation cannot be imported: Graph does not keep it.")


def _message(block: Object) -> Object:
    recipients = block["additional_recipients"] or []
    return {
        **({"ccRecipients": [{"emailAddress": {"address": address}} for address in recipients]} if recipients else {}),
        **({"customizedMessageBody": block["body"]} if block["body"] else {}),
        **({"messageLanguage": block["language"]} if block["language"] else {}),
    }


def _replacing(type_name: str, change: Change, names: tuple[str, ...]) -> Planned:
    """Plan a type that no request changes: every argument makes a new object."""
    if change.prior is None:
        return Planned(on_create(schema.load("azuread").resources[type_name], change.planned, change.config))
    replaced: list[Path] = [(name,) for name in names if change.planned[name] != change.prior[name]]
    return Planned(change.planned, replaced)


GROUP_MEMBER = Membership(
    type_name="azuread_group_member", owner="group_object_id", collection=f"{BETA}/groups", link="/member/"
)
UNIT_MEMBER = Membership(
    type_name="azuread_administrative_unit_member",
    owner="administrative_unit_object_id",
    collection=f"{STABLE}/directory/administrativeUnits",
    link="/members/",
    prefix="/directory/administrativeUnits/",
)
