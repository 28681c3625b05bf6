"""Locks on files that the operating system frees when their holder dies, however it dies.

`flock` and not `fcntl` record locks: a record lock is lost as soon as its process closes *any* handle of the same file, also one
that only looked. The handle is not inheritable (PEP 446), so an engine that outlives the runner does not keep its lock.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

_PAUSE = 0.02


@contextmanager
def locked(path: Path, *, shared: bool = False, patience: timedelta = timedelta()) -> Iterator[bool]:
    """Hold the lock of this file (made with mode 0600) meanwhile; False when others have it and `patience` ran out."""
    handle = _acquire(path, shared=shared, patience=patience)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def is_locked(path: Path) -> bool:
    """Whether anybody holds the file's lock. A file that is not there is held by nobody."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _try(handle, fcntl.LOCK_SH)  # shared, so that two who look do not take each other for the holder
    finally:
        os.close(handle)


def _acquire(path: Path, *, shared: bool, patience: timedelta) -> int | None:
    deadline = time.monotonic() + patience.total_seconds()
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if _try(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX) and _is_still(path, handle):
            return handle
        os.close(handle)
        if time.monotonic() >= deadline:
            return None
        time.sleep(_PAUSE)


def _try(handle: int, mode: int) -> bool:
    try:
        fcntl.flock(handle, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(path: Path, handle: int) -> bool:
    """A lock on a file that was removed in the meantime is nobody's lock."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
