"""`azapi_resource`: any resource of Azure Resource Manager, described by a body.

How it is planned is in `azapi_plan`. A create refuses an object that exists. An update is a PUT of the whole body. A failed create is
kept as tainted; a failed update keeps the state before it, so whether the next plan tries again depends on what Azure answers then.
"""

from __future__ import annotations

from typing import Any

from runner.sandbox.provider import arguments, azapi_plan, identities, resource_id, sensitive
from runner.sandbox.provider.arguments import is_given
from runner.sandbox.provider.arm import Arm, Options, RequestFailed
from runner.sandbox.provider.azapi_plan import FLAGS, IGNORED
from runner.sandbox.provider.azapi_update import output_of
from runner.sandbox.provider.bodies import Tolerance, merged, overridden, shaped, without_nulls
from runner.sandbox.provider.contract import Change, Failed, Object, Planned, Private, Problem, Stored
from runner.sandbox.provider.envelope import location_of, normal_location, tags_of
from runner.sandbox.provider.resource_id import InvalidId, ResourceId
from runner.sandbox.provider.values import Dynamic, plain, retyped

_STORED_WITHOUT_REQUEST = frozenset(
    {
        "retry",
        "timeouts",
        *(f"{when}_{what}" for when in ("create", "read", "delete") for what in ("headers", "query_parameters")),
    }
)


class AnyResource:
    """The resource type `azapi_resource`."""

    def validate(self, config: Object) -> list[Problem]:
        return arguments.check(
            config,
            arguments.checked_type,
            arguments.checked_ids("parent_id"),
            arguments.checked_body,
            arguments.checked_retry,
            arguments.checked_timeouts,
            arguments.checked_exports,
            _checked_parent,
            _checked_identity,
            _checked_duplicates,
        )

    def plan(self, session: Arm, change: Change) -> Planned:
        return azapi_plan.planned(session, change)

    def create(self, session: Arm, change: Change) -> Stored:
        target = _target(change.planned)
        until = arguments.deadline(change.planned, "create")
        _refuse_existing(session, target, arguments.options(change.planned, "read", prefix="read_", with_retry=False))
        try:
            with session.holding(change.planned["locks"]):
                put = arguments.options(change.planned, "create", prefix="create_", until=until)
                session.put(target.id, target.api_version, _request_body(change), put)
            return _written(session, target, change, until)
        except (RequestFailed, Failed) as failure:
            raise _write_failed(target, failure, state=_partial(session, target, change)) from failure

    def update(self, session: Arm, change: Change) -> Stored:
        assert change.prior is not None  # noqa: S101 - the protocol calls update with a prior state only
        if all(change.planned[name] == change.prior[name] for name in change.planned.keys() - _STORED_WITHOUT_REQUEST):
            return Stored(change.planned, change.private)
        target = _target(change.planned)
        until = arguments.deadline(change.planned, "update")
        try:
            with session.holding(change.planned["locks"]):
                put = arguments.options(change.planned, "update", prefix="update_", until=until)
                session.put(target.id, target.api_version, _request_body(change), put)
        except (RequestFailed, Failed) as failure:
            raise _write_failed(target, failure, state=None) from failure
        return _written(session, target, change, until)

    def read(self, session: Arm, state: Object, private: Private) -> Stored:
        target = _known_target(state)
        try:
            found = session.get(target.id, target.api_version, arguments.options(state, "read", prefix="read_"))
        except RequestFailed as failure:
            if failure.status == 404:
                return Stored(None)
            raise Failed("Failed to retrieve resource", f"reading {target}: {failure.shown}") from failure
        return Stored(_refreshed(state, target, found, private.get(IGNORED, [])), private)

    def delete(self, session: Arm, state: Object) -> None:
        target = _known_target(state)
        try:
            with session.holding(state["locks"]):
                session.delete(target.id, target.api_version, arguments.options(state, "delete", prefix="delete_"))
        except RequestFailed as failure:
            if failure.status != 404:
                raise Failed("Failed to delete resource", f"deleting {target}: {failure.shown}") from failure

    def import_(self, session: Arm, id_: str, empty: Object) -> Stored:
        try:
            target = resource_id.parse_import(id_)
        except InvalidId as error:
            raise Failed("Invalid Resource ID", f'parsing Resource ID "{id_}": {error}') from error
        try:
            found = session.get(target.id, target.api_version, arguments.options(empty, "read"))
        except RequestFailed as failure:
            if failure.status == 404:
                return Stored(None)
            raise Failed("Failed to retrieve resource", f"reading {target}: {failure.shown}") from failure
        known = {"id": target.id, "name": target.name, "parent_id": target.parent_id, "type": target.versioned_type}
        body = found if isinstance(found, dict) else {}
        identity = identities.from_body(body.get("identity"))
        return Stored(
            {
                **empty,
                **FLAGS,
                **known,
                "body": Dynamic.of(
                    {key: value for key, value in body.items() if key not in ("location", "tags", "identity")}
                ),
                "location": normal_location(location_of(found)) or None,
                "tags": tags_of(found),
                "identity": [identity] if identity else [],
                "output": Dynamic.of({}),
            }
        )


def _checked_parent(config: Object) -> list[Problem]:
    is_group = isinstance(config["type"], str) and config["type"].lower().startswith(
        resource_id.RESOURCE_GROUP.lower() + "@"
    )
    if config["parent_id"] is not None or not isinstance(config["type"], str) or is_group:
        return []
    return [
        Problem(
            "Missing required argument",
            'The argument "parent_id" is required, but no definition was found.',
            ("parent_id",),
        )
    ]


