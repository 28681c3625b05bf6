"""What is inside resource groups that a plan would delete: it goes with them."""

from __future__ import annotations

from collections.abc import Sequence

from runner.domain.plan import Action, ResourceChange
from runner.domain.review import Contents
from runner.ports import ResourceManager


def contents_of(changes: Sequence[ResourceChange], resources: ResourceManager) -> list[Contents]:
    """What is in the resource groups that would be deleted."""
    found = []
    for change in changes:
        if change.block.startswith("resource_group_") and change.action in (Action.DELETE, Action.REPLACE):
            inside = resources.resources_in(str((change.before or {}).get("id", "")))
            if inside:
                found.append(Contents(resource_group=str(change.before.get("name", "")), resources=inside))
    return found
