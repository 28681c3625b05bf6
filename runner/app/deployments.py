"""Blueprints and deployment stacks, looked up while planning and after applying: versions, parameters, what is assigned, what failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from runner.app.walk import Ports
from runner.domain import blueprint as blueprints
from runner.domain import deployment_stack, deployments, parameters, retirement
from runner.domain.access import Warn
from runner.domain.blueprint import Blueprint
from runner.domain.configuration import BLUEPRINTS_OWNER, Placed, subscription_id
from runner.domain.deployment_stack import DeploymentStack
from runner.domain.facts import BlueprintFacts, Facts, StackFacts, UnmanagedAssignment
from runner.domain.plan import Action, Plan
from runner.domain.retirement import Phase
from runner.domain.review import Review
from runner.domain.run import Behavior, Run, Status
from runner.domain.subscription import Step
from runner.errors import InputError
from runner.ports import Assignment, Azure, Journal
from runner.ports import Deployments as Api

_TRIED = (Status.APPLIED, Status.UNCHANGED, Status.FAILED, Status.CANCELED, Status.INTERRUPTED)
_LOOKED_AT = 20  # ended runs, for the last one that was reviewed


@dataclass(frozen=True)
class Looked:
    """What was found, as fields of Facts, and what a person should know."""

    found: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[Warn, ...] = ()


def look(run: Run, placed: Placed, azure: Azure, ports: Ports, *, to_come: bool) -> Looked:
    """What there is of the zone's blueprints and stacks. InputError where one of them cannot be deployed as the documents say.

    A blueprint whose end has come is not managed any more; one that is only dropped from the zone is found by `dropped`, once planned.
    """
    if placed.platform.spec.type != "azure":
        return Looked()
    spec, subscription = placed.zone.spec, subscription_id(placed)
    phase = retirement.phase(ports.now())
    if run.behavior is Behavior.DESTROY:
        return _leaving(placed, phase, azure.deployments, to_come=to_come)
    wanted = spec.blueprints or spec.deployment_stacks
    earlier = _earlier(run, ports) if wanted or not to_come else Facts()
    if not (wanted or earlier.blueprints or earlier.unmanaged_assignments):
        return Looked()
    api = azure.deployments
    assigned = {} if to_come or phase is Phase.GONE else {one.name: one for one in api.assignments(subscription)}
    found: dict[str, BlueprintFacts] = {}
    released: list[str] = []
    warnings: list[Warn] = []
    stacks = {stack.name.lower() for stack in spec.deployment_stacks}
    for one in spec.blueprints:
        now = next((a for name, a in assigned.items() if name.lower() == one.name.lower()), None)
        if _frozen(phase):
            released.append(one.name)
        elif now is None and phase is not Phase.OPEN and one.name.lower() in stacks:
            warnings.append(retirement.replaced(one.name))
        elif now is None and phase is not Phase.OPEN:
            raise retirement.retired(one.name, zone=placed.zone.name, tenant=placed.tenant.name)
        else:
            found[one.name], chosen = _blueprint(one, now, earlier, placed, api)
            facts = found[one.name]
            warnings += chosen
            warnings += _warnings_of(one, facts, both=one.name.lower() in stacks)
    facts_of_stacks, of_stacks = _stacks(placed, earlier, api, to_come=to_come)
    unmanaged = tuple(
        UnmanagedAssignment(name=one.name, version_id=one.version_id)
        for one in assigned.values()
        if one.name.lower() not in {name.lower() for name in found}
    )
    warnings += [*retirement.warnings_of(phase, list(found), released), *map(_unmanaged, unmanaged), *of_stacks]
    return Looked(
        {
            "blueprints": found,
            "blueprints_principal": _principal(placed, found, api, to_come=to_come),
            "unmanaged_assignments": unmanaged,
            "released": tuple(released),
            "stacks": facts_of_stacks,
        },
        tuple(warnings),
    )


def _leaving(placed: Placed, phase: Phase, api: Api, *, to_come: bool) -> Looked:
    """What is left to do of a tenant that leaves: nothing can be changed any more, or Azure has not come to an end with an earlier run."""
    listed, subscription = placed.zone.spec.blueprints, subscription_id(placed)
    if _frozen(phase):
        return Looked({"released": tuple(one.name for one in listed)})
    names = {one.name.lower() for one in listed}
    assigned = api.assignments(subscription) if listed and not to_come else ()
    going = tuple(one.name for one in assigned if one.state.lower() == "deleting" and one.name.lower() in names)
    known = placed.platform.spec.blueprint_service_principal
    if going and known is None and deployments.needs_owner(listed):
        known = api.blueprints_principal(subscription, going[0])
    return Looked({"going": going, "blueprints_principal": known or "" if going else ""})


def dropped(run: Run, plan: Plan, facts: Facts, now: datetime) -> tuple[str, ...]:
    """Blueprints whose assignment the plan would delete and that are to stay: the zone lists them no longer, or nothing can be changed."""
    if run.behavior is Behavior.DESTROY and not _frozen(retirement.phase(now)):
        return ()
    return tuple(
        change.block.removeprefix("blueprint_")
        for change in plan.changes
        if change.action is Action.DELETE and change.type == "azapi_resource" and change.block.startswith("blueprint_")
    )


def steps_of_leaving(plan: Plan, facts: Facts, subscription: str) -> tuple[Step, ...]:
    """What follows on deleted assignments: Azure answers at once and deletes later, and needs Azure Blueprints as Owner until then."""
    deleted = [
        change.block.removeprefix("blueprint_")
        for change in plan.changes
        if change.action is Action.DELETE and change.type == "azapi_resource" and change.block.startswith("blueprint_")
    ]
    gone = [
        Step(kind="await-assignment", subscription=subscription, name=name)
        for name in dict.fromkeys((*deleted, *facts.going))
    ]
    principals = [
        _principal_of(change.before)
        for change in plan.changes
        if change.block == BLUEPRINTS_OWNER and change.action is Action.FORGET
    ] or [facts.blueprints_principal]
    owners = [
        Step(kind="drop-blueprints-owner", subscription=subscription, principal=principal)
        for principal in principals
        if gone and principal
    ]
    return (*gone, *owners)


def verify(placed: Placed, made: Review, azure: Azure, journal: Journal) -> None:
    """Read the deny settings of each stack back after an apply, and warn of what does not hold."""
    for stack in placed.zone.spec.deployment_stacks:
        if stack.name in made.facts.stacks and (now := azure.deployments.stack(made.subscription, stack.name)):
            for warning in deployment_stack.deny_warnings(stack, now):
                journal.warn(warning.code, warning.text)


# --- blueprints ------------------------------------------------------------------------------------------------------


def _frozen(phase: Phase) -> bool:
    return phase in (Phase.FROZEN, Phase.GONE)


def _earlier(run: Run, ports: Ports) -> Facts:
    """The facts of the tenant's last run that may have been applied: it says which attempt an assignment is at."""
    for ended in ports.runs.find(tenant=run.tenant, statuses=_TRIED, limit=_LOOKED_AT):
        kept = ports.runs.review(ended.id)
        if kept is not None and kept.get("behavior") == Behavior.APPLY:
            return Facts.model_validate(kept["facts"])
    return Facts()


