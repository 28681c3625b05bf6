"""The seed's form: a YAML description of a company's Azure, checked key by key.

A wrong seed is an `InputError` that names the key. What must fit together in it is known by `grow`.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from runner.errors import InputError

Json = dict[str, Any]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster where PyYAML was built with libyaml
DEFAULT = Path(__file__).with_name("default_seed.yaml")

Id = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
Name = Annotated[str, StringConstraints(min_length=1)]

DEFAULT_LOCATIONS = {
    "westeurope": "West Europe",
    "northeurope": "North Europe",
    "germanywestcentral": "Germany West Central",
    "swedencentral": "Sweden Central",
    "francecentral": "France Central",
    "eastus": "East US",
    "eastus2": "East US 2",
    "westus2": "West US 2",
}
REGISTERED = (
    "Microsoft.Authorization",
    "Microsoft.Blueprint",
    "Microsoft.Consumption",
    "Microsoft.Insights",
    "Microsoft.KeyVault",
    "Microsoft.ManagedIdentity",
    "Microsoft.Management",
    "Microsoft.Network",
    "Microsoft.Resources",
    "Microsoft.Storage",
    "Microsoft.Subscription",
)


class Form(BaseModel):
    """A part of the seed: camelCase keys, no unknown ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class FederatedForm(Form):
    issuer: Name
    subject: Name
    audience: str = "api://AzureADTokenExchange"


class AppRoleForm(Form):
    value: Name
    id: Id | None = None
    display_name: str | None = None


class SecretForm(Form):
    value: Name
    ends: datetime | None = None
    """Left out: long after the sandbox."""


class AssignedRoleForm(Form):
    application: Id
    """Client id of the application that offers the role."""
    role: Name


class ApplicationForm(Form):
    name: Name
    client_id: Id
    object_id: Id | None = None
    """Of the service principal: the `oid` in its tokens."""
    secrets: tuple[Name | SecretForm, ...] = ()
    certificates: tuple[Name, ...] = ()
    """PEM, without the key."""
    federated: tuple[FederatedForm, ...] = ()
    identifier_uris: tuple[Name, ...] = ()
    app_roles: tuple[AppRoleForm, ...] = ()
    assigned_roles: tuple[AssignedRoleForm, ...] = ()
    graph_permissions: tuple[Name, ...] = ()
    administers: tuple[Id, ...] = ()
    """Administrative units in which it is Groups Administrator."""
    assignment_required: bool = False
    token_version: Literal[1, 2] | None = None
    """`accessTokenAcceptedVersion` of its manifest, which Graph calls `api.requestedAccessTokenVersion`."""
    managed_identity: bool = False


class IdentityForm(Form):
    sign_in_type: Name
    issuer: Name
    issuer_assigned_id: str | None = None


class UserForm(Form):
    user_principal_name: Name
    id: Id | None = None
    display_name: str | None = None
    given_name: str | None = None
    surname: str | None = None
    mail: str | None = None
    other_mails: tuple[str, ...] = ()
    employee_id: str | None = None
    on_premises_sam_account_name: str | None = None
    user_type: Literal["Member", "Guest"] = "Member"
    account_enabled: bool = True
    external_user_state: Literal["PendingAcceptance", "Accepted"] | None = None
    identities: tuple[IdentityForm, ...] = ()


class GroupForm(Form):
    name: Name
    id: Id | None = None
    description: str | None = None
    members: tuple[Name, ...] = ()
    """Ids, user principal names or group names."""
    owners: tuple[Name, ...] = ()


class UnitForm(Form):
    name: Name
    id: Id | None = None
    members: tuple[Name, ...] = ()


class TenantForm(Form):
    id: Id
    name: Name
    domain: Annotated[str, StringConstraints(to_lower=True, min_length=1)]
    applications: tuple[ApplicationForm, ...] = ()
    users: tuple[UserForm, ...] = ()
    groups: tuple[GroupForm, ...] = ()
    administrative_units: tuple[UnitForm, ...] = ()


class ManagementGroupForm(Form):
    id: Name
    name: str | None = None
    parent: str | None = None
    """Left out: the root management group."""


class ResourceForm(Form):
    type: Annotated[str, StringConstraints(pattern=r"^[^/]+/[^/]+$")]
    name: Name
    properties: Json = {}
    tags: dict[str, str] | None = None


