"""Documents as they were at a commit: the files that reading them needs, put below a folder.

Blobs are read as they are kept, past git's `archive`, which leaves out what `.gitattributes` says (`export-ignore`) and fills in what it
says (`export-subst`). Of a repository however large only documents are read, what they name beside them, and where links lead. Names come
from a repository and are never trusted: a file is only ever made below the folder, and links after all files.
"""

from __future__ import annotations

import os
import posixpath
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, NamedTuple

from runner.documents import beside, files, syntax
from runner.errors import InputError

_PATIENCE = 120.0  # seconds for one command of git
_LARGEST = beside.LARGEST
# what decides whose configuration git reads; nothing that would lead it to another repository
_KEPT = ("PATH", "HOME", "LANG", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
_LFS = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-.*\n)*oid sha256:([0-9a-f]{64})\nsize [0-9]+\n"
)
_TREE, _LINK, _SUBMODULE = "040000", "120000", "160000"


class _Entry(NamedTuple):
    mode: str
    object: str
    path: str


@dataclass
class Past:
    """The files of a commit below a folder. `incomplete` says that some cannot be known here: of a submodule that is not checked out, or
    kept by Git LFS and not fetched."""

    git: Git
    commit: str
    there: Path
    incomplete: bool = False
    _seen: set[str] = field(default_factory=set)
    _links: dict[str, str] = field(default_factory=dict)
    _inner: list[Past] = field(default_factory=list)

    def finish(self) -> None:
        """Make the links, after every file: whatever a repository holds, nothing is written through one."""
        for path, target in self._links.items():
            link = self.there / path
            if not os.path.lexists(link):
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(target)
        for past in self._inner:
            past.finish()

    def put(self, inside: str, *, everything: bool = False) -> bool:
        """Put what reading the documents of a file or folder needs, or `everything` of it; False where it was not in the commit. `inside`
        is its path in the repository, "" for all of it."""
        key = f"{inside}\0{everything}"
        if key in self._seen:
            return True
        self._seen.add(key)
        if not (entries := self.git.entries(self.commit, inside)):
            return False
        wanted = [one for one in entries if everything or one.path == inside or _is_document(one, inside)]
        self._follow([one for one in entries if one.mode == _LINK])
        for one in entries:
            if one.mode == _SUBMODULE:
                self._submodule(one)
        documents = [one for one in wanted if one.mode not in (_LINK, _SUBMODULE)]
        for one, content in self._written(documents):
            if not everything and b"LandingZone" in content:
                for named in _named(one.path, content):
                    self.put(named, everything=True)
        return True

    def _written(self, entries: Sequence[_Entry]) -> Iterator[tuple[_Entry, bytes]]:
        sizes = self.git.sizes([one.object for one in entries])
        for one, size in zip(entries, sizes, strict=True):
            if size > _LARGEST:  # reading it says that it is too large
                with self._open(one.path) as made:
                    made.truncate(size)
        small = [one for one, size in zip(entries, sizes, strict=True) if size <= _LARGEST]
        for one, content in zip(small, self.git.contents([one.object for one in small]), strict=True):
            pointer = _LFS.fullmatch(content)
            real = self._large(one.path, pointer[1].decode(), content) if pointer else content
            with self._open(one.path) as made:
                made.write(real)
            yield one, real

    def _open(self, path: str) -> BinaryIO:
        file = self.there / path
        file.parent.mkdir(parents=True, exist_ok=True)
        return file.open("wb")

    def _large(self, path: str, digest: str, pointer: bytes) -> bytes:
        """What Git LFS keeps under the digest, as far as it is on this machine."""
        kept = self.git.common / "lfs" / "objects" / digest[:2] / digest[2:4] / digest
        for file in (kept, self.git.where / path):
            try:
                content = file.read_bytes() if file.stat().st_size <= _LARGEST else b""
            except OSError:
                continue
            if sha256(content).hexdigest() == digest:
                return content
        self.incomplete = True
        return pointer

    def _follow(self, entries: Sequence[_Entry]) -> None:
        """Note the links, and put what they lead to. One that leaves the repository leads to where it leads now."""
        targets = self.git.contents([one.object for one in entries])
        for one, content in zip(entries, targets, strict=True):
            target = os.fsdecode(content)
            if "\0" in target:
                self.incomplete = True
                continue
            leads_to = posixpath.normpath(posixpath.join(posixpath.dirname(one.path), target))
            if posixpath.isabs(target) or leads_to.startswith(".."):
                self._links[one.path] = os.path.normpath(self.git.where / posixpath.dirname(one.path) / target)
            else:
                self._links[one.path] = target
                self.put("" if leads_to == "." else leads_to)

    def _submodule(self, entry: _Entry) -> None:
        where = self.git.where / entry.path
        inner = Git(where)
        if not (where / ".git").exists() or not inner.has(entry.object):
            self.incomplete = True
            return
        past = Past(inner, entry.object, self.there / entry.path)
        self._inner.append(past)
        past.put("")
        self.incomplete = self.incomplete or past.incomplete


def _is_document(entry: _Entry, inside: str) -> bool:
    """Whether reading the folder reads this file."""
    below = entry.path.removeprefix(inside).lstrip("/").split("/")
    return entry.path.lower().endswith(files.SUFFIXES) and not any(part.startswith(".") for part in below)


def _named(path: str, content: bytes) -> Iterator[str]:
    """What landing zones in a file name beside it, as paths in the repository."""
    for raw in syntax.documents(content.decode("utf-8", "replace")):
        for name in beside.named(raw.data):
            found = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
            if not found.startswith(("..", "/")) and "\0" not in found:
                yield "" if found == "." else found


