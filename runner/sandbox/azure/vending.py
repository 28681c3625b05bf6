"""Subscriptions as they are ordered, accepted, renamed and cancelled: Microsoft.Subscription, api-version 2021-10-01.

An order is an alias. Who may order is said by the billing scope, not by roles. A PUT on an alias that is there is answered with what is
there, and makes no second subscription; on one that failed it tries again. The sandbox takes its time over each order: one look, or as
many as an `operation` fault says, and then it succeeds or fails.
"""

from __future__ import annotations

import uuid

from runner.sandbox.azure.estate import MANAGEMENT_GROUP, OWNER, Alias, Operation, Subscription
from runner.sandbox.azure.routing import Ids, Session, route
from runner.sandbox.azure.seed import REGISTERED
from runner.sandbox.azure.subscriptions import find, must_be_enabled
from runner.sandbox.azure.wire import Answer, Call, Json, Rejection, stamp

TYPE = "Microsoft.Subscription"
ALIASES = "/providers/Microsoft.Subscription/aliases"
SUBSCRIPTION = "/subscriptions/{subscription}/providers/Microsoft.Subscription"
OFFER = "/providers/Microsoft.Subscription/subscriptions/{subscription}"


def _put_alias(session: Session, call: Call, ids: Ids) -> Answer:
    wanted = call.json().get("properties")
    if not isinstance(wanted, dict):
        raise Rejection(400, "BadRequest", "The request must have properties.")
    held = session.estate.aliases.get(ids["alias"].lower())
    if held is not None and held.properties["provisioningState"] != "Failed":
        return Answer(200, _shown(held))
    _may_order(session, str(wanted.get("billingScope", "")))
    for name in ("displayName", "workload"):
        if not wanted.get(name):
            raise Rejection(400, "BadRequest", f"The property '{name}' is required.")
    more = wanted.get("additionalProperties") or {}
    group = _group(session, more.get("managementGroupId"))
    alias = Alias(
        name=ids["alias"],
        tenant_id=session.caller.tenant_id if session.caller else session.estate.tenant_id,
        owner=str(more.get("subscriptionOwnerId") or session.object_id or "").lower(),
        properties={
            "displayName": wanted["displayName"],
            "workload": wanted["workload"],
            "billingScope": wanted["billingScope"],
            "provisioningState": "Accepted",
            "createdTime": stamp(session.world.now()),
        },
    )
    to = str(more.get("subscriptionTenantId") or alias.tenant_id).lower()
    alias.offered_to = to if to != alias.tenant_id else ""
    session.estate.aliases[alias.name.lower()] = alias
    slowly = session.faults.operation(call)
    error = slowly.error.model_dump() if slowly and slowly.error else None

    def finish() -> None:
        if error is not None:
            alias.properties |= {"provisioningState": "Failed", "error": error}
        else:
            _make(session, alias, group)

    session.start(Operation(str(uuid.uuid4()), slowly.polls if slowly else 0, finish, error), call.path)
    return Answer(201, _shown(alias))


def _make(session: Session, alias: Alias, group: str) -> None:
    subscription = Subscription(
        str(uuid.uuid4()),
        alias.properties["displayName"],
        group,
        providers=dict.fromkeys(REGISTERED, "Registered"),
    )
    alias.made = subscription
    alias.properties |= {"subscriptionId": subscription.id, "provisioningState": "Succeeded"}
    session.world.attribute(f"/subscriptions/{subscription.id}", session.by)
    if alias.offered_to:
        alias.properties |= {
            "acceptOwnershipState": "Pending",
            "acceptOwnershipUrl": "https://portal.azure.example/accept",
        }
    else:
        _hand_over(session, alias)


def _hand_over(session: Session, alias: Alias) -> None:
    """From now on it is seen in the tenant, and belongs to its owner."""
    subscription = alias.made
    if subscription is None:
        return
    session.estate.subscriptions[subscription.id] = subscription
    if not alias.owner:
        return
    scope, name, now = f"/subscriptions/{subscription.id}", str(uuid.uuid4()), stamp(session.world.now())
    properties = {
        "roleDefinitionId": f"{scope}/providers/Microsoft.Authorization/roleDefinitions/{OWNER}",
        "principalId": alias.owner,
        "principalType": session.home.kind_of(alias.owner) or "ServicePrincipal",
        "scope": scope,
        "condition": None,
        "conditionVersion": None,
        "createdOn": now,
        "updatedOn": now,
        "createdBy": None,
        "updatedBy": None,
        "delegatedManagedIdentityResourceId": None,
        "description": None,
    }
    type_ = "Microsoft.Authorization/roleAssignments"
    assignment = {"properties": properties, "id": f"{scope}/providers/{type_}/{name}", "type": type_, "name": name}
    session.estate.put_role_assignment(assignment)


def _get_alias(session: Session, call: Call, ids: Ids) -> Answer:
    session.estate.look_at(call.path)
    return Answer(200, _shown(_alias(session, ids["alias"])))


