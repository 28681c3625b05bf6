"""Role assignments, role definitions and the caller's permissions, api-version 2022-04-01."""

from __future__ import annotations

import uuid

from runner.sandbox.azure.estate import RoleDefinition
from runner.sandbox.azure.filters import Both, Compare, Function, Node, matches, read_filter
from runner.sandbox.azure.rights import roles_at
from runner.sandbox.azure.routing import Ids, Session, route
from runner.sandbox.azure.scopes import must_exist
from runner.sandbox.azure.wire import Answer, Call, Json, Rejection, page, stamp

TYPE = "Microsoft.Authorization/roleAssignments"
DEFINITION = "Microsoft.Authorization/roleDefinitions"


def _get(session: Session, call: Call, ids: Ids) -> Answer:
    assignment = session.estate.role_assignments.get(call.path.lower())
    if assignment is None:
        raise Rejection(404, "RoleAssignmentNotFound", f"The role assignment '{ids['name']}' is not found.")
    return Answer(200, assignment)


def _put(session: Session, call: Call, ids: Ids) -> Answer:
    wanted = call.json().get("properties")
    if not isinstance(wanted, dict) or not wanted.get("principalId") or not wanted.get("roleDefinitionId"):
        raise Rejection(
            400, "BadRequestFormat", "The request must have the properties 'principalId' and 'roleDefinitionId'."
        )
    if not _is_guid(ids["name"]):
        raise Rejection(
            400,
            "InvalidRoleAssignmentId",
            f"The role assignment ID '{ids['name']}' is not valid. The role assignment ID must be a GUID.",
        )
    scope = ids["scope"]
    must_exist(session, scope)
    role_id = _definition_id(session, wanted["roleDefinitionId"], scope)
    held = session.estate.role_assignments.get(call.path.lower())
    if held is not None:
        return _update(session, held, wanted, role_id)
    principal = str(wanted["principalId"]).lower()
    kind = _kind(session, principal, wanted.get("principalType"))
    _refuse_second(session, principal, scope, role_id)
    now = stamp(session.world.now())
    properties = {
        "roleDefinitionId": role_id,
        "principalId": principal,
        "principalType": kind,
        "scope": scope or "/",
        "condition": wanted.get("condition"),
        "conditionVersion": wanted.get("conditionVersion"),
        "createdOn": now,
        "updatedOn": now,
        "createdBy": session.object_id,
        "updatedBy": session.object_id,
        "delegatedManagedIdentityResourceId": wanted.get("delegatedManagedIdentityResourceId"),
        "description": wanted.get("description"),
    }
    assignment_id = f"{scope}/providers/{TYPE}/{ids['name']}"
    assignment = {"properties": properties, "id": assignment_id, "type": TYPE, "name": ids["name"]}
    session.estate.put_role_assignment(assignment)
    session.world.attribute(assignment_id, session.by)
    return Answer(201, assignment)


def _refuse_second(session: Session, principal: str, scope: str, role_id: str) -> None:
    """A principal has a role at a scope once, whatever the assignment is called."""
    for held in session.estate.roles_of(principal):
        there = held["properties"]["scope"].lower() == (scope.lower() or "/")
        if there and held["properties"]["roleDefinitionId"].lower() == role_id.lower():
            raise Rejection(
                409,
                "RoleAssignmentExists",
                f"The role assignment already exists. The ID of the existing role assignment is {held['name'].replace('-', '')}.",
            )


def _update(session: Session, held: Json, wanted: Json, role_id: str) -> Answer:
    """Only condition and description can change."""
    before = held["properties"]
    if (
        str(wanted["principalId"]).lower() != before["principalId"]
        or role_id.lower() != before["roleDefinitionId"].lower()
    ):
        raise Rejection(
            400,
            "RoleAssignmentUpdateNotPermitted",
            "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
        )
    after = before | {
        "condition": wanted.get("condition"),
        "conditionVersion": wanted.get("conditionVersion"),
        "description": wanted.get("description"),
        "updatedOn": stamp(session.world.now()),
        "updatedBy": session.object_id,
    }
    assignment = held | {"properties": after}
    session.estate.put_role_assignment(assignment)
    return Answer(200, assignment)


def _delete(session: Session, call: Call, _: Ids) -> Answer:
    assignment = session.estate.remove_role_assignment(call.path)
    return Answer(200, assignment) if assignment else Answer(204)


def _kind(session: Session, principal: str, claimed: str | None) -> str:
    """What the principal is, once Resource Manager sees it."""
    kind = session.home.kind_of(principal)
    if kind in (None, "AdministrativeUnit") or not session.faults.visible(principal, "roleAssignments"):
        raise Rejection(
            400,
            "PrincipalNotFound",
            f"Principal {principal.replace('-', '')} does not exist in the directory {session.home.id}. Check that you have the correct "
            "principal ID. If you are creating this principal and then immediately assigning a role, this error might be related to a "
            "replication delay. In this case, set the role assignment principalType property to a value, such as ServicePrincipal, User, "
            "or Group.  See https://aka.ms/docs-principaltype",
        )
    if claimed is not None and claimed != kind:
        raise Rejection(
            400,
            "UnmatchedPrincipalType",
            f"The PrincipalId '{principal.replace('-', '')}' has type '{kind}' , which is different from specified "
            f"PrinciaplType '{claimed}'.",
        )
    return str(kind)


