"""One Entra tenant's directory as plain data: people, groups, applications, administrative units.

Users are kept as Graph's own attributes, because look-ups and updates may name any of them. Knows no HTTP and no
permissions; the world's lock guards it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from runner.sandbox.azure.index import Index

Json = dict[str, Any]
Kind = Literal["User", "Group", "ServicePrincipal", "AdministrativeUnit"]


@dataclass(frozen=True)
class FederatedCredential:
    """Whose assertions an application accepts instead of a secret."""

    issuer: str
    subject: str
    audience: str


@dataclass(frozen=True)
class AppRole:
    """A role that an application offers to others."""

    id: str
    value: str
    name: str = ""


@dataclass(frozen=True)
class ClientSecret:
    """A client secret, and when it ends."""

    value: str
    ends: datetime


@dataclass(frozen=True, kw_only=True)
class Application:
    """An application registration and its service principal in this directory."""

    client_id: str
    object_id: str
    name: str
    secrets: tuple[ClientSecret, ...] = ()
    certificates: tuple[str, ...] = ()
    federated: tuple[FederatedCredential, ...] = ()
    identifier_uris: tuple[str, ...] = ()
    app_roles: tuple[AppRole, ...] = ()
    graph_permissions: tuple[str, ...] = ()
    administers: tuple[str, ...] = ()
    assignment_required: bool = False
    token_version: int | None = None
    managed_identity: bool = False

    @property
    def audiences(self) -> tuple[str, ...]:
        """The names by which a token for this application may be asked."""
        return (self.client_id, f"api://{self.client_id}", *self.identifier_uris)


@dataclass
class Group:
    """A group; members and owners keep the order in which they came."""

    id: str
    attributes: Json
    members: dict[str, None] = field(default_factory=dict)
    owners: dict[str, None] = field(default_factory=dict)


@dataclass
class Unit:
    """An administrative unit."""

    id: str
    name: str
    members: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True)
class Invitation:
    """An invitation that was sent out, or made silently."""

    mail: str
    user_id: str
    mail_sent: bool
    redirect_url: str
    at: str
    by: str


@dataclass
class Directory:
    """An Entra tenant."""

    id: str
    name: str
    domain: str
    users: dict[str, Json] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    applications: dict[str, Application] = field(default_factory=dict)
    units: dict[str, Unit] = field(default_factory=dict)
    app_role_assignments: list[Json] = field(default_factory=list)
    invitations: list[Invitation] = field(default_factory=list)
    _index: Index = field(init=False, repr=False)
    _joined: dict[str, dict[str, None]] = field(default_factory=dict, repr=False)
    """The groups that each object is a direct member of."""

    def __post_init__(self) -> None:
        self._index = Index(self.users)

    def put_user(self, user: Json) -> None:
        """Add a user, or replace the one with the same id."""
        known = user["id"] in self.users
        self.users[user["id"]] = user
        if known:
            self._index.changed()
        else:
            self._index.added(user["id"])

    def put_group(self, group: Group) -> None:
        """Add a group with its members."""
        self.groups[group.id] = group
        self.join(group, group.members)

    def join(self, group: Group, object_ids: Iterable[str]) -> None:
        """Make objects members of a group."""
        for object_id in list(object_ids):
            group.members[object_id] = None
            self._joined.setdefault(object_id, {})[group.id] = None

    def leave(self, group: Group, object_id: str) -> None:
        """End a membership."""
        del group.members[object_id]
        del self._joined[object_id][group.id]

    def remove(self, object_id: str) -> None:
        """Delete a user or group and every reference to it."""
        for group in self.groups_of(object_id):
            self.leave(group, object_id)
        if (removed := self.groups.get(object_id)) is not None:
            for member in list(removed.members):
                self.leave(removed, member)
            del self.groups[object_id]
        if self.users.pop(object_id, None) is not None:
            self._index.changed()
        for group in self.groups.values():
            group.owners.pop(object_id, None)
        for unit in self.units.values():
            unit.members.pop(object_id, None)
        self.app_role_assignments = [held for held in self.app_role_assignments if held["principalId"] != object_id]

    def users_having(self, path: str, value: str, *, prefix: bool = False, fold: bool = False) -> list[Json]:
        """Return the users with `value`, or something that begins with it, at `path` (`mail`, `identities/issuerAssignedId`)."""
        return self._index.find_beginning(path, value) if prefix else self._index.find(path, value, fold=fold)

    def user_named(self, key: str) -> Json | None:
        """Return the user with this id or user principal name; as a key, the name's case does not matter."""
        found = self.users.get(key.lower())
        if found is None and "@" in key:
            return next(iter(self.users_having("userPrincipalName", key, fold=True)), None)
        return found

    def kind_of(self, object_id: str) -> Kind | None:
        """Return what the object is, or None when this directory does not have it."""
        if object_id in self.users:
            return "User"
        if object_id in self.groups:
            return "Group"
        if object_id in self.units:
            return "AdministrativeUnit"
        return "ServicePrincipal" if self.service_principal(object_id) else None

    def service_principal(self, object_id: str) -> Application | None:
        """Return the application whose service principal this is."""
        return next((app for app in self.applications.values() if app.object_id == object_id), None)

    def name_of(self, object_id: str) -> str:
        """Return what people call the object; its id when it is unknown."""
        if user := self.users.get(object_id):
            return str(user.get("userPrincipalName") or user.get("displayName") or object_id)
        if group := self.groups.get(object_id):
            return str(group.attributes.get("displayName", object_id))
        if unit := self.units.get(object_id):
            return unit.name
        app = self.service_principal(object_id)
        return app.name if app else object_id

    def groups_of(self, object_id: str) -> list[Group]:
        """Return the groups the object is a direct member of."""
        return [self.groups[group_id] for group_id in self._joined.get(object_id, ())]

    def units_of(self, object_id: str) -> list[Unit]:
        """Return the administrative units that contain the object."""
        return [unit for unit in self.units.values() if object_id in unit.members]

    def memberships(self, object_id: str) -> set[str]:
        """Return the ids of all groups the object is in, through other groups as well."""
        found: set[str] = set()
        waiting = [object_id]
        while waiting:
            for group in self.groups_of(waiting.pop()):
                if group.id not in found:
                    found.add(group.id)
                    waiting.append(group.id)
        return found

    def roles_held(self, principal_id: str, resource: Application) -> list[str]:
        """Return the values of the application roles that a principal has on an application."""
        held = {
            role["appRoleId"]
            for role in self.app_role_assignments
            if role["principalId"] == principal_id and role["resourceId"] == resource.object_id
        }
        return [role.value for role in resource.app_roles if role.id in held]


