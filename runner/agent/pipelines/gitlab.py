"""GitLab CI/CD: one trigger with the run as a variable; the pipeline reports by itself.

Source of names: github meshcloud/building-block-runner, gitlab-block-runner; docs.gitlab.com, Pipeline triggers API.
"""

from __future__ import annotations

from typing import Any

from runner.agent.contract import BlockRun, GitlabCicd, Status
from runner.agent.pipelines.addresses import address, segment
from runner.agent.pipelines.interface import Outcome, Told, Way
from runner.agent.pipelines.payload import compact, secrets_of, text_of, without_secrets
from runner.agent.pipelines.service import Form, Service
from runner.errors import Canceled

STEP = ("gl-trigger", "Trigger GitLab CI/CD")
_LINKS = {
    "MESHSTACK_SELF_URL": "self",
    "MESHSTACK_REGISTER_SOURCE_URL": "registerSource",
    "MESHSTACK_UPDATE_SOURCE_URL": "updateSource",
    "MESHSTACK_BASE_URL": "meshstackBaseUrl",
}
_HINTS = {
    400: "The detail says what GitLab does not accept: often the branch, or inputs that the pipeline does not declare under spec:inputs.",
    401: "Make a pipeline trigger token in the GitLab project, and give it in a new version of the building block definition.",
    404: "GitLab says this for a wrong project id and for a wrong trigger token: check both in the building block definition.",
}


def execute(run: BlockRun, document: dict[str, Any], wanted: GitlabCicd, told: Told, way: Way) -> Outcome:
    """Starts the pipeline and hands the run over to it."""
    token = wanted.pipeline_trigger_token.strip()
    service = Service(
        name="GitLab",
        base=address(wanted.gitlab_base_url, "GitLab"),
        way=way,
        secrets=secrets_of(run, token),
        hints=_HINTS,
    )
    path = f"/api/v4/projects/{segment(wanted.project_id, 'project id')}/trigger/pipeline"
    try:
        started = service.trigger(path, form=form(run, document, wanted.ref_name, token))
    except Canceled:
        told.step(*STEP, Status.FAILED, user="Stopped before the GitLab pipeline was started.")
        return Outcome.FAILED
    told.step(
        *STEP,
        Status.SUCCEEDED,
        user="Started the GitLab pipeline. It reports by itself.",
        system=f"Started pipeline {started.get('id', '')} of project {wanted.project_id} on {wanted.ref_name}: "
        f"{started.get('web_url', 'without a link')}",
    )
    return Outcome.HANDED_OVER


def form(run: BlockRun, document: dict[str, Any], ref: str, token: str) -> Form:
    """The trigger's fields. Environment inputs are variables and the others inputs; no input takes the place of what the runner says."""
    own = {"MESHSTACK_BEHAVIOR": run.spec.behavior.value, "MESHSTACK_RUN": compact(without_secrets(document))}
    own |= {name: href for name, link in _LINKS.items() if (href := run.link(link))}
    inputs = run.block.spec.inputs
    variables = {one.key: text_of(one.value) for one in inputs if one.is_environment} | own
    fields = {"token": token, "ref": ref}
    fields |= {f"variables[{key}]": value for key, value in variables.items()}
    fields |= {f"inputs[{one.key}]": text_of(one.value) for one in inputs if not one.is_environment}
    return [(name, (None, value)) for name, value in fields.items()]
