"""`azuread_group` and `azuread_group_without_members`.

The calls are those of azuread 3.9.0, all on Graph's beta: a look for a group of the same name, the group, two probes with a
temporary name that show the group can be written to, five looks, and one read of owners, members and units.
"""

from __future__ import annotations

import uuid
from typing import Any

from runner.sandbox.provider import arguments, schema
from runner.sandbox.provider.contract import Change, Failed, Object, Path, Planned, Private, Problem, Stored
from runner.sandbox.provider.directory import NAMED_FIELDS, checked_uuids, import_last_segment, on_create, settled
from runner.sandbox.provider.graph import BETA, Graph, GraphFailed, quoted

_KIND = "#microsoft.graph.group"
_UNIT = "#microsoft.graph.administrativeUnit"
_FORCE_NEW = ("assignable_to_role", "behaviors", "mail_nickname", "provisioning_options", "types")
_OWNERS_AT_ONCE = 20  # Graph takes no more owners in the request that creates a group
_UNIFIED = {
    "external_senders_allowed": "allowExternalSenders",
    "auto_subscribe_new_members": "autoSubscribeNewMembers",
    "hide_from_address_lists": "hideFromAddressLists",
    "hide_from_outlook_clients": "hideFromOutlookClients",
}


class Group:
    """The resource types `azuread_group` and `azuread_group_without_members`, which differ in who owns the members."""

    def __init__(self, type_name: str, *, with_members: bool) -> None:
        self.type_name = type_name
        self.with_members = with_members

    def validate(self, config: Object) -> list[Problem]:
        return arguments.check(
            config,
            checked_uuids("owners", "members", "administrative_unit_ids"),
            _checked_kind,
            arguments.checked_timeouts,
        )

    def plan(self, session: Graph, change: Change) -> Planned:
        prior = change.prior
        plan = dict(change.planned)
        if plan["prevent_duplicate_names"] is None:
            plan["prevent_duplicate_names"] = False
        if prior is None:
            return Planned(on_create(schema.load("azuread").resources[self.type_name], plan, change.config))
        # The older plugin SDK does not tell null from empty, so neither does a plan.
        plan |= {name: prior[name] for name, value in plan.items() if value is None and not prior[name]}
        name = plan["display_name"]
        if plan["prevent_duplicate_names"] is True and isinstance(name, str) and name != prior["display_name"]:
            self._refuse_duplicate(session, name, own_id=prior["object_id"])
        replaced: list[Path] = [(key,) for key in _FORCE_NEW if not _same(plan[key], prior[key])]
        return Planned(plan, replaced)

    def create(self, session: Graph, change: Change) -> Stored:
        planned = change.planned
        deadline = arguments.deadline(planned, "create")
        if planned["prevent_duplicate_names"]:
            self._refuse_duplicate(session, planned["display_name"], own_id="")
        id_ = ""
        try:
            id_ = self._made(session, planned)
            self._probe(session, id_, planned["display_name"], deadline)
            self._complete(session, id_, planned)
            return Stored(self._applied(session, id_, planned))
        except (GraphFailed, Failed) as failure:
            text = (
                failure.text if isinstance(failure, GraphFailed) else failure.problem.detail or failure.problem.summary
            )
            kept = {**settled(planned), "id": f"/groups/{id_}", "object_id": id_} if id_ else None
            raise Failed(f'Creating group "{planned["display_name"]}"', text, state=kept) from failure

    def read(self, session: Graph, state: Object, private: Private) -> Stored:
        try:
            return Stored(self._state(session, _object_id(state), state), private)
        except GraphFailed as failure:
            if failure.status == 404:
                return Stored(None)
            raise Failed(f"Retrieving group {_object_id(state)}", failure.text) from failure

    def update(self, session: Graph, change: Change) -> Stored:
        planned, prior = change.planned, change.prior or {}
        id_ = _object_id(prior)
        try:
            with session.holding(id_):
                if planned["prevent_duplicate_names"]:
                    self._refuse_duplicate(session, planned["display_name"], own_id=id_)
                session.patch(f"{BETA}/groups/{id_}", _changes(planned, prior))
                self._patch_unified(session, id_, planned)
                if self.with_members and not _same(planned["members"], prior["members"]):
                    _replace_members(session, id_, planned["members"] or [])
                if planned["owners"] and not _same(planned["owners"], prior["owners"]):
                    _replace_owners(session, id_, planned["owners"])
                if not _same(planned["administrative_unit_ids"], prior["administrative_unit_ids"]):
                    _replace_units(session, id_, planned["administrative_unit_ids"] or [])
                return Stored(self._applied(session, id_, planned), change.private)
        except GraphFailed as failure:
            raise Failed(f"Updating group {id_}", failure.text) from failure

    def delete(self, session: Graph, state: Object) -> None:
        id_ = _object_id(state)
        try:
            if session.find(f"{BETA}/groups/{id_}") is None:
                # Not so forgiving as it could be, because the real provider is not: a group that is gone is no success.
                raise Failed(f"Retrieving group {id_}", "group was not found", ("id",))
            session.delete(f"{BETA}/groups/{id_}")
            deadline = arguments.deadline(state, "delete")
            session.until(
                lambda: session.find(f"{BETA}/groups/{id_}") is None, deadline, f"The deletion of group {id_}"
            )
        except GraphFailed as failure:
            raise Failed(f"Deleting group {id_}", failure.text) from failure

    def import_(self, session: Graph, id_: str, empty: Object) -> Stored:
        object_id = import_last_segment(id_, "/groups/")
        return Stored({**empty, "id": f"/groups/{object_id}", "object_id": object_id, "prevent_duplicate_names": False})

    def _refuse_duplicate(self, session: Graph, name: str, *, own_id: str) -> None:
        try:
            found = session.collect(f"{BETA}/groups", filter=f"displayName eq {quoted(name)}")
        except GraphFailed as failure:
            raise Failed("Could not check for existing group(s)", failure.text, ("display_name",)) from failure
        for group in found:
            if group["id"] != own_id:
                raise Failed(
                    f'A group with the display name "{name}" already exists',
                    f'To be managed via Terraform the group with object ID "{group["id"]}" needs to be imported into the State: '
                    f'import {self.type_name} with the ID "/groups/{group["id"]}". Or choose another name.',
                    ("display_name",),
                )

    def _made(self, session: Graph, planned: Object) -> str:
        """Make the group, in its first administrative unit if it has any, and return its id."""
        first, *others = _owners(session, planned)
        body = _properties(planned) | {
            "owners@odata.bind": [session.address_of(owner) for owner in [first, *others][:_OWNERS_AT_ONCE]]
        }
        units = sorted(planned["administrative_unit_ids"] or [])
        path = f"{BETA}/directory/administrativeUnits/{units[0]}/members" if units else f"{BETA}/groups"
        made = session.post(path, body)
        if not isinstance(made, dict) or made.get("@odata.type", _KIND) != _KIND or not made.get("id"):
            raise Failed("Creating group", "Graph did not answer with a group.")
        id_ = str(made["id"])
        for unit in units[1:]:
            session.post(f"{BETA}/directory/administrativeUnits/{unit}/members/$ref", session.reference(id_))
        return id_

    def _probe(self, session: Graph, id_: str, name: str, deadline: float) -> None:
        path = f"{BETA}/groups/{id_}"
        session.patch_new(path, {"@odata.type": _KIND, "displayName": f"TERRAFORM_UPDATE_{uuid.uuid4()}"})
        session.patch_new(path, {"@odata.type": _KIND, "displayName": name})
        session.until(
            lambda: (session.find(path) or {}).get("displayName") == name,
            deadline,
            f'The name of the new group "{name}"',
        )

    def _complete(self, session: Graph, id_: str, planned: Object) -> None:
        self._patch_unified(session, id_, planned)
        for owner in _owners(session, planned)[_OWNERS_AT_ONCE:]:
            session.post(f"{BETA}/groups/{id_}/owners/$ref", session.reference(owner))
        members = planned["members"] if self.with_members else None
        for member in members if isinstance(members, list) else []:
            session.post(f"{BETA}/groups/{id_}/members/$ref", session.reference(member))

    def _patch_unified(self, session: Graph, id_: str, planned: Object) -> None:
        """Set what only a Microsoft 365 group has; Graph takes each of them alone."""
        if "Unified" in (planned["types"] or []):
            for argument, name in _UNIFIED.items():
                if isinstance(planned[argument], bool):
                    session.patch(f"{BETA}/groups/{id_}", {"@odata.type": _KIND, name: planned[argument]})

    def _applied(self, session: Graph, id_: str, planned: Object) -> Object:
        """The state after a change. A list that was planned as null stays so while it is empty."""
        found = self._state(session, id_, planned)
        return {name: None if planned[name] is None and value == [] else value for name, value in found.items()}

    def _state(self, session: Graph, id_: str, wanted: Object) -> Object:
        """The state as a refresh finds it."""
        path = f"{BETA}/groups/{id_}"
        group = session.get(path)
        owners = [owner["id"] for owner in session.collect(f"{path}/owners")]
        members = [member["id"] for member in session.collect(f"{path}/members")] if self.with_members else []
        units = [unit["id"] for unit in session.collect(f"{path}/memberOf") if unit.get("@odata.type") == _UNIT]
        if "Unified" in (group.get("groupTypes") or []):
            group |= session.get(path, select=",".join(_UNIFIED.values()))
        found = NAMED_FIELDS.read(group) | {
            "id": f"/groups/{id_}",
            "object_id": id_,
            "owners": owners,
            "administrative_unit_ids": units,
            "dynamic_membership": _dynamic_membership(group),
            **{argument: bool(group.get(name)) for argument, name in _UNIFIED.items()},
        }
        if self.with_members:
            found["members"] = members
        return {
            name: _unless_empty(value, wanted[name]) if name in found else value
            for name, value in (wanted | found).items()
        }