def user_defaults(given: Json) -> Json:
    """Complete a user's attributes with what Entra gives every user."""
    local = str(given["userPrincipalName"]).split("@", 1)[0]
    return {
        "displayName": local,
        "mail": None,
        "mailNickname": local.split("#", 1)[0],
        "otherMails": [],
        "employeeId": None,
        "onPremisesSamAccountName": None,
        "accountEnabled": True,
        "userType": "Member",
        "externalUserState": None,
        "creationType": None,
        "identities": [],
    } | {name: value for name, value in given.items() if name != "@odata.type"}


def group_defaults(given: Json) -> Json:
    """Complete a group's attributes with what Entra gives every group; in the order in which Graph shows them."""
    nickname = (
        "".join(letter for letter in str(given.get("displayName", "")) if letter.isascii() and letter.isalnum())[:64]
        or "group"
    )
    return {
        "deletedDateTime": None,
        "groupTypes": [],
        "proxyAddresses": [],
        "resourceBehaviorOptions": [],
        "resourceProvisioningOptions": [],
        "description": None,
        "displayName": None,
        "isAssignableToRole": False,
        "mail": None,
        "mailEnabled": False,
        "mailNickname": nickname,
        "membershipRule": None,
        "securityEnabled": True,
        "visibility": None,
    } | given
