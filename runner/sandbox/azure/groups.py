"""Graph's groups and administrative units: as azuread 3.9.0 calls them on beta, and the same on v1.0."""

from __future__ import annotations

import uuid

from runner.sandbox.azure.directory import Group, Unit, group_defaults
from runner.sandbox.azure.filters import look_ups
from runner.sandbox.azure.visit import Visit, not_found, references, selecting
from runner.sandbox.azure.wire import Answer, Call, Json, Rejection

READ = (
    "Group.Read.All",
    "Group.ReadWrite.All",
    "GroupMember.Read.All",
    "GroupMember.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
)
WRITE = ("Group.ReadWrite.All", "Directory.ReadWrite.All")
CREATE = (*WRITE, "Group.Create")
MEMBERS_WRITE = (*WRITE, "GroupMember.ReadWrite.All")
UNIT_READ = (
    "AdministrativeUnit.Read.All",
    "AdministrativeUnit.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
)
UNIT_WRITE = ("AdministrativeUnit.ReadWrite.All", "Directory.ReadWrite.All")

MOST_AT_ONCE = 20
REQUIRED = ("displayName", "mailEnabled", "mailNickname", "securityEnabled")
PROPERTIES = frozenset(
    {*group_defaults({}), "id", "createdDateTime", "onPremisesSyncEnabled", "onPremisesSamAccountName", "theme"}
)


def answer(visit: Visit, call: Call, rest: tuple[str, ...]) -> Answer:
    """Answer a call below `/groups`."""
    match (call.method, *rest):
        case ("GET",):
            visit.require(READ)
            return visit.objects(call, _wanted(visit, call), typed=True, known=PROPERTIES)
        case ("POST",):
            visit.require(CREATE)
            return Answer(201, visit.show(create(visit, call.json()).id))
        case ("GET", group_id):
            visit.require(READ)
            return Answer(200, selecting(call, ())(visit.show(find(visit, group_id).id)))
        case ("PATCH", group_id):
            visit.require(WRITE, unit_of=group_id.lower())
            return _patch(visit, find(visit, group_id), call.json())
        case ("DELETE", group_id):
            visit.require(WRITE, unit_of=group_id.lower())
            visit.directory.remove(find(visit, group_id).id)
            return Answer(204)
        case ("GET", group_id, "members" | "owners" as relation):
            visit.require(READ)
            return visit.objects(call, list(_related(find(visit, group_id), relation)), typed=True)
        case ("POST", group_id, "members" | "owners" as relation, "$ref"):
            visit.require(MEMBERS_WRITE, unit_of=group_id.lower())
            return _add(visit, find(visit, group_id), relation, references(call.json().get("@odata.id")))
        case ("DELETE", group_id, "members" | "owners" as relation, object_id, "$ref"):
            visit.require(MEMBERS_WRITE, unit_of=group_id.lower())
            return _drop(visit, find(visit, group_id), relation, object_id.lower())
        case ("GET", group_id, "memberOf"):
            visit.require(READ)
            return member_of(visit, call, find(visit, group_id).id)
        case _:
            raise Rejection(404, "BadRequest", f"Resource not found for the segment '{call.segments[-1]}'.")


def _wanted(visit: Visit, call: Call) -> list[str]:
    """The groups that a filter may mean: most ask for one name, and then the others need not be written out."""
    everything = visit.directory.groups
    wanted = look_ups(visit.checked_filter(call, PROPERTIES)) if "$filter" in call.query else None
    if wanted is None or any(one.prefix or one.path not in ("id", "displayName") for one in wanted):
        return list(everything)
    pairs = {(one.path, one.value) for one in wanted}
    return [
        group.id
        for group in everything.values()
        if ("id", group.id) in pairs or ("displayName", group.attributes["displayName"]) in pairs
    ]


def find(visit: Visit, group_id: str) -> Group:
    """Return the group, once directory reads see it."""
    group = visit.directory.groups.get(group_id.lower())
    if group is None or not visit.sees(group.id):
        raise not_found(group_id)
    return group


def create(visit: Visit, given: Json) -> Group:
    """Make a group."""
    for name in REQUIRED:
        if given.get(name) in (None, ""):
            raise Rejection(
                400, "Request_BadRequest", f"A value is required for property '{name}' of resource 'Group'."
            )
    bindings = {relation: _bound(visit, given.get(f"{relation}@odata.bind")) for relation in ("members", "owners")}
    group = Group(str(uuid.uuid4()), group_defaults(_attributes(given)))
    group.members = dict.fromkeys(bindings["members"])
    group.owners = dict.fromkeys(bindings["owners"])
    visit.directory.put_group(group)
    visit.world.attribute(group.id, visit.by)
    visit.faults.created("groups", group.id)
    return group


