"""What the azuread types have in common: plans of the older plugin SDK, checks of object ids, fields of Graph's objects."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runner.sandbox.provider.contract import Failed, Object, Problem
from runner.sandbox.provider.schema import Schema
from runner.sandbox.provider.values import UNKNOWN, Unknown

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class Fields:
    """Which field of a Graph object an argument holds, by kind: Graph leaves out what is empty."""

    texts: Mapping[str, str]
    flags: Mapping[str, str]
    lists: Mapping[str, str]

    def read(self, found: Mapping[str, Any]) -> Object:
        """Read the fields of one object."""
        return {
            **{name: str(found.get(key) or "") for name, key in self.texts.items()},
            **{name: bool(found.get(key)) for name, key in self.flags.items()},
            **{name: list(found.get(key) or ()) for name, key in self.lists.items()},
        }


NAMED_FIELDS = Fields(
    texts={
        "description": "description",
        "display_name": "displayName",
        "mail": "mail",
        "mail_nickname": "mailNickname",
        "onpremises_domain_name": "onPremisesDomainName",
        "onpremises_group_type": "onPremisesGroupType",
        "onpremises_netbios_name": "onPremisesNetBiosName",
        "onpremises_sam_account_name": "onPremisesSamAccountName",
        "onpremises_security_identifier": "onPremisesSecurityIdentifier",
        "preferred_language": "preferredLanguage",
        "theme": "theme",
        "visibility": "visibility",
    },
    flags={
        "assignable_to_role": "isAssignableToRole",
        "mail_enabled": "mailEnabled",
        "onpremises_sync_enabled": "onPremisesSyncEnabled",
        "security_enabled": "securityEnabled",
        "writeback_enabled": "writebackEnabled",
    },
    lists={
        "behaviors": "resourceBehaviorOptions",
        "provisioning_options": "resourceProvisioningOptions",
        "proxy_addresses": "proxyAddresses",
        "types": "groupTypes",
    },
)
"""The fields of a group."""


def on_create(schema: Schema, plan: Object, config: Object) -> Object:
    """Plan a new object: what the provider decides and the configuration leaves open is unknown."""
    return plan | {name: UNKNOWN for name in schema.computed if config[name] is None}


def settled(planned: Object) -> Object:
    """Return a plan whose unknown parts are null: what is known of an object whose create failed."""
    return {name: None if isinstance(value, Unknown) else value for name, value in planned.items()}


def checked_uuids(*names: str) -> Callable[[Object], Iterable[Problem]]:
    """Check arguments that hold object ids, one or several."""

    def checks(config: Object) -> Iterable[Problem]:
        for name in names:
            value = config.get(name)
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, str) and not _UUID.fullmatch(part):
                    yield Problem("Value must be a valid UUID", f"{name} holds {part!r}.", (name,))

    return checks


def import_last_segment(id_: str, prefix: str) -> str:
    """Take the object id out of an import id."""
    object_id = id_.removeprefix(prefix)
    if not id_.startswith(prefix) or not _UUID.fullmatch(object_id):
        raise Failed(
            "Invalid import ID", f'Expected an ID like "{prefix}00000000-0000-0000-0000-000000000000", got "{id_}".'
        )
    return object_id
