"""The tags of a subscription, a resource group or a resource, api-version 2021-04-01, and Azure's rules for tags.

`tags/default` always exists. It is another view of the same tags that the object itself shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runner.sandbox.azure.estate import Subscription
from runner.sandbox.azure.routing import Ids, Session, route
from runner.sandbox.azure.scopes import must_exist
from runner.sandbox.azure.wire import Answer, Call, Json, Rejection

MOST_TAGS = 50
LONGEST_NAME = 512
LONGEST_VALUE = 256
FORBIDDEN = frozenset("<>%&\\?/")
RESERVED = ("azure", "microsoft", "windows")


def checked(given: Any, *, known: Iterable[str]) -> dict[str, str]:
    """Return tags as Azure takes them, under the `known` spellings of their names; a 400 for tags that it does not take."""
    if given is None:
        return {}
    if not isinstance(given, dict) or not all(isinstance(value, str | None) for value in given.values()):
        raise Rejection(400, "InvalidRequestContent", "The tags must be an object of strings.")
    if len(given) > MOST_TAGS:
        raise Rejection(
            400, "TooManyTags", f"The number of tags '{len(given)}' exceeds the allowed limit of '{MOST_TAGS}'."
        )
    for name, value in given.items():
        if not name or len(name) > LONGEST_NAME or len(value or "") > LONGEST_VALUE:
            raise Rejection(
                400,
                "InvalidTagLength",
                f"The tag '{name[:64]}' has a name above {LONGEST_NAME} or a value above {LONGEST_VALUE} characters.",
            )
        if FORBIDDEN & set(name) or any(ord(letter) < 32 for letter in name):
            raise Rejection(
                400,
                "InvalidTagNameCharacters",
                f"The tag names '{name}' have reserved characters '<,>,%,&,\\,?,/' or control characters.",
            )
        if name.lower().startswith(RESERVED):
            raise Rejection(
                400, "InvalidTagNamePrefix", f"The tag name '{name}' starts with a prefix that is reserved."
            )
    return _folded({name: value or "" for name, value in given.items()}, known)


def _folded(given: dict[str, str], known: Iterable[str]) -> dict[str, str]:
    """One pair for a name, in whatever cases it was given: the spelling that was there first, the value that came last.

    Azure stores `{"key": …, "KEY": …}` as one pair (https://github.com/MicrosoftDocs/azure-docs/issues/57888). Which of
    two values wins is not documented.
    """
    spellings = {name.lower(): name for name in known}
    folded: dict[str, str] = {}
    for name, value in given.items():
        folded[spellings.setdefault(name.lower(), name)] = value
    return folded


def _get(session: Session, call: Call, ids: Ids) -> Answer:
    return _shown(ids["scope"], _tags_of(session, ids["scope"]))


def _put(session: Session, call: Call, ids: Ids) -> Answer:
    return _write(session, ids["scope"], _given(call))


def _patch(session: Session, call: Call, ids: Ids) -> Answer:
    tags = dict(_tags_of(session, ids["scope"]))
    given = _given(call)
    match call.json().get("operation"):
        case "Replace":
            tags = given
        case "Merge":
            for name, value in given.items():
                tags[_known(tags, name)] = value
        case "Delete":  # by name, or by name and value when a value is given
            for name, value in given.items():
                if not value or tags.get(_known(tags, name)) == value:
                    tags.pop(_known(tags, name), None)
        case operation:
            raise Rejection(
                400,
                "InvalidTagPatchOperation",
                f"The tags operation '{operation}' is not one of Merge, Replace, Delete.",
            )
    return _write(session, ids["scope"], tags)


def _delete(session: Session, _: Call, ids: Ids) -> Answer:
    _write(session, ids["scope"], {})
    return Answer(200)


def _given(call: Call) -> dict[str, str]:
    properties = call.json().get("properties")
    tags = properties.get("tags") if isinstance(properties, dict) else None
    if not isinstance(tags, dict):
        raise Rejection(400, "InvalidRequestContent", "The request content has no 'properties.tags'.")
    return {name: "" if value is None else value for name, value in tags.items()}


def _known(tags: dict[str, str], name: str) -> str:
    """The spelling under which a tag exists: tag names are found in any case."""
    return next((known for known in tags if known.lower() == name.lower()), name)


def _write(session: Session, scope: str, wanted: dict[str, str]) -> Answer:
    tags = checked(wanted, known=_tags_of(session, scope))
    held = _holder(session, scope)
    if isinstance(held, Subscription):
        held.tags = tags
    else:
        held["tags"] = tags
    return _shown(scope, tags)


def _tags_of(session: Session, scope: str) -> dict[str, str]:
    held = _holder(session, scope)
    return dict(held.tags if isinstance(held, Subscription) else held.get("tags") or {})


def _holder(session: Session, scope: str) -> Subscription | Json:
    """Whose tags these are."""
    must_exist(session, scope)
    key = scope.lower()
    held: Subscription | Json | None = session.estate.resource_groups.get(key) or session.estate.resources.get(key)
    if held is None and key.startswith("/subscriptions/") and key.count("/") == 2:
        held = session.estate.subscription(key.split("/")[2])
    if held is None:
        raise Rejection(404, "ResourceNotFound", f"The Resource '{scope}' was not found.")
    return held


def _shown(scope: str, tags: dict[str, str]) -> Answer:
    return Answer(
        200,
        {
            "id": f"{scope}/providers/Microsoft.Resources/tags/default",
            "name": "default",
            "type": "Microsoft.Resources/tags",
            "properties": {"tags": tags},
        },
    )


ROUTES = (
    route(
        "{scope*}/providers/Microsoft.Resources/tags/default",
        "Microsoft.Resources/tags",
        GET=_get,
        PUT=_put,
        PATCH=_patch,
        DELETE=_delete,
    ),
)
