"""A run of a Terraform building block, step by step: sources, inputs, init, pre-run script, plan and apply, outputs.

What is applied is always a plan file that was read and shown before: the one made a moment ago, or the one that meshStack kept of an
earlier dry run. The steps and their names are the existing runner's (github meshcloud/building-block-runner, tf-block-runner/tfrun).
"""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from runner.agent import backends, inputs
from runner.agent.backends import Backend
from runner.agent.config import Config
from runner.agent.contract import Behavior, BlockRun, Status, Terraform
from runner.agent.engine_commands import Commands
from runner.agent.engines import Engines
from runner.agent.envelope import hide_all
from runner.agent.meshapi import Claim, MeshApi
from runner.agent.programs import Programs, bash, passed_on
from runner.agent.record import Record
from runner.agent.reporting import Reporter
from runner.agent.rescue import Rescue
from runner.agent.sources import Checkout, Sources, code_in, without_password
from runner.app.journal import redacted
from runner.domain import block_review
from runner.domain import run as run_domain
from runner.domain.block_review import BlockReview
from runner.domain.plan import Plan
from runner.errors import EngineFailed, RemoteFailed, RunnerError
from runner.terraform import snapshot
from runner.terraform.engine import LOCK_FILE, providers
from runner.terraform.hcl import filesystem_mirror
from runner.terraform.temporary import temporary_directory

STEPS = (
    ("sources", "Prepare Run and download Sources"),
    ("input", "Initialize Inputs"),
    ("init_tf", "Initialize Terraform and select Workspace"),
    ("pre_run_script", "Execute Pre-Run Script"),
)
EXECUTE = {
    Behavior.APPLY: "Run Terraform Apply",
    Behavior.DESTROY: "Run Terraform Destroy",
    Behavior.DETECT: "Run Terraform Plan",
}
OUTPUT = ("output", "Collect Outputs and clean up")
TRIGGER = ("trigger", "Prepare Run")
LARGEST_ARTIFACT = 11 * 1024 * 1024  # bytes; as base64 and with the steps' texts it has to fit into meshStack's 16 MB
_PUSHES = 3
_LARGEST_LOCK = 1024 * 1024  # bytes
_LARGEST_SECRET = 64 * 1024  # bytes of a file that is looked for in logs


def steps_of(run: BlockRun) -> tuple[tuple[str, str], ...]:
    """Ids and names of the steps of a run, in order."""
    if isinstance(run.implementation, Terraform) and run.implementation.is_async:
        return (TRIGGER,)
    execute = ("execute_tf", EXECUTE[run.spec.behavior])
    return (*STEPS, execute) if run.spec.behavior is Behavior.DETECT else (*STEPS, execute, OUTPUT)


@dataclass(frozen=True)
class Tools:
    """What every run of this agent shares. `surroundings` are the engine's variables for proxy and private authorities."""

    config: Config
    api: MeshApi
    sources: Sources
    engines: Engines
    environment: Mapping[str, str]
    surroundings: Mapping[str, str]
    mirror: Path | None
    hide: Callable[[str], None]
    rescue: Rescue
    now: Callable[[], datetime]


