"""What `init` made, kept for the next tenant whose configuration is built the same way.

Tenants of one landing zone differ in their values only, and with an empty `backend "http" {}` nothing of a tenant is in `.terraform`
(observed with Terraform 1.11.4): one directory's result serves all of them, also those of other processes. What is kept is complete
or not there, is never changed once it is there, and is made anew after a while, so that a newer provider is found.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runner.terraform.engine import LOCK_FILE

GOOD_FOR = 3600.0  # seconds
_CACHE = ".terraform"
_PROVIDERS = "providers"


@dataclass(frozen=True)
class Initialised:
    """The results of `init` below `directory`, which lies on one file system with the directories of runs."""

    directory: Path

    def reuse(self, key: str, target: Path, *, lock: bytes | None = None) -> bool:
        """Have `target` as `init` would leave it; False where nothing fits and `init` has to be run. With `lock` only a result fits
        that chose those very providers."""
        kept = self.directory / key
        try:
            if not _is_recent(kept):
                return False
            chosen = (kept / LOCK_FILE).read_bytes()
            if lock is not None and chosen != lock:
                return False
            _copy(kept / _CACHE, target / _CACHE)
            (target / LOCK_FILE).write_bytes(chosen)
        except OSError:  # none, or another process is just putting a newer one there
            shutil.rmtree(target / _CACHE, ignore_errors=True)
            return False
        return True

    def keep(self, key: str, target: Path) -> None:
        """Keep what `init` has just made in `target`. It is a saving and no more: where it cannot be kept, it is not."""
        fresh = self._hidden(key)
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for entry in self.directory.iterdir():
                if not _is_recent(entry):  # also what a process that died had not finished
                    self._put_away(entry)
            fresh.mkdir(mode=0o700)
            _copy(target / _CACHE, fresh / _CACHE)
            shutil.copyfile(target / LOCK_FILE, fresh / LOCK_FILE)
            self._put_away(self.directory / key)
            fresh.rename(self.directory / key)
        except OSError:
            shutil.rmtree(fresh, ignore_errors=True)

    def _put_away(self, entry: Path) -> None:
        """Renamed first: who is just copying it finds nothing any more, and not half of it."""
        gone = self._hidden(entry.name.lstrip("."))
        with suppress(FileNotFoundError):
            entry.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def _hidden(self, name: str) -> Path:
        return self.directory / f".{name[:32]}-{secrets.token_hex(4)}"


def key(files: Mapping[str, bytes], *, engine: str, mirror: Path | None) -> str:
    """Of configurations that `init` treats alike: the same code, the same engine, providers from the same place."""
    sum_ = hashlib.sha256(f"{engine}\0{mirror}\0".encode())
    for path, content in sorted(files.items()):
        if path.endswith(".tf"):
            sum_.update(f"{path}\0{len(content)}\0".encode())
            sum_.update(content)
    return sum_.hexdigest()[:32]


def _is_recent(entry: Path) -> bool:
    return 0 <= time.time() - entry.stat().st_mtime < GOOD_FOR


def _copy(source: Path, target: Path) -> None:
    """Providers are hundreds of megabytes and are never written to: they are linked. Everything else is small."""
    shutil.copytree(source, target, symlinks=True, ignore=lambda where, names: {_PROVIDERS} & set(names))
    if (source / _PROVIDERS).is_dir():
        shutil.copytree(source / _PROVIDERS, target / _PROVIDERS, symlinks=True, copy_function=os.link)
