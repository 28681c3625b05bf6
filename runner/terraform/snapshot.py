"""What is read of a Terraform state: its header, and what in it is half made. A state holds secrets; nothing of it is kept here.

`errored.tfstate` is what an engine leaves in its directory when it cannot hand in a state: the only record of what it made. Of a
tenant's first state it has no lineage and the serial 0, for Terraform gives both only after it asked the backend whether there is
a state already (observed with 1.11.4).
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from typing import Any

from runner.ports import StateVersion

ERRORED = "errored.tfstate"
# What Azure keeps when making it has failed, and what making it once more brings to its end.
_KEPT = (
    "Microsoft.Resources/resourceGroups@",
    "Microsoft.Blueprint/blueprintAssignments@",
    "Microsoft.Resources/deploymentStacks@",
    "Microsoft.Authorization/roleAssignments@",
)


def header(content: bytes | None) -> tuple[str, int]:
    """Lineage and serial; ("", 0) where there is no state."""
    if content is None:
        return "", 0
    document = json.loads(content)
    return str(document["lineage"]), int(document["serial"])


def continues(content: bytes, earlier: bytes) -> bool:
    """Whether a state is the earlier one, handed in to a backend: some count its serial on (observed with azurerm)."""
    this, that = json.loads(content), json.loads(earlier)
    same = all(this.get(part) == that.get(part) for part in ("lineage", "resources", "outputs"))
    return same and int(this["serial"]) >= int(that["serial"])


def with_lineage(content: bytes) -> bytes:
    """A tenant's first state with a lineage and the serial 1; any other as it is.

    Nothing else is touched: printing it again could round its numbers.
    """
    try:
        state = json.loads(content)
        if state["lineage"] or state["serial"]:
            return content
    except (ValueError, KeyError, TypeError):
        return content
    lineage = str(uuid.uuid4())
    given = re.sub(rb'("lineage"\s*:\s*)""', rb'\1"%s"' % lineage.encode(), content, count=1)
    given = re.sub(rb'("serial"\s*:\s*)0\b', rb"\g<1>1", given, count=1)
    return given if json.loads(given) == state | {"lineage": lineage, "serial": 1} else content


def is_in(content: bytes, current: StateVersion) -> bool:
    """Whether it had been handed in after all: the kept state has its lineage, and has gone on."""
    try:
        state = json.loads(content)
        return bool(state["lineage"] == current.lineage and state["serial"] <= current.serial)
    except (ValueError, KeyError, TypeError):
        return False


def half_made(content: bytes) -> list[str]:
    """Addresses of the resource groups, blueprint assignments, deployment stacks and role assignments that are tainted: Azure made them
    and answered with an error, or not at all, or nobody waited for the answer.

    Such a thing would be deleted and made again: a group with all that is in it, which its module rightly forbids, a stack or an
    assignment with what it protects, a role with the access of people at work. One that exists is as good as any, and a change brings
    it to its end.
    """
    return [
        f"{resource['module']}.{resource['type']}.{resource['name']}{_index(instance)}"
        for resource in json.loads(content).get("resources", [])
        for instance in resource.get("instances", [])
        if instance.get("status") == "tainted"
        and resource.get("module")
        and str(instance.get("attributes", {}).get("type")).startswith(_KEPT)
    ]


def _index(instance: Mapping[str, Any]) -> str:
    """How an address ends for one of several: quoted as JSON, in which nothing is evaluated for keys without `${`."""
    key = instance.get("index_key")
    return "" if key is None else f"[{json.dumps(key, ensure_ascii=False)}]"
