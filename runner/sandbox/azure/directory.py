"""One Entra tenant's directory as plain data: people, groups, applications, administrative units.

Users are kept as Graph's own attributes, because look-ups and updates may name any of them. Knows no HTTP and no
permissions; the world's lock guards it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

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


@dataclass(frozen=True, kw_only=True)
class Application:
    """An application registration and its service principal in this directory."""

    client_id: str
    object_id: str
    name: str
    secrets: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    federated: tuple[FederatedCredential, ...] = ()
    identifier_uris: tuple[str, ...] = ()
    app_roles: tuple[AppRole, ...] = ()
    graph_permissions: tuple[str, ...] = ()
    administers: tuple[str, ...] = ()
    assignment_required: bool = False
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
    _indexes: dict[str, dict[str, list[str]]] = field(default_factory=dict, repr=False)
    _sorted: dict[str, list[str]] = field(default_factory=dict, repr=False)

    def put_user(self, user: Json) -> None:
        """Add a user, or replace the one with the same id."""
        self.users[user["id"]] = user
        self._forget_indexes()

    def remove(self, object_id: str) -> None:
        """Delete a user or group and every reference to it."""
        self.users.pop(object_id, None)
        self.groups.pop(object_id, None)
        self._forget_indexes()
        for group in self.groups.values():
            group.members.pop(object_id, None)
            group.owners.pop(object_id, None)
        for unit in self.units.values():
            unit.members.pop(object_id, None)
        self.app_role_assignments = [held for held in self.app_role_assignments if held["principalId"] != object_id]

    def users_having(self, path: str, value: str, *, prefix: bool = False) -> list[Json]:
        """Return the users with `value`, or something that begins with it, at `path` (`mail`, `identities/issuerAssignedId`)."""
        index = self._index(path)
        if not prefix:
            return [self.users[user_id] for user_id in index.get(value, ())]
        keys = self._sorted.setdefault(path, sorted(index))
        found: list[Json] = []
        for key in keys[bisect_left(keys, value) :]:
            if not key.startswith(value):
                break
            found += [self.users[user_id] for user_id in index[key]]
        return found

    def _index(self, path: str) -> dict[str, list[str]]:
        """Who has which value at a path. A change forgets it and the next look-up builds it: changes are rare, look-ups many."""
        if path not in self._indexes:
            index: dict[str, list[str]] = {}
            for user in self.users.values():
                for found in values_at(user, path):
                    index.setdefault(str(found), []).append(user["id"])
            self._indexes[path] = index
        return self._indexes[path]

    def _forget_indexes(self) -> None:
        self._indexes.clear()
        self._sorted.clear()

    def user_named(self, key: str) -> Json | None:
        """Return the user with this id or user principal name; as a key, the name's case does not matter."""
        by_id = self.users.get(key.lower())
        if by_id is not None or "@" not in key:
            return by_id
        wanted = key.lower()
        return next(
            (user for user in self.users.values() if str(user.get("userPrincipalName", "")).lower() == wanted), None
        )

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
        return [group for group in self.groups.values() if object_id in group.members]

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


def values_at(entity: Any, path: str) -> Iterator[Any]:
    """Yield every value at a slash-separated path, walking into lists."""
    if isinstance(entity, list):
        for item in entity:
            yield from values_at(item, path)
    elif not path:
        if entity is not None:
            yield entity
    elif isinstance(entity, dict):
        name, _, rest = path.partition("/")
        yield from values_at(entity.get(name), rest)


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
