"""Deployment stacks: Microsoft.Resources/deploymentStacks 2024-03-01 at a subscription.

The reply leaves out the template and its link, as Azure's does: both are only written. Of a template the resource groups are really made
(names and locations that are plain, or made of `parameters`, `concat` and `subscription`), everything else is listed as managed.
What a stack no longer has is detached or deleted as actionOnUnmanage says.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from runner.sandbox.azure.estate import Operation
from runner.sandbox.azure.resources import RETRY_AFTER
from runner.sandbox.azure.routing import Ids, Session, route
from runner.sandbox.azure.subscriptions import must_be_enabled
from runner.sandbox.azure.wire import Answer, Call, Json, Rejection

TYPE = "Microsoft.Resources/deploymentStacks"
PATH = f"/subscriptions/{{subscription}}/providers/{TYPE}"
STATUS = "/subscriptions/{subscription}/providers/Microsoft.Resources/locations/{location}"
_KEY = "/providers/microsoft.resources/deploymentstacks/"
_CALL = re.compile(r"(parameters|concat|subscription|deployment)\s*\(")


def _get(session: Session, call: Call, _: Ids) -> Answer:
    session.estate.look_at(call.path)
    return Answer(200, _shown(_held(session, call)))


def _list(session: Session, call: Call, ids: Ids) -> Answer:
    prefix = f"/subscriptions/{ids['subscription']}{_KEY}".lower()
    found = [one for key, one in session.estate.resources.items() if key.startswith(prefix)]
    return session.page(call, found, show=_shown)


def _put(session: Session, call: Call, ids: Ids) -> Answer:
    must_be_enabled(session, call.path)
    wanted = call.json()
    properties: Json = wanted.get("properties") or {}
    held = session.estate.resources.get(call.path.lower())
    template = _template(session, properties)
    values = _values(template, properties.get("parameters") or {})
    for name in ("actionOnUnmanage", "denySettings"):
        if not isinstance(properties.get(name), dict):
            raise Rejection(400, "InvalidRequestContent", f"The property '{name}' is required.")
    made: Json = {
        "location": wanted.get("location"),
        **({"tags": wanted["tags"]} if wanted.get("tags") else {}),
        "properties": properties | {"provisioningState": "deploying", "resources": _resources(held)},
        "id": held["id"] if held else call.path,
        "type": TYPE,
        "name": held["name"] if held else ids["name"],
    }
    if held is None:
        session.world.attribute(made["id"], session.by)
    session.estate.resources[call.path.lower()] = made
    slowly = session.faults.operation(call)
    error = slowly.error.model_dump() if slowly and slowly.error else None

    def finish() -> None:
        if error is not None:
            _fail(made, error)
        else:
            _deploy(session, made, template, values, ids["subscription"])

    operation = Operation(str(uuid.uuid4()), slowly.polls if slowly else 1, finish, error)
    session.start(operation, call.path)
    place = STATUS.format(subscription=ids["subscription"], location=made["location"] or "global")
    link = f"{call.origin}{place}/deploymentStackOperationStatus/{operation.id}?api-version={call.query['api-version']}"
    return Answer(201 if held is None else 200, _shown(made), {"Azure-AsyncOperation": link, **RETRY_AFTER})


def _delete(session: Session, call: Call, ids: Ids) -> Answer:
    held = session.estate.resources.get(call.path.lower())
    if held is None:
        return Answer(204)
    held["properties"]["provisioningState"] = "deleting"
    asked = {name.lower(): value.lower() for name, value in call.query.items()}
    actions = {
        "resources": asked.get("unmanageaction.resources", "detach"),
        "resourceGroups": asked.get("unmanageaction.resourcegroups", "detach"),
    }
    slowly = session.faults.operation(call)
    error = slowly.error.model_dump() if slowly and slowly.error else None

    def finish() -> None:
        if error is not None:
            _fail(held, error)
            return
        _unmanage(session, _resources(held), actions)
        session.estate.resources.pop(call.path.lower(), None)

    operation = Operation(str(uuid.uuid4()), slowly.polls if slowly else 1, finish, error)
    session.start(operation, call.path)
    path = f"/subscriptions/{ids['subscription']}/operationresults/{operation.id}"
    return Answer(
        202, None, {"Location": f"{call.origin}{path}?api-version={call.query['api-version']}", **RETRY_AFTER}
    )


def _status(session: Session, call: Call, ids: Ids) -> Answer:
    operation = session.estate.operations.get(ids["operation"].lower())
    if operation is None:
        raise Rejection(404, "OperationNotFound", f"The operation '{ids['operation']}' was not found.")
    shown: Json = {"id": call.path, "name": operation.id}
    if not operation.look():
        return Answer(200, shown | {"status": "deploying"}, RETRY_AFTER)
    if operation.error is not None:
        return Answer(200, shown | {"status": "failed", "error": operation.error})
    return Answer(200, shown | {"status": "succeeded"})


def _held(session: Session, call: Call) -> Json:
    held = session.estate.resources.get(call.path.lower())
    if held is None:
        name = call.segments[-1]
        raise Rejection(404, "DeploymentStackNotFound", f"The deployment stack '{name}' could not be found.")
    return held


def _shown(held: Json) -> Json:
    hidden = ("template", "templateLink", "bypassStackOutOfSyncError")
    return held | {"properties": {key: value for key, value in held["properties"].items() if key not in hidden}}


def _resources(held: Json | None) -> list[Json]:
    return list(held["properties"].get("resources") or ()) if held else []


def _fail(made: Json, error: Json) -> None:
    """A change of deny settings that fails leaves some resources with the old ones (Azure/deployment-stacks issue 242)."""
    made["properties"] |= {"provisioningState": "failed", "error": error}
    for one in made["properties"]["resources"][::2]:
        one["denyStatus"] = "none"


# --- templates -------------------------------------------------------------------------------------------------------


def _template(session: Session, properties: Json) -> Json:
    link, template = properties.get("templateLink"), properties.get("template")
    if isinstance(template, dict):
        return template
    if not isinstance(link, dict) or not link.get("id"):
        raise Rejection(400, "InvalidRequestContent", "The stack has neither a template nor a templateLink.")
    version = session.estate.resources.get(str(link["id"]).lower())
    if version is None:
        raise Rejection(404, "TemplateSpecVersionNotFound", f"The template spec '{link['id']}' could not be found.")
    found = version["properties"].get("mainTemplate")
    return found if isinstance(found, dict) else {}


def _values(template: Json, given: Json) -> Json:
    declared: Json = template.get("parameters") or {}
    known = {name.lower(): name for name in declared}
    values = {name: one["defaultValue"] for name, one in declared.items() if "defaultValue" in one}
    for name, one in given.items():
        if name.lower() not in known:
            raise Rejection(400, "InvalidTemplate", f"The template parameter '{name}' is not declared.")
        values[known[name.lower()]] = one.get("value") if isinstance(one, dict) else None
    for name in declared:
        if name not in values:
            raise Rejection(400, "InvalidTemplate", f"The value for the template parameter '{name}' is not provided.")
    return values


def _deploy(session: Session, made: Json, template: Json, values: Json, subscription: str) -> None:
    mode = made["properties"]["denySettings"].get("mode", "none")
    deployed = [_resource(session, one, values, subscription) for one in template.get("resources") or ()]
    before, ids = _resources(made), {one["id"].lower() for one in deployed}
    _unmanage(session, [one for one in before if one["id"].lower() not in ids], made["properties"]["actionOnUnmanage"])
    for one in deployed:
        one |= {"status": "managed", "denyStatus": mode if mode != "none" else "none"}
    outputs = {
        name: {"type": one.get("type"), "value": _value(one.get("value"), values, subscription)}
        for name, one in (template.get("outputs") or {}).items()
    }
    made["properties"] |= {"provisioningState": "succeeded", "resources": deployed, "outputs": outputs}
    made["properties"].pop("error", None)


def _resource(session: Session, declared: Json, values: Json, subscription: str) -> Json:
    type_, name = str(declared.get("type", "")), str(_value(declared.get("name"), values, subscription))
    scope = f"/subscriptions/{subscription}"
    if type_.lower() != "microsoft.resources/resourcegroups":
        group = declared.get("resourceGroup")
        inside = f"{scope}/resourceGroups/{_value(group, values, subscription)}" if group else scope
        return {"id": f"{inside}/providers/{type_}/{name}"}
    made = f"{scope}/resourceGroups/{name}"
    location = str(_value(declared.get("location"), values, subscription)).replace(" ", "").lower()
    session.estate.resource_groups.setdefault(
        made.lower(),
        {
            "location": location,
            "tags": {},
            "properties": {"provisioningState": "Succeeded"},
            "id": made,
            "name": name,
            "type": "Microsoft.Resources/resourceGroups",
        },
    )
    tags = _value(declared.get("tags") or {}, values, subscription)
    session.estate.resource_groups[made.lower()]["tags"] = tags
    return {"id": made}


def _unmanage(session: Session, resources: list[Json], actions: Json) -> None:
    for one in resources:
        is_group = "/providers/" not in one["id"]
        if str(actions.get("resourceGroups" if is_group else "resources", "detach")).lower() == "delete":
            session.estate.remove_below(one["id"])


def _value(value: Any, values: Json, subscription: str) -> Any:
    """An expression's value, as far as this knows the language; what it does not know stays as it is written."""
    match value:
        case str() if value.startswith("[") and not value.startswith("[["):
            return _evaluated(value[1:-1].strip(), values, subscription)
        case list():
            return [_value(item, values, subscription) for item in value]
        case dict():
            return {key: _value(item, values, subscription) for key, item in value.items()}
        case _:
            return value


