"""What an Azure resource may have beside its properties: a location and tags. A reply of another shape has neither. Pure."""

from __future__ import annotations

from typing import Any


def normal_location(name: str | None) -> str:
    """Write a location the way Azure does: "West Europe" is "westeurope"."""
    return (name or "").replace(" ", "").lower()


def location_of(found: Any) -> str | None:
    """Return the location that a reply names."""
    named = found.get("location") if isinstance(found, dict) else None
    return named if isinstance(named, str) and named else None


def tags_of(found: Any) -> dict[str, str] | None:
    """Return the tags of a reply, or None if it has none."""
    named = found.get("tags") if isinstance(found, dict) else None
    if not isinstance(named, dict):
        return None
    return {name: str(value or "") for name, value in named.items()} or None
