"""Building blocks: further Terraform modules of a landing zone, where their code comes from, and what they are given.

Of a document's text only names that are nothing but letters, digits, `-` and `_` get into Terraform code; values go into the inputs
file. Blocks refer to one another by outputs, which is a graph without circles.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Self

from pydantic import Field, JsonValue, StringConstraints, model_validator
from pydantic.json_schema import SkipJsonSchema

from runner.domain.document import BlockKey, Value, wrong

NAME = r"^[A-Za-z_][A-Za-z0-9_-]*$"
TENANT_FIELD = r"^[A-Za-z]+(\.[A-Za-z0-9_-]+)?$"
ALLOWED_SOURCE = r"^[^\s?#@]+$"
ALLOWED_PROVIDER = r"^([A-Za-z0-9.-]+/)?[A-Za-z0-9_-]+/[A-Za-z0-9_-]+$"

Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=NAME)]
AllowedSource = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=ALLOWED_SOURCE)]
AllowedProvider = Annotated[str, StringConstraints(max_length=200, pattern=ALLOWED_PROVIDER)]

SHIPPED = ("budget", "eligible-role-assignments", "pipeline-identity", "resource-provider-registration")
KINDS = ("value", "tenant", "tag", "output")


class BlockInput(Value):
    """What an input variable of a module is given: exactly one of value, tenant, tag, or output with of."""

    value: JsonValue = None
    """A constant; ${…} in it stands for what it stands for in tags."""
    tenant: Annotated[str, StringConstraints(max_length=120, pattern=TENANT_FIELD)] | None = None
    """A field of the tenant: subscriptionId, scope, groupIds, resourceGroupIds, one of those as groupIds.admin, or a variable of tags."""
    tag: str | None = Field(default=None, min_length=1, max_length=255)
    """Value of a tag of the tenant."""
    output: Name | None = None
    """Output of the block that `of` names."""
    of: BlockKey | None = None
    """Key of the block whose output it is."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        given = [kind for kind in KINDS if kind in self.model_fields_set]
        if len(given) != 1:
            raise wrong(
                "An input is exactly one of value, tenant, tag and output.",
                hint="value: 500, or tenant: subscriptionId, or tag: costCenter, or output: id with of: another_block",
            )
        if (self.output is None) != (self.of is None):
            raise wrong("output and of belong together: which output of which block.", hint="output: id\nof: network")
        return self


class BuildingBlock(Value):
    """A further Terraform module that tenants of the zone get."""

    key: BlockKey
    """Its lasting name in the state; changing it removes what it made and makes it anew."""
    display_name: str = Field(default="", max_length=200)
    """What people call it."""
    mandatory: bool = True
    """Whether every tenant gets it; an optional one is switched on by the tenant's buildingBlocks."""
    source: str = Field(min_length=1, max_length=1000)
    """Where its code is: the name of a module that comes with the runner, as budget; ./path beside this document; or
    git::https://host/repository.git//folder?ref=v1.0, or namespace/name/provider of a registry with version."""
    version: Annotated[str, StringConstraints(pattern=r"^[0-9][0-9A-Za-z.+-]*$", max_length=60)] | None = None
    """Exact version of a module of a registry."""
    inputs: dict[Name, BlockInput] = Field(default_factory=dict, max_length=100)
    """What its input variables are given."""
    tenant_inputs: tuple[Name, ...] = ()
    """Input variables that a tenant may give itself, in place of inputs."""
    code: SkipJsonSchema[dict[str, str]] = Field(default_factory=dict)
    """Not to be written: the files of a module beside the document, as they were read."""

    @property
    def called(self) -> str:
        """What people call it."""
        return self.display_name or self.key

    @property
    def deployed(self) -> str:
        """What is deployed: its source, and the version where that does not say it."""
        return f"{self.source} {self.version}" if self.version else self.source


class ChosenBlock(Value):
    """An optional building block that a tenant has, or what it gives a mandatory one."""

    key: BlockKey
    """Key of the building block in the landing zone."""
    inputs: dict[Name, JsonValue] = Field(default_factory=dict, max_length=100)
    """Values of the input variables that the landing zone leaves to tenants (tenantInputs)."""


# --- where code comes from -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shipped:
    """A module that comes with the runner."""

    name: str


@dataclass(frozen=True)
class Local:
    """A module beside the document."""

    path: str


@dataclass(frozen=True)
class Git:
    """A folder of a git repository at a ref."""

    url: str
    folder: str
    ref: str

    @property
    def place(self) -> str:
        """Host and path, as allow-lists name it."""
        return self.url.partition("://")[2].removesuffix(".git")


@dataclass(frozen=True)
class Registry:
    """A module of a Terraform registry at an exact version."""

    host: str
    module: str
    version: str

    @property
    def place(self) -> str:
        """Host and module, as allow-lists name it."""
        return f"{self.host}/{self.module}"


Source = Shipped | Local | Git | Registry
DEFAULT_REGISTRY = "registry.terraform.io"
_OWN_REGISTRIES = (DEFAULT_REGISTRY, "registry.opentofu.org")
OWN_PROVIDERS = ("azure/azapi", "hashicorp/azuread")

_SHIPPED = re.compile(r"[a-z][a-z0-9-]*")
_LOCAL = re.compile(r"\./[^\s\\]+")
# No user, no password: git's own helpers know them. A ref does not begin with a dash, which git would take for an option.
_GIT = re.compile(
    r"git::(?P<url>(https|ssh|file)://[^\s/?#@:]*(:[0-9]+)?/[^\s?#@]+?)(//(?P<folder>[^\s?#]+?))?\?ref=(?P<ref>[A-Za-z0-9_][^\s?#&]*)"
)
_REGISTRY = re.compile(r"((?P<host>[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(:[0-9]+)?)/)?(?P<module>[\w-]+/[\w-]+/[a-z0-9]+)")


