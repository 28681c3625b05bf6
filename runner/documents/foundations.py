"""Rules for platforms and landing zones, whatever tenants there are: patterns, tags, and what goes with which type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from runner.documents.findings import Findings, Loaded, Place
from runner.documents.problems import Path, printable, shown
from runner.documents.wording import LIST_MANAGEMENT_GROUPS
from runner.domain import naming, parameters, tagging
from runner.domain.landing_zone import LandingZone
from runner.domain.naming import NameWrong, PatternWrong
from runner.domain.platform import AzurePlatform
from runner.domain.tenant import Tenant

NameCheck = Callable[[str], NameWrong | None]
_ANY_PATTERN = "#{platformGroupAlias}"  # tells roles apart as well as any pattern can

# --- platforms -------------------------------------------------------------------------------------------------------


def platform_rules(loaded: Loaded, platform: AzurePlatform, findings: Findings) -> None:
    """What is wrong with a platform by itself."""
    spec = platform.spec
    strangers: dict[str, dict[str, object]] = {
        "azure": {"subscriptionId": spec.subscription_id, "resourceGroupNamePattern": spec.resource_group_name_pattern},
        "azurerg": {
            "subscriptionNamePattern": spec.subscription_name_pattern,
            "provisioning": spec.provisioning,
            "updateSubscriptionName": spec.update_subscription_name or None,
            "blueprintServicePrincipal": spec.blueprint_service_principal,
            "blueprintLocation": spec.blueprint_location,
        },
    }
    for alias in (alias for alias, given in strangers[spec.type].items() if given is not None):
        other = "azurerg" if spec.type == "azure" else "azure"
        message = f"{alias} is for type {other}; this platform has type {spec.type}."
        findings.wrong(loaded, ("spec", alias), message, "Remove it, or change the type.")
    if spec.subscription_name_pattern is not None:
        path: Path = ("spec", "subscriptionNamePattern")
        _pattern(loaded, path, spec.subscription_name_pattern, naming.subscription_name_wrong, findings)
    if spec.resource_group_name_pattern is not None:
        path = ("spec", "resourceGroupNamePattern")
        _pattern(loaded, path, spec.resource_group_name_pattern, naming.resource_group_name_wrong, findings)
    _pattern(
        loaded, ("spec", "groupNamePattern"), spec.group_name_pattern, naming.group_name_wrong, findings, of_role=True
    )
    suffixes = [
        (("spec", "azureRoleMappings", index, "azureRole", "alias"), mapping.azure_role.alias)
        for index, mapping in enumerate(spec.azure_role_mappings)
    ]
    _one_group_per_role(loaded, spec.group_name_pattern, suffixes, findings)
    _tag_mappers(loaded, platform, findings)


def _pattern(
    loaded: Loaded, path: Path, pattern: str, check: NameCheck, findings: Findings, *, of_role: bool = False
) -> None:
    """What is wrong with a pattern whatever the tenant: its form, its variables, and characters that stand in it."""
    try:
        read = naming.parse(pattern)
    except PatternWrong as error:
        where = f"{shown(pattern)}, at character {error.position + 1}"
        findings.wrong(loaded, path, f"{where}: {error.detail}", error.hint)
        return
    if "platformGroupAlias" in read.variables and not of_role:
        message = "#{platformGroupAlias} stands for a role, and this name belongs to none."
        findings.wrong(loaded, path, message, "Use it in groupNamePattern.")
    shortest = "".join(part if isinstance(part, str) else "x" for part in read.parts)
    if refused := check(shortest):
        message = f"{shown(pattern)} makes names that Azure refuses. {refused.what}"
        findings.wrong(loaded, path, message, refused.hint)


def _one_group_per_role(
    loaded: Loaded, pattern: str | None, suffixes: Sequence[tuple[Path, str]], findings: Findings
) -> None:
    """Two roles must not share a group: each would get the other's rights. Without a pattern that can be read, only suffixes that
    are alike under every pattern are told."""
    try:
        parts = naming.parse(pattern or _ANY_PATTERN).parts
    except PatternWrong:  # said where the pattern stands
        pattern, parts = None, naming.parse(_ANY_PATTERN).parts
    variables = [part for part in parts if isinstance(part, naming.Variable) and part.name == "platformGroupAlias"]
    under = f"under {shown(pattern)}" if pattern else "whatever groupNamePattern is"
    seen: dict[tuple[str, ...], str] = {}
    for path, suffix in suffixes:
        made = tuple(variable.apply(suffix).casefold() for variable in variables)
        if made in seen:
            why = (
                f"{shown(seen[made])} and {shown(suffix)} come out alike"
                if variables
                else "no #{platformGroupAlias} in it"
            )
            message = f"Two roles would share one group {under}: {why}."
            hint = "Give each role its own suffix, and use #{platformGroupAlias} in the platform's groupNamePattern."
            findings.wrong(loaded, path, message, hint)
        seen.setdefault(made, suffix)


def _tag_mappers(loaded: Loaded, platform: AzurePlatform, findings: Findings) -> None:
    keys = tagging.keys_of(platform)
    for wrong in tagging.wrong_keys(platform, keys):
        findings.wrong(loaded, ("spec", *wrong.path), wrong.what, wrong.hint)
    for index, (mapper, key) in enumerate(zip(platform.spec.tenant_tags.tag_mappers, keys, strict=True)):
        path: Path = ("spec", "tenantTags", "tagMappers", index)
        if bad := tagging.pattern_wrong(mapper.value_pattern):
            findings.wrong(loaded, (*path, "valuePattern"), *bad)
        for warning in key.warnings:
            findings.warn(loaded, (*path, "key"), warning.text)


def tag_variables(places: Sequence[Place], elsewhere: Sequence[Loaded], findings: Findings) -> None:
    """A variable that is no fixed one and no tag of any tenant is most likely misspelt: said once, at the platform.

    `elsewhere` are the tenants whose platform is not known: a tag of theirs may be the one that is meant.
    """
    if not all(_tags_are_known(loaded) for loaded in elsewhere):
        return
    strangers = [loaded.checked.document for loaded in elsewhere]
    fixed = set(tagging.VARIABLES).union(*(tenant.tags for tenant in strangers if isinstance(tenant, Tenant)))
    by_platform: dict[str, list[Place]] = {}
    for place in places:
        by_platform.setdefault(place.placed.platform.name, []).append(place)
    for group in by_platform.values():
        if not all(_tags_are_known(place.tenant) for place in group):
            continue
        known = fixed.union(*(place.placed.tenant.tags for place in group))
        for index, mapper in enumerate(group[0].placed.platform.spec.tenant_tags.tag_mappers):
            for name in tagging.names_in(mapper.value_pattern):
                if name not in known and (near := tagging.nearest(name)):
                    path: Path = ("spec", "tenantTags", "tagMappers", index, "valuePattern")
                    message = f"${{{printable(name)}}} is neither a variable nor a tag of any tenant."
                    findings.wrong(group[0].platform, path, message, f"Did you mean ${{{near}}}?")


def _tags_are_known(loaded: Loaded) -> bool:
    """Whether no tag was left out of a tenant."""
    tags = {("spec", "workspaceTags"), ("spec", "projectTags"), ("spec", "payment")}
    known = isinstance(loaded.checked.document, Tenant)
    return known and not any(path[:2] in tags or path in ((), ("spec",)) for path in loaded.checked.places)


# --- landing zones ---------------------------------------------------------------------------------------------------


def zone_rules(loaded: Loaded, zone: LandingZone, findings: Findings) -> None:
    """What is wrong with a landing zone by itself."""
    path: Path
    for index, group in enumerate(zone.spec.resource_groups):
        path = ("spec", "resourceGroups", index, "name")
        _pattern(loaded, path, group.name, naming.resource_group_name_wrong, findings)
    for path, given in [
        *((("spec", "blueprints", index), one.parameters) for index, one in enumerate(zone.spec.blueprints)),
        *(
            (("spec", "deploymentStacks", index), one.parameters)
            for index, one in enumerate(zone.spec.deployment_stacks)
        ),
    ]:
        for name, value in given.items():
            for text in parameters.texts_in(value):
                if bad := tagging.pattern_wrong(text):
                    findings.wrong(loaded, (*path, "parameters", name), *bad)


def zone_groups(loaded: Loaded, zone: LandingZone, platform: AzurePlatform | None, findings: Findings) -> None:
    """Whether each role gets a group of its own; some of that is known without the platform."""
    suffixes = [
        (("spec", "azureRoleMappings", index, "azureGroupSuffix"), mapping.azure_group_suffix)
        for index, mapping in enumerate(zone.spec.azure_role_mappings)
    ]
    _one_group_per_role(loaded, platform.spec.group_name_pattern if platform else None, suffixes, findings)


def zone_on_platform(loaded: Loaded, zone: LandingZone, platform: AzurePlatform, findings: Findings) -> None:
    """What a landing zone has to have, and must not, on its platform."""
    spec, type_ = zone.spec, platform.spec.type
    strangers: dict[str, dict[str, object]] = {
        "azure": {"azureRgLocation": spec.azure_rg_location},
        "azurerg": {
            "azureManagementGroupId": spec.azure_management_group_id,
            "resourceGroups": spec.resource_groups or None,
            "blueprints": spec.blueprints or None,
            "deploymentStacks": spec.deployment_stacks or None,
            "automateDeletionReplication": spec.automate_deletion_replication or None,
        },
    }
    for alias in (alias for alias, given in strangers[type_].items() if given is not None):
        other = "azurerg" if type_ == "azure" else "azure"
        message = f"{alias} is for platforms of type {other}; {shown(platform.name)} has type {type_}."
        findings.wrong(loaded, ("spec", alias), message, "Remove it, or change platformRef.")
    if type_ == "azure" and spec.azure_management_group_id is None:
        message = (
            "azureManagementGroupId is missing: subscriptions of the landing zone are moved into that management group."
        )
        findings.wrong(loaded, ("spec", "azureManagementGroupId"), message, LIST_MANAGEMENT_GROUPS, missing=True)
    for index, blueprint in enumerate(spec.blueprints if type_ == "azure" else ()):
        if blueprint.location is None and platform.spec.blueprint_location is None:
            message = "location is missing: the region of the blueprint's assignment. The platform has no blueprintLocation either."
            findings.wrong(loaded, ("spec", "blueprints", index), message, "location: westeurope", missing=True)
    if type_ == "azurerg" and spec.azure_rg_location is None:
        message = "azureRgLocation is missing: it is where the landing zone's resource groups are made."
        findings.wrong(loaded, ("spec", "azureRgLocation"), message, "azureRgLocation: westeurope", missing=True)


def shared_groups(zones: Sequence[Loaded], platforms: Mapping[str, Loaded], findings: Findings) -> None:
    """Two landing zones in one management group: its policies cannot tell their tenants apart. Nested groups show in Azure only, where
    planning looks."""
    first: dict[tuple[str, str], Loaded] = {}
    for loaded in zones:
        zone = loaded.checked.document
        if not isinstance(zone, LandingZone) or not zone.spec.azure_management_group_id:
            continue
        group = zone.spec.azure_management_group_id
        where = platforms.get(zone.spec.platform_ref.name)
        platform = where.checked.document if where else None
        entra_tenant = (
            platform.spec.entra_tenant if isinstance(platform, AzurePlatform) else zone.spec.platform_ref.name
        )
        other = first.setdefault((entra_tenant.casefold(), group.casefold()), loaded)
        if other is not loaded:
            message = f"The landing zone {shown(other.checked.name)} puts its subscriptions into {shown(group)} as well: {other.at}."
            hint = "Give each landing zone a management group of its own, beside the others."
            findings.warn(loaded, ("spec", "azureManagementGroupId"), message, hint)
