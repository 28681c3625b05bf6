"""Graph, v1.0 and beta: who calls, which directory answers, batches, and the smaller collections.

A token sees the directory of its own tenant and no other. Users and groups are known by their own modules.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable

from runner.sandbox.azure import applications, groups, users
from runner.sandbox.azure.directory import Application, Directory
from runner.sandbox.azure.faults import Faults
from runner.sandbox.azure.tokens import GRAPH_AUDIENCES, Caller, is_loopback
from runner.sandbox.azure.visit import Visit, not_found, selecting
from runner.sandbox.azure.wire import Answer, Call, Json, Rejection
from runner.sandbox.azure.wire import call as make_call
from runner.sandbox.azure.world import World

DIRECTORY_READ = tuple({*users.READ, *groups.READ, *applications.READ})
ASSIGNMENT_WRITE = ("AppRoleAssignment.ReadWrite.All",)
MOST_IN_A_BATCH = 20
MOST_IDS = 1000


def directory_of(world: World, caller: Caller) -> Directory:
    """The directory that a token opens; a 401 for a token that is for something else."""
    if caller.audience not in GRAPH_AUDIENCES and not is_loopback(caller.audience):
        raise Rejection(401, "InvalidAuthenticationToken", "Access token validation failure. Invalid audience.")
    directory = world.directories.get(caller.tenant_id)
    if directory is None:
        raise Rejection(401, "InvalidAuthenticationToken", "Access token validation failure. Invalid tenant.")
    return directory


def answer(world: World, faults: Faults, call: Call, directory: Directory, caller: Caller | None, by: str) -> Answer:
    """Answer one call; without a caller, as somebody who may do everything."""
    visit = Visit(world=world, faults=faults, directory=directory, caller=caller, by=by)
    if not call.segments or call.segments[0].lower() not in ("v1.0", "beta"):
        raise Rejection(404, "BadRequest", f"Invalid version: {call.segments[0] if call.segments else ''}")
    match call.segments[1:]:
        case ("users", *rest) if rest[1:2] != ["appRoleAssignments"]:
            return users.answer(visit, call, tuple(rest))
        case ("invitations",) if call.method == "POST":
            return users.invite(visit, call)
        case ("groups", *rest) if rest[1:2] != ["appRoleAssignments"]:
            return groups.answer(visit, call, tuple(rest))
        case ("directory", "administrativeUnits", *rest) | ("administrativeUnits", *rest):
            return groups.answer_units(visit, call, tuple(rest))
        case (
            "servicePrincipals" | "users" | "groups",
            object_id,
            "appRoleAssignments" | "appRoleAssignedTo" as side,
            *rest,
        ):
            return _app_roles(visit, call, object_id.lower(), side, rest)
        case ("servicePrincipals", *rest):
            return _service_principals(visit, call, list(rest))
        case (first, *rest) if first.lower().startswith("serviceprincipals("):
            return _service_principals(visit, call, [_by_app_id(visit, first).object_id, *rest])
        case (first,) if first.lower().startswith("applications(") and call.method == "GET":
            return applications.one(visit, call, _by_app_id(visit, first))
        case ("applications", *rest) if call.method == "GET":
            return applications.answer(visit, call, tuple(rest))
        case ("roleManagement", "directory", "roleAssignments") if call.method == "GET":
            return applications.role_assignments(visit, call)
        case ("directoryObjects", *rest):
            return _objects(visit, call, list(rest))
        case ("organization",) | ("domains",) as only if call.method == "GET":
            return visit.collection(
                call, [_organization(directory) if only == ("organization",) else _domain(directory)]
            )
        case _:
            raise Rejection(404, "BadRequest", f"Resource not found for the segment '{call.segments[-1]}'.")


def _service_principals(visit: Visit, call: Call, rest: list[str]) -> Answer:
    visit.require(applications.READ)
    match (call.method, *rest):
        case ("GET",):
            return visit.objects(call, [app.object_id for app in visit.directory.applications.values()], typed=False)
        case ("GET", object_id) if visit.directory.service_principal(object_id.lower()):
            return Answer(200, selecting(call, ())(visit.show(object_id.lower(), typed=False)))
        case ("GET", object_id):
            raise not_found(object_id)
        case ("GET", object_id, "memberOf"):
            return groups.member_of(visit, call, object_id.lower())
        case _:
            raise Rejection(
                405, "Request_BadRequest", f"The sandbox does not change applications: {call.method} is not supported."
            )


def _by_app_id(visit: Visit, segment: str) -> Application:
    """`servicePrincipals(appId='…')` or `applications(appId='…')`, the other way to name one."""
    client_id = segment.partition("'")[2].rstrip("')").lower()
    app = visit.directory.applications.get(client_id)
    if app is None:
        raise not_found(client_id)
    return app


def _app_roles(visit: Visit, call: Call, object_id: str, side: str, rest: list[str]) -> Answer:
    """Application roles: those a principal holds (`appRoleAssignments`), or those others hold on it (`appRoleAssignedTo`)."""
    visit.require(DIRECTORY_READ if call.method == "GET" else ASSIGNMENT_WRITE)
    if visit.directory.kind_of(object_id) is None:
        raise not_found(object_id)
    key = "principalId" if side == "appRoleAssignments" else "resourceId"
    held = visit.directory.app_role_assignments
    match (call.method, *rest):
        case ("GET",):
            return visit.collection(call, [found for found in held if found[key] == object_id])
        case ("POST",):
            return Answer(201, _assign_app_role(visit, call.json()))
        case ("DELETE", assignment_id) if any(found["id"] == assignment_id for found in held):
            visit.directory.app_role_assignments = [found for found in held if found["id"] != assignment_id]
            return Answer(204)
        case _:
            raise not_found(rest[-1] if rest else object_id)


def _assign_app_role(visit: Visit, given: Json) -> Json:
    directory = visit.directory
    principal, resource_id, role_id = (
        str(given.get(name) or "").lower() for name in ("principalId", "resourceId", "appRoleId")
    )
    resource = directory.service_principal(resource_id)
    if (
        directory.kind_of(principal) is None
        or resource is None
        or role_id not in {role.id for role in resource.app_roles}
    ):
        raise Rejection(400, "Request_BadRequest", "Permission being assigned was not found on application.")
    if any(
        (held["principalId"], held["resourceId"], held["appRoleId"]) == (principal, resource_id, role_id)
        for held in directory.app_role_assignments
    ):
        raise Rejection(400, "Request_BadRequest", "Permission being assigned already exists on the object.")
    assignment = {
        "id": str(uuid.uuid4()),
        "appRoleId": role_id,
        "principalId": principal,
        "principalType": directory.kind_of(principal),
        "principalDisplayName": directory.name_of(principal),
        "resourceId": resource_id,
        "resourceDisplayName": resource.name,
    }
    directory.app_role_assignments.append(assignment)
    return assignment


def _objects(visit: Visit, call: Call, rest: list[str]) -> Answer:
    visit.require(DIRECTORY_READ)
    match (call.method, *rest):
        case ("POST", "getByIds"):
            given = call.json()
            ids, types = given.get("ids"), given.get("types")
            if not isinstance(ids, list) or not ids or len(ids) > MOST_IDS:
                raise Rejection(
                    400, "Request_BadRequest", f"The property 'ids' must hold between 1 and {MOST_IDS} ids."
                )
            found = [str(one).lower() for one in ids if visit.directory.kind_of(str(one).lower())]
            shown = [visit.show(one) for one in found if visit.sees(one)]
            if isinstance(types, list) and "directoryObject" not in types:
                shown = [one for one in shown if one["@odata.type"].rsplit(".", 1)[-1] in types]
            return Answer(200, {"value": shown})
        case ("GET", object_id):
            if visit.directory.kind_of(object_id.lower()) is None or not visit.sees(object_id.lower()):
                raise not_found(object_id)
            return Answer(200, selecting(call, ())(visit.show(object_id.lower())))
        case _:
            raise Rejection(404, "BadRequest", f"Resource not found for the segment '{call.segments[-1]}'.")


def _organization(directory: Directory) -> Json:
    return {
        "id": directory.id,
        "displayName": directory.name,
        "verifiedDomains": [{"name": directory.domain, "isDefault": True, "isInitial": True}],
    }


def _domain(directory: Directory) -> Json:
    return {
        "id": directory.domain,
        "isDefault": True,
        "isInitial": True,
        "isVerified": True,
        "authenticationType": "Managed",
    }


def batch(call: Call, ask: Callable[[Call], Answer]) -> Answer:
    """Ask each call of a `$batch` by itself: one that fails does not fail the others, unless they depend on it."""
    requests = call.json().get("requests")
    if not isinstance(requests, list) or not all(_is_step(one) for one in requests):
        raise Rejection(400, "BadRequest", "Invalid batch payload format.")
    if len(requests) > MOST_IN_A_BATCH:
        raise Rejection(
            400, "BadRequest", f"Number of batch request steps exceeds the maximum value of {MOST_IN_A_BATCH}."
        )
    if len({str(one["id"]) for one in requests}) != len(requests):
        raise Rejection(400, "BadRequest", "Request Id has to be unique in a batch.")
    responses: dict[str, Json] = {}
    for one in requests:
        failed = [
            needed
            for needed in one.get("dependsOn") or []
            if responses.get(str(needed), {"status": 400})["status"] >= 400
        ]
        got = (
            Answer(424, {"error": {"code": "FailedDependency", "message": "A request it depends on failed."}})
            if failed
            else ask(_step(call, one))
        )
        headers = {"Content-Type": "application/json"} | dict(got.headers)
        responses[str(one["id"])] = {"id": str(one["id"]), "status": got.status, "headers": headers, "body": got.body}
    return Answer(200, {"responses": list(responses.values())})


def _is_step(one: object) -> bool:
    return (
        isinstance(one, dict)
        and all(isinstance(one.get(name), str) and one[name] for name in ("id", "method", "url"))
        and isinstance(one.get("dependsOn") or [], list)
        and isinstance(one.get("headers") or {}, dict)
    )


def _step(batch_call: Call, one: Json) -> Call:
    headers = {str(name).lower(): str(value) for name, value in (one.get("headers") or {}).items()}
    body = one.get("body")
    return make_call(
        str(one["method"]),
        f"/{batch_call.segments[0]}/{str(one['url']).lstrip('/')}",
        host=batch_call.host,
        headers={"authorization": batch_call.headers.get("authorization", "")} | headers,
        body=b"" if body is None else json.dumps(body).encode(),
    )
