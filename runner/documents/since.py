"""Which tenants changed since a commit: those about which the documents say something else now, wherever that is said.

The documents of the commit are read like those of today and compared by digest, so a template, a module, the landing zone or the platform
count as the tenant's own document does, and moving a file or a comment does not. What is not committed yet counts as it lies there.
"""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runner import documents
from runner.documents import Documents
from runner.errors import InputError, RunnerError

_PATIENCE = 120.0  # seconds for one command of git


@dataclass(frozen=True)
class Changed:
    """Names of tenants: those that changed or are new, and those that were documented then and are not any more. `unreadable` says that
    the documents of then cannot be read, so every tenant counts as changed."""

    tenants: tuple[str, ...]
    gone: tuple[str, ...] = ()
    unreadable: bool = False


def changed_since(ref: str, read: Documents, paths: Sequence[Path], around: Sequence[Path] = ()) -> Changed:
    """What changed among the chosen tenants since the commit where this branch left `ref`. InputError where the documents are in no git
    repository, or it does not know the ref."""
    where = _Git(_folder(paths[0]))
    root = Path(where.told("rev-parse", "--show-toplevel", wrong="it is in no git repository"))
    git = _Git(root)  # git archives no more than the folder it is called in
    base = git.base(ref)
    with tempfile.TemporaryDirectory(prefix="lzr-since-") as there:
        then = [_as_it_was(path, root, base, git, Path(there)) for path in paths]
        others = [_as_it_was(path, root, base, git, Path(there)) for path in around]
        try:
            old = documents.read([path for path in then if path], around=[path for path in others if path])
        except RunnerError:
            return Changed(read.chosen, unreadable=any(then))
    return Changed(
        tuple(name for name in read.chosen if name not in old.tenants or old.digest(name) != read.digest(name)),
        tuple(sorted(set(old.chosen) - read.tenants.keys())),
    )


def _as_it_was(path: Path, root: Path, base: str, git: _Git, there: Path) -> Path | None:
    """The file or folder at that commit, put below `there` with what lies beside it; None where it was not there."""
    inside = path.resolve().relative_to(root.resolve()) if path.resolve().is_relative_to(root.resolve()) else None
    if inside is None:
        raise InputError(
            "The documents are in several places",
            code="documents-outside-repository",
            detail=f"{path} is not in the git repository {root}.",
            hint="Give paths of one repository, or leave --changed-since out.",
        )
    folder = inside if path.is_dir() else inside.parent
    if not git.has(base, folder):
        return None
    with tarfile.open(fileobj=io.BytesIO(git.archive(base, folder))) as archive:
        archive.extractall(there, filter="data")
    found = there / inside
    return found if found.exists() else None


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


@dataclass(frozen=True)
class _Git:
    where: Path

    def base(self, ref: str) -> str:
        if ref.startswith("-") or not ref.strip():
            raise _refused(f"{ref!r} is no ref.")
        known = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        if known.returncode != 0:
            raise _refused(
                f"The repository has no commit {ref}.", "Fetch it: git fetch origin, in a pipeline with its history."
            )
        found = self._run("merge-base", known.stdout.decode().strip(), "HEAD")
        if found.returncode != 0:
            raise _refused(
                f"{ref} and this branch have no commit in common here.",
                "A shallow clone does not know it: fetch the whole history (fetch-depth: 0).",
            )
        return found.stdout.decode().strip()

    def told(self, *arguments: str, wrong: str) -> str:
        ran = self._run(*arguments)
        if ran.returncode != 0:
            raise _refused(f"{self.where}: {wrong}.")
        return ran.stdout.decode().strip()

    def has(self, commit: str, folder: Path) -> bool:
        return self._run("cat-file", "-e", _tree(commit, folder)).returncode == 0

    def archive(self, commit: str, folder: Path) -> bytes:
        prefix = [f"--prefix={folder.as_posix()}/"] if folder.parts else []
        ran = self._run("archive", "--format=tar", *prefix, _tree(commit, folder))
        if ran.returncode != 0:
            raise _refused(f"{folder} at {commit[:12]} cannot be read.")
        return ran.stdout

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
        try:
            return subprocess.run(
                ["git", "-c", "core.fsmonitor=false", *arguments],  # noqa: S607 - whichever is on PATH
                cwd=self.where,
                env={**kept, "GIT_OPTIONAL_LOCKS": "0"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PATIENCE,
                check=False,
            )
        except FileNotFoundError:
            raise _refused("There is no git on PATH, or no such folder.", "Install git.") from None
        except subprocess.TimeoutExpired:
            raise _refused(f"git gave no answer within {_PATIENCE:.0f} s.") from None


def _tree(commit: str, folder: Path) -> str:
    return f"{commit}:{folder.as_posix()}" if folder.parts else f"{commit}^{{tree}}"


def _refused(detail: str, hint: str = "Check what --changed-since names: a branch, a tag or a commit.") -> InputError:
    return InputError("It cannot be told what changed", code="changes-unknown", detail=detail, hint=hint)
