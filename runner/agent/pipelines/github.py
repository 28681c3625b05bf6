"""GitHub Actions: a dispatch of a workflow with the run, or the address of it, followed by its jobs unless it reports by itself.

Source of names: github meshcloud/building-block-runner, github-block-runner; docs.github.com, REST API for Actions.
"""

from __future__ import annotations

import base64
from typing import Any

from runner.agent.contract import Behavior, BlockRun, GithubWorkflow, Status
from runner.agent.pipelines.addresses import address
from runner.agent.pipelines.following import follow
from runner.agent.pipelines.github_app import sign_in
from runner.agent.pipelines.github_runs import Runs, turn
from runner.agent.pipelines.interface import Outcome, Told, Watch, Way
from runner.agent.pipelines.payload import compact, secrets_of, text_of, without_implementation
from runner.agent.pipelines.service import Json, Service
from runner.errors import Canceled, InputError

STEP = ("gh-trigger", "Trigger GitHub Action")
LIMIT = 65_535
"""Characters that GitHub takes as the inputs of a dispatch."""
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_TOKENS = ("MESHSTACK_API_TOKEN", "MESHSTACK_RUN_TOKEN")


def execute(
    run: BlockRun, document: dict[str, Any], wanted: GithubWorkflow, told: Told, way: Way, *, api_token: str = ""
) -> Outcome:
    """Starts the workflow; then hands the run over to it, or follows it to its end. A run that is told to stop cancels its workflow."""
    watch = Watch(way)
    workflow = _workflow(run, wanted)
    sent = inputs(run, document, wanted, api_token)
    anonymous = Service(
        name="GitHub",
        base=address(wanted.github_base_url, "GitHub"),
        way=way,
        headers=_HEADERS,
        secrets=secrets_of(run, wanted.app_pem, api_token, *sent.values()),
    )
    try:
        way.check()
        session = sign_in(anonymous, wanted)
        runs = Runs(session, workflow)
        with turn((anonymous.base, runs.path), way):
            runs.remember()
            started = session.service.trigger(
                f"{runs.path}/dispatches", json={"ref": wanted.branch, "inputs": sent}, hints=_hints(wanted, sent)
            )
            _tell_started(wanted, workflow, told)
            if wanted.is_async:
                return Outcome.HANDED_OVER
            number = _found(runs, started, told, watch)
    except Canceled:
        told.step(*STEP, Status.FAILED, user="Stopped before the GitHub workflow was started.")
        return Outcome.FAILED
    return Outcome.FAILED if number is None else _followed(runs, number, told, way, watch)


def inputs(run: BlockRun, document: dict[str, Any], wanted: GithubWorkflow, api_token: str = "") -> dict[str, str]:
    """The inputs of the dispatch: the whole run in base64, or where to get it with the tokens that the run has as inputs.

    `api_token` stands for an input MESHSTACK_API_TOKEN that came without a value; nothing else gets it. InputError where the inputs
    are more than GitHub takes.
    """
    if wanted.omit_run_object_input:
        sent = _address_and_tokens(run, api_token)
    else:
        content = compact(without_implementation(document)).encode()
        sent = {"buildingBlockRun": base64.b64encode(content).decode()}
    size = sum(len(value) for value in sent.values())
    if size > LIMIT:
        raise InputError(
            "The run is too large for a GitHub workflow's inputs",
            code="github-run-too-large",
            detail=f"As inputs it has {size:,} characters, and GitHub takes {LIMIT:,}. Nothing was started.",
            hint="The tokens among the run's inputs are too long."
            if wanted.omit_run_object_input
            else "Turn on omitRunObjectInput (pass only the API URL) in the building block definition, and let the workflow get the run "
            "from its input buildingBlockRunUrl.",
        )
    return sent


