"""An Azure platform: one Entra tenant in one cloud, and how names, groups, people and tags are made there.

Field names and meanings follow meshStack's `meshPlatform` (config type `azure` and `azurerg`); `cloud`, `homeTenants` and
`stateBackend` are this runner's own.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, ValidationInfo, field_validator, model_validator

from runner.domain.building_block import AllowedProvider, AllowedSource
from runner.domain.document import (
    EntraTenantId,
    Location,
    Metadata,
    Once,
    Reference,
    ServicePrincipal,
    Uuid,
    Value,
    check_once,
    wrong,
)
from runner.domain.provisioning import Provisioning
from runner.domain.state import ManagedBackend, StateBackend

LookUpStrategy = Literal[
    "userPrincipalName", "email", "externalId", "UserByUsernameLookupStrategy", "UserByMailLookupStrategy"
]

# No user name, no query: a function key or a password in an address would be a secret in a document.
HTTPS_URL = r"^https://[^\s/?#@]+(/[^\s?#]*)?$"
GROUP_SUFFIX = r"^[A-Za-z0-9_-]+$"

HttpsUrl = Annotated[str, StringConstraints(pattern=HTTPS_URL, max_length=2000)]
GroupSuffix = Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=GROUP_SUFFIX)]
NamePattern = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class Cloud(Value):
    """Addresses of one Azure cloud, for one that is neither public, usgov nor china."""

    name: str = Field(default="custom", min_length=1, max_length=60)
    """What people call it."""
    authority: HttpsUrl
    """Where tokens are found, as https://login.microsoftonline.com."""
    resource_manager: HttpsUrl
    """Where Azure Resource Manager is found, as https://management.azure.com."""
    graph: HttpsUrl
    """Where Microsoft Graph is found, as https://graph.microsoft.com."""
    resource_manager_audience: HttpsUrl | None = None
    """Audience of a Resource Manager token where it is not that address."""

    @property
    def arm_scope(self) -> str:
        """What a token for Resource Manager is asked for."""
        audience = self.resource_manager_audience or self.resource_manager
        return audience.rstrip("/") + "/.default"

    @property
    def graph_scope(self) -> str:
        """What a token for Microsoft Graph is asked for."""
        return self.graph.rstrip("/") + "/.default"


# https://learn.microsoft.com/azure/azure-government/compare-azure-government-global-azure and the 21Vianet equivalent
CLOUDS: dict[str, Cloud] = {
    "public": Cloud(
        name="public",
        authority="https://login.microsoftonline.com",
        resource_manager="https://management.azure.com",
        graph="https://graph.microsoft.com",
    ),
    "usgov": Cloud(
        name="usgov",
        authority="https://login.microsoftonline.us",
        resource_manager="https://management.usgovcloudapi.net",
        graph="https://graph.microsoft.us",
    ),
    "china": Cloud(
        name="china",
        authority="https://login.chinacloudapi.cn",
        resource_manager="https://management.chinacloudapi.cn",
        graph="https://microsoftgraph.chinacloudapi.cn",
    ),
}

PORTALS: dict[str, str] = {
    "public": "https://portal.azure.com",
    "usgov": "https://portal.azure.us",
    "china": "https://portal.azure.cn",
}


class AzureRole(Value):
    """Azure role of a project role by default."""

    alias: GroupSuffix
    """Fills platformGroupAlias in the group's name."""
    id: Uuid
    """Id of the Azure role definition."""


class DefaultRoleMapping(Value):
    """Which Azure role a project role gets where the landing zone maps none."""

    project_role_ref: Reference
    """The project role, as people's `roles` name it."""
    azure_role: AzureRole
    """The Azure role its holders get."""


class HomeTenant(Value):
    """An Entra tenant in which people are looked up, with its own identity."""

    entra_tenant: EntraTenantId
    """The tenant's id or one of its domains."""
    service_principal: ServicePrincipal
    """The identity the runner uses to look people up there."""


class B2bUserInvitation(Value):
    """Invite people of the home tenants as guests; absent on the platform, nobody is invited."""

    # made, so that schemas show no default: it is another in each cloud
    redirect_url: HttpsUrl = Field(default_factory=lambda: PORTALS["public"])
    """Where the invitation's link leads in the end. Without it, the portal of the platform's cloud: https://portal.azure.com,
    https://portal.azure.us or https://portal.azure.cn; needed where the cloud is given by its addresses."""
    send_azure_invitation_mail: bool = False
    """Whether Microsoft mails the invitation. People marked as guests always get the mail."""


