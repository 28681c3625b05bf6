"""From the schema library's errors to places and words: which field it was, what is wrong with it, and what to do.

No message shows the value of a field that may hold a secret, nor of an unknown field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from runner.documents.problems import LONGEST_SHOWN, Path, did_you_mean, nearest, printable, shown
from runner.documents.wording import Words, words_for_cloud, words_for_pattern
from runner.domain.document import API_VERSION, SecretReference, Value
from runner.domain.platform import Cloud

_SECRET_FIELDS = frozenset({"credential", "certificate", "password"})
_OF_CONTAINERS = frozenset({"too_short", "too_long", "tuple_type", "dict_type", "model_type"})
_SECRET_NAMES = ("clientSecret", "secret", "plaintext", "credentialsAuthClientSecret", "clientSecretValue")


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that is wrong at a path; `at_key` points at the field's name instead of its value."""

    path: Path
    message: str
    hint: str = ""
    at_key: bool = False


def wrong_version(value: Any) -> Wrong:
    """What is wrong with an apiVersion that is not the one there is."""
    if value is None:
        return Wrong(("apiVersion",), "apiVersion is missing.", f"apiVersion: {API_VERSION}")
    return Wrong(("apiVersion",), f"{shown(value)} is not a version of these documents.", f"apiVersion: {API_VERSION}")


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where an error is: its path as written, the field it is in, the models that belong there, and those around it."""

    path: Path
    info: FieldInfo | None
    models: tuple[type[BaseModel], ...]
    around: tuple[type[BaseModel], ...]
    in_union: bool


def wrongs(model: type[BaseModel], error: ValidationError) -> Iterator[Wrong]:
    """Each thing that the error lists, with the path at which the document has it."""
    for line in error.errors(include_url=False):
        spot = _spot(model, line["loc"])
        kind, given = line["type"], line.get("input")
        # of a field that is either a word or a block of fields, only what fits how it was written
        if spot.in_union and isinstance(given, dict) == (kind == "literal_error"):
            continue
        yield _wrong(kind, spot, given, line.get("ctx", {}), line["msg"])


def repeats(model: type[BaseModel], data: Any, path: Path = ()) -> Iterator[Wrong]:
    """Each entry that repeats another where that must not be, whatever else is wrong with either.

    Models ask the same only of documents whose every field is right, and then tell the first one.
    """
    if not isinstance(data, dict):
        return
    for rule in model.once if issubclass(model, Value) else ():
        entries, by = data.get(to_camel(rule.entries)), [to_camel(part) for part in rule.by.split(".")]
        for error in rule.broken_by(_inside(entry, by) for entry in (entries if isinstance(entries, list) else ())):
            yield _broken(path, error.context or {})
    for info in model.model_fields.values():
        part = data.get(info.alias)
        for inner in _models(info.annotation) if isinstance(part, dict | list) else ():
            for index, entry in enumerate(part) if isinstance(part, list) else [(None, part)]:
                yield from repeats(inner, entry, (*path, str(info.alias), *(() if index is None else (index,))))


def _inside(data: Any, path: Sequence[str]) -> Any:
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    return data


def _broken(path: Path, context: Mapping[str, Any]) -> Wrong:
    """A rule between fields that is broken in the model at the path."""
    inside = tuple(int(part) if part.isdigit() else part for part in str(context["field"]).split(".") if part)
    return Wrong((*path, *inside), context["message"], context["hint"])


def _spot(model: type[BaseModel], loc: Path) -> _Spot:
    """Pydantic's location without the members of unions that it names in between."""
    spot = _Spot((), None, (model,), (), in_union=False)
    tagged = False
    for part in loc:
        if tagged:
            chosen = tuple(m for m in spot.models if part in _literals(m.model_fields["type"].annotation))
            spot, tagged = replace(spot, models=chosen), False
            continue
        found = next((f for m in spot.models for f in m.model_fields.values() if f.alias == part), None)
        if found is None and isinstance(part, str) and spot.info and _is_member(part, spot.info):
            chosen = tuple(m for m in spot.models if m.__name__ == part)
            spot = replace(spot, models=chosen or spot.models, in_union=True)
            continue
        if part == "[key]":
            continue
        if found is not None:
            spot = _Spot((*spot.path, part), found, tuple(_models(found.annotation)), spot.models, in_union=False)
            tagged = found.discriminator is not None
        else:
            inner = spot.models if isinstance(part, int) else ()
            spot = _Spot((*spot.path, part), spot.info, inner, spot.models, in_union=False)
    return spot


