"""A directory that an engine can run in and a person can read: templates give structure, one JSON file gives the values."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from runner.domain.configuration import Configuration
from runner.domain.state import LocalBackend, ManagedBackend, block
from runner.errors import Refused
from runner.terraform.hcl import quoted

INPUTS = "inputs.auto.tfvars.json"
_MODULES = {
    "management_group": "management-group-association",
    "groups": "entra-groups",
    "roles": "role-assignments",
    "tags": "subscription-tags",
    "blueprints_owner": "role-assignments",
}


@dataclass(frozen=True)
class Sources:
    """Where the templates and modules that ship with the runner are."""

    templates: Path
    modules: Path


def render(configuration: Configuration, sources: Sources) -> dict[str, bytes]:
    """The root module, its values and the modules it calls: contents by path, in the order of the paths."""
    environment = _templates(sources.templates)
    structure = {
        "kind": configuration.kind,
        "blocks": configuration.blocks,
        "resource_groups": configuration.resource_groups,
        "blueprints": configuration.blueprints,
        "stacks": configuration.stacks,
        "modules": configuration.modules,
        "removed": configuration.removed,
        "imports": configuration.imports,
        "backend": block(configuration.backend),
        "managed": isinstance(configuration.backend, ManagedBackend),
    }
    files = {
        name: environment.get_template(f"terraform/{name}.j2").render(structure).encode()
        for name in ("main.tf", "variables.tf", "outputs.tf")
    }
    values = json.dumps(configuration.inputs, indent=2, sort_keys=True, ensure_ascii=False)
    files[INPUTS] = f"{values}\n".encode()
    called = {_MODULES[name] for name in configuration.blocks}
    for names, module in (
        (configuration.resource_groups, "resource-group"),
        (configuration.blueprints, "blueprint-assignment"),
        (configuration.stacks, "deployment-stack"),
    ):
        called |= {module} if names else set()
    called |= {module.shipped for module in configuration.modules if module.shipped}
    for key, code in configuration.code.items():
        files |= {f"blocks/{key}/{path}": text.encode() for path, text in code.items()}
    for module in called:
        for file in (sources.modules / module).glob("*.tf"):
            files[f"modules/{module}/{file.name}"] = file.read_bytes()
    return dict(sorted(files.items()))


def digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 over paths and contents."""
    sum_ = hashlib.sha256()
    for path, content in sorted(files.items()):
        sum_.update(f"{path}\0{len(content)}\0".encode())
        sum_.update(content)
    return sum_.hexdigest()


def write(files: Mapping[str, bytes], directory: Path) -> None:
    """Put the files into the directory (0700) and nothing else; the engine's own cache stays."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for entry in directory.iterdir():
        if entry.name == ".terraform":
            continue
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    for folder in {(directory / path).parent for path in files}:
        folder.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        (directory / path).write_bytes(content)


def remove(directory: Path, *, below: Path) -> None:
    """Delete a run's directory. Refused unless it lies below the directory that runs are kept in."""
    resolved, root = directory.resolve(), below.resolve()
    if root not in resolved.parents:
        raise Refused("Not a run's directory", code="not-a-run-directory", detail=f"{directory} is not below {below}.")
    shutil.rmtree(resolved, ignore_errors=True)


def state_file(backend: LocalBackend, tenant: str) -> Path:
    """Where a tenant's state lies with the local backend."""
    return Path(backend.directory) / f"{tenant}.tfstate"


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
    environment.filters["width"] = lambda name, arguments: name.ljust(max(len(one.name) for one in arguments))
    return environment
