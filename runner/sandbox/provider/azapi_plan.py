"""The plan of an `azapi_resource`: what will be, what makes a new object, and whether a change needs a request at all.

Azure is asked only when the body or the API version changed, to drop a change that is so already.
"""

from __future__ import annotations

from typing import Any

from runner.sandbox.provider import arguments, identities, resource_id, sensitive
from runner.sandbox.provider.arguments import same_json
from runner.sandbox.provider.arm import Arm, Options, RequestFailed
from runner.sandbox.provider.bodies import Tolerance, exported, merged, overridden, same, shaped
from runner.sandbox.provider.contract import Change, Failed, Object, Path, Planned
from runner.sandbox.provider.envelope import normal_location
from runner.sandbox.provider.values import UNKNOWN, Dynamic, is_known, plain, retyped

FLAGS = {
    "ignore_casing": False,
    "ignore_missing_property": True,
    "ignore_null_property": False,
    "schema_validation_enabled": True,
}
"""What a resource does where its configuration says nothing."""
IGNORED = "ignore_body_changes"


def planned(session: Arm, change: Change) -> Planned:
    """Plan a change of one resource."""
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


def _defaults(config: Object, session: Arm) -> Object:
    """Fill in what the configuration leaves to the provider."""
    found: Object = {name: default for name, default in FLAGS.items() if config[name] is None}
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
        or (change.config[IGNORED] or []) != change.private.get(IGNORED, [])
    )


def _keeping_ignored(plan: Object, change: Change) -> Object:
    """Put back what the state has at the paths that the last apply was told to ignore."""
    paths = change.private.get(IGNORED, []) if change.prior else []
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
    if isinstance(location, str) and normal_location(location) != normal_location(before):
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
