"""Managed identities: the `identity` block of a configuration and the `identity` object of a resource. Pure."""

from __future__ import annotations

from typing import Any

from runner.sandbox.provider.contract import Object
from runner.sandbox.provider.values import UNKNOWN

NONE = "None"
KINDS = (NONE, "SystemAssigned", "UserAssigned", "SystemAssigned, UserAssigned")


def to_body(block: Object) -> Object:
    """Write a block as the `identity` of a request."""
    ids = block.get("identity_ids") or []
    return {"type": block["type"]} | ({"userAssignedIdentities": {id_: {} for id_ in ids}} if ids else {})


def from_body(found: Any) -> Object | None:
    """Read the `identity` of a reply as a block."""
    if not isinstance(found, dict) or not found.get("type"):
        return None
    by_word = {kind.replace(" ", "").lower(): kind for kind in KINDS}
    kind = str(found["type"])
    return {
        "type": by_word.get(kind.replace(" ", "").lower(), kind),
        "identity_ids": sorted(ids) if isinstance(ids := found.get("userAssignedIdentities"), dict) else [],
        "principal_id": _text(found.get("principalId")),
        "tenant_id": _text(found.get("tenantId")),
    }


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def refreshed(blocks: list[Object], found: Any) -> list[Object]:
    """Return the blocks of the state after a read: what Azure says, where it says something else than the state."""
    current = from_body(found)
    if current is None or current["type"] == NONE:
        return [block for block in blocks if block["type"] == NONE]
    if blocks and not blocks[0]["identity_ids"] and not current["identity_ids"]:
        current["identity_ids"] = blocks[0]["identity_ids"]
    return [current]


def planned(blocks: Any, prior: list[Object]) -> Any:
    """Plan the blocks of a configuration: an identity that stays keeps its principal, another one's is unknown."""
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        return blocks
    known = (
        prior[0] if blocks and prior and _same(blocks[0], prior[0]) else {"principal_id": UNKNOWN, "tenant_id": UNKNOWN}
    )
    return [{**block, "principal_id": known["principal_id"], "tenant_id": known["tenant_id"]} for block in blocks]


def _same(left: Object, right: Object) -> bool:
    """Compare kind and ids; ids are not case-sensitive and their order says nothing."""
    return bool(left["type"] == right["type"] and _ids(left) == _ids(right))


def _ids(block: Object) -> Any:
    ids = block.get("identity_ids")
    return sorted(str(id_).lower() for id_ in ids or ()) if isinstance(ids, list) or ids is None else ids


def completed(blocks: list[Object], found: Any) -> list[Object]:
    """Fill in the principal of planned blocks from a reply."""
    current = from_body(found) or {"principal_id": None, "tenant_id": None}
    return [{**block, "principal_id": current["principal_id"], "tenant_id": current["tenant_id"]} for block in blocks]
