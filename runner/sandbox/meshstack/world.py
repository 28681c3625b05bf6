"""Everything that a meshStack holds, and what can be done to it from outside: order a run, abort it, break something, mend it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from runner.sandbox.meshstack.credentials import Credentials
from runner.sandbox.meshstack.documents import document, read_order
from runner.sandbox.meshstack.faults import Faults, read_fault
from runner.sandbox.meshstack.github import Github
from runner.sandbox.meshstack.pipelines import AzureDevOps, Gitlab, Pipelines
from runner.sandbox.meshstack.runs import Run, Runs
from runner.sandbox.meshstack.state import States


@dataclass(frozen=True)
class Logged:
    """One call as it was answered: 0 stands for a cut connection, `who` for the kind of credential."""

    method: str
    path: str
    status: int
    who: str


@dataclass
class World:
    """State in memory. Whoever reads or changes it holds `changed`, which is notified after each change."""

    base: str
    key: rsa.RSAPublicKey
    now: Callable[[], datetime]
    changed: threading.Condition = field(default_factory=threading.Condition)
    runner: str = field(default_factory=lambda: str(uuid.uuid4()))
    complaints: list[str] = field(default_factory=list)
    log: list[Logged] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        self.credentials = Credentials(self.now)
        self.runs = Runs(self.now, self.complaints.append)
        self.states = States(self.now, self.complaints.append)
        self.pipelines = Pipelines(self.now)
        self.github = Github(self.pipelines, self.base)
        self.gitlab = Gitlab(self.pipelines, self.base)
        self.azure_devops = AzureDevOps(self.pipelines, self.base)

    def enqueue(self, given: Any) -> Run:
        """Order a run; InputError where the order is wrong, a 404 where its predecessor is not known."""
        order = read_order(given)
        if order.predecessor:
            self.runs.found(order.predecessor, blame=False)
        number = order.run_number or self.runs.number(order.block)
        made = str(uuid.uuid4())
        token = self.credentials.for_run(made)
        sent = document(order, made, number=number, token=token, base=self.base, key=self.key)
        run = Run(made, order, token, sent, self.now())
        self._learn(order.definition)
        self.runs.add(run)
        return run

    def break_something(self, given: Any) -> None:
        """Switch on a fault; InputError where it is wrong. Tokens expire at once where no path is named."""
        fault = read_fault(given)
        if fault.kind == "expire" and fault.path is None:
            self.credentials.expire(fault.tokens)
        else:
            self.faults.add(fault)

    def _learn(self, implementation: dict[str, Any]) -> None:
        """The pipelines' services know the credentials that definitions name."""
        match implementation.get("type"):
            case "GITHUB_WORKFLOW":
                self.github.learn(implementation)
            case "GITLAB_CICD":
                self.gitlab.learn(implementation)
            case "AZURE_DEVOPS":
                self.azure_devops.learn(implementation)