def _evaluated(text: str, values: Json, subscription: str) -> Any:
    if text.startswith("'") and text.endswith("'"):
        return text[1:-1].replace("''", "'")
    if text == "subscription().subscriptionId":
        return subscription
    if text == "subscription().id":
        return f"/subscriptions/{subscription}"
    found = _CALL.match(text)
    if found is None or not text.endswith(")"):
        return f"[{text}]"
    arguments = [_evaluated(one, values, subscription) for one in _split(text[found.end() : -1])]
    if found[1] == "parameters" and len(arguments) == 1:
        known = {name.lower(): value for name, value in values.items()}
        return known.get(str(arguments[0]).lower(), f"[{text}]")
    return "".join(str(one) for one in arguments) if found[1] == "concat" else f"[{text}]"


def _split(text: str) -> list[str]:
    """Arguments between commas that are in no brackets and no text."""
    parts, depth, quoted, current = [], 0, False, ""
    for char in text:
        if char == "'":
            quoted = not quoted
        elif not quoted:
            depth += {"(": 1, ")": -1}.get(char, 0)
        if char == "," and not quoted and depth == 0:
            parts.append(current.strip())
            current = ""
        else:
            current += char
    return [*parts, current.strip()] if current.strip() else parts


ROUTES = (
    route(PATH, TYPE, GET=_list),
    route(f"{PATH}/{{name}}", TYPE, GET=_get, PUT=_put, DELETE=_delete),
    route(f"{STATUS}/deploymentStackOperationStatus/{{operation}}", None, GET=_status),
)
