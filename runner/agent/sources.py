"""A building block's code: a git repository at a ref, checked out into a run's directory.

Each repository has one mirror, into which only what is new is fetched; the second run of a block asks the server what its ref is, and
usually nothing else. Git runs no hook and no filter, recurses into no submodule and speaks https and SSH only; what is checked out and
leads out of the repository is refused.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from runner.agent.contract import Terraform
from runner.agent.programs import Programs, Ran, passed_on
from runner.errors import InputError, RemoteFailed

PATIENCE = timedelta(minutes=10)
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_SHORT_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_SCP = re.compile(r"(?:[\w.+-]+@)?(?P<host>[\w.-]+):(?!//)(?P<path>.+)")
_KEY_TYPE = re.compile(r"[a-z0-9@.-]+")
_HOST = re.compile(r"[A-Za-z0-9.\[\]:_-]+")
_KEY_VALUE = re.compile(r"[A-Za-z0-9+/=]+")
_NO_FILTERS = (
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0", "-c", "protocol.version=2"),
    *("-c", "filter.lfs.smudge=", "-c", "filter.lfs.process=", "-c", "filter.lfs.required=false"),
    *("-c", "submodule.recurse=false", "-c", "fetch.recurseSubmodules=false", "-c", "core.protectNTFS=true"),
)


@dataclass(frozen=True)
class Checkout:
    """What was checked out: the repository's root, the block's directory in it, and the commit."""

    root: Path
    directory: Path
    commit: str


@dataclass(frozen=True)
class Sources:
    """Repositories below `mirrors`. `surroundings` are git's variables for proxy and private authorities; `lock` holds a file's lock, so
    that one run at a time fetches into a mirror."""

    mirrors: Path
    surroundings: Mapping[str, str]
    lock: Callable[[Path], AbstractContextManager[object]]
    environment: Mapping[str, str]
    known_hosts: str = ""
    insecure_host_keys: bool = False

    def git_environment(self, source: Terraform, private: Path) -> dict[str, str]:
        """Git's variables for this source, also for modules that the engine fetches: the run's key, and the host key that is expected.

        The key is written below `private`, for its owner alone.
        """
        return {
            **self.surroundings,
            **_signed_in(source.repository_url.strip()),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": "https:ssh",
            "GIT_SSH_COMMAND": shlex.join(self._ssh(source, private)),
            "GIT_SSH_VARIANT": "ssh",
            "GIT_LFS_SKIP_SMUDGE": "1",
        }

    def check_out(self, source: Terraform, programs: Programs, private: Path, target: Path) -> Checkout:
        """Put the repository at the source's ref into `target`. InputError where the source is wrong, RemoteFailed where it is not
        reached."""
        given, ref, path = source.repository_url.strip(), source.ref_name.strip(), source.repository_path.strip()
        _check(given, ref, path)
        url = without_password(given)
        git = _Git(programs, {**passed_on(self.environment), **self.git_environment(source, private)}, url)
        mirror = self.mirrors / hashlib.sha256(url.encode()).hexdigest()[:24]
        mirror.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.lock(mirror.with_suffix(".lock")):
            if not (mirror / "HEAD").exists():
                git.must(mirror, "init", "--quiet", "--bare")
            commit = _commit_of(git, mirror, url, ref)
            target.mkdir(mode=0o700, parents=True)
            git.must(
                mirror, "--work-tree", str(target), "checkout", "--quiet", "--force", commit, "--", ".",
                more={"GIT_INDEX_FILE": str(private / "index")},
            )  # fmt: skip
        _refuse_leaving(target)
        directory = target / path
        if not directory.is_dir():
            raise _wrong(
                f"There is no folder {path or '.'} in {without_password(url)} at {ref or 'its default branch'}."
            )
        if not directory.resolve().is_relative_to(target.resolve()):
            raise _wrong(f"The path {path} leads out of the repository {without_password(url)}.")
        return Checkout(root=target, directory=directory.resolve(), commit=commit)

    def _ssh(self, source: Terraform, private: Path) -> list[str]:
        command = ["ssh", "-F", os.devnull, "-o", "BatchMode=yes", "-o", "ConnectTimeout=30"]
        if source.ssh_private_key:
            key = private / "ssh-key"
            key.touch(mode=0o600)
            key.write_text(source.ssh_private_key.rstrip("\r\n").replace("\r\n", "\n") + "\n", encoding="utf-8")
            command += ["-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"]
        known = source.known_host
        if known is not None and (known.host or known.key_value):
            line = _known_host(
                source.repository_url, known.host.strip(), known.key_type.strip(), known.key_value.strip()
            )
            hosts = private / "known_hosts"
            hosts.write_text(line, encoding="utf-8")
            command += [*_trusting(hosts), "-o", "GlobalKnownHostsFile=/dev/null"]
            command += ["-o", f"HostKeyAlgorithms={_algorithms(known.key_type.strip())}"]
        elif self.insecure_host_keys:
            command += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        elif self.known_hosts:
            command += _trusting(Path(self.known_hosts))
        else:
            command += ["-o", "StrictHostKeyChecking=yes"]
        return command


def without_password(url: str) -> str:
    """An address as it may be an argument, or be told."""
    parts = urlsplit(url) if "://" in url else None
    if parts is None or parts.password is None:
        return url
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _signed_in(url: str) -> dict[str, str]:
    """Git's variables for a password in an address: arguments are for every process of the machine to read."""
    parts = urlsplit(url) if "://" in url else None
    if parts is None or parts.password is None or parts.scheme != "https":
        return {}
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password)}"
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.https://{parts.netloc.rpartition('@')[2]}/.extraHeader",
        "GIT_CONFIG_VALUE_0": "Authorization: Basic " + base64.b64encode(pair.encode()).decode(),
    }


