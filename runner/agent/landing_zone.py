"""A landing zone as a building block: what is ordered in meshStack becomes a Tenant document, and goes the whole way of any tenant.

The block's repository holds the documents of platform and landing zone, and no Terraform code; the order's inputs say which tenant it is.
Which repositories may do that is the operator's to say (`landingZones` in the configuration), for documents name secrets of the agent.
What is planned is decided by the landing zone's own rules: where they want a person, the run fails and says so, and the plan waits.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from runner.agent.contract import Behavior, BlockRun, Status, Terraform
from runner.agent.meshapi import Claim, MeshApi
from runner.agent.programs import Programs
from runner.agent.record import Record
from runner.agent.reporting import Reporter
from runner.agent.sources import Sources
from runner.agent.terraform_block import Result, outputs_of
from runner.domain import run as run_domain
from runner.domain.events import Event, Kind, StepStatus, steps_of
from runner.domain.review import Review
from runner.domain.run import Run
from runner.errors import Canceled, InputError, Refused, RemoteFailed

STEPS = (("sources", "Prepare Run and download Sources"), ("input", "Write the Tenant's Document"))
API_VERSION = "landing-zone-runner/v1"
_LOOK = 0.3  # seconds between looks at the tenant's run
_AT_WORK = frozenset({run_domain.Status.PENDING, run_domain.Status.PLANNING, run_domain.Status.APPLYING})

# input of the order -> field of the tenant's document
_FIELDS = {
    "workspace": "workspaceIdentifier",
    "workspace_name": "workspaceName",
    "project": "projectIdentifier",
    "project_name": "projectName",
    "project_number": "meshProjectId",
    "tenant_number": "tenantPlatformNumber",
    "tenant_id": "platformTenantId",
    "tags": "projectTags",
    "workspace_tags": "workspaceTags",
    "payment": "payment",
    "contact_mail": "contactMail",
    "owners": "owners",
    "users": "users",
    "existing_groups": "existingGroups",
    "building_blocks": "buildingBlocks",
}
_LANDING_ZONE = "landing_zone"
_NAME = "tenant_name"


class Walk(Protocol):
    """A tenant's way through plan, decision and apply, by this project's own durable engine."""

    def start(
        self, folder: Path, tenant: str, *, destroy: bool, plan_only: bool, by: str, reason: str, order: str
    ) -> Run:
        """Have the tenant of the documents in this folder planned, and applied where the zone's rules approve it by themselves."""
        ...

    def approve(self, run: str, *, digest: str, by: str, comment: str) -> None:
        """Approve a waiting run for a person who saw exactly this review, and have it applied. Refused where it is another one."""
        ...

    def look(self, run: str) -> Run:
        """The run as it is now, or the one that continues it."""
        ...

    def events(self, run: str, *, after: int) -> tuple[Event, ...]:
        """What happened in it since."""
        ...

    def review(self, run: str) -> Review | None:
        """What it would do, or did."""
        ...

    def cancel(self, run: str, *, by: str) -> None:
        """Ask it to stop."""
        ...

    def settle(self, order: str) -> None:
        """Bring runs to rest that an agent which is gone had begun for this order."""
        ...


