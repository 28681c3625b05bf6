"""What exists in the sandbox, all of it, under one lock; and who made it.

The world knows no HTTP and no tokens. Whoever reads or changes it from outside the server holds `lock`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import Any

from runner.sandbox.azure.contents import Contents, FunctionApp
from runner.sandbox.azure.directory import Directory
from runner.sandbox.azure.estate import Estate, ManagementGroup
from runner.sandbox.azure.grow import grow
from runner.sandbox.azure.seed import DEFAULT, read, read_yaml

Json = dict[str, Any]

KEPT_CALLS = 5_000
KEPT_FUNCTION_CALLS = 5_000


@dataclass(frozen=True)
class FunctionCall:
    """What a function received. The token is left out; who it spoke for is kept."""

    function: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: str
    caller: str
    audience: str
    status: int
    at: str


@dataclass(frozen=True)
class LoggedCall:
    """One line of the call log: never a header, never a body, so never a token or a secret."""

    at: str
    service: str
    method: str
    path: str
    status: int
    caller: str


@dataclass(frozen=True)
class Origin:
    """Who made something, and when."""

    by: str
    at: str


@dataclass
class World:
    """The sandbox's state. `now` is the clock that everything in it uses."""

    contents: Contents
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    lock: RLock = field(default_factory=RLock)
    origins: dict[str, Origin] = field(default_factory=dict)
    function_calls: deque[FunctionCall] = field(default_factory=lambda: deque(maxlen=KEPT_FUNCTION_CALLS))
    calls: deque[LoggedCall] = field(default_factory=lambda: deque(maxlen=KEPT_CALLS))

    @classmethod
    def from_yaml(cls, path: Path | None = None) -> World:
        """Make the world that a YAML seed describes; without a path, the example company that comes with the package."""
        return cls(grow(read_yaml(path or DEFAULT)))

    def seed(self, mapping: Mapping[str, Any]) -> None:
        """Start over from a seed given as plain data; an `InputError` names the wrong key and leaves the world as it was."""
        contents = grow(read(mapping))
        with self.lock:
            self.contents = contents
            self.origins.clear()
            self.function_calls.clear()
            self.calls.clear()

    @property
    def directories(self) -> dict[str, Directory]:
        """The Entra tenants by id."""
        return self.contents.directories

    @property
    def estate(self) -> Estate:
        """What Resource Manager knows."""
        return self.contents.estate

    @property
    def functions(self) -> dict[str, FunctionApp]:
        """The functions by name."""
        return self.contents.functions

    def directory(self, key: str) -> Directory | None:
        """Find a tenant by id or domain."""
        wanted = key.lower()
        return self.directories.get(wanted) or next(
            (found for found in self.directories.values() if found.domain == wanted), None
        )

    def attribute(self, object_id: str, by: str) -> None:
        """Remember who made something; what the seed made has no origin."""
        self.origins[object_id.lower()] = Origin(by, self.now().isoformat(timespec="seconds"))

    def snapshot(self) -> Json:
        """Return everything that exists as JSON-able data, without secrets, for `lzr sandbox show`."""
        with self.lock:
            return {
                "tenants": [_tenant(directory, self._made_by) for directory in self.directories.values()],
                "managementGroups": [_tree(self.estate, self.estate.root)],
                "subscriptions": [
                    {
                        "id": subscription.id,
                        "displayName": subscription.display_name,
                        "state": subscription.state,
                        "managementGroup": subscription.management_group,
                        "tags": dict(subscription.tags),
                        "resourceGroups": self._resource_groups(f"/subscriptions/{subscription.id}"),
                        "resources": self._resources(f"/subscriptions/{subscription.id}/providers"),
                    }
                    for subscription in self.estate.subscriptions.values()
                ],
                "roleAssignments": [self._role_assignment(found) for found in self.estate.role_assignments.values()],
                "functionCalls": [asdict(call) | {"headers": dict(call.headers)} for call in self.function_calls],
            }

    def _made_by(self, object_id: str) -> str:
        origin = self.origins.get(object_id.lower())
        return origin.by if origin else "seed"

    def _resource_groups(self, scope: str) -> list[Json]:
        prefix = f"{scope.lower()}/"
        return [
            {
                "id": group["id"],
                "name": group["name"],
                "location": group["location"],
                "tags": dict(group.get("tags") or {}),
                "resources": self._resources(group["id"]),
                "madeBy": self._made_by(group["id"]),
            }
            for key, group in self.estate.resource_groups.items()
            if key.startswith(prefix)
        ]

    def _resources(self, scope: str) -> list[Json]:
        return [
            {
                "id": resource["id"],
                "type": resource["type"],
                "name": resource["name"],
                "madeBy": self._made_by(resource["id"]),
            }
            for resource in self.estate.resources_in(scope)
        ]

    def _role_assignment(self, assignment: Json) -> Json:
        properties = assignment["properties"]
        role = self.estate.role_definitions.get(properties["roleDefinitionId"].rsplit("/", 1)[-1].lower())
        home = self.directories[self.estate.tenant_id]
        return {
            "id": assignment["id"],
            "scope": properties["scope"],
            "role": role.name if role else properties["roleDefinitionId"],
            "principal": home.name_of(properties["principalId"]),
            "principalId": properties["principalId"],
            "principalType": properties["principalType"],
            "condition": properties.get("condition"),
            "madeBy": self._made_by(assignment["id"]),
        }


def _tenant(directory: Directory, made_by: Callable[[str], str]) -> Json:
    def named(ids: Iterable[str]) -> list[Json]:
        return [{"id": object_id, "name": directory.name_of(object_id)} for object_id in ids]

    return {
        "id": directory.id,
        "name": directory.name,
        "domain": directory.domain,
        "applications": [
            {"clientId": app.client_id, "objectId": app.object_id, "name": app.name}
            for app in directory.applications.values()
        ],
        "users": [_user(user) | {"madeBy": made_by(user["id"])} for user in directory.users.values()],
        "groups": [
            {
                "id": group.id,
                "displayName": group.attributes.get("displayName"),
                "members": named(group.members),
                "owners": named(group.owners),
                "administrativeUnits": [unit.name for unit in directory.units_of(group.id)],
                "madeBy": made_by(group.id),
            }
            for group in directory.groups.values()
        ],
        "administrativeUnits": [
            {"id": unit.id, "name": unit.name, "members": named(unit.members)} for unit in directory.units.values()
        ],
        "invitations": [
            {
                "mail": invitation.mail,
                "userId": invitation.user_id,
                "mailSent": invitation.mail_sent,
                "redirectUrl": invitation.redirect_url,
                "at": invitation.at,
                "by": invitation.by,
            }
            for invitation in directory.invitations
        ],
    }


def _user(user: Json) -> Json:
    shown = ("id", "userPrincipalName", "mail", "userType", "externalUserState", "accountEnabled")
    return {name: user.get(name) for name in shown}


def _tree(estate: Estate, group: ManagementGroup) -> Json:
    return {
        "id": group.name,
        "displayName": group.display_name,
        "subscriptions": [
            {"id": found.id, "displayName": found.display_name, "state": found.state}
            for found in estate.subscriptions_in(group)
        ],
        "children": [_tree(estate, child) for child in estate.children(group)],
    }