def _unless_empty(found: Any, wanted: Any) -> Any:
    """Say null for a text or flag that is empty and was never asked for. A list is what was found.

    The real provider sets its lists whenever it reads, and the older plugin SDK lets a planned null win over an empty
    list when it applies, but not when it refreshes (`normalizeNullValues` in its grpc_provider.go). So the first plan
    after an apply shows `null -> []` as drift.
    """
    return None if wanted is None and found in ("", False) else found


def _same(left: Any, right: Any) -> bool:
    """Compare arguments; the order of a set says nothing, and what is empty is the same as null."""
    if isinstance(left, list) and isinstance(right, list):
        return sorted(map(str, left)) == sorted(map(str, right))
    return bool(left == right) or not (left or right)


def _object_id(state: Object) -> str:
    return str(state["object_id"] or state["id"].rpartition("/")[2])


def _checked_kind(config: Object) -> list[Problem]:
    if config["mail_enabled"] is None and config["security_enabled"] is None:
        detail = "one of `mail_enabled,security_enabled` must be specified"
        return [Problem("Missing required argument", detail, ("security_enabled",))]
    return []


def _owners(session: Graph, planned: Object) -> list[str]:
    """List the owners of a new group: those of the configuration, the caller first, or the caller alone."""
    owners = planned["owners"] if isinstance(planned["owners"], list) else []
    caller = session.caller
    return sorted(owners, key=lambda owner: (owner.lower() != caller.lower(), owner)) or [caller]


