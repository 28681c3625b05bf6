"""The request to a landing zone's Azure Function: where, as whom, with which headers. Pure; the call is the adapter's.

Headers: meshStack's HTTP header interface (docs/settings/replication-configuration, docs/integrations/azure/landing-zones).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from runner.domain.access import Frozen
from runner.domain.landing_zone import LandingZone
from runner.domain.tenant import Tenant


class Invocation(Frozen):
    """A function call as it is reviewed: the method is POST, the body empty, the token is fetched for `scope` at call time."""

    url: str
    scope: str
    headers: tuple[tuple[str, str], ...]


class Answer(Frozen):
    """What the function said: status, the first kilobyte of the body, and how long it took."""

    status: int
    body: str
    seconds: float


def invocation(zone: LandingZone, tenant: Tenant, *, subscription_id: str) -> Invocation | None:
    """The call that every successful reconcile of the tenant makes; None where the zone names no function."""
    function = zone.spec.azure_function
    if function is None:
        return None
    return Invocation(
        url=function.azure_function_url,
        scope=function.azure_function_scope,
        headers=tuple(headers(zone, tenant, subscription_id=subscription_id).items()),
    )


def headers(zone: LandingZone, tenant: Tenant, *, subscription_id: str) -> dict[str, str]:
    """The x-mesh headers by name, sorted; values that are not plain ASCII are URL-encoded (UTF-8)."""
    spec = tenant.spec
    values: dict[str, str] = {f"x-mesh-tag-{kebab(name)}": value for name, value in tenant.tags.items()}
    values |= {
        "x-mesh-customer-identifier": spec.workspace_identifier,
        "x-mesh-project-identifier": spec.project_identifier,
        "x-mesh-landing-zone-identifier": zone.name,
        "x-mesh-subscription-id": subscription_id,
    }
    if spec.tenant_platform_number is not None:
        values["x-mesh-tenant-platform-number"] = str(spec.tenant_platform_number)
    cost_center = next((value for name, value in tenant.tags.items() if kebab(name) in _COST_CENTER), None)
    if cost_center is not None:
        values["x-mesh-costcenter"] = cost_center
    return {name: encoded(value) for name, value in sorted(values.items())}


_COST_CENTER = ("cost-center", "costcenter")  # the deprecated header carries the tag, however its name is spelt


def kebab(name: str) -> str:
    """`myCustomerTag` -> `my-customer-tag`; anything a header name cannot hold becomes a dash."""
    dashed = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name)
    return re.sub(r"[^a-z0-9]+", "-", dashed.lower()).strip("-")


def encoded(value: str) -> str:
    """The value itself when it is plain printable ASCII, else URL-encoded.

    Everything but letters, digits and `_.-~` is escaped then, so that readers who take `+` for a space read the same.
    """
    if value == value.strip() and all(0x20 <= ord(char) < 0x7F for char in value):
        return value
    return quote(value, safe="")


def colliding_headers(tags: Mapping[str, str]) -> list[tuple[str, str]]:
    """Pairs of tag names that would become one header. A name of which nothing is left cannot be a header at all."""
    seen: dict[str, str] = {}
    named = [name for name in tags if kebab(name)]
    return [(seen[kebab(name)], name) for name in named if seen.setdefault(kebab(name), name) != name]
