"""What an agent is made of: everything that its loop, its runs and its recovery share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from runner.agent.landing_zone import Walk
from runner.agent.telemetry import Metrics, Tracing
from runner.agent.terraform_block import Tools
from runner.logs import Redactor
from runner.ports import Liveness, Runs
from runner.store.claims import SqlClaims


@dataclass(frozen=True)
class Shelves:
    """Where an agent keeps things: `work` is for the directories of runs, `cache` for providers and repositories, `zones` for the documents
    of landing zones that were ordered."""

    work: Path
    cache: Path
    zones: Path


@dataclass(frozen=True)
class Kit:
    """`key` opens runs; there is none where they come opened. `executor` is this process as others of the store know it."""

    tools: Tools
    key: RSAPrivateKey | None
    runs: Runs
    claims: SqlClaims
    liveness: Liveness
    executor: str
    redactor: Redactor
    client: httpx.Client
    shelves: Shelves
    engine_grace: timedelta
    metrics: Metrics
    tracing: Tracing
    walk: Walk

    @contextmanager
    def hiding(self) -> Iterator[Callable[[str], None]]:
        """Secrets of one run: hidden while it goes on, and forgotten with it."""
        added: list[str] = []

        def hide(value: str) -> None:
            added.append(value)
            self.redactor.add(value)

        try:
            yield hide
        finally:
            for value in added:
                self.redactor.drop(value)