def _membership_rule(planned: Object) -> Object:
    blocks = planned["dynamic_membership"]
    if not blocks:
        return {"membershipRule": None}
    return {
        "membershipRule": blocks[0]["rule"],
        "membershipRuleProcessingState": "On" if blocks[0]["enabled"] else "Paused",
    }


def _dynamic_membership(group: Object) -> list[Object]:
    if not group.get("membershipRule"):
        return []
    return [{"enabled": group.get("membershipRuleProcessingState") != "Paused", "rule": group["membershipRule"]}]


def _given(planned: Object, **names: str) -> Object:
    """Take the arguments that are set and known under their names in Graph."""
    return {
        name: planned[argument]
        for argument, name in names.items()
        if isinstance(planned[argument], str) and planned[argument]
    }


def _properties(planned: Object) -> Object:
    nickname = planned["mail_nickname"]
    return {
        "@odata.type": _KIND,
        "description": planned["description"] or None,
        "displayName": planned["display_name"],
        "groupTypes": planned["types"] or [],
        "isAssignableToRole": bool(planned["assignable_to_role"]),
        "mailEnabled": bool(planned["mail_enabled"]),
        "mailNickname": nickname if isinstance(nickname, str) and nickname else str(uuid.uuid4())[:10],
        "resourceBehaviorOptions": planned["behaviors"] or [],
        "resourceProvisioningOptions": planned["provisioning_options"] or [],
        "securityEnabled": bool(planned["security_enabled"]),
        **_membership_rule(planned),
        **_given(planned, theme="theme", visibility="visibility"),
    }


def _changes(planned: Object, prior: Object) -> Object:
    changed = {"visibility": "visibility"} if planned["visibility"] != prior["visibility"] else {}
    return {
        "@odata.type": _KIND,
        "description": planned["description"] or None,
        "displayName": planned["display_name"],
        "mailEnabled": bool(planned["mail_enabled"]),
        "securityEnabled": bool(planned["security_enabled"]),
        **_membership_rule(planned),
        **_given(planned, theme="theme", **changed),
    }


def _replace_members(session: Graph, id_: str, wanted: list[str]) -> None:
    path = f"{BETA}/groups/{id_}/members"
    found = {member["id"] for member in session.collect(path)}
    for member in sorted(found - set(wanted)):
        session.delete(f"{path}/{member}/$ref")
    for member in sorted(set(wanted) - found):
        session.post(f"{path}/$ref", session.reference(member))


def _replace_owners(session: Graph, id_: str, wanted: list[str]) -> None:
    path = f"{BETA}/groups/{id_}/owners"
    found = {owner["id"] for owner in session.collect(path)}
    for owner in sorted(set(wanted) - found):  # first, so that the group is never without an owner
        session.post(f"{path}/$ref", session.reference(owner))
    for owner in sorted(found - set(wanted)):
        session.delete(f"{path}/{owner}/$ref")


def _replace_units(session: Graph, id_: str, wanted: list[str]) -> None:
    found = {
        unit["id"] for unit in session.collect(f"{BETA}/groups/{id_}/memberOf") if unit.get("@odata.type") == _UNIT
    }
    for unit in sorted(set(wanted) - found):
        session.post(f"{BETA}/directory/administrativeUnits/{unit}/members/$ref", session.reference(id_))
    for unit in sorted(found - set(wanted)):
        session.delete(f"{BETA}/directory/administrativeUnits/{unit}/members/{id_}/$ref")
