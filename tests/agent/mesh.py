"""A meshStack on loopback with a building block in its git server, and agents that work for it: in this process, or as `lzr agent`."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from runner import wiring
from runner.agent import config as agent_config
from runner.agent.agent import Agent
from runner.sandbox.meshstack.server import MeshStack
from runner.settings import Settings
from runner.terraform.engine import discover
from runner.wiring_agent import open_agent

BLOCK = """
variable "region" {
  type    = string
  default = "westeurope"
}

variable "meshstack_building_block_id" {
  type = string
}

resource "terraform_data" "this" {
  input = var.region
}

output "region" {
  value = terraform_data.this.output
}
"""


@dataclass
class Mesh:
    """What a test of the agent has: meshStack, the directory of the agent's store, and its settings."""

    stack: MeshStack
    directory: Path
    settings: dict[str, str]
    running: ExitStack
    repositories: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)  # that meshStack is to have at the end

    def terraform(
        self, files: Mapping[str, str | bytes] | None = None, *, is_async: bool = False, **more: Any
    ) -> dict[str, Any]:
        """The implementation of a block with these files (or the simple one), reached over https."""
        name = str(more.pop("name", "blocks"))
        if files is not None or name not in self.repositories:
            self.stack.git.repository(name, dict(files or {"main.tf": BLOCK}))
            self.repositories.add(name)
        return {
            "type": "TERRAFORM",
            "terraformVersion": "1.9.0",
            "repositoryUrl": f"{self.stack.git_https_url}/{name}.git",
            "useMeshHttpBackendFallback": True,
            "async": is_async,
            **more,
        }

    def configure(self, **more: Any) -> None:
        """Change the agent's configuration file."""
        file = self.stack.config_file
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
        file.write_text(yaml.safe_dump({**found, **more}), encoding="utf-8")

    @property
    def gate(self) -> Path:
        """A file that scripts wait for."""
        return self.directory / "gate"

    def until_opened(self, before: str, after: str = "") -> str:
        """A script that says something, waits until the gate is there, and goes on."""
        return f"{before}\nwhile [ ! -e {self.gate} ]; do sleep 0.05; done\n{after}"

    @property
    def environment(self) -> dict[str, str]:
        """Of an agent as a process."""
        return {**{name: value for name, value in os.environ.items() if not name.startswith("LZR_")}, **self.settings}

    def start(self, *arguments: str, **settings: str) -> subprocess.Popen[str]:
        """`lzr agent` as a process; killed at the end of the test."""
        process = subprocess.Popen(
            [sys.executable, "-m", "runner", "agent", "--config", str(self.stack.config_file), *arguments],
            env={**self.environment, "MANAGEMENT_PORT": "0", **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.running.enter_context(process)
        self.running.callback(process.kill)
        return process

    @contextmanager
    def agent(self) -> Iterator[Agent]:
        """An agent in this process that polls meanwhile."""
        with self.opened() as agent:
            thread = threading.Thread(target=agent.poll, name="agent")
            thread.start()
            try:
                yield agent
            finally:
                agent.stop.set()
                agent.hurry.set()
                thread.join()

    @contextmanager
    def opened(self) -> Iterator[Agent]:
        """An agent in this process that does nothing by itself."""
        with wiring.open_runner(self.chosen) as runner:
            config = agent_config.read({}, self.stack.config_file)
            with open_agent(runner, config) as agent:
                yield agent

    @property
    def chosen(self) -> Settings:
        """The settings of an agent in this process."""
        values: dict[str, Any] = {}
        for name, value in self.settings.items():
            part, _, field_ = name.removeprefix("LZR_").lower().partition("__")
            if field_:
                values.setdefault(part, {})[field_] = value
            else:
                values[part] = value
        return Settings(**values)

    def done(self, **order: Any) -> dict[str, Any]:
        """Order a run, have it executed, and give what meshStack knows of it at the end."""
        uuid = self.stack.enqueue(**order)
        with self.agent():
            return self.stack.wait(uuid)


@contextmanager
def opened_mesh(directory: Path) -> Iterator[Mesh]:
    """A meshStack and what an agent needs, below this directory."""
    with MeshStack(directory / "mesh") as stack, ExitStack() as running:
        settings = {
            "LZR_STORE": str(directory / "store"),
            "LZR_AUDIT_KEY_FILE": str(directory / "audit-key"),
            "LZR_CA_FILE": str(stack.ca_file),
            "LZR_LOG_LEVEL": "error",
        }
        mesh = Mesh(stack, directory, settings, running)
        mesh.configure(pollSeconds=0.05, errorSeconds=0.2, graceSeconds=5, engineDownload=False, engines=engines())
        yield mesh


def engines() -> dict[str, str]:
    """Every version that a block names is the one engine that this machine has."""
    return {"*": discover(None).label}
