"""`azapi_resource`: any resource of Azure Resource Manager, described by a body.

A plan asks Azure only when the body or the API version changed, and drops the change when Azure already has it. A create refuses an
object that exists. An update is a PUT of the whole body. A failed create is kept as tainted; a failed update keeps the state before
it, so whether the next plan tries again depends on what Azure answers then.
"""

from __future__ import annotations

from typing import Any

from runner.sandbox.provider import arguments, identities, resource_id, sensitive
from runner.sandbox.provider.arguments import is_given, same_json
from runner.sandbox.provider.arm import Arm, Options, RequestFailed
from runner.sandbox.provider.azapi_update import output_of
from runner.sandbox.provider.bodies import Tolerance, exported, merged, overridden, same, shaped, without_nulls
from runner.sandbox.provider.contract import Change, Failed, Object, Path, Planned, Private, Problem, Stored
from runner.sandbox.provider.resource_id import InvalidId, ResourceId
from runner.sandbox.provider.values import UNKNOWN, Dynamic, is_known, plain, retyped

_FLAGS = {
    "ignore_casing": False,
    "ignore_missing_property": True,
    "ignore_null_property": False,
    "schema_validation_enabled": True,
}
_STORED_WITHOUT_REQUEST = frozenset(
    {
        "retry",
        "timeouts",
        *(f"{when}_{what}" for when in ("create", "read", "delete") for what in ("headers", "query_parameters")),
    }
)
_IGNORED = "ignore_body_changes"


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
        config, prior = change.config, change.prior
        plan = arguments.with_retry_defaults(
            {**change.planned, **_defaults(config, session), "body": _planned_body(change)}
        )
        plan["id"] = prior["id"] if prior else UNKNOWN
        plan["output"] = prior["output"] if prior else UNKNOWN
        plan["identity"] = identities.planned(config["identity"], (prior or {}).get("identity") or [])
        if prior and same_json(config["response_export_values"], prior["response_export_values"]):
            plan["response_export_values"] = prior["response_export_values"]
        if is_known(plan["body"]):
            plan["tags"], plan["location"] = _planned_tags(change, session), _planned_location(change, session)
            plan = _keeping_ignored(plan, change)
            if (
                prior
                and not _is_other_type(plan, prior)
                and _is_body_changed(plan, prior)
                and _is_already_so(session, plan, prior)
            ):
                plan["body"], plan["type"] = prior["body"], prior["type"]
        else:
            plan |= {name: UNKNOWN for name in ("tags", "location") if config[name] is None}
        if prior is None or _needs_request(plan, change):
            plan["output"] = UNKNOWN
            # What Azure is asked for is what the configuration says, word for word.
            plan |= {"body": _keeping_ignored({**plan, "body": config["body"]}, change)["body"], "type": config["type"]}
        return Planned(plan, _replacing(plan, change))

    def create(self, session: Arm, change: Change) -> Stored:
        target = _target(change.planned)
        until = arguments.deadline(change.planned, "create")
        _refuse_existing(session, target, arguments.options(change.planned, "read", prefix="read_", with_retry=False))
        try:
            with session.holding(change.planned["locks"]):
                put = arguments.options(change.planned, "create", prefix="create_", until=until)
                session.put(target.id, target.api_version, _request_body(change), put)
        except (RequestFailed, Failed) as failure:
            raise _write_failed(target, failure, state=_partial(session, target, change)) from failure
        return _written(session, target, change, until)

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
        return Stored(_refreshed(state, target, found, private.get(_IGNORED, [])), private)

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
                **_FLAGS,
                **known,
                "body": Dynamic.of(
                    {key: value for key, value in body.items() if key not in ("location", "tags", "identity")}
                ),
                "location": normal_location(body["location"]) if body.get("location") else None,
                "tags": body.get("tags") or None,
                "identity": [identity] if identity else [],
                "output": Dynamic.of({}),
            }
        )


def normal_location(name: str) -> str:
    """Write a location the way Azure does: "West Europe" is "westeurope"."""
    return name.replace(" ", "").lower()


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


def _defaults(config: Object, session: Arm) -> Object:
    """Fill in what the configuration leaves to the provider."""
    found: Object = {name: default for name, default in _FLAGS.items() if config[name] is None}
    if config["parent_id"] is None:
        found["parent_id"] = f"/subscriptions/{session.subscription_id}"
    if config["name"] is None:
        if not (default := session.block.get("default_name")):
            raise Failed(
                "Missing required argument", 'The argument "name" is required, but no definition was found.', ("name",)
            )
        found["name"] = default
    return found


def _planned_body(change: Change) -> Any:
    body = Dynamic.of({}) if change.config["body"] is None else change.config["body"]
    return change.prior["body"] if change.prior and same_json(body, change.prior["body"]) else body


