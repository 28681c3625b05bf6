"""Who has which value where: an index over entities, built when first asked and kept up to date."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

Json = dict[str, Any]


def values_at(entity: Any, path: str) -> Iterator[Any]:
    """Yield every value at a slash-separated path, walking into lists."""
    if isinstance(entity, list):
        for item in entity:
            yield from values_at(item, path)
    elif not path:
        if entity is not None:
            yield entity
    elif isinstance(entity, dict):
        name, _, rest = path.partition("/")
        yield from values_at(entity.get(name), rest)


class Index:
    """Finds entities of a mapping by value. Whoever changes the mapping says so."""

    def __init__(self, entities: Mapping[str, Json]) -> None:
        self._entities = entities
        self._keys: dict[tuple[str, bool], dict[str, dict[str, None]]] = {}
        self._sorted: dict[str, list[str]] = {}

    def find(self, path: str, value: str, *, fold: bool = False) -> list[Json]:
        """Return the entities with exactly `value` at `path`; with `fold`, in any case."""
        found = self._values(path, fold=fold).get(value.lower() if fold else value, {})
        return [self._entities[entity_id] for entity_id in found]

    def find_beginning(self, path: str, value: str) -> list[Json]:
        """Return the entities with something at `path` that begins with `value`."""
        values = self._values(path, fold=False)
        keys = self._sorted.setdefault(path, sorted(values))
        matching = takewhile(
            lambda key: key.startswith(value), (keys[place] for place in range(bisect_left(keys, value), len(keys)))
        )
        return [self._entities[entity_id] for key in matching for entity_id in values[key]]

    def added(self, entity_id: str) -> None:
        """Take in an entity that was not there before."""
        for (path, fold), values in self._keys.items():
            for value in values_at(self._entities[entity_id], path):
                key = str(value).lower() if fold else str(value)
                if not fold and path in self._sorted and key not in values:
                    insort(self._sorted[path], key)
                values.setdefault(key, {})[entity_id] = None

    def changed(self) -> None:
        """Forget everything: an entity was changed or taken away, which is rare."""
        self._keys.clear()
        self._sorted.clear()

    def _values(self, path: str, *, fold: bool) -> dict[str, dict[str, None]]:
        found = self._keys.get((path, fold))
        if found is None:
            found = self._keys[path, fold] = {}
            for entity_id, entity in self._entities.items():
                for value in values_at(entity, path):
                    found.setdefault(str(value).lower() if fold else str(value), {})[entity_id] = None
        return found
