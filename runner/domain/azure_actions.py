"""What a set of Azure roles allows, by Azure's own rules for actions.

Each role allows its `actions` without its `notActions`; what one role leaves out another may allow. Actions are compared without case,
and a `*` stands for any text anywhere (https://learn.microsoft.com/azure/role-based-access-control/role-definitions). Conditions and
deny assignments are not part of what Azure tells here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

ANY = "*"


@dataclass(frozen=True)
class Granted:
    """What one role assignment gives: an entry of `Microsoft.Authorization/permissions`."""

    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()


def allows(granted: Iterable[Granted], needed: str) -> bool:
    """Whether the roles allow the action; one with a `*` is allowed where one role allows everything that it stands for."""
    return any(_one_allows(role, needed.lower()) for role in granted)


def _one_allows(role: Granted, needed: str) -> bool:
    covered = any(covers(pattern.lower(), needed) for pattern in role.actions)
    return covered and not any(meet(pattern.lower(), needed) for pattern in role.not_actions)


def covers(pattern: str, text: str) -> bool:
    """Whether the pattern matches all that `text` stands for: a `*` in `text` is matched by a `*` of the pattern only."""
    reached = {0}  # places in the pattern that the text so far may have led to
    for letter in text:
        reached = {
            after
            for place in _with_stars(pattern, reached)
            if place < len(pattern)
            for after in _past(pattern, place, letter)
        }
    return len(pattern) in _with_stars(pattern, reached)


def meet(one: str, other: str) -> bool:
    """Whether there is a text that both patterns match."""
    # rows[i][j]: whether what is left of `one` from i and of `other` from j have a text in common
    below = [all(letter == ANY for letter in other[j:]) for j in range(len(other) + 1)]
    for i in range(len(one) - 1, -1, -1):
        row = [False] * (len(other) + 1)
        row[len(other)] = one[i] == ANY and below[len(other)]
        for j in range(len(other) - 1, -1, -1):
            if one[i] == ANY or other[j] == ANY:
                row[j] = below[j] or row[j + 1]
            else:
                row[j] = one[i] == other[j] and below[j + 1]
        below = row
    return below[0]


def _with_stars(pattern: str, places: Iterable[int]) -> set[int]:
    """The places, and those behind a `*` that stands for nothing."""
    found: set[int] = set()
    for place in places:
        found.add(place)
        while place < len(pattern) and pattern[place] == ANY:
            place += 1
            found.add(place)
    return found


def _past(pattern: str, place: int, letter: str) -> tuple[int, ...]:
    if pattern[place] == ANY:
        return (place,)
    return (place + 1,) if pattern[place] == letter else ()
