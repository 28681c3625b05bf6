"""Management groups and the place of subscriptions in them, api-versions 2020-05-01 to 2023-04-01."""

from __future__ import annotations

from runner.sandbox.azure.estate import MANAGEMENT_GROUP, ManagementGroup, Subscription
from runner.sandbox.azure.filters import Compare, matches, read_filter
from runner.sandbox.azure.rights import may, require
from runner.sandbox.azure.routing import Ids, Session, route
from runner.sandbox.azure.wire import Answer, Call, Json, Rejection, stamp

TYPE = "Microsoft.Management/managementGroups"
PATH = "/providers/Microsoft.Management/managementGroups"


def _list(session: Session, call: Call, _: Ids) -> Answer:
    visible = [group for group in session.estate.management_groups.values() if may(session, f"{TYPE}/read", group.id)]
    return session.page(call, visible, show=lambda group: _brief(session, group))


def _brief(session: Session, group: ManagementGroup) -> Json:
    properties = {"tenantId": session.estate.tenant_id, "displayName": group.display_name}
    return {"id": group.id, "type": TYPE, "name": group.name, "properties": properties}


def _get(session: Session, call: Call, ids: Ids) -> Answer:
    group = _find(session, ids["group"])
    shown = _brief(session, group)
    parent = session.estate.management_group(group.parent) if group.parent else None
    shown["properties"]["details"] = {
        "version": 1,
        "updatedTime": stamp(session.world.now()),
        "updatedBy": session.object_id,
        **({"parent": {"id": parent.id, "name": parent.name, "displayName": parent.display_name}} if parent else {}),
    }
    if call.query.get("$expand", "").lower() == "children":
        recurse = call.query.get("$recurse", "").lower() == "true"
        shown["properties"]["children"] = _children(session, group, recurse=recurse) or None  # Azure says null, not []
    return Answer(200, shown)


def _children(session: Session, group: ManagementGroup, *, recurse: bool) -> list[Json]:
    groups: list[Json] = []
    for child in session.estate.children(group):
        shown: Json = {"type": TYPE, "id": child.id, "name": child.name, "displayName": child.display_name}
        if recurse:
            shown["children"] = _children(session, child, recurse=True) or None
        groups.append(shown)
    return groups + [
        {
            "type": "/subscriptions",
            "id": f"/subscriptions/{found.id}",
            "name": found.id,
            "displayName": found.display_name,
        }
        for found in session.estate.subscriptions_in(group)
    ]


def _descendants(session: Session, call: Call, ids: Ids) -> Answer:
    group = _find(session, ids["group"])
    found: list[Json] = []
    waiting = [group]
    while waiting:
        above = waiting.pop(0)
        for child in session.estate.children(above):
            waiting.append(child)
            found.append(
                {
                    "id": child.id,
                    "type": TYPE,
                    "name": child.name,
                    "properties": {"displayName": child.display_name, "parent": {"id": above.id}},
                }
            )
        found += [
            {
                "id": f"/subscriptions/{held.id}",
                "type": "/subscriptions",
                "name": held.id,
                "properties": {"displayName": held.display_name, "parent": {"id": above.id}},
            }
            for held in session.estate.subscriptions_in(above)
        ]
    return session.page(call, found)


def _entities(session: Session, call: Call, _: Ids) -> Answer:
    """Everything the caller may see, groups and subscriptions: the one call that tells a subscription's place without a right
    on the group above it."""
    node = read_filter(call.query["$filter"]) if "$filter" in call.query else None
    match node:
        case Compare("name", "eq", str(name)):  # asked for every tenant: the others need not be written out
            groups, subscriptions = [session.estate.management_group(name)], [session.estate.subscription(name)]
        case _:
            groups, subscriptions = (
                list(session.estate.management_groups.values()),
                list(session.estate.subscriptions.values()),
            )
    found = [_entity(session, held.id, TYPE, held.name, held.display_name, held.parent) for held in groups if held]
    for one in subscriptions:
        if one:
            found.append(
                _entity(
                    session,
                    f"/subscriptions/{one.id}",
                    "/subscriptions",
                    one.id,
                    one.display_name,
                    one.management_group,
                )
            )
    if node is not None:
        found = [entity for entity in found if matches(node, entity, fold=True)]
    visible = [entity for entity in found if may(session, _READ[entity["type"]], entity["id"])]
    answer = session.page(call, visible)
    return Answer(200, answer.body | {"count": len(visible)})