@dataclass(frozen=True)
class Result:
    """What the last report says beside the status."""

    handed_over: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Executing:
    """One run at work in its own directory. `cache` is a folder for providers that no other run uses meanwhile."""

    run: BlockRun
    source: Terraform
    document: Mapping[str, Any]
    claim: Claim
    tools: Tools
    reporter: Reporter
    record: Record
    programs: Programs
    root: Path
    cache: Path
    measured: Callable[[str], AbstractContextManager[None]]
    at: str = ""
    changes: bool = False
    approved: bool = False
    outputs: Mapping[str, Any] | None = None

    @cached_property
    def temporary(self) -> Path:
        """Where the run's programs keep what they need for a moment, sockets of providers among it."""
        return temporary_directory(self.root)

    def execute(self) -> Result:
        """Do the whole run. What is raised has been told as a failed step already."""
        with self._step("sources"):
            checkout = self._check_out()
        with self._step("input"):
            code = code_in(checkout.directory, backends.SUFFIXES)
            backend = backends.choose(
                self.run,
                code,
                wanted=self.source.use_mesh_http_backend_fallback,
                token=self.claim.token,
                base=self.claim.base,
            )
            prepared = inputs.prepare(self.run, code, extra=self._extra(code))
            self._write(prepared, backend, checkout.directory)
        with self._step("init_tf") as said:
            engine = self.tools.engines.find(self.source.terraform_version)
            environment = self._environment(prepared, backend, checkout)
            terraform = Commands(self.programs, engine, checkout.directory, environment, self.tools.config)
            if self.claim.plan:
                self._take_predecessors_plan(checkout.directory)
            terraform.init(readonly=bool(self.claim.plan))
            workspace = self._select_workspace(terraform, backend)
            said.append(engine.label)
        with self._step("pre_run_script") as said:
            if self.source.pre_run_script.strip():
                said.append(self._pre_run(checkout.directory, environment))
        return self._finish(terraform, checkout, backend, workspace)

    def _finish(self, terraform: Commands, checkout: Checkout, backend: Backend, workspace: str) -> Result:
        behavior = self.run.spec.behavior
        with self._step("execute_tf") as said:
            if behavior is Behavior.DESTROY and self.source.is_async:
                # so that the run reaches the pipeline that the block is for, which takes it back
                self._plan_and_apply(terraform, checkout, destroy=False)
            review = self._plan_and_apply(terraform, checkout, destroy=behavior is Behavior.DESTROY)
            done = behavior is not Behavior.DETECT
            said.append(block_review.in_words(review.counts, review.sentences, done=done))
            if backend.keeps_nothing and done:
                said.append(
                    "Nobody keeps the state of this block: its code has no backend, and meshStack's is not used."
                )
        summary = block_review.in_markdown(review.counts, review.sentences, done=done)
        if behavior is Behavior.DETECT:
            self.record.ended(run_domain.Status.WAITING)
            return Result(
                more={"summary": summary, "changesDetected": self.changes, "artifact": self._artifact(terraform)}
            )
        with self._step("output"):
            if behavior is Behavior.APPLY:
                self.outputs = outputs_of(terraform.outputs(), self.tools.hide)
            elif workspace:
                terraform.forget_workspace(workspace)
        self.record.ended(run_domain.Status.APPLIED)
        return Result(handed_over=self.source.is_async, more={"summary": summary})

    # --- the steps

    def _check_out(self) -> Checkout:
        return self.tools.sources.check_out(self.source, self.programs, self._private(), self.root / "code")

    def _private(self) -> Path:
        """A folder of the run's own beside the code: keys, the plan, what a script writes."""
        private = self.root / "private"
        private.mkdir(mode=0o700, exist_ok=True)
        return private

    def _extra(self, code: Mapping[str, str]) -> dict[str, str]:
        """Variables that the existing runner adds, where the code knows them: of others the engine would warn in every log. Those of the
        run itself would make a saved plan another one, and are left out there."""
        extra: dict[str, Callable[[], str]] = {"meshstack_building_block_id": lambda: self.run.block.uuid}
        if self.run.spec.behavior is not Behavior.DETECT and not self.claim.plan:
            extra["meshstack_building_block_run_id"] = lambda: self.run.id
            extra["meshstack_building_block_run_b64"] = lambda: base64.b64encode(self._handed_on()).decode()
        return {name: value() for name, value in extra.items() if any(name in text for text in code.values())}

    def _handed_on(self) -> bytes:
        """The run's JSON for a script or a pipeline: its inputs in clear, the definition's secrets taken out."""
        document = json.loads(json.dumps(self.document))
        document["spec"]["buildingBlockDefinition"]["spec"]["implementation"].pop("sshPrivateKey", None)
        return json.dumps(document).encode()

    def _write(self, prepared: inputs.Prepared, backend: Backend, directory: Path) -> None:
        prepared.write(directory)
        secret = {one.key for one in self.run.block.spec.inputs if one.is_sensitive}
        for name, content in prepared.files.items():
            if name in secret and len(content) <= _LARGEST_SECRET:
                hide_all(content.decode(errors="replace"), self.tools.hide)
        if backend.file:
            name = f"meshStack_httpbackend-{int(self.tools.now().timestamp())}.tf"
            (directory / name).write_text(backend.file, encoding="utf-8")

    def _environment(self, prepared: inputs.Prepared, backend: Backend, checkout: Checkout) -> dict[str, str]:
        own = {
            "PWD": str(checkout.directory),
            "TMPDIR": str(self.temporary),
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
            "CHECKPOINT_DISABLE": "1",
            "TF_PLUGIN_CACHE_DIR": str(self.cache),
            # a block without a lock file in its repository takes what is cached; what it took is in the plan's own lock file
            "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE": "1",
        }
        if self.tools.mirror is not None:
            file = self._private() / "cli.tfrc"
            file.write_text(filesystem_mirror(self.tools.mirror), encoding="utf-8")
            own["TF_CLI_CONFIG_FILE"] = str(file)
        return {
            **passed_on(self.tools.environment),
            **self.tools.surroundings,
            **prepared.environment,
            **self.tools.sources.git_environment(self.source, self._private()),
            **own,
            **(backend.environment or {}),
        }

    def _take_predecessors_plan(self, directory: Path) -> None:
        """Fetch the approved plan, and have the providers that it was made with."""
        self.tools.api.fetch_plan(self.claim, self._plan_file())
        try:
            with zipfile.ZipFile(self._plan_file()) as plan:
                if plan.getinfo(LOCK_FILE).file_size > _LARGEST_LOCK:
                    raise zipfile.BadZipFile
                lock = plan.read(LOCK_FILE)
        except KeyError:
            return
        except (zipfile.BadZipFile, OSError) as error:
            raise RemoteFailed(
                "The approved plan cannot be read",
                code="plan-unreadable",
                detail=f"What meshStack gave is no plan file: {type(error).__name__}.",
                hint="Plan the building block again.",
            ) from None
        (directory / LOCK_FILE).unlink(missing_ok=True)
        (directory / LOCK_FILE).write_bytes(lock)

    def _select_workspace(self, terraform: Commands, backend: Backend) -> str:
        if not backend.has_workspaces or backend.keeps_nothing:
            return ""
        wanted = backends.workspace_name(self.run)
        there = [name for name in terraform.workspaces() if name.endswith(f":{self.run.block.uuid}")]
        terraform.select_workspace(there[0] if there else wanted, new=not there)
        return there[0] if there else wanted

    def _pre_run(self, directory: Path, environment: Mapping[str, str]) -> str:
        """Run the definition's script; what it wrote for the user."""
        private = self._private()
        script, run, message = private / "pre-run.sh", private / "run.json", private / "user-message"
        for file, content in ((script, self.source.pre_run_script.encode()), (run, self._handed_on()), (message, b"")):
            file.touch(mode=0o600)
            file.write_bytes(content)
        ran = self.programs.run_(
            [bash(), "--noprofile", "--norc", "-e", "-o", "pipefail", str(script), self.run.spec.behavior.value],
            cwd=directory,
            env={**environment, "MESHSTACK_USER_MESSAGE": str(message)},
            limit=timedelta(minutes=self.tools.config.timeout_mins),
            what="run the pre-run script",
            stdin=run,
            as_group=True,
        )
        said = message.read_bytes()[: 64 * 1024].decode(errors="replace").strip() if message.is_file() else ""
        if ran.code != 0:
            raise EngineFailed(
                "The pre-run script failed",
                code="pre-run-script-failed",
                detail=said or f"It ended with {ran.code}.",
                hint="The step's log has what it wrote.",
            )
        return said

    def _plan_and_apply(self, terraform: Commands, checkout: Checkout, *, destroy: bool) -> BlockReview:
        """Plan (or take the approved plan), show, and apply that very file; a dry run ends with showing."""
        if self.claim.plan:
            self.changes = True
        else:
            self.changes = terraform.plan(self._plan_file(), destroy=destroy)
        review = self._review(terraform, checkout)
        self.record.reviewed(review)
        if self.run.spec.behavior is not Behavior.DETECT:
            if not self.approved:
                self.record.approved(review)
                self.approved = True
            if self.changes:
                try:
                    terraform.apply(self._plan_file())
                except RunnerError:
                    self._save_state(terraform)
                    raise
            self._plan_file().unlink()
        return review

    def _review(self, terraform: Commands, checkout: Checkout) -> BlockReview:
        plan: Plan = terraform.show(self._plan_file())
        sentences, counts = block_review.told(plan)
        lock = checkout.directory / LOCK_FILE
        review = BlockReview(
            run=self.record.run.id,
            block=self.run.block.uuid,
            name=self.run.block.spec.display_name,
            behavior=self.run.spec.behavior.value,
            source=without_password(self.source.repository_url),
            commit=checkout.commit,
            engine=terraform.engine.name,
            engine_version=terraform.engine.version,
            providers=providers(lock.read_text(encoding="utf-8")) if lock.exists() else {},
            plan_file=hashlib.sha256(self._plan_file().read_bytes()).hexdigest(),
            predecessor=bool(self.claim.plan),
            sentences=sentences,
            changes=plan.changes,
            drift=plan.drift,
            counts=counts,
        )
        # a sensitive input may go into a variable that its module does not call sensitive
        return BlockReview.model_validate(redacted(review.model_dump(mode="json"), self.record.journal.redact))

    def _save_state(self, terraform: Commands) -> None:
        """A state that the engine could not hand in lies in its directory, the only record of what it made."""
        file = terraform.directory / snapshot.ERRORED
        if not file.exists():
            return
        for _ in range(_PUSHES):
            if terraform.push(file):
                self.programs.on_lines(["The state that could not be saved at first was saved."])
                return
        self.programs.on_lines(
            self.tools.rescue.take_in(terraform.directory, block=self.run.block.uuid, run=self.run.id)
        )

    def _artifact(self, terraform: Commands) -> str:
        size = self._plan_file().stat().st_size
        if size > LARGEST_ARTIFACT:
            raise EngineFailed(
                "The plan is too large to be kept",
                code="plan-too-large",
                detail=f"It has {size // 1024 // 1024} MiB; meshStack takes {LARGEST_ARTIFACT // 1024 // 1024}.",
                hint="Make the building block smaller, or order it without a dry run.",
            )
        content = base64.b64encode(self._plan_file().read_bytes()).decode()
        self._plan_file().unlink()
        return content

    def _plan_file(self) -> Path:
        return self._private() / "plan.tfplan"

    # --- how steps are told

    @contextmanager
    def _step(self, id_: str) -> Iterator[list[str]]:
        """A step that is told while it goes on: what is put into the list becomes its message to the user."""
        shown = TRIGGER[0] if self.source.is_async else id_
        name = dict((*STEPS, OUTPUT, TRIGGER, ("execute_tf", EXECUTE[self.run.spec.behavior])))[shown]
        self.at = shown
        self.outputs = None
        said: list[str] = []
        self.reporter.step(shown, name, Status.IN_PROGRESS)
        with self.record.journal.step(id_) as note, self.measured(id_):
            yield said
            note("; ".join(said).split("\n")[0])
        user = "\n".join(text for text in said if text)
        last = id_ == steps_end(self.run)
        if not self.source.is_async or last:
            self.reporter.step(shown, name, Status.SUCCEEDED, user=user, outputs=self.outputs)


def steps_end(run: BlockRun) -> str:
    """Id of the last thing that is done, whatever steps are told."""
    return "execute_tf" if run.spec.behavior is Behavior.DETECT else OUTPUT[0]


def outputs_of(said: Mapping[str, Any], hide: Callable[[str], None]) -> dict[str, Any]:
    """The engine's outputs by meshStack's types. A sensitive one goes in clear with its mark, for meshStack keeps it; logs do not."""
    found: dict[str, Any] = {}
    for name, output in said.items():
        value = output.get("value")
        if value is None:
            continue
        if output.get("sensitive"):
            hide_all(value, hide)
        text = value if isinstance(value, bool | int | float | str) else json.dumps(value, indent=2, ensure_ascii=False)
        found[name] = {"value": text, "type": _type_of(value), "isSensitive": bool(output.get("sensitive"))}
    return found


def _type_of(value: Any) -> str:
    match value:
        case bool():
            return "BOOLEAN"
        case int() | float():
            return "INTEGER"
        case str():
            return "STRING"
        case _:
            return "CODE"