def source_of(block: BuildingBlock) -> Source | tuple[str, str]:
    """Where the block's code is; or what is wrong with how that is written, and what to do."""
    text = block.source
    if found := _GIT.fullmatch(text):
        folder = found["folder"] or ""
        if ".." in folder.split("/") or ".." in found["ref"]:
            return "The source leads out of its repository.", "Write the folder and the ref without .."
        return Git(found["url"], folder.strip("/"), found["ref"])
    if text.startswith("git::") or text.endswith(".git"):
        return (
            "A git source is git::https://host/repository.git//folder?ref=tag (or ssh), with a ref and without a user name.",
            "git::https://git.example/modules.git//network?ref=v1.2.0",
        )
    if _LOCAL.fullmatch(text):
        return Local(text)
    if text.startswith((".", "/", "~")):
        return "A module beside the document begins with ./ and is below the document's folder.", "./modules/network"
    if _SHIPPED.fullmatch(text):
        return Shipped(text)
    if found := _REGISTRY.fullmatch(text):
        if block.version is None:
            return "A module of a registry has an exact version.", 'version: "1.4.2"'
        return Registry(found["host"] or DEFAULT_REGISTRY, found["module"], block.version)
    return (
        "This is no source of a module.",
        "The name of a module that comes with the runner, ./path, git::https://…?ref=…, or namespace/name/provider of a registry.",
    )


def is_allowed(source: Source, allowed: Iterable[str]) -> bool:
    """Whether the source is below one of the allowed places: host and whole parts of the path. What is shipped, or beside the documents,
    always is."""
    if isinstance(source, Shipped | Local):
        return True
    place = source.place.lower().split("/")
    for one in allowed:
        parts = one.partition("://")[2] or one
        wanted = parts.removesuffix(".git").rstrip("/").lower().split("/")
        if place[: len(wanted)] == wanted:
            return True
    return False


def provider(address: str) -> str:
    """A provider's source address in small letters, without the host where that is the engine's own registry."""
    host, _, rest = address.lower().partition("/")
    return rest if host in _OWN_REGISTRIES else address.lower()


# --- the graph -------------------------------------------------------------------------------------------------------


def circle(blocks: Sequence[BuildingBlock]) -> tuple[str, ...]:
    """Keys of blocks that need each other's outputs, each needing the next one, the first one again at the end; empty where none do."""
    needs = {block.key: sorted({given.of for given in block.inputs.values() if given.of}) for block in blocks}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return tuple(reversed(error.args[1]))
    return ()


def chosen(blocks: Sequence[BuildingBlock], by_tenant: Collection[ChosenBlock]) -> tuple[BuildingBlock, ...]:
    """The blocks that a tenant has: all mandatory ones, and the optional ones that it chose."""
    keys = {one.key for one in by_tenant}
    return tuple(block for block in blocks if block.mandatory or block.key in keys)


# --- what a module is given ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Argument:
    """An argument of a module block: an expression of Terraform, or a value that stands in the inputs file."""

    name: str
    expression: str = ""
    value: Any = None


EXPRESSIONS = ("subscriptionId", "scope", "groupIds", "resourceGroupIds")


def expression_of(field: str, resource_groups: Collection[str]) -> str:
    """The expression of a tenant's field that Terraform knows; empty for one that is a value."""
    name, _, part = field.partition(".")
    match name:
        case "subscriptionId" if not part:
            return "var.subscription_id"
        case "scope" if not part:
            return "local.scope"
        case "groupIds":
            return f'local.group_ids["{part}"]' if part else "local.group_ids"
        case "resourceGroupIds" if part:
            return f"module.resource_group_{part}.id"
        case "resourceGroupIds":
            return "{ " + ", ".join(f"{key} = module.resource_group_{key}.id" for key in resource_groups) + " }"
        case _:
            return ""


def arguments_of(
    block: BuildingBlock,
    by_tenant: Mapping[str, JsonValue],
    resource_groups: Collection[str],
    variables: Mapping[str, str],
    tags: Mapping[str, str],
    filled: Any,
) -> tuple[tuple[Argument, ...], tuple[str, ...]]:
    """What the block's module is given, and the inputs that have no value: of a tag or variable that the tenant does not have.
    `filled` puts variables into a value and gives None where one is not known."""
    made: list[Argument] = []
    lacking: list[str] = []
    for name, given in block.inputs.items():
        if name in by_tenant and name in block.tenant_inputs:
            continue
        if given.output is not None:
            made.append(Argument(name, expression=f"module.block_{given.of}.{given.output}"))
        elif given.tenant is not None and (found := expression_of(given.tenant, resource_groups)):
            made.append(Argument(name, expression=found))
        elif given.tenant is not None:
            made.append(Argument(name, value=variables.get(given.tenant, "")))
        elif given.tag is not None:
            if given.tag in tags:
                made.append(Argument(name, value=tags[given.tag]))
            else:
                lacking.append(name)
        elif (value := filled(given.value)) is None and given.value is not None:
            lacking.append(name)
        else:
            made.append(Argument(name, value=value))
    made += [Argument(name, value=value) for name, value in by_tenant.items() if name in block.tenant_inputs]
    return tuple(sorted(made, key=lambda one: one.name)), tuple(lacking)
