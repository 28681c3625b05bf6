"""Resource groups, any resource that has no rules of its own here, and the operations that outlive a request."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from runner.sandbox.azure.estate import Operation
from runner.sandbox.azure.filters import matches, read_filter
from runner.sandbox.azure.routing import Ids, Session, route
from runner.sandbox.azure.scopes import must_exist
from runner.sandbox.azure.subscriptions import must_be_enabled, must_be_registered
from runner.sandbox.azure.tags import checked
from runner.sandbox.azure.wire import Answer, Call, Json, Rejection

GROUP = "Microsoft.Resources/subscriptions/resourceGroups"
GROUP_PATH = "/subscriptions/{subscription}/resourceGroups/{group}"
RETRY_AFTER = {"Retry-After": "1"}  # azcore takes 0 for "not said" and waits much longer


def _get_group(session: Session, call: Call, _: Ids) -> Answer:
    session.estate.look_at(call.path)
    return Answer(200, _group(session, call))


def _head_group(session: Session, call: Call, _: Ids) -> Answer:
    return Answer(204 if call.path.lower() in session.estate.resource_groups else 404)


def _group(session: Session, call: Call) -> Json:
    group = session.estate.resource_groups.get(call.path.lower())
    if group is None:
        raise Rejection(404, "ResourceGroupNotFound", f"Resource group '{call.segments[-1]}' could not be found.")
    return group


def _put_group(session: Session, call: Call, ids: Ids) -> Answer:
    must_be_enabled(session, call.path)
    wanted = call.json()
    location = _location(session, wanted.get("location"), code="LocationRequired")
    held = session.estate.resource_groups.get(call.path.lower())
    if held is not None and held["properties"]["provisioningState"] == "Deleting":
        raise Rejection(
            409,
            "ResourceGroupBeingDeleted",
            f"The resource group '{ids['group']}' is in deprovisioning state and cannot perform this operation.",
        )
    if held is not None and held["location"] != location:
        raise Rejection(
            409,
            "InvalidResourceGroupLocation",
            f"Invalid resource group location '{location}'. The Resource group already exists in location '{held['location']}'.",
        )
    group: Json = {
        "location": location,
        **({"tags": checked(wanted["tags"], known=_tag_names(held))} if wanted.get("tags") is not None else {}),
        **({"managedBy": wanted["managedBy"]} if wanted.get("managedBy") else {}),
        "properties": {"provisioningState": "Succeeded"},
        "id": held["id"] if held else f"/subscriptions/{ids['subscription'].lower()}/resourceGroups/{ids['group']}",
        "name": held["name"] if held else ids["group"],
        "type": "Microsoft.Resources/resourceGroups",
    }
    return _stored(session, call, session.estate.resource_groups, group)


def _patch_group(session: Session, call: Call, _: Ids) -> Answer:
    must_be_enabled(session, call.path)
    group = _group(session, call)
    wanted = call.json()
    if wanted.get("tags") is not None:
        group["tags"] = checked(wanted["tags"], known=_tag_names(group))
    return Answer(200, group)


def _delete_group(session: Session, call: Call, ids: Ids) -> Answer:
    """Delete the group and all that is in it, whatever that is: Azure does not ask either."""
    group = _group(session, call)
    group["properties"] = {"provisioningState": "Deleting"}
    slowly = session.faults.operation(call)
    error = slowly.error.model_dump() if slowly and slowly.error else None

    def finish() -> None:
        if error is None:
            session.estate.remove_below(call.path)
        else:
            group["properties"] = {"provisioningState": "Failed"}

    operation = Operation(str(uuid.uuid4()), slowly.polls if slowly else 1, finish, error)
    session.start(operation, call.path)
    return _accepted(call, f"/subscriptions/{ids['subscription']}/operationresults/{operation.id}")


def _accepted(call: Call, path: str) -> Answer:
    return Answer(
        202, None, {"Location": f"{call.origin}{path}?api-version={call.query['api-version']}", **RETRY_AFTER}
    )


def _operation_result(session: Session, call: Call, ids: Ids) -> Answer:
    """What `Location` leads to: 202 until the end, then the outcome."""
    operation = _operation(session, ids)
    if not operation.look():
        return _accepted(call, call.path)
    if operation.error is not None:
        raise Rejection(409, operation.error["code"], operation.error["message"])
    return Answer(200)


def _operation_status(session: Session, call: Call, ids: Ids) -> Answer:
    """What `Azure-AsyncOperation` leads to: always 200, the status is in the body."""
    operation = _operation(session, ids)
    shown: Json = {"id": call.path, "name": operation.id}
    if not operation.look():
        return Answer(200, shown | {"status": "InProgress"}, RETRY_AFTER)
    if operation.error is not None:
        return Answer(200, shown | {"status": "Failed", "error": operation.error})
    return Answer(200, shown | {"status": "Succeeded"})


def _operation(session: Session, ids: Ids) -> Operation:
    operation = session.estate.operations.get(ids["operation"].lower())
    if operation is None:
        raise Rejection(404, "OperationNotFound", f"The operation '{ids['operation']}' was not found.")
    return operation


def _groups(session: Session, call: Call, ids: Ids) -> Answer:
    prefix = f"/subscriptions/{ids['subscription']}/".lower()
    found = [group for key, group in session.estate.resource_groups.items() if key.startswith(prefix)]
    return session.page(call, _filtered(call, found))


def _resources_in_group(session: Session, call: Call, ids: Ids) -> Answer:
    scope = f"/subscriptions/{ids['subscription']}/resourceGroups/{ids['group']}"
    must_exist(session, scope)
    return session.page(call, _filtered(call, session.estate.resources_in(scope)), show=_listed)


def _resources_in_subscription(session: Session, call: Call, ids: Ids) -> Answer:
    scope = f"/subscriptions/{ids['subscription']}"
    found = [held for held in session.estate.resources_in(scope) if "/resourcegroups/" in held["id"].lower()]
    return session.page(call, _filtered(call, found), show=_listed)


def _listed(resource: Json) -> Json:
    """A resource as lists show it: no properties."""
    return {name: value for name, value in resource.items() if name != "properties"}


def _filtered(call: Call, items: list[Json]) -> list[Json]:
    if "$filter" not in call.query:
        return items
    node = read_filter(call.query["$filter"])
    return [item for item in items if matches(node, _facts(item), fold=True)]


def _facts(item: Json) -> Json:
    """What a filter may name: `resourceType`, `tagName` and `tagValue` are its words, not the resource's."""
    tags = item.get("tags") or {}
    return item | {"resourceType": item["type"], "tagName": list(tags), "tagValue": list(tags.values())}


