"""Blueprint assignments: Microsoft.Blueprint 2018-11-01-preview at a subscription.

Definitions, their versions and artifacts are plain resources of a management group, which a seed places by id. An assignment is deployed in
Azure's own time: each look brings it nearer to its end (`creating`, `waiting`, `deploying`, then `succeeded` or `failed`), and no header
says so. A DELETE is answered at once, and the assignment is `deleting` for some more looks. Retired as Microsoft says, by the sandbox's
clock, where the seed asks for it: by default the service goes on, so that a day in the calendar changes no test.
"""

from __future__ import annotations

import uuid
from datetime import UTC, date
from typing import Any

from runner.sandbox.azure.estate import OWNER, Operation
from runner.sandbox.azure.routing import Ids, Session, route
from runner.sandbox.azure.subscriptions import must_be_enabled, must_be_registered
from runner.sandbox.azure.wire import Answer, Call, Json, Rejection, stamp

NAMESPACE = "Microsoft.Blueprint"
TYPE = f"{NAMESPACE}/blueprintAssignments"
PATH = f"/subscriptions/{{subscription}}/providers/{TYPE}"
APPLICATION = "f71766dc-90d9-4b7d-bd9d-4499c4331c3f"  # client id of Azure Blueprints in every Entra tenant
STAGES = ("creating", "waiting", "deploying")
NO_NEW, FROZEN_AFTER, GONE = date(2026, 10, 31), date(2026, 12, 31), date(2027, 1, 31)
_KEY = "/providers/microsoft.blueprint/blueprintassignments/"


def _get(session: Session, call: Call, _: Ids) -> Answer:
    _must_be_alive(session)
    held = _held(session, call)
    state = held["properties"]["provisioningState"]
    if state in STAGES:
        held["properties"]["provisioningState"] = STAGES[min(STAGES.index(state) + 1, len(STAGES) - 1)]
    session.estate.look_at(call.path)
    return Answer(200, _shown(_held(session, call)))


def _list(session: Session, call: Call, ids: Ids) -> Answer:
    _must_be_alive(session)
    prefix = f"/subscriptions/{ids['subscription']}{_KEY}".lower()
    found = [one for key, one in session.estate.resources.items() if key.startswith(prefix)]
    return session.page(call, found, show=_shown)


def _put(session: Session, call: Call, ids: Ids) -> Answer:
    _must_be_alive(session)
    must_be_enabled(session, call.path)
    must_be_registered(session, call.path, NAMESPACE)
    held = session.estate.resources.get(call.path.lower())
    _must_not_be_retired(session, new=held is None)
    wanted = call.json()
    properties: Json = wanted.get("properties") or {}
    for name in ("blueprintId", "parameters", "resourceGroups"):
        if properties.get(name) is None:
            raise Rejection(400, "InvalidBlueprintAssignment", f"The property '{name}' is required.")
    if held is not None and held["location"] != wanted.get("location"):
        raise Rejection(
            409, "InvalidResourceLocation", f"The assignment '{ids['name']}' exists in '{held['location']}'."
        )
    version = session.estate.resources.get(str(properties["blueprintId"]).lower())
    if version is None:
        raise Rejection(404, "BlueprintNotFound", f"The blueprint '{properties['blueprintId']}' could not be found.")
    _check_parameters(version["properties"], properties)
    now = stamp(session.world.now())
    made: Json = {
        "identity": _identity(session, wanted.get("identity"), held),
        "location": wanted["location"],
        "properties": properties
        | {
            "locks": {"mode": "None", "excludedPrincipals": [], "excludedActions": []}
            | (properties.get("locks") or {}),
            "scope": f"/subscriptions/{ids['subscription']}",
            "status": {
                "timeCreated": held["properties"]["status"]["timeCreated"] if held else now,
                "lastModified": now,
            },
            "provisioningState": STAGES[0],
        },
        "id": held["id"] if held else call.path,
        "type": TYPE,
        "name": held["name"] if held else ids["name"],
    }
    if held is None:
        session.world.attribute(made["id"], session.by)
    session.estate.resources[call.path.lower()] = made
    slowly = session.faults.operation(call)
    error = slowly.error.model_dump() if slowly and slowly.error else None

    def finish() -> None:
        failed = error or _must_be_owner(session, made, ids["subscription"])
        made["properties"]["provisioningState"] = "failed" if failed else "succeeded"
        if failed:
            made["properties"]["lastError"] = failed

    session.start(Operation(str(uuid.uuid4()), slowly.polls if slowly else 2, finish, error), call.path)
    return Answer(201, _shown(made))


def _delete(session: Session, call: Call, _: Ids) -> Answer:
    _must_be_alive(session)
    if (held := session.estate.resources.get(call.path.lower())) is None:
        return Answer(204)
    _must_not_be_retired(session, new=False)
    held["properties"]["provisioningState"] = "deleting"
    slowly = session.faults.operation(call)

    def finish() -> None:
        session.estate.remove_below(call.path)

    session.start(Operation(str(uuid.uuid4()), slowly.polls if slowly else 2, finish), call.path)
    return Answer(202, _shown(held))


