"""What `lzr render` prints is pasted into a shell here: Terraform then sees the state that the runner sees."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.run import terraform
from tests.estate import TENANT, Estate


@pytest.mark.parametrize("backend", ["managed", "local"])
def test_the_printed_lines_lead_to_the_tenants_state(estate: Estate, backend: str) -> None:
    if backend == "local":
        states = {"type": "local", "directory": str(estate.directory / "kept states")}
        estate.edit("AzurePlatform", lambda platform: platform["spec"].update(stateBackend=states))
    estate.decided_by("never")
    estate.lzr("reconcile", "documents")
    told = estate.lzr("render", TENANT, "--in", "documents", "--out", "by hand").stdout
    lines = [line.strip() for line in told.splitlines() if line.startswith("  ")]
    assert lines[-1].endswith(" && terraform plan")
    assert ("never apply" in told.lower()) == (backend == "managed")
    listed = pasted(estate, "\n".join(lines).replace("terraform plan", "terraform state list"))
    assert "module.groups" in listed
    assert "module.management_group" in listed


def pasted(estate: Estate, lines: str) -> str:
    """Standard output of these lines in a shell that has `lzr` and `terraform`, and the sandbox's providers for a registry."""
    commands, configuration = estate.directory / "bin", estate.directory / "terraformrc"
    commands.mkdir()
    (commands / "terraform").symlink_to(terraform())
    script(commands / "lzr", f'exec {shlex.quote(sys.executable)} -m runner "$@"')
    mirror = estate.environment["LZR_MIRROR"]
    configuration.write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n', encoding="utf-8"
    )
    environment = estate.environment | {
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "TF_CLI_CONFIG_FILE": str(configuration),
        "CHECKPOINT_DISABLE": "1",
    }
    ran = subprocess.run(
        ["/bin/sh", "-ec", lines], cwd=estate.directory, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def script(file: Path, line: str) -> None:
    file.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    file.chmod(0o755)