def _address_and_tokens(run: BlockRun, api_token: str) -> dict[str, str]:
    url = run.link("self")
    if not url:
        raise InputError(
            "The run has no address",
            code="github-run-without-address",
            detail="It came without a link to itself, which the workflow would get as buildingBlockRunUrl.",
            hint="Turn off omitRunObjectInput in the building block definition, or look at meshStack's own address.",
        )
    given = {one.key: text_of(one.value) for one in run.block.spec.inputs}
    if "MESHSTACK_API_TOKEN" in given and not given["MESHSTACK_API_TOKEN"]:
        given["MESHSTACK_API_TOKEN"] = api_token
    sent = {"buildingBlockRunUrl": url} | {key: given[key] for key in _TOKENS if given.get(key)}
    if "MESHSTACK_API_TOKEN" in sent and given.get("MESHSTACK_ENDPOINT"):
        sent["MESHSTACK_ENDPOINT"] = given["MESHSTACK_ENDPOINT"]
    return sent


def _workflow(run: BlockRun, wanted: GithubWorkflow) -> str:
    """The workflow for what the run is for; a dry run is the apply workflow's to tell apart."""
    if run.spec.behavior != Behavior.DESTROY:
        return wanted.apply_workflow
    if wanted.destroy_workflow:
        return wanted.destroy_workflow
    raise InputError(
        "The building block cannot be destroyed: it has no workflow for that",
        code="github-destroy-workflow-missing",
        detail=f"The definition names no destroyWorkflow; its applyWorkflow in {wanted.owner}/{wanted.repository} was not started.",
        hint="Name a workflow that destroys in a new version of the building block definition, upgrade the block to it and delete it "
        "again; or remove by hand what the block made, and purge the block.",
    )


def _hints(wanted: GithubWorkflow, sent: dict[str, str]) -> dict[int, str]:
    names = ", ".join(sent)
    instead = "" if wanted.omit_run_object_input else " Or turn on omitRunObjectInput, and declare buildingBlockRunUrl."
    return {
        403: "Give the GitHub App the permission Actions: read and write, and accept it for the installation.",
        404: "Check the workflow's file name in the building block definition: it has to be on the repository's default branch too.",
        422: f"Check that the branch has the workflow and that this declares, under on: workflow_dispatch: inputs: {names}.{instead}",
    }


def _tell_started(wanted: GithubWorkflow, workflow: str, told: Told) -> None:
    then = "It reports by itself." if wanted.is_async else "It is followed to its end."
    told.step(
        *STEP,
        Status.SUCCEEDED,
        user=f"Started the GitHub workflow {workflow}. {then}",
        system=f"Started {workflow} of {wanted.owner}/{wanted.repository} on {wanted.branch}. {then}",
    )


def _found(runs: Runs, started: Json, told: Told, watch: Watch) -> int | None:
    """The run that the dispatch made; None when it was told to stop meanwhile, which the run is too."""
    number = started.get("workflow_run_id")
    if isinstance(number, int):
        return number
    try:
        return runs.found(watch)
    except Canceled:
        number = runs.seen(patient=False)
        _tell_stopped(runs, number, told)
        return None


def _followed(runs: Runs, number: int, told: Told, way: Way, watch: Watch) -> Outcome:
    try:
        end = follow(lambda: runs.look(number), told, way, watch, what=f"Workflow run {number}, {runs.link(number)}")
    except Canceled:
        _tell_stopped(runs, number, told)
        return Outcome.FAILED
    told.step(*STEP, Status.SUCCEEDED if end.succeeded else Status.FAILED, user=end.user, system=end.system)
    return Outcome.SUCCEEDED if end.succeeded else Outcome.FAILED


def _tell_stopped(runs: Runs, number: int | None, told: Told) -> None:
    canceled = number is not None and runs.canceled(number)
    done = "was canceled" if canceled else "could not be canceled and may still be at work"
    what = (
        f"Workflow run {number}, {runs.link(number)}"
        if number is not None
        else "The workflow run, which was not found yet,"
    )
    told.step(*STEP, Status.FAILED, user=f"Stopped; the GitHub workflow {done}.", system=f"{what} {done}.")
