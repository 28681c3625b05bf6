"""What Resource Manager knows, as plain data: management groups, subscriptions, what is in them, and who may do what.

Ids keep the spelling of their first writer and are found in any case, as in Azure. Knows no HTTP; the world's lock
guards it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

ROOT_SCOPE = "/"
MANAGEMENT_GROUP = "/providers/Microsoft.Management/managementGroups/"

OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
USER_ACCESS_ADMINISTRATOR = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"
RBAC_ADMINISTRATOR = "f58310d9-a9f6-439a-9e8d-f62e7b41a168"
TAG_CONTRIBUTOR = "4a9ae827-6dc8-4573-8ac7-8239d42aa03f"
MANAGEMENT_GROUP_CONTRIBUTOR = "5d58bcaf-24a5-4b20-bdb6-eed9f69fbe4c"


@dataclass(frozen=True)
class RoleDefinition:
    """A built-in or custom role."""

    id: str
    name: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()
    description: str = ""
    custom: bool = False


BUILT_IN = (
    RoleDefinition(
        OWNER,
        "Owner",
        ("*",),
        description="Grants full access to manage all resources, including the ability to assign roles.",
    ),
    RoleDefinition(
        CONTRIBUTOR,
        "Contributor",
        ("*",),
        (
            "Microsoft.Authorization/*/Delete",
            "Microsoft.Authorization/*/Write",
            "Microsoft.Authorization/elevateAccess/Action",
        ),
        "Grants full access to manage all resources, but does not allow you to assign roles.",
    ),
    RoleDefinition(
        READER, "Reader", ("*/read",), description="View all resources, but does not allow you to make any changes."
    ),
    RoleDefinition(
        USER_ACCESS_ADMINISTRATOR,
        "User Access Administrator",
        ("*/read", "Microsoft.Authorization/*"),
        description="Lets you manage user access to Azure resources.",
    ),
    RoleDefinition(
        RBAC_ADMINISTRATOR,
        "Role Based Access Control Administrator",
        ("Microsoft.Authorization/roleAssignments/write", "Microsoft.Authorization/roleAssignments/delete", "*/read"),
        description="Manage access to Azure resources by assigning roles using Azure RBAC.",
    ),
    RoleDefinition(
        TAG_CONTRIBUTOR,
        "Tag Contributor",
        (
            "Microsoft.Authorization/*/read",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.Resources/subscriptions/resourceGroups/resources/read",
            "Microsoft.Resources/subscriptions/resources/read",
            "Microsoft.Resources/tags/*",
        ),
        description="Lets you manage tags on entities, without providing access to the entities themselves.",
    ),
    RoleDefinition(
        MANAGEMENT_GROUP_CONTRIBUTOR,
        "Management Group Contributor",
        (
            "Microsoft.Management/managementGroups/delete",
            "Microsoft.Management/managementGroups/read",
            "Microsoft.Management/managementGroups/subscriptions/delete",
            "Microsoft.Management/managementGroups/subscriptions/write",
            "Microsoft.Management/managementGroups/write",
            "Microsoft.Management/managementGroups/subscriptions/read",
        ),
        description="Management Group Contributor Role",
    ),
)


@dataclass
class ManagementGroup:
    """A node of the tree; the root has no parent and is named like its tenant."""

    name: str
    display_name: str
    parent: str | None

    @property
    def id(self) -> str:
        """Its resource id."""
        return MANAGEMENT_GROUP + self.name


@dataclass
class Subscription:
    """A subscription and the management group it hangs under."""

    id: str
    display_name: str
    management_group: str
    state: str = "Enabled"
    tags: dict[str, str] = field(default_factory=dict)
    providers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BillingScope:
    """An enrollment account or invoice section, and who may order subscriptions there: object ids in one Entra tenant."""

    id: str
    tenant_id: str
    creators: tuple[str, ...]


@dataclass
class Alias:
    """An order of a subscription. `offered_to` is the tenant that has to accept its ownership before it is seen there."""

    name: str
    tenant_id: str
    properties: Json
    made: Subscription | None = None
    owner: str = ""
    offered_to: str = ""
    accepted: bool = False


@dataclass
class Operation:
    """Something that Azure does in its own time: each look at it is one step nearer to its end."""

    id: str
    polls: int
    finish: Callable[[], None]
    error: Json | None = None
    done: bool = False

    def look(self) -> bool:
        """Count one look and return whether the operation has ended; its effect happens at the end."""
        if not self.done and self.polls <= 0:
            self.done = True
            self.finish()
        self.polls -= 1
        return self.done


@dataclass
class Estate:
    """Everything under one tenant's root management group."""

    tenant_id: str
    locations: dict[str, str] = field(default_factory=dict)
    management_groups: dict[str, ManagementGroup] = field(default_factory=dict)
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    resource_groups: dict[str, Json] = field(default_factory=dict)
    resources: dict[str, Json] = field(default_factory=dict)
    role_definitions: dict[str, RoleDefinition] = field(default_factory=lambda: {role.id: role for role in BUILT_IN})
    operations: dict[str, Operation] = field(default_factory=dict)
    pending: dict[str, Operation] = field(default_factory=dict)
    """Operations that have not ended, by the id they work on."""
    role_assignments: dict[str, Json] = field(default_factory=dict)
    billing_scopes: dict[str, BillingScope] = field(default_factory=dict)
    aliases: dict[str, Alias] = field(default_factory=dict)
    """By name in small letters."""
    blueprints_retire: bool = False
    """Whether Azure Blueprints ends as Microsoft says."""
    _by_principal: dict[str, dict[str, Json]] = field(default_factory=dict, repr=False)

    def look_at(self, target: str) -> None:
        """Somebody reads `target`: that too brings an operation on it nearer to its end."""
        operation = self.pending.get(target.lower())
        if operation is not None and operation.look():
            self.pending.pop(target.lower(), None)

    def management_group(self, name: str) -> ManagementGroup | None:
        """Find a management group by its id, never by its display name."""
        return self.management_groups.get(name.lower())

    def subscription(self, subscription_id: str) -> Subscription | None:
        """Find a subscription."""
        return self.subscriptions.get(subscription_id.lower())

    @property
    def root(self) -> ManagementGroup:
        """The root management group: its name is the tenant's id."""
        return self.management_groups[self.tenant_id]

    def children(self, group: ManagementGroup) -> list[ManagementGroup]:
        """The management groups directly under one."""
        return [child for child in self.management_groups.values() if child.parent == group.name]

    def subscriptions_in(self, group: ManagementGroup) -> list[Subscription]:
        """The subscriptions directly under a management group."""
        return [
            subscription for subscription in self.subscriptions.values() if subscription.management_group == group.name
        ]

    def above(self, scope: str) -> list[str]:
        """Return the scopes a right on which reaches `scope`, outermost first, `scope` last; all in lower case."""
        wanted = scope.lower().rstrip("/")
        group = self._group_of(wanted)
        chain: list[str] = []
        while group is not None:
            chain.append(group.id.lower())
            group = self.management_groups.get(group.parent.lower()) if group.parent else None
        prefixes = [prefix for prefix in _prefixes(wanted) if prefix not in chain]
        return [ROOT_SCOPE, *reversed(chain), *prefixes]

    def _group_of(self, scope: str) -> ManagementGroup | None:
        if scope.startswith(MANAGEMENT_GROUP.lower()):
            # rights on the root reach a group that does not exist: its holder hears 404, everybody else 403
            return self.management_groups.get(scope[len(MANAGEMENT_GROUP) :].split("/", 1)[0], self.root)
        if scope.startswith("/subscriptions/"):
            subscription = self.subscriptions.get(scope.split("/")[2])
            return self.management_groups.get(subscription.management_group.lower()) if subscription else None
        return None

    def put_role_assignment(self, assignment: Json) -> None:
        """Add a role assignment, or replace the one with the same id."""
        key = assignment["id"].lower()
        self.role_assignments[key] = assignment
        self._by_principal.setdefault(assignment["properties"]["principalId"], {})[key] = assignment

    def remove_role_assignment(self, assignment_id: str) -> Json | None:
        """Delete a role assignment and return it."""
        assignment = self.role_assignments.pop(assignment_id.lower(), None)
        if assignment is not None:
            self._by_principal[assignment["properties"]["principalId"]].pop(assignment_id.lower())
        return assignment

    def roles_of(self, principal_id: str) -> list[Json]:
        """The role assignments that name this principal."""
        return list(self._by_principal.get(principal_id, {}).values())

    def resources_in(self, scope: str) -> list[Json]:
        """The resources below a scope, in the order in which they came."""
        prefix = f"{scope.lower()}/"
        return [resource for key, resource in self.resources.items() if key.startswith(prefix)]

    def remove_below(self, scope: str) -> None:
        """Delete a resource or resource group with all that is in it, role assignments as well."""
        key, prefix = scope.lower(), f"{scope.lower()}/"
        self.resource_groups.pop(key, None)
        for resource in [found for found in self.resources if found == key or found.startswith(prefix)]:
            del self.resources[resource]
        for assignment in [found for found in self.role_assignments if found.startswith(prefix)]:
            self.remove_role_assignment(assignment)


def _prefixes(scope: str) -> Iterator[str]:
    """Yield the ids that contain `scope`, itself last: subscription, resource group, resource."""
    parts = scope.split("/")[1:]
    for count in range(2, len(parts) + 1, 2):
        yield "/" + "/".join(parts[:count])
