"""The start of a provider process, which the mirror's executables call."""

from __future__ import annotations

from pathlib import Path


def main(name: str, certificate: str) -> None:
    """Serve the stand-in `name` until the engine is done with it."""
    from runner.sandbox.provider.protocol import serve

    if name == "azapi":
        from runner.sandbox.provider import azapi

        serve(azapi.PROVIDER, Path(certificate))
    else:
        from runner.sandbox.provider import azuread

        serve(azuread.PROVIDER, Path(certificate))
