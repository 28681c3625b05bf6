"""A landing zone: what every tenant placed in it gets. Field names follow meshStack's `meshLandingZone`.

`resourceGroups`, `deploymentStacks` and `approval` are this runner's own. `blueprints` is what meshStack had until 2026.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from runner.domain.approval import MOST_CHECKS, MOST_RULES, ApprovalRule, ExternalCheck
from runner.domain.blueprint import Blueprint
from runner.domain.building_block import BuildingBlock
from runner.domain.deployment_stack import DeploymentStack
from runner.domain.document import (
    BlockKey,
    Location,
    ManagementGroupId,
    Metadata,
    Once,
    Reference,
    Uuid,
    Value,
    check_once,
    wrong,
)
from runner.domain.platform import GroupSuffix, HttpsUrl, NamePattern

APPLICATION = r"^([0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[a-z][a-z0-9+.-]*:[^\s]+)$"
DURATION = r"^[0-9]{1,5}[mhd]$"

ApplicationId = Annotated[str, StringConstraints(pattern=APPLICATION, max_length=500)]

SHORTEST_APPROVAL, LONGEST_APPROVAL = timedelta(minutes=1), timedelta(days=90)
SHORTEST_PERIOD = timedelta(hours=1)
NEVER = timedelta(0)
"""The period of what is not done by itself."""


def _duration(value: object) -> object:
    """`90m`, `8h`, `2d`, or ISO 8601; a bare number is refused, for it has no unit."""
    if isinstance(value, str) and re.fullmatch(DURATION, value):
        return timedelta(**{{"m": "minutes", "h": "hours", "d": "days"}[value[-1]]: int(value[:-1])})
    if isinstance(value, timedelta) or (isinstance(value, str) and re.fullmatch(r"P[0-9DTHMS]{1,40}", value)):
        return value
    raise wrong("A duration is a number with its unit: m, h or d.", hint="8h")


def _bounded(duration: timedelta) -> timedelta:
    if not SHORTEST_APPROVAL <= duration <= LONGEST_APPROVAL:
        raise wrong("An approval is valid for at least 1m and at most 90d.", hint="8h")
    return duration


def _written(duration: timedelta) -> str:
    minutes, rest = divmod(int(duration.total_seconds()), 60)
    if rest:
        return f"PT{minutes * 60 + rest}S"
    size, unit = next((size, unit) for size, unit in ((1440, "d"), (60, "h"), (1, "m")) if minutes % size == 0)
    return f"{minutes // size}{unit}"


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(_written, return_type=str, when_used="json"),
    AfterValidator(_bounded),
    WithJsonSchema({"type": "string", "pattern": DURATION}, mode="validation"),
]


def _period(value: object) -> object:
    return NEVER if value == "never" else _duration(value)


def _bounded_period(duration: timedelta) -> timedelta:
    if duration != NEVER and not SHORTEST_PERIOD <= duration <= LONGEST_APPROVAL:
        raise wrong("A period is at least 1h and at most 90d, or never.", hint="1d")
    return duration


Period = Annotated[
    timedelta,
    BeforeValidator(_period),
    PlainSerializer(lambda period: "never" if period == NEVER else _written(period), return_type=str, when_used="json"),
    AfterValidator(_bounded_period),
    WithJsonSchema({"type": "string", "pattern": f"{DURATION}|^never$"}, mode="validation"),
]


class RoleDefinition(Value):
    """An Azure role by its definition id, with an optional condition."""

    azure_role_definition_id: Uuid
    """Id of the Azure role definition; `az role definition list` shows it as `name`."""
    abac_condition: str | None = Field(default=None, min_length=1, max_length=8000)
    """Azure condition (ABAC, version 2.0) that narrows the role assignment."""


class RoleMapping(Value):
    """What the holders of a project role get: a group with this suffix, and the group these roles."""

    project_role_ref: Reference
    """The project role, as people's `roles` name it."""
    azure_group_suffix: GroupSuffix
    """Fills platformGroupAlias in the group's name."""
    azure_role_definitions: tuple[RoleDefinition, ...] = Field(min_length=1)
    """The Azure roles the group gets."""

    # Azure has one assignment of a role to a group in a place, with one condition: of two entries one would be lost.
    once: ClassVar = (
        Once(
            entries="azure_role_definitions",
            by="azure_role_definition_id",
            message='The Azure role "{}" is listed twice in this mapping.',
            hint="Keep one of them; two conditions become one abacCondition, joined with OR.",
            folded=True,
        ),
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        check_once(self)
        return self


class AzureFunction(Value):
    """A function that is called after each successful run."""

    azure_function_url: HttpsUrl
    """Address of the function, without a key: the runner signs in."""
    azure_function_scope: ApplicationId
    """Application (client) id of the function's enterprise application."""


class ZoneResourceGroup(Value):
    """A resource group that every subscription of the zone gets."""

    key: BlockKey
    """Its lasting name in the state; changing it makes another resource group."""
    name: NamePattern
    """The resource group's name; may use name patterns."""
    location: Location
    """Azure region, as `westeurope`."""


class ApprovalRules(Value):
    """Who decides that a reviewed plan is applied."""

    policy: Literal["always", "when-destructive", "never"] = "always"
    """always: a person, every time. when-destructive: a person where something is destroyed, replaced, taken away or given highest
    rights; the rest runs on. never: the plan is recorded and runs on."""
    valid_for: Duration = timedelta(hours=8)
    """How long an approval is valid, as 90m, 8h or 2d."""
    four_eyes: bool = False
    """Whether the approver must be somebody else than who asked for the run."""
    rules: tuple[ApprovalRule, ...] = Field(default=(), max_length=MOST_RULES)
    """Looked at in order when a plan is made: the first whose expression is true decides instead of `policy`."""
    checks: tuple[ExternalCheck, ...] = Field(default=(), max_length=MOST_CHECKS)
    """Check commands that look at each plan before anybody decides."""

    once: ClassVar = (
        Once(
            entries="rules",
            by="name",
            message='The rule "{}" is given twice.',
            hint="Give each its own name.",
            at="name",
        ),
        Once(
            entries="checks", by="name", message='The check "{}" is listed twice.', hint="Keep one of them.", at="name"
        ),
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        check_once(self)
        return self


class LandingZoneSpec(Value):
    """Settings of the landing zone."""

    display_name: str = Field(default="", max_length=200)
    """What people call it."""
    platform_ref: Reference
    """The platform its tenants live in."""
    azure_management_group_id: ManagementGroupId | None = None
    """Platform type azure: id (not display name) of the management group that subscriptions are moved into."""
    azure_role_mappings: tuple[RoleMapping, ...] = ()
    """Azure roles of project roles; without any, the platform's."""
    azure_rg_location: Location | None = None
    """Platform type azurerg: region of the resource groups, lower case and without spaces."""
    resource_groups: tuple[ZoneResourceGroup, ...] = ()
    """Platform type azure: resource groups that every subscription gets."""
    blueprints: tuple[Blueprint, ...] = Field(default=(), max_length=20)
    """Platform type azure: blueprints that every subscription is assigned. The service ends on 2027-01-31; deploymentStacks are its
    successor."""
    deployment_stacks: tuple[DeploymentStack, ...] = Field(default=(), max_length=20)
    """Platform type azure: deployment stacks that every subscription gets."""
    building_blocks: tuple[BuildingBlock, ...] = Field(default=(), max_length=50)
    """Further Terraform modules that tenants of the zone get."""
    azure_function: AzureFunction | None = None
    """A function that is called after each successful run."""
    reconcile_every: Period = timedelta(days=1)
    """How often a server looks whether tenants are still as documented (as 6h or 7d), or never. What it finds waits for whom
    `approval` says."""
    automate_deletion_replication: bool = False
    """Platform type azure: cancel the subscription as the last step of a tenant that leaves; without it the subscription is left."""
    approval: ApprovalRules = ApprovalRules()
    """Who decides that a reviewed plan is applied."""
    automate_deletion_approval: bool = False
    """Whether a request to delete a tenant is approved by itself. The plan by which the tenant leaves is decided by a person all the
    same, but where the policy is `never`."""

    once: ClassVar = (
        Once(
            entries="resource_groups",
            by="key",
            message='The key "{}" is given twice.',
            hint="Give each group its own.",
            at="key",
        ),
        Once(
            entries="blueprints",
            by="name",
            message='The blueprint "{}" is listed twice; its assignment is named after it.',
            hint="Keep one of them.",
            folded=True,
            at="name",
        ),
        Once(
            entries="building_blocks",
            by="key",
            message='The key "{}" is given twice.',
            hint="Give each building block its own.",
            at="key",
        ),
        Once(
            entries="deployment_stacks",
            by="name",
            message='The name "{}" is given twice.',
            hint="Give each deployment stack its own.",
            folded=True,
            at="name",
        ),
        Once(
            entries="azure_role_mappings",
            by="project_role_ref.name",
            message='The project role "{}" is mapped twice.',
            hint="Put all its Azure roles into one mapping's azureRoleDefinitions.",
        ),
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        check_once(self)
        return self


class LandingZone(Value):
    """What every tenant placed in it gets."""

    api_version: Literal["landing-zone-runner/v1"]
    """Version of the document format."""
    kind: Literal["LandingZone"]
    """A landing zone."""
    metadata: Metadata
    """Names the landing zone."""
    spec: LandingZoneSpec
    """Settings of the landing zone."""

    @property
    def name(self) -> str:
        return self.metadata.name
