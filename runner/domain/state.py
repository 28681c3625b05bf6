"""Where Terraform's state lives: a tagged value that yields a block and an environment, kept apart.

Secrets only ever go into the environment: a plan file embeds the block, and `.terraform/` keeps it (both observed).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from runner.domain.document import Value

REHEARSAL = (
    ".lzr-doctor-"  # begins the names of states that are only written to try a backend; a tenant's begins with no dot
)
# A relative path would lead elsewhere from another directory: a run would find no state, and make everything a second time.
DIRECTORY = r"^/[^\x00-\x1f\x7f]*$"


class ManagedBackend(Value):
    """The runner's own store, served to the engine on loopback: history, locks, encryption, fencing."""

    type: Literal["managed"] = "managed"
    """The runner's own store: states are encrypted, locked and kept with their history."""


class LocalBackend(Value):
    """A file per tenant under a directory. No encryption, no history, no fence: for trying things out."""

    type: Literal["local"]
    """A file per tenant under a directory, for trying things out: not encrypted, and without history."""
    directory: Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=DIRECTORY)]
    """The directory of the state files, as a path from the root: /var/lib/lzr/states. Every run has to find them there."""


StateBackend = Annotated[ManagedBackend | LocalBackend, Field(discriminator="type")]


def block(backend: ManagedBackend | LocalBackend) -> str:
    """The HCL of the root module's backend block. It names no tenant and holds no credential."""
    match backend:
        case ManagedBackend():
            return 'backend "http" {}'
        case LocalBackend():
            return 'backend "local" {}'
