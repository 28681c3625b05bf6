"""Invitations in memory: the claims of several processes, of which any may die.

For tests of what stands above the Invitations port. `tests/contracts/test_invitations.py` holds it to what the store does.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from runner.ports import Claim


@dataclass
class Claimed:
    claim: Claim
    executor: str
    at: datetime
    guest: str | None = None


@dataclass
class Claims:
    """What all processes see of each other."""

    kept: dict[tuple[str, str], Claimed] = field(default_factory=dict)
    living: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class MemoryInvitations:
    """One process's way to the claims."""

    claims: Claims = field(default_factory=Claims)
    executor: str = "this"

    def __post_init__(self) -> None:
        self.claims.living.add(self.executor)

    def claim(self, entra_tenant: str, address: str, *, now: datetime, believed: timedelta) -> Claim | str | None:
        wanted = Claim(entra_tenant.casefold(), address.casefold(), uuid.uuid4().hex)
        with self.claims.lock:
            found = self.claims.kept.get((wanted.entra_tenant, wanted.address))
            if found is not None and found.guest is None:
                if found.executor in self.claims.living:
                    return None
                wanted = replace(wanted, inherited=True)
            elif found is not None and now - found.at < believed:
                return found.guest
            self.claims.kept[wanted.entra_tenant, wanted.address] = Claimed(wanted, self.executor, now)
        return wanted

    def sent(self, claim: Claim, object_id: str, *, now: datetime) -> None:
        with self.claims.lock:
            found = self._held(claim)
            if found is not None:
                found.guest, found.at = object_id, now

    def give_up(self, claim: Claim, *, refused: bool = False) -> None:
        with self.claims.lock:
            found = self._held(claim)
            if found is not None and refused:
                del self.claims.kept[claim.entra_tenant, claim.address]
            elif found is not None:
                found.executor = ""

    def _held(self, claim: Claim) -> Claimed | None:
        found = self.claims.kept.get((claim.entra_tenant, claim.address))
        return found if found is not None and found.claim == claim and found.guest is None else None
