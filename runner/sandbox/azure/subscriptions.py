"""Subscriptions as they are read: themselves, their locations and resource providers, the tenants; api-version 2022-12-01."""

from __future__ import annotations

from runner.sandbox.azure.estate import Subscription
from runner.sandbox.azure.rights import may
from runner.sandbox.azure.routing import Ids, Session, route
from runner.sandbox.azure.wire import Answer, Call, Json, Rejection

TYPE = "Microsoft.Resources/subscriptions"
PATH = "/subscriptions/{subscription}"
LOGICAL = {"europe": "Europe", "global": "Global"}  # listed beside the others, and no place for a resource group


def find(session: Session, ids: Ids) -> Subscription:
    """The subscription in the path."""
    subscription = session.estate.subscription(ids["subscription"])
    if subscription is None:
        raise Rejection(404, "SubscriptionNotFound", f"The subscription '{ids['subscription']}' could not be found.")
    return subscription


def _shown(session: Session, subscription: Subscription) -> Json:
    return {
        "id": f"/subscriptions/{subscription.id}",
        "subscriptionId": subscription.id,
        "tenantId": session.estate.tenant_id,
        "displayName": subscription.display_name,
        "state": subscription.state,
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "EnterpriseAgreement_2014-09-01",
            "spendingLimit": "Off",
        },
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        **({"tags": dict(subscription.tags)} if subscription.tags else {}),
    }


def _get(session: Session, _: Call, ids: Ids) -> Answer:
    return Answer(200, _shown(session, find(session, ids)))


def _list(session: Session, call: Call, _: Ids) -> Answer:
    everywhere = may(session, f"{TYPE}/read", session.estate.root.id)  # then nobody has to be asked one by one
    visible = [
        found
        for found in session.estate.subscriptions.values()
        if everywhere or may(session, f"{TYPE}/read", f"/subscriptions/{found.id}")
    ]
    answer = session.page(call, visible, show=lambda found: _shown(session, found))
    return Answer(200, answer.body | {"count": {"type": "Total", "value": len(answer.body["value"])}})


def _locations(session: Session, _: Call, ids: Ids) -> Answer:
    subscription = find(session, ids)
    physical = {"regionType": "Physical", "regionCategory": "Recommended"}
    logical = {"regionType": "Logical", "regionCategory": "Other"}
    listed = [(name, shown, physical) for name, shown in session.estate.locations.items()]
    listed += [(name, shown, logical) for name, shown in LOGICAL.items()]
    return Answer(
        200,
        {
            "value": [
                {
                    "id": f"/subscriptions/{subscription.id}/locations/{name}",
                    "name": name,
                    "type": "Region",
                    "displayName": shown,
                    "regionalDisplayName": shown,
                    "metadata": metadata,
                }
                for name, shown, metadata in listed
            ]
        },
    )


def _tenants(session: Session, _: Call, __: Ids) -> Answer:
    home = session.home
    tenant = {
        "id": f"/tenants/{home.id}",
        "tenantId": home.id,
        "displayName": home.name,
        "defaultDomain": home.domain,
        "tenantCategory": "Home",
    }
    return Answer(200, {"value": [tenant]})


def _provider(subscription: Subscription, namespace: str, state: str) -> Json:
    return {
        "id": f"/subscriptions/{subscription.id}/providers/{namespace}",
        "namespace": namespace,
        "resourceTypes": [],
        "registrationState": state,
        "registrationPolicy": "RegistrationRequired",
    }


def _providers(session: Session, call: Call, ids: Ids) -> Answer:
    subscription = find(session, ids)
    return session.page(call, list(subscription.providers.items()), show=lambda held: _provider(subscription, *held))


def _get_provider(session: Session, _: Call, ids: Ids) -> Answer:
    subscription = find(session, ids)
    namespace = known_provider(subscription, ids["namespace"])
    state = subscription.providers.get(namespace, "NotRegistered")
    if state == "Registering":  # it has been asked about once: that is long enough here
        subscription.providers[namespace] = "Registered"
    return Answer(200, _provider(subscription, namespace, state))


def _register(session: Session, call: Call, ids: Ids) -> Answer:
    subscription = find(session, ids)
    namespace = known_provider(subscription, ids["namespace"])
    if call.segments[-1].lower() == "unregister":
        subscription.providers[namespace] = "NotRegistered"
    elif subscription.providers.get(namespace) != "Registered":
        subscription.providers[namespace] = "Registering"
    return Answer(200, _provider(subscription, namespace, subscription.providers[namespace]))


def known_provider(subscription: Subscription, namespace: str) -> str:
    """The spelling under which a resource provider is known in the subscription."""
    return next((known for known in subscription.providers if known.lower() == namespace.lower()), namespace)


def must_be_registered(session: Session, scope: str, namespace: str) -> None:
    """Raise what Azure answers to a write for a resource provider that the subscription has not registered."""
    subscription = (
        session.estate.subscription(scope.split("/")[2]) if scope.lower().startswith("/subscriptions/") else None
    )
    if subscription is not None and subscription.providers.get(known_provider(subscription, namespace)) not in (
        "Registered",
        "Registering",
    ):
        code = "MissingSubscriptionRegistration"
        message = (
            f"The subscription is not registered to use namespace '{namespace}'. See https://aka.ms/rps-not-found for how to register "
            "subscriptions."
        )
        # an older azcore, which registers by itself, takes the namespace from the first detail and fails where there is none
        raise Rejection(409, code, message, more={"details": [{"code": code, "target": namespace, "message": message}]})


def must_be_enabled(session: Session, scope: str) -> None:
    """Raise what Azure answers to a write in a subscription that is disabled."""
    subscription = (
        session.estate.subscription(scope.split("/")[2]) if scope.lower().startswith("/subscriptions/") else None
    )
    if subscription is not None and subscription.state not in ("Enabled", "PastDue"):
        raise Rejection(
            409,
            "ReadOnlyDisabledSubscription",
            f"The subscription '{subscription.id}' is disabled and therefore marked as read only. You cannot perform any write actions "
            "on this subscription until it is re-enabled.",
        )


ROUTES = (
    route("/tenants", None, GET=_tenants),
    route("/subscriptions", None, GET=_list),
    route(PATH, TYPE, GET=_get),
    route(f"{PATH}/locations", f"{TYPE}/locations", GET=_locations),
    route(f"{PATH}/providers", f"{TYPE}/providers", GET=_providers),
    route(f"{PATH}/providers/{{namespace}}", f"{TYPE}/providers", GET=_get_provider),
    route(f"{PATH}/providers/{{namespace}}/register", "Microsoft.Resources/subscriptions", POST=_register),
    route(f"{PATH}/providers/{{namespace}}/unregister", "Microsoft.Resources/subscriptions", POST=_register),
)
