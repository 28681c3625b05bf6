"""The ResourceManager port: the few things that are read from ARM before composing, and tags that are taken away."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from runner.azure.http import Client, segment
from runner.ports import ManagementGroupFacts, SubscriptionFacts

SUBSCRIPTIONS = {"api-version": "2022-12-01"}
MANAGEMENT = {"api-version": "2020-05-01"}
ASSIGNMENTS = {"api-version": "2022-04-01"}
RESOURCES = {"api-version": "2021-04-01"}

GROUPS = "/providers/Microsoft.Management/managementGroups"
UNSEEN = (403, 404)  # for what it will not show, ARM answers the one or the other
SAFE = "/()$@:,;=!*~"  # what may stand in a resource's id as it is
RESOURCE = re.compile(r"(/(?!\.+(/|$))[^/?#%\\]+)+")
GROUP_TYPE = "Microsoft.Management/managementGroups"
SCOPE = re.compile(r"/subscriptions/[0-9a-f-]{36}(/resourceGroups/[^/?#%]{1,90})?", re.IGNORECASE)
RESOURCE_GROUP = re.compile(r"/subscriptions/[0-9a-f-]{36}/resourceGroups/[^/?#%]{1,90}", re.IGNORECASE)


class Arm:
    """Azure Resource Manager as one identity sees it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def subscription(self, subscription_id: str) -> SubscriptionFacts | None:
        """See ResourceManager."""
        reply = self._client.get(f"/subscriptions/{segment(subscription_id)}", SUBSCRIPTIONS, also=UNSEEN)
        if reply.status != 200:
            return None
        return SubscriptionFacts(
            id=subscription_id.lower(),
            display_name=str(reply.body.get("displayName", "")),
            state=str(reply.body.get("state", "")),
            above=_above(self._entity(subscription_id, "/subscriptions")),
        )

    def management_group(self, group_id: str) -> ManagementGroupFacts | None:
        """See ResourceManager."""
        if (found := self._entity(group_id, GROUP_TYPE)) is None:
            return None
        display_name = str(_properties(found).get("displayName", ""))
        return ManagementGroupFacts(id=str(found["name"]), display_name=display_name, above=_above(found))

    def management_group_named(self, display_name: str) -> str | None:
        """See ResourceManager."""
        wanted = display_name.casefold()
        listed = self._client.pages(GROUPS, MANAGEMENT, also=UNSEEN)
        ids = [
            str(group["name"])
            for group in listed
            if str(_properties(group).get("displayName", "")).casefold() == wanted
        ]
        return ids[0] if len(ids) == 1 else None

    def subscriptions_below(self, group_ids: Sequence[str]) -> tuple[SubscriptionFacts, ...]:
        """See ResourceManager. The list of descendants says nothing of a state, so that comes from the list of subscriptions."""
        states = {
            str(one["subscriptionId"]).lower(): str(one.get("state", ""))
            for one in self._client.pages("/subscriptions", SUBSCRIPTIONS)
        }
        found: dict[str, SubscriptionFacts] = {}
        for group_id in group_ids:
            for below in self._client.pages(f"{GROUPS}/{segment(group_id)}/descendants", MANAGEMENT):
                name, kind = str(below["name"]).lower(), str(below.get("type", "")).lower()
                if kind in ("/subscriptions", "microsoft.management/managementgroups/subscriptions"):
                    found[name] = SubscriptionFacts(
                        id=name,
                        display_name=str(_properties(below).get("displayName", "")),
                        state=states.get(name, ""),
                        above=_above(below),
                    )
        return tuple(sorted(found.values(), key=lambda one: (one.display_name.lower(), one.id)))

    def locations(self, subscription_id: str) -> tuple[str, ...]:
        """See ResourceManager."""
        path = f"/subscriptions/{segment(subscription_id)}/locations"
        listed = self._client.pages(path, SUBSCRIPTIONS, also=UNSEEN)
        # logical ones, such as europe and global, are places for no resource group
        return tuple(str(found["name"]) for found in listed if _metadata(found).get("regionType") != "Logical")

    def tags(self, scope: str) -> dict[str, str]:
        """See ResourceManager."""
        reply = self._client.get(_tags_of(scope), RESOURCES, also=UNSEEN)
        tags = _properties(reply.body).get("tags") if reply.status == 200 else None
        return {str(name): str(value) for name, value in tags.items()} if isinstance(tags, dict) else {}

    def remove_tags(self, scope: str, tags: Mapping[str, str]) -> None:
        """See ResourceManager."""
        body = {"operation": "Delete", "properties": {"tags": dict(tags)}}
        self._client.patch(_tags_of(scope), RESOURCES, body=body, harmless=True)

    def resources_in(self, resource_group_id: str) -> tuple[str, ...]:
        """See ResourceManager."""
        if not RESOURCE_GROUP.fullmatch(resource_group_id):
            raise ValueError("This is no resource group's id.")
        listed = self._client.pages(f"{resource_group_id}/resources", RESOURCES, also=(404,))
        return tuple(str(resource["id"]) for resource in listed)

    def location_of(self, resource_group_id: str) -> str | None:
        """See ResourceManager."""
        if not RESOURCE_GROUP.fullmatch(resource_group_id):
            raise ValueError("This is no resource group's id.")
        reply = self._client.get(resource_group_id, RESOURCES, also=UNSEEN)
        return str(reply.body.get("location", "")) if reply.status == 200 else None

    def role_assignments(self, scope: str, principal_id: str) -> dict[str, str]:
        """See ResourceManager."""
        if not RESOURCE.fullmatch(scope):
            raise ValueError("This is no resource's id.")
        path = f"{quote(scope, safe=SAFE)}/providers/Microsoft.Authorization/roleAssignments"
        query = ASSIGNMENTS | {"$filter": f"principalId eq '{segment(principal_id)}'"}
        return {
            str(_properties(found).get("roleDefinitionId", "")).rpartition("/")[2].lower(): str(found["name"])
            for found in self._client.pages(path, query, also=UNSEEN)
            if str(_properties(found).get("scope", "")).lower() == scope.lower()
            and str(_properties(found).get("principalId", "")).lower() == principal_id.lower()
        }

    def exists(self, resource_id: str, *, api_version: str) -> bool:
        """See ResourceManager. What the identity may not see counts as absent; to create it would then be refused as well.

        409 is the answer for a resource provider that is not registered: nothing of its kind exists.
        """
        if not RESOURCE.fullmatch(resource_id):
            raise ValueError("This is no resource's id.")
        path = quote(resource_id, safe=SAFE)
        return self._client.get(path, {"api-version": api_version}, also=(*UNSEEN, 409)).status == 200

    def _entity(self, name: str, type_: str) -> dict[str, Any] | None:
        """A subscription or management group with what is above it; getEntities is the one call that tells of a subscription without a
        right on the groups above."""
        doubled = name.replace("'", "''")
        query = MANAGEMENT | {"$filter": f"name eq '{doubled}'"}
        reply = self._client.post(
            "/providers/Microsoft.Management/getEntities", query, body=None, harmless=True, also=UNSEEN
        )
        for entity in self._client.items(reply.body):
            same = str(entity.get("name", "")).lower() == name.lower()
            if same and str(entity.get("type", "")).lower() == type_.lower():
                return entity
        return None


def _above(entity: dict[str, Any] | None) -> tuple[str, ...]:
    """Ids of the groups above, from the root group down to the one it is in."""
    properties = _properties(entity or {})
    chain = properties.get("parentNameChain")
    if isinstance(chain, list) and chain:
        return tuple(str(name) for name in chain)
    parent = str((properties.get("parent") or {}).get("id") or "").rpartition("/")[2]
    return (parent,) if parent else ()


def _tags_of(scope: str) -> str:
    if not SCOPE.fullmatch(scope):
        raise ValueError("This is no subscription's or resource group's id.")
    return f"{quote(scope, safe='/()')}/providers/Microsoft.Resources/tags/default"


def _properties(entity: dict[str, Any]) -> dict[str, Any]:
    found = entity.get("properties")
    return found if isinstance(found, dict) else {}


def _metadata(location: dict[str, Any]) -> dict[str, Any]:
    found = location.get("metadata")
    return found if isinstance(found, dict) else {}
