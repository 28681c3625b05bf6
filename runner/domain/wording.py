"""Changes of the runner's own modules in words an operator understands. Whatever is not known here is said by its address.

A change is told from its block, its type and its body; nothing is guessed. Names of roles are those of Azure's built-in ones
(https://learn.microsoft.com/azure/role-based-access-control/built-in-roles); any other role is told by its id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.domain.plan import UNKNOWN, Action, AttributeChange, ResourceChange

OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
USER_ACCESS_ADMINISTRATOR = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"
RBAC_ADMINISTRATOR = "f58310d9-a9f6-439a-9e8d-f62e7b41a168"
HIGHEST_ROLES = frozenset({OWNER, USER_ACCESS_ADMINISTRATOR, RBAC_ADMINISTRATOR})
ROLE_NAMES = {
    OWNER: "Owner",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": "Reader",
    USER_ACCESS_ADMINISTRATOR: "User Access Administrator",
    RBAC_ADMINISTRATOR: "Role Based Access Control Administrator",
}

SIGNS = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.REPLACE: "±",
    Action.DELETE: "-",
    Action.FORGET: ".",
    Action.READ: "<",
    Action.NO_OP: "=",
}

_BOOKKEEPING = {("management_group", "terraform_data"), ("tags", "azapi_resource_action")}
_ELIGIBILITY = "Microsoft.Authorization/roleEligibilityScheduleRequests@"


@dataclass(frozen=True)
class Context:
    """What the sentences need beside the change: names by which people know things."""

    scope: str
    group_names: Mapping[str, str] = field(default_factory=dict)
    management_group_now: str | None = None
    older_blueprints: frozenset[str] = frozenset()
    principals: Mapping[str, str] = field(default_factory=dict)
    blocks: Mapping[str, str] = field(default_factory=dict)


def role_name(role_id: str) -> str:
    return ROLE_NAMES.get(role_id.lower(), f"role {role_id}")


def is_bookkeeping(change: ResourceChange) -> bool:
    """Records in the state that stand for no thing of their own in Azure."""
    if change.block.startswith("block_"):
        done = change.type == "azapi_resource_action" and _is_silent(change)
        return change.type == "terraform_data" or done
    return (change.block, change.type) in _BOOKKEEPING


def _is_silent(change: ResourceChange) -> bool:
    """An action that makes no call: one for the end that begins, or any other that ends."""
    at_the_end = _get(change.after or change.before, "when") == "destroy"
    return change.action in ((Action.CREATE, Action.UPDATE) if at_the_end else (Action.DELETE, Action.FORGET))


def sign(change: ResourceChange) -> str:
    """What happens to the thing in Azure: `+` is made, `~` changes, `-` goes, `±` goes and comes, `.` is left alone."""
    if change.type == "azapi_resource_action" and change.block.startswith("block_"):
        if _get(change.before, "when") == "destroy":
            return "-"
        return "+" if change.action is Action.CREATE else "~"
    if change.block == "management_group":  # the subscription stays what it is, and is moved or left where it is
        return "." if change.action in (Action.DELETE, Action.FORGET) else "~"
    return SIGNS[change.action]


def role_of(change: ResourceChange) -> str | None:
    """Role definition id of a role assignment; None for anything else."""
    if change.block not in ("roles", "blueprints_owner"):
        return None
    found = _get(change.after or change.before, "body", "properties", "roleDefinitionId")
    return str(found).rsplit("/", 1)[-1].lower() if found else change.key.rpartition("/")[2] or None


def role_in(change: ResourceChange) -> str | None:
    """Role definition id of a role assignment that a building block makes; None for anything else."""
    if not str(_get(change.after, "type") or "").lower().startswith("microsoft.authorization/roleassignments@"):
        return None
    return str(_get(change.after, "body", "properties", "roleDefinitionId") or "").rpartition("/")[2].lower()


def sentence(change: ResourceChange, context: Context) -> str:
    """What happens, in one sentence without a full stop."""
    text = _known(change, context) or by_address(change)
    if not change.importing:
        return text
    if change.action is Action.REPLACE:
        return f"Take over what exists: {text[0].lower()}{text[1:]}"
    what = "and change it" if differences(change) else "as it is"
    return f"Take over what exists: {_thing(change, context)}, {what}"


def adoption(name: str, object_id: str) -> str:
    """What it means to use a group that has the wanted name already, and that the runner did not make."""
    return f"Use the group {name} that exists already ({object_id}): whoever is in it stays in it, and the group is never deleted"


def differences(change: ResourceChange) -> tuple[AttributeChange, ...]:
    """What changes in a thing that is taken over. Its state begins as everything that Azure answered: what the configuration says
    nothing about is no difference, neither are the provider's own settings."""
    before, after = _told(change.before), _told(change.after)
    return tuple(_differing(before, after, "", fold=_get(change.after, "ignore_casing") is True))