class TagMapper(Value):
    """One Azure tag."""

    key: str = Field(min_length=1, max_length=2000)
    """The tag's name, without the prefix."""
    value_pattern: str = Field(max_length=2000)
    """The tag's value; may use variables such as ${projectName} or ${costCenter} (a tag)."""


class TenantTags(Value):
    """Tags the runner sets and owns: those whose key begins with the prefix. Foreign tags are left alone."""

    namespace_prefix: str = Field(default="", max_length=100)
    """Begins the name of every tag the runner owns."""
    tag_mappers: tuple[TagMapper, ...] = Field(default=(), max_length=1000)
    """The tags, at most 50."""


class PlatformSpec(Value):
    """Settings of the platform."""

    type: Literal["azure", "azurerg"] = "azure"
    """azure: a tenant is a subscription. azurerg: a tenant is a resource group in one subscription."""
    entra_tenant: EntraTenantId
    """The Entra tenant that holds groups and members: its id or one of its domains."""
    cloud: Literal["public", "usgov", "china"] | Cloud = "public"
    """The Azure cloud, by name or by its addresses."""
    service_principal: ServicePrincipal
    """The identity the runner uses in this platform."""
    subscription_id: Uuid | None = None
    """Type azurerg: the subscription that holds all resource groups."""
    subscription_name_pattern: NamePattern | None = None
    """Type azure: name of subscriptions that the runner makes or claims; one that exists keeps its name, with or without it."""
    update_subscription_name: bool = False
    """Type azure: rename subscriptions that the runner made or claimed when their name by the pattern is another one; without it they
    are named once."""
    provisioning: Provisioning | None = None
    """Type azure: where the subscriptions of tenants without platformTenantId come from; without it each tenant names its own."""
    resource_group_name_pattern: NamePattern | None = None
    """Type azurerg: name of a tenant's resource group."""
    group_name_pattern: NamePattern = "#{workspaceIdentifier}.#{projectIdentifier}-#{platformGroupAlias}"
    """Name of a tenant's Entra group for a project role; platformGroupAlias stands for the role's group suffix."""
    azure_role_mappings: tuple[DefaultRoleMapping, ...] = ()
    """Azure roles of project roles in landing zones that map none."""
    blueprint_service_principal: Uuid | None = None
    """Type azure: object id of the enterprise application Azure Blueprints (application id f71766dc-90d9-4b7d-bd9d-4499c4331c3f); without
    it Azure is asked when a blueprint is planned."""
    blueprint_location: Location | None = None
    """Type azure: region of the blueprint assignments that name none."""
    user_look_up_strategy: LookUpStrategy = "userPrincipalName"
    """How people are found: by user principal name, by e-mail address or by external id."""
    home_tenants: tuple[HomeTenant, ...] = ()
    """Where people are looked up; without any, in the platform's own Entra tenant."""
    b2b_user_invitation: B2bUserInvitation | None = Field(default=None, alias="b2bUserInvitation")
    """Invite people found in a home tenant as guests; without it nobody is invited."""
    tenant_tags: TenantTags = TenantTags()
    """Azure tags of a tenant's subscription or resource group."""
    skip_user_group_permission_cleanup: bool = False
    """Keep groups and role assignments when a tenant leaves."""
    administrative_unit_id: Uuid | None = None
    """Object id of the administrative unit that new groups are put into."""
    allow_hierarchical_management_group_assignment: bool = False
    """Type azure: a subscription that is in a group somewhere below the landing zone's is left there; without it, it is moved directly
    into the landing zone's group."""
    allowed_module_sources: tuple[AllowedSource, ...] = Field(default=(), max_length=100)
    """Where building blocks may come from beside the runner and the documents' own folder: hosts, or hosts with the beginning of a path, as
    git.corp.example/platform."""
    allowed_providers: tuple[AllowedProvider, ...] = Field(default=(), max_length=100)
    """Terraform providers that building blocks may use beside Azure/azapi and hashicorp/azuread, as hashicorp/random."""
    plan_service_principal: ServicePrincipal | None = None
    """An identity of its own for the engine's plans, which only has to read; without it they are made by servicePrincipal as well."""
    state_backend: StateBackend = ManagedBackend()
    """Where Terraform's state lives."""

    once: ClassVar = (
        Once(
            entries="azure_role_mappings",
            by="project_role_ref.name",
            message='The project role "{}" is mapped twice.',
            hint="Keep one of the mappings.",
        ),
        Once(
            entries="home_tenants",
            by="entra_tenant",
            message='The home tenant "{}" is listed twice.',
            hint="Keep one of them.",
            folded=True,
        ),
    )

    @field_validator("b2b_user_invitation", mode="after")
    @classmethod
    def _to_the_portal_of_the_cloud(
        cls, invitation: B2bUserInvitation | None, info: ValidationInfo
    ) -> B2bUserInvitation | None:
        cloud = info.data.get("cloud", "public")  # not there: it is wrong, which is said where it stands
        if invitation is None or "redirect_url" in invitation.model_fields_set:
            return invitation
        if not isinstance(cloud, str):
            raise wrong(
                "redirectUrl is needed where the cloud is given by its addresses: its portal is not known.",
                field="redirectUrl",
                hint="Write where guests should arrive, as redirectUrl: https://portal.cloud.example",
            )
        return invitation.model_copy(update={"redirect_url": PORTALS[cloud]})

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        check_once(self)
        return self

    @model_validator(mode="after")
    def _what_the_type_needs(self) -> Self:
        if self.type == "azurerg" and self.subscription_id is None:
            raise wrong(
                "subscriptionId is needed with type azurerg: the subscription that holds its resource groups.",
                field="subscriptionId",
                hint='az account list --query "[].{name:name, id:id}" --output table',
            )
        if self.type == "azurerg" and self.resource_group_name_pattern is None:
            raise wrong(
                "resourceGroupNamePattern is needed with type azurerg: it names each tenant's resource group.",
                field="resourceGroupNamePattern",
                hint='resourceGroupNamePattern: "#{workspaceIdentifier}-#{projectIdentifier}"',
            )
        return self

    @model_validator(mode="after")
    def _what_provisioning_needs(self) -> Self:
        if self.provisioning is None:
            return self
        if self.subscription_name_pattern is None:
            raise wrong(
                "subscriptionNamePattern is needed with provisioning: it names each tenant's subscription.",
                field="subscriptionNamePattern",
                hint='subscriptionNamePattern: "#{workspaceIdentifier}.#{projectIdentifier}"',
            )
        pool = self.provisioning.pre_provisioned
        if pool and self.subscription_name_pattern.startswith(pool.unused_subscription_name_prefix):
            raise wrong(
                "subscriptionNamePattern begins as the names of free subscriptions do: what is taken would look free.",
                field="subscriptionNamePattern",
                hint="Begin one of them otherwise.",
            )
        own = self.service_principal.object_id
        if self.provisioning.orders and own is None:
            raise wrong(
                "objectId is needed where subscriptions are ordered: the runner becomes Owner of a new one, and gives that up.",
                field="servicePrincipal.objectId",
                hint="It is the object id of the enterprise application: az ad sp show --id CLIENT_ID --query id",
            )
        if own in self.provisioning.subscription_owner_object_ids:
            raise wrong(
                "The runner's own identity is among subscriptionOwnerObjectIds, and it gives up its Owner on new subscriptions.",
                field="provisioning.subscriptionOwnerObjectIds",
                hint="Name a group or person of the platform team instead.",
            )
        return self

    @property
    def endpoints(self) -> Cloud:
        """The addresses of the platform's cloud."""
        return CLOUDS[self.cloud] if isinstance(self.cloud, str) else self.cloud

    @property
    def look_up_by(self) -> Literal["userPrincipalName", "email", "externalId"]:
        """The strategy under its own name; the two others are the names meshStack's Terraform provider uses."""
        match self.user_look_up_strategy:
            case "email" | "UserByMailLookupStrategy":
                return "email"
            case "externalId":
                return "externalId"
            case _:
                return "userPrincipalName"


class AzurePlatform(Value):
    """One Entra tenant in one Azure cloud, and how names, groups, people and tags are made there."""

    api_version: Literal["landing-zone-runner/v1"]
    """Version of the document format."""
    kind: Literal["AzurePlatform"]
    """An Azure platform."""
    metadata: Metadata
    """Names the platform."""
    spec: PlatformSpec
    """Settings of the platform."""

    @property
    def name(self) -> str:
        return self.metadata.name


def is_loopback(url: str) -> bool:
    """Whether the address is this machine's own: the only place a sandbox can be."""
    return (urlsplit(url).hostname or "") in ("127.0.0.1", "localhost", "::1")
