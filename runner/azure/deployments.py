"""The Deployments port: blueprints, template specs and deployment stacks as ARM has them.

Blueprint 2018-11-01-preview, Resources/templateSpecs 2022-02-01, Resources/deploymentStacks 2024-03-01 (Azure REST reference).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from runner.azure.arm import RESOURCE, SAFE, UNSEEN
from runner.azure.http import Client, segment
from runner.domain import blueprint, deployment_stack
from runner.domain.blueprint import Published
from runner.domain.deployment_stack import StackReply, reply_of
from runner.domain.migration import Definition
from runner.ports import Assignment, Version

BLUEPRINT = {"api-version": blueprint.API_VERSION}
STACK = {"api-version": deployment_stack.API_VERSION}
TEMPLATE_SPEC = {"api-version": "2022-02-01"}
ABSENT = (404, 410)
NOT_REGISTERED = 409  # the answer for a resource provider that is not registered: nothing of its kind exists

DELETION = timedelta(
    minutes=30
)  # of an assignment; azurerm waits for 5 minutes and takes that from timeouts up to hours
_EXPRESSION = re.compile(r"^\[[^\[].*\]$", re.DOTALL)


class AzureDeployments:
    """What one identity sees of them."""

    def __init__(self, arm: Client) -> None:
        self._arm = arm

    def versions(self, definition_id: str) -> tuple[Version, ...] | None:
        """See Deployments."""
        path = _checked(definition_id)
        if self._arm.get(path, BLUEPRINT, also=UNSEEN).status != 200:
            return None
        return tuple(_version(one) for one in self._arm.pages(f"{path}/versions", BLUEPRINT, also=UNSEEN))

    def fixed_parameters(self, definition_id: str, version: str) -> dict[str, str]:
        """See Deployments."""
        path = f"{_checked(definition_id)}/versions/{segment(version)}/artifacts"
        fixed: dict[str, str] = {}
        for artifact in self._arm.pages(path, BLUEPRINT, also=UNSEEN):
            given = _properties(artifact).get("parameters")
            for name, one in given.items() if isinstance(given, dict) else ():
                value = one.get("value") if isinstance(one, dict) else None
                # "[parameters('x')]" hands a parameter of the blueprint on; anything else stands as it is
                if value is not None and not (isinstance(value, str) and _EXPRESSION.match(value)):
                    fixed.setdefault(str(name), f"the artifact {artifact.get('name', '')}")
        return fixed

    def definition(self, definition_id: str, version: str) -> Definition | None:
        """See Deployments."""
        path = f"{_checked(definition_id)}/versions/{segment(version)}"
        reply = self._arm.get(path, BLUEPRINT, also=UNSEEN)
        if reply.status != 200:
            return None
        artifacts = tuple(self._arm.pages(f"{path}/artifacts", BLUEPRINT, also=UNSEEN))
        return Definition(str(reply.body.get("name") or version), _properties(reply.body), artifacts)

    def assignments(self, subscription_id: str) -> tuple[Assignment, ...]:
        """See Deployments."""
        path = f"/subscriptions/{segment(subscription_id)}/providers/Microsoft.Blueprint/blueprintAssignments"
        listed = self._arm.pages(path, BLUEPRINT, also=(*UNSEEN, NOT_REGISTERED))
        found = (
            Assignment(
                name=str(one["name"]),
                location=str(one.get("location", "")),
                version_id=str(_properties(one).get("blueprintId", "")),
                state=str(_properties(one).get("provisioningState", "")),
            )
            for one in listed
        )
        return tuple(sorted(found, key=lambda one: one.name))

    def blueprints_principal(self, subscription_id: str, assignment: str) -> str | None:
        """See Deployments."""
        path = blueprint.assignment_id(segment(subscription_id), segment(assignment))
        reply = self._arm.post(
            f"{path}/whoIsBlueprint", BLUEPRINT, body=None, harmless=True, also=(*UNSEEN, NOT_REGISTERED)
        )
        found = str(reply.body.get("objectId") or "") if reply.status == 200 else ""
        return found.lower() or None

    def assignment_goes(self, subscription_id: str, name: str) -> bool:
        """See Deployments."""
        path = blueprint.assignment_id(segment(subscription_id), segment(name))
        looks = self._arm.patience.looks(DELETION)
        return any(self._arm.get(path, BLUEPRINT, also=ABSENT).status in ABSENT for _ in looks)

    def template_parameters(self, version_id: str) -> Mapping[str, Any] | None:
        """See Deployments."""
        reply = self._arm.get(_checked(version_id), TEMPLATE_SPEC, also=UNSEEN)
        if reply.status != 200:
            return None
        template = _properties(reply.body).get("mainTemplate")
        parameters = template.get("parameters") if isinstance(template, dict) else None
        return parameters if isinstance(parameters, dict) else {}

    def stack(self, subscription_id: str, name: str) -> StackReply | None:
        """See Deployments."""
        path = deployment_stack.stack_id(segment(subscription_id), segment(name))
        reply = self._arm.get(path, STACK, also=UNSEEN)
        return reply_of(_properties(reply.body)) if reply.status == 200 else None


def _version(body: Mapping[str, Any]) -> Version:
    properties = _properties(body)
    status, groups = properties.get("status"), properties.get("resourceGroups")
    at = str(status.get("timeCreated") or "") if isinstance(status, dict) else ""
    parameters = properties.get("parameters")
    return Version(
        published=Published(name=str(body["name"]), at=_moment(at)),
        parameters=parameters if isinstance(parameters, dict) else {},
        open_groups=tuple(
            str(name)
            for name, group in (groups.items() if isinstance(groups, dict) else ())
            if not (isinstance(group, dict) and group.get("name") and group.get("location"))
        ),
    )


def _moment(text: str) -> datetime:
    """ARM writes seven decimals, of which Python takes six; a version without a time counts as the oldest."""
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _checked(resource_id: str) -> str:
    if not RESOURCE.fullmatch(resource_id):
        raise ValueError("This is no resource's id.")
    return quote(resource_id, safe=SAFE)


def _properties(body: Mapping[str, Any]) -> Mapping[str, Any]:
    found = body.get("properties")
    return found if isinstance(found, dict) else {}