@dataclass(frozen=True)
class Git:
    """One repository (its uppermost folder, or one below), read and never written."""

    where: Path

    def root(self) -> Path:
        """The uppermost folder. InputError where there is no repository, or git does not trust whose it is."""
        ran = self._run("rev-parse", "--show-toplevel")
        if ran.returncode == 0:
            return Path(os.fsdecode(ran.stdout.removesuffix(b"\n")))
        # https://git-scm.com/docs/git-config#Documentation/git-config.txt-safedirectory
        trusting = self._run("-c", "safe.directory=*", "rev-parse", "--show-toplevel")
        if trusting.returncode == 0:
            root = os.fsdecode(trusting.stdout.removesuffix(b"\n"))
            raise refused(
                f"The repository {root} belongs to another user, and git reads none of those unless told to.",
                f"git config --global --add safe.directory {shlex.quote(root)}",
            )
        raise refused(f"{self.where}: it is in no git repository.")

    def base(self, ref: str) -> str:
        """The commit where HEAD left the ref. InputError where there is none that is known here."""
        if ref.startswith("-") or not ref.strip() or "\0" in ref:
            raise refused(f"{ref!r} is no ref.")
        known = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        if known.returncode != 0:
            raise refused(
                f"The repository has no commit {ref}.",
                self._fetch("Fetch it: git fetch origin, in a pipeline with its history."),
            )
        found = self._run("merge-base", known.stdout.decode().strip(), "HEAD")
        if found.returncode != 0:
            raise refused(
                f"{ref} and this branch have no commit in common here.", self._fetch("Name a commit of this history.")
            )
        return found.stdout.decode().strip()

    def has(self, commit: str) -> bool:
        """Whether the commit is here."""
        return self._run("cat-file", "-e", f"{commit}^{{commit}}").returncode == 0

    @property
    def common(self) -> Path:
        """Where objects are kept, also of a second work tree."""
        ran = self._run("rev-parse", "--git-common-dir")
        return self.where / os.fsdecode(ran.stdout.removesuffix(b"\n"))

    def entries(self, commit: str, inside: str) -> tuple[_Entry, ...]:
        """Every file, link and submodule there; one where the path is one, none where nothing is there."""
        if not inside:
            return self._tree(f"{commit}^{{tree}}", "", recursive=True)
        above, _, name = inside.rpartition("/")
        beside_it = self._tree(f"{commit}:{above}" if above else f"{commit}^{{tree}}", above, recursive=False)
        found = next((one for one in beside_it if posixpath.basename(one.path) == name), None)
        if found is None or found.mode != _TREE:
            return (found,) if found is not None else ()
        return self._tree(found.object, inside, recursive=True)

    def _tree(self, tree: str, inside: str, *, recursive: bool) -> tuple[_Entry, ...]:
        ran = self._run("ls-tree", "-z", "--full-tree", *(["-r"] if recursive else []), tree)
        if ran.returncode != 0:
            return ()
        found = []
        for line in ran.stdout.split(b"\0")[:-1]:
            told, _, name = line.partition(b"\t")
            mode, _kind, number = told.split()
            path = posixpath.join(inside, os.fsdecode(name))
            if ".." not in path.split("/") and not path.startswith("/"):
                found.append(_Entry(mode.decode(), number.decode(), path))
        return tuple(found)

    def sizes(self, objects: Sequence[str]) -> list[int]:
        """How many bytes each blob has. InputError where one is not there."""
        given = self._run("cat-file", "--batch-check", given=_lines(objects)).stdout if objects else b""
        told = [line.split() for line in given.splitlines()]
        if len(told) != len(objects) or any(len(one) != 3 or one[1] != b"blob" for one in told):
            raise self._unreadable()
        return [int(one[2]) for one in told]

    def contents(self, objects: Sequence[str]) -> list[bytes]:
        """What the blobs hold. InputError where one cannot be read."""
        given = self._run("cat-file", "--batch", given=_lines(objects)).stdout if objects else b""
        found, at = [], 0
        for _ in objects:
            end = given.find(b"\n", at)
            told = given[at:end].split() if end >= 0 else []
            if len(told) != 3 or told[1] != b"blob":
                raise self._unreadable()
            at = end + 1 + int(told[2]) + 1
            found.append(given[end + 1 : at - 1])
        return found

    def _unreadable(self) -> InputError:
        return refused("An object of the repository cannot be read.", self._fetch("git fsck says what is wrong."))

    def _fetch(self, otherwise: str) -> str:
        """What to do where history may be missing."""
        shallow = self._run("rev-parse", "--is-shallow-repository").stdout.strip() == b"true"
        if not shallow:
            return otherwise
        return "This is a shallow clone: git fetch --unshallow (fetch-depth: 0, GIT_DEPTH: 0, fetchDepth: 0)."

    def _run(self, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        try:
            return subprocess.run(
                ["git", "-c", "core.fsmonitor=false", *arguments],  # noqa: S607 - whichever is on PATH
                cwd=self.where,
                env={**kept, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_REPLACE_OBJECTS": "1"},
                input=given,
                capture_output=True,
                timeout=_PATIENCE,
                check=False,
            )
        except (FileNotFoundError, NotADirectoryError):
            raise refused("There is no git on PATH, or no such folder.", "Install git.") from None
        except subprocess.TimeoutExpired:
            raise refused(
                f"git gave no answer within {_PATIENCE:.0f} s.", "Look at the disk and the repository."
            ) from None


def _lines(objects: Sequence[str]) -> bytes:
    return "".join(f"{one}\n" for one in objects).encode()


def refused(detail: str, hint: str = "Check what --changed-since names: a branch, a tag or a commit.") -> InputError:
    """Why it cannot be told what changed."""
    return InputError("It cannot be told what changed", code="changes-unknown", detail=detail, hint=hint)
