"""Where an engine and its providers keep what they need for a moment, their sockets among it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_LONGEST_TMPDIR = 80  # bytes


def temporary_directory(root: Path) -> Path:
    """The engine's TMPDIR, for its owner alone: in the run's directory, or elsewhere where that would be too long a way.

    Providers put a socket there, whose whole path a system limits to 107 bytes, macOS to 103; go-plugin names it plugin and a number of
    up to ten digits.
    """
    wanted = root / "tmp"
    if len(os.fsencode(wanted)) > _LONGEST_TMPDIR:
        return Path(tempfile.mkdtemp(prefix="lzr-"))
    wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
    return wanted