def _trusting(hosts: Path) -> list[str]:
    return ["-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={hosts}"]


def _algorithms(key_type: str) -> str:
    """An RSA key is one thing and how it signs another (RFC 8332)."""
    return "rsa-sha2-512,rsa-sha2-256" if key_type == "ssh-rsa" else key_type


def _known_host(url: str, host: str, key_type: str, key_value: str) -> str:
    if not (_HOST.fullmatch(host) and _KEY_TYPE.fullmatch(key_type) and _KEY_VALUE.fullmatch(key_value)):
        raise _wrong(
            "The known host of the definition is malformed: host, key type and key value are needed, as ssh-keyscan prints them."
        )
    port = urlsplit(url).port if "://" in url else None
    bare = host.strip("[]").split("]:")[0]
    names = ",".join(dict.fromkeys([host, *([f"[{bare}]:{port}"] if port else [])]))
    return f"{names} {key_type} {key_value}\n"


def _check(url: str, ref: str, path: str) -> None:
    """InputError where an argument could mean something else to git or ssh, or a path leaves the repository."""
    parts = urlsplit(url) if "://" in url else None
    scp = _SCP.fullmatch(url) if parts is None else None
    scheme = parts.scheme if parts else "ssh" if scp else ""
    host = (parts.hostname if parts else scp["host"] if scp else "") or ""
    if scheme not in ("https", "ssh") or not host or url.startswith("-") or host.startswith("-"):
        raise _wrong(f"{without_password(url)} is no repository that is reached by https or SSH.")
    if any(ord(char) < 33 or ord(char) == 127 for char in url):
        raise _wrong("The address of the repository has blanks or control characters.")
    if ref.startswith("-") or any(char in ref for char in " ~^:?*[\\\n\t\0") or ".." in ref:
        raise _wrong(f"{ref!r} is no branch, tag or commit.")
    inside = PurePosixPath(path)
    if inside.is_absolute() or ".." in inside.parts or "\0" in path or ".git" in inside.parts:
        raise _wrong(f"The path {path!r} is no folder inside the repository.")