def _told(value: Any) -> dict[str, Any]:
    return {key: value[key] for key in _TOLD if key in value} if isinstance(value, dict) else {}


_TOLD = ("body", "description", "display_name", "identity", "location", "name", "owners", "tags")


def _differing(before: Any, after: Any, path: str, *, fold: bool) -> Iterator[AttributeChange]:
    if isinstance(after, dict):
        known = before if isinstance(before, dict) else {}
        for key, value in after.items():
            yield from _differing(known.get(key), value, f"{path}.{key}" if path else key, fold=fold)
        return
    nothing = before in (None, "", []) and after in (None, "", [])
    same_word = isinstance(before, str) and isinstance(after, str) and before.lower() == after.lower()
    if not (nothing or before == after or (same_word and (fold or path == "location"))):
        yield AttributeChange(path=path, before=before, after=after)


def _thing(change: ResourceChange, context: Context) -> str:
    """What it is that a change is about, by the name that people know."""
    name = _get(change.after, "display_name") or _get(change.after, "name") or change.key
    if change.block == "groups":
        return f"the group {name}"
    if change.block.startswith("resource_group_"):
        return f"the resource group {name}"
    if change.block.startswith("blueprint_"):
        return f"the blueprint assignment {name}"
    if change.block.startswith("stack_"):
        return f"the deployment stack {name}"
    if change.block.startswith("block_"):
        return f"{_what(change)} ({_of_block(change, context)})"
    if change.block == "blueprints_owner":
        return f"the role Owner of Azure Blueprints on {context.scope}"
    if change.block == "roles":
        alias = change.key.rpartition("/")[0]
        return f"the role {role_name(role_of(change) or '')} of the group {context.group_names.get(alias, alias)}"
    return change.address


def _known(change: ResourceChange, context: Context) -> str | None:
    match change.block:
        case "management_group" if change.type == "azapi_resource_action":
            return _association(change, context)
        case "groups":
            return _group(change)
        case "roles":
            return _role(change, context)
        case "tags" if change.type == "azapi_update_resource":
            return _tags(change, context)
        case block if block.startswith("resource_group_"):
            return _resource_group(change)
        case block if block.startswith("blueprint_"):
            return _blueprint(change, context)
        case "blueprints_owner":
            return _blueprints_owner(change, context)
        case block if block.startswith("stack_"):
            return _stack(change, context)
        case block if block.startswith("block_"):
            return _of_a_block(change, context)
        case _:
            return None


def _association(change: ResourceChange, context: Context) -> str:
    if change.action is Action.FORGET:
        return f"Leave {context.scope} in its management group, no longer managed"
    if change.action is Action.DELETE:
        return f"Stop managing the management group of {context.scope} (it stays where it is)"
    target = _management_group(_get(change.after, "resource_id"))
    now = context.management_group_now
    if now and now.lower() == target.lower():
        return f"Keep {context.scope} in management group {target}"
    return f"Move {context.scope} from management group {now or '(not known)'} to {target}"


def _management_group(resource_id: Any) -> str:
    found = re.search(r"/managementGroups/([^/]+)", str(resource_id or ""))
    return found[1] if found else "(known after apply)"


def _group(change: ResourceChange) -> str:
    name = _get(change.after, "display_name") or _get(change.before, "display_name") or change.key
    match change.action:
        case Action.CREATE:
            return f"Create the group {name}"
        case Action.DELETE:
            return f"Delete the group {name}, and with it the access of its members"
        case Action.FORGET:
            return f"Keep the group {name}, no longer managed"
        case Action.REPLACE:
            return f"Delete the group {_get(change.before, 'display_name')} and create {name} in its place"
        case _:
            before = _get(change.before, "display_name")
            return f"Rename the group {before} to {name}" if before and before != name else f"Change the group {name}"