def _definition_id(session: Session, given: str, scope: str) -> str:
    """The role's id as Azure writes it back: with the subscription in front where there is one, however it was given."""
    role = session.estate.role_definitions.get(str(given).rsplit("/", 1)[-1].lower())
    if role is None:
        raise Rejection(
            404,
            "RoleDefinitionDoesNotExist",
            f"The specified role definition with ID '{str(given).rsplit('/', 1)[-1]}' does not exist.",
        )
    return _prefix(scope) + f"/providers/{DEFINITION}/{role.id}"


def _prefix(scope: str) -> str:
    return "/".join(scope.split("/")[:3]) if scope.lower().startswith("/subscriptions/") else ""


def _list(session: Session, call: Call, ids: Ids) -> Answer:
    """At the scope and inherited from above; below as well, unless the filter says `atScope()`."""
    must_exist(session, ids["scope"])
    node = read_filter(call.query["$filter"]) if "$filter" in call.query else None
    above = set(session.estate.above(ids["scope"]))
    below = "" if _asks(node, "atScope") else f"{ids['scope'].lower()}/"
    assigned = _assigned_to(session, node)
    found = [
        assignment
        for assignment in session.estate.role_assignments.values()
        if _reaches(assignment["properties"]["scope"].lower(), above, below)
        and (assigned is None or assignment["properties"]["principalId"] in assigned)
        and (node is None or _compares(node, assignment["properties"]))
    ]
    shown, link = page(found, call=call, most=session.world.contents.page_size)
    return Answer(200, {"value": shown, "nextLink": link})


def _reaches(scope: str, above: set[str], below: str) -> bool:
    return scope in above or (below != "" and scope.startswith(below))


def _asks(node: Node | None, function: str) -> bool:
    match node:
        case Function(name):
            return name.lower() == function.lower()
        case Both(left, right):
            return _asks(left, function) or _asks(right, function)
        case _:
            return False


def _assigned_to(session: Session, node: Node | None) -> set[str] | None:
    """The principals of `assignedTo('id')`: the one named and the groups it is in."""
    match node:
        case Function(name, (str(principal),)) if name.lower() == "assignedto":
            return {principal.lower(), *session.home.memberships(principal.lower())}
        case Both(left, right):
            first, second = _assigned_to(session, left), _assigned_to(session, right)
            return second if first is None else first
        case _:
            return None


def _compares(node: Node, properties: Json) -> bool:
    match node:
        case Both(left, right):
            return _compares(left, properties) and _compares(right, properties)
        case Function():
            return True  # taken care of where scopes and principals are chosen
        case Compare("principalId", "eq", _):
            return matches(node, properties, fold=True)
        case _:
            raise Rejection(
                400, "UnsupportedQuery", "The filter can only use 'principalId eq', 'atScope()' and 'assignedTo()'."
            )


def _definition(session: Session, call: Call, ids: Ids) -> Answer:
    role = session.estate.role_definitions.get(ids["name"].lower())
    if role is None:
        raise Rejection(
            404, "RoleDefinitionDoesNotExist", f"The specified role definition with ID '{ids['name']}' does not exist."
        )
    return Answer(200, _shown(role, ids["scope"], session.home.id))


def _definitions(session: Session, call: Call, ids: Ids) -> Answer:
    items = [_shown(role, ids["scope"], session.home.id) for role in session.estate.role_definitions.values()]
    if "$filter" in call.query:
        node = read_filter(call.query["$filter"])
        if not isinstance(
            node, Function
        ):  # `atScope()` leaves nothing out: every role of the sandbox can be assigned anywhere
            items = [item for item in items if matches(node, item["properties"], fold=True)]
    return Answer(200, {"value": items})


def _shown(role: RoleDefinition, scope: str, tenant_id: str) -> Json:
    return {
        "properties": {
            "roleName": role.name,
            "type": "CustomRole" if role.custom else "BuiltInRole",
            "description": role.description,
            "assignableScopes": [f"/providers/Microsoft.Management/managementGroups/{tenant_id}"]
            if role.custom
            else ["/"],
            "permissions": [_permission(role)],
        },
        "id": f"{_prefix(scope)}/providers/{DEFINITION}/{role.id}",
        "type": DEFINITION,
        "name": role.id,
    }


def _permission(role: RoleDefinition) -> Json:
    return {
        "actions": list(role.actions),
        "notActions": list(role.not_actions),
        "dataActions": [],
        "notDataActions": [],
    }


def _permissions(session: Session, _: Call, ids: Ids) -> Answer:
    must_exist(session, ids["scope"])
    held = {role.id: role for role in roles_at(session, session.caller, ids["scope"])} if session.caller else {}
    return Answer(200, {"value": [_permission(role) for role in held.values()]})


def _is_guid(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name.lower()
    except ValueError:
        return False


ROUTES = (
    route(f"{{scope*}}/providers/{TYPE}", TYPE, GET=_list),
    route(f"{{scope*}}/providers/{TYPE}/{{name}}", TYPE, GET=_get, PUT=_put, DELETE=_delete),
    route(f"{{scope*}}/providers/{DEFINITION}", DEFINITION, GET=_definitions),
    route(f"{{scope*}}/providers/{DEFINITION}/{{name}}", DEFINITION, GET=_definition),
    route("{scope*}/providers/Microsoft.Authorization/permissions", None, GET=_permissions),
)
