"""The Subscriptions port on Azure Resource Manager: Microsoft.Subscription 2021-10-01, and role assignments of the role Owner.

An order is a PUT on an alias. Azure keeps one subscription for an alias, whoever asks again under its name, and answers a later PUT
with what is there. Orders under a customer agreement are made by an identity of another Entra tenant, where the alias is kept.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from runner.azure.http import Client, segment
from runner.domain.subscription import Step
from runner.domain.wording import OWNER
from runner.errors import RemoteFailed
from runner.ports import Order, SubscriptionFacts

SUBSCRIPTION = {"api-version": "2021-10-01"}
SUBSCRIPTIONS = {"api-version": "2022-12-01"}
AUTHORIZATION = {"api-version": "2022-04-01"}
ALIASES = "/providers/Microsoft.Subscription/aliases"
MANAGEMENT_GROUPS = "/providers/Microsoft.Management/managementGroups"
ROLE_ASSIGNMENTS = "providers/Microsoft.Authorization/roleAssignments"

CREATION = timedelta(minutes=15)  # mostly it takes one or two; who waited in vain goes on with the next run
APPEARANCE = timedelta(minutes=10)
ACCEPTANCE = timedelta(minutes=10)
UNSEEN = (403, 404)
GONE = (204, 404)
EXISTS = 409  # RoleAssignmentExists: the same principal and role, under another name


class AzureSubscriptions:
    """`own` speaks for the platform's identity, `ordering` for the one that may order subscriptions."""

    def __init__(self, own: Client, ordering: Client) -> None:
        self._own = own
        self._ordering = ordering

    def enabled(self) -> tuple[SubscriptionFacts, ...]:
        """See Subscriptions."""
        found = (
            SubscriptionFacts(
                id=str(one["subscriptionId"]).lower(),
                display_name=str(one.get("displayName", "")),
                state=str(one.get("state", "")),
            )
            for one in self._own.pages("/subscriptions", SUBSCRIPTIONS)
        )
        return tuple(one for one in found if one.state == "Enabled")

    def ordered(self, alias: str) -> Order | None:
        """See Subscriptions."""
        reply = self._ordering.get(f"{ALIASES}/{segment(alias)}", SUBSCRIPTION, also=(404,))
        return _order(reply.body) if reply.status == 200 else None

    def order(self, step: Step) -> Order:
        """See Subscriptions."""
        more: dict[str, Any] = {}
        if step.management_group:
            more["managementGroupId"] = f"{MANAGEMENT_GROUPS}/{step.management_group}"
        if step.owner:
            more |= {"subscriptionTenantId": step.to_tenant, "subscriptionOwnerId": step.owner}
        properties = {
            "displayName": step.name,
            "workload": step.workload,
            "billingScope": step.billing_scope,
            **({"additionalProperties": more} if more else {}),
        }
        path = f"{ALIASES}/{segment(step.alias)}"
        return _order(self._ordering.put(path, SUBSCRIPTION, body={"properties": properties}).body)

    def settled(self, alias: str) -> Order | None:
        """See Subscriptions."""
        found = None
        for _ in self._ordering.patience.looks(CREATION):
            found = self.ordered(alias)
            if found is not None and found.state != "Accepted":
                break
        return found

    def accept(self, step: Step) -> bool:
        """See Subscriptions."""
        base = f"/providers/Microsoft.Subscription/subscriptions/{segment(step.subscription)}"
        group = {"managementGroupId": f"{MANAGEMENT_GROUPS}/{step.management_group}"} if step.management_group else {}
        asked = False
        for _ in self._own.patience.looks(ACCEPTANCE):
            state = self._acceptance(base)
            if state == "Completed":
                return True
            if state == "Expired":
                raise RemoteFailed(
                    "The offer of ownership has expired",
                    code="ownership-offer-expired",
                    detail=f"Subscription {step.subscription} was offered to Entra tenant {step.to_tenant}, and nobody accepted in time.",
                    hint="Offer it again: the subscription's page in the source tenant, Change directory.",
                )
            if not asked:
                body = {"properties": {"displayName": step.name, **group}}
                reply = self._own.post(f"{base}/acceptOwnership", SUBSCRIPTION, body=body, harmless=True, also=(404,))
                asked = reply.status != 404  # an offer that has just been made is not found at once
        return False

    def appears(self, subscription_id: str) -> bool:
        """See Subscriptions."""
        for _ in self._own.patience.looks(APPEARANCE):
            reply = self._own.get(f"/subscriptions/{segment(subscription_id)}", SUBSCRIPTIONS, also=UNSEEN)
            if reply.status == 200 and reply.body.get("state") == "Enabled":
                return True
        return False

    def rename(self, subscription_id: str, name: str) -> None:
        """See Subscriptions."""
        path = f"/subscriptions/{segment(subscription_id)}/providers/Microsoft.Subscription/rename"
        self._own.post(path, SUBSCRIPTION, body={"subscriptionName": name}, harmless=True)

    def cancel(self, subscription_id: str) -> None:
        """See Subscriptions."""
        path = f"/subscriptions/{segment(subscription_id)}/providers/Microsoft.Subscription/cancel"
        self._own.post(path, {**SUBSCRIPTION, "IgnoreResourceCheck": "true"}, body=None, harmless=False)

    def owners(self, subscription_id: str) -> tuple[str, ...]:
        """See Subscriptions."""
        assignments = self._owner_assignments(subscription_id)
        return tuple(sorted({principal for principal, _, condition in assignments if not condition}))

    def give_owner(self, subscription_id: str, principal_id: str) -> None:
        """See Subscriptions. Named as `modules/role-assignments` would, from scope, principal and role."""
        scope = f"/subscriptions/{segment(subscription_id)}"
        name = uuid.uuid5(uuid.NAMESPACE_URL, f"{scope}|{principal_id}|{OWNER}".lower())
        role = f"{scope}/providers/Microsoft.Authorization/roleDefinitions/{OWNER}"
        body = {"properties": {"roleDefinitionId": role, "principalId": principal_id}}
        self._own.put(f"{scope}/{ROLE_ASSIGNMENTS}/{name}", AUTHORIZATION, body=body, also=(EXISTS,))

    def drop_owner(self, subscription_id: str, principal_id: str) -> None:
        """See Subscriptions."""
        for principal, assignment, _ in self._owner_assignments(subscription_id):
            if principal == principal_id.lower():
                name = segment(assignment.rpartition("/")[2])
                path = f"/subscriptions/{segment(subscription_id)}/{ROLE_ASSIGNMENTS}/{name}"
                self._own.delete(f"{path}?api-version={AUTHORIZATION['api-version']}", also=GONE)

    def _owner_assignments(self, subscription_id: str) -> list[tuple[str, str, str]]:
        """Principal, id and condition of each assignment of Owner right at the subscription; inherited ones are not meant."""
        scope = f"/subscriptions/{segment(subscription_id)}"
        listed = self._own.pages(f"{scope}/{ROLE_ASSIGNMENTS}", {**AUTHORIZATION, "$filter": "atScope()"})
        found = ((one["id"], one.get("properties") or {}) for one in listed)
        return [
            (str(given.get("principalId", "")).lower(), str(id_), str(given.get("condition") or ""))
            for id_, given in found
            if str(given.get("scope", "")).lower() == scope.lower()
            and str(given.get("roleDefinitionId", "")).lower().endswith(OWNER)
        ]

    def _acceptance(self, base: str) -> str:
        reply = self._own.get(f"{base}/acceptOwnershipStatus", SUBSCRIPTION, also=(404,))
        return str(reply.body.get("acceptOwnershipState", "")) if reply.status == 200 else ""


def _order(body: dict[str, Any]) -> Order:
    properties = body.get("properties") or {}
    subscription = str(properties.get("subscriptionId") or "").lower() or None
    state = str(properties.get("provisioningState", ""))
    if state == "Succeeded" and subscription is not None:
        return Order("Succeeded", subscription)
    return Order("Failed" if state in ("Failed", "Canceled") else "Accepted", subscription)