def _role(change: ResourceChange, context: Context) -> str:
    alias, _, role_id = change.key.rpartition("/")
    group = context.group_names.get(alias, alias)
    role = role_name(role_of(change) or role_id)
    condition = " under a condition" if _get(change.after, "body", "properties", "condition") else ""
    match change.action:
        case Action.CREATE:
            return f"Give the group {group} the role {role} on {context.scope}{condition}"
        case Action.DELETE:
            return f"Take the role {role} on {context.scope} away from the group {group}"
        case Action.FORGET:
            return f"Keep the role {role} of the group {group}, no longer managed"
        case Action.REPLACE:
            return f"Take the role {role} on {context.scope} away and give it to the group {group} anew{condition}"
        case _:
            return f"Change how the group {group} has the role {role} on {context.scope}{condition}"


def _tags(change: ResourceChange, context: Context) -> str:
    if change.action is Action.FORGET:
        return f"Keep the tags on {context.scope}, no longer managed"
    if change.action is Action.DELETE:
        ours = ", ".join(sorted(_get(change.before, "body", "properties", "tags") or {}))
        return f"Remove the tags {ours} from {context.scope}"
    after = _get(change.after, "body", "properties", "tags") or {}
    before = _get(change.before, "body", "properties", "tags") or {}
    changed = sorted(key for key in after if before.get(key) != after[key])
    what = ", ".join(f"{key} = {after[key]}" for key in changed[:4])
    more = f" and {len(changed) - 4} more" if len(changed) > 4 else ""
    return f"Set the tags {what}{more} on {context.scope}" if changed else f"Set the tags on {context.scope}"


def _resource_group(change: ResourceChange) -> str:
    name = _get(change.after, "name") or _get(change.before, "name") or change.block.removeprefix("resource_group_")
    location = _get(change.after, "location") or _get(change.before, "location") or ""
    match change.action:
        case Action.CREATE:
            return f"Create the resource group {name} in {location}"
        case Action.DELETE:
            return f"Delete the resource group {name} with everything in it"
        case Action.FORGET:
            return f"Keep the resource group {name}, no longer managed"
        case Action.REPLACE:
            old = _get(change.before, "name") or name
            return f"Delete the resource group {old} with everything in it and create {name} in {location}"
        case _:
            return f"Change the resource group {name}"


def _blueprint(change: ResourceChange, context: Context) -> str:
    name = _get(change.after, "name") or _get(change.before, "name") or change.key
    old, new = _version(change.before), _version(change.after)
    lock = _get(change.after, "body", "properties", "locks", "mode")
    locked = f", locked with {lock}" if lock not in (None, "None") else ""
    match change.action:
        case Action.CREATE:
            return f"Assign the blueprint {name} ({new}) to {context.scope}{locked}"
        case Action.DELETE:
            return f"Remove the blueprint assignment {name} from {context.scope}: its locks end, what it deployed stays"
        case Action.FORGET:
            return f"Leave the blueprint assignment {name} on {context.scope} as it is, no longer managed"
        case Action.REPLACE:
            return f"Remove the blueprint assignment {name} from {context.scope} and assign it anew ({new}){locked}"
        case _ if old != new:
            return f"Move the blueprint {name} on {context.scope} from {old} to {new}{locked}"
        case _:
            return f"Assign the blueprint {name} ({new}) to {context.scope} once more{locked}"


def _version(planned: Any) -> str:
    found = str(_get(planned, "body", "properties", "blueprintId") or "")
    return found.rpartition("/versions/")[2] or "a version that is known after apply"


def _blueprints_owner(change: ResourceChange, context: Context) -> str:
    match change.action:
        case Action.CREATE:
            return f"Make Azure Blueprints Owner of {context.scope}, which its system-assigned identities need"
        case Action.DELETE:
            return f"Take Owner on {context.scope} away from Azure Blueprints"
        case Action.FORGET:
            return f"Leave Azure Blueprints Owner of {context.scope}, no longer managed"
        case Action.REPLACE:
            return f"Take Owner on {context.scope} from Azure Blueprints and give it anew"
        case _:
            return f"Change how Azure Blueprints is Owner of {context.scope}"