@dataclass
class Ordering:
    """One order at work. `shelf` keeps the documents, for a plan that waits is decided on later."""

    run: BlockRun
    claim: Claim
    api: MeshApi
    sources: Sources
    walk: Walk
    reporter: Reporter
    record: Record
    programs: Programs
    root: Path
    shelf: Path
    wait: Callable[[float], object]
    stopped: Callable[[], bool]
    at: str = "sources"
    told: dict[str, list[str]] = field(default_factory=dict)

    def execute(self) -> Result:
        """Do it; what is raised is told as a failed step by the caller."""
        self._fetch()
        tenant = self._write()
        by = self.record.run.requested_by
        if self.claim.plan:
            run = self._approved_plan(by)
        else:
            run = self.walk.start(
                self.shelf,
                tenant,
                destroy=self.run.spec.behavior is Behavior.DESTROY,
                plan_only=self.run.spec.behavior is Behavior.DETECT,
                by=by,
                reason=f"meshStack run {self.run.id}",
                order=self.run.id,
            ).id
        ended = self._follow(run)
        return self._judged(ended)

    def _fetch(self) -> None:
        source: Any = self.run.implementation
        self._tell("sources", Status.IN_PROGRESS)
        private = self.root / "private"
        private.mkdir(mode=0o700, exist_ok=True)
        checkout = self.sources.check_out(source, self.programs, private, self.root / "code")
        shutil.rmtree(self.shelf, ignore_errors=True)
        shutil.copytree(checkout.directory, self.shelf, ignore=shutil.ignore_patterns(".git"))
        self._tell("sources", Status.SUCCEEDED)

    def _write(self) -> str:
        self.at = "input"
        self._tell("input", Status.IN_PROGRESS)
        document = tenant_document(self.run)
        name = str(document["metadata"]["name"])
        (self.shelf / "tenant.json.yaml").write_text(
            json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8"
        )
        self.reporter.step("input", STEPS[1][1], Status.SUCCEEDED, user=f"The tenant {name}.")
        return name

    def _tell(self, step: str, status: Status) -> None:
        self.reporter.step(step, dict(STEPS)[step], status)

    def _approved_plan(self, by: str) -> str:
        """The run whose plan was kept in meshStack as an artifact, approved by whoever approved it there."""
        file = self.root / "plan.json"
        self.api.fetch_plan(self.claim, file)
        try:
            found = json.loads(file.read_bytes())
            run, digest = str(found["run"]), str(found["digest"])
        except (ValueError, KeyError, TypeError):
            raise RemoteFailed(
                "The approved plan cannot be read",
                code="plan-unreadable",
                detail="What meshStack gave is no plan of a landing zone.",
                hint="Order it again.",
            ) from None
        self.walk.approve(run, digest=digest, by=by, comment=f"in meshStack, run {self.run.id}")
        return run

    # --- following

    def _follow(self, run_id: str) -> Run:
        """Tell the steps of the tenant's run, and of those that continue it, until it is at rest."""
        asked = False
        run, seen, events = self.walk.look(run_id), 0, list[Event]()
        current = run.id
        while True:
            if run.id != current:
                current, seen, events = run.id, 0, []
            fresh = self.walk.events(run.id, after=seen)
            if fresh:
                seen = fresh[-1].seq
                events += fresh
                self._tell_steps(run.id, events, fresh)
            if run.status not in _AT_WORK and run.status is not run_domain.Status.APPROVED:
                heir = self.walk.look(run.id)
                if heir.id == run.id and not self.walk.events(run.id, after=seen):
                    return heir
            if self.stopped() and not asked:
                asked = True
                self.walk.cancel(run.id, by="meshStack")
            self.wait(_LOOK)
            run = self.walk.look(run.id)

    def _tell_steps(self, run: str, events: list[Event], fresh: tuple[Event, ...]) -> None:
        changed = {str(event.data.get("name") or event.data.get("step") or "") for event in fresh}
        for event in fresh:
            if event.kind is Kind.LOG:
                self.told.setdefault(f"{run}/{event.data['step']}", []).append(str(event.data["text"]))
        for number, step in enumerate(steps_of(events), start=1):
            if step.name not in changed:
                continue
            status = {
                StepStatus.RUNNING: Status.IN_PROGRESS,
                StepStatus.SUCCEEDED: Status.SUCCEEDED,
                StepStatus.FAILED: Status.FAILED,
            }[step.status]
            id_ = f"lz-{run[-4:]}-{number}"
            self.at = id_
            lines = self.told.get(f"{run}/{step.name}", [])
            self.reporter.step(
                id_, step.name[0].upper() + step.name[1:], status, user=step.note, system="\n".join(lines)
            )

    def _judged(self, ended: Run) -> Result:
        review = self.walk.review(ended.id)
        summary = "\n".join(told(review)) if review is not None else ""
        match ended.status:
            case run_domain.Status.WAITING if self.run.spec.behavior is Behavior.DETECT and review is not None:
                self._result_step(summary, {})
                plan = json.dumps({"run": ended.id, "digest": review.digest}).encode()
                artifact = base64.b64encode(plan).decode()
                self.record.unchanged()
                return Result(more={"summary": summary, "changesDetected": True, "artifact": artifact})
            case run_domain.Status.WAITING:
                raise Refused(
                    "A person has to decide",
                    code="landing-zone-wants-a-person",
                    detail=f"The landing zone {ended.landing_zone} wants a person to approve this:\n{summary}",
                    hint=f"Where the runner is: lzr review {ended.id}, lzr approve {ended.id}, lzr apply {ended.id}; then order it again. "
                    "Or order a dry run in meshStack and approve that.",
                )
            case status if status in run_domain.ENDED_WELL:
                self._result_step(summary, self._outputs(ended))
                self.record.unchanged()
                if self.run.spec.behavior is Behavior.DESTROY:
                    shutil.rmtree(self.shelf, ignore_errors=True)
                more: dict[str, Any] = {"summary": summary}
                if self.run.spec.behavior is Behavior.DETECT:
                    more |= {"changesDetected": False}
                return Result(more=more)
            case run_domain.Status.CANCELED:
                raise Canceled
            case _:
                failure = ended.failure
                raise RemoteFailed(
                    failure.summary if failure else f"The tenant's run is {ended.status}",
                    code=failure.code if failure else "tenant-run-not-done",
                    detail=failure.detail if failure else f"Run {ended.id} of {ended.tenant}.",
                    hint=failure.hint if failure else f"lzr run {ended.id}",
                )

    def _result_step(self, summary: str, outputs: Mapping[str, Any]) -> None:
        self.at = "output"
        self.reporter.step("output", "Result", Status.SUCCEEDED, user=summary, outputs=outputs or None)

    def _outputs(self, run: Run) -> dict[str, Any]:
        found = {
            str(event.data["name"]): {"value": event.data["value"]}
            for event in self.walk.events(run.id, after=0)
            if event.kind is Kind.OUTPUT
        }
        return outputs_of(found, lambda value: None)


