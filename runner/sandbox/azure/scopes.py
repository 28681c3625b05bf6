"""Whether what a call hangs something on exists: a subscription, a resource group, a management group, a resource."""

from __future__ import annotations

from runner.sandbox.azure.estate import MANAGEMENT_GROUP
from runner.sandbox.azure.routing import Session
from runner.sandbox.azure.wire import Rejection


def must_exist(session: Session, scope: str) -> None:
    """Raise what Azure answers when there is nothing at `scope`."""
    parts = scope.split("/")[1:]
    wanted = scope.lower()
    if wanted.startswith(MANAGEMENT_GROUP.lower()):
        name = scope[len(MANAGEMENT_GROUP) :].split("/", 1)[0]
        if session.estate.management_group(name) is None:
            raise Rejection(404, "NotFound", f"'{MANAGEMENT_GROUP}{name}' not found")
    if wanted.startswith("/subscriptions/") and session.estate.subscription(parts[1]) is None:
        raise Rejection(404, "SubscriptionNotFound", f"The subscription '{parts[1]}' could not be found.")
    if len(parts) >= 4 and parts[2].lower() == "resourcegroups":
        if "/".join(["", *parts[:4]]).lower() not in session.estate.resource_groups:
            raise Rejection(404, "ResourceGroupNotFound", f"Resource group '{parts[3]}' could not be found.")
        if len(parts) > 4 and wanted not in session.estate.resources:
            raise Rejection(404, "ResourceNotFound", f"The Resource '{scope}' was not found.")
