"""A landing zone's blueprints as deployment stacks: read in Azure, and turned into what documents say. Nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass

from runner.domain import blueprint as blueprints
from runner.domain.blueprint import Blueprint
from runner.domain.landing_zone import LandingZone
from runner.domain.migration import Migrated, migrate
from runner.domain.platform import AzurePlatform
from runner.errors import InputError
from runner.ports import Deployments


@dataclass(frozen=True)
class OfBlueprint:
    """One blueprint's stack; `template_file` is the name that the stack gives its template."""

    blueprint: Blueprint
    version: str
    template_file: str
    made: Migrated


def stacks_of(
    zone: LandingZone, platform: AzurePlatform, version: str | None, deployments: Deployments
) -> list[OfBlueprint]:
    """A stack for each blueprint of the zone: of this version, or else of that which its subscriptions move to, or of the last published.
    InputError where there is no such blueprint or version."""
    return [_stack(one, zone, platform, version, deployments) for one in zone.spec.blueprints]


def _stack(
    one: Blueprint, zone: LandingZone, platform: AzurePlatform, version: str | None, deployments: Deployments
) -> OfBlueprint:
    definition_id = blueprints.definition_id(one, zone.spec.azure_management_group_id or "")
    listed = deployments.versions(definition_id)
    if not listed:
        raise InputError(
            "No such blueprint",
            code="unknown-blueprint",
            detail=f"{definition_id} does not exist, has no published version, or the runner may not read it.",
            hint=f"Check name and managementGroupId under blueprints of the landing zone {zone.name}.",
        )
    known = [found.published for found in listed]
    chosen = version or blueprints.choose(one, known, one.max_auto_upgrade_version).version
    definition = deployments.definition(definition_id, chosen)
    if definition is None:
        raise InputError(
            "No such version",
            code="unknown-blueprint-version",
            detail=f"The blueprint {one.name} has no published version {chosen}.",
            hint=f"Published are {', '.join(found.name for found in known[-10:])}.",
        )
    template_file = f"{zone.name}.{one.name}.json"
    location = one.location or platform.spec.blueprint_location or ""
    return OfBlueprint(
        one, definition.version, template_file, migrate(one, definition, location=location, template_file=template_file)
    )