def _commit_of(git: _Git, mirror: Path, url: str, ref: str) -> str:
    """The commit that a ref stands for now, with all of it in the mirror."""
    if not _COMMIT.fullmatch(ref):
        wanted = [f"refs/heads/{ref}", f"refs/tags/{ref}", ref] if ref else ["HEAD"]
        listed = [line.partition("\t") for line in git.must(mirror, "ls-remote", "--quiet", "--", url, *wanted).lines]
        found = {name: commit for commit, tab, name in listed if tab}
        for name in wanted:
            if name in found:
                kept = f"refs/kept/{hashlib.sha256(name.encode()).hexdigest()[:24]}"
                if not git.has(mirror, found[name]):
                    git.must(mirror, "fetch", *_FETCH, "--depth=1", "--", url, f"+{name}:{kept}")
                    return git.commit(mirror, kept)  # it may have moved since it was listed
                return git.commit(mirror, found[name])
    elif git.has(mirror, ref) or git.tried(mirror, "fetch", *_FETCH, "--depth=1", "--", url, ref).code == 0:
        return git.commit(mirror, ref)
    if not _SHORT_COMMIT.fullmatch(ref):
        raise _wrong(f"{without_password(url)} has no branch, tag or commit {ref or 'HEAD'}.")
    # a server need not give a commit by its name alone, and none by its beginning
    whole = ["--unshallow"] if (mirror / "shallow").exists() else []
    git.must(
        mirror, "fetch", *_FETCH, *whole, "--", url, "+refs/heads/*:refs/all/heads/*", "+refs/tags/*:refs/all/tags/*"
    )
    return git.commit(mirror, ref)


_FETCH = ("--quiet", "--no-tags", "--force", "--no-write-fetch-head")


@dataclass(frozen=True)
class _Git:
    programs: Programs
    environment: Mapping[str, str]
    url: str

    def must(self, where: Path, *arguments: str, more: Mapping[str, str] | None = None) -> Ran:
        ran = self.tried(where, *arguments, more=more)
        if ran.code != 0:
            said = [line for line in ran.lines if line.strip()]
            raise RemoteFailed(
                "The sources cannot be fetched",
                code="sources-not-fetched",
                detail=f"git {arguments[0]} for {without_password(self.url)} ended with {ran.code}:\n"
                + "\n".join(said[-8:])[:2000],
                hint="Try it by hand with the same key: git ls-remote, with the repository's address. "
                "Look at the key's right to read, and at the known host of the definition.",
            )
        return ran

    def tried(self, where: Path, *arguments: str, more: Mapping[str, str] | None = None) -> Ran:
        return self.programs.run_(
            ["git", "--git-dir", str(where), *_NO_FILTERS, *arguments],
            cwd=where,
            env={**self.environment, **(more or {})},
            limit=PATIENCE,
            what="fetch the sources",
            quiet=True,
        )

    def commit(self, mirror: Path, name: str) -> str:
        ran = self.tried(mirror, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        found = [line for line in ran.lines if _COMMIT.fullmatch(line)]
        if ran.code != 0 or not found:
            raise _wrong(f"{without_password(self.url)} has no commit {name}.")
        return found[-1]

    def has(self, mirror: Path, commit: str) -> bool:
        return self.tried(mirror, "cat-file", "-e", f"{commit}^{{commit}}").code == 0


def _refuse_leaving(root: Path) -> None:
    """A link that leads out of the repository would show files of the machine to the building block."""
    top = root.resolve()
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink() and not path.resolve().is_relative_to(top):
                raise _wrong(f"The link {path.relative_to(root)} leads out of the repository.")


def _wrong(detail: str) -> InputError:
    return InputError(
        "The building block's source cannot be used",
        code="sources-refused",
        detail=detail,
        hint="Correct repository, path, reference or known host in the building block's definition.",
    )


def code_in(directory: Path, suffixes: Sequence[str]) -> dict[str, str]:
    """Text of the files with these endings in the directory itself, by name."""
    found = {}
    for path in sorted(directory.iterdir()):
        if path.is_file() and path.name.endswith(tuple(suffixes)):
            found[path.name] = path.read_text(encoding="utf-8", errors="replace")
    return found
