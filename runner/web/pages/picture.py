"""A landing zone in a picture: what each of its tenants gets, and where. Drawn as SVG on the server; colours are the page's own."""

from __future__ import annotations

from dataclasses import dataclass

from runner.domain import wording
from runner.domain.harmless import plain
from runner.domain.landing_zone import LandingZone
from runner.domain.platform import AzurePlatform

_WIDTH = 760
_LINE = 22
_PAD = 14
_LONGEST = 54  # signs that a box has room for


@dataclass(frozen=True)
class Box:
    """A box with a heading and lines. `kind` is a class of the style sheet; positions are in user units."""

    x: int
    y: int
    width: int
    height: int
    kind: str
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """Boxes, arrows between points, and the same in words for who does not see it."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    arrows: tuple[tuple[int, int, int, int], ...]
    words: str


def picture(zone: LandingZone, platform: AzurePlatform | None) -> Picture:
    """What the landing zone does."""
    spec = zone.spec
    by_group = platform is not None and platform.spec.type == "azurerg"
    place = (
        f"in management group {spec.azure_management_group_id}"
        if spec.azure_management_group_id
        else f"in {spec.azure_rg_location}"
        if spec.azure_rg_location
        else ""
    )
    boxes: list[Box] = []
    top = _box(
        _PAD,
        _PAD,
        _WIDTH - 2 * _PAD,
        "scope",
        "Resource group" if by_group else "Subscription",
        [place] if place else [],
    )
    boxes.append(top)
    parts = [(kind, title, lines) for kind, title, lines in _parts(zone, platform) if lines]
    arrows = []
    y = [top.y + top.height + 2 * _PAD] * 2
    column = (_WIDTH - 3 * _PAD) // 2
    for number, (kind, title, lines) in enumerate(parts):
        side = 0 if y[0] <= y[1] else 1
        made = _box(_PAD + side * (column + _PAD), y[side], column, kind, title, lines)
        boxes.append(made)
        if number < 2:
            middle = made.x + made.width // 2
            arrows.append((middle, top.y + top.height, middle, made.y))
        y[side] += made.height + _PAD
    words = "; ".join(f"{box.title}: {', '.join(box.lines)}" if box.lines else box.title for box in boxes)
    return Picture(_WIDTH, max(*y, top.y + top.height + _PAD), tuple(boxes), tuple(arrows), words)


def _parts(zone: LandingZone, platform: AzurePlatform | None) -> list[tuple[str, str, list[str]]]:
    spec = zone.spec
    roles = [
        f"{mapping.project_role_ref.name}: "
        + ", ".join(
            wording.role_name(role.azure_role_definition_id) + (" with a condition" if role.abac_condition else "")
            for role in mapping.azure_role_definitions
        )
        for mapping in spec.azure_role_mappings
    ]
    if not roles and platform is not None:
        roles = [
            f"{mapping.project_role_ref.name}: {wording.role_name(mapping.azure_role.id)}"
            for mapping in platform.spec.azure_role_mappings
        ]
    function = spec.azure_function
    return [
        ("people", "Entra groups and their roles", roles),
        ("infrastructure", "Resource groups", [f"{one.name} in {one.location}" for one in spec.resource_groups]),
        ("infrastructure", "Deployment stacks", [one.name for one in spec.deployment_stacks]),
        ("infrastructure", "Blueprints", [one.name for one in spec.blueprints]),
        (
            "infrastructure",
            "Building blocks",
            [one.called + ("" if one.mandatory else ", where a tenant wants it") for one in spec.building_blocks],
        ),
        ("function", "Function, after each run", [function.azure_function_url] if function is not None else []),
    ]


def _box(x: int, y: int, width: int, kind: str, title: str, lines: list[str]) -> Box:
    room = _LONGEST if width < _WIDTH // 2 else 2 * _LONGEST
    shown = tuple(_short(plain(line), room) for line in lines[:12])
    if len(lines) > 12:
        shown = (*shown, f"and {len(lines) - 12} more")
    return Box(x, y, width, 2 * _PAD + _LINE * (len(shown) + 1) - 8, kind, title, shown)


def _short(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"
