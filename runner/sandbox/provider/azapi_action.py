"""`azapi_resource_action`: one request on apply or on destroy. Reads nothing, so it knows no drift."""

from __future__ import annotations

from typing import Any

from runner.sandbox.provider import arguments, resource_id, sensitive
from runner.sandbox.provider.arguments import same_json
from runner.sandbox.provider.arm import Arm, Options, RequestFailed
from runner.sandbox.provider.bodies import exported, merged
from runner.sandbox.provider.contract import Change, Failed, Object, Path, Planned, Private, Problem, Stored
from runner.sandbox.provider.resource_id import InvalidId, ResourceId
from runner.sandbox.provider.values import UNKNOWN, Dynamic, Unknown, plain

METHODS = ("POST", "PATCH", "PUT", "DELETE", "GET", "HEAD")
_FORCE_NEW = ("type", "resource_id", "action")
_RESULTS = ("output", "sensitive_output", "exist")


class Action:
    """The resource type `azapi_resource_action`."""

    def validate(self, config: Object) -> list[Problem]:
        return arguments.check(
            config,
            arguments.checked_type,
            arguments.checked_ids("resource_id"),
            arguments.checked_one_of("method", *METHODS),
            arguments.checked_one_of("when", "apply", "destroy"),
            arguments.checked_body,
            arguments.checked_retry,
            arguments.checked_timeouts,
            arguments.checked_exports,
        )

    def plan(self, session: Arm, change: Change) -> Planned:
        config, prior = change.config, change.prior
        defaults = {name: word for name, word in (("method", "POST"), ("when", "apply")) if config[name] is None}
        plan = arguments.with_retry_defaults({**change.planned, **defaults})
        if prior is None:
            return Planned({**plan, "id": UNKNOWN, **dict.fromkeys(_RESULTS, UNKNOWN)})
        exports = ("response_export_values", "sensitive_response_export_values")
        plan |= {name: prior[name] for name in ("body", *exports) if same_json(config[name], prior[name])}
        plan |= {name: prior[name] for name in ("id", *_RESULTS)}
        if not same_json(config["body"], prior["body"]) or sensitive.is_changed(change):
            plan |= dict.fromkeys(_RESULTS, UNKNOWN)
        for result, export in zip(_RESULTS, exports, strict=False):
            if not same_json(plan[export], prior[export]):
                plan[result] = UNKNOWN
        replaced: list[Path] = [(name,) for name in _FORCE_NEW if plan[name] != prior[name]]
        return Planned(plan, replaced)

    def create(self, session: Arm, change: Change) -> Stored:
        if change.planned["when"] == "destroy":
            nothing = {"output": None, "sensitive_output": None, "exist": None}
            return Stored({**change.planned, "id": _id(change.planned), **nothing}, sensitive.remembered(change.config))
        return self._perform(session, change)

    def read(self, session: Arm, state: Object, private: Private) -> Stored:
        return Stored({**state, "when": state["when"] or "apply"}, private)

    def update(self, session: Arm, change: Change) -> Stored:
        if change.planned["when"] == "apply":
            return self._perform(session, change)
        if any(isinstance(change.planned[name], Unknown) for name in _RESULTS):
            raise Failed(
                "Provider returned invalid result object after apply",
                'After the apply operation, azapi 2.12.0 still indicates an unknown value for "output" when the body of an action with '
                'when = "destroy" changes, and this provider does as it does. The new body is stored: the next apply passes. Let the '
                "body depend only on what makes a new resource, such as the key of its for_each.",
                state={**change.planned, **{name: _known(change.planned[name]) for name in _RESULTS}},
            )
        return Stored(change.planned, change.private)

    def delete(self, session: Arm, state: Object) -> None:
        if state["when"] == "destroy":
            perform(session, state, plain(state["body"]), arguments.options(state, "create"))

    def import_(self, session: Arm, id_: str, empty: Object) -> Stored:
        raise Failed(
            "Resource Import Not Implemented",
            "This resource does not support import. An action leaves nothing to import.",
        )

    def _perform(self, session: Arm, change: Change) -> Stored:
        planned = change.planned
        body = plain(planned["body"])
        if (secret := sensitive.to_send(change)) is not None:
            body = merged(body or {}, secret)
        results = perform(session, planned, body, arguments.options(planned, "create"))
        results = {name: value for name, value in results.items() if isinstance(planned[name], Unknown)}
        return Stored({**planned, "id": _id(planned), **results}, sensitive.remembered(change.config))


def perform(session: Arm, arguments_: Object, body: Any, options: Options) -> Object:
    """Make the request and return what it exports."""
    target = _target(arguments_)
    action = arguments_.get("action") or ""
    path = f"{target.id}/{action}" if action else target.id
    method = arguments_.get("method") or "POST"
    found, exist = None, True
    try:
        with session.holding(arguments_.get("locks")):
            found = session.act(method, path, target.api_version, body, options)
    except RequestFailed as failure:
        if failure.status != 404 or not arguments_.get("ignore_not_found"):
            detail = f"performing action {action} of {target}: {failure.shown}"
            raise Failed("Failed to perform action", detail) from failure
        exist = False
    return {
        "output": Dynamic.of(exported(found, plain(arguments_["response_export_values"]))),
        "sensitive_output": Dynamic.of(exported(found, plain(arguments_["sensitive_response_export_values"]))),
        "exist": exist,
    }


def _target(arguments_: Object) -> ResourceId:
    try:
        return resource_id.parse(arguments_["resource_id"] or "/", arguments_["type"])
    except InvalidId as error:
        raise Failed("Invalid configuration", str(error), ("resource_id",)) from error


def _id(arguments_: Object) -> str:
    target = _target(arguments_)
    return f"{target.id}/{arguments_['action']}" if arguments_["action"] else target.id


def _known(value: Any) -> Any:
    return None if isinstance(value, Unknown) else value
