"""Which tenants changed since a commit: those about which the documents say something else now, wherever that is said.

The documents of the commit are read like those of today and compared by digest, so a template, a module, the landing zone or the platform
count as the tenant's own document does, and moving a file or a comment does not. What is not committed yet counts as it lies there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runner import documents
from runner.documents import Documents
from runner.documents.past import Git, Past
from runner.errors import InputError, RunnerError


@dataclass(frozen=True)
class Changed:
    """Names of tenants: those that changed or are new, and those that were documented then and are not any more. `unreadable` says that
    the documents of then cannot be read, or not all of them, so every tenant counts as changed."""

    tenants: tuple[str, ...]
    gone: tuple[str, ...] = ()
    unreadable: bool = False


def changed_since(ref: str, read: Documents, paths: Sequence[Path], around: Sequence[Path] = ()) -> Changed:
    """What changed among the chosen tenants since the commit where this branch left `ref`. InputError where the documents are in no git
    repository, or it does not know the ref."""
    root = Git(_folder(paths[0])).root()
    git = Git(root)
    with tempfile.TemporaryDirectory(prefix="lzr-since-") as there:
        past = Past(git, git.base(ref), Path(there))
        then = [past.there / inside for path in paths if past.put(inside := _inside(path, root))]
        others = [past.there / inside for path in around if past.put(inside := _inside(path, root))]
        past.finish()
        if past.incomplete:
            return Changed(read.chosen, unreadable=True)
        try:
            old = documents.read(then, around=others)
        except RunnerError:
            return Changed(read.chosen, unreadable=bool(then))
    return Changed(
        tuple(name for name in read.chosen if name not in old.tenants or old.digest(name) != read.digest(name)),
        tuple(sorted(set(old.chosen) - read.tenants.keys())),
    )


def _inside(path: Path, root: Path) -> str:
    if not path.resolve().is_relative_to(root.resolve()):
        raise InputError(
            "The documents are in several places",
            code="documents-outside-repository",
            detail=f"{path} is not in the git repository {root}.",
            hint="Give paths of one repository, or leave --changed-since out.",
        )
    inside = path.resolve().relative_to(root.resolve()).as_posix()
    return "" if inside == "." else inside


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent
