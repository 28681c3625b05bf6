"""Azure tags made from a platform's tag mappers: `${…}` patterns, and the limits Azure sets.

Variables are meshStack's ("How to Manage Tags": extra metadata) and, by name, the tags of project, payment method and workspace.
Keys and values that are too long are cut and illegal characters of keys replaced, each with a warning, as meshStack does; a
reserved prefix, a key of spaces or with some around it, control characters, two keys that become one and a 51st tag are errors. Limits:
https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources#limitations
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from runner.domain.access import Warn
from runner.domain.landing_zone import LandingZone
from runner.domain.platform import AzurePlatform
from runner.domain.tenant import Owner, Tenant

LONGEST_KEY = 512
LONGEST_VALUE = 256
MOST_TAGS = 50
RESERVED = ("microsoft", "azure", "windows")
NONE = "none"

_ILLEGAL = re.compile(r"[<>%&\\?/]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_VARIABLE = re.compile(r"\$\{([^{}]*)\}")


@dataclass(frozen=True)
class TagWrong:
    """Why a tag cannot be set, and what to do. `path` is the place in the platform's spec, as `("tenantTags", …, 3, "key")`."""

    path: tuple[str | int, ...]
    what: str
    hint: str


@dataclass(frozen=True)
class Tagging:
    """The tags of a tenant. They are to be used only where nothing is `wrong`."""

    tags: dict[str, str] = field(default_factory=dict)
    warnings: tuple[Warn, ...] = ()
    wrong: tuple[TagWrong, ...] = ()


@dataclass(frozen=True)
class Key:
    """A mapper's key as Azure gets it."""

    text: str
    warnings: tuple[Warn, ...] = ()
    wrong: TagWrong | None = None


def tags_of(platform: AzurePlatform, zone: LandingZone | None, tenant: Tenant) -> Tagging:
    """The Azure tags of the tenant's subscription or resource group.

    A mapper whose pattern names a tag that the tenant does not have sets no tag and gives a warning.
    """
    values = variables(zone, tenant)
    tags: dict[str, str] = {}
    warnings: list[Warn] = []
    keys = keys_of(platform)
    for mapper, key in zip(platform.spec.tenant_tags.tag_mappers, keys, strict=True):
        absent = [name for name in names_in(mapper.value_pattern) if name not in values]
        if absent:
            warnings.append(_left_out(key.text, absent[0]))
            continue
        value = _VARIABLE.sub(lambda match: values[match[1]], mapper.value_pattern)
        if len(value) > LONGEST_VALUE:
            warnings.append(_cut(f"The value of the Azure tag {key.text}", len(value), LONGEST_VALUE))
        tags[key.text] = value[:LONGEST_VALUE]
    return Tagging(tags, (*(warn for key in keys for warn in key.warnings), *warnings), wrong_keys(platform, keys))


def spellings(mapped: Mapping[str, str], existing: Mapping[str, str]) -> dict[str, str]:
    """How mapped tags that exist in other capitals are written in Azure, which does not tell them apart and keeps the first spelling.

    Set under the mapped spelling, such a tag would come back in the other one and show as a change in every plan.
    """
    there = {name.casefold(): name for name in existing}
    return {name: there[name.casefold()] for name in mapped if there.get(name.casefold(), name) != name}


def stale(platform: AzurePlatform, mapped: Mapping[str, str], existing: Mapping[str, str]) -> dict[str, str]:
    """Existing tags that are the runner's by their prefix and that nothing maps. Without a prefix, none."""
    prefix = platform.spec.tenant_tags.namespace_prefix.casefold()
    wanted = {name.casefold() for name in mapped}
    return {
        name: value
        for name, value in sorted(existing.items())
        if prefix and name.casefold().startswith(prefix) and name.casefold() not in wanted
    }


