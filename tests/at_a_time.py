"""`lzr` on another day: `python -m tests.at_a_time 2026-10-01T00:00:00+00:00 argument…`. Time goes on from there as it does here."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from runner import wiring
from runner.cli import run


def main() -> int:
    ahead = datetime.fromisoformat(sys.argv[1]) - datetime.now(UTC)
    wiring.now = lambda: datetime.now(UTC) + ahead
    return run(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
