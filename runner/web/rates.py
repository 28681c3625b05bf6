"""How much one client or actor may do in a minute. Counted by each server for itself: a limit keeps a server alive, it grants nothing."""

from __future__ import annotations

import time
from typing import Literal

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from runner.domain.server_config import Limits
from runner.errors import Refused

What = Literal["sign-in", "bad-token", "change", "recorded"]
_RECORDED = 120


class TooMany(Refused):
    """Too much in a minute. `retry_after` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            "Too many requests",
            code="too-many-requests",
            detail="More was asked for than this server takes in a minute.",
            hint=f"Try again in {retry_after} seconds.",
        )
        self.retry_after = retry_after


class Rates:
    """Counts, and refuses what is too much. Safe to use from several threads."""

    def __init__(self, limits: Limits) -> None:
        self._counted = MovingWindowRateLimiter(MemoryStorage())
        self._limits = {
            "sign-in": RateLimitItemPerMinute(limits.sign_ins),
            "bad-token": RateLimitItemPerMinute(limits.sign_ins),
            "change": RateLimitItemPerMinute(limits.changes),
            "recorded": RateLimitItemPerMinute(_RECORDED),
        }

    def take(self, what: What, who: str) -> None:
        """Count it; Refused where it is too much."""
        if not self._counted.hit(self._limits[what], what, who):
            stats = self._counted.get_window_stats(self._limits[what], what, who)
            raise TooMany(max(1, round(stats.reset_time - time.time())))
