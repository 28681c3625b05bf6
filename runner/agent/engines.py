"""The engines of an agent: exactly the version that a building block names, from a local store, downloaded where that is allowed.

Up to 1.5.5 a version means HashiCorp Terraform, above it OpenTofu, as with the existing runner (tf-block-runner/tfrun); an operator maps
versions to what there is with `engines` in the configuration. In the store an engine is `<name>/<version>/<name>`.
"""

from __future__ import annotations

import fnmatch
import hashlib
import io
import os
import platform
import re
import secrets
import shutil
import stat
import zipfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx

from runner.errors import InputError, RemoteFailed
from runner.terraform.engine import Engine

LAST_TERRAFORM = (1, 5, 5)
LARGEST = 200 * 1024 * 1024
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(-[A-Za-z0-9.]+)?")
_NAMES: tuple[Literal["terraform"], Literal["tofu"]] = ("terraform", "tofu")
_RELEASES = {
    "terraform": "https://releases.hashicorp.com/terraform/{version}/",
    "tofu": "https://github.com/opentofu/opentofu/releases/download/v{version}/",
}


@dataclass(frozen=True)
class Engines:
    """The store at `directory`, engines that are `installed` otherwise, and the operator's `mapping` of version patterns to one of
    `terraform 1.11.4`, a version alone, or a path. `mirror` takes the place of the usual addresses of releases."""

    directory: Path
    installed: Callable[[], tuple[Engine, ...]]
    check: Callable[[Path], Engine]
    mapping: Mapping[str, str]
    download: bool
    mirror: str
    client: Callable[[], AbstractContextManager[httpx.Client]]
    lock: Callable[[Path], AbstractContextManager[object]]

    def find(self, version: str) -> Engine:
        """The engine for a version that a block names; InputError with the list of those present where there is none."""
        wanted = self._mapped(version.strip().removeprefix("v"))
        if os.sep in wanted:
            return self.check(Path(wanted))
        name, exact = self._named(wanted)
        for engine in self.installed():
            if (engine.name, engine.version) == (name, exact):
                return engine
        program = self._program(name, exact)
        if not program.exists() and self.download:
            with self.lock(self._lock_file(name, exact)):
                if not program.exists():
                    self._fetch(name, exact, program)
        if not program.exists():
            raise self._missing(f"{name} {exact}")
        return self.check(program)

    def present(self) -> list[str]:
        """What there is, as `terraform 1.11.4`."""
        stored = [
            f"{p.parent.parent.name} {p.parent.name}"
            for name in _NAMES
            for p in self.directory.glob(f"{name}/*/{name}")
        ]
        return sorted({*stored, *(engine.label for engine in self.installed())})

    def _mapped(self, version: str) -> str:
        for pattern, target in self.mapping.items():
            if fnmatch.fnmatchcase(version, pattern):
                return target.strip()
        return version

    def _named(self, wanted: str) -> tuple[Literal["terraform", "tofu"], str]:
        first, _, second = wanted.replace("@", " ").partition(" ")
        exact = second.strip() or first
        found = _VERSION.fullmatch(exact)
        if found is None or (second and first not in _NAMES):
            raise InputError(
                "The engine's version is none",
                code="engine-version-malformed",
                detail=f"{wanted!r} is no version as 1.9.0." if wanted else "The definition names no version.",
                hint="Correct the version in the building block's definition, or map it with `engines` in the runner's configuration.",
            )
        if second:
            return ("terraform" if first == "terraform" else "tofu"), exact
        numbers = (int(found[1]), int(found[2]), int(found[3]))
        return ("terraform" if numbers <= LAST_TERRAFORM else "tofu"), exact

    def _program(self, name: str, version: str) -> Path:
        return self.directory / name / version / name

    def _lock_file(self, name: str, version: str) -> Path:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.directory / f".{name}-{version}.lock"

    def _missing(self, wanted: str, why: str = "") -> InputError:
        present = ", ".join(self.present()) or "none"
        return InputError(
            "There is no such engine",
            code="engine-missing",
            detail=f"The building block wants {wanted}{why}. Present: {present}.",
            hint=f"Put it below {self.directory}, as name/version/name, map the version with `engines` in the runner's configuration, or "
            "change the definition.",
        )

    def _fetch(self, name: str, version: str, program: Path) -> None:
        """Download a release, compare it with the list of checksums beside it, and put it there in one step."""
        base = (
            (f"{self.mirror.rstrip('/')}/{name}/{version}/") if self.mirror else _RELEASES[name].format(version=version)
        )
        archive = f"{name}_{version}_{platform.system().lower()}_{_machine()}.zip"
        with self.client() as client:
            sums = self._get(client, f"{base}{name}_{version}_SHA256SUMS", f"{name} {version}")
            content = self._get(client, base + archive, f"{name} {version}")
        listed = {
            line.split()[-1].lstrip("*"): line.split()[0]
            for line in sums.decode(errors="replace").splitlines()
            if line.split()
        }
        if listed.get(archive) != hashlib.sha256(content).hexdigest():
            raise RemoteFailed(
                "A downloaded engine is not what it should be",
                code="engine-checksum-wrong",
                detail=f"{archive} from {base} does not have the checksum that is listed for it.",
                hint="Try again; if it stays so, somebody may have changed it on the way.",
            )
        fresh = self.directory / f".{name}-{version}-{secrets.token_hex(4)}"
        try:
            fresh.mkdir(mode=0o700, parents=True)
            with (
                zipfile.ZipFile(io.BytesIO(content)) as zipped,
                zipped.open(name) as packed,
                (fresh / name).open("wb") as file,
            ):
                shutil.copyfileobj(packed, file)
            (fresh / name).chmod(stat.S_IRWXU)
            program.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.rename(program.parent)
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            shutil.rmtree(fresh, ignore_errors=True)
            raise RemoteFailed(
                "A downloaded engine cannot be unpacked",
                code="engine-not-unpacked",
                detail=f"{archive} into {self.directory}: {type(error).__name__}.",
                hint="Look whether there is room, and who may write there.",
            ) from error

    def _get(self, client: httpx.Client, url: str, wanted: str) -> bytes:
        content = bytearray()
        try:
            with client.stream("GET", url, follow_redirects=True) as response:
                if response.status_code == 404:
                    raise self._missing(wanted, f", and {httpx.URL(url).host} does not have it for this machine")
                response.raise_for_status()
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > LARGEST:
                        raise httpx.DecodingError("too large")
        except httpx.HTTPError as error:
            raise self._missing(
                wanted, f", and downloading it from {httpx.URL(url).host} failed ({type(error).__name__})"
            ) from None
        return bytes(content)


def _machine() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine().lower(), platform.machine().lower())
