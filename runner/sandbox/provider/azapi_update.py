"""`azapi_update_resource`: some properties of a resource that somebody else owns. Reads, merges, puts back; never deletes."""

from __future__ import annotations

from typing import Any

from runner.sandbox.provider import arguments, resource_id, sensitive
from runner.sandbox.provider.arguments import same_json
from runner.sandbox.provider.arm import Arm, RequestFailed
from runner.sandbox.provider.bodies import Tolerance, exported, merged, shaped
from runner.sandbox.provider.contract import Change, Failed, Object, Path, Planned, Private, Problem, Stored
from runner.sandbox.provider.resource_id import InvalidId, ResourceId
from runner.sandbox.provider.values import UNKNOWN, Dynamic, plain, retyped

_FLAGS = {"ignore_casing": False, "ignore_missing_property": True}
_STORED_WITHOUT_REQUEST = frozenset({"retry", "timeouts", "read_headers", "read_query_parameters"})
_INVALID = "Invalid configuration"


class Update:
    """The resource type `azapi_update_resource`."""

    def validate(self, config: Object) -> list[Problem]:
        return arguments.check(
            config,
            arguments.checked_type,
            arguments.checked_ids("parent_id", "resource_id"),
            arguments.checked_body,
            arguments.checked_retry,
            arguments.checked_timeouts,
            arguments.checked_exports,
            checked_target,
        )

    def plan(self, session: Arm, change: Change) -> Planned:
        config, prior = change.config, change.prior
        plan = arguments.with_retry_defaults(
            {**change.planned, **{name: default for name, default in _FLAGS.items() if config[name] is None}}
        )
        if prior is None:
            plan |= {name: UNKNOWN for name in ("id", "name", "parent_id", "resource_id") if plan[name] is None}
            return Planned({**plan, "output": UNKNOWN})
        plan |= {
            name: prior[name] for name in ("body", "response_export_values") if same_json(config[name], prior[name])
        }
        is_same = (
            same_json(plan["body"], prior["body"])
            and same_json(plan["response_export_values"], prior["response_export_values"])
            and plan["type"] == prior["type"]
            and not sensitive.is_changed(change)
        )
        plan["output"] = prior["output"] if is_same else UNKNOWN
        replaced: list[Path] = [(name,) for name in ("name", "parent_id", "resource_id") if plan[name] != prior[name]]
        return Planned(plan, replaced)

    def create(self, session: Arm, change: Change) -> Stored:
        return self._write(session, change, "create")

    def update(self, session: Arm, change: Change) -> Stored:
        assert change.prior is not None  # noqa: S101 - the protocol calls update with a prior state only
        if all(change.planned[name] == change.prior[name] for name in change.planned.keys() - _STORED_WITHOUT_REQUEST):
            return Stored(change.planned, change.private)
        return self._write(session, change, "update")

    def read(self, session: Arm, state: Object, private: Private) -> Stored:
        try:
            target = resource_id.parse(state["id"], state["type"])
            found = session.get(target.id, target.api_version, arguments.options(state, "read", prefix="read_"))
        except InvalidId as error:
            raise Failed("Invalid resource id", str(error)) from error
        except RequestFailed as failure:
            if failure.status == 404:
                return Stored(None)
            raise Failed("Failed to retrieve resource", f"reading {target}: {failure.shown}") from failure
        new = {**state, **names_of(target), "type": target.versioned_type, "output": output_of(state, found)}
        if state["body"] is not None:
            new["body"] = retyped(shaped(plain(state["body"]), found, Tolerance.of(state)), state["body"])
        return Stored(new, private)

    def delete(self, session: Arm, state: Object) -> None:
        """Leave everything as it is: the resource is somebody else's."""

    def import_(self, session: Arm, id_: str, empty: Object) -> Stored:
        raise Failed(
            "Resource Import Not Implemented", "This resource does not support import. It owns no object of its own."
        )

    def _write(self, session: Arm, change: Change, operation: str) -> Stored:
        planned = change.planned
        target = target_of(planned)
        until = arguments.deadline(planned, operation)
        reading = arguments.options(planned, "read", prefix="read_", until=until)
        try:
            existing = session.get(target.id, target.api_version, reading)
        except RequestFailed as failure:
            detail = f"checking for presence of existing {target}: {failure.shown}"
            raise Failed("Failed to retrieve resource", detail) from failure
        if not isinstance(existing, dict) or existing.get("id") is None:
            raise Failed("Failed to retrieve resource", f"update target does not exist {target}")
        body = merged(existing, plain(planned["body"]) or {})
        if (secret := sensitive.to_send(change)) is not None:
            body = merged(body, secret)
        try:
            with session.holding(planned["locks"]):
                put = arguments.options(planned, operation, prefix="update_", until=until)
                session.put(target.id, target.api_version, body, put)
            found = session.get(target.id, target.api_version, reading)
        except RequestFailed as failure:
            raise Failed("Failed to update resource", f"updating {target}: {failure.shown}") from failure
        return Stored(
            {**planned, **names_of(target), "output": output_of(planned, found)}, sensitive.remembered(change.config)
        )


def checked_target(config: Object) -> list[Problem]:
    """Check that a target is named once: by `resource_id`, or by `parent_id` and `name`."""
    name, parent, whole = (config[key] is not None for key in ("name", "parent_id", "resource_id"))
    is_group = isinstance(config["type"], str) and config["type"].lower().startswith(
        resource_id.RESOURCE_GROUP.lower() + "@"
    )
    is_subscription = isinstance(config["type"], str) and config["type"].lower().startswith(
        resource_id.SUBSCRIPTION.lower() + "@"
    )
    found = []
    if parent and not name:
        found.append(
            Problem(_INVALID, 'The argument "name" is required when the argument "parent_id" is set', ("parent_id",))
        )
    if name and not parent and not is_group:
        found.append(
            Problem(_INVALID, 'The argument "parent_id" is required when the argument "name" is set', ("name",))
        )
    if not name and not whole and not is_subscription:
        found.append(Problem(_INVALID, 'One of the arguments "name" or "resource_id" must be set'))
    if name and whole:
        found.append(
            Problem(_INVALID, 'Only one of the arguments "name" or "resource_id" can be set', ("resource_id",))
        )
    return found


def target_of(arguments_: Object, *, default_subscription: str = "") -> ResourceId:
    """Find the resource that `resource_id`, or `parent_id` and `name`, say; a subscription may come from the provider."""
    try:
        if isinstance(whole := arguments_["resource_id"], str) and whole:
            return resource_id.parse(whole, arguments_["type"])
        subscription = f"/subscriptions/{default_subscription}"
        if not isinstance(arguments_["name"], str):
            return resource_id.parse(subscription, arguments_["type"])
        return resource_id.build(arguments_["name"], arguments_["parent_id"] or subscription, arguments_["type"])
    except InvalidId as error:
        raise Failed(_INVALID, str(error), ("type",)) from error


def names_of(target: ResourceId) -> Object:
    """Spell out the arguments that an id holds."""
    return {"id": target.id, "name": target.name, "parent_id": target.parent_id, "resource_id": target.id}


def output_of(arguments_: Object, found: Any) -> Dynamic:
    """Build `output` from a reply."""
    return Dynamic.of(exported(found, plain(arguments_["response_export_values"])))
