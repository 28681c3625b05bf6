"""Blueprints that a landing zone assigns, and which version of one a tenant gets (Microsoft.Blueprint 2018-11-01-preview)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from runner.domain.access import Warn
from runner.domain.document import Location, ManagementGroupId, Uuid, Value
from runner.domain.parameters import DeploymentName, ExcludedActions, ExcludedPrincipals, Parameters

API_VERSION = "2018-11-01-preview"
TYPE = f"Microsoft.Blueprint/blueprintAssignments@{API_VERSION}"

# The documented form: /subscriptions/[id]/resourceGroups/[group]/providers/Microsoft.ManagedIdentity/userAssignedIdentities/[name]
USER_ASSIGNED_IDENTITY = (
    r"^/subscriptions/[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}/resourceGroups/[^/\s]{1,90}"
    r"/providers/Microsoft\.ManagedIdentity/userAssignedIdentities/[A-Za-z0-9_-]{3,128}$"
)
VERSION_NAME = r"^[^/\s?#%\\]+$"

BlueprintVersion = Annotated[str, StringConstraints(min_length=1, max_length=90, pattern=VERSION_NAME)]
LockMode = Literal["None", "AllResourcesReadOnly", "AllResourcesDoNotDelete"]


class UserAssignedIdentity(Value):
    """An identity of your own that a blueprint is assigned with. Its rights are yours to give."""

    resource_id: Annotated[str, StringConstraints(pattern=USER_ASSIGNED_IDENTITY)]
    """Its resource id, as /subscriptions/…/resourceGroups/…/providers/Microsoft.ManagedIdentity/userAssignedIdentities/…."""
    object_id: Uuid
    """Its object id, which the portal shows beside it."""


class Blueprint(Value):
    """A blueprint that every subscription of the zone is assigned; the assignment has the blueprint's name."""

    name: DeploymentName
    """Name of the blueprint, and of its assignment. With another name another assignment is made, and the old one stays."""
    management_group_id: ManagementGroupId | None = None
    """Id of the management group that the blueprint lies in; without it, the landing zone's."""
    location: Location | None = None
    """Region of the assignment; without it, the platform's blueprintLocation."""
    max_auto_upgrade_version: BlueprintVersion | None = None
    """Version that subscriptions with an assignment move to on their next run. A new assignment gets the version published last."""
    lock_mode: LockMode = "None"
    """What the blueprint's lock forbids: nothing, changing (AllResourcesReadOnly) or deleting (AllResourcesDoNotDelete)."""
    excluded_principals: ExcludedPrincipals = ()
    """Object ids of at most 5 principals for whom the lock does not hold."""
    excluded_actions: ExcludedActions = ()
    """At most 200 actions that the lock does not forbid, as Microsoft.Compute/virtualMachines/restart/action."""
    user_assigned_identity: UserAssignedIdentity | None = None
    """The identity that deploys; without it a system-assigned one, for which Azure Blueprints becomes Owner of the subscription."""
    parameters: Parameters = Field(default_factory=dict)
    """Values of the blueprint's own parameters, beside workspaceIdentifier, projectIdentifier, SubscriptionId and tag<Key>, which are
    given by themselves; ${…} stands for what it stands for in tags."""


@dataclass(frozen=True)
class Published:
    """A published version of a blueprint, and when it was."""

    name: str
    at: datetime


@dataclass(frozen=True)
class Choice:
    """Which version a tenant gets. `older` says that it was published before the one that is assigned."""

    version: str
    older: bool = False
    warnings: tuple[Warn, ...] = ()


def choose(blueprint: Blueprint, versions: Sequence[Published], current: str | None) -> Choice:
    """The version for a tenant that has `current`, or none yet. `versions` are not empty.

    "Existing projects […] get their blueprint updated to this version on the next replication; newly created projects will get the
    latest blueprint version (possibly higher)" (meshStack, Max. Auto Upgrade Blueprint Version).
    """
    known = {version.name.lower(): version for version in versions}
    wanted = blueprint.max_auto_upgrade_version
    warnings: tuple[Warn, ...] = ()
    if wanted is not None and wanted.lower() not in known:
        stays = f"; the subscription stays at {current}" if current else ""
        text = f"The blueprint {blueprint.name} has no version {wanted} (maxAutoUpgradeVersion){stays}."
        warnings = (Warn(code="blueprint-version-unknown", text=text),)
    if current is None:
        return Choice(max(versions, key=lambda version: version.at).name, warnings=warnings)
    target = known.get((wanted or current).lower())
    if target is None:
        return Choice(current, warnings=warnings)
    now = known.get(current.lower())
    older = now is not None and target.at < now.at
    return Choice(target.name, older=older, warnings=warnings)


def definition_id(blueprint: Blueprint, zone_group: str) -> str:
    """ARM id of the blueprint itself."""
    group = blueprint.management_group_id or zone_group
    return f"/providers/Microsoft.Management/managementGroups/{group}/providers/Microsoft.Blueprint/blueprints/{blueprint.name}"


def assignment_id(subscription: str, name: str) -> str:
    """ARM id of an assignment."""
    return f"/subscriptions/{subscription}/providers/Microsoft.Blueprint/blueprintAssignments/{name}"
