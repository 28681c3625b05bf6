"""A tenant: one project's subscription or resource group in a landing zone, and the people who work there."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from runner.domain.building_block import ChosenBlock
from runner.domain.document import Identifier, Metadata, Once, Reference, Uuid, Value, check_once

EMAIL = r"^[^@\s]+@[^@\s]+$"
LARGEST_NUMBER = 2**63 - 1  # what meshStack, SQLite and JSON readers can hold

Email = Annotated[str, StringConstraints(max_length=320, pattern=EMAIL)]
Number = Annotated[int, Field(ge=0, le=LARGEST_NUMBER)]
TagName = Annotated[str, StringConstraints(min_length=1, max_length=255)]
# One value may stand alone, as in `costCenter: "4711"`; a tag of meshStack is a list.
TagValues = Annotated[
    tuple[Annotated[str, StringConstraints(max_length=2000)], ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": ["string", "number", "boolean"]},
                {"type": "array", "items": {"type": ["string", "number", "boolean"]}},
            ]
        }
    ),
]
Tags = dict[TagName, TagValues]


class Person(Value):
    """A person with project roles, as meshStack's USER_PERMISSIONS input lists them."""

    mesh_identifier: str | None = Field(default=None, max_length=255)
    """The person's identifier in meshStack."""
    username: str = Field(min_length=1, max_length=255)
    """The person's user name; unique in the tenant."""
    first_name: str = Field(default="", max_length=255)
    """First name."""
    last_name: str = Field(default="", max_length=255)
    """Last name."""
    email: Email | None = None
    """E-mail address; an invitation goes there."""
    euid: str | None = Field(default=None, min_length=1, max_length=255)
    """External user id: where it is given it is the value looked up, and it is case-sensitive."""
    guest: bool = False
    """Marks a person from outside, who always gets the invitation mail."""
    roles: tuple[Annotated[str, StringConstraints(min_length=1, max_length=120)], ...] = Field(min_length=1)
    """The person's project roles."""

    @property
    def label(self) -> str:
        """What people call the person."""
        return self.email or self.euid or self.username


class Owner(Value):
    """An owner of the workspace. Owners appear in tags only; rights come from `users`."""

    username: str = Field(min_length=1, max_length=255)
    """The owner's user name."""
    first_name: str = Field(default="", max_length=255)
    """First name."""
    last_name: str = Field(default="", max_length=255)
    """Last name."""
    email: Email | None = None
    """E-mail address."""


class Payment(Value):
    """The payment method of the project."""

    identifier: str = Field(min_length=1, max_length=255)
    """The payment method's identifier."""
    name: str = Field(default="", max_length=255)
    """What people call it."""
    expiration_date: str | None = Field(default=None, min_length=1, max_length=40)
    """When it ends, as 2027-12-31."""
    amount: str | None = Field(default=None, min_length=1, max_length=40)
    """Its amount."""
    tags: Tags = {}
    """Tags of the payment method."""


class ExistingGroup(Value):
    """A group that exists and is to be used for a project role: adopted, so its foreign members stay and it is never deleted."""

    project_role_ref: Reference
    """The project role the group stands for."""
    object_id: Uuid
    """Object id of the group."""


class TenantSpec(Value):
    """What is asked for."""

    landing_zone_ref: Reference
    """The landing zone the tenant is placed in."""
    workspace_identifier: Identifier
    """Identifier of the workspace."""
    workspace_name: str = Field(default="", max_length=255)
    """What people call the workspace."""
    project_identifier: Identifier
    """Identifier of the project; unique in its workspace."""
    project_name: str = Field(default="", max_length=255)
    """What people call the project."""
    mesh_project_id: Number | None = None
    """Number of the project in meshStack."""
    tenant_platform_number: Number | None = None
    """Running number of the tenant on its platform."""
    platform_tenant_id: Uuid | None = None
    """Platform type azure: id of the tenant's subscription, where it exists. Without it the subscription is made or taken as the
    platform's provisioning says."""
    workspace_tags: Tags = {}
    """Tags of the workspace; the payment method's and the project's go before them."""
    project_tags: Tags = {}
    """Tags of the project; they go before all others."""
    payment: Payment | None = None
    """The payment method of the project."""
    contact_mail: Email | None = None
    """Whom to write to; without it, the first owner."""
    owners: tuple[Owner, ...] = ()
    """Owners of the workspace: the first is the owner, the second the additional owner of the tag variables."""
    users: tuple[Person, ...] = ()
    """Everybody who works in the project."""
    existing_groups: tuple[ExistingGroup, ...] = ()
    """Groups that exist already and are used instead of new ones."""
    building_blocks: tuple[ChosenBlock, ...] = Field(default=(), max_length=50)
    """Optional building blocks of the landing zone that the tenant has, and what it gives building blocks."""

    once: ClassVar = (
        Once(
            entries="users",
            by="username",
            message='The user "{}" is listed twice.',
            hint="List each person once, with all roles.",
            folded=True,
        ),
        Once(
            entries="existing_groups",
            by="project_role_ref.name",
            message='The project role "{}" has two existing groups.',
            hint="Name one group for each role.",
        ),
        Once(
            entries="building_blocks",
            by="key",
            message='The building block "{}" is listed twice.',
            hint="List it once, with all its inputs.",
        ),
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        check_once(self)
        return self


class Tenant(Value):
    """One project's subscription or resource group in a landing zone."""

    api_version: Literal["landing-zone-runner/v1"]
    """Version of the document format."""
    kind: Literal["Tenant"]
    """A tenant."""
    metadata: Metadata
    """Names the tenant."""
    spec: TenantSpec
    """What is asked for: landing zone, project, people."""

    @property
    def name(self) -> str:
        """The document's name."""
        return self.metadata.name

    @property
    def tags(self) -> dict[str, str]:
        """All tags by name, sorted: project before payment method before workspace. Several values are joined by a comma."""
        payment = self.spec.payment.tags if self.spec.payment else {}
        merged = {**self.spec.workspace_tags, **payment, **self.spec.project_tags}
        return {name: ",".join(merged[name]) for name in sorted(merged)}

    def tag(self, name: str) -> str | None:
        """The value of one tag under the same precedence; None where it is not set."""
        return self.tags.get(name)
