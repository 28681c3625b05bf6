"""The documents that a server works with: read again when a file changes, and kept as they last were right."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner import documents
from runner.documents import Documents
from runner.documents.checkout import brought
from runner.errors import InputError, RunnerError
from runner.ports import Documented, Fleet

_Signature = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Shelved:
    """Documents as they were when they were last right, and what is wrong with the files now; None where nothing is."""

    read: Documents | None
    wrong: RunnerError | None = None


class Shelf:
    """Documents of these files and folders. Safe to use from several threads."""

    def __init__(self, paths: Sequence[Path], fleet: Fleet) -> None:
        self._paths = tuple(paths)
        self._fleet = fleet
        self._reading = threading.Lock()
        self._signature: _Signature | None = None
        self._shelved = Shelved(None)

    @property
    def source(self) -> str:
        """Where they come from, as runs keep it."""
        return os.pathsep.join(str(path.absolute()) for path in self._paths)

    @property
    def shelved(self) -> Shelved:
        """As of the last look."""
        return self._shelved

    def look(self) -> bool:
        """Read the files again where one changed, and have the fleet know their tenants; whether anything was read."""
        with self._reading:
            signature = tuple(_signature(self._paths))
            if signature == self._signature or not self._paths:
                return False
            try:
                read = documents.read(list(self._paths))
            except RunnerError as error:
                self._shelved = Shelved(self._shelved.read, error)
            else:
                self._fleet.know([_documented(read, name) for name in read.tenants])
                self._shelved = Shelved(read)
            self._signature = signature
            return True

    def fetch(self, commit: str) -> None:
        """Have the documents' repository as far as this commit, and read them. RemoteFailed where it does not come that far, which may be
        tried again: something else may bring the commit."""
        if self._paths:
            brought(self._paths[0], commit)
        self.look()

    def documents(self) -> Documents:
        """The documents as they are now; InputError where there are none, or something is wrong with them."""
        self.look()
        if self._shelved.wrong is not None:
            raise self._shelved.wrong
        if self._shelved.read is None:
            raise InputError(
                "This server has no documents",
                code="no-documents",
                detail="It was started without the paths of any.",
                hint="lzr serve PATH…",
            )
        return self._shelved.read


def _documented(read: Documents, name: str) -> Documented:
    placed = read.placed(name)
    return Documented(
        tenant=name,
        landing_zone=placed.zone.name,
        platform=placed.platform.name,
        workspace=placed.tenant.spec.workspace_identifier,
        digest=read.digest(name),
    )


def _signature(paths: Sequence[Path]) -> Iterator[tuple[str, int, int]]:
    """Every file with its size and time of change; files beside documents (templates, modules) lie below the same folders."""
    for path in paths:
        for folder, folders, names in os.walk(path) if path.is_dir() else [(str(path.parent), [], [path.name])]:
            folders[:] = sorted(one for one in folders if one not in (".git", ".terraform"))
            for name in sorted(names):
                file = os.path.join(folder, name)  # noqa: PTH118 - thousands of them, every few seconds
                try:
                    found = os.stat(file)  # noqa: PTH116
                except OSError:
                    continue
                yield file, found.st_size, found.st_mtime_ns
