"""Where a running sandbox is found: `sandbox.json` in the directory that `LZR_SANDBOX` names.

Knows the file, how to tell that nobody answers any more, and the environment that points the real providers at the
sandbox. Holds no credential. Imports nothing heavy: every `lzr` command may ask.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from runner.errors import InputError

FILE = "sandbox.json"


@dataclass(frozen=True, kw_only=True)
class SandboxHandle:
    """What another process needs to reach a sandbox: addresses and the certificate authority, no secret."""

    url: str
    ca_file: str
    proxy_url: str
    identity_url: str
    function_url: str
    tenant_id: str
    pid: int

    @property
    def host(self) -> str:
        """The loopback `address:port` that stands for every Azure host."""
        return urlsplit(self.url).netloc

    def engine_environment(self) -> dict[str, str]:
        """The variables that point azapi, azuread and azurerm (observed: 2.12.0, 3.9.0, 5.2.0) at the sandbox, without credentials.

        One set serves all three: the metadata host wins over the custom environment in azuread and azurerm, and azapi,
        which has no metadata host, reads the custom one.
        """
        return {
            "SSL_CERT_FILE": self.ca_file,
            "SSL_CERT_DIR": "/nonexistent",  # else Go also trusts the machine's own authorities
            "ARM_METADATA_HOSTNAME": self.host,
            "ARM_ENVIRONMENT": "custom",
            "ARM_ACTIVE_DIRECTORY_AUTHORITY_HOST": f"{self.url}/",
            "ARM_RESOURCE_MANAGER_ENDPOINT": self.url,
            "ARM_RESOURCE_MANAGER_AUDIENCE": f"{self.url}/",
            "ARM_DISABLE_INSTANCE_DISCOVERY": "true",
            "ARM_USE_CLI": "false",
            **self.identity_environment(),
        }

    def identity_environment(self) -> dict[str, str]:
        """Where a managed identity gets its tokens, as azapi (by azidentity), azuread and azure-identity are told.

        azidentity and azure-identity take the two variables of App Service and never look at ARM_MSI_ENDPOINT; azuread
        knows nothing else.
        """
        return {
            "ARM_MSI_ENDPOINT": self.identity_url,
            "IDENTITY_ENDPOINT": self.identity_url,
            "IDENTITY_HEADER": "sandbox",  # no secret: the sandbox takes any value
        }

    def proxy_environment(self) -> dict[str, str]:
        """The other way: Azure's real host names, carried to the sandbox by its proxy; nothing else gets through."""
        return {"HTTPS_PROXY": self.proxy_url, "SSL_CERT_FILE": self.ca_file, "SSL_CERT_DIR": "/nonexistent"}


def write_handle(directory: Path, handle: SandboxHandle) -> Path:
    """Write the handle so that a reader sees all of it or nothing."""
    path = directory / FILE
    partial = directory / f"{FILE}.{handle.pid}"
    partial.write_text(json.dumps(asdict(handle), indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def remove_handle(directory: Path, handle: SandboxHandle) -> None:
    """Take the handle away, unless another sandbox has written its own there since."""
    path = directory / FILE
    if path.is_file() and _read(path) == handle:
        path.unlink()


def read_handle(directory: Path) -> SandboxHandle:
    """Return the handle of the sandbox that runs on `directory`; an `InputError` when none answers there."""
    path = directory / FILE
    if not path.is_file():
        raise InputError(
            "No sandbox here",
            code="sandbox-absent",
            detail=f"There is no {path}.",
            hint=f"Start one with `lzr sandbox --dir {directory}`.",
        )
    handle = _read(path)
    if handle is None:
        raise InputError(
            "The sandbox handle cannot be read",
            code="sandbox-handle-unreadable",
            detail=f"{path} was not written by this version of the sandbox.",
            hint=f"Stop the old sandbox, delete the file and start again with `lzr sandbox --dir {directory}`.",
        )
    if not _answers(handle):
        raise InputError(
            "The sandbox is not running",
            code="sandbox-stale",
            detail=f"{path} names process {handle.pid} on {handle.host}, which does not answer.",
            hint=f"Start it again with `lzr sandbox --dir {directory}`.",
        )
    return handle


def _read(path: Path) -> SandboxHandle | None:
    try:
        return SandboxHandle(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        return None


def _answers(handle: SandboxHandle) -> bool:
    try:
        os.kill(handle.pid, 0)
        address = urlsplit(handle.url)
        with socket.create_connection((address.hostname or "", address.port or 0), timeout=1):
            return True
    except PermissionError:  # the process lives, under another user
        return True
    except OSError:
        return False
