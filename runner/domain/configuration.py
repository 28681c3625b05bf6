"""From documents to what Terraform is to build: which blocks the root module has, and the values they get.

Pure. Structure (which blocks exist) and values (what they are given) are kept apart: structure goes through templates, values
only ever into `inputs.auto.tfvars.json`, where `${…}` is literal (observed). Of a document's text, only names that are nothing but
letters, digits, `-` and `_` become part of a block's name, and so of Terraform code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from runner.domain import building_block, deployments, naming, parameters, tagging
from runner.domain.access import Frozen, Group, Wanted, Warn
from runner.domain.building_block import Argument, BuildingBlock, Local, Shipped
from runner.domain.facts import Facts
from runner.domain.landing_zone import LandingZone, RoleDefinition
from runner.domain.platform import AzurePlatform
from runner.domain.state import StateBackend
from runner.domain.tenant import Tenant


class Placed(Frozen):
    """A tenant with the zone and platform its documents place it in."""

    platform: AzurePlatform
    zone: LandingZone
    tenant: Tenant


class Snapshot(Frozen):
    """What the documents said when a run was started (there are no secrets in them), their digest, and the files they were in.

    `neighbours` are the management groups of the other landing zones in the same Entra tenant, by the zone's name. `others` are the
    subscriptions that other tenants' documents name, where one is to be taken from a pool: they are not free, whatever they are called.
    """

    placed: Placed
    digest: str
    files: tuple[str, ...]
    neighbours: dict[str, str] = {}
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Leaving:
    """How a tenant leaves. `move_to` is the management group its subscription goes to; None: it stays where it is."""

    move_to: str | None = None


class Import(Frozen):
    """A thing that exists and is to be taken into the state. `address` is the engine's, `id` the provider's import id."""

    address: str
    id: str


@dataclass(frozen=True)
class Module:
    """A building block as the root module calls it. `shipped` is the name of a module that comes with the runner."""

    key: str
    shipped: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Configuration:
    """What the workspace is written from. `blocks` name the root module's calls, `removed` those that leave the state. `code` has the
    files of building blocks that do not come with the runner, by key and path; `providers` are those that they may use beside the
    runner's own."""

    tenant: str
    kind: Literal["subscription", "resource-group"]
    blocks: frozenset[str]
    resource_groups: tuple[str, ...]
    blueprints: tuple[str, ...]
    stacks: tuple[str, ...]
    modules: tuple[Module, ...]
    providers: tuple[str, ...]
    removed: tuple[str, ...]
    imports: tuple[Import, ...]
    backend: StateBackend
    inputs: dict[str, Any]
    groups: tuple[Group, ...]
    warnings: tuple[Warn, ...]
    code: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Role:
    """A project role as the zone (or else the platform) maps it. `alias` fills platformGroupAlias."""

    name: str
    alias: str
    definitions: tuple[RoleDefinition, ...]


NO_FACTS = Facts()
BLUEPRINTS_OWNER = "blueprints_owner"  # block that makes Azure Blueprints Owner of the subscription
TENANT_GROUP = "tenant"  # block key of the resource group that is itself the tenant