_READ = {TYPE: f"{TYPE}/read", "/subscriptions": "Microsoft.Resources/subscriptions/read"}


def _entity(session: Session, entity_id: str, type_: str, name: str, display_name: str, parent: str | None) -> Json:
    return {
        "id": entity_id,
        "type": type_,
        "name": name,
        "properties": {
            "tenantId": session.estate.tenant_id,
            "displayName": display_name,
            "parent": {"id": MANAGEMENT_GROUP + parent if parent else None},
            "parentNameChain": _chain(session, parent),
        },
    }


def _chain(session: Session, parent: str | None) -> list[str]:
    """Names of the groups above, from the root group to the immediate parent."""
    chain: list[str] = []
    while parent:
        chain.insert(0, parent)
        above = session.estate.management_group(parent)
        parent = above.parent if above else None
    return chain


def _subscriptions(session: Session, call: Call, ids: Ids) -> Answer:
    group = _find(session, ids["group"])
    held = session.estate.subscriptions_in(group)
    return session.page(call, held, show=lambda found: _association(session, group, found))


def _association(session: Session, group: ManagementGroup, subscription: Subscription) -> Json:
    return {
        "id": f"{group.id}/subscriptions/{subscription.id}",
        "type": f"{TYPE}/subscriptions",
        "name": subscription.id,
        "properties": {
            "tenant": session.estate.tenant_id,
            "displayName": subscription.display_name,
            "parent": {"id": group.id},
            "state": "Active" if subscription.state == "Enabled" else subscription.state,
        },
    }


def _get_subscription(session: Session, call: Call, ids: Ids) -> Answer:
    group = _find(session, ids["group"])
    subscription = session.estate.subscription(ids["subscription"])
    if subscription is None or subscription.management_group != group.name:
        raise Rejection(404, "NotFound", f"{call.path} not found")
    return Answer(200, _association(session, group, subscription))


def _put_subscription(session: Session, call: Call, ids: Ids) -> Answer:
    group = _find(session, ids["group"])
    subscription = session.estate.subscription(ids["subscription"])
    if subscription is None:
        raise Rejection(404, "NotFound", f"Subscription '{ids['subscription']}' not found")
    require(session, f"{TYPE}/subscriptions/write", MANAGEMENT_GROUP + subscription.management_group)
    subscription.management_group = group.name
    session.world.attribute(f"{group.id}/subscriptions/{subscription.id}", session.by)
    return Answer(200, _association(session, group, subscription))


def _delete_subscription(session: Session, _: Call, ids: Ids) -> Answer:
    """Put the subscription under the root group, wherever it is by now.

    What Azure does with a DELETE on a group that the subscription has already left is not documented. The sandbox takes
    the harmful reading, so that a design which depends on the other shows.
    """
    group = _find(session, ids["group"])
    subscription = session.estate.subscription(ids["subscription"])
    if subscription is None:
        return Answer(204)
    was_here = subscription.management_group == group.name
    subscription.management_group = session.estate.root.name
    return Answer(200 if was_here else 204)


def _find(session: Session, name: str) -> ManagementGroup:
    group = session.estate.management_group(name)
    if group is None:
        raise Rejection(
            404,
            "NotFound",
            f"'{PATH}/{name}' not found",
            more={"details": f"Management Group '{name}' does not exist."},
        )
    return group


ROUTES = (
    route(PATH, None, GET=_list),
    route("/providers/Microsoft.Management/getEntities", None, POST=_entities),
    route(f"{PATH}/{{group}}", TYPE, GET=_get),
    route(f"{PATH}/{{group}}/descendants", f"{TYPE}/descendants", GET=_descendants),
    route(f"{PATH}/{{group}}/subscriptions", f"{TYPE}/subscriptions", GET=_subscriptions),
    route(
        f"{PATH}/{{group}}/subscriptions/{{subscription}}",
        f"{TYPE}/subscriptions",
        GET=_get_subscription,
        PUT=_put_subscription,
        DELETE=_delete_subscription,
    ),
)
