"""Graph's users and invitations."""

from __future__ import annotations

import re
import uuid

from runner.sandbox.azure import groups
from runner.sandbox.azure.directory import Invitation, user_defaults
from runner.sandbox.azure.filters import look_ups
from runner.sandbox.azure.visit import Visit, not_found, selecting
from runner.sandbox.azure.wire import Answer, Call, Json, Rejection, stamp

READ = ("User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All")
WRITE = ("User.ReadWrite.All", "Directory.ReadWrite.All")
INVITE = ("User.Invite.All", "User.ReadWrite.All", "Directory.ReadWrite.All")

V1_DEFAULTS = (
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
)
PROPERTIES = frozenset(
    {
        *V1_DEFAULTS,
        *user_defaults({"userPrincipalName": ""}),
        "id",
        "companyName",
        "createdDateTime",
        "department",
        "employeeType",
        "externalUserStateChangeDateTime",
        "onPremisesImmutableId",
        "onPremisesSyncEnabled",
        "onPremisesUserPrincipalName",
        "proxyAddresses",
        "usageLocation",
    }
)
READ_ONLY = frozenset({"id", "createdDateTime", "externalUserState", "creationType", "passwordProfile"})
_MAIL = re.compile(r"[^@\s\"<>,;]+@[^@\s\"<>,;.]+(\.[^@\s\"<>,;.]+)+")


def answer(visit: Visit, call: Call, rest: tuple[str, ...]) -> Answer:
    """Answer a call below `/users`."""
    match (call.method, *rest):
        case ("GET",):
            visit.require((*READ, "User.ReadBasic.All"))
            return _list(visit, call)
        case ("POST",):
            visit.require(WRITE)
            return Answer(201, _create(visit, call.json()))
        case ("GET", key):
            visit.require((*READ, "User.ReadBasic.All"))
            return Answer(200, selecting(call, _defaults(call))(_find(visit, key)))
        case ("PATCH", key):
            visit.require(WRITE)
            return _patch(visit, _find(visit, key), call.json())
        case ("DELETE", key):
            visit.require(WRITE)
            visit.directory.remove(_find(visit, key)["id"])
            return Answer(204)
        case ("GET", key, "memberOf"):
            visit.require(READ)
            return groups.member_of(visit, call, _find(visit, key)["id"])
        case ("GET", key, "manager"):
            raise not_found(f"manager of {_find(visit, key)['id']}")
        case _:
            raise Rejection(404, "BadRequest", f"Resource not found for the segment '{call.segments[-1]}'.")


def _defaults(call: Call) -> tuple[str, ...]:
    return V1_DEFAULTS if call.segments[0].lower() == "v1.0" else ()


def _list(visit: Visit, call: Call) -> Answer:
    """Most filters compare for equality: an index narrows the people down before the filter itself is asked."""
    directory = visit.directory
    users = list(directory.users.values())
    if "$filter" in call.query:
        wanted = look_ups(visit.checked_filter(call, PROPERTIES))
        if wanted is not None:
            users = list(
                {
                    user["id"]: user
                    for one in wanted
                    for user in directory.users_having(one.path, one.value, prefix=one.prefix)
                }.values()
            )
    return visit.collection(
        call, [user for user in users if visit.sees(user["id"])], known=PROPERTIES, defaults=_defaults(call)
    )


def _find(visit: Visit, key: str) -> Json:
    user = visit.directory.user_named(key)
    if user is None or not visit.sees(user["id"]):
        raise not_found(key)
    return user


def _create(visit: Visit, given: Json) -> Json:
    for name in ("accountEnabled", "displayName", "mailNickname", "userPrincipalName", "passwordProfile"):
        if given.get(name) in (None, ""):
            raise Rejection(400, "Request_BadRequest", f"A value is required for property '{name}' of resource 'User'.")
    if visit.directory.user_named(str(given["userPrincipalName"])) is not None:
        raise Rejection(
            400,
            "Request_BadRequest",
            "Another object with the same value for property userPrincipalName already exists.",
        )
    return _add(visit, {name: value for name, value in given.items() if name in PROPERTIES and name != "id"})


