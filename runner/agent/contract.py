"""What a meshStack hands to a runner: one building-block run as JSON, read once and frozen. Fields that are not known are left alone.

Source: the API object `meshBuildingBlockRun` v1 and the public runners (github meshcloud/building-block-runner, v1.3.0).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from runner.errors import RemoteFailed

MEDIA_TYPE = "application/vnd.meshcloud.api.meshbuildingblockrun.v1.hal+json"
RUNS = "/api/meshobjects/meshbuildingblockruns"


class Sent(BaseModel):
    """Base of everything that comes from meshStack."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True
    )


class Behavior(StrEnum):
    """What a run is for. DETECT is a dry run."""

    APPLY = "APPLY"
    DETECT = "DETECT"
    DESTROY = "DESTROY"


class Status(StrEnum):
    """Of a run and of a step. A runner never reports PENDING for a run."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    ABORTED = "ABORTED"


FINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.ABORTED})


def _text(value: object) -> object:
    return "" if value is None else value


OptionalText = Annotated[str, BeforeValidator(_text)]


class Input(Sent):
    """One input. `value` of a sensitive one is an envelope until the run was opened (see `envelope`)."""

    key: str
    value: Any = None
    type: str = "STRING"
    is_sensitive: bool = False
    is_environment: bool = False


class BlockSpec(Sent):
    display_name: OptionalText = ""
    workspace_identifier: OptionalText = ""
    project_identifier: OptionalText = ""
    full_platform_identifier: OptionalText = ""
    inputs: tuple[Input, ...] = ()


class Block(Sent):
    uuid: str
    spec: BlockSpec


class KnownHost(Sent):
    """The host key that a git server over SSH must show."""

    host: str
    key_type: str
    key_value: str


class Manual(Sent):
    type: Literal["MANUAL"]


class Terraform(Sent):
    type: Literal["TERRAFORM"]
    terraform_version: OptionalText = ""
    repository_url: str
    repository_path: OptionalText = ""
    ref_name: OptionalText = ""
    ssh_private_key: OptionalText = Field(default="", repr=False)
    known_host: KnownHost | None = None
    is_async: bool = Field(default=False, alias="async")
    use_mesh_http_backend_fallback: bool = False
    pre_run_script: OptionalText = ""


class GithubWorkflow(Sent):
    type: Literal["GITHUB_WORKFLOW"]
    github_base_url: str
    owner: str
    app_id: Annotated[str, BeforeValidator(str)]
    app_pem: str = Field(repr=False)
    repository: str
    branch: str
    apply_workflow: str
    destroy_workflow: OptionalText = ""
    is_async: bool = Field(default=False, alias="async")
    omit_run_object_input: bool = False


class GitlabCicd(Sent):
    """Always asynchronous: the pipeline reports by itself."""

    type: Literal["GITLAB_CICD"]
    gitlab_base_url: str
    project_id: Annotated[str, BeforeValidator(str)]
    ref_name: str
    pipeline_trigger_token: str = Field(repr=False)


class AzureDevOps(Sent):
    type: Literal["AZURE_DEVOPS"]
    azure_dev_ops_base_url: str
    organization: str
    project: str
    pipeline_id: Annotated[str, BeforeValidator(str)]
    personal_access_token: str = Field(repr=False)
    is_async: bool = Field(default=False, alias="async")
    ref_name: OptionalText = ""


class Unknown(Sent):
    """A kind that this version does not know: the run is reported as failed."""

    type: str


Implementation = Manual | Terraform | GithubWorkflow | GitlabCicd | AzureDevOps | Unknown
SECRETS: dict[str, tuple[str, ...]] = {
    "TERRAFORM": ("ssh_private_key",),
    "GITHUB_WORKFLOW": ("app_pem",),
    "GITLAB_CICD": ("pipeline_trigger_token",),
    "AZURE_DEVOPS": ("personal_access_token",),
}
"""Fields of an implementation that are encrypted for the runner, by its type."""


def _kind(sent: object) -> str:
    kind = sent.get("type") if isinstance(sent, dict) else getattr(sent, "type", "")
    return kind if kind == "MANUAL" or kind in SECRETS else ""


class DefinitionSpec(Sent):
    version: int = 0
    implementation: Annotated[
        Annotated[Manual, Tag("MANUAL")]
        | Annotated[Terraform, Tag("TERRAFORM")]
        | Annotated[GithubWorkflow, Tag("GITHUB_WORKFLOW")]
        | Annotated[GitlabCicd, Tag("GITLAB_CICD")]
        | Annotated[AzureDevOps, Tag("AZURE_DEVOPS")]
        | Annotated[Unknown, Tag("")],
        Discriminator(_kind),
    ]


class Definition(Sent):
    uuid: OptionalText = ""
    spec: DefinitionSpec


class Author(Sent):
    identifier: OptionalText = ""
    type: OptionalText = ""
    display_name: OptionalText = ""
    username: OptionalText = ""


class Trigger(Sent):
    reason: OptionalText = ""
    author: Author = Author()


class RunSpec(Sent):
    run_number: int = 0
    behavior: Behavior
    run_token: OptionalText = Field(default="", repr=False)
    trigger: Trigger = Trigger()
    building_block: Block
    building_block_definition: Definition


class Metadata(Sent):
    uuid: str


class Link(Sent):
    href: str
    templated: bool = False


class BlockRun(Sent):
    """A claimed run."""

    metadata: Metadata
    spec: RunSpec
    links: dict[str, Link] = Field(default_factory=dict, alias="_links")

    @property
    def id(self) -> str:
        return self.metadata.uuid

    @property
    def block(self) -> Block:
        return self.spec.building_block

    @property
    def implementation(self) -> Implementation:
        return self.spec.building_block_definition.spec.implementation

    def link(self, name: str, **values: str) -> str:
        """Where a link leads, its `{placeholders}` filled in; empty where the run has none of that name."""
        found = self.links.get(name)
        href = found.href if found else ""
        for key, value in values.items():
            href = href.replace(f"{{{key}}}", value)
        return href


_RUN: TypeAdapter[BlockRun] = TypeAdapter(BlockRun)


def read(content: bytes) -> BlockRun:
    """A run from its JSON; RemoteFailed naming the fields where it is none (never a value: one may be secret)."""
    try:
        return _RUN.validate_json(content)
    except ValidationError as error:
        where = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)[:5])
        raise RemoteFailed(
            "The run cannot be read",
            code="run-unreadable",
            detail=f"meshStack sent a run that this version does not understand: {where}.",
            hint="Look whether meshStack is newer than this runner.",
        ) from None
