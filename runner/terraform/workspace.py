"""A directory that an engine can run in and a person can read: templates give structure, one JSON file gives the values."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from runner.domain.configuration import Configuration
from runner.domain.state import LocalBackend, block
from runner.errors import Refused
from runner.terraform.engine import LOCK_FILE, PLAN_FILE

INPUTS = "inputs.auto.tfvars.json"
_MODULES = {
    "management_group": "management-group-association",
    "groups": "entra-groups",
    "roles": "role-assignments",
    "tags": "subscription-tags",
}


@dataclass(frozen=True)
class Sources:
    """Where the templates and modules that ship with the runner are."""

    templates: Path
    modules: Path


def write(configuration: Configuration, directory: Path, sources: Sources) -> str:
    """Write the root module and the modules it calls into an empty or new directory (0700); the digest of all of it."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    environment = _templates(sources.templates)
    structure = {
        "kind": configuration.kind,
        "blocks": configuration.blocks,
        "resource_groups": configuration.resource_groups,
        "removed": configuration.removed,
        "imports": configuration.imports,
        "backend": block(configuration.backend),
    }
    for name in ("main.tf", "variables.tf", "outputs.tf"):
        (directory / name).write_text(
            environment.get_template(f"terraform/{name}.j2").render(structure), encoding="utf-8"
        )
    values = json.dumps(configuration.inputs, indent=2, sort_keys=True, ensure_ascii=False)
    (directory / INPUTS).write_text(values + "\n", encoding="utf-8")
    called = {_MODULES[name] for name in configuration.blocks}
    if configuration.resource_groups:
        called.add("resource-group")
    for module in sorted(called):
        target = directory / "modules" / module
        target.mkdir(parents=True)
        for file in sorted((sources.modules / module).glob("*.tf")):
            shutil.copyfile(file, target / file.name)
    return digest(directory)


def digest(directory: Path) -> str:
    """SHA-256 over the names and contents of everything that is configuration; caches, plan and engine output are left out."""
    sum_ = hashlib.sha256()
    for file in sorted(_files(directory)):
        content = file.read_bytes()
        sum_.update(f"{file.relative_to(directory).as_posix()}\0{len(content)}\0".encode())
        sum_.update(content)
    return sum_.hexdigest()


def pack(directory: Path, extra: Mapping[str, bytes]) -> bytes:
    """Configuration, lock file and plan file as one archive (and `extra` files): what an apply in another process needs."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in [*sorted(_files(directory)), directory / LOCK_FILE, directory / PLAN_FILE]:
            archive.add(file, arcname=file.relative_to(directory).as_posix(), filter=_plain)
        for name, content in extra.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def unpack(content: bytes, directory: Path) -> None:
    """Restore what `pack` kept into this directory, which is emptied of everything else but the engine's own cache."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for entry in directory.iterdir():
        if entry.name == ".terraform":
            continue
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        archive.extractall(directory, filter="data")
    (directory / PLAN_FILE).chmod(0o600)


def remove(directory: Path, *, below: Path) -> None:
    """Delete a run's directory. Refused unless it lies below the directory that runs are kept in."""
    resolved, root = directory.resolve(), below.resolve()
    if root not in resolved.parents:
        raise Refused("Not a run's directory", code="not-a-run-directory", detail=f"{directory} is not below {below}.")
    shutil.rmtree(resolved, ignore_errors=True)


def state_file(backend: LocalBackend, tenant: str) -> Path:
    """Where a tenant's state lies with the local backend."""
    return Path(backend.directory) / f"{tenant}.tfstate"


def _files(directory: Path) -> list[Path]:
    roots = [path for path in directory.iterdir() if path.is_file() and (path.suffix == ".tf" or path.name == INPUTS)]
    modules = directory / "modules"
    return roots + [path for path in modules.rglob("*") if path.is_file()] if modules.is_dir() else roots


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    return member


@lru_cache(maxsize=4)
def _templates(directory: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(directory),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Terraform code, and no text of a document is ever rendered into it
    )
    environment.filters["hcl"] = quoted
    return environment


def quoted(text: str) -> str:
    """`text` as an HCL string in which nothing is evaluated."""
    return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
