"""Azure DevOps: a run of a pipeline with inputs as template parameters, followed by its stages unless it reports by itself.

Source of names: github meshcloud/building-block-runner, azure-devops-block-runner; learn.microsoft.com, Azure DevOps REST 7.1
(Pipelines - Run Pipeline, Runs - Get; Build - Timeline - Get, Builds - Update Build).
"""

from __future__ import annotations

import base64

from runner.agent.contract import AzureDevOps, BlockRun, Status
from runner.agent.pipelines.addresses import address, segment
from runner.agent.pipelines.following import Look, Part, follow
from runner.agent.pipelines.interface import Outcome, Told, Watch, Way
from runner.agent.pipelines.payload import secrets_of, text_of
from runner.agent.pipelines.service import Json, Service
from runner.errors import Canceled, RemoteFailed

STEP = ("azure-devops-trigger", "Trigger Azure DevOps Pipeline")
_VERSION = {"api-version": "7.1"}
_TOKEN = "Make a personal access token with Build (read & execute), and give it in a new version of the building block definition."  # noqa: S105
_HINTS = {
    400: "The detail says what Azure DevOps does not accept: often the branch, or a parameter that the pipeline does not declare.",
    401: f"The token is not valid, or no longer. {_TOKEN}",
    403: f"The token may not run this pipeline. {_TOKEN}",
    404: "Check organization, project and pipeline id in the building block definition; or the token may not see them.",
}
_SIGN_IN = frozenset({203, 302})  # a token that is not valid is sent to the sign-in page instead of refused


def execute(run: BlockRun, wanted: AzureDevOps, told: Told, way: Way) -> Outcome:
    """Starts the pipeline; then hands the run over to it, or follows it to its end. A run that is told to stop cancels its pipeline."""
    watch = Watch(way)
    service = _service(run, wanted, way)
    path = f"/_apis/pipelines/{segment(wanted.pipeline_id, 'pipeline id')}/runs"
    try:
        started = service.trigger(path, _VERSION, json=body(run, wanted))
    except Canceled:
        told.step(*STEP, Status.FAILED, user="Stopped before the Azure DevOps pipeline was started.")
        return Outcome.FAILED
    number = started.get("id")
    if not isinstance(number, int):
        raise service.unexpected(
            f"{service.base}{path} answered without the id of a run. The pipeline may run nonetheless."
        )
    what = f"Pipeline run {number}, {_link(started)}"
    then = "It reports by itself." if wanted.is_async else "It is followed to its end."
    told.step(
        *STEP,
        Status.SUCCEEDED,
        user=f"Started the Azure DevOps pipeline. {then}",
        system=f"{what} was started. {_not_passed(run)}".strip(),
    )
    if wanted.is_async:
        return Outcome.HANDED_OVER
    try:
        end = follow(lambda: _look(service, f"{path}/{number}", number), told, way, watch, what=what)
    except Canceled:
        canceled = service.managed("PATCH", f"/_apis/build/builds/{number}", _VERSION, {"status": "cancelling"})
        done = "was canceled" if canceled else "could not be canceled and may still be at work"
        told.step(*STEP, Status.FAILED, user=f"Stopped; the Azure DevOps pipeline {done}.", system=f"{what} {done}.")
        return Outcome.FAILED
    told.step(*STEP, Status.SUCCEEDED if end.succeeded else Status.FAILED, user=end.user, system=end.system)
    return Outcome.SUCCEEDED if end.succeeded else Outcome.FAILED


def body(run: BlockRun, wanted: AzureDevOps) -> Json:
    """What is sent to start the pipeline; the behavior is the runner's to say, whatever an input is called."""
    parameters = {one.key: text_of(one.value) for one in run.block.spec.inputs if not one.is_environment}
    sent: Json = {"templateParameters": parameters | {"MESHSTACK_BEHAVIOR": run.spec.behavior.value}}
    if wanted.ref_name:
        sent["resources"] = {"repositories": {"self": {"refName": wanted.ref_name}}}
    return sent


def _service(run: BlockRun, wanted: AzureDevOps, way: Way) -> Service:
    token = wanted.personal_access_token.strip()
    basic = base64.b64encode(f":{token}".encode()).decode()
    organization = "/".join(segment(part, "organization") for part in wanted.organization.split("/"))
    base = address(wanted.azure_dev_ops_base_url, "Azure DevOps")
    return Service(
        name="Azure DevOps",
        base=f"{base}/{organization}/{segment(wanted.project, 'project')}",
        way=way,
        headers={"Authorization": f"Basic {basic}"},
        secrets=secrets_of(run, token, basic),
        hints=_HINTS,
        signed_out=_SIGN_IN,
    )


def _not_passed(run: BlockRun) -> str:
    names = [one.key for one in run.block.spec.inputs if one.is_environment]
    if not names:
        return ""
    return (
        f"Azure DevOps takes no environment variables for a run, so these inputs were not passed: {', '.join(names)}."
    )


def _link(found: Json) -> str:
    links = found.get("_links")
    web = links.get("web") if isinstance(links, dict) else None
    return str((web.get("href") if isinstance(web, dict) else None) or found.get("url") or "without a link")


def _look(service: Service, path: str, number: int) -> Look:
    found = service.ask(path, _VERSION)
    state, result = found.get("state"), found.get("result")
    said = {"succeeded": "succeeded", "failed": "failed", "canceled": "was canceled"}.get(
        str(result), f"ended: {result}"
    )
    return Look(
        parts=_stages(service, number),
        succeeded=result == "succeeded" if state == "completed" else None,
        user=f"The Azure DevOps pipeline {said}.",
        system=f"Pipeline run {number} is {state}, result {result}: {_link(found)}",
    )


def _stages(service: Service, number: int) -> tuple[Part, ...]:
    """The stages so far; none where the timeline is not there yet. They are for showing: the run's own state decides."""
    try:
        records = service.ask(f"/_apis/build/builds/{number}/timeline", _VERSION).get("records")
    except RemoteFailed:
        return ()
    stages = [one for one in records or () if isinstance(one, dict) and one.get("type") == "Stage"]
    stages = [one for one in stages if one.get("id") and not one.get("parentId")]
    return tuple(_stage(one) for one in sorted(stages, key=lambda one: one.get("order") or 0))


def _stage(record: Json) -> Part:
    name, state, result = str(record.get("name") or "unnamed"), record.get("state"), record.get("result")
    status, said = Status.IN_PROGRESS, {"pending": "waits", "inProgress": "is at work"}.get(str(state), str(state))
    if state == "completed":
        good = result in ("succeeded", "succeededWithIssues", "skipped")
        status = Status.SUCCEEDED if good else Status.FAILED
        said = {
            "skipped": "was skipped",
            "canceled": "was canceled",
            "succeededWithIssues": "succeeded with issues",
        }.get(str(result), str(result))
    times = [
        f"{word} {record[key]}" for key, word in (("startTime", "began"), ("finishTime", "ended")) if record.get(key)
    ]
    return Part(
        id=f"ado-stage-{record['id']}",
        name=f"Stage: {name}",
        status=status,
        user=f"{name} {said}.",
        system=", ".join([f"State {state}, result {result}", *times]),
    )
