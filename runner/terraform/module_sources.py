"""The Modules port: code of building blocks from git repositories and registries, pinned to a commit.

A repository is fetched once into a bare clone of the runner's own and read from there, at the commit that a ref stood for when the run was
planned. Git asks nobody anything and runs no hook; whoever it signs in as is known to its own helpers and ssh. A registry
(https://developer.hashicorp.com/terraform/internals/module-registry-protocol) only says where a version is, and that has to be git as well.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import httpx

from runner.domain.building_block import BuildingBlock, Git, Registry, source_of
from runner.errors import InputError, RemoteFailed
from runner.ports import Code

PATIENCE = 120.0  # seconds for one command of git
MOST_CODE = 4 * 1024 * 1024
MOST_FILES = 1000
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


@dataclass(frozen=True)
class ModuleSources:
    """Fetches into `directory`. `surroundings` are git's variables for proxy and private CA, `client` goes the same way to registries;
    `lock` holds a file's lock, so that one process at a time fetches into a repository. `protocols` are those that git may use."""

    directory: Path
    surroundings: Mapping[str, str]
    client: Callable[[], AbstractContextManager[httpx.Client]]
    lock: Callable[[Path], AbstractContextManager[object]]
    protocols: str = "https:ssh"

    def find(self, block: BuildingBlock) -> Code:
        """See Modules."""
        source = source_of(block)
        if isinstance(source, Registry):
            source = self._registered(source)
        if not isinstance(source, Git):
            raise ValueError("The code of this block is not elsewhere.")
        with self._repository(source) as repository:
            commit = self._commit(repository, source)
            return Code(commit=commit, files=self._files(repository, source, commit))

    def at(self, block: BuildingBlock, commit: str) -> dict[str, str]:
        """See Modules."""
        source = source_of(block)
        if isinstance(source, Registry):
            source = self._registered(source)
        if not isinstance(source, Git) or not _COMMIT.fullmatch(commit):
            raise ValueError("The code of this block is not elsewhere.")
        with self._repository(source) as repository:
            if not self._has(repository, commit):
                self._fetch(repository, source, commit)
            return self._files(repository, source, commit)

    def problems_of(self, files: Mapping[str, str], providers: Collection[str]) -> list[str]:
        """See Modules."""
        from runner.terraform.module_code import problems_of  # the parser takes 0.2 s, which most runs can do without

        return problems_of(files, providers)

    # --- git

    @contextmanager
    def _repository(self, source: Git) -> Iterator[Path]:
        """The bare clone, for one process at a time."""
        path = self.directory / hashlib.sha256(source.url.encode()).hexdigest()[:24]
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.lock(path.with_suffix(".lock")):
            if not (path / "HEAD").exists():
                self._git(path, source, "init", "--quiet", "--bare")
            yield path

    def _commit(self, repository: Path, source: Git) -> str:
        """The commit that the ref stands for now; a ref that is a commit is looked up no more once it is here."""
        if _COMMIT.fullmatch(source.ref):
            if not self._has(repository, source.ref):
                self._fetch(repository, source, source.ref)
            return source.ref
        self._fetch(repository, source, source.ref)
        return self._git(repository, source, "rev-parse", "--verify", "--quiet", "FETCH_HEAD^{commit}").decode().strip()

    def _has(self, repository: Path, commit: str) -> bool:
        with suppress(_GitFailed):
            self._git(repository, None, "cat-file", "-e", f"{commit}^{{commit}}")
            return True
        return False

    def _fetch(self, repository: Path, source: Git, ref: str) -> None:
        self._git(repository, source, "fetch", "--quiet", "--depth=1", "--no-tags", "--force", "--", source.url, ref)

    def _files(self, repository: Path, source: Git, commit: str) -> dict[str, str]:
        tree = f"{commit}:{source.folder}" if source.folder else commit
        archive = self._git(repository, source, "archive", "--format=tar", tree)
        files: dict[str, str] = {}
        size = 0
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar:
                parts = member.name.split("/")
                if (
                    not member.isfile()
                    or parts[0] in ("tests", "examples")
                    or any(part.startswith(".") for part in parts)
                ):
                    continue  # a link is no file, and would lead somewhere else
                stream = tar.extractfile(member)
                content = stream.read() if stream else b""
                size += len(content)
                if size > MOST_CODE or len(files) >= MOST_FILES:
                    raise _refused(
                        source, "It is larger than 4 MiB or 1,000 files.", "Name the module's own folder: //folder."
                    )
                with suppress(UnicodeDecodeError):  # a picture is no code
                    files[member.name] = content.decode("utf-8")
        if not any(name.endswith(".tf") and "/" not in name for name in files):
            where = f"the folder {source.folder}" if source.folder else "the repository itself"
            raise _refused(
                source, f"There is no .tf file in {where} at {source.ref}.", "Name the module's folder: //folder."
            )
        return files

    def _git(self, repository: Path, source: Git | None, *arguments: str) -> bytes:
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "SSH_AUTH_SOCK", "LANG") if name in os.environ},
            **self.surroundings,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": self.protocols,
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        safe = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0")
        try:
            ran = subprocess.run(
                ["git", *safe, *arguments],  # noqa: S607 - whichever is on PATH, as the engine
                cwd=repository,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
        except FileNotFoundError:
            raise InputError(
                "Git is missing",
                code="git-missing",
                detail="A building block comes from a git repository, and there is no git on PATH.",
                hint="Install git.",
            ) from None
        except subprocess.TimeoutExpired:
            raise _failed(source, f"git gave no answer within {PATIENCE:.0f} s") from None
        if ran.returncode != 0:
            said = ran.stderr.decode(errors="replace").strip().splitlines()
            if source is None:
                raise _GitFailed
            raise _failed(source, said[-1][:300] if said else f"git ended with {ran.returncode}")
        return ran.stdout

    # --- registries

    def _registered(self, source: Registry) -> Git:
        """Where a registry says that the version is."""
        try:
            with self.client() as client:
                service = client.get(f"https://{source.host}/.well-known/terraform.json").raise_for_status().json()
                base = urljoin(f"https://{source.host}/", str(service["modules.v1"]))
                answer = client.get(f"{base.rstrip('/')}/{source.module}/{source.version}/download").raise_for_status()
        except (httpx.HTTPError, json.JSONDecodeError, KeyError, TypeError) as error:
            raise RemoteFailed(
                "The registry does not answer as one",
                code="registry-failed",
                detail=f"{source.host} was asked for {source.module} {source.version}: {type(error).__name__}.",
                hint="Check namespace, name, provider and version; the registry's page shows them.",
            ) from error
        where = str(answer.headers.get("X-Terraform-Get") or "")
        found = source_of(BuildingBlock.model_construct(key="x", source=where, version=None))
        if not isinstance(found, Git):
            raise InputError(
                "The module is not in git",
                code="module-not-in-git",
                detail=f"The registry {source.host} has {source.module} {source.version} in another form than a git repository.",
                hint="Name the module's git repository as source, with a ref.",
            )
        return found


class _GitFailed(Exception):
    """A command of git that may fail did."""


def _failed(source: Git | None, why: str) -> RemoteFailed:
    return RemoteFailed(
        "A building block cannot be fetched",
        code="module-not-fetched",
        detail=f"{source.url if source else 'A repository'} at {source.ref if source else ''}: {why}.",
        hint="Try it by hand as the runner's user: git ls-remote, with the address and the ref of the source.",
    )


def _refused(source: Git, why: str, hint: str) -> InputError:
    return InputError(
        "A building block cannot be used", code="module-refused", detail=f"{source.url}: {why}", hint=hint
    )