def tenant_document(run: BlockRun) -> dict[str, Any]:
    """The Tenant document of an order. InputError where an input is missing or is no JSON where it has to be."""
    spec = run.block.spec
    given: dict[str, Any] = {"workspace": spec.workspace_identifier, "project": spec.project_identifier}
    for one in spec.inputs:
        if one.key not in _FIELDS and one.key not in (_LANDING_ZONE, _NAME):
            raise _wrong(one.key, "a landing zone has no such input")
        given[one.key] = _json(one.key, one.value) if one.type in ("CODE", "LIST") else one.value
    zone = given.pop(_LANDING_ZONE, None)
    if not zone:
        raise _wrong(_LANDING_ZONE, "it is missing: it names the landing zone")
    name = given.pop(_NAME, None) or f"{given['workspace']}.{given['project']}"
    if isinstance(given.get("users"), list):
        given["users"] = [_person(one) for one in given["users"] if not isinstance(one, dict) or one.get("roles")]
    fields = {_FIELDS[key]: value for key, value in given.items() if value not in (None, "", [], {})}
    return {
        "apiVersion": API_VERSION,
        "kind": "Tenant",
        "metadata": {"name": name},
        "spec": {"landingZoneRef": {"name": zone}, **fields},
    }


def _person(given: Any) -> Any:
    """A person as meshStack lists them, without what it does not know of them."""
    return {key: value for key, value in given.items() if value not in (None, "")} if isinstance(given, dict) else given


def _json(key: str, value: Any) -> Any:
    if not isinstance(value, str) or not value.strip():
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise _wrong(key, "its value is no JSON") from None


def _wrong(key: str, why: str) -> InputError:
    return InputError(
        "An input of the landing zone is wrong",
        code="landing-zone-input-wrong",
        detail=f"The input {key}: {why}.",
        hint=f"Inputs are {_LANDING_ZONE}, {_NAME} and {', '.join(_FIELDS)}.",
    )


def told(review: Review) -> list[str]:
    """A review in words for the one who ordered it."""
    counts = review.counts
    lines = [f"{counts['add']} to add, {counts['change']} to change, {counts['destroy']} to destroy."]
    lines += [f"! {risk.text}" for risk in review.risks]
    lines += [f"{one.sign} {one.text}" for one in review.sentences]
    lines += [f"+ {one.person} becomes a member of {one.group_name}" for one in review.access.additions]
    lines += [f"- {one.label} leaves {one.group_name}" for one in review.access.removals]
    lines += [f"+ {one.email} is invited" for one in review.access.invitations]
    if review.function is not None and not review.function.as_approved:
        lines.append("~ The landing zone's function is called")
    return lines


def is_landing_zone(source: Terraform, allowed: tuple[str, ...]) -> bool:
    """Whether the operator lets this repository, or this folder of it (`…//folder`), be landing zones."""
    repository = _bare(source.repository_url)
    folder = source.repository_path.strip().strip("/")
    return any(_named(entry) in ((repository, ""), (repository, folder)) for entry in allowed)


def _named(entry: str) -> tuple[str, str]:
    """Repository and folder of an entry; the `//` of a scheme parts nothing."""
    scheme, there, rest = entry.partition("://")
    where, _, folder = (rest if there else entry).partition("//")
    return _bare(f"{scheme}://{where}" if there else where), folder.strip("/")


def _bare(url: str) -> str:
    return url.strip().rstrip("/").removesuffix(".git")
