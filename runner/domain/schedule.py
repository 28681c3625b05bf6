"""When a tenant is looked at again without anybody asking: its zone's period, spread so that not all of a zone come at once."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256
from math import ceil

_SPREAD = 0.1  # of the period


def due_at(tenant: str, last: datetime, every: timedelta) -> datetime:
    """When the tenant is due after its last run: a tenth of the period later at most, by chance that is the same each time."""
    chance = int.from_bytes(sha256(tenant.encode()).digest()[:4]) / 2**32
    return last + every * (1 + _SPREAD * chance)


def at_once(tenants: int, every: timedelta, *, look: timedelta) -> int:
    """How many of a zone's tenants may be begun with one look, so that all of them are done within half a period and none are a flood."""
    return ceil(2 * tenants * (look / every)) if tenants else 0