def _blueprint(
    one: Blueprint, now: Assignment | None, earlier: Facts, placed: Placed, api: Api
) -> tuple[BlueprintFacts, tuple[Warn, ...]]:
    """What is to be assigned, and what is to be said of how its version was chosen."""
    zone, subscription = placed.zone, subscription_id(placed)
    definition = blueprints.definition_id(one, zone.spec.azure_management_group_id or "")
    group = one.management_group_id or zone.spec.azure_management_group_id
    versions = api.versions(definition)
    if not versions:
        what = "does not exist, or the runner may not read it" if versions is None else "has no published version"
        raise InputError(
            "No such blueprint" if versions is None else "The blueprint is not published",
            code="unknown-blueprint",
            detail=f"The blueprint {one.name} in the management group {group} {what}.",
            hint=f"Check name and managementGroupId under blueprints of the landing zone {zone.name}.",
        )
    location = one.location or placed.platform.spec.blueprint_location or ""
    if now is not None and now.location.replace(" ", "").lower() != location:
        raise InputError(
            "The assignment is elsewhere",
            code="blueprint-assignment-elsewhere",
            detail=f"The blueprint {one.name} is assigned in {now.location}, and the documents want {location}. An assignment cannot "
            "be moved.",
            hint=f"Write its location as {now.location.replace(' ', '').lower()}.",
        )
    choice = blueprints.choose(one, [version.published for version in versions], now.version if now else None)
    chosen = next((v for v in versions if v.published.name.lower() == choice.version.lower()), None)
    if chosen is None:
        raise InputError(
            "The blueprint's version is gone",
            code="unknown-blueprint-version",
            detail=f"The subscription has the version {choice.version} of the blueprint {one.name}, which is not published any more.",
            hint=f"Name one that is as maxAutoUpgradeVersion: {', '.join(v.published.name for v in versions[-5:])}.",
        )
    if chosen.open_groups:
        raise InputError(
            "The blueprint leaves resource groups open",
            code="blueprint-open-resource-groups",
            detail=f"The blueprint {one.name} ({choice.version}) has no name or location for {', '.join(chosen.open_groups)}; resource "
            "group names and locations cannot be given as parameters.",
            hint="Write name and location of the resource group into the blueprint, and publish it as a new version.",
        )
    before = earlier.blueprints.get(one.name, BlueprintFacts(version=""))
    facts = BlueprintFacts(
        version=chosen.published.name,
        before=now.version if now else "",
        older=choice.older,
        declared=parameters.declared_of(chosen.parameters),
        fixed=api.fixed_parameters(definition, chosen.published.name),
        attempt=before.attempt + (now is not None and now.failed),
    )
    filled = deployments.of_blueprint(one, facts, zone, placed.tenant, subscription)
    _refuse_missing(f"The blueprint {one.name} ({facts.version})", filled.missing, f"blueprints.{one.name}")
    return facts, choice.warnings


