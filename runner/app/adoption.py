"""Which things that a plan would create exist already, and how they are taken in instead of failing on them.

What Azure Resource Manager holds is imported into the state. A group of the wanted name is somebody's, who may use it elsewhere: it is
adopted, so it keeps its members and is never deleted. Only where an apply of the tenant did not come to its end it may be the runner's
own, made and unknown to any state (the engine was killed with the creation in flight, or Azure made it and answered with an error):
then it is imported as well. Either is a risk of the review, and a person decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

from runner.domain.configuration import Import
from runner.domain.events import Kind
from runner.domain.plan import UNKNOWN, ResourceChange
from runner.domain.run import ENDED_WELL, Run, Status
from runner.errors import InputError
from runner.ports import Azure, ResourceManager, Runs

_GROUP = "azuread_group_without_members"
_TRIED = (Status.APPLIED, Status.UNCHANGED, Status.FAILED, Status.CANCELED, Status.INTERRUPTED)
_LOOKED_AT = 50  # ended runs; who let so many fail without one apply among them has no creation in flight any more
_RESOURCE_GROUPS = "microsoft.resources/resourcegroups"


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
        if earlier.status in ENDED_WELL:
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
    looks = _Looks(azure.resources, cache(azure.resources.role_assignments))
    for change in creates:
        thing = _arm(change)
        if thing is not None and (found := LOOKS.get(thing.type, _by_id)(thing, change, looks)):
            imports.append(Import(address=change.address, id=f"{found}?api-version={thing.api_version}"))
    return Existing(imports=tuple(imports), groups={} if own_groups else groups)


@dataclass(frozen=True)
class _Looks:
    """What looks go through; the role assignments of one principal at one scope are listed once."""

    resources: ResourceManager
    role_assignments: Callable[[str, str], dict[str, str]]


def _by_id(thing: _Thing, _: ResourceChange, looks: _Looks) -> str | None:
    """What has the very id. azapi asks the same before it creates anything, and would refuse."""
    return thing.id if looks.resources.exists(thing.id, api_version=thing.api_version) else None


def _resource_group(thing: _Thing, change: ResourceChange, looks: _Looks) -> str | None:
    location, wanted = looks.resources.location_of(thing.id), str(change.after.get("location", ""))
    if location is not None and location.lower() != wanted.lower():
        raise InputError(
            "The resource group is elsewhere",
            code="resource-group-elsewhere",
            detail=f"{thing.id} exists in {location}, and the documents want it in {wanted}. A resource group cannot be moved.",
            hint=f"Write {location} as its location, or give it another name.",
        )
    return None if location is None else thing.id


def _role_assignment(thing: _Thing, change: ResourceChange, looks: _Looks) -> str | None:
    """The same role of the same principal right at this scope, whatever the assignment is called: Azure takes no second one
    (RoleAssignmentExists)."""
    properties = thing.body.get("properties")
    given = properties if isinstance(properties, dict) else {}
    principal, role = str(given.get("principalId", UNKNOWN)), str(given.get("roleDefinitionId", "")).rpartition("/")[2]
    if principal == UNKNOWN:  # it is made by the same run, so nobody can have given it anything
        return None
    name = looks.role_assignments(thing.parent, principal).get(role.lower())
    return f"{thing.parent}/providers/Microsoft.Authorization/roleAssignments/{name}" if name else None


LOOKS: dict[str, Callable[[_Thing, ResourceChange, _Looks], str | None]] = {
    _RESOURCE_GROUPS: _resource_group,
    "microsoft.authorization/roleassignments": _role_assignment,
}
"""How to find what stands in the way of a creation, by ARM type in small letters; any other type is looked up by its id.

A look gives the id of what exists, or None, and raises InputError where it cannot be taken over. A type belongs here where Azure knows
a thing by more than its id, or where what exists may be of no use. A PUT follows the import (azapi compares its own settings, too):
where that does something by itself, as with a blueprint assignment, the module keeps quiet by `ignore_changes`.
"""


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
