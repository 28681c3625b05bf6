"""Which things that a plan would create exist already, and how they are taken in instead of failing on them.

What Azure Resource Manager holds is imported into the state. A group of the wanted name is somebody's, who may use it elsewhere: it is
adopted, so it keeps its members and is never deleted. Only where an apply of the tenant did not come to its end it may be the runner's
own, made and unknown to any state (the engine was killed with the creation in flight, or Azure made it and answered with an error):
then it is imported as well. Either is a risk of the review, and a person decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from runner.domain.configuration import Import
from runner.domain.events import Kind
from runner.domain.plan import UNKNOWN, ResourceChange
from runner.domain.run import Run, Status
from runner.errors import InputError
from runner.ports import Azure, ResourceManager, Runs

_GROUP = "azuread_group_without_members"
_TRIED = (Status.APPLIED, Status.UNCHANGED, Status.FAILED, Status.CANCELED, Status.INTERRUPTED)
_LOOKED_AT = 50  # ended runs; who let so many fail without one apply among them has no creation in flight any more
_RESOURCE_GROUPS = "microsoft.resources/resourcegroups"
_ROLE_ASSIGNMENTS = "microsoft.authorization/roleassignments"


@dataclass(frozen=True)
class Existing:
    """What is there already: imports for the state, and groups by name that are adopted, with their object ids."""

    imports: tuple[Import, ...] = ()
    groups: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Thing:
    """An ARM resource that a plan would create."""

    id: str
    type: str
    api_version: str
    parent: str
    body: dict[str, object]


def in_flight(run: Run, runs: Runs) -> bool:
    """Whether the engine of an earlier apply began and did not finish, and none of the tenant's runs came to a good end since."""
    for earlier in runs.find(tenant=run.tenant, statuses=_TRIED, limit=_LOOKED_AT):
        if earlier.status in (Status.APPLIED, Status.UNCHANGED):
            return False
        told = [event.kind for event in runs.events(earlier.id) if event.data.get("what") == "terraform"]
        if Kind.INTENT in told:
            return Kind.DONE not in told
    return False


def existing(creates: Sequence[ResourceChange], azure: Azure, *, own_groups: bool) -> Existing:
    """What of the planned creations is there. One look per creation, one for all groups. InputError where it cannot be taken in."""
    named = [c for c in creates if c.type == _GROUP and c.after["display_name"] != UNKNOWN]
    names = {str(change.after["display_name"]): change for change in named}
    groups = azure.directory.groups_named(sorted(names)) if names else {}
    imports = [
        Import(address=names[name].address, id=f"/groups/{object_id}")
        for name, object_id in sorted(groups.items())
        if own_groups
    ]
    for change in creates:
        thing = _arm(change)
        if thing is not None and (found := _found(thing, change, azure.resources)):
            imports.append(Import(address=change.address, id=f"{found}?api-version={thing.api_version}"))
    return Existing(imports=tuple(imports), groups={} if own_groups else groups)


def _found(thing: _Thing, change: ResourceChange, resources: ResourceManager) -> str | None:
    """Id of the resource that stands where this one would be created."""
    if thing.type == _RESOURCE_GROUPS:
        return _resource_group(thing, change, resources)
    if resources.exists(thing.id, api_version=thing.api_version):
        return thing.id
    if thing.type == _ROLE_ASSIGNMENTS:
        return _assigned_otherwise(thing, resources)
    return None


def _resource_group(thing: _Thing, change: ResourceChange, resources: ResourceManager) -> str | None:
    location, wanted = resources.location_of(thing.id), str(change.after.get("location", ""))
    if location is not None and location.lower() != wanted.lower():
        raise InputError(
            "The resource group is elsewhere",
            code="resource-group-elsewhere",
            detail=f"{thing.id} exists in {location}, and the documents want it in {wanted}. A resource group cannot be moved.",
            hint=f"Write {location} as its location, or give it another name.",
        )
    return None if location is None else thing.id


def _assigned_otherwise(thing: _Thing, resources: ResourceManager) -> str | None:
    """The same role of the same principal at the same scope, under another name: Azure takes no second one (RoleAssignmentExists)."""
    properties = thing.body.get("properties")
    given = properties if isinstance(properties, dict) else {}
    principal, role = str(given.get("principalId", UNKNOWN)), str(given.get("roleDefinitionId", "")).rpartition("/")[2]
    if principal == UNKNOWN:
        return None
    name = resources.role_assignments(thing.parent, principal).get(role.lower())
    return f"{thing.parent}/providers/Microsoft.Authorization/roleAssignments/{name}" if name else None


def _arm(change: ResourceChange) -> _Thing | None:
    """None for anything but an azapi_resource, and where the plan does not know yet what it will be called."""
    if change.type != "azapi_resource":
        return None
    parent, name, body = change.after.get("parent_id"), change.after.get("name"), change.after.get("body")
    found = re.fullmatch(r"([^@]+)@([^@]+)", str(change.after.get("type")))
    if found is None or not parent or not name or UNKNOWN in (parent, name):
        return None
    type_ = found[1].lower()
    where = f"{parent}/resourceGroups/{name}" if type_ == _RESOURCE_GROUPS else f"{parent}/providers/{found[1]}/{name}"
    return _Thing(where, type_, found[2], str(parent), body if isinstance(body, dict) else {})