def _stack(change: ResourceChange, context: Context) -> str:
    name = _get(change.after, "name") or _get(change.before, "name") or change.key
    old, new = (_get(side, "body", "properties", "description") for side in (change.before, change.after))
    mode = _get(change.after, "body", "properties", "denySettings", "mode")
    denied = f", with deny mode {mode}" if mode not in (None, "none") else ""
    match change.action:
        case Action.CREATE:
            return f"Deploy the stack {name} ({new}) into {context.scope}{denied}"
        case Action.DELETE:
            return f"Delete the deployment stack {name} of {context.scope}; {_unmanaged(change.before)}"
        case Action.FORGET:
            return f"Leave the deployment stack {name} of {context.scope} as it is, no longer managed"
        case Action.REPLACE:
            return f"Delete the deployment stack {name} of {context.scope}, and deploy it anew ({new}){denied}; {_unmanaged(change.before)}"
        case _ if old and old != new:
            return f"Deploy the stack {name} of {context.scope} anew: {new} in place of {old}{denied}"
        case _:
            return f"Deploy the stack {name} ({new}) of {context.scope} once more{denied}"


def _unmanaged(before: Any) -> str:
    """What becomes of what a stack deployed."""
    action = _get(before, "body", "properties", "actionOnUnmanage") or {}
    gone = [
        words
        for key, words in (("resources", "resources"), ("resourceGroups", "resource groups with everything in them"))
        if str(action.get(key)) == "delete"
    ]
    return f"its {' and its '.join(gone)} are deleted" if gone else "what it deployed stays"


def eligibility_of(change: ResourceChange) -> tuple[str, str] | None:
    """Principal and role definition id that a building block makes eligible, or no longer; None for anything else."""
    side = change.before if change.action in (Action.DELETE, Action.FORGET) else change.after
    if change.type != "azapi_resource_action" or not str(_get(side, "type") or "").startswith(_ELIGIBILITY):
        return None
    role = str(_get(side, "body", "properties", "roleDefinitionId") or "").rpartition("/")[2].lower()
    return str(_get(side, "body", "properties", "principalId") or UNKNOWN), role


def _of_a_block(change: ResourceChange, context: Context) -> str:
    """A resource of a building block: by its type and name in Azure where it has them."""
    where = _of_block(change, context)
    if (eligible := eligibility_of(change)) is not None:
        who, role = eligible
        if who == UNKNOWN:
            who = f"{change.key} (its id is known after apply)"
        elif who in context.principals:
            who = f"the group {context.principals[who]}"
        if _get(change.before, "when") == "destroy":
            return f"Take from {who} that it may activate the role {role_name(role)} on {context.scope} ({where})"
        return f"Let {who} activate the role {role_name(role)} on {context.scope} ({where})"
    if change.type == "azapi_resource_action":
        called = change.before if change.action is Action.DELETE else change.after
        what = _get(called, "action") or _get(called, "resource_id") or "a resource"
        return f"Call {_get(called, 'method') or 'POST'} on {what} ({where})"
    verb = _VERBS[change.action]
    return f"{verb} {_what(change)} ({where})"


def _what(change: ResourceChange) -> str:
    side = change.after or change.before
    name = _get(side, "name") or _get(side, "display_name") or _get(change.before, "name")
    type_ = str(_get(side, "type") or "").partition("@")[0] if change.type.startswith("azapi_") else change.type
    own = change.address.removeprefix(f"{change.module}.")
    return f"{type_} {name}" if type_ and name else own


def _of_block(change: ResourceChange, context: Context) -> str:
    key = change.block.removeprefix("block_")
    return f"building block {context.blocks.get(key, key)}"


def by_address(change: ResourceChange) -> str:
    """What happens to a thing of which only the address is known."""
    return f"{_VERBS[change.action]} {change.address}"


_VERBS = {
    Action.CREATE: "Create",
    Action.UPDATE: "Change",
    Action.REPLACE: "Delete and create anew",
    Action.DELETE: "Delete",
    Action.FORGET: "Keep, no longer managed:",
    Action.READ: "Read",
    Action.NO_OP: "Keep",
}


def _get(value: Any, *path: str) -> Any:
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return None if value == UNKNOWN else value
