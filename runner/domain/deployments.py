"""Which blueprint assignments and deployment stacks a tenant gets, with which values: from its documents and what was read in Azure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from runner.domain import blueprint as blueprints
from runner.domain import naming, parameters, tagging
from runner.domain.access import Warn
from runner.domain.blueprint import Blueprint
from runner.domain.deployment_stack import DeploymentStack
from runner.domain.facts import BlueprintFacts, Facts, StackFacts
from runner.domain.landing_zone import LandingZone
from runner.domain.parameters import Filled
from runner.domain.tenant import Tenant


@dataclass(frozen=True)
class Deployments:
    """The names of those that become blocks, the values they get, and whether Azure Blueprints has to be Owner of the subscription."""

    blueprints: tuple[str, ...] = ()
    stacks: tuple[str, ...] = ()
    owner: bool = False
    inputs: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[Warn, ...] = ()


NOTHING = Deployments()


def of(zone: LandingZone, tenant: Tenant, location: str | None, subscription: str, facts: Facts) -> Deployments:
    """What the landing zone deploys into the tenant's subscription. A blueprint without facts is not managed (any more), a stack of a
    template spec without them cannot be written yet. `location` is that of assignments without one of their own."""
    inputs: dict[str, Any] = {}
    warnings: list[Warn] = []
    assigned: dict[str, Any] = {}
    for one in managed(zone, facts):
        found = facts.blueprints[one.name]
        filled = of_blueprint(one, found, zone, tenant, subscription)
        warnings += filled.warnings
        definition = blueprints.definition_id(one, zone.spec.azure_management_group_id or "")
        identity = one.user_assigned_identity
        assigned[one.name] = {
            "blueprint_version_id": f"{definition}/versions/{found.version}",
            "location": one.location or location or "",
            "parameters": filled.values,
            "lock_mode": one.lock_mode,
            "excluded_principals": list(one.excluded_principals),
            "excluded_actions": list(one.excluded_actions),
            "user_assigned_identity_id": identity.resource_id if identity else None,
            "attempt": found.attempt,
        }
    stacked: dict[str, Any] = {}
    for stack in zone.spec.deployment_stacks:
        known = facts.stacks.get(stack.name) or (StackFacts() if stack.template is not None else None)
        if known is None:
            continue
        filled = of_stack(stack, known, zone, tenant, subscription)
        warnings += filled.warnings
        stacked[stack.name] = {
            "location": stack.location,
            "description": stack.deployed,
            "template": stack.template,
            "template_spec_version_id": stack.version_id,
            "parameters": filled.values,
            "deny_settings": {
                "mode": stack.deny_settings.mode,
                "apply_to_child_scopes": stack.deny_settings.apply_to_child_scopes,
                "excluded_principals": list(stack.deny_settings.excluded_principals),
                "excluded_actions": list(stack.deny_settings.excluded_actions),
            },
            "action_on_unmanage": {
                "resources": stack.action_on_unmanage.resources,
                "resource_groups": stack.action_on_unmanage.resource_groups,
            },
            "attempt": known.attempt,
        }
    owner = needs_owner(managed(zone, facts))
    if assigned:
        inputs["blueprints"] = assigned
    if owner:
        inputs["blueprints_principal"] = facts.blueprints_principal
    if stacked:
        inputs["deployment_stacks"] = stacked
    return Deployments(tuple(assigned), tuple(stacked), owner, inputs, tuple(warnings))


def managed(zone: LandingZone, facts: Facts) -> tuple[Blueprint, ...]:
    """The landing zone's blueprints that are assigned by the runner now."""
    return tuple(one for one in zone.spec.blueprints if one.name in facts.blueprints)


def needs_owner(assigned: Iterable[Blueprint]) -> bool:
    """Whether Azure Blueprints has to be Owner: it gives a system-assigned identity its rights (Azure Blueprints, permissions)."""
    return any(one.user_assigned_identity is None for one in assigned)


def of_blueprint(one: Blueprint, facts: BlueprintFacts, zone: LandingZone, tenant: Tenant, subscription: str) -> Filled:
    """The values of a blueprint's parameters."""
    what = f"The blueprint {one.name} ({facts.version})"
    return parameters.fill(
        what,
        facts.declared,
        facts.fixed,
        one.parameters,
        standard(tenant, subscription),
        _variables(zone, tenant, subscription),
    )


def of_stack(one: DeploymentStack, facts: StackFacts, zone: LandingZone, tenant: Tenant, subscription: str) -> Filled:
    """The values of a template's parameters."""
    declared = facts.declared
    if one.template is not None:
        declared = parameters.declared_of(one.template.get("parameters"))
    what = f"The deployment stack {one.name}"
    return parameters.fill(
        what, declared, {}, one.parameters, standard(tenant, subscription), _variables(zone, tenant, subscription)
    )


def standard(tenant: Tenant, subscription: str) -> dict[str, str]:
    """The values that are given by themselves where they are declared: tags by project, payment method and workspace, in this order."""
    return {
        "workspaceIdentifier": tenant.spec.workspace_identifier,
        "projectIdentifier": tenant.spec.project_identifier,
        "SubscriptionId": subscription,
        **{naming.tag_variable(name): value for name, value in tenant.tags.items() if name},
    }


def _variables(zone: LandingZone, tenant: Tenant, subscription: str) -> dict[str, str]:
    return {**tagging.variables(zone, tenant), "subscriptionId": subscription}
