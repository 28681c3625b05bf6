"""Rules for building blocks: sources that are allowed, inputs that lead somewhere, no circles, and what tenants may give."""

from __future__ import annotations

from collections.abc import Iterator

from runner.documents.findings import Findings, Loaded, Place
from runner.documents.problems import Path, did_you_mean, shown
from runner.domain import building_block, parameters, tagging
from runner.domain.building_block import BuildingBlock, Git, Registry, Shipped
from runner.domain.configuration import TENANT_GROUP
from runner.domain.landing_zone import LandingZone
from runner.domain.platform import AzurePlatform

FIELDS = (*building_block.EXPRESSIONS, *tagging.VARIABLES)
BLOCKS: Path = ("spec", "buildingBlocks")


def zone_rules(loaded: Loaded, zone: LandingZone, findings: Findings) -> None:
    """What is wrong with a landing zone's blocks whatever platform they are on."""
    blocks = zone.spec.building_blocks
    keys = [block.key for block in blocks]
    optional = {block.key for block in blocks if not block.mandatory}
    for index, block in enumerate(blocks):
        path: Path = (*BLOCKS, index)
        _source(loaded, block, (*path, "source"), findings)
        for name, given in block.inputs.items():
            at: Path = (*path, "inputs", name)
            if given.of is not None and given.of not in keys:
                hint = did_you_mean(given.of, keys) or "A block's outputs are had by its key."
                findings.wrong(loaded, (*at, "of"), f"There is no building block {shown(given.of)}.", hint)
            elif given.of in optional and block.mandatory:
                message = f"Every tenant has {shown(block.key)}, and not every one has {shown(given.of)}, whose output it needs."
                findings.wrong(loaded, (*at, "of"), message, f"Make {given.of} mandatory, or {block.key} optional.")
            for text in parameters.texts_in(given.value):
                if bad := tagging.pattern_wrong(text):
                    findings.wrong(loaded, (*at, "value"), *bad)
            field = (given.tenant or "").partition(".")[0]
            if given.tenant is not None and field not in FIELDS:
                message = f"A tenant has no field {shown(given.tenant)}."
                hint = (
                    did_you_mean(field, FIELDS)
                    or f"One of {', '.join(building_block.EXPRESSIONS)}, or a variable of tags."
                )
                findings.wrong(loaded, (*at, "tenant"), message, hint)
    if found := building_block.circle(blocks):
        message = f"The building blocks need each other's outputs in a circle: {' → '.join(found)}."
        path = (*BLOCKS, keys.index(found[0]))
        findings.wrong(loaded, path, message, "Take one of these outputs out, or put the modules into one.")


def _source(loaded: Loaded, block: BuildingBlock, path: Path, findings: Findings) -> None:
    source = building_block.source_of(block)
    if isinstance(source, tuple):
        told = "" if "@" in block.source else f"{shown(block.source)}: "  # there may be a password in it
        findings.wrong(loaded, path, f"{told}{source[0]}", source[1])
    elif isinstance(source, Shipped) and source.name not in building_block.SHIPPED:
        hint = did_you_mean(source.name, building_block.SHIPPED) or f"There are {', '.join(building_block.SHIPPED)}."
        findings.wrong(loaded, path, f"No module {shown(source.name)} comes with the runner.", hint)
    if block.version is not None and not isinstance(source, Registry | tuple):
        message = "version is for modules of a registry; a git repository has a ref in its source."
        findings.wrong(loaded, (*path[:-1], "version"), message, "Remove it.")


def zone_on_platform(loaded: Loaded, zone: LandingZone, platform: AzurePlatform, findings: Findings) -> None:
    """Sources that the platform does not allow, and groups that its landing zone does not make."""
    allowed = platform.spec.allowed_module_sources
    groups = [group.key for group in zone.spec.resource_groups]
    if platform.spec.type == "azurerg":
        groups = [TENANT_GROUP]
    aliases = [mapping.azure_group_suffix for mapping in zone.spec.azure_role_mappings] or [
        mapping.azure_role.alias for mapping in platform.spec.azure_role_mappings
    ]
    for index, block in enumerate(zone.spec.building_blocks):
        path: Path = (*BLOCKS, index)
        source = building_block.source_of(block)
        if isinstance(source, Git | Registry) and not building_block.is_allowed(source, allowed):
            message = (
                f"{shown(source.place)} is not among the allowedModuleSources of the platform {shown(platform.name)}."
            )
            hint = "What runs there has the runner's rights. If it is trusted, add it (or what it begins with) to the platform."
            findings.wrong(loaded, (*path, "source"), message, hint)
        for name, given in block.inputs.items():
            field, _, part = (given.tenant or "").partition(".")
            known = {"groupIds": aliases, "resourceGroupIds": groups}.get(field)
            if part and known is not None and part not in known:
                hint = did_you_mean(part, known) or f"There are {', '.join(known) or 'none'}."
                findings.wrong(loaded, (*path, "inputs", name, "tenant"), f"There is no {shown(given.tenant)}.", hint)


def tenant_rules(place: Place, findings: Findings) -> None:
    """Blocks that the landing zone does not have, or does not leave to tenants."""
    blocks = {block.key: block for block in place.placed.zone.spec.building_blocks}
    if not place.zone.checked.whole:
        return
    for index, one in enumerate(place.placed.tenant.spec.building_blocks):
        path: Path = (*BLOCKS, index)
        if (block := blocks.get(one.key)) is None:
            hint = did_you_mean(one.key, blocks) or f"There are {', '.join(blocks) or 'none'}."
            findings.wrong(
                place.tenant, (*path, "key"), f"The landing zone has no building block {shown(one.key)}.", hint
            )
            continue
        for name in one.inputs:
            if name not in block.tenant_inputs:
                message = f"The landing zone does not leave {shown(name)} of {shown(one.key)} to tenants."
                hint = did_you_mean(name, block.tenant_inputs) or "It would have to be in the block's tenantInputs."
                findings.wrong(place.tenant, (*path, "inputs", name), message, hint)
    for message in _missing(place):
        findings.wrong(place.tenant, BLOCKS, message, "Choose both, or neither.")


def _missing(place: Place) -> Iterator[str]:
    has = building_block.chosen(place.placed.zone.spec.building_blocks, place.placed.tenant.spec.building_blocks)
    keys = {block.key for block in has}
    known = {block.key for block in place.placed.zone.spec.building_blocks}
    for block in has:
        for given in block.inputs.values():
            if given.of in known - keys:
                yield f"The building block {shown(block.key)} needs an output of {shown(given.of)}, which the tenant has not chosen."
