"""Reading the engine's plan (`show -json`, format version 1.x): what a reviewer may see, masked while it is read.

`show -json` prints sensitive values in clear beside their marks (observed with terraform 1.11.4), so nothing of it may be kept
or shown before it went through `read`. Whether a value changes is decided before masking, or an update of a secret would look
like nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from runner.domain.access import Frozen
from runner.errors import EngineFailed

SENSITIVE = "(sensitive value)"
UNKNOWN = "(known after apply)"


class Action(StrEnum):
    """What happens to a resource."""

    CREATE = "create"
    READ = "read"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    FORGET = "forget"
    NO_OP = "no-op"


ACTIONS = {
    ("create",): Action.CREATE,
    ("read",): Action.READ,
    ("update",): Action.UPDATE,
    ("delete",): Action.DELETE,
    ("forget",): Action.FORGET,
    ("no-op",): Action.NO_OP,
    ("delete", "create"): Action.REPLACE,
    ("create", "delete"): Action.REPLACE,
}


class AttributeChange(Frozen):
    """One attribute that changes. `before` and `after` are for people: masked, unknowns said as such; None means absent."""

    path: str
    before: Any = None
    after: Any = None
    forces_replacement: bool = False


class ResourceChange(Frozen):
    """One resource that changes, or that somebody changed behind the runner's back (`drift`)."""

    address: str
    module: str
    type: str
    name: str
    key: str
    action: Action
    reason: str = ""
    importing: str | None = None
    before: Any = None
    after: Any = None
    attributes: tuple[AttributeChange, ...] = ()

    @property
    def block(self) -> str:
        """Name of the root module's call that the resource belongs to; empty for the root itself."""
        return self.module.split(".")[1].split("[")[0] if self.module.startswith("module.") else ""


class Plan(Frozen):
    """What the engine would do, without a single sensitive value. `resources` counts those that exist and stay managed."""

    changes: tuple[ResourceChange, ...] = ()
    drift: tuple[ResourceChange, ...] = ()
    outputs: dict[str, Any] = {}
    resources: int = 0

    @property
    def empty(self) -> bool:
        return not self.changes

    def count(self, *actions: Action) -> int:
        return sum(change.action in actions for change in self.changes)


def read(document: Mapping[str, Any]) -> Plan:
    """Read the JSON of a plan. EngineFailed when it is of a format or holds an action this version does not know."""
    version = str(document.get("format_version", ""))
    if version.partition(".")[0] != "1":
        raise EngineFailed(
            "Unknown plan format",
            code="unreadable-plan",
            detail=f"The engine wrote plan format {version or '(none)'}; this version reads 1.x.",
            hint="Use an engine this version supports (lzr --version names them).",
        )
    entries = [entry for entry in document.get("resource_changes", ()) if entry.get("mode", "managed") == "managed"]
    changes = [read_change(entry) for entry in entries]
    drift = [read_drift(entry) for entry in document.get("resource_drift", ()) if entry.get("mode") == "managed"]
    prior = document.get("prior_state", {}).get("values", {}).get("outputs", {})
    return Plan(
        changes=tuple(change for change in changes if change.action is not Action.NO_OP or change.importing),
        drift=tuple(change for change in drift if change.attributes or change.action is Action.DELETE),
        outputs={name: SENSITIVE if out.get("sensitive") else out.get("value") for name, out in prior.items()},
        resources=sum(change.action not in (Action.DELETE, Action.FORGET) for change in changes),
    )


def read_change(entry: Mapping[str, Any]) -> ResourceChange:
    """Read one entry of `resource_changes` or `resource_drift`."""
    change = entry["change"]
    action = ACTIONS.get(tuple(change["actions"]))
    if action is None:  # from a newer engine: shown as harmless, it would mislead the reviewer
        raise EngineFailed(
            "Unknown plan action",
            code="unreadable-plan",
            detail=f"{entry['address']}: {', '.join(change['actions'])}.",
            hint="Use an engine this version supports.",
        )
    replacing = {".".join(str(part) for part in path) for path in change.get("replace_paths", ())}
    attributes = tuple(
        AttributeChange(path=path, before=before, after=after, forces_replacement=_begins_with(path, replacing))
        for path, before, after in _differences(
            change.get("before"),
            change.get("after"),
            change.get("after_unknown") or {},
            change.get("before_sensitive") or {},
            change.get("after_sensitive") or {},
        )
    )
    return ResourceChange(
        address=entry["address"],
        module=entry.get("module_address", ""),
        type=entry["type"],
        name=entry["name"],
        key=str(entry.get("index", "")),
        action=action,
        reason=entry.get("action_reason", ""),
        importing=(change.get("importing") or {}).get("id"),
        before=masked(change.get("before"), change.get("before_sensitive")),
        after=with_unknowns(masked(change.get("after"), change.get("after_sensitive")), change.get("after_unknown")),
        attributes=attributes,
    )