class PlacedResourceForm(Form):
    id: Annotated[str, StringConstraints(pattern=r"^(/[^/]+)*/providers/[^/]+(/[^/]+/[^/]+)+$")]
    kind: str | None = None
    """Beside `properties`, as an artifact of a blueprint has it."""
    location: str | None = None
    identity: Json | None = None
    properties: Json = {}
    tags: dict[str, str] | None = None


class ResourceGroupForm(Form):
    name: Name
    location: Name
    tags: dict[str, str] | None = None
    resources: tuple[ResourceForm, ...] = ()


class SubscriptionForm(Form):
    id: Id
    name: Name
    management_group: str | None = None
    state: Literal["Enabled", "Disabled", "Warned", "PastDue", "Deleted"] = "Enabled"
    tags: dict[str, str] = {}
    providers: tuple[Name, ...] = REGISTERED
    resource_groups: tuple[ResourceGroupForm, ...] = ()


class BillingScopeForm(Form):
    id: Annotated[str, StringConstraints(pattern=r"^/providers/Microsoft\.Billing/billingAccounts(/[^/]+)+$")]
    """As orders name it: an enrollment account, an invoice section or a customer."""
    tenant: str | None = None
    """Of those who may order; left out, the tenant of the subscriptions."""
    creators: tuple[Name, ...] = ()
    """Who may order subscriptions there: names or ids of applications."""


class RoleDefinitionForm(Form):
    id: Id
    name: Name
    actions: tuple[Name, ...]
    not_actions: tuple[Name, ...] = ()
    description: str = ""


class RoleAssignmentForm(Form):
    principal: Name
    """Id, user principal name, group name or application name."""
    role: Name
    """Name or id of the role."""
    scope: Name
    name: Id | None = None
    condition: str | None = None


class AzureForm(Form):
    tenant: Name
    """Id or domain of the tenant that the subscriptions belong to."""
    locations: dict[str, str] = DEFAULT_LOCATIONS
    management_groups: tuple[ManagementGroupForm, ...] = ()
    subscriptions: tuple[SubscriptionForm, ...] = ()
    resources: tuple[PlacedResourceForm, ...] = ()
    """Anywhere, by id: a blueprint in a management group, a lock on a subscription."""
    blueprints_retire: bool = False
    """Whether Azure Blueprints ends as Microsoft says, by the sandbox's clock."""
    billing_scopes: tuple[BillingScopeForm, ...] = ()
    role_definitions: tuple[RoleDefinitionForm, ...] = ()
    role_assignments: tuple[RoleAssignmentForm, ...] = ()


class FunctionForm(Form):
    name: Name
    host: str = "sandbox.azurewebsites.net"
    tenant: str | None = None
    """Left out: the tenant of the subscriptions."""
    client_id: Id | None = None
    """The application whose tokens it accepts; left out, it asks for no token."""
    required_role: str | None = None
    status: Annotated[int, Field(ge=200, le=599)] = 200
    body: Any = None


class Seed(Form):
    """The whole file."""

    tenants: Annotated[tuple[TenantForm, ...], Field(min_length=1)]
    azure: AzureForm
    functions: tuple[FunctionForm, ...] = ()
    page_size: Annotated[int, Field(ge=1, le=999)] = 100
    faults: tuple[Json, ...] = ()
    """As in `PUT /sandbox/faults`."""


def read_yaml(path: Path) -> Seed:
    """Read a seed file."""
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506  both loaders are safe ones
    except OSError as error:
        raise InputError(
            "The seed cannot be read", code="seed-unreadable", detail=f"{path}: {error.strerror}."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError("The seed is not YAML", code="seed-not-yaml", detail=f"{path}: {error}") from error
    return read(value, source=str(path))


def read(mapping: Any, *, source: str = "seed") -> Seed:
    """Check a seed's form."""
    try:
        return Seed.model_validate(mapping)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        wrong(".".join(str(part) for part in first["loc"]) or "(whole file)", first["msg"], source=source)


def wrong(key: str, problem: str, *, source: str = "seed") -> NoReturn:
    raise InputError(
        "The seed is wrong",
        code="seed-invalid",
        detail=f"{source}: {key}: {problem}.",
        hint="`lzr sandbox` prints at its start where the example seed is.",
    )
