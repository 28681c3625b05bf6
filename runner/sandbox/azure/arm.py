"""Resource Manager: who calls, whether they may, and which route answers.

Knows what holds for every call (a token for this audience and tenant, an api-version, an existing subscription, a role
that allows it); what a call means is known by the module whose route it is.
"""

from __future__ import annotations

import re

from runner.sandbox.azure import (
    blueprints,
    building_blocks,
    management_groups,
    resources,
    role_assignments,
    stacks,
    subscriptions,
    tags,
    vending,
)
from runner.sandbox.azure.faults import Faults
from runner.sandbox.azure.rights import require
from runner.sandbox.azure.routing import Route, Session, action
from runner.sandbox.azure.tokens import ARM_AUDIENCES, Caller, is_loopback
from runner.sandbox.azure.wire import Answer, Call, Rejection
from runner.sandbox.azure.world import World

ROUTES: tuple[Route, ...] = (
    *subscriptions.ROUTES,
    *vending.ROUTES,
    *resources.ROUTES,
    *management_groups.ROUTES,
    *tags.ROUTES,
    *role_assignments.ROUTES,
    *blueprints.ROUTES,
    *stacks.ROUTES,
    *building_blocks.ROUTES,
    resources.ANY_RESOURCE,
)

_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-\w+)?")


def answer(world: World, faults: Faults, call: Call, caller: Caller | None, by: str) -> Answer:
    """Answer one call; without a caller, as somebody who may do everything."""
    if caller is not None:
        _accept(world, call, caller)
    session = Session(world=world, faults=faults, caller=caller, by=by)
    _check_version(call)
    for known in ROUTES:
        found = known.pattern.fullmatch(call.path)
        if found is None or (known is resources.ANY_RESOURCE and call.method == "POST"):
            continue
        ids = found.groupdict()
        _check_subscription(session, call)
        handler = known.handlers.get(call.method)
        if handler is None:
            raise Rejection(405, "MethodNotAllowed", f"The method '{call.method}' is not allowed on '{call.path}'.")
        type_ = _generic_type(ids) if known is resources.ANY_RESOURCE else known.type
        if type_ is not None:
            require(session, action(type_, call), call.path)
        return handler(session, call, ids)
    raise Rejection(404, "InvalidResourceType", f"The sandbox does not know '{call.path}'.")


def _accept(world: World, call: Call, caller: Caller) -> None:
    """Turn away tokens that are for something else, or from another tenant than the subscriptions trust."""
    if caller.audience not in ARM_AUDIENCES and not is_loopback(caller.audience):
        raise Rejection(
            401,
            "InvalidAuthenticationTokenAudience",
            f"The access token has been obtained for wrong audience or resource '{caller.audience}'. It should exactly match "
            "with one of the allowed audiences 'https://management.core.windows.net/','https://management.azure.com/'.",
        )
    home = world.estate.tenant_id
    if caller.tenant_id != home and not call.path.lower().startswith(vending.ALIASES.lower()):
        raise Rejection(
            401,
            "InvalidAuthenticationTokenTenant",
            f"The access token is from the wrong issuer 'https://sts.windows.net/{caller.tenant_id}/'. It must match the tenant "
            f"'https://sts.windows.net/{home}/' associated with this subscription. Please use the authority (URL) "
            f"'{call.origin}/{home}' to get the token.",
        )


def _check_version(call: Call) -> None:
    version = call.query.get("api-version", "")
    if not version:
        raise Rejection(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    if not _API_VERSION.fullmatch(version):
        raise Rejection(400, "InvalidApiVersionParameter", f"The api-version '{version}' is invalid.")


def _check_subscription(session: Session, call: Call) -> None:
    if (
        call.segments[0].lower() == "subscriptions"
        and len(call.segments) > 1
        and session.estate.subscription(call.segments[1]) is None
    ):
        raise Rejection(404, "SubscriptionNotFound", f"The subscription '{call.segments[1]}' could not be found.")


def _generic_type(ids: dict[str, str]) -> str:
    return "/".join([ids["namespace"], *ids["rest"].split("/")[::2]])