def _get_resource(session: Session, call: Call, ids: Ids) -> Answer:
    names = ids["rest"].split("/")
    if len(names) % 2:  # a collection
        must_exist(session, ids["scope"])
        prefix, depth = f"{call.path.lower()}/", call.path.count("/") + 1
        found = [
            held for key, held in session.estate.resources.items() if key.startswith(prefix) and key.count("/") == depth
        ]
        return session.page(call, found)
    session.estate.look_at(call.path)
    resource = session.estate.resources.get(call.path.lower())
    if resource is None:
        must_exist(session, ids["scope"])
        raise Rejection(404, "ResourceNotFound", f"The Resource '{call.path}' was not found.")
    return Answer(200, resource)


def _put_resource(session: Session, call: Call, ids: Ids) -> Answer:
    names = _names(call, ids)
    must_exist(session, ids["scope"])
    must_be_enabled(session, call.path)
    must_be_registered(session, call.path, ids["namespace"])
    held = session.estate.resources.get(call.path.lower())
    wanted = call.json()
    if wanted.get("location"):
        wanted["location"] = _location(session, wanted["location"], code="LocationNotAvailableForResourceType")
    if wanted.get("tags") is not None:
        wanted["tags"] = checked(wanted["tags"], known=_tag_names(held))
    resource = wanted | {
        "properties": _properties(wanted) | {"provisioningState": "Succeeded"},
        "id": held["id"] if held else call.path,
        "name": names[-1],
        "type": f"{ids['namespace']}/{'/'.join(names[::2])}",
    }
    return _stored(session, call, session.estate.resources, resource)


