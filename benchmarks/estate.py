"""An estate to measure with: a sandbox process of its own and documents for N tenants that policy approves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import yaml

import runner
from runner.sandbox.handle import read_handle

EXAMPLE = Path(__file__).parent.parent / "examples" / "demo"
SEED = Path(runner.__file__).parent / "sandbox" / "azure" / "default_seed.yaml"
SECRET = "sandbox-runner-secret"


def subscription(number: int) -> str:
    return f"4f1c2d30-0000-4000-8000-{number:012d}"


@contextmanager
def sandbox(directory: Path, tenants: int) -> Iterator[Path]:
    """A running sandbox with a subscription per tenant; its directory, for `LZR_SANDBOX`."""
    directory.mkdir(parents=True)
    seed = yaml.safe_load(SEED.read_text(encoding="utf-8"))
    seed["azure"]["subscriptions"] = [
        {"id": subscription(number), "name": f"bench-{number}", "managementGroup": "sandbox"}
        for number in range(tenants)
    ]
    (directory / "seed.yaml").write_text(yaml.safe_dump(seed), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "sandbox", "--dir", str(directory), "--seed", str(directory / "seed.yaml")],
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = monotonic() + 30
        while not (directory / "sandbox.json").exists() and monotonic() < deadline:
            sleep(0.05)
        read_handle(directory)
        yield directory
    finally:
        process.terminate()
        process.wait()


def documents(directory: Path, tenants: int) -> Path:
    """The demo's platform and zone, approved by policy, and as many tenants as wanted."""
    directory.mkdir(parents=True)
    platform = yaml.safe_load((EXAMPLE / "platform.yaml").read_text(encoding="utf-8"))
    zone = yaml.safe_load((EXAMPLE / "landing-zone.yaml").read_text(encoding="utf-8"))
    zone["spec"]["approval"] = {"policy": "never"}
    template = yaml.safe_load(next((EXAMPLE / "tenants").glob("*.yaml")).read_text(encoding="utf-8"))
    (directory / "zone.yaml").write_text(yaml.safe_dump_all([platform, zone]), encoding="utf-8")
    for number in range(tenants):
        template["metadata"]["name"] = f"bench.project-{number}"
        template["spec"] |= {
            "workspaceIdentifier": "bench",
            "projectIdentifier": f"project-{number}",
            "platformTenantId": subscription(number),
        }
        (directory / f"tenant-{number}.yaml").write_text(yaml.safe_dump(template), encoding="utf-8")
    return directory


def environment(sandbox_directory: Path, store: Path) -> dict[str, str]:
    """What a runner or the bare engine is started with."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **kept,
        "LZR_SANDBOX": str(sandbox_directory),
        "LZR_STORE": str(store),
        "LZ_CLIENT_SECRET": SECRET,
    }