def _add(visit: Visit, given: Json) -> Json:
    user = {"id": str(uuid.uuid4())} | user_defaults(given) | {"createdDateTime": stamp(visit.world.now())}
    visit.directory.put_user(user)
    visit.world.attribute(user["id"], visit.by)
    visit.faults.created("users", user["id"])
    return user


def _patch(visit: Visit, user: Json, given: Json) -> Answer:
    for name in given:
        if not name.startswith("@odata.") and name not in PROPERTIES:
            raise Rejection(
                400, "Request_BadRequest", f"Property '{name}' does not exist on type 'microsoft.graph.user'."
            )
    changed = {name: value for name, value in given.items() if name in PROPERTIES and name not in READ_ONLY}
    visit.directory.put_user(user | changed)
    return Answer(204)


def invite(visit: Visit, call: Call) -> Answer:
    """Invite a guest by mail address; inviting again returns the same guest."""
    visit.require(INVITE)
    given = call.json()
    mail = str(given.get("invitedUserEmailAddress") or "")
    if not _MAIL.fullmatch(mail):
        raise Rejection(400, "BadRequest", "The invited user email address is not valid.")
    redirect = str(given.get("inviteRedirectUrl") or "")
    if not redirect.startswith(("https://", "http://")):
        raise Rejection(400, "BadRequest", "The inviteRedirectUrl is missing or is not an address.")
    known = _known(visit, mail)
    if known is not None and known["userType"] != "Guest":
        raise Rejection(
            400,
            "BadRequest",
            f"The invited user already exists in the directory as object ID: {known['id']}. They can use that account "
            "to sign in to shared apps and resources.",
        )
    user = known or _add(visit, _guest(visit, mail, given))
    sent = given.get("sendInvitationMessage") is True
    invitation = Invitation(mail, user["id"], sent, redirect, stamp(visit.world.now()), visit.by)
    visit.directory.invitations.append(invitation)
    invitation_id = str(uuid.uuid4())
    return Answer(
        201,
        {
            "@odata.context": f"{call.origin}/{call.segments[0]}/$metadata#invitations/$entity",
            "id": invitation_id,
            "inviteRedeemUrl": f"https://login.microsoftonline.com/redeem?rd=https%3a%2f%2finvitations.microsoft.com%2fredeem%2f%3ftenant%3d{visit.directory.id}%26user%3d{invitation_id}",
            "invitedUserDisplayName": given.get("invitedUserDisplayName"),
            "invitedUserType": user["userType"],
            "invitedUserEmailAddress": mail,
            "sendInvitationMessage": sent,
            "resetRedemption": given.get("resetRedemption") is True,
            "inviteRedirectUrl": redirect,
            "status": "Completed" if user["externalUserState"] == "Accepted" else "PendingAcceptance",
            "invitedUserMessageInfo": given.get("invitedUserMessageInfo")
            or {"messageLanguage": None, "customizedMessageBody": None, "ccRecipients": []},
            "invitedUser": {"id": user["id"]},
        },
    )


def _known(visit: Visit, mail: str) -> Json | None:
    """Who already has this address, in any case: two guests with one address cannot be."""
    for path in ("mail", "userPrincipalName", "otherMails"):
        for user in visit.directory.users_having(path, mail, fold=True):
            return user
    return None


def _guest(visit: Visit, mail: str, given: Json) -> Json:
    local, _, domain = mail.partition("@")
    name = f"{local}_{domain}#EXT#@{visit.directory.domain}"
    return {
        "userPrincipalName": name,
        "displayName": given.get("invitedUserDisplayName") or local,
        "mail": mail,
        "mailNickname": f"{local}_{domain}#EXT#",
        "otherMails": [mail],
        "userType": given.get("invitedUserType") or "Guest",
        "creationType": "Invitation",
        "externalUserState": "PendingAcceptance",
        "externalUserStateChangeDateTime": stamp(visit.world.now()),
        "identities": [{"signInType": "userPrincipalName", "issuer": visit.directory.domain, "issuerAssignedId": name}],
    }
