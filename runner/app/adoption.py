"""Which things that a plan would create exist already, and how they are taken into the state instead.

Only where an apply of the tenant did not come to its end may something of the tenant's exist that no state knows: the engine was
killed with a creation in flight, or Azure made it and answered with an error. Elsewhere what exists already is somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from runner.domain.configuration import Import
from runner.domain.events import Kind
from runner.domain.plan import UNKNOWN, Action, ResourceChange
from runner.domain.run import Run, Status
from runner.ports import Azure, Runs

_GROUP = "azuread_group_without_members"
_TRIED = (Status.APPLIED, Status.UNCHANGED, Status.FAILED, Status.CANCELED, Status.INTERRUPTED)
_LOOKED_AT = 50  # ended runs; who let so many fail without one apply among them has no creation in flight any more


def is_due(run: Run, runs: Runs) -> bool:
    """Whether the engine of an earlier apply began and did not finish, and none of the tenant's runs came to a good end since."""
    for earlier in runs.find(tenant=run.tenant, statuses=_TRIED, limit=_LOOKED_AT):
        if earlier.status in (Status.APPLIED, Status.UNCHANGED):
            return False
        told = [event.kind for event in runs.events(earlier.id) if event.data.get("what") == "terraform"]
        if Kind.INTENT in told:
            return Kind.DONE not in told
    return False


def existing(changes: Sequence[ResourceChange], azure: Azure) -> tuple[Import, ...]:
    """Imports for the planned creations whose thing is there. One look per creation, one for all groups."""
    creates = [change for change in changes if change.action is Action.CREATE]
    names = {
        str(c.after["display_name"]): c for c in creates if c.type == _GROUP and c.after["display_name"] != UNKNOWN
    }
    found = [
        Import(address=names[name].address, id=f"/groups/{object_id}")
        for name, object_id in sorted(azure.directory.groups_named(sorted(names)).items() if names else ())
    ]
    for change in creates:
        identity = arm_identity(change)
        if identity is not None and azure.resources.exists(identity[0], api_version=identity[1]):
            found.append(Import(address=change.address, id=f"{identity[0]}?api-version={identity[1]}"))
    return tuple(found)


def arm_identity(change: ResourceChange) -> tuple[str, str] | None:
    """ARM id and API version of an azapi_resource; None for anything else, and where the plan does not know them yet."""
    if change.type != "azapi_resource":
        return None
    parent, name = change.after.get("parent_id"), change.after.get("name")
    found = re.fullmatch(r"([^@]+)@([^@]+)", str(change.after.get("type")))
    if found is None or not parent or not name or UNKNOWN in (parent, name):
        return None
    if found[1].lower() == "microsoft.resources/resourcegroups":
        return f"{parent}/resourceGroups/{name}", found[2]
    return f"{parent}/providers/{found[1]}/{name}", found[2]