def _delete_alias(session: Session, _: Call, ids: Ids) -> Answer:
    """Only the name goes; the subscription stays."""
    return Answer(200 if session.estate.aliases.pop(ids["alias"].lower(), None) else 204)


def _alias(session: Session, name: str) -> Alias:
    alias = session.estate.aliases.get(name.lower())
    if alias is None or (session.caller is not None and session.caller.tenant_id != alias.tenant_id):
        raise Rejection(404, "NotFound", f"The alias '{name}' could not be found.")
    return alias


def _shown(alias: Alias) -> Json:
    return {
        "id": f"{ALIASES}/{alias.name}",
        "name": alias.name,
        "type": f"{TYPE}/aliases",
        "properties": dict(alias.properties),
    }


def _may_order(session: Session, scope: str) -> None:
    found = session.estate.billing_scopes.get(scope.lower())
    if found is None:
        raise Rejection(404, "BillingScopeNotFound", f"The billing scope '{scope}' could not be found.")
    if session.caller is not None and (
        session.caller.tenant_id != found.tenant_id or session.caller.object_id not in found.creators
    ):
        raise Rejection(
            403, "UserNotAuthorized", "User is not authorized to create subscriptions on this billing scope."
        )


def _group(session: Session, given: object) -> str:
    if not given:
        return session.estate.root.name
    name = str(given)[len(MANAGEMENT_GROUP) :] if str(given).lower().startswith(MANAGEMENT_GROUP.lower()) else ""
    found = session.estate.management_group(name)
    if found is None:
        raise Rejection(400, "ManagementGroupNotFound", f"The management group '{given}' could not be found.")
    return found.name


def _offered(session: Session, ids: Ids) -> Alias:
    wanted = ids["subscription"].lower()
    for alias in session.estate.aliases.values():
        here = alias.made is not None and alias.made.id == wanted and alias.offered_to == session.estate.tenant_id
        if here and (session.caller is None or session.caller.object_id == alias.owner):
            return alias
    raise Rejection(404, "SubscriptionNotFound", f"The subscription '{wanted}' was not offered.")


def _accept(session: Session, call: Call, ids: Ids) -> Answer:
    alias = _offered(session, ids)
    wanted = call.json().get("properties") or {}
    if not wanted.get("displayName"):
        raise Rejection(400, "BadRequest", "The property 'displayName' is required.")
    group = _group(session, wanted.get("managementGroupId"))
    status = f"{OFFER.format(subscription=ids['subscription'])}/acceptOwnershipStatus"
    slowly = session.faults.operation(call)
    error = slowly.error.model_dump() if slowly and slowly.error else None

    def finish() -> None:
        if error is not None:
            alias.properties["acceptOwnershipState"] = "Expired"
        elif alias.made is not None and not alias.accepted:
            alias.accepted, alias.made.display_name, alias.made.management_group = True, wanted["displayName"], group
            alias.properties["acceptOwnershipState"] = "Completed"
            _hand_over(session, alias)

    session.start(Operation(str(uuid.uuid4()), slowly.polls if slowly else 0, finish, error), status)
    link = f"{call.origin}{status}?api-version={call.query['api-version']}"
    return Answer(202, None, {"Location": link, "Retry-After": "1"})


def _acceptance(session: Session, call: Call, ids: Ids) -> Answer:
    session.estate.look_at(call.path)
    alias = _offered(session, ids)
    return Answer(
        200,
        {
            "subscriptionId": ids["subscription"].lower(),
            "acceptOwnershipState": alias.properties["acceptOwnershipState"],
            "provisioningState": "Succeeded" if alias.accepted else "Pending",
            "subscriptionTenantId": alias.offered_to,
            "displayName": alias.properties["displayName"],
        },
    )


def _rename(session: Session, call: Call, ids: Ids) -> Answer:
    subscription = find(session, ids)
    must_be_enabled(session, call.path)
    name = call.json().get("subscriptionName")
    if not isinstance(name, str) or not 1 <= len(name) <= 64:
        raise Rejection(400, "InvalidSubscriptionName", "The subscription name must have 1 to 64 characters.")
    subscription.display_name = name
    return Answer(200, {"subscriptionId": subscription.id})


def _cancel(session: Session, call: Call, ids: Ids) -> Answer:
    subscription = find(session, ids)
    must_be_enabled(session, call.path)
    inside = session.estate.resources_in(f"/subscriptions/{subscription.id}")
    if inside and call.query.get("ignoreresourcecheck", "").lower() != "true":
        raise Rejection(400, "SubscriptionHasResources", "The subscription has resources; delete them first.")
    subscription.state = "Disabled"
    return Answer(200, {"subscriptionId": subscription.id})


ROUTES = (
    route(f"{ALIASES}/{{alias}}", None, GET=_get_alias, PUT=_put_alias, DELETE=_delete_alias),
    route(f"{OFFER}/acceptOwnership", None, POST=_accept),
    route(f"{OFFER}/acceptOwnershipStatus", None, GET=_acceptance),
    route(f"{SUBSCRIPTION}/rename", TYPE, POST=_rename),
    route(f"{SUBSCRIPTION}/cancel", TYPE, POST=_cancel),
)