def _is_member(part: str, info: FieldInfo) -> bool:
    return part.startswith("literal[") or any(part == m.__name__ for m in _models(info.annotation))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _literals(annotation: Any) -> tuple[str, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(word for inner in get_args(annotation) for word in _literals(inner))


def _wrong(kind: str, spot: _Spot, given: Any, context: Mapping[str, Any], message: str) -> Wrong:
    path, last = spot.path, _last(spot)
    match kind:
        case "rule":
            return _broken(path, context)
        case "missing" if path == ("apiVersion",):
            return wrong_version(None)
        case "missing":
            return Wrong(path, f"{last} is missing.", (spot.info and spot.info.description) or "")
        case "union_tag_not_found":
            return Wrong((*path, "type"), "type is missing.", f"One of {_or(_tags(spot.models))}.")
        case "union_tag_invalid":
            known = _tags(spot.models)
            return Wrong(
                (*path, "type"), f"{shown(context['tag'])} is not one of {_or(known)}.", _meant(context["tag"], known)
            )
        case "extra_forbidden":
            return _unknown_field(spot)
        case "literal_error" if last == "apiVersion":
            return wrong_version(given)
        case "string_pattern_mismatch":
            words = words_for_pattern(str(context["pattern"]), str(given), last)
            return Wrong(path, words.secretly if _may_be_secret(spot) else words.message, words.hint)
        case _:
            words = _plain_words(kind, spot, given, context, message)
            return Wrong(path, words.message, words.hint)


def _plain_words(kind: str, spot: _Spot, given: Any, context: Mapping[str, Any], message: str) -> Words:
    last, value = _last(spot), "The value (not shown)" if _may_be_secret(spot) else shown(given)
    if given is None:
        return Words(f"{last} is empty.", "Write a value, or remove the line. The word null itself goes into quotes.")
    if isinstance(given, dict | list) and kind not in _OF_CONTAINERS:
        return Words(f"{last} is {_shape(given)}; a single value belongs here.")
    match kind:
        case "literal_error" if Cloud in spot.models:
            return words_for_cloud(str(given), _literals(spot.info.annotation) if spot.info else ())
        case "literal_error":
            known = list(_literals(spot.info.annotation)) if spot.info else []
            return Words(f"{value} is not one of {_or(known)}.", _meant(given, known))
        case "bool_parsing":
            return Words(f"{value} is neither true nor false.")
        case "int_parsing":
            return Words(f"{value} is not a whole number.")
        case "int_parsing_size":
            return Words("This number is too large to be held.")
        case "string_too_short" | "too_short":
            return Words(f"{last} is empty.", "Write at least one entry." if kind == "too_short" else "Write a value.")
        case "too_long":
            return Words(f"{last} has too many entries; at most {context['max_length']} are taken.")
        case "string_too_long":
            return Words(f"{last} has {len(given)} characters; at most {context['max_length']} are taken.")
        case "greater_than_equal":
            return Words(f"{value} is too small: at least {context['ge']}.")
        case "less_than_equal":
            return Words(f"{value} is too large: at most {context['le']}.")
        case "tuple_type":
            return Words(f"{last} is {_shape(given)}; a list belongs here.", "Begin each entry with a dash.")
        case "dict_type" | "model_type":
            return Words(f"{last} is {_shape(given)}; a block of fields belongs here.", _as_block(spot, given))
        case _:
            return Words(f"{message[:1].upper()}{message[1:].rstrip('.')}.")


def _unknown_field(spot: _Spot) -> Wrong:
    name = str(spot.path[-1])
    if nearest(name, _SECRET_NAMES):
        hint = "A secret is never in a document, only where it is found: credential: {env: NAME_OF_A_VARIABLE}"
    else:
        hint = did_you_mean(name, (f.alias or n for m in spot.around for n, f in m.model_fields.items()))
    return Wrong(spot.path, f"There is no field {shown(name)} here.", hint, at_key=True)


def _may_be_secret(spot: _Spot) -> bool:
    return bool(_SECRET_FIELDS.intersection(map(str, spot.path)))


def _last(spot: _Spot) -> str:
    part = spot.path[-1] if spot.path else "This"
    return "This entry" if isinstance(part, int) else printable(part)[:LONGEST_SHOWN]


def _tags(models: tuple[type[BaseModel], ...]) -> list[str]:
    return [tag for m in models for tag in _literals(m.model_fields["type"].annotation)]


def _shape(given: Any) -> str:
    if isinstance(given, dict):
        return "a block of fields"
    return "a list" if isinstance(given, list) else "a single value"


def _as_block(spot: _Spot, given: Any) -> str:
    """A bare name where `{name: …}` belongs is what people write first, and the secret itself where it is referred to."""
    if SecretReference in spot.models:
        return (
            f"A secret is never in a document, only where it is found: {_last(spot)}: {{env: NAME_OF_A_VARIABLE}} or {{file: /its/path}}.\n"
            "If the secret itself stood here, replace it now: it was written down, and files are copied."
        )
    is_reference = any(set(m.model_fields) == {"name"} for m in spot.models)
    return (
        f"{_last(spot)}: {{name: {printable(given)}}}"
        if is_reference and isinstance(given, str) and len(given) < 120
        else ""
    )


def _meant(given: Any, known: list[str]) -> str:
    close = nearest(str(given), known)
    return f"Did you mean {close}?" if close else ""


def _or(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