def _who(session: Session, _: Call, __: Ids) -> Answer:
    _must_be_alive(session)
    found = session.home.applications.get(APPLICATION)
    if found is None:
        raise Rejection(404, "ServicePrincipalNotFound", "Azure Blueprints has no service principal in this tenant.")
    return Answer(200, {"objectId": found.object_id})


def _operations(session: Session, call: Call, ids: Ids) -> Answer:
    path = call.path.rpartition("/")[0]
    held = session.estate.resources.get(path.lower())
    if held is None:
        raise Rejection(
            404, "BlueprintAssignmentNotFound", f"The blueprint assignment '{ids['name']}' could not be found."
        )
    state = held["properties"]["provisioningState"]
    failure = held["properties"].get("lastError")
    operation: Json = {
        "id": f"{call.path}/{held['properties']['status']['lastModified']}",
        "type": f"{TYPE}/assignmentOperations",
        "name": "last",
        "properties": {"assignmentState": state, "deployments": [{"result": {"error": failure}}] if failure else []},
    }
    return Answer(200, {"value": [operation]})


def _held(session: Session, call: Call) -> Json:
    held = session.estate.resources.get(call.path.lower())
    if held is None:
        raise Rejection(
            404, "BlueprintAssignmentNotFound", f"The blueprint assignment '{call.segments[-1]}' could not be found."
        )
    return held


def _shown(held: Json) -> Json:
    """A copy without what is the sandbox's own; what an answer held may change later."""
    return held | {"properties": {key: value for key, value in held["properties"].items() if key != "lastError"}}


def _identity(session: Session, wanted: Any, held: Json | None) -> Json:
    given = wanted if isinstance(wanted, dict) else {}
    type_ = str(given.get("type", ""))
    if type_ == "UserAssigned":
        ids = given.get("userAssignedIdentities") or {}
        if not ids:
            raise Rejection(400, "InvalidIdentity", "The identity names no user-assigned identities.")
        return {"type": type_, "userAssignedIdentities": {one: {} for one in ids}, "tenantId": session.estate.tenant_id}
    if type_ != "SystemAssigned":
        raise Rejection(400, "InvalidIdentity", f"The identity type '{type_}' is not supported.")
    known = (held or {}).get("identity") or {}
    principal = known.get("principalId") if known.get("type") == type_ else None
    return {"type": type_, "principalId": principal or str(uuid.uuid4()), "tenantId": session.estate.tenant_id}


def _check_parameters(version: Json, properties: Json) -> None:
    declared: Json = version.get("parameters") or {}
    given = {str(name).lower() for name in properties["parameters"]}
    known = {name.lower() for name in declared}
    if unknown := sorted(given - known):
        raise Rejection(400, "InvalidBlueprintParameters", f"The blueprint declares no parameter '{unknown[0]}'.")
    for name, one in declared.items():
        if "defaultValue" not in one and name.lower() not in given:
            raise Rejection(400, "MissingBlueprintParameters", f"The parameter '{name}' has no value.")
    for name, group in (version.get("resourceGroups") or {}).items():
        if not (group.get("name") and group.get("location")) and name not in properties["resourceGroups"]:
            raise Rejection(400, "MissingResourceGroup", f"The resource group '{name}' has no name or location.")


def _must_be_owner(session: Session, made: Json, subscription: str) -> Json | None:
    """Why the deployment of a system-assigned identity fails; None where Azure Blueprints may give it its rights."""
    if made["identity"]["type"] != "SystemAssigned":
        return None
    blueprints = session.home.applications.get(APPLICATION)
    scope = f"/subscriptions/{subscription}".lower()
    for held in session.estate.roles_of(blueprints.object_id) if blueprints else ():
        role = str(held["properties"]["roleDefinitionId"]).rpartition("/")[2].lower()
        if role == OWNER and held["properties"]["scope"].lower() == scope:
            return None
    return {"code": "AuthorizationFailed", "message": "Azure Blueprints is not Owner of the subscription."}


def _must_be_alive(session: Session) -> None:
    today = session.world.now().astimezone(UTC).date()
    if session.estate.blueprints_retire and today >= GONE:
        raise Rejection(404, "InvalidResourceNamespace", f"The resource namespace '{NAMESPACE}' is invalid.")


def _must_not_be_retired(session: Session, *, new: bool) -> None:
    today = session.world.now().astimezone(UTC).date()
    if session.estate.blueprints_retire and ((new and today >= NO_NEW) or today > FROZEN_AFTER):
        what = "creates no new assignments" if new else "changes no assignments"
        raise Rejection(403, "BlueprintServiceRetired", f"Azure Blueprints is being retired and {what} any more.")


ROUTES = (
    route(PATH, TYPE, GET=_list),
    route(f"{PATH}/{{name}}", TYPE, GET=_get, PUT=_put, DELETE=_delete),
    route(f"{PATH}/{{name}}/whoIsBlueprint", TYPE, POST=_who),
    route(f"{PATH}/{{name}}/assignmentOperations", f"{TYPE}/assignmentOperations", GET=_operations),
)