def compose(
    placed: Placed, facts: Facts = NO_FACTS, *, leaving: Leaving | None = None, imports: tuple[Import, ...] = ()
) -> Configuration:
    """The configuration that brings the tenant to its documents, or lets it leave."""
    platform, zone, tenant = placed.platform.spec, placed.zone.spec, placed.tenant
    kind: Literal["subscription", "resource-group"] = "subscription" if platform.type == "azure" else "resource-group"
    groups = groups_of(placed, facts)
    tags = tagging.tags_of(placed.platform, placed.zone, tenant)
    resource_groups = resource_groups_of(placed)
    inputs: dict[str, Any] = {"subscription_id": subscription_id(placed)}
    blocks: set[str] = set()
    if leaving is None:
        blocks |= {"groups", "roles", "tags"}
        inputs |= {
            "groups": {
                group.alias: {
                    "display_name": group.name,
                    "description": f"{tenant.name} in landing zone {zone.display_name or placed.zone.name}",
                }
                for group in groups
                if not group.adopted
            },
            "existing_groups": {group.alias: group.object_id for group in groups if group.adopted},
            "administrative_unit_id": platform.administrative_unit_id,
            "role_assignments": role_assignments(placed),
            "resource_groups": resource_groups,
            "tags": {facts.tag_spellings.get(name, name): value for name, value in tags.tags.items()},
        }
    made = deployments.NOTHING
    if leaving is None:
        made = deployments.of(placed.zone, tenant, platform.blueprint_location, subscription_id(placed), facts)
        inputs |= made.inputs
        blocks |= {BLUEPRINTS_OWNER} if made.owner else set()
    modules, lacking = modules_of(placed, facts, resource_groups) if leaving is None else ((), ())
    if values := {
        module.key: {argument.name: argument.value for argument in module.arguments if not argument.expression}
        for module in modules
    }:
        inputs["building_blocks"] = values
    target = management_group_for(placed, leaving)
    if target is not None and not (leaving is None and stays_below(placed, facts)):
        blocks.add("management_group")
        inputs["management_group_id"] = target
    removed = _removed(placed, leaving) if leaving else ()
    removed += tuple(f"blueprint_{name}" for name in facts.released)
    # What is still assigned, or on its way to be gone, needs Azure Blueprints as Owner.
    if BLUEPRINTS_OWNER not in blocks and (facts.released or (leaving and zone.blueprints)):
        removed += (BLUEPRINTS_OWNER,)
    return Configuration(
        tenant=tenant.name,
        kind=kind,
        blocks=frozenset(blocks),
        resource_groups=tuple(resource_groups) if leaving is None else (),
        blueprints=made.blueprints,
        stacks=made.stacks,
        modules=modules,
        providers=tuple(map(building_block.provider, platform.allowed_providers)) if modules else (),
        removed=removed,
        imports=imports,
        backend=platform.state_backend,
        inputs=inputs,
        groups=groups,
        warnings=(*tags.warnings, *made.warnings, *lacking),
    )


def chosen_blocks(placed: Placed) -> tuple[BuildingBlock, ...]:
    """The building blocks that the tenant has."""
    return building_block.chosen(placed.zone.spec.building_blocks, placed.tenant.spec.building_blocks)


def modules_of(
    placed: Placed, facts: Facts, resource_groups: Mapping[str, Any]
) -> tuple[tuple[Module, ...], tuple[Warn, ...]]:
    """The tenant's building blocks as the root module calls them, and what they are not given. One whose code is elsewhere has to have
    been looked up: without its facts it is left out. All are while the subscription is to come, for modules may read in it."""
    has = chosen_blocks(placed)
    if not has:
        return (), ()
    if facts.source.to_come:
        text = (
            f"The building blocks ({', '.join(block.called for block in has)}) are planned once the subscription is there, and that plan "
            "has to be approved."
        )
        return (), (Warn(code="building-blocks-later", text=text),)
    variables = {**tagging.variables(placed.zone, placed.tenant), "subscriptionId": subscription_id(placed)}
    by_tenant = {one.key: one.inputs for one in placed.tenant.spec.building_blocks}

    def filled(value: Any) -> Any:
        return None if set(parameters.names_in(value)) - set(variables) else parameters.filled_in(value, variables)

    modules: list[Module] = []
    warnings: list[Warn] = []
    for block in has:
        source = building_block.source_of(block)
        if not isinstance(source, Shipped | Local) and block.key not in facts.blocks:
            continue
        arguments, lacking = building_block.arguments_of(
            block, by_tenant.get(block.key, {}), resource_groups, variables, placed.tenant.tags, filled
        )
        modules.append(Module(block.key, source.name if isinstance(source, Shipped) else "", arguments))
        warnings += [
            Warn(
                code="block-input-left-out",
                text=f"The building block {block.called} is not given {name}: the tag or variable that it is made of is not set.",
            )
            for name in lacking
        ]
    return tuple(modules), tuple(warnings)


def subscription_id(placed: Placed) -> str:
    """The subscription everything happens in: the tenant's own, or the parent of its resource group."""
    own = placed.tenant.spec.platform_tenant_id
    parent = placed.platform.spec.subscription_id
    return (own if placed.platform.spec.type == "azure" else parent) or ""


def with_subscription(placed: Placed, subscription: str) -> Placed:
    """The tenant as if its document named this subscription; a resource group's tenant as it is."""
    if placed.platform.spec.type != "azure" or placed.tenant.spec.platform_tenant_id == subscription:
        return placed
    spec = placed.tenant.spec.model_copy(update={"platform_tenant_id": subscription})
    return placed.model_copy(update={"tenant": placed.tenant.model_copy(update={"spec": spec})})


