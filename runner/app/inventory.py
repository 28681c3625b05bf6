"""What a tenant has in Azure beside what it should have, looked up without the engine; and subscriptions that nobody documents.

This is for a person to look at. What is to be done about a difference is a plan's to say, which knows every attribute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Event
from typing import Any, Literal

from runner.app import deleting
from runner.app.sourcing import as_held
from runner.app.walk import Ports
from runner.domain import access, tagging, wording
from runner.domain.access import Frozen, Group, Wanted
from runner.domain.configuration import (
    Placed,
    groups_of,
    management_group_for,
    resource_groups_of,
    role_assignments,
    stays_below,
    subscription_id,
    tag_scope,
    wanted,
)
from runner.domain.deletion import Standing
from runner.domain.deployment_stack import deny_warnings
from runner.domain.facts import Facts
from runner.domain.plan import Action, ResourceChange
from runner.domain.review import Review
from runner.domain.run import Status
from runner.errors import InputError, RemoteFailed
from runner.ports import Azure, Deployments, ResourceManager, SubscriptionFacts

_GOOD = (Status.APPLIED,)
_LOOKED_AT = 50  # applied runs; what an older one left is known to somebody by now


class Item(Frozen):
    """One thing of a tenant: what it should be and what it is, in words; empty words where it should not be, or is not."""

    kind: Literal[
        "management group", "resource group", "blueprint", "deployment stack", "group", "members", "role", "tag"
    ]
    name: str
    should: str
    found: str
    matches: bool


class Leftover(Frozen):
    """A thing that a run left in Azure and that is still there, no longer managed by anybody."""

    id: str
    text: str
    run: str


def look(placed: Placed, ports: Ports) -> dict[str, Any]:
    """What Azure says of a tenant, as JSON: `subscription`, `items`, `leftovers`; or why it says nothing (`failure`), for what the store
    knows is worth showing all the same."""
    placed = as_held(placed, ports)
    wanted = subscription_id(placed)
    deletion = ports.deletions.of(placed.tenant.name)
    leaves = deletion is not None and deletion.standing in (Standing.APPROVED, Standing.GONE)
    suspended = leaves or deleting.suspends_access(placed, ports)
    told: dict[str, Any] = {"subscription": {"id": wanted}, "items": [], "leftovers": [], "failure": None}
    try:
        with ports.azure(placed.platform, Event()) as azure:
            subscription = azure.resources.subscription(wanted) if wanted else None
            if subscription is not None:
                told["subscription"] |= {
                    "name": subscription.display_name,
                    "state": subscription.state,
                    "managementGroup": subscription.management_group,
                }
                items = items_of(placed, subscription, azure, ports, suspended=suspended)
                told["items"] = [item.model_dump() for item in (as_it_leaves(items, placed) if leaves else items)]
                told["leftovers"] = [one.model_dump() for one in leftovers_of(placed.tenant.name, azure, ports)]
    except (RemoteFailed, InputError) as error:
        told["failure"] = {"code": error.code, "summary": error.summary, "detail": error.detail, "hint": error.hint}
    return told


def items_of(
    placed: Placed, subscription: SubscriptionFacts, azure: Azure, ports: Ports, *, suspended: bool
) -> list[Item]:
    """What the documents ask for, thing by thing, and what is there of it."""
    resources, tenant = azure.resources, placed.tenant.name
    facts = Facts(above=subscription.above, adopted_groups=ports.runs.adopted(tenant))
    found: list[Item] = []
    if (target := management_group_for(placed, None)) is not None:
        now = subscription.management_group or ""
        as_wanted = now.lower() == target.lower() or stays_below(placed, facts)
        found.append(Item(kind="management group", name=target, should=target, found=now, matches=as_wanted))
    for group in resource_groups_of(placed).values():
        where = resources.location_of(f"/subscriptions/{subscription.id}/resourceGroups/{group['name']}") or ""
        same = where.lower() == group["location"].lower()
        found.append(
            Item(kind="resource group", name=group["name"], should=group["location"], found=where, matches=same)
        )
    found += _deployments(placed, subscription.id, azure.deployments)
    groups = _identified(groups_of(placed, facts), azure)
    for one in groups:
        found.append(
            Item(kind="group", name=one.name, should="there", found=one.object_id or "", matches=bool(one.object_id))
        )
    found += _members(placed, groups, azure, ports, suspended=suspended)
    found += _roles(placed, groups, resources)
    return found + _tags(placed, resources.tags(tag_scope(placed)))


def _deployments(placed: Placed, subscription: str, deployments: Deployments) -> list[Item]:
    """Blueprints with the version that is assigned, also those that the landing zone does not list; and stacks with what they deployed."""
    spec = placed.zone.spec
    if placed.platform.spec.type != "azure":
        return []
    now = {one.name.lower(): one for one in deployments.assignments(subscription)}
    items = []
    for blueprint in spec.blueprints:
        there = now.pop(blueprint.name.lower(), None)
        if there is None and blueprint.name.lower() in {stack.name.lower() for stack in spec.deployment_stacks}:
            continue  # the stack takes its place
        most = blueprint.max_auto_upgrade_version
        said = f"{there.version} ({there.state})" if there else ""
        good = there is not None and not there.failed and (most is None or there.version.lower() == most.lower())
        items.append(Item(kind="blueprint", name=blueprint.name, should=most or "assigned", found=said, matches=good))
    items += [
        Item(kind="blueprint", name=one.name, should="", found=f"{one.version}, not managed", matches=False)
        for one in now.values()
    ]
    for stack in spec.deployment_stacks:
        found = deployments.stack(subscription, stack.name)
        wrong = [warning.text for warning in deny_warnings(stack, found)] if found else []
        told = "; ".join([f"{found.deployed} ({found.state})", *wrong]) if found else ""
        good = found is not None and not (wrong or found.failed) and found.deployed == stack.deployed
        items.append(Item(kind="deployment stack", name=stack.name, should=stack.deployed, found=told, matches=good))
    return items


def as_it_leaves(items: Sequence[Item], placed: Placed) -> list[Item]:
    """The items of a tenant that leaves: what is still there and should not be. Its place stays, and what the platform keeps."""
    stays = {"management group", "members"}
    stays |= {"group", "role"} if placed.platform.spec.skip_user_group_permission_cleanup else set()
    return [
        item.model_copy(update={"should": "", "matches": not item.found}) for item in items if item.kind not in stays
    ]


def _identified(groups: Sequence[Group], azure: Azure) -> tuple[Group, ...]:
    """The groups with the object ids of those that are there."""
    ids = azure.directory.groups_named([group.name for group in groups if not group.adopted])
    names = azure.directory.group_names([group.object_id for group in groups if group.adopted and group.object_id])
    return tuple(
        group.model_copy(update={"object_id": ids.get(group.name)})
        if not group.adopted
        else group.model_copy(
            update={"name": names.get(group.object_id or "", group.name)}
            | ({} if group.object_id in names else {"object_id": None})
        )
        for group in groups
    )


def _members(placed: Placed, groups: tuple[Group, ...], azure: Azure, ports: Ports, *, suspended: bool) -> list[Item]:
    aim = wanted(placed, groups)
    if suspended:
        aim = Wanted(groups=groups, people={})
    people = azure.directory.look_up(() if suspended else placed.tenant.spec.users)
    current = {group.alias: azure.directory.members(group.object_id) for group in groups if group.object_id}
    plan = access.diff(aim, people, current, ports.runs.granted(placed.tenant.name))
    items = []
    for group in groups:
        lacking = [addition.person for addition in plan.additions if addition.alias == group.alias]
        strange = [removal.label for removal in plan.removals if removal.alias == group.alias]
        now = len(current.get(group.alias, ()))
        told = [f"lacks {', '.join(lacking)}"] if lacking else []
        told += [f"has {', '.join(strange)}, who should not be in it"] if strange else []
        items.append(
            Item(
                kind="members",
                name=group.name,
                should=str(now + len(lacking) - len(strange)),
                found="; ".join((str(now), *told)),
                matches=not told,
            )
        )
    return items


def _roles(placed: Placed, groups: Sequence[Group], resources: ResourceManager) -> list[Item]:
    ids = {group.alias: group for group in groups}
    scope = tag_scope(placed)
    held: dict[str, Mapping[str, str]] = {}
    items = []
    for assignment in role_assignments(placed).values():
        group = ids[assignment["group"]]
        if group.object_id and group.object_id not in held:
            held[group.object_id] = resources.role_assignments(scope, group.object_id)
        role = assignment["role_definition_id"].lower()
        there = held.get(group.object_id or "", {}).get(role, "")
        name = f"{wording.role_name(role)} of {group.name}"
        items.append(Item(kind="role", name=name, should="assigned", found=there, matches=bool(there)))
    return items


def _tags(placed: Placed, now: Mapping[str, str]) -> list[Item]:
    by_name = {name.lower(): value for name, value in now.items()}
    mapped = tagging.tags_of(placed.platform, placed.zone, placed.tenant).tags
    items = [
        Item(
            kind="tag",
            name=name,
            should=value,
            found=by_name.get(name.lower(), ""),
            matches=by_name.get(name.lower()) == value,
        )
        for name, value in mapped.items()
    ]
    stale = tagging.stale(placed.platform, mapped, now)
    return items + [Item(kind="tag", name=name, should="", found=value, matches=False) for name, value in stale.items()]


def leftovers_of(tenant: str, azure: Azure, ports: Ports) -> list[Leftover]:
    """What applied runs took out of the state and left in Azure, as far as it is still there and no later run took it in again."""
    taken: set[str] = set()
    left: dict[str, Leftover] = {}
    for run in ports.runs.find(tenant=tenant, statuses=_GOOD, limit=_LOOKED_AT):
        kept = ports.runs.review(run.id)
        made = Review.model_validate(kept) if kept is not None else None
        said = {sentence.address: sentence.text for sentence in made.sentences} if made else {}
        for change in made.changes if made else ():
            thing = str((change.before or {}).get("id") or "").lower()
            if change.importing:
                taken.add(change.importing.partition("?")[0].lower())
            elif change.action is Action.FORGET and thing not in {"", *taken, *left} and _is_there(change, azure):
                text = said.get(change.address, change.address)
                left[thing] = Leftover(id=str(change.before["id"]), text=text, run=run.id)
    return list(left.values())


def _is_there(change: ResourceChange, azure: Azure) -> bool:
    before = change.before or {}
    if change.type.startswith("azuread_group"):
        object_id = str(before.get("object_id") or "")
        return bool(object_id and azure.directory.group_names([object_id]))
    if change.type == "azapi_resource":  # what is not a thing of its own, as a place or a tag, is no leftover
        version = str(before.get("type") or "").partition("@")[2]
        return bool(version) and azure.resources.exists(str(before["id"]), api_version=version)
    return False


def unmanaged(
    groups: Sequence[str], named: frozenset[str], resources: ResourceManager
) -> tuple[list[SubscriptionFacts], list[str]]:
    """Subscriptions below these management groups that are not named, by their ids in small letters; and the groups that do not exist
    or may not be read."""
    readable = [group for group in groups if resources.management_group(group) is not None]
    below = resources.subscriptions_below(readable) if readable else ()
    return [one for one in below if one.id not in named], [group for group in groups if group not in readable]