def read_drift(entry: Mapping[str, Any]) -> ResourceChange:
    """Read one entry of `resource_drift`, without what nobody changed.

    Two kinds of it, both from how providers read things back: azuread tells of lists that were never set as empty ones, and azapi of
    the tags of a resource group, which are another resource's here (`modules/subscription-tags` sees what happens to them).
    """
    change = read_change(entry)
    is_group = str((change.before or {}).get("type", "")).startswith("Microsoft.Resources/resourceGroups@")
    attributes = tuple(
        one
        for one in change.attributes
        if not (one.before in _NOTHING and one.after in _NOTHING)
        and not (is_group and one.path.partition(".")[0] == "tags")
    )
    return change.model_copy(update={"attributes": attributes})


_NOTHING: tuple[object, ...] = (None, "", [], {}, False)


def masked(value: Any, sensitive: Any) -> Any:
    """`value` with every part that the engine marked replaced, however deep."""
    if sensitive is True:
        return SENSITIVE
    if not sensitive:
        return value
    if isinstance(value, dict) and isinstance(sensitive, dict):
        return {key: masked(part, sensitive.get(key)) for key, part in value.items()}
    if isinstance(value, list) and isinstance(sensitive, list):
        marks = [*sensitive, *([None] * (len(value) - len(sensitive)))]
        return [masked(part, mark) for part, mark in zip(value, marks, strict=False)]
    return value


def with_unknowns(value: Any, unknown: Any) -> Any:
    """`value` with the parts that only the apply will know said as such."""
    if unknown is True:
        return UNKNOWN
    if isinstance(unknown, dict) and unknown:
        base = value if isinstance(value, dict) else {}
        return {**base, **{key: with_unknowns(base.get(key), mark) for key, mark in unknown.items() if mark}}
    if isinstance(unknown, list) and any(unknown):
        base_list = value if isinstance(value, list) else []
        padded = [*base_list, *([None] * (len(unknown) - len(base_list)))]
        marks = [*unknown, *([None] * (len(padded) - len(unknown)))]
        return [with_unknowns(part, mark) for part, mark in zip(padded, marks, strict=True)]
    return value


def _differences(
    before: Any, after: Any, unknown: Any, before_marks: Any, after_marks: Any, path: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Changed leaves as (path, before, after), masked. Objects are walked, lists are compared whole."""
    if not unknown and before == after:
        return
    if unknown is True:
        yield path, masked(before, before_marks), UNKNOWN
        return
    both = isinstance(before, dict) and isinstance(after, dict)
    one = (before is None and isinstance(after, dict)) or (after is None and isinstance(before, dict))
    if (both or one or isinstance(unknown, dict)) and True not in (before_marks, after_marks):
        old, new = before or {}, after or {}
        marks = unknown if isinstance(unknown, dict) else {}
        for key in sorted(old.keys() | new.keys() | marks.keys()):
            yield from _differences(
                old.get(key),
                new.get(key),
                marks.get(key),
                before_marks.get(key) if isinstance(before_marks, dict) else None,
                after_marks.get(key) if isinstance(after_marks, dict) else None,
                f"{path}.{key}" if path else str(key),
            )
        return
    if before != after or (isinstance(unknown, list) and any(unknown)):
        yield path, masked(before, before_marks), with_unknowns(masked(after, after_marks), unknown)


def _begins_with(path: str, prefixes: set[str]) -> bool:
    return any(path == prefix or path.startswith(f"{prefix}.") for prefix in prefixes)
