"""A landing zone in a picture: who gets which roles, where a tenant is placed, what is put into it, and what is called afterwards.

Drawn as SVG on the server; colours are the style sheet's, so that it is right in the dark and on paper.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from runner.domain import wording
from runner.domain.harmless import plain
from runner.domain.landing_zone import LandingZone
from runner.domain.platform import AzurePlatform

_EDGE = 12
_GAP = 12
_PAD = 14
_LINE = 20
_HEADING = 34  # of a box, with its title
_LEFT = 270  # width of the groups
_ARROW = 60
_PLACE = 500  # width of where the tenant is
_SIGN = 7.4  # width of a letter, rather more than less
_MOST = 8  # lines of a box


@dataclass(frozen=True)
class Box:
    """A box with a title and lines. `kind` is a class of the style sheet; positions are in user units."""

    x: int
    y: int
    width: int
    height: int
    kind: str
    title: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """Boxes, arrows between points, and the same in words for who does not see it."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    arrows: tuple[tuple[int, int, int, int], ...]
    words: str


@dataclass(frozen=True)
class _Part:
    kind: str
    title: str
    lines: Sequence[str]


def picture(zone: LandingZone, platform: AzurePlatform | None) -> Picture:
    """What the landing zone does for each tenant."""
    by_group = platform is not None and platform.spec.type == "azurerg"
    groups, inside = list(_groups(zone, platform)), [part for part in _inside(zone) if part.lines]
    above = f"Management group {zone.spec.azure_management_group_id}" if zone.spec.azure_management_group_id else ""
    scope = "Resource group of the tenant" if by_group else "Subscription of the tenant"
    where = [f"in {zone.spec.azure_rg_location}"] if by_group and zone.spec.azure_rg_location else []
    # from the inside out: what a box holds says how large it is
    x = _EDGE + (_LEFT + _ARROW if groups else 0)
    inset = _PAD if above else 0
    top = _EDGE + (_HEADING if above else 0)
    y = top + _HEADING + _LINE * len(where)
    held = []
    for part in inside:
        held.append(_box(x + inset + _PAD, y, _PLACE - 2 * (inset + _PAD), part))
        y += held[-1].height + _GAP
    people = [_box(_EDGE, 0, _LEFT, part) for part in groups]
    tall = max(
        y - top + (0 if held else _GAP), sum(box.height + _GAP for box in people) - _GAP
    )  # so that no arrow misses it
    place = Box(x + inset, top, _PLACE - 2 * inset, tall, "scope", scope, tuple(where))
    boxes = [place, *held]
    bottom = place.y + place.height
    if above:
        room = int((_PLACE - 2 * _PAD) / _SIGN)
        boxes.insert(0, Box(x, _EDGE, _PLACE, bottom + _PAD - _EDGE, "above", _short(plain(above), room)))
        bottom += _PAD
    arrows = []
    y = top
    for box in people:
        boxes.append(replace(box, y=y))
        arrows.append((_EDGE + _LEFT, y + box.height // 2, place.x, y + box.height // 2))
        y += box.height + _GAP
    if (function := zone.spec.azure_function) is not None:
        told = _Part("function", "Function, called after each run", [function.azure_function_url])
        made = _box(x, bottom + 2 * _PAD + _GAP, _PLACE, told)
        arrows.append((x + _PLACE // 2, place.y + place.height, x + _PLACE // 2, made.y))
        boxes.append(made)
        bottom = made.y + made.height
    return Picture(
        x + _PLACE + _EDGE, bottom + _EDGE, tuple(boxes), tuple(arrows), _words(above, scope, groups, inside, zone)
    )


def _groups(zone: LandingZone, platform: AzurePlatform | None) -> Iterator[_Part]:
    mappings = zone.spec.azure_role_mappings
    for one in mappings:
        roles = [
            wording.role_name(role.azure_role_definition_id) + (" with a condition" if role.abac_condition else "")
            for role in one.azure_role_definitions
        ]
        yield _Part("people", f"Group {one.azure_group_suffix}: {one.project_role_ref.name}", roles)
    if not mappings and platform is not None:
        for mapping in platform.spec.azure_role_mappings:
            title = f"Group {mapping.azure_role.alias}: {mapping.project_role_ref.name}"
            yield _Part("people", title, [wording.role_name(mapping.azure_role.id)])


def _inside(zone: LandingZone) -> Iterator[_Part]:
    spec = zone.spec
    yield _Part("thing", "Resource groups", [f"{one.name} in {one.location}" for one in spec.resource_groups])
    yield _Part("thing", "Deployment stacks", [one.name for one in spec.deployment_stacks])
    yield _Part("thing", "Blueprints", [one.name for one in spec.blueprints])
    blocks = [one.called + ("" if one.mandatory else ", where a tenant wants it") for one in spec.building_blocks]
    yield _Part("thing", "Building blocks", blocks)


def _words(above: str, scope: str, groups: Sequence[_Part], inside: Sequence[_Part], zone: LandingZone) -> str:
    told = [f"{scope}{', in ' + above[0].lower() + above[1:] if above else ''}"]
    told += [f"{part.title} has {', '.join(part.lines)} there" for part in groups]
    told += [f"{part.title}: {', '.join(part.lines)}" for part in inside]
    if zone.spec.azure_function is not None:
        told.append(f"After each run a function is called: {zone.spec.azure_function.azure_function_url}")
    return plain(". ".join(told) + ".")


def _box(x: int, y: int, width: int, part: _Part) -> Box:
    room = int((width - 2 * _PAD) / _SIGN)
    lines = [_short(plain(line), room) for line in part.lines[:_MOST]]
    if len(part.lines) > _MOST:
        lines.append(f"and {len(part.lines) - _MOST} more")
    return Box(x, y, width, _HEADING + _LINE * len(lines), part.kind, _short(plain(part.title), room), tuple(lines))


def _short(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"