def taken_over(
    platform: AzurePlatform, fresh: Mapping[str, str], existing: Mapping[str, str], spelled: Mapping[str, str]
) -> tuple[Warn, ...]:
    """Existing tags that somebody else has set and that get another value, or keep another spelling than the mapped one.

    `fresh` are the mapped tags that were not the runner's before, in the spelling that exists; `spelled` is what `spellings` gave. A tag
    with the prefix is the runner's own, whoever wrote it.
    """
    prefix = platform.spec.tenant_tags.namespace_prefix.casefold()
    written = {there: mapped for mapped, there in spelled.items()}
    warnings: list[Warn] = []
    for name in sorted(fresh.keys() & existing.keys()):
        owned = bool(prefix) and name.casefold().startswith(prefix)
        if existing[name] != fresh[name] and not owned:
            text = (
                f'The Azure tag "{_short(name)}" exists already and was set by somebody else: its value becomes "{_short(fresh[name])}" '
                f'instead of "{_short(existing[name])}", and the tag is removed once nothing maps it. To leave it alone, '
                "take its key out of tenantTags or set a namespacePrefix."
            )
            warnings.append(Warn(code="tag-taken-over", text=text))
        if name in written:
            text = (
                f'The Azure tag "{_short(written[name])}" exists already as "{_short(name)}" and is set under that name: Azure takes both '
                "for one. Where the spelling matters, remove the tag in Azure and plan again."
            )
            warnings.append(Warn(code="tag-spelled-differently", text=text))
    return tuple(warnings)


def too_many(mapped: Mapping[str, str], existing: Mapping[str, str], going: Collection[str]) -> tuple[str, ...] | None:
    """Names of the tags of others, where they and the mapped ones are more than Azure takes; `going` are those that are taken away."""
    ours = {name.casefold() for name in (*mapped, *going)}
    others = tuple(sorted(name for name in existing if name.casefold() not in ours))
    return others if len(mapped) + len(others) > MOST_TAGS else None


def keys_of(platform: AzurePlatform) -> tuple[Key, ...]:
    """The mappers' keys with the prefix, in order."""
    prefix = platform.spec.tenant_tags.namespace_prefix
    return tuple(
        _key(prefix + mapper.key, ("tenantTags", "tagMappers", index, "key"))
        for index, mapper in enumerate(platform.spec.tenant_tags.tag_mappers)
    )


def wrong_keys(platform: AzurePlatform, keys: tuple[Key, ...]) -> tuple[TagWrong, ...]:
    """What is wrong with the mappers of a platform, whatever the tenant."""
    wrong = [key.wrong for key in keys if key.wrong]
    mappers = platform.spec.tenant_tags.tag_mappers
    first: dict[str, int] = {}
    for index, key in enumerate(keys):
        other = first.setdefault(key.text.casefold(), index)
        if other != index:
            wrong.append(
                TagWrong(
                    ("tenantTags", "tagMappers", index, "key"),
                    f'It becomes the Azure tag "{_short(key.text)}", as the key "{_short(mappers[other].key)}" does; Azure does not '
                    "tell capitals from small letters.",
                    "Give one of them another key.",
                )
            )
    if len(keys) > MOST_TAGS:
        wrong.append(
            TagWrong(
                ("tenantTags", "tagMappers", MOST_TAGS),
                f"It is the {MOST_TAGS + 1}st tag of {len(keys)}; Azure takes at most {MOST_TAGS}.",
                f"Remove {len(keys) - MOST_TAGS}, or put several values into one tag.",
            )
        )
    return tuple(wrong)


def names_in(pattern: str) -> tuple[str, ...]:
    """The variables that a value pattern uses, each once."""
    return tuple(dict.fromkeys(_VARIABLE.findall(pattern)))


def pattern_wrong(pattern: str) -> tuple[str, str] | None:
    """What is wrong with how a value pattern is written, and what to do."""
    rest = _VARIABLE.sub("", pattern)
    if "${" in rest:
        return "${ is opened and never closed.", "Close it with }."
    if "" in names_in(pattern):
        return "${} names no variable.", "Write a variable between the braces, as ${projectName}."
    if "#{" in rest:
        return "#{…} belongs into name patterns.", "Here, variables are written ${…}."
    return None


def nearest(name: str) -> str:
    """The variable that was probably meant; empty when none is near."""
    return next(iter(get_close_matches(name, VARIABLES, n=1, cutoff=0.8)), "")


