"""What changed between two versions of a Terraform state, without what is sensitive in either.

State format 4: a resource's instances have `attributes` and `sensitive_attributes`, a list of paths; each path is a list of steps with
`type` (`get_attr`, `index`) and `value`. A path that cannot be read masks the whole instance.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from runner.domain.access import Frozen
from runner.domain.plan import SENSITIVE, AttributeChange


class Difference(Frozen):
    """A resource that came, went or changed from one version to the other. `attributes` are masked."""

    address: str
    kind: str
    attributes: tuple[AttributeChange, ...]


def differences(older: bytes, newer: bytes) -> tuple[Difference, ...]:
    """What is different, by address; ValueError where either is no state."""
    before, after = dict(_instances(older)), dict(_instances(newer))
    found = []
    for address in sorted(before.keys() | after.keys()):
        old, new = before.get(address), after.get(address)
        if old == new:
            continue
        kind = "added" if old is None else "removed" if new is None else "changed"
        found.append(Difference(address=address, kind=kind, attributes=tuple(_compared(old, new))))
    return tuple(found)


def _compared(old: _Instance | None, new: _Instance | None) -> Iterator[AttributeChange]:
    before, after = old.attributes if old else {}, new.attributes if new else {}
    masked = (old.masked if old else frozenset()) | (new.masked if new else frozenset())
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            hidden = name in masked or "" in masked
            yield AttributeChange(
                path=name,
                before=None if name not in before else SENSITIVE if hidden else before[name],
                after=None if name not in after else SENSITIVE if hidden else after[name],
            )


class _Instance(Frozen):
    """`masked` are the attributes with anything sensitive in them; an empty name masks all of them."""

    attributes: dict[str, Any]
    masked: frozenset[str]


def _instances(content: bytes) -> Iterator[tuple[str, _Instance]]:
    state = json.loads(content)
    if not isinstance(state, dict):
        raise ValueError("no state")
    for resource in state.get("resources") or ():
        if resource.get("mode") != "managed":
            continue
        module = f"{resource['module']}." if resource.get("module") else ""
        for instance in resource.get("instances") or ():
            key = instance.get("index_key")
            index = "" if key is None else f"[{json.dumps(key)}]"
            address = f"{module}{resource['type']}.{resource['name']}{index}"
            yield address, _Instance(attributes=instance.get("attributes") or {}, masked=frozenset(_masked(instance)))


def _masked(instance: Mapping[str, Any]) -> Iterator[str]:
    for path in instance.get("sensitive_attributes") or ():
        first = path[0] if isinstance(path, list) and path else None
        name = first.get("value") if isinstance(first, dict) else None
        yield name if isinstance(name, str) else ""
