"""Deployment stacks: what every subscription of a landing zone gets from an ARM template, locked where wanted. The successor of blueprints.

https://learn.microsoft.com/azure/azure-resource-manager/bicep/deployment-stacks, Microsoft.Resources/deploymentStacks 2024-03-01.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, StringConstraints, model_validator

from runner.domain.access import Warn
from runner.domain.blueprint import VERSION_NAME
from runner.domain.document import Location, Value, wrong
from runner.domain.parameters import DeploymentName, ExcludedActions, ExcludedPrincipals, Parameters

API_VERSION = "2024-03-01"
TYPE = f"Microsoft.Resources/deploymentStacks@{API_VERSION}"

TEMPLATE_SPEC = (
    r"^/subscriptions/[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}/resourceGroups/[^/\s]{1,90}"
    r"/providers/Microsoft\.Resources/templateSpecs/[-A-Za-z0-9._()]{1,90}$"
)
DenyMode = Literal["none", "denyDelete", "denyWriteAndDelete"]
Unmanaged = Literal["detach", "delete"]


class DenySettings(Value):
    """What the stack forbids everybody to do with what it deployed."""

    mode: DenyMode = "none"
    """none, denyDelete (nobody deletes) or denyWriteAndDelete (nobody changes or deletes)."""
    apply_to_child_scopes: bool = False
    """Whether it holds for what is below the deployed resources as well."""
    excluded_principals: ExcludedPrincipals = ()
    """Object ids of at most 5 principals for whom it does not hold."""
    excluded_actions: ExcludedActions = ()
    """At most 200 actions that it does not forbid."""


class ActionOnUnmanage(Value):
    """What becomes of what the stack deployed once its template has it no longer, or the stack is deleted."""

    resources: Unmanaged = "detach"
    """detach: it stays. delete: it is deleted."""
    resource_groups: Unmanaged = "detach"
    """detach: they stay. delete: they are deleted with everything in them."""


class DeploymentStack(Value):
    """A deployment stack that every subscription of the zone gets."""

    name: DeploymentName
    """Its name in Azure; with another name the old one is deleted as actionOnUnmanage says, and another one made."""
    location: Location
    """Region in which Azure keeps the stack."""
    template_spec: Annotated[str, StringConstraints(pattern=TEMPLATE_SPEC)] | None = None
    """Resource id of the template spec to deploy, without a version."""
    version: Annotated[str, StringConstraints(min_length=1, max_length=90, pattern=VERSION_NAME)] | None = None
    """Version of the template spec."""
    template_file: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = None
    """Path of an ARM template (JSON) beside this document, in place of a template spec. Bicep: az bicep build --file FILE."""
    template: dict[str, JsonValue] | None = None
    """The ARM template itself, in place of templateFile or a template spec."""
    parameters: Parameters = Field(default_factory=dict)
    """Values of the template's own parameters, beside workspaceIdentifier, projectIdentifier, SubscriptionId and tag<Key>, which are given
    by themselves where the template declares them; ${…} stands for what it stands for in tags."""
    deny_settings: DenySettings = DenySettings()
    """What the stack forbids."""
    action_on_unmanage: ActionOnUnmanage = ActionOnUnmanage()
    """What becomes of what it no longer manages."""

    @model_validator(mode="after")
    def _one_template(self) -> Self:
        if (self.template_spec is None) == (self.template is None):
            raise wrong(
                "A deployment stack has one template: templateSpec with its version, templateFile, or template.",
                hint="templateFile: landing-zone.json",
            )
        if (self.template_spec is None) != (self.version is None):
            missing = "version" if self.version is None else "templateSpec"
            raise wrong(
                f"templateSpec and version belong together; {missing} is missing.",
                hint='version: "1.0"',
                field="version",
            )
        return self

    @property
    def version_id(self) -> str | None:
        """ARM id of the template spec's version."""
        return f"{self.template_spec}/versions/{self.version}" if self.template_spec else None

    @property
    def deployed(self) -> str:
        """What is deployed, as it is written into the stack's description: Azure's reply does not tell the template of a stack."""
        if self.template_spec:
            return f"{self.template_spec.rpartition('/')[2]} {self.version}"
        text = json.dumps(self.template, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return f"template {sha256(text.encode()).hexdigest()[:12]}"


def stack_id(subscription: str, name: str) -> str:
    """ARM id of a stack at a subscription."""
    return f"/subscriptions/{subscription}/providers/Microsoft.Resources/deploymentStacks/{name}"


@dataclass(frozen=True)
class StackReply:
    """A stack as Azure reports it. `denied` counts its resources by their denyStatus."""

    state: str
    description: str
    deny_mode: str
    denied: Mapping[str, int]

    @property
    def failed(self) -> bool:
        return self.state.lower() == "failed"

    @property
    def deployed(self) -> str:
        """What is deployed; the module adds the attempt where it was not the first."""
        return self.description.partition(" (attempt ")[0]


def reply_of(properties: Mapping[str, Any]) -> StackReply:
    """The reply's `properties`, read leniently."""
    denied: dict[str, int] = {}
    resources: Iterable[Any] = properties.get("resources") or ()
    for one in resources:
        status = str(one.get("denyStatus") or "none") if isinstance(one, dict) else "none"
        denied[status] = denied.get(status, 0) + 1
    settings = properties.get("denySettings")
    return StackReply(
        state=str(properties.get("provisioningState") or ""),
        description=str(properties.get("description") or ""),
        deny_mode=str(settings.get("mode") or "none") if isinstance(settings, dict) else "none",
        denied=denied,
    )


# What says nothing about whether the setting holds: the resource can have no deny assignment, or needs none.
_BESIDE_THE_POINT = frozenset({"notsupported", "inapplicable"})


def deny_warnings(stack: DeploymentStack, found: StackReply) -> tuple[Warn, ...]:
    """What does not hold of the wanted deny mode. A failed change leaves some resources with the old one, and that does not heal by itself
    (Azure/deployment-stacks issue 242)."""
    mode = stack.deny_settings.mode
    if found.deny_mode.lower() != mode.lower():
        text = f"The deployment stack {stack.name} has the deny mode {found.deny_mode} in Azure, not {mode}."
        return (Warn(code="deny-mode-differs", text=text),)
    others = {
        status: count
        for status, count in sorted(found.denied.items())
        if status.lower() not in {mode.lower(), *_BESIDE_THE_POINT}
    }
    if not others:
        return ()
    told = ", ".join(f"{count} with {status}" for status, count in others.items())
    text = f"The deployment stack {stack.name} has the deny mode {mode}, but of its resources there are {told}: deny settings are mixed."
    return (Warn(code="deny-mixed", text=text),)
