"""Azure resource ids: building one from name, parent and type, and taking one apart. Pure; knows no request."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

RESOURCE_GROUP = "Microsoft.Resources/resourceGroups"
SUBSCRIPTION = "Microsoft.Resources/subscriptions"
TENANT = "Microsoft.Resources/tenants"
PROVIDER = "Microsoft.Resources/providers"


class InvalidId(ValueError):
    """An id, a parent or a type that do not make a resource."""


@dataclass(frozen=True)
class ResourceId:
    """One resource at one version of its API."""

    id: str
    name: str
    parent_id: str
    type: str
    api_version: str

    @property
    def versioned_type(self) -> str:
        return f"{self.type}@{self.api_version}"

    def __str__(self) -> str:
        return f'Resource: (ResourceId "{self.id}" / Api Version "{self.api_version}")'


def split_type(versioned: str) -> tuple[str, str]:
    """Split `<type>@<api-version>`."""
    type_, at, version = versioned.partition("@")
    if not at or not type_ or not version or "@" in version:
        raise InvalidId("`type` is invalid, it should be like `ResourceProvider/resourceTypes@ApiVersion`")
    return type_, version


def type_of(id_: str) -> str:
    """Return the type that an id spells."""
    if id_ == "/":
        return TENANT
    _, found, tail = id_.rpartition("/providers/")
    if not found:
        segments = [part for part in id_.split("/") if part]
        if len(segments) == 2:
            return SUBSCRIPTION
        return RESOURCE_GROUP if len(segments) == 4 and segments[2].lower() == "resourcegroups" else ""
    namespace, *segments = [part for part in tail.split("/") if part]
    return "/".join([namespace, *segments[::2]]) if segments else PROVIDER


def name_of(id_: str) -> str:
    """Return the last segment of an id."""
    return id_.rstrip("/").rpartition("/")[2]


def parent_of(id_: str) -> str:
    """Return the id of the resource, group, subscription or tenant that holds a resource."""
    type_ = type_of(id_)
    if type_ in (SUBSCRIPTION, TENANT):
        return "/"
    is_nested = type_ in (RESOURCE_GROUP, PROVIDER) or type_.count("/") > 1
    cut = 2 if is_nested else 4  # /<type>/<name>, or /providers/<namespace>/<type>/<name>
    return id_.rstrip("/").rsplit("/", cut)[0] or "/"


def build(name: str, parent_id: str, versioned: str) -> ResourceId:
    """Make the id of a resource called `name` below `parent_id`."""
    type_, version = split_type(versioned)
    scope = "" if parent_id == "/" else parent_id
    match type_.count("/"):
        case 0:
            id_ = f"{scope}/providers/{name}"
        case 1:
            id_ = _top_level(name, scope, type_)
        case _:
            parent_type, _, last = type_.rpartition("/")
            if type_of(parent_id).lower() != parent_type.lower():
                raise InvalidId(f"`parent_id` is invalid: expect ID of `{parent_type}`")
            id_ = f"{parent_id}/{last}/{name}"
    return ResourceId(id_, name, parent_id, type_, version)


def _top_level(name: str, scope: str, type_: str) -> str:
    match type_.lower():
        case "microsoft.resources/resourcegroups":
            return f"{scope}/resourceGroups/{name}"
        case "microsoft.resources/subscriptions":
            return f"/subscriptions/{name}"
        case "microsoft.resources/tenants":
            return "/"
        case "microsoft.resources/providers":
            return f"{scope}/providers/{name}"
        case _:
            return f"{scope}/providers/{type_}/{name}"


def parse(id_: str, versioned: str) -> ResourceId:
    """Take apart an id whose type is known; the id stays as it was spelled."""
    type_, version = split_type(versioned)
    if not id_.startswith("/"):
        raise InvalidId(f"`resource_id` is invalid, it should start with '/': {id_!r}")
    spelled = type_of(id_)
    is_provider = spelled == PROVIDER and "/" not in type_
    if spelled.lower() != type_.lower() and not is_provider:
        raise InvalidId(f"`resource_id` and `type` are not matched, expect `type` to be {spelled}, but got {type_}")
    return ResourceId(id_, name_of(id_), parent_of(id_), type_, version)


def parse_import(text: str) -> ResourceId:
    """Take apart an import id: a resource id with `?api-version=`."""
    parts = urlsplit(text)
    version = parse_qs(parts.query).get("api-version", [""])[0]
    if not parts.path:
        raise InvalidId("ID was missing the 'azure resource id' element")
    if not version:
        raise InvalidId("ID was missing the 'api-version' element")
    return parse(parts.path, f"{type_of(parts.path)}@{version}")
