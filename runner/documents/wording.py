"""The words for a text that does not match its pattern: what it looks like instead, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from runner.documents.problems import nearest, shown
from runner.domain import (
    approval,
    blueprint,
    building_block,
    deployment_stack,
    document,
    landing_zone,
    parameters,
    platform,
    provisioning,
    state,
    tenant,
)
from runner.domain.wording import ROLE_NAMES


@dataclass(frozen=True, slots=True)
class Words:
    """What is wrong and what to do. `secretly` says it without the value."""

    message: str
    hint: str = ""
    secretly: str = "The value (not shown) is not what belongs here."


LIST_MANAGEMENT_GROUPS: Final = (
    'az account management-group list --query "[].{displayName:displayName, id:name}" --output table'
)
LIST_LOCATIONS: Final = 'az account list-locations --query "[].name" --output tsv'
LIST_SUBSCRIPTIONS: Final = 'az account list --query "[].{name:name, id:id}" --output table'
_CLOUDS_ELSEWHERE: Final = {
    "azurecloud": "public",
    "azurepubliccloud": "public",
    "azurepublic": "public",
    "azureusgovernment": "usgov",
    "azureusgovernmentcloud": "usgov",
    "usgovernment": "usgov",
    "azurechinacloud": "china",
    "azurechina": "china",
}
_UUID_INSIDE = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


def words_for_pattern(pattern: str, value: str, field: str) -> Words:
    """The words for a value that does not match the pattern of a field."""
    words = _WORDS.get(pattern)
    return words(value, field) if words else Words(f"{shown(value)} is not what belongs here.")


def words_for_cloud(value: str, known: Sequence[str]) -> Words:
    """The words for a cloud that is none of the known ones; `az` and Terraform have other names for the same clouds."""
    meant = _CLOUDS_ELSEWHERE.get(value.casefold()) or nearest(value, known)
    block = "cloud: {authority: https://…, resourceManager: https://…, graph: https://…}"
    return Words(
        f"{shown(value)} is not one of {', '.join(known[:-1])} or {known[-1]}, nor a block of addresses.",
        f"Did you mean {meant}?" if meant else f"Another cloud is given by its addresses: {block}",
    )


def _uuid(value: str, field: str) -> Words:
    role = next((known for known, name in ROLE_NAMES.items() if name.casefold() == value.strip().casefold()), None)
    if role and field in ("azureRoleDefinitionId", "id"):
        return Words(
            f"{shown(value)} is the name of a role; its id belongs here.", f"{role}  is the role {ROLE_NAMES[role]}."
        )
    inside = _UUID_INSIDE.findall(value)
    if inside:
        return Words(f"{shown(value)} has more than an id in it.", f"Only the id belongs here: {inside[-1]}")
    hint = {
        "platformTenantId": LIST_SUBSCRIPTIONS,
        "subscriptionId": LIST_SUBSCRIPTIONS,
        "azureRoleDefinitionId": f'az role definition list --name {shown(value)} --query "[].name" --output tsv',
    }.get(field, "An id has 32 hexadecimal digits, as 00000000-0000-0000-0000-000000000000.")
    return Words(f"{shown(value)} is not an id (a UUID).", hint)


def _management_group(value: str, _: str) -> Words:
    if "/" in value:
        return Words(
            f"{shown(value)} is a path; only its last part, the group's id, belongs here.",
            value.rstrip("/").rsplit("/", 1)[-1][:90],
        )
    if any(char.isspace() for char in value):
        return Words(f"{shown(value)} is a display name; a management group id has no spaces.", LIST_MANAGEMENT_GROUPS)
    return Words(
        f"{shown(value)} is not a management group id: letters, digits and -_.() only, and no dot at the end.",
        LIST_MANAGEMENT_GROUPS,
    )


def _location(value: str, _: str) -> Words:
    faults = [
        fault
        for fault, found in (("spaces", any(map(str.isspace, value))), ("capitals", value != value.lower()))
        if found
    ]
    likely = "".join(char for char in value.lower() if char.isascii() and char.isalnum())
    if faults and re.fullmatch(document.LOCATION, likely):
        count = "neither" if len(faults) == 2 else "none"
        return Words(
            f"{shown(value)} has {' and '.join(faults)}; a location has {count}.",
            f"Did you mean {likely}? All locations:\n{LIST_LOCATIONS}",
        )
    return Words(f"{shown(value)} is not a location: small letters and digits only.", LIST_LOCATIONS)


def _url(value: str, _: str) -> Words:
    if "?" in value or "#" in value or "@" in value:
        return Words(
            "The address carries more than a place: a key, a query or a user name.",
            "Write it without; the runner signs in to the function with its own identity.",
        )
    if not value.startswith("https://"):
        return Words(f"{shown(value)} is not an address that begins with https://.")
    return Words(f"{shown(value)} is not an address: it has a space in it, or no host.")


def _variable_name(value: str, _: str) -> Words:
    message = "That is not the name of an environment variable (it is not shown: it may be the secret itself)."
    hint = "Put the secret into an environment variable and its name here. If a secret stood here, replace it: files are copied."
    return Words(message, hint, message)


def _entra_tenant(value: str, _: str) -> Words:
    return Words(
        f"{shown(value)} is neither the id nor a domain of an Entra tenant.",
        "As 00000000-0000-0000-0000-000000000000 or corp.example.",
    )


def _identifier(value: str, _: str) -> Words:
    likely = re.sub(r"[^A-Za-z0-9._-]+", "-", value).strip("-._")
    return Words(
        f"{shown(value)} is not an identifier: letters, digits and -_. only, and a letter or digit first.",
        f"Did you mean {likely[:60]}?" if likely else "",
    )


def _suffix(value: str, _: str) -> Words:
    return Words(f"{shown(value)} cannot be part of a group's name here: letters, digits, - and _ only.")


def _email(value: str, _: str) -> Words:
    return Words(f"{shown(value)} is not an e-mail address.")


def _application(value: str, _: str) -> Words:
    return Words(
        f"{shown(value)} is not an application's id.",
        "It is the App (client) ID under Authentication of the function app: a UUID, or an address as api://…",
    )


def _block_key(value: str, _: str) -> Words:
    return Words(
        f"{shown(value)} is not a key: a small letter, then up to 40 small letters, digits or _.",
        "As network or log_archive.",
    )


def _enrollment(value: str, _: str) -> Words:
    return Words(
        f"{shown(value)} is not the id of an enrollment account.",
        "As /providers/Microsoft.Billing/billingAccounts/1234567/enrollmentAccounts/654321.",
    )


def _invoice_section(value: str, _: str) -> Words:
    return Words(
        f"{shown(value)} is not the id of an invoice section.",
        "As /providers/Microsoft.Billing/billingAccounts/…/billingProfiles/…/invoiceSections/…: az billing invoice section list shows it.",
    )


def _directory(value: str, _: str) -> Words:
    if value.startswith("/"):
        return Words(f"{shown(value)} has a control character in it.", "Remove it from the path.")
    return Words(
        f"{shown(value)} is no path from the root: where it leads would depend on the directory that the runner is started in.",
        "Write the whole path, as /var/lib/lzr/states.",
    )


def _deployment_name(value: str, _: str) -> Words:
    likely = re.sub(r"[^A-Za-z0-9_-]+", "-", value).strip("-_")
    return Words(
        f"{shown(value)} cannot be a name here: letters, digits, - and _ only, and a letter or digit first.",
        f"Did you mean {likely[:48]}?" if likely else "",
    )


def _parameter_name(value: str, _: str) -> Words:
    return Words(f"{shown(value)} is not the name of a parameter: a letter, then letters, digits, - and _.")


def _version_name(value: str, _: str) -> Words:
    return Words(
        f"{shown(value)} is not a version's name.",
        value.rstrip("/").rpartition("/")[2][:90] if "/" in value else "As 1.0 or v3.",
    )


def _user_assigned_identity(value: str, _: str) -> Words:
    return Words(
        f"{shown(value)} is not the resource id of a user-assigned identity.",
        "As /subscriptions/…/resourceGroups/…/providers/Microsoft.ManagedIdentity/userAssignedIdentities/…: "
        'az identity list --query "[].id" --output tsv',
    )


def _template_spec(value: str, _: str) -> Words:
    if "/versions/" in value:
        return Words(f"{shown(value)} names a version as well.", "Write what stands behind /versions/ as version.")
    return Words(
        f"{shown(value)} is not the resource id of a template spec.", 'az ts list --query "[].id" --output tsv'
    )


def _input_name(value: str, _: str) -> Words:
    return Words(
        f"{shown(value)} is not the name of a variable or output in Terraform: a letter, then letters, digits, _ and -."
    )


def _tenant_field(value: str, _: str) -> Words:
    return Words(
        f"{shown(value)} is not a field of a tenant.", "As subscriptionId, scope, groupIds.admin or projectName."
    )


def _allowed_source(value: str, _: str) -> Words:
    return Words(
        f"{shown(value)} is not a host or the beginning of an address, without a user name.",
        "As git.corp.example/platform.",
    )


def _allowed_provider(value: str, _: str) -> Words:
    return Words(
        f"{shown(value)} is not the source address of a provider.",
        "As hashicorp/random or registry.corp.example/team/tool.",
    )


def _rule_name(value: str, _: str) -> Words:
    return Words(f"{shown(value)} is no name of a rule.", "Lower case letters, digits and dashes, as only-tags.")


def _check_name(value: str, _: str) -> Words:
    return Words(
        f"{shown(value)} is no name of a check: a file in the server's directory of checks, without any path.",
        "Lower case letters, digits, dots, dashes and underscores, as conftest or cost.sh. A command is never in a document.",
    )


_WORDS: dict[str, Callable[[str, str], Words]] = {
    document.UUID: _uuid,
    document.ENTRA_TENANT: _entra_tenant,
    document.IDENTIFIER: _identifier,
    approval.RULE_NAME: _rule_name,
    approval.CHECK_NAME: _check_name,
    document.VARIABLE_NAME: _variable_name,
    blueprint.USER_ASSIGNED_IDENTITY: _user_assigned_identity,
    blueprint.VERSION_NAME: _version_name,
    parameters.DEPLOYMENT_NAME: _deployment_name,
    parameters.PARAMETER_NAME: _parameter_name,
    deployment_stack.TEMPLATE_SPEC: _template_spec,
    building_block.ALLOWED_PROVIDER: _allowed_provider,
    building_block.ALLOWED_SOURCE: _allowed_source,
    building_block.NAME: _input_name,
    building_block.TENANT_FIELD: _tenant_field,
    platform.HTTPS_URL: _url,
    platform.GROUP_SUFFIX: _suffix,
    document.MANAGEMENT_GROUP: _management_group,
    document.LOCATION: _location,
    landing_zone.APPLICATION: _application,
    document.BLOCK_KEY: _block_key,
    provisioning.ENROLLMENT_ACCOUNT: _enrollment,
    provisioning.INVOICE_SECTION: _invoice_section,
    state.DIRECTORY: _directory,
    tenant.EMAIL: _email,
}
