"""The engine's commands for a building block, each with its time limit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from runner.agent.config import Config
from runner.agent.programs import Programs, Ran
from runner.domain import plan as plan_domain
from runner.domain.plan import Plan
from runner.errors import EngineFailed
from runner.terraform.engine import Engine

_LOCK_TIMEOUT = "-lock-timeout=5m"
_CHANGES = 2


@dataclass(frozen=True)
class Commands:
    """The engine in the block's directory. Only exit codes and JSON are read; its words go to the step's log."""

    programs: Programs
    engine: Engine
    directory: Path
    environment: Mapping[str, str]
    config: Config

    def init(self, *, readonly: bool) -> None:
        arguments = ["init", "-input=false", "-no-color", *(["-lockfile=readonly"] if readonly else [])]
        self._must("init", arguments, self.config.init_timeout_mins)

    def workspaces(self) -> list[str]:
        ran = self._run("list the workspaces", ["workspace", "list"], self.config.ws_timeout_mins, quiet=True)
        self._check("workspace list", ran)
        return [line.strip("* \t") for line in ran.lines if line.strip("* \t")]

    def select_workspace(self, name: str, *, new: bool) -> None:
        arguments = ["workspace", "new" if new else "select", "-no-color", name]
        self._must("workspace", arguments, self.config.ws_timeout_mins)

    def forget_workspace(self, name: str) -> None:
        self._must("workspace", ["workspace", "select", "-no-color", "default"], self.config.ws_timeout_mins)
        self._must("workspace", ["workspace", "delete", "-no-color", "-force", name], self.config.ws_timeout_mins)

    def plan(self, file: Path, *, destroy: bool) -> bool:
        arguments = ["plan", "-input=false", "-no-color", "-detailed-exitcode", f"-out={file}", _LOCK_TIMEOUT]
        ran = self._run("plan", [*arguments, *(["-destroy"] if destroy else [])], self.config.timeout_mins)
        if ran.code != _CHANGES:
            self._check("plan", ran)
        file.chmod(0o600)
        return ran.code == _CHANGES

    def show(self, file: Path) -> Plan:
        ran = self._run(
            "read the plan", ["show", "-json", "-no-color", str(file)], self.config.timeout_mins, quiet=True
        )
        self._check("show", ran)
        for line in ran.lines:
            if line.startswith("{"):
                return plan_domain.read(json.loads(line))
        raise EngineFailed("The plan cannot be read", code="unreadable-plan", detail="`show -json` printed no JSON.")

    def apply(self, file: Path) -> None:
        self._must("apply", ["apply", "-input=false", "-no-color", _LOCK_TIMEOUT, str(file)], self.config.timeout_mins)

    def push(self, file: Path) -> bool:
        return (
            self._run("save the state", ["state", "push", _LOCK_TIMEOUT, str(file)], self.config.ws_timeout_mins).code
            == 0
        )

    def outputs(self) -> dict[str, Any]:
        ran = self._run("read the outputs", ["output", "-json", "-no-color"], self.config.ws_timeout_mins, quiet=True)
        self._check("output", ran)
        text = "\n".join(ran.lines)
        found = json.loads(text[text.index("{") :])
        return found if isinstance(found, dict) else {}

    def _must(self, what: str, arguments: list[str], minutes: float) -> None:
        self._check(what, self._run(what, arguments, minutes))

    def _run(self, what: str, arguments: list[str], minutes: float, *, quiet: bool = False) -> Ran:
        return self.programs.run_(
            [*self.engine.argv, *arguments],
            cwd=self.directory,
            env=self.environment,
            limit=timedelta(minutes=minutes),
            what=what,
            quiet=quiet,
        )

    def _check(self, what: str, ran: Ran) -> None:
        if ran.code != 0:
            if ran.lines:
                self.programs.on_lines(list(ran.lines))
            raise EngineFailed(
                f"Terraform {what} failed",
                code=f"engine-{what.split()[0]}-failed",
                detail=f"{self.engine.label} ended with {ran.code}.",
                hint="The step's log has what it said.",
            )
