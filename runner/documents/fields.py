"""One document against its schema: the value it makes, or each thing that is wrong with it.

A part that is wrong is left out and the rest looked at again, so that one mistake does not hide the next one; what is left out is
remembered, so that nothing is said twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

from pydantic import ValidationError

from runner.documents.problems import Path, did_you_mean, nearest, shown
from runner.documents.violations import Wrong, repeats, wrong_version, wrongs
from runner.domain.document import API_VERSION
from runner.domain.landing_zone import LandingZone
from runner.domain.platform import AzurePlatform
from runner.domain.tenant import Tenant

Document = AzurePlatform | LandingZone | Tenant
Kept = dict[Path, tuple[int, ...]]

KINDS: Mapping[str, type[AzurePlatform] | type[LandingZone] | type[Tenant]] = {
    "AzurePlatform": AzurePlatform,
    "LandingZone": LandingZone,
    "Tenant": Tenant,
}
_REFERENCES = {"LandingZone": "platformRef", "Tenant": "landingZoneRef"}
# What a document cannot be without is stood in for instead, so that the rest of it can be looked at.
_STAND_INS: Mapping[Path, Any] = {
    ("apiVersion",): API_VERSION,
    ("metadata",): {"name": "x"},
    ("spec", "entraTenant"): "stand-in.invalid",
    ("spec", "servicePrincipal"): {"auth": {"type": "managedIdentity"}},
    ("spec", "platformRef"): {"name": "x"},
    ("spec", "landingZoneRef"): {"name": "x"},
    ("spec", "subscriptionId"): "00000000-0000-0000-0000-000000000000",
    ("spec", "resourceGroupNamePattern"): "x",
    ("spec", "workspaceIdentifier"): "x",
    ("spec", "projectIdentifier"): "x",
}

MOST_LISTED = 500  # mistakes of one document; nobody reads more, and finding the words for each takes time
_MOST_ROUNDS = 10  # each looks at the whole document again; rules that stop at their first find need one round for each


@dataclass(frozen=True)
class Checked:
    """What a document became. `name` and `refers` (to a landing zone or platform) are known also where the rest is too wrong to use.

    `kept` says for each list that lost entries which of them are left, by their old number.
    """

    kind: str
    name: str | None
    refers: str | None
    document: Document | None
    wrong: tuple[Wrong, ...]
    kept: Kept = field(default_factory=dict)

    @cached_property
    def places(self) -> frozenset[Path]:
        """The paths at which something is wrong."""
        return frozenset(wrong.path for wrong in self.wrong)

    @property
    def whole(self) -> bool:
        """Whether nothing had to be left out."""
        return not self.wrong

    def written(self, path: Path) -> Path:
        """A path into the document as a path into its text: entries that were left out count there."""
        return _written(path, self.kept)


def _written(path: Path, kept: Kept) -> Path:
    result: Path = ()
    for part in path:
        numbers = kept.get(result)
        result = (*result, numbers[part] if numbers and isinstance(part, int) and part < len(numbers) else part)
    return result


def check(data: Any) -> Checked:
    """Make a document of plain data; whatever is wrong is in the answer."""
    if not isinstance(data, dict):
        hint = f"Begin with apiVersion: {API_VERSION} and kind: Tenant."
        return Checked("", None, None, None, (Wrong((), "This is no document: it has no fields.", hint),))
    kind, name = data.get("kind"), _text_at(data, "metadata", "name")
    if not isinstance(kind, str) or kind not in KINDS:
        return Checked("", name, None, None, tuple(_unknown_kind(data, kind)))
    reference = ("spec", _REFERENCES.get(kind, ""))
    refers = _text_at(data, *reference, "name") or _text_at(data, *reference)
    try:
        return Checked(kind, name, refers, KINDS[kind].model_validate(data, by_alias=True, by_name=False), ())
    except ValidationError as error:
        document, wrong, kept = _piece_by_piece(KINDS[kind], data, error)
        return Checked(kind, name, refers, document, wrong, kept)


def _piece_by_piece(
    model: type[Document], data: Any, error: ValidationError
) -> tuple[Document | None, tuple[Wrong, ...], Kept]:
    wrong: dict[Path, Wrong] = {}
    around: set[Path] = set()
    kept: Kept = {}
    repeated = list(islice(repeats(model, data), MOST_LISTED + 1))
    for _ in range(_MOST_ROUNDS):
        found = list(islice(wrongs(model, error), MOST_LISTED))
        for new in found:
            path = _written(new.path, kept)
            # a place is spoken of once, and so is what is in it or, having lost it, around it
            if path not in around and not any(outer in wrong for outer in (*_above(path), path)):
                wrong[path] = Wrong(path, new.message, new.hint, new.at_key)
                around.update(_above(path))
        for new in repeated[:MOST_LISTED]:  # whatever is said of such an entry already: both are to be mended
            wrong.setdefault(new.path, new)
            around.update(_above(new.path))
        if max(error.error_count(), len(repeated)) > MOST_LISTED:
            more = f"The document has more than {MOST_LISTED} mistakes; not all of them are listed."
            return None, (*wrong.values(), Wrong((), more, "Mend those first.")), kept
        data = _without(data, {new.path for new in (*found, *repeated)}, kept)
        repeated = []  # they are out, once for all
        try:
            return model.model_validate(data, by_alias=True, by_name=False), tuple(wrong.values()), kept
        except ValidationError as again:
            error = again
    return None, tuple(wrong.values()), kept


def _above(path: Path) -> list[Path]:
    return [path[:length] for length in range(len(path))]


def _without(data: dict[str, Any], paths: set[Path], kept: Kept) -> dict[str, Any]:
    """A copy without what is at the paths, or with what stands in for it."""
    gone: set[Path] = set()
    for path in paths:
        place = next((outer for outer in (*_above(path), path) if outer in _STAND_INS), None)
        if place is None:
            gone.add(_held(data, path))
        elif len(place) == 1:
            data = {**data, str(place[0]): _STAND_INS[place]}
        elif isinstance(data.get("spec"), dict):
            data = {**data, "spec": {**data["spec"], str(place[1]): _STAND_INS[place]}}
    result: dict[str, Any] = _pruned(data, gone, {outer for path in gone for outer in _above(path)}, (), (), kept)
    return result


def _held(data: Any, path: Path) -> Path:
    """The path itself where something is there, else that of what should have held it."""
    for depth, part in enumerate(path):
        keys = data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
        if part not in keys:
            return path[:depth]
        data = data[part]
    return path


def _pruned(data: Any, gone: set[Path], around: set[Path], at: Path, written: Path, kept: Kept) -> Any:
    if at not in around:
        return data
    if isinstance(data, dict):
        left = {key: value for key, value in data.items() if (*at, key) not in gone}
        return {key: _pruned(value, gone, around, (*at, key), (*written, key), kept) for key, value in left.items()}
    numbers = kept.get(written, tuple(range(len(data))))
    indexes = [index for index in range(len(data)) if (*at, index) not in gone]
    if len(indexes) < len(data):
        kept[written] = tuple(numbers[index] for index in indexes)
    return [_pruned(data[index], gone, around, (*at, index), (*written, numbers[index]), kept) for index in indexes]


def _text_at(data: Any, *path: str) -> str | None:
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    return data if isinstance(data, str) else None


def _unknown_kind(data: Mapping[str, Any], kind: Any) -> Iterator[Wrong]:
    version, near = data.get("apiVersion"), nearest(str(kind), KINDS)
    if version not in (None, API_VERSION) and kind is not None and not near:
        message = f"This is a document of {shown(version)} and kind {shown(kind)}, which belongs to another program."
        yield Wrong(("apiVersion",), message, "Move it into another folder.")
        return
    if version != API_VERSION:
        yield wrong_version(version)
    if kind is None:
        yield Wrong(("kind",), "kind is missing.", f"One of {', '.join(KINDS)}.")
    else:
        yield Wrong(("kind",), f"There is no kind {shown(kind)}.", did_you_mean(str(kind), KINDS))