def _attributes(given: Json) -> Json:
    return {name: value for name, value in given.items() if "@odata." not in name and name != "id"}


def _bound(visit: Visit, given: object) -> list[str]:
    found = references(given) if given is not None else []
    if len(found) > MOST_AT_ONCE:
        raise Rejection(400, "Request_BadRequest", f"At most {MOST_AT_ONCE} references can be added at once.")
    for object_id in found:
        if visit.directory.kind_of(object_id) is None or not visit.sees(object_id):
            raise not_found(object_id)
    return found


def _patch(visit: Visit, group: Group, given: Json) -> Answer:
    added = _bound(visit, given.get("members@odata.bind"))
    _refuse_known(group, "members", added)
    visit.directory.join(group, added)
    group.attributes.update(_attributes(given))
    return Answer(204)


def _related(group: Group, relation: str) -> dict[str, None]:
    return group.members if relation == "members" else group.owners


def _refuse_known(group: Group, relation: str, object_ids: list[str]) -> None:
    if any(object_id in _related(group, relation) for object_id in object_ids):
        message = (
            f"One or more added object references already exist for the following modified properties: '{relation}'."
        )
        raise Rejection(400, "Request_BadRequest", message)


def _add(visit: Visit, group: Group, relation: str, object_ids: list[str]) -> Answer:
    _bound(visit, object_ids)
    _refuse_known(group, relation, object_ids)
    if relation == "members":
        visit.directory.join(group, object_ids)
    else:
        group.owners.update(dict.fromkeys(object_ids))
    for object_id in object_ids:
        visit.world.attribute(f"{group.id}/{relation}/{object_id}", visit.by)
    return Answer(204)


def _drop(visit: Visit, group: Group, relation: str, object_id: str) -> Answer:
    if object_id not in _related(group, relation):
        raise not_found(object_id)
    if relation == "members":
        visit.directory.leave(group, object_id)
    else:
        del group.owners[object_id]
    return Answer(204)


def member_of(visit: Visit, call: Call, object_id: str) -> Answer:
    """Answer with the groups and administrative units that contain an object."""
    found = [group.id for group in visit.directory.groups_of(object_id)] + [
        unit.id for unit in visit.directory.units_of(object_id)
    ]
    return visit.objects(call, found, typed=True)


def answer_units(visit: Visit, call: Call, rest: tuple[str, ...]) -> Answer:
    """Answer a call below `/directory/administrativeUnits`."""
    match (call.method, *rest):
        case ("GET",):
            visit.require(UNIT_READ)
            return visit.objects(call, list(visit.directory.units), typed=True)
        case ("GET", unit_id):
            visit.require(UNIT_READ)
            return Answer(200, selecting(call, ())(visit.show(_unit(visit, unit_id).id)))
        case ("GET", unit_id, "members"):
            visit.require(UNIT_READ)
            return visit.objects(call, list(_unit(visit, unit_id).members), typed=True)
        case ("POST", unit_id, "members"):
            visit.require(UNIT_WRITE, unit_of=unit_id.lower())
            unit = _unit(visit, unit_id)
            group = create(visit, call.json())
            unit.members[group.id] = None
            return Answer(201, visit.show(group.id))
        case ("POST", unit_id, "members", "$ref"):
            visit.require(UNIT_WRITE)
            unit = _unit(visit, unit_id)
            unit.members.update(dict.fromkeys(_bound(visit, call.json().get("@odata.id"))))
            return Answer(204)
        case ("DELETE", unit_id, "members", object_id, "$ref"):
            visit.require(UNIT_WRITE)
            if object_id.lower() not in _unit(visit, unit_id).members:
                raise not_found(object_id)
            del _unit(visit, unit_id).members[object_id.lower()]
            return Answer(204)
        case _:
            raise Rejection(404, "BadRequest", f"Resource not found for the segment '{call.segments[-1]}'.")


def _unit(visit: Visit, unit_id: str) -> Unit:
    unit = visit.directory.units.get(unit_id.lower())
    if unit is None:
        raise not_found(unit_id)
    return unit