def _planned_tags(change: Change, session: Arm) -> Any:
    body = plain(change.config["body"])
    prior = change.prior["tags"] if change.prior else None
    if change.config["tags"] is not None:
        return change.config["tags"]
    if isinstance(body, dict) and body.get("tags") is not None:
        return body["tags"]
    return session.block.get("default_tags") or (prior if prior == {} else None)


def _planned_location(change: Change, session: Arm) -> Any:
    prior = change.prior["location"] if change.prior else None
    config, body = change.config["location"], plain(change.config["body"])
    if isinstance(config, str) and prior and normal_location(config) == normal_location(prior):
        return prior
    if config is not None:
        return config
    if isinstance(body, dict) and isinstance(body.get("location"), str):
        return body["location"]
    return prior or session.block.get("default_location")


def _is_other_type(plan: Object, prior: Object) -> bool:
    """Say whether the resource type differs; its API version may."""
    before = prior["type"].partition("@")[0].lower()
    return isinstance(plan["type"], str) and plan["type"].partition("@")[0].lower() != before


def _is_body_changed(plan: Object, prior: Object) -> bool:
    return not same_json(plan["body"], prior["body"]) or plan["type"] != prior["type"]


def _is_already_so(session: Arm, plan: Object, prior: Object) -> bool:
    """Ask Azure whether the new body, at the new API version, says anything that is not so already."""
    if session.block.get("ignore_no_op_changes") is False or not isinstance(plan["type"], str):
        return False
    _, version = resource_id.split_type(plan["type"])
    try:
        found = session.get(prior["id"], version, Options(arguments.deadline(plan, "read")))
    except RequestFailed as failure:
        raise Failed(
            "Failed to retrieve resource", f"Retrieving existing resource {prior['id']}: {failure.shown}"
        ) from failure
    wanted = plain(plan["body"])
    known = merged(found, plain(prior["body"]) or {})  # a read leaves out what is secret; the state has it
    tolerance = Tolerance(casing=plan["ignore_casing"], missing=False, null=plan["ignore_null_property"])
    return same(shaped(wanted, known, tolerance), wanted)


def _needs_request(plan: Object, change: Change) -> bool:
    prior = change.prior or {}
    return (
        not is_known(plan["body"])
        or plan["identity"] != prior["identity"]
        or plan["tags"] != prior["tags"]
        or not same_json(plan["response_export_values"], prior["response_export_values"])
        or _is_body_changed(plan, prior)
        or sensitive.is_changed(change)
        or (change.config[_IGNORED] or []) != change.private.get(_IGNORED, [])
    )


def _keeping_ignored(plan: Object, change: Change) -> Object:
    """Put back what the state has at the paths that the last apply was told to ignore."""
    paths = change.private.get(_IGNORED, []) if change.prior else []
    if not paths or change.prior is None:
        return plan
    kept = {name: change.prior[name] for name in ("tags", "location", "identity") if name in paths}
    body, prior_body = plan["body"], change.prior["body"]
    if isinstance(body, Dynamic) and is_known(body):
        kept["body"] = retyped(overridden(plain(body), plain(prior_body), paths), body)
    return {**plan, **kept}


def _replacing(plan: Object, change: Change) -> list[Path]:
    prior = change.prior
    if prior is None:
        return []
    found: list[Path] = [(name,) for name in ("name", "parent_id") if plan[name] != prior[name]]
    if _is_other_type(plan, prior):
        found.append(("type",))
    location, before = plan["location"], prior["location"]
    if isinstance(location, str) and normal_location(location) != normal_location(before or ""):
        found.append(("location",))
    trigger = plan["replace_triggers_external_values"]
    if trigger is not None and not same_json(trigger, prior["replace_triggers_external_values"]):
        found.append(("replace_triggers_external_values",))
    paths = plan["replace_triggers_refs"]
    if paths and is_known(plan["body"]):
        queries = {path: path for path in paths}
        if not same(exported(plain(plan["body"]), queries), exported(plain(prior["body"]), queries)):
            found.append(("body",))
    return found


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
    ignored = change.config[_IGNORED]
    private = {**sensitive.remembered(change.config), **({_IGNORED: ignored} if ignored else {})}
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
    location = body.get("location")
    if "location" not in ignored and location and normal_location(location) != normal_location(state["location"] or ""):
        new["location"] = location
    if "tags" not in ignored and (body.get("tags") or state["tags"]):
        new["tags"] = body.get("tags") or None
    if "identity" not in ignored and wanted.get("identity") is None:
        new["identity"] = identities.refreshed(state["identity"] or [], body.get("identity"))
    if state["body"] is not None:
        drifted = shaped(wanted, found, Tolerance.of(state))
        new["body"] = retyped(overridden(drifted, wanted, ignored), state["body"])
    return new
