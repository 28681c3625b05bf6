"""Rules for tenants: their names, tags and roles once patterns are filled in, and what two of them must not share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from runner.documents.findings import Findings, Loaded, Place
from runner.documents.foundations import NameCheck
from runner.documents.problems import Path, did_you_mean, dotted, printable, shown
from runner.documents.wording import LIST_SUBSCRIPTIONS
from runner.domain import naming, tagging
from runner.domain.configuration import roles_of, subscription_id, unmapped_roles
from runner.domain.invocation import colliding_headers, kebab
from runner.domain.naming import PatternWrong

NAME: Path = ("metadata", "name")
_NAMING: frozenset[Path] = frozenset({("spec", "workspaceIdentifier"), ("spec", "projectIdentifier")})


@dataclass(frozen=True, slots=True)
class Name:
    """A name that a pattern makes: what it names, where the pattern stands, who refuses it, and (but for a mistake) the text."""

    kind: str
    what: str
    pattern: str
    of: Loaded
    path: Path
    check: NameCheck
    values: Mapping[str, str | int]

    @property
    def written(self) -> Path:
        """Where the pattern stands in the text: entries that were left out before it count there."""
        return self.of.checked.written(self.path)

    @property
    def origin(self) -> str:
        """Where the pattern stands, as a sentence."""
        return f"The name is made by {dotted(self.written)} in {self.of.at_path(self.path)}."


@dataclass(slots=True)
class Taken:
    """What tenants hold, by who took it first. Two that share one of these would change each other's access or resources."""

    subscriptions: dict[str, Place] = field(default_factory=dict)
    names: dict[tuple[str, str, str], tuple[Place, Path]] = field(default_factory=dict)


def tenant_rules(places: Sequence[Place], findings: Findings) -> None:
    """What is wrong with tenants, each given its landing zone and platform, and between them."""
    taken = Taken()
    of_groups = {
        place.placed.platform.spec.subscription_id: place
        for place in places
        if place.placed.platform.spec.type == "azurerg"
    }
    for place in places:
        _subscription(place, taken, findings)
        _beside_resource_groups(place, of_groups, findings)
        for name in _names(place):
            text = _text(name, place, findings)
            if text is not None:
                _own(text, name, place, taken, findings)
        _tags(place, findings)
        _existing_groups(place, findings)
        if place.whole:
            _warnings(place, findings)


# --- subscriptions and names -----------------------------------------------------------------------------------------


def _subscription(place: Place, taken: Taken, findings: Findings) -> None:
    own, platform = place.placed.tenant.spec.platform_tenant_id, place.placed.platform
    path: Path = ("spec", "platformTenantId")
    if platform.spec.type == "azurerg":
        if own not in (None, platform.spec.subscription_id):
            message = (
                f"The tenant is a resource group on {shown(platform.name)}, so its subscription is the platform's."
            )
            findings.wrong(place.tenant, path, message, "Remove platformTenantId.")
    elif own is None:
        if platform.spec.provisioning is not None or not place.platform.checked.whole:
            return
        message = (
            f"platformTenantId is missing: the subscription that becomes this tenant. {shown(platform.name)} has no provisioning, so none "
            "is made or taken."
        )
        findings.wrong(place.tenant, path, message, LIST_SUBSCRIPTIONS, missing=True)
    elif (first := taken.subscriptions.setdefault(own, place)) is not place:
        message = f"The subscription {own} belongs to the tenant {_other(first)} already."
        findings.wrong(place.tenant, path, message, "Give each tenant a subscription of its own.")


def _beside_resource_groups(place: Place, of_groups: Mapping[str | None, Place], findings: Findings) -> None:
    """Rights on a subscription hold for the resource groups in it, which belong to other tenants here."""
    other = of_groups.get(place.placed.tenant.spec.platform_tenant_id)
    if other is not None and place.placed.platform.spec.type == "azure":
        message = (
            f"The subscription holds the resource groups of the platform {shown(other.platform.checked.name)} as well"
        )
        message += f", such as the tenant {_other(other)}: people of this tenant get rights on them."
        findings.warn(place.tenant, ("spec", "platformTenantId"), message, "Give the tenant a subscription of its own.")


def _existing_groups(place: Place, findings: Findings) -> None:
    """A group that always is Owner must not be Owner by a role mapping as well: Terraform would make, and one day delete, the same
    role assignment."""
    provisioning = place.placed.platform.spec.provisioning
    always = provisioning.subscription_owner_object_ids if provisioning else ()
    for index, group in enumerate(place.placed.tenant.spec.existing_groups):
        if group.object_id in always:
            path: Path = ("spec", "existingGroups", index, "objectId")
            message = f"The group {group.object_id} is one of the platform's subscriptionOwnerObjectIds: it is Owner already, always."
            findings.wrong(place.tenant, path, message, "Use another group for the project role.")


def _names(place: Place) -> Iterator[Name]:
    """The names to be made; none from what only stands in for something wrong."""
    if not _NAMING & place.tenant.checked.places:
        yield from (name for name in _all_names(place) if name.written not in name.of.checked.places)