def _stored(session: Session, call: Call, where: dict[str, Json], item: Json) -> Answer:
    """Keep what a PUT made, at once or, when told so, as an operation that ends later."""
    key = call.path.lower()
    status = 200 if key in where else 201
    where[key] = item
    if status == 201:
        session.world.attribute(item["id"], session.by)
    slowly = session.faults.operation(call)
    if slowly is None:
        return Answer(status, item)
    item["properties"]["provisioningState"] = "Creating" if status == 201 else "Updating"
    error = slowly.error.model_dump() if slowly.error else None

    def finish() -> None:
        item["properties"]["provisioningState"] = "Failed" if error else "Succeeded"

    operation = Operation(str(uuid.uuid4()), slowly.polls, finish, error)
    session.start(operation, call.path)
    place = (
        f"/providers/Microsoft.Resources/locations/{item.get('location', 'global')}/operationStatuses/{operation.id}"
    )
    link = f"{call.origin}/subscriptions/{_subscription_of(call)}{place}?api-version={call.query['api-version']}"
    return Answer(status, item, {"Azure-AsyncOperation": link, **RETRY_AFTER})


def _subscription_of(call: Call) -> str:
    return call.segments[1] if call.segments[0].lower() == "subscriptions" else "00000000-0000-0000-0000-000000000000"


def _patch_resource(session: Session, call: Call, ids: Ids) -> Answer:
    _names(call, ids)
    must_be_enabled(session, call.path)
    resource = session.estate.resources.get(call.path.lower())
    if resource is None:
        raise Rejection(404, "ResourceNotFound", f"The Resource '{call.path}' was not found.")
    wanted = call.json()
    if wanted.get("tags") is not None:
        resource["tags"] = checked(wanted["tags"], known=_tag_names(resource))
    resource["properties"] = resource.get("properties", {}) | _properties(wanted)
    return Answer(200, resource)


def _delete_resource(session: Session, call: Call, ids: Ids) -> Answer:
    _names(call, ids)
    if call.path.lower() not in session.estate.resources:
        return Answer(204)
    slowly = session.faults.operation(call)
    if slowly is None:
        session.estate.remove_below(call.path)
        return Answer(200)
    error = slowly.error.model_dump() if slowly.error else None
    finish: Callable[[], None] = (lambda: None) if error else (lambda: session.estate.remove_below(call.path))
    operation = Operation(str(uuid.uuid4()), slowly.polls, finish, error)
    session.start(operation, call.path)
    return _accepted(call, f"/subscriptions/{_subscription_of(call)}/operationresults/{operation.id}")


def _names(call: Call, ids: Ids) -> list[str]:
    names = ids["rest"].split("/")
    if len(names) % 2:
        raise Rejection(
            405, "MethodNotAllowed", f"The method '{call.method}' is not allowed on the collection '{call.path}'."
        )
    return names


def _tag_names(held: Json | None) -> list[str]:
    """The names of its tags, as they are spelled."""
    return list((held or {}).get("tags") or ())


def _properties(wanted: Json) -> Json:
    given = wanted.get("properties") or {}
    if not isinstance(given, dict):
        raise Rejection(400, "InvalidRequestContent", "The properties must be an object.")
    return given


def _location(session: Session, given: object, *, code: str) -> str:
    """The location's own spelling: `West Europe` and `westeurope` are one."""
    if not isinstance(given, str) or not given:
        raise Rejection(400, "LocationRequired", "The location property is required for this definition.")
    location = given.replace(" ", "").lower()
    if location not in session.estate.locations:
        known = ",".join(session.estate.locations)
        code = "LocationNotAvailableForResourceGroup" if code == "LocationRequired" else code
        raise Rejection(
            400, code, f"The provided location '{given}' is not available. List of available regions is '{known}'."
        )
    return location


ROUTES = (
    route("/subscriptions/{subscription}/resourceGroups", GROUP, GET=_groups),
    route(
        GROUP_PATH, GROUP, GET=_get_group, HEAD=_head_group, PUT=_put_group, PATCH=_patch_group, DELETE=_delete_group
    ),
    route(f"{GROUP_PATH}/resources", f"{GROUP}/resources", GET=_resources_in_group),
    route(
        "/subscriptions/{subscription}/resources",
        "Microsoft.Resources/subscriptions/resources",
        GET=_resources_in_subscription,
    ),
    route("/subscriptions/{subscription}/operationresults/{operation}", None, GET=_operation_result),
    route(
        "/subscriptions/{subscription}/providers/Microsoft.Resources/locations/{location}/operationStatuses/{operation}",
        None,
        GET=_operation_status,
    ),
)
ANY_RESOURCE = route(
    "{scope*}/providers/{namespace}/{rest*}",
    None,
    GET=_get_resource,
    PUT=_put_resource,
    PATCH=_patch_resource,
    DELETE=_delete_resource,
)