def variables(zone: LandingZone | None, tenant: Tenant) -> dict[str, str]:
    """Values of all variables: the fixed ones go before tags of the same name."""
    spec, payment = tenant.spec, tenant.spec.payment
    nobody = Owner(username=NONE, first_name=NONE, last_name=NONE)
    owner, additional = [*spec.owners, nobody, nobody][:2]
    return {
        **tenant.tags,
        "projectIdentifier": spec.project_identifier,
        "projectName": spec.project_name,
        "workspaceIdentifier": spec.workspace_identifier,
        "workspaceName": spec.workspace_name,
        "customerIdentifier": spec.workspace_identifier,  # the older name of a workspace
        "customerName": spec.workspace_name,
        "landingZoneIdentifier": zone.name if zone else "no-landingzone",
        "landingZoneName": (zone.spec.display_name or zone.name) if zone else "no-landingzone",
        "paymentIdentifier": payment.identifier if payment else NONE,
        "paymentName": (payment.name or payment.identifier) if payment else NONE,
        "paymentExpirationDate": (payment and payment.expiration_date) or NONE,
        "paymentAmount": (payment and payment.amount) or NONE,
        "contactMail": spec.contact_mail or owner.email or NONE,
        "ownerUsername": owner.username,
        "ownerFirstName": owner.first_name,
        "ownerLastName": owner.last_name,
        "additionalOwnerUsername": additional.username,
        "additionalOwnerFirstName": additional.first_name,
        "additionalOwnerLastName": additional.last_name,
    }


VARIABLES = (
    *("projectIdentifier", "projectName", "workspaceIdentifier", "workspaceName", "customerIdentifier", "customerName"),
    *("landingZoneIdentifier", "landingZoneName", "contactMail"),
    *("paymentIdentifier", "paymentName", "paymentExpirationDate", "paymentAmount"),
    *("ownerUsername", "ownerFirstName", "ownerLastName"),
    *("additionalOwnerUsername", "additionalOwnerFirstName", "additionalOwnerLastName"),
)


def _key(wanted: str, path: tuple[str | int, ...]) -> Key:
    warnings = []
    text = _ILLEGAL.sub("_", wanted)
    if text != wanted:
        warnings.append(
            Warn(
                code="tag-key-changed",
                text=f'The Azure tag "{_short(wanted)}" is written "{_short(text)}": '
                "Azure does not take < > % & \\ ? / in tag names.",
            )
        )
    if len(text) > LONGEST_KEY:
        warnings.append(_cut(f'The name of the Azure tag "{_short(text)}"', len(text), LONGEST_KEY))
    text = text[:LONGEST_KEY]
    refused = _key_refused(text)
    return Key(text, tuple(warnings), TagWrong(path, *refused) if refused else None)


def _key_refused(text: str) -> tuple[str, str] | None:
    """Why Azure would not take a name that is short enough, and what to do. Other characters are the warnings' matter."""
    if not text.strip():
        return "The Azure tag would have an empty name.", "Write a key that is more than spaces."
    if control := _CONTROL.search(text):
        return (
            f'The Azure tag "{_short(text)}" has the control character U+{ord(control.group()):04X} in its name.',
            "Remove it from the key and from namespacePrefix.",
        )
    if text != text.strip():
        return (
            f'The Azure tag "{_short(text)}" begins or ends with a space.',
            "Remove the space from the key or from namespacePrefix.",
        )
    reserved = next((prefix for prefix in RESERVED if text.casefold().startswith(prefix)), None)
    if reserved:
        return (
            f'The Azure tag "{_short(text)}" begins with "{reserved}", which Azure reserves for itself.',
            "Choose another key or namespacePrefix.",
        )
    return None


def _left_out(key: str, name: str) -> Warn:
    return Warn(
        code="tag-left-out",
        text=f'The Azure tag "{_short(key)}" is not set: ${{{_short(name)}}} is neither a variable nor a tag of the tenant.',
    )


def _cut(what: str, length: int, longest: int) -> Warn:
    return Warn(code="tag-cut", text=f"{what} has {length} characters and is cut to {longest}.")


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
