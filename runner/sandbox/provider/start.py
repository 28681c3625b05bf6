"""The start of a provider process, which the mirror's executables call."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path


def main(name: str, certificate: str) -> None:
    """Serve the stand-in `name`, the module of that name in this package, until the engine is done with it."""
    if "COVERAGE_PROCESS_CONFIG" in os.environ:  # with -S nothing else would measure what tests run in these processes
        import coverage

        coverage.process_startup()

    from runner.sandbox.provider.process import serve

    serve(import_module(f"runner.sandbox.provider.{name}").PROVIDER, Path(certificate))
