"""Terraform, a root module around one or more of the project's modules, and the Azure that it works on."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runner.sandbox.azure.server import Sandbox
from tests.engine.run import terraform

TERRAFORM = terraform()
MODULES = Path(__file__).resolve().parents[2] / "modules"
NAMES = (
    "blueprint-assignment",
    "budget",
    "deployment-stack",
    "eligible-role-assignments",
    "entra-groups",
    "management-group-association",
    "pipeline-identity",
    "resource-group",
    "resource-provider-registration",
    "role-assignments",
    "subscription-tags",
)

every_module = pytest.mark.parametrize("module", [MODULES / name for name in NAMES], ids=NAMES)

TENANT = "7d3f0c52-1111-4a6e-9c55-2a4b6f1d0001"
CALLER = "7d3f0c52-bbbb-4a6e-9c55-2a4b6f1d0001"
CREDENTIALS = {
    "ARM_TENANT_ID": TENANT,
    "ARM_CLIENT_ID": "7d3f0c52-aaaa-4a6e-9c55-2a4b6f1d0001",
    "ARM_CLIENT_SECRET": "sandbox-runner-secret",
}
SUBSCRIPTION_ID = "4f1c2d30-0000-4000-8000-000000000001"
SUBSCRIPTION = f"/subscriptions/{SUBSCRIPTION_ID}"

_PROVIDERS = """
terraform {
  required_providers {
    azapi   = { source = "Azure/azapi" }
    azuread = { source = "hashicorp/azuread" }
  }
}
provider "azapi" {}
provider "azuread" {}
"""


def run_terraform(
    arguments: Sequence[str], *, cwd: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the engine with nothing of the developer's environment and no way to a registry."""
    settings = {"PATH": os.environ["PATH"], "HOME": str(cwd), "TF_CLI_CONFIG_FILE": os.devnull}
    settings |= {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_INPUT": "0"} | dict(environment or {})
    return subprocess.run(
        [TERRAFORM, *arguments],
        cwd=cwd,
        env=settings,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def engine_settings(mirror: Path) -> Path:
    """Write the engine's settings that let it find its providers in `mirror` only; return the file."""
    path = mirror / "terraform.rc"
    path.write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n', encoding="utf-8"
    )
    return path


@dataclass(frozen=True)
class Bench:
    """A root module with local state. Commands that should succeed do, or the test fails with what Terraform said."""

    directory: Path
    environment: Mapping[str, str]
    azure: Sandbox

    def build(self, configuration: str) -> None:
        """Make `configuration` the root module; `./modules/…` leads to the project's modules."""
        is_new = not (self.directory / ".terraform").exists()
        (self.directory / "main.tf").write_text(_PROVIDERS + configuration, encoding="utf-8")
        if is_new:
            (self.directory / "modules").symlink_to(MODULES)
        self._succeed("init" if is_new else "get", "-no-color")

    def plan(self, *options: str) -> dict[str, str]:
        """Return address and action of all that a plan would do; nothing for a plan without changes."""
        planned = self._run("plan", "-json", "-detailed-exitcode", "-out=plan", *options)
        assert planned.returncode in (0, 2), planned.stdout + planned.stderr
        said = [json.loads(line) for line in planned.stdout.splitlines()]
        changes = [message["change"] for message in said if message["type"] == "planned_change"]
        assert (planned.returncode == 2) == bool(changes), planned.stdout
        return {change["resource"]["addr"]: change["action"] for change in changes}

    def refresh(self) -> str:
        """Look for drift alone; return what was said."""
        return self._succeed("plan", "-no-color", "-refresh-only").stdout

    def planned(self, address: str) -> Any:
        """Return what the last plan knows of a thing to be; what is only known after the apply is missing."""
        shown = json.loads(self._succeed("show", "-json", "plan").stdout)
        return next(entry["change"]["after"] for entry in shown["resource_changes"] if entry["address"] == address)

    def apply(self) -> None:
        """Apply the last plan."""
        self._succeed("apply", "-no-color", "plan")

    def reconcile(self) -> list[str]:
        """Plan and apply in one; return what Azure was asked to change."""
        self.forget_calls()
        self._succeed("apply", "-no-color", "-auto-approve")
        return self.writes()

    def failure(self, *command: str) -> str:
        """Run a command that has to fail; return what it said, without the frame around a diagnostic."""
        done = self._run(*command, "-no-color")
        assert done.returncode == 1, done.stdout
        return " ".join((done.stdout + done.stderr).replace("│", " ").split())

    def output(self, name: str) -> object:
        """Return an output of the root module."""
        return json.loads(self._succeed("output", "-json", name).stdout)

    def calls(self) -> list[str]:
        """Return the calls to Azure since the last `forget_calls`, tokens left out."""
        return [f"{call.method} {call.path}" for call in self.azure.world.calls if call.service in ("arm", "graph")]

    def writes(self) -> list[str]:
        """Return those of the calls that change something."""
        return [call for call in self.calls() if not call.startswith("GET ")]

    def forget_calls(self) -> None:
        """Start the list of calls anew."""
        self.azure.world.calls.clear()

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_terraform(arguments, cwd=self.directory, environment=self.environment)

    def _succeed(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = self._run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done