def _refuse_missing(what: str, missing: Iterable[str], where: str) -> None:
    if names := ", ".join(missing):
        raise InputError(
            "Parameters have no value",
            code="parameters-missing",
            detail=f"{what} needs a value for {names}.",
            hint=f"Give it under parameters of {where} in the landing zone, or set the tag it is made of.",
        )


def _principal(placed: Placed, found: dict[str, BlueprintFacts], api: Api, *, to_come: bool) -> str:
    """Object id of Azure Blueprints where it has to be Owner; empty where it need not."""
    assigned = [one for one in placed.zone.spec.blueprints if one.name in found]
    if not deployments.needs_owner(assigned):
        return ""
    known = placed.platform.spec.blueprint_service_principal
    if known is None and not to_come:
        known = api.blueprints_principal(subscription_id(placed), assigned[0].name)
    if known is None:
        why = "the subscription is still to come" if to_come else "Azure does not tell it for this subscription"
        raise InputError(
            "Who Azure Blueprints is, is not known",
            code="blueprints-principal-unknown",
            detail=f"A system-assigned identity needs Azure Blueprints as Owner of the subscription, and {why}.",
            hint="Write its object id as blueprintServicePrincipal of the platform: "
            "az ad sp list --filter \"appId eq 'f71766dc-90d9-4b7d-bd9d-4499c4331c3f'\" --query '[].id' --output tsv",
        )
    return known


def _warnings_of(one: Blueprint, facts: BlueprintFacts, *, both: bool) -> Iterable[Warn]:
    if facts.older:
        text = f"The blueprint {one.name} goes back from version {facts.before} to {facts.version}, which was published earlier."
        yield Warn(code="blueprint-downgrade", text=text)
    if both:
        text = (
            f"The landing zone has a blueprint and a deployment stack named {one.name}: both deploy. Take the blueprint out of the zone "
            "once the stack stands; its assignment then stays until somebody removes it."
        )
        yield Warn(code="blueprint-and-stack", text=text)
    if facts.attempt > 1 and facts.before:
        text = f"The blueprint {one.name} is assigned for the {facts.attempt}. time: what was tried before has failed."
        yield Warn(code="assigned-again", text=text)


def _unmanaged(one: UnmanagedAssignment) -> Warn:
    version = one.version_id.rpartition("/blueprints/")[2].replace("/versions/", " ")
    text = f"The subscription has the blueprint assignment {one.name} ({version}), which the landing zone does not manage. "
    return Warn(
        code="blueprint-left",
        text=f"{text}It stays until somebody removes it: az blueprint assignment delete --name {one.name}",
    )


def _principal_of(before: Any) -> str:
    body = before.get("body") if isinstance(before, dict) else None
    given = body.get("properties") if isinstance(body, dict) else None
    return str(given.get("principalId") or "") if isinstance(given, dict) else ""


# --- deployment stacks -----------------------------------------------------------------------------------------------


def _stacks(placed: Placed, earlier: Facts, api: Api, *, to_come: bool) -> tuple[dict[str, StackFacts], list[Warn]]:
    found: dict[str, StackFacts] = {}
    warnings: list[Warn] = []
    for stack in placed.zone.spec.deployment_stacks:
        now = None if to_come else api.stack(subscription_id(placed), stack.name)
        attempt = earlier.stacks.get(stack.name, StackFacts()).attempt + (now is not None and now.failed)
        found[stack.name] = facts = StackFacts(
            declared=_declared(stack, placed, api.template_parameters), attempt=attempt
        )
        filled = deployments.of_stack(stack, facts, placed.zone, placed.tenant, subscription_id(placed))
        _refuse_missing(f"The deployment stack {stack.name}", filled.missing, f"deploymentStacks.{stack.name}")
        if now is not None:
            warnings += deployment_stack.deny_warnings(stack, now)
        if now is not None and now.failed:
            text = f"The deployment stack {stack.name} has failed and is tried again ({attempt}. time)."
            warnings.append(Warn(code="deployed-again", text=text))
    return found, warnings


def _declared(
    stack: DeploymentStack, placed: Placed, parameters_of: Callable[[str], Any]
) -> dict[str, parameters.Declared]:
    """The parameters of a template spec; those of a template that is in the documents are read there."""
    if stack.version_id is None:
        return {}
    if (found := parameters_of(stack.version_id)) is None:
        raise InputError(
            "No such template spec",
            code="unknown-template-spec",
            detail=f"The deployment stack {stack.name} of the landing zone {placed.zone.name} is to deploy {stack.version_id}, which does "
            "not exist, or the runner may not read it.",
            hint=f"az ts show --id {stack.template_spec} lists its versions; the runner needs Template Spec Reader there.",
        )
    return parameters.declared_of(found)
