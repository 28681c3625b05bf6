"""Where a building block keeps its state: its own backend if its code has one, else meshStack's over HTTP where the definition says so."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from runner.agent.contract import BlockRun
from runner.errors import InputError
from runner.terraform.hcl import quoted

SUFFIXES = (".tf", ".tf.json", ".tofu", ".tofu.json")
USERNAME = "x"  # meshStack reads the token alone (its filter for state calls of runs)
_MENTIONED = re.compile(r"\b(backend|cloud)\b")
_WITHOUT_WORKSPACES = frozenset({"http"})
_LOCK_LINK = "tfstatelock"
NONE = ""


@dataclass(frozen=True)
class Backend:
    """`own` is the type of the block's own backend, empty where it has none. `file` is what is written beside its code, `environment`
    what it needs; both are empty where it has its own, or where nobody keeps the state."""

    own: str
    file: str = ""
    environment: Mapping[str, str] | None = None

    @property
    def has_workspaces(self) -> bool:
        return not self.file and self.own not in _WITHOUT_WORKSPACES

    @property
    def keeps_nothing(self) -> bool:
        """Whether the state is gone with the run's directory."""
        return not self.file and self.own == NONE


def choose(run: BlockRun, code: Mapping[str, str], *, wanted: bool, token: str, base: str) -> Backend:
    """The backend of a run whose block has this code in its root. InputError where meshStack keeps the state and the run has no token."""
    own = own_backend(code)
    if own or not wanted:
        return Backend(own=own)
    if not token:
        raise InputError(
            "The run has no token",
            code="run-token-missing",
            detail="meshStack is to keep the building block's state, and the run came without the token for it.",
            hint="Look whether meshStack is older than its documentation, or give the block a backend of its own.",
        )
    address = f"{base.rstrip('/')}/api/terraform/state/workspace/{quote(run.block.spec.workspace_identifier, safe='')}/buildingBlock/"
    lock = next((link.href for name, link in run.links.items() if name.lower() == _LOCK_LINK), "")
    return Backend(
        own=NONE,
        file=rendered(address + quote(run.block.uuid, safe=""), lock),
        # not in the file: a saved plan holds the backend's configuration
        environment={"TF_HTTP_USERNAME": USERNAME, "TF_HTTP_PASSWORD": token},
    )


def rendered(address: str, lock: str) -> str:
    """The backend's block, with locking where there is an address for it."""
    lines = [f"    address        = {quoted(address)}"]
    if lock:
        lines += [
            f"    lock_address   = {quoted(lock)}",
            '    lock_method    = "POST"',
            f"    unlock_address = {quoted(lock)}",
            '    unlock_method  = "DELETE"',
        ]
    return "\n".join(["terraform {", '  backend "http" {', *lines, "  }", "}", ""])


def own_backend(code: Mapping[str, str]) -> str:
    """The type of the backend (or `cloud`) that root code names; empty where it names none."""
    for name, text in code.items():
        if not _MENTIONED.search(text):
            continue  # reading HCL takes time, and most code says nothing of it
        for block in _terraform_blocks(name, text):
            if "cloud" in block:
                return "cloud"
            found = block.get("backend")
            for one in found if isinstance(found, list) else [found]:
                if isinstance(one, dict):
                    return next((key.strip('"') for key in one if not key.startswith("__")), NONE) or NONE
    return NONE


def _terraform_blocks(name: str, text: str) -> list[dict[str, object]]:
    import hcl2  # 0.2 s

    try:
        read = json.loads(text) if name.endswith(".json") else hcl2.loads(text)
    except Exception:  # noqa: BLE001 - whatever the parser meets; the engine will say what is wrong with the code
        return []
    found = read.get("terraform") if isinstance(read, dict) else None
    return [block for block in (found if isinstance(found, list) else [found]) if isinstance(block, dict)]


def workspace_name(run: BlockRun) -> str:
    """How the existing runner names the workspace of a block in a shared backend."""
    spec = run.block.spec
    parts = (spec.workspace_identifier, spec.project_identifier, spec.full_platform_identifier)
    return ".".join(part or "_" for part in parts) + f":{run.block.uuid}"
