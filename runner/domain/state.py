"""Where Terraform's state lives: a tagged value that yields a block and an environment, kept apart.

Secrets only ever go into the environment: a plan file embeds the block, and `.terraform/` keeps it (both observed).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from runner.domain.document import Value


class ManagedBackend(Value):
    """The runner's own store, served to the engine on loopback: history, locks, encryption, fencing."""

    type: Literal["managed"] = "managed"


class LocalBackend(Value):
    """A file per tenant under a directory. No encryption, no history, no fence: for trying things out."""

    type: Literal["local"]
    directory: str = Field(min_length=1)


StateBackend = Annotated[ManagedBackend | LocalBackend, Field(discriminator="type")]


def block(backend: ManagedBackend | LocalBackend) -> str:
    """The HCL of the root module's backend block. It names no tenant and holds no credential."""
    match backend:
        case ManagedBackend():
            return 'backend "http" {}'
        case LocalBackend():
            return 'backend "local" {}'