def _checked_identity(config: Object) -> list[Problem]:
    blocks = config["identity"] if isinstance(config["identity"], list) else []
    return [
        Problem(
            "Invalid Attribute Value Match",
            f"identity type must be one of {identities.KINDS}",
            ("identity", index, "type"),
        )
        for index, block in enumerate(blocks)
        if isinstance(block, dict) and isinstance(block["type"], str) and block["type"] not in identities.KINDS
    ]


def _checked_duplicates(config: Object) -> list[Problem]:
    body = plain(config["body"])
    return [
        Problem(
            "Invalid configuration",
            f'can\'t specify both the argument "{name}" and "{name}" in the argument "body"',
            (name,),
        )
        for name in ("tags", "location", "identity")
        if is_given(config[name]) and config[name] != [] and isinstance(body, dict) and name in body
    ]


def _target(planned: Object) -> ResourceId:
    try:
        return resource_id.build(planned["name"], planned["parent_id"], planned["type"])
    except InvalidId as error:
        raise Failed("Invalid configuration", str(error), ("parent_id",)) from error


def _known_target(state: Object) -> ResourceId:
    try:
        return resource_id.parse(state["id"], state["type"])
    except InvalidId as error:
        raise Failed("Error parsing ID", str(error)) from error


def _refuse_existing(session: Arm, target: ResourceId, read: Options) -> None:
    try:
        session.get(target.id, target.api_version, read)
    except RequestFailed as failure:
        is_in_group = target.id.lower().startswith("/providers/microsoft.management/managementgroups")
        if failure.status == 404 or (failure.status == 403 and is_in_group):  # a group that is not there answers 403
            return
        detail = f"checking for presence of existing {target}: {failure.shown}"
        raise Failed("Failed to retrieve resource", detail) from failure
    raise Failed(
        "Resource already exists",
        f'A resource with the ID "{target.id}" already exists - to be managed via Terraform this resource needs to be imported into '
        'the State. Please see the resource documentation for "azapi_resource" for more information.',
    )


def _request_body(change: Change) -> Any:
    """Build the body of a PUT: the arguments beside the body where the body does not name them itself."""
    planned, prior = change.planned, change.prior or {}
    body: Any = plain(planned["body"]) or {}
    body = {
        **({"location": planned["location"]} if planned["location"] else {}),
        **({"tags": planned["tags"]} if planned["tags"] else {}),
        **({"identity": identities.to_body(planned["identity"][0])} if planned["identity"] else {}),
        **body,
    }
    if (secret := sensitive.to_send(change)) is not None:
        body = merged(body, secret)
    if "identity" not in body and any(block["type"] != identities.NONE for block in prior.get("identity") or ()):
        body["identity"] = {"type": identities.NONE}
    return without_nulls(body) if planned["ignore_null_property"] else body


def _write_failed(target: ResourceId, failure: RequestFailed | Failed, *, state: Object | None) -> Failed:
    reason = (
        failure.shown if isinstance(failure, RequestFailed) else f"{failure.problem.summary}: {failure.problem.detail}"
    )
    return Failed("Failed to create/update resource", f"creating/updating {target}: {reason}", state=state)


def _partial(session: Arm, target: ResourceId, change: Change) -> Object | None:
    """Return the state of an object that exists although its create failed, so that the engine keeps it as tainted."""
    try:
        found = session.get(target.id, target.api_version, arguments.options(change.planned, "read", prefix="read_"))
    except (RequestFailed, Failed):
        return None
    return _completed(target, change.planned, found)


def _written(session: Arm, target: ResourceId, change: Change, until: float) -> Stored:
    read = arguments.options(change.planned, "read", prefix="read_", until=until)
    try:
        found = session.get_new(target.id, target.api_version, read)
    except RequestFailed as failure:
        if failure.status == 404:
            return Stored(None)
        raise Failed("Failed to retrieve resource", f"reading {target}: {failure.shown}") from failure
    ignored = change.config[IGNORED]
    private = {**sensitive.remembered(change.config), **({IGNORED: ignored} if ignored else {})}
    return Stored(_completed(target, change.planned, found), private)


def _completed(target: ResourceId, planned: Object, found: Any) -> Object:
    """Fill in what was unknown in a plan from what Azure answered."""
    body = found if isinstance(found, dict) else {}
    return {
        **planned,
        "id": target.id,
        "output": output_of(planned, found),
        "identity": identities.completed(planned["identity"] or [], body.get("identity")),
    }


def _refreshed(state: Object, target: ResourceId, found: Any, ignored: list[str]) -> Object:
    """Return the state after a read: the same, but for what drifted."""
    body = found if isinstance(found, dict) else {}
    wanted = plain(state["body"]) or {}
    new = {
        **state,
        "name": target.name,
        "parent_id": target.parent_id,
        "type": target.versioned_type,
        "ignore_null_property": bool(state["ignore_null_property"]),
        "output": output_of(state, found),
    }
    location = location_of(found)
    if "location" not in ignored and location and normal_location(location) != normal_location(state["location"]):
        new["location"] = location
    if "tags" not in ignored and (tags_of(found) or state["tags"]):
        new["tags"] = tags_of(found)
    if "identity" not in ignored and wanted.get("identity") is None:
        new["identity"] = identities.refreshed(state["identity"] or [], body.get("identity"))
    if state["body"] is not None:
        drifted = shaped(wanted, found, Tolerance.of(state))
        new["body"] = retyped(overridden(drifted, wanted, ignored), state["body"])
    return new
