"""What the documents ask for, for one tenant: thing by thing, without asking Azure."""

from __future__ import annotations

from collections.abc import Iterator

from runner.domain import configuration, tagging, wording
from runner.domain.configuration import Placed
from runner.domain.harmless import plain
from runner.errors import RunnerError


def wanted_of(placed: Placed) -> tuple[tuple[str, str], ...]:
    """Kinds of things and what is wanted of each; nothing where the documents do not say it of this tenant."""
    try:
        return tuple((kind, plain(text)) for kind, text in _wanted(placed))
    except RunnerError:  # a name that cannot be made: the next plan says so
        return ()


def people_of(placed: Placed) -> tuple[tuple[str, str], ...]:
    """Everybody who should have access, with their project roles."""
    return tuple((plain(one.label), plain(", ".join(one.roles))) for one in placed.tenant.spec.users)


def _wanted(placed: Placed) -> Iterator[tuple[str, str]]:
    spec, tenant = placed.zone.spec, placed.tenant
    if place := configuration.management_group_for(placed, None):
        yield "Management group", place
    names = {group.alias: group.name for group in configuration.groups_of(placed)}
    for role in configuration.roles_of(placed):
        told = ", ".join(
            wording.role_name(one.azure_role_definition_id) + (" with a condition" if one.abac_condition else "")
            for one in role.definitions
        )
        yield "Group", f"{names[role.alias]}: {told}"
    for group in configuration.resource_groups_of(placed).values():
        yield "Resource group", f"{group['name']} in {group['location']}"
    for blueprint in spec.blueprints:
        yield "Blueprint", blueprint.name
    for stack in spec.deployment_stacks:
        yield "Deployment stack", stack.name
    for block in configuration.chosen_blocks(placed):
        yield "Building block", block.called
    for name, value in tagging.tags_of(placed.platform, placed.zone, tenant).tags.items():
        yield "Tag", f"{name} = {value}"
    if spec.azure_function is not None:
        yield "Function", spec.azure_function.azure_function_url