def _all_names(place: Place) -> Iterator[Name]:
    platform, zone = place.placed.platform.spec, place.placed.zone.spec
    values = naming.variables(place.placed.platform, place.placed.tenant)
    if platform.type == "azure" and platform.subscription_name_pattern:
        path: Path = ("spec", "subscriptionNamePattern")
        pattern, check = platform.subscription_name_pattern, naming.subscription_name_wrong
        yield Name("subscription", "subscription", pattern, place.platform, path, check, values)
    if platform.type == "azurerg" and platform.resource_group_name_pattern:
        path = ("spec", "resourceGroupNamePattern")
        pattern, check = platform.resource_group_name_pattern, naming.resource_group_name_wrong
        yield Name("resource group", "resource group", pattern, place.platform, path, check, values)
    if platform.type == "azure":
        for index, group in enumerate(zone.resource_groups):
            path = ("spec", "resourceGroups", index, "name")
            yield Name(
                "resource group",
                "resource group",
                group.name,
                place.zone,
                path,
                naming.resource_group_name_wrong,
                values,
            )
    adopted = {group.project_role_ref.name for group in place.placed.tenant.spec.existing_groups}
    for role in roles_of(place.placed):
        if role.name not in adopted:
            what = f"group for the role {shown(role.name)}"
            with_alias = {**values, "platformGroupAlias": role.alias}
            path = ("spec", "groupNamePattern")
            yield Name(
                "group", what, platform.group_name_pattern, place.platform, path, naming.group_name_wrong, with_alias
            )


def _text(name: Name, place: Place, findings: Findings) -> str | None:
    """The name itself; None after saying why there is none, or that Azure refuses it."""
    try:
        pattern = naming.parse(name.pattern)
    except PatternWrong:
        return None  # said where the pattern stands
    lacking = next((variable for variable in pattern.variables if variable not in name.values), None)
    if lacking is not None:
        if place.whole:
            field_name, what = (lacking, "it") if lacking in naming.NUMBERS else ("projectTags", "the tag")
            message = f"The tenant's {name.what} cannot be named: #{{{printable(lacking)}}} has no value."
            hint = f"Set {what} here, or leave #{{{printable(lacking)}}} out of the pattern. {name.origin}"
            findings.wrong(place.tenant, ("spec", field_name), message, hint)
        return None
    text = naming.render(pattern, name.values)
    if refused := name.check(text):
        message = f"The tenant's {name.what} would be named {shown(text)}, which Azure refuses. {refused.what}"
        findings.wrong(place.tenant, NAME, message, f"{refused.hint} {name.origin}")
        return None
    return text


def _own(text: str, name: Name, place: Place, taken: Taken, findings: Findings) -> None:
    """Names are taken within an Entra tenant, those of resource groups within a subscription; capitals do not count."""
    scope = subscription_id(place.placed) if name.kind == "resource group" else place.placed.platform.spec.entra_tenant
    first, path = taken.names.setdefault((name.kind, scope, text.casefold()), (place, name.written))
    if not scope:
        return  # the subscription is missing, which is said already
    if first is place:
        if path != name.written:
            message = (
                f"It is named {shown(text)} for the tenant {shown(place.tenant.checked.name)}, as {dotted(path)} is."
            )
            findings.wrong(place.zone, name.path, message, "Give each resource group its own name.")
        return
    hint = f"Use variables that tell tenants apart, as workspaceIdentifier with projectIdentifier. {name.origin}"
    if name.kind == "subscription":  # Azure allows it; people mix them up
        findings.warn(
            place.tenant,
            NAME,
            f"Its subscription would be named {shown(text)}, as that of the tenant {_other(first)}.",
            hint,
        )
    else:
        message = f"Its {name.kind} {shown(text)} would be that of the tenant {_other(first)} as well."
        findings.wrong(place.tenant, NAME, message, hint)


def _other(place: Place) -> str:
    return f"{shown(place.tenant.checked.name)} ({place.tenant.at})"


# --- tags and roles --------------------------------------------------------------------------------------------------


def _tags(place: Place, findings: Findings) -> None:
    """Tags that cannot be told apart where they are used: as headers of the function call, or as variables of names."""
    tags = place.placed.tenant.tags
    if place.placed.zone.spec.azure_function is not None:
        for first, second in colliding_headers(tags):
            message = f"The tags {shown(first)} and {shown(second)} are one header of the function call: x-mesh-tag-{kebab(first)}."
            findings.wrong(place.tenant, _tag_path(place, second), message, "Rename one of the tags.")
        for name in (name for name in tags if not kebab(name)):
            message = (
                f"The tag {shown(name)} cannot be a header of the function call: no letter a-z and no digit is in it."
            )
            findings.wrong(place.tenant, _tag_path(place, name), message, "Rename the tag.")
    variables: dict[str, str] = {}
    for name in tags:
        other = variables.setdefault(naming.tag_variable(name), name)
        if other != name:
            message = f"The tags {shown(other)} and {shown(name)} are one variable in names: {shown(naming.tag_variable(name))}."
            findings.wrong(place.tenant, _tag_path(place, name), message, "Rename one of the tags.")


def _tag_path(place: Place, name: str) -> Path:
    spec = place.placed.tenant.spec
    if name in spec.project_tags:
        return ("spec", "projectTags", name)
    if spec.payment and name in spec.payment.tags:
        return ("spec", "payment", "tags", name)
    return ("spec", "workspaceTags", name)


def _warnings(place: Place, findings: Findings) -> None:
    tenant = place.placed.tenant
    of_platform = {warning for key in tagging.keys_of(place.placed.platform) for warning in key.warnings}
    for warning in tagging.tags_of(place.placed.platform, place.placed.zone, tenant).warnings:
        if warning not in of_platform:
            findings.warn(place.tenant, NAME, warning.text)
    for warning in unmapped_roles(place.placed):
        findings.warn(
            place.tenant, ("spec", "users"), warning.text, f"Map the role in the landing zone: {place.zone.at}"
        )
    mapped = {role.name for role in roles_of(place.placed)}
    for index, group in enumerate(tenant.spec.existing_groups):
        role = group.project_role_ref.name
        if role not in mapped:
            path: Path = ("spec", "existingGroups", index, "projectRoleRef", "name")
            message = f"No Azure role is mapped for the project role {shown(role)}: this group is used for nothing."
            findings.warn(place.tenant, path, message, did_you_mean(role, mapped))
