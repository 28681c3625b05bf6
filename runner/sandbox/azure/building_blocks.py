"""What the building blocks that come with the runner need of Azure beside plain resources: rules of budgets, eligible role assignments,
and the principals of managed identities.

Consumption/budgets 2023-11-01, Authorization/roleEligibilitySchedule* 2020-10-01, ManagedIdentity/userAssignedIdentities 2023-01-31.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from runner.sandbox.azure import resources
from runner.sandbox.azure.directory import Application
from runner.sandbox.azure.routing import Ids, Session, route
from runner.sandbox.azure.scopes import must_exist
from runner.sandbox.azure.wire import Answer, Call, Json, Rejection, stamp

BUDGET = "Microsoft.Consumption/budgets"
REQUEST = "Microsoft.Authorization/roleEligibilityScheduleRequests"
INSTANCE = "Microsoft.Authorization/roleEligibilityScheduleInstances"
IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
MOST_NOTIFICATIONS = 5
_KEY = f"/providers/{INSTANCE}/".lower()


def _plain(session: Session, call: Call, ids: Ids, method: str) -> Answer:
    """As any resource; the rest of the path is what the generic route would have found."""
    rest = call.path.rpartition("/providers/")[2].partition("/")
    return resources.ANY_RESOURCE.handlers[method](
        session, call, {"scope": ids["scope"], "namespace": rest[0], "rest": rest[2]}
    )


def _get_plain(session: Session, call: Call, ids: Ids) -> Answer:
    return _plain(session, call, ids, "GET")


def _delete_plain(session: Session, call: Call, ids: Ids) -> Answer:
    return _plain(session, call, ids, "DELETE")


# --- budgets ---------------------------------------------------------------------------------------------------------


def _put_budget(session: Session, call: Call, ids: Ids) -> Answer:
    wanted: Json = call.json().get("properties") or {}
    if wanted.get("category") != "Cost" or not float(wanted.get("amount") or 0) > 0:
        raise Rejection(400, "BadRequest", "A budget has the category Cost and an amount above 0.")
    start = _moment((wanted.get("timePeriod") or {}).get("startDate"))
    held = session.estate.resources.get(call.path.lower())
    now = session.world.now()
    if start is None or start.day != 1 or start < datetime(2017, 6, 1, tzinfo=UTC):
        raise Rejection(
            400, "InvalidTimePeriod", "The start date must be the first of a month, on or after June 1, 2017."
        )
    if held is None and (start.year, start.month) < (now.year, now.month) and wanted.get("timeGrain") == "Monthly":
        raise Rejection(
            400, "InvalidTimePeriod", "The start date of a new budget must be within the current time grain."
        )
    notifications: Json = wanted.get("notifications") or {}
    if len(notifications) > MOST_NOTIFICATIONS:
        raise Rejection(400, "BadRequest", f"A budget has at most {MOST_NOTIFICATIONS} notifications.")
    for name, one in notifications.items():
        if not (one.get("contactEmails") or one.get("contactRoles") or one.get("contactGroups")):
            raise Rejection(400, "BadRequest", f"The notification '{name}' has nobody to tell.")
    return _plain(session, call, ids, "PUT")


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


# --- eligible role assignments ---------------------------------------------------------------------------------------


def _put_request(session: Session, call: Call, ids: Ids) -> Answer:
    """A request is made once: a second one under its name is a conflict."""
    must_exist(session, ids["scope"])
    if call.path.lower() in session.estate.resources:
        raise Rejection(409, "RoleAssignmentRequestExists", f"The request '{ids['name']}' exists.")
    wanted: Json = call.json().get("properties") or {}
    principal, role = str(wanted.get("principalId") or "").lower(), str(wanted.get("roleDefinitionId") or "")
    if session.home.kind_of(principal) is None:
        raise Rejection(
            400, "PrincipalNotFound", f"Principal {principal.replace('-', '')} does not exist in the directory."
        )
    held = next((key for key, one in _eligible(session, ids["scope"]) if _same(one, principal, role)), None)
    match str(wanted.get("requestType")):
        case "AdminRemove":
            if held is None:
                raise Rejection(400, "RoleAssignmentDoesNotExist", "The Role assignment does not exist.")
            del session.estate.resources[held]
        case "AdminAssign":
            if held is not None:
                raise Rejection(400, "RoleAssignmentExists", "The Role assignment already exists.")
            _make(session, ids["scope"], principal, role, wanted)
        case "AdminUpdate":
            if held is None:
                raise Rejection(400, "RoleAssignmentDoesNotExist", "The Role assignment does not exist.")
            del session.estate.resources[held]
            _make(session, ids["scope"], principal, role, wanted)
        case other:
            raise Rejection(400, "InvalidRequestType", f"The request type '{other}' is not supported.")
    made: Json = {
        "properties": wanted | {"status": "Provisioned", "createdOn": stamp(session.world.now())},
        "id": call.path,
        "name": ids["name"],
        "type": REQUEST,
    }
    session.estate.resources[call.path.lower()] = made
    return Answer(201, made)


def _make(session: Session, scope: str, principal: str, role: str, wanted: Json) -> None:
    name = str(uuid.uuid4())
    id_ = f"{scope}/providers/{INSTANCE}/{name}"
    session.estate.resources[id_.lower()] = {
        "properties": {
            "scope": scope,
            "principalId": principal,
            "roleDefinitionId": role,
            "memberType": "Direct",
            "status": "Provisioned",
            "condition": wanted.get("condition"),
            "startDateTime": stamp(session.world.now()),
        },
        "id": id_,
        "name": name,
        "type": INSTANCE,
    }


def _list_instances(session: Session, call: Call, ids: Ids) -> Answer:
    must_exist(session, ids["scope"])
    return session.page(call, [one for _, one in _eligible(session, ids["scope"])])


def _eligible(session: Session, scope: str) -> list[tuple[str, Json]]:
    prefix = f"{scope}{_KEY}".lower()
    return [(key, one) for key, one in session.estate.resources.items() if key.startswith(prefix)]


def _same(one: Json, principal: str, role: str) -> bool:
    held = one["properties"]
    same_role = str(held["roleDefinitionId"]).rpartition("/")[2] == role.rpartition("/")[2]
    return same_role and bool(held["principalId"] == principal)


# --- managed identities ----------------------------------------------------------------------------------------------


def _put_identity(session: Session, call: Call, ids: Ids) -> Answer:
    """It gets a service principal of its own, which stays the same."""
    held = session.estate.resources.get(call.path.lower())
    known = held["properties"] if held else {"clientId": str(uuid.uuid4()), "principalId": str(uuid.uuid4())}
    answer = _plain(session, call, ids, "PUT")
    made = session.estate.resources[call.path.lower()]
    made["properties"] = {
        "tenantId": session.estate.tenant_id,
        "clientId": known["clientId"],
        "principalId": known["principalId"],
        "isolationScope": "None",
    }
    session.home.applications[known["clientId"]] = Application(
        client_id=known["clientId"], object_id=known["principalId"], name=ids["name"], managed_identity=True
    )
    return Answer(answer.status, made, answer.headers)


def _delete_identity(session: Session, call: Call, ids: Ids) -> Answer:
    if (held := session.estate.resources.get(call.path.lower())) is not None:
        session.home.applications.pop(held["properties"]["clientId"], None)
    return _plain(session, call, ids, "DELETE")


ROUTES = (
    route(f"{{scope*}}/providers/{BUDGET}/{{name}}", BUDGET, GET=_get_plain, PUT=_put_budget, DELETE=_delete_plain),
    route(f"{{scope*}}/providers/{REQUEST}/{{name}}", REQUEST, GET=_get_plain, PUT=_put_request),
    route(f"{{scope*}}/providers/{INSTANCE}", INSTANCE, GET=_list_instances),
    route(
        f"{{scope*}}/providers/{IDENTITY}/{{name}}",
        IDENTITY,
        GET=_get_plain,
        PUT=_put_identity,
        DELETE=_delete_identity,
    ),
)
