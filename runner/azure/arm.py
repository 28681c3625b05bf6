"""The ResourceManager port: the few things that are read from ARM before composing. Writes nothing."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from runner.azure.http import Client, segment
from runner.ports import SubscriptionFacts

SUBSCRIPTIONS = {"api-version": "2022-12-01"}
MANAGEMENT = {"api-version": "2020-05-01"}
RESOURCES = {"api-version": "2021-04-01"}

GROUPS = "/providers/Microsoft.Management/managementGroups"
UNSEEN = (403, 404)  # for what it will not show, ARM answers the one or the other
RESOURCE = re.compile(r"(/(?!\.+(/|$))[^/?#%\\]+)+")
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
            management_group=self._parent(subscription_id),
        )

    def management_group(self, group_id: str) -> str | None:
        """See ResourceManager."""
        reply = self._client.get(f"{GROUPS}/{segment(group_id)}", MANAGEMENT, also=UNSEEN)
        return str(_properties(reply.body).get("displayName", "")) if reply.status == 200 else None

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

    def resources_in(self, resource_group_id: str) -> tuple[str, ...]:
        """See ResourceManager."""
        if not RESOURCE_GROUP.fullmatch(resource_group_id):
            raise ValueError("This is no resource group's id.")
        listed = self._client.pages(f"{resource_group_id}/resources", RESOURCES, also=(404,))
        return tuple(str(resource["id"]) for resource in listed)

    def exists(self, resource_id: str, *, api_version: str) -> bool:
        """See ResourceManager. What the identity may not see counts as absent; to create it would then be refused as well.

        409 is the answer for a resource provider that is not registered: nothing of its kind exists.
        """
        if not RESOURCE.fullmatch(resource_id):
            raise ValueError("This is no resource's id.")
        path = quote(resource_id, safe="/()$@:,;=!*~")
        return self._client.get(path, {"api-version": api_version}, also=(*UNSEEN, 409)).status == 200

    def _parent(self, subscription_id: str) -> str | None:
        """The management group above; getEntities is the one call that tells without a right on that group."""
        query = MANAGEMENT | {"$filter": f"name eq '{subscription_id.lower()}'"}
        reply = self._client.post(
            "/providers/Microsoft.Management/getEntities", query, body=None, harmless=True, also=UNSEEN
        )
        for entity in self._client.items(reply.body):
            if str(entity.get("name", "")).lower() == subscription_id.lower():
                parent = _properties(entity).get("parent") or {}
                return str(parent.get("id") or "").rpartition("/")[2] or None
        return None


def _properties(entity: dict[str, Any]) -> dict[str, Any]:
    found = entity.get("properties")
    return found if isinstance(found, dict) else {}
