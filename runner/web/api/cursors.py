"""Cursors of lists: opaque to whoever gets them, and good as long as what they point at is there."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from runner.domain.run import Status
from runner.errors import InputError
from runner.ports import FleetOrder, FleetPlace, FleetRow


def cursor(kind: str, place: Any) -> str:
    """A cursor at this place of a list of this kind."""
    text = json.dumps([kind, place], separators=(",", ":"), ensure_ascii=False)
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def place(kind: str, text: str) -> Any:
    """The place; InputError (`cursor-wrong`) where this is no cursor of such a list."""
    try:
        found = json.loads(urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)))
    except (ValueError, RecursionError):
        raise wrong_cursor() from None
    if not isinstance(found, list) or len(found) != 2 or found[0] != kind:
        raise wrong_cursor()
    return found[1]


def after_tenant(row: FleetRow, order: FleetOrder) -> str:
    """The cursor behind this row of the tenants in this order."""
    at = FleetPlace.of(row, order)
    value = at.value.isoformat() if isinstance(at.value, datetime) else at.value
    return cursor(f"tenants by {order}", [value, at.tenant])


def tenant_place(order: FleetOrder, text: str) -> FleetPlace:
    """The place of a cursor of tenants in this order; InputError as of `place`."""
    match order, place(f"tenants by {order}", text):
        case "landing_zone" | "status" | "drifted" | "settled" | "updated", [None, str(tenant)]:
            return FleetPlace(None, tenant)
        case "tenant" | "landing_zone", [str(value), str(tenant)]:
            return FleetPlace(value, tenant)
        case "status", [str(value), str(tenant)] if value in list(Status):
            return FleetPlace(Status(value), tenant)
        case "drifted" | "settled" | "updated", [str(value), str(tenant)]:
            with suppress(ValueError, OverflowError):  # the first and last hours that there are may be none in UTC
                moment = datetime.fromisoformat(value)
                if moment.tzinfo is not None:
                    return FleetPlace(moment.astimezone(UTC), tenant)
    raise wrong_cursor()


def wrong_cursor() -> InputError:
    """The refusal of what is no cursor of a list, or one to a place that is there no longer."""
    return InputError(
        "This is no cursor of this list",
        code="cursor-wrong",
        detail="A cursor is the `next` of an answer of the same list, and good as long as what it points at is there.",
        hint="Begin without one.",
    )
