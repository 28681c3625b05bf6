"""Which permissions the runner's identities need, where, what for and when: the one table for `lzr doctor` and the README.

From meshStack's replicator (its public Terraform module and its documentation), and Microsoft's pages where a row names one. Names of
permissions are Azure's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from runner.domain.landing_zone import LandingZone
from runner.domain.platform import AzurePlatform


class Where(StrEnum):
    """What a permission is given on, in the words of the README."""

    GRAPH = "Graph"
    UNIT = "the administrative unit"
    HOME = "Graph of each home tenant"
    MANAGEMENT_GROUP = "ARM, management group of each landing zone"
    ORIGIN = "ARM, management group that a subscription leaves"
    SUBSCRIPTION = "ARM, each subscription"
    ENROLLMENT = "billing, the enrollment account"
    INVOICE_SECTION = "billing, the invoice section"
    IDENTITY = "ARM, the user-assigned identity"
    TEMPLATE_SPEC = "ARM, the template spec"
    FUNCTION = "the function's application"


class When(StrEnum):
    """In which documents a permission is needed, in the words of the README."""

    ALWAYS = "always"
    NO_UNIT = "without `administrativeUnitId`"
    UNIT = "with `administrativeUnitId`"
    INVITING = "with `b2bUserInvitation`"
    HOME_TENANTS = "with `homeTenants`"
    PLACING = "type `azure`"
    RESOURCE_GROUPS = "type `azurerg`, or with `resourceGroups`"
    LEAVING = "when resource groups leave"
    FUNCTION = "with `azureFunction`"
    RENAMING = "where subscriptions are claimed or renamed"
    CANCELLING = "where subscriptions are cancelled"
    ENROLLMENT = "where subscriptions are made under an Enterprise Agreement"
    AGREEMENT = "where subscriptions are made under a Customer Agreement, by `sourceServicePrincipal`"
    IDENTITY = "blueprints with a user-assigned identity"
    BLUEPRINTS = "with `blueprints`"
    STACKS = "with `deploymentStacks`"
    TEMPLATE_SPECS = "deployment stacks of a template spec"
    BUDGETS = "with the building block `budget`"
    ELIGIBLE = "with the building block `eligible-role-assignments`"
    PIPELINES = "with the building block `pipeline-identity`"


@dataclass(frozen=True)
class Need:
    """One permission. `role` is the narrowest built-in Azure role that has it; `id` the one of a Graph application role; `or_any`
    names wider permissions that do as well."""

    permission: str
    where: Where
    why: str
    when: When
    source: str
    role: str = ""
    id: str = ""
    or_any: tuple[str, ...] = ()


REPLICATOR = "meshcloud/terraform-azure-meshplatform, replicator service principal"
MESHSTACK = "meshStack, Azure landing zones"
PLACING_SOURCE = "https://learn.microsoft.com/azure/governance/management-groups/manage"

_MANAGEMENT = "Microsoft.Management/managementGroups"
_MANAGER = "Management Group Contributor"
_ACCESS = "User Access Administrator"
_TAGGER = "Tag Contributor"
_WIDE = "Contributor"
_OPERATOR = "Blueprint Operator"
_COSTS = "Cost Management Contributor"
_IDENTITIES = "Microsoft.ManagedIdentity/userAssignedIdentities"
_IDENTITY_ROLE = "Managed Identity Contributor"
_BLOCKS = "modules, README of each"
_STACKER = "Azure Deployment Stack Owner"
_BLUEPRINTS = "https://learn.microsoft.com/azure/governance/blueprints/overview#permissions-in-azure-blueprints"
_STACKS = "https://learn.microsoft.com/azure/azure-resource-manager/bicep/deployment-stacks#built-in-roles"

GROUPS_ADMINISTRATOR = "fdd7a751-b60b-444a-984c-02652fe8fa1c"  # template id of the Entra role
FUNCTION_ROLE = "Access"  # value of the application role whose display name is SPP-Access


def _graph(
    permission: str, why: str, when: When, *, role_id: str, or_any: tuple[str, ...], where: Where = Where.GRAPH
) -> Need:
    return Need(permission, where, why, when, REPLICATOR, id=role_id, or_any=or_any)


def _arm(permission: str, why: str, role: str, *, when: When = When.ALWAYS, source: str = REPLICATOR) -> Need:
    return Need(permission, Where.SUBSCRIPTION, why, when, source, role=role)


def _placing(
    permission: str, why: str, *, where: Where = Where.MANAGEMENT_GROUP, source: str = REPLICATOR, role: str = _MANAGER
) -> Need:
    return Need(_MANAGEMENT + permission, where, why, When.PLACING, source, role=role)


_USER_READ = "df021288-bdef-4463-88db-98f22de89214"
_READS_PEOPLE = ("Directory.Read.All", "Directory.ReadWrite.All", "User.ReadWrite.All")

# ids of application roles: https://learn.microsoft.com/graph/permissions-reference
NEEDS: tuple[Need, ...] = (
    _graph(
        "Directory.Read.All",
        "looking people and groups up",
        When.NO_UNIT,
        role_id="7ab1d382-f21e-4acd-a863-ba3e13f7da61",
        or_any=("Directory.ReadWrite.All",),
    ),
    _graph(
        "Group.ReadWrite.All",
        "making groups, and keeping their members",
        When.NO_UNIT,
        role_id="62a82d76-70ea-41e2-9197-370581804d09",
        or_any=("Directory.ReadWrite.All",),
    ),
    _graph("User.Read.All", "looking people up", When.UNIT, role_id=_USER_READ, or_any=_READS_PEOPLE),
    _graph(
        "AdministrativeUnit.Read.All",
        "finding the administrative unit and its groups",
        When.UNIT,
        role_id="134fd756-38ce-4afd-ba33-e9623dbe66c2",
        or_any=("AdministrativeUnit.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"),
    ),
    _graph(
        "User.Invite.All",
        "inviting guests",
        When.INVITING,
        role_id="09850681-111b-4a89-9bed-3f2cae46d706",
        or_any=("User.ReadWrite.All", "Directory.ReadWrite.All"),
    ),
    Need(
        "Groups Administrator",
        Where.UNIT,
        "making groups in the unit, and keeping their members",
        When.UNIT,
        REPLICATOR,
        id=GROUPS_ADMINISTRATOR,
    ),
    _graph(
        "User.Read.All",
        "looking people up",
        When.HOME_TENANTS,
        role_id=_USER_READ,
        or_any=_READS_PEOPLE,
        where=Where.HOME,
    ),
    _placing("/read", "finding the management group"),
    _placing("/descendants/read", "seeing what is below it", role="Reader"),
    _placing("/subscriptions/read", "seeing which subscriptions are in it", source=PLACING_SOURCE),
    _placing("/subscriptions/write", "moving subscriptions into it"),
    _placing("/write", "moving subscriptions into it"),
    _placing("/subscriptions/write", "moving subscriptions away", where=Where.ORIGIN, source=PLACING_SOURCE),
    _placing("/write", "moving subscriptions away", where=Where.ORIGIN, source=PLACING_SOURCE),
    _arm("Microsoft.Authorization/permissions/read", "seeing its own rights", "Reader"),
    _arm("Microsoft.Authorization/roleAssignments/read", "giving roles to groups", _ACCESS),
    _arm("Microsoft.Authorization/roleAssignments/write", "giving roles to groups", _ACCESS),
    _arm("Microsoft.Authorization/roleAssignments/delete", "taking roles away", _ACCESS),
    _arm("Microsoft.Authorization/roleDefinitions/read", "finding the roles", "Reader"),
    _arm("Microsoft.Resources/tags/read", "tags", _TAGGER),
    _arm("Microsoft.Resources/tags/write", "tags", _TAGGER),
    _arm("Microsoft.Resources/tags/delete", "tags that are not mapped any more", _TAGGER),
    _arm("*/register/action", "registering resource providers", _WIDE),
    _arm(
        "Microsoft.Resources/subscriptions/resourceGroups/read", "resource groups", "Reader", when=When.RESOURCE_GROUPS
    ),
    _arm("Microsoft.Resources/subscriptions/resourceGroups/write", "resource groups", _WIDE, when=When.RESOURCE_GROUPS),
    _arm(
        "Microsoft.Resources/subscriptions/resourceGroups/delete",
        "deleting resource groups",
        _WIDE,
        when=When.LEAVING,
    ),
    _arm("Microsoft.Subscription/rename/action", "naming subscriptions", _WIDE, when=When.RENAMING),
    _arm("Microsoft.Subscription/cancel/action", "cancelling subscriptions", _WIDE, when=When.CANCELLING),
    Need(
        "Subscription Creator",
        Where.ENROLLMENT,
        "making subscriptions",
        When.ENROLLMENT,
        "https://learn.microsoft.com/azure/cost-management-billing/manage/assign-roles-azure-service-principals",
        id="a0bcee42-bf30-4d1b-926a-48d21664ef71",
    ),
    Need(
        "Azure subscription creator",
        Where.INVOICE_SECTION,
        "making subscriptions",
        When.AGREEMENT,
        "https://learn.microsoft.com/azure/cost-management-billing/manage/understand-mca-roles",
    ),
    Need(
        "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action",
        Where.IDENTITY,
        "assigning blueprints with it",
        When.IDENTITY,
        MESHSTACK,
        role="Managed Identity Operator",
    ),
    *(
        Need(
            f"Microsoft.Blueprint/{what}/read", Where.MANAGEMENT_GROUP, why, When.BLUEPRINTS, _BLUEPRINTS, role="Reader"
        )
        for what, why in (
            ("blueprints", "finding the blueprint"),
            ("blueprints/versions", "finding its versions"),
            ("blueprints/versions/artifacts", "finding its static parameters"),
        )
    ),
    *(
        _arm(
            f"Microsoft.Blueprint/blueprintAssignments/{action}",
            why,
            _OPERATOR,
            when=When.BLUEPRINTS,
            source=_BLUEPRINTS,
        )
        for action, why in (
            ("read", "assigning blueprints"),
            ("write", "assigning blueprints"),
            ("whoisblueprint/action", "finding out who Azure Blueprints is"),
            ("delete", "removing assignments of a tenant that leaves"),
        )
    ),
    *(
        _arm(f"Microsoft.Resources/deploymentStacks/{action}", why, _STACKER, when=When.STACKS, source=_STACKS)
        for action, why in (
            ("read", "deployment stacks"),
            ("write", "deployment stacks"),
            ("delete", "stacks that are not listed any more"),
            ("manageDenySetting/action", "deny settings of stacks"),
        )
    ),
    Need(
        "Microsoft.Resources/templateSpecs/versions/read",
        Where.TEMPLATE_SPEC,
        "reading and deploying its version",
        When.TEMPLATE_SPECS,
        _STACKS,
        role="Template Spec Reader",
    ),
    *(
        _arm(f"Microsoft.Consumption/budgets/{action}", "budgets", _COSTS, when=When.BUDGETS, source=_BLOCKS)
        for action in ("read", "write", "delete")
    ),
    *(
        _arm(f"Microsoft.Authorization/{action}", "eligible roles", _ACCESS, when=When.ELIGIBLE, source=_BLOCKS)
        for action in ("roleEligibilityScheduleInstances/read", "roleEligibilityScheduleRequests/write")
    ),
    *(
        _arm(f"{_IDENTITIES}{action}", "identities of pipelines", _IDENTITY_ROLE, when=When.PIPELINES, source=_BLOCKS)
        for action in (
            "/read",
            "/write",
            "/delete",
            "/federatedIdentityCredentials/read",
            "/federatedIdentityCredentials/write",
            "/federatedIdentityCredentials/delete",
        )
    ),
    Need(FUNCTION_ROLE, Where.FUNCTION, "calling the function", When.FUNCTION, MESHSTACK),
)


_OF_BLOCKS = {
    "budget": When.BUDGETS,
    "eligible-role-assignments": When.ELIGIBLE,
    "pipeline-identity": When.PIPELINES,
}


def conditions(platform: AzurePlatform, zones: Iterable[LandingZone]) -> frozenset[When]:
    """Which conditions of the table hold for a platform with its landing zones."""
    spec = platform.spec
    found = {When.ALWAYS, When.NO_UNIT if spec.administrative_unit_id is None else When.UNIT}
    if spec.b2b_user_invitation is not None:
        found.add(When.INVITING)
    if spec.home_tenants:
        found.add(When.HOME_TENANTS)
    if spec.type == "azure":
        found.add(When.PLACING)
    else:
        found |= {When.RESOURCE_GROUPS, When.LEAVING}
    provisioning = spec.provisioning
    if spec.update_subscription_name or (provisioning is not None and provisioning.pre_provisioned is not None):
        found.add(When.RENAMING)
    if provisioning is not None and provisioning.enterprise_enrollment is not None:
        found.add(When.ENROLLMENT)
    if provisioning is not None and provisioning.customer_agreement is not None:
        found.add(When.AGREEMENT)
    for zone in zones:
        if zone.spec.automate_deletion_replication:
            found.add(When.CANCELLING)
        if zone.spec.resource_groups:
            found |= {When.RESOURCE_GROUPS, When.LEAVING}
        if zone.spec.azure_function is not None:
            found.add(When.FUNCTION)
        if zone.spec.blueprints:
            found.add(When.BLUEPRINTS)
        if any(one.user_assigned_identity is not None for one in zone.spec.blueprints):
            found.add(When.IDENTITY)
        found |= {_OF_BLOCKS[block.source] for block in zone.spec.building_blocks if block.source in _OF_BLOCKS}
        if zone.spec.deployment_stacks:
            found.add(When.STACKS)
        if any(one.template_spec is not None for one in zone.spec.deployment_stacks):
            found.add(When.TEMPLATE_SPECS)
    return frozenset(found)


def needed(where: Where, conditions: Iterable[When]) -> tuple[Need, ...]:
    """What the table asks for in this kind of place under these conditions."""
    held = frozenset(conditions)
    return tuple(need for need in NEEDS if need.where is where and need.when in held)


def missing_roles(needs: Iterable[Need], roles: Iterable[str]) -> tuple[Need, ...]:
    """The needs that none of these application roles fulfils."""
    held = frozenset(roles)
    return tuple(need for need in needs if held.isdisjoint({need.permission, *need.or_any}))


def table() -> str:
    """The table as Markdown, for the README: permissions of one place, purpose and condition share a line,
    and a place is named once."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "| where | permission | for | needed |"
    yield "|---|---|---|---|"
    rows: dict[tuple[Where, str, When], list[str]] = {}
    for need in NEEDS:
        rows.setdefault((need.where, need.why, need.when), []).append(need.permission)
    above = None
    for (where, why, when), permissions in rows.items():
        place = where if where is not above else ""
        yield f"| {place} | {', '.join(f'`{name}`' for name in permissions)} | {why} | {when} |"
        above = where