def management_group_for(placed: Placed, leaving: Leaving | None) -> str | None:
    """Id of the management group that the tenant's subscription belongs into; None where it stays as it is."""
    if placed.platform.spec.type != "azure":
        return None
    return placed.zone.spec.azure_management_group_id or None if leaving is None else leaving.move_to


def stays_below(placed: Placed, facts: Facts) -> bool:
    """Whether the subscription is in a group somewhere below the zone's, and may stay there."""
    target = (placed.zone.spec.azure_management_group_id or "").lower()
    further_up = {group.lower() for group in facts.above[:-1]}
    return placed.platform.spec.allow_hierarchical_management_group_assignment and target in further_up


def tag_scope(placed: Placed) -> str:
    """Resource id of what carries the tenant's tags: its subscription or its resource group."""
    scope = f"/subscriptions/{subscription_id(placed)}"
    group = resource_groups_of(placed).get(TENANT_GROUP)
    return f"{scope}/resourceGroups/{group['name']}" if group else scope


def roles_of(placed: Placed) -> tuple[Role, ...]:
    """The project roles that get a group: the zone's mapping, or the platform's where the zone has none."""
    mapped = placed.zone.spec.azure_role_mappings
    if mapped:
        return tuple(
            Role(name=m.project_role_ref.name, alias=m.azure_group_suffix, definitions=m.azure_role_definitions)
            for m in mapped
        )
    return tuple(
        Role(
            name=m.project_role_ref.name,
            alias=m.azure_role.alias,
            definitions=(RoleDefinition(azure_role_definition_id=m.azure_role.id),),
        )
        for m in placed.platform.spec.azure_role_mappings
    )


def groups_of(placed: Placed, facts: Facts = NO_FACTS) -> tuple[Group, ...]:
    """One group per mapped role. One that the tenant's document names by id is adopted, and one that had the name already."""
    values = naming.variables(placed.platform, placed.tenant)
    existing = {group.project_role_ref.name: group.object_id for group in placed.tenant.spec.existing_groups}
    groups: list[Group] = []
    for role in roles_of(placed):
        name = naming.render(placed.platform.spec.group_name_pattern, {**values, "platformGroupAlias": role.alias})
        found = existing.get(role.name) or facts.adopted_groups.get(name)
        groups.append(Group(alias=role.alias, name=name, object_id=found, adopted=found is not None))
    return tuple(groups)


def wanted(placed: Placed, groups: tuple[Group, ...]) -> Wanted:
    """Which people belong into which group."""
    return Wanted(
        groups=groups,
        people={
            role.alias: tuple(person for person in placed.tenant.spec.users if role.name in person.roles)
            for role in roles_of(placed)
        },
    )


def unmapped_roles(placed: Placed) -> tuple[Warn, ...]:
    """People whose role no mapping covers get nothing from it, which they should hear about."""
    mapped = {role.name for role in roles_of(placed)}
    given = {role: person.label for person in placed.tenant.spec.users for role in person.roles}
    return tuple(
        Warn(code="role-not-mapped", text=f"No Azure role is mapped for the project role {role!r} ({label} has it).")
        for role, label in given.items()
        if role not in mapped
    )


def role_assignments(placed: Placed) -> dict[str, dict[str, Any]]:
    """Assignments by a lasting key: alias and role definition."""
    return {
        f"{role.alias}/{definition.azure_role_definition_id}": {
            "group": role.alias,
            "role_definition_id": definition.azure_role_definition_id,
            "condition": definition.abac_condition,
        }
        for role in roles_of(placed)
        for definition in role.definitions
    }


def resource_groups_of(placed: Placed) -> dict[str, dict[str, str]]:
    """Resource groups by their lasting key: the zone's for a subscription, the tenant itself on a resource-group platform."""
    values = naming.variables(placed.platform, placed.tenant)
    platform, zone = placed.platform.spec, placed.zone.spec
    if platform.type == "azurerg":
        name = naming.render(platform.resource_group_name_pattern or "", values)
        return {TENANT_GROUP: {"name": name, "location": zone.azure_rg_location or ""}}
    return {
        group.key: {"name": naming.render(group.name, values), "location": group.location}
        for group in zone.resource_groups
    }


def _removed(placed: Placed, leaving: Leaving) -> tuple[str, ...]:
    """What leaves the state untouched when a tenant leaves."""
    stays: list[str] = []
    if placed.platform.spec.type == "azure" and leaving.move_to is None:
        stays.append("management_group")
    if placed.platform.spec.skip_user_group_permission_cleanup:
        stays += ["groups", "roles"]
    return tuple(stays)
