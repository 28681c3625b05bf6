"""Terraform in a directory of its own, with the stand-ins from a mirror."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.engine.run import terraform

TERRAFORM = terraform()

REQUIRED = """
terraform {
  required_providers {
    azapi   = { source = "azure/azapi" }
    azuread = { source = "hashicorp/azuread" }
  }
}
"""


@dataclass(frozen=True)
class Ran:
    """One command of the engine and what it printed."""

    code: int
    output: str

    @property
    def text(self) -> str:
        """The output without the frame that wraps a diagnostic's lines."""
        return " ".join(self.output.replace("│", " ").split())


@dataclass
class Workspace:
    """A root module and its state."""

    directory: Path
    environment: dict[str, str]
    variables: dict[str, Any] = field(default_factory=dict)

    def write(self, configuration: str) -> None:
        (self.directory / "main.tf").write_text(REQUIRED + configuration, encoding="utf-8")
        if not (self.directory / ".terraform").exists():
            assert self.run("init").code == 0

    def run(self, *arguments: str) -> Ran:
        (self.directory / "inputs.auto.tfvars.json").write_text(json.dumps(self.variables), encoding="utf-8")
        done = subprocess.run(
            [TERRAFORM, *arguments, "-no-color"],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return Ran(done.returncode, done.stdout + done.stderr)

    def forget_state(self) -> None:
        (self.directory / "terraform.tfstate").unlink()

    def plan(self, *arguments: str) -> Ran:
        """Plan; the code is 0 for no changes, 2 for changes, 1 for an error."""
        return self.run("plan", "-input=false", "-detailed-exitcode", "-out=tfplan", *arguments)

    def apply(self) -> Ran:
        return self.run("apply", "-input=false", "-auto-approve")

    def destroy(self) -> Ran:
        return self.run("destroy", "-input=false", "-auto-approve")

    def changes(self) -> dict[str, Any]:
        """Return address and change of everything in the last plan that is not left as it is."""
        shown = json.loads(self.run("show", "-json", "tfplan").output)
        return {
            entry["address"]: entry["change"]
            for entry in shown["resource_changes"]
            if entry["change"]["actions"] != ["no-op"]
        }

    def drift(self) -> dict[str, Any]:
        """Return address and change of everything that the last plan found to be different from the state."""
        shown = json.loads(self.run("show", "-json", "tfplan").output)
        return {entry["address"]: entry["change"] for entry in shown.get("resource_drift", ())}

    def actions(self) -> dict[str, list[str]]:
        return {address: change["actions"] for address, change in self.changes().items()}

    def state(self, address: str) -> dict[str, Any]:
        """Return the stored attributes of a resource."""
        return dict(self._instance(address)["attributes"])

    def is_tainted(self, address: str) -> bool:
        return self._instance(address).get("status") == "tainted"

    def addresses(self) -> list[str]:
        return [
            f"{resource['type']}.{resource['name']}" for resource in self._resources() if resource["mode"] == "managed"
        ]

    def _instance(self, address: str) -> dict[str, Any]:
        type_, name = address.removeprefix("data.").split(".")
        mode = "data" if address.startswith("data.") else "managed"
        for resource in self._resources():
            if (resource["mode"], resource["type"], resource["name"]) == (mode, type_, name):
                return dict(resource["instances"][0])
        raise AssertionError(f"{address} is not in the state")

    def _resources(self) -> list[dict[str, Any]]:
        return list(json.loads((self.directory / "terraform.tfstate").read_text(encoding="utf-8"))["resources"])


def workspace(directory: Path, mirror: Path, environment: dict[str, str]) -> Workspace:
    """Make an empty root module that finds its providers in `mirror` only."""
    root = directory / "root"
    root.mkdir()
    rc = directory / "terraform.rc"
    rc.write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n', encoding="utf-8"
    )
    base = {"PATH": os.environ["PATH"], "HOME": str(directory), "TMPDIR": "/tmp"}
    base |= {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    settings = {"TF_CLI_CONFIG_FILE": str(rc), "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
    return Workspace(root, base | settings | environment)
