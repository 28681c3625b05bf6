"""The kinds of runs that are no Terraform: by hand, GitHub Actions, GitLab CI/CD and Azure DevOps.

A kind tells its steps and returns what became of the run. What it cannot do it raises as an error of `runner.errors`, and the caller
makes a failed step of that. No message holds a secret, and no secret of a definition goes out with a run.
"""

from __future__ import annotations

from typing import Any

from runner.agent.contract import AzureDevOps, BlockRun, GithubWorkflow, GitlabCicd, Manual
from runner.agent.pipelines import azure_devops, github, gitlab, manual
from runner.agent.pipelines.interface import Outcome, Told, Way
from runner.errors import InputError

__all__ = ["STEPS", "Outcome", "Told", "Way", "execute"]

STEPS: dict[str, tuple[str, str]] = {
    "MANUAL": manual.STEP,
    "GITHUB_WORKFLOW": github.STEP,
    "GITLAB_CICD": gitlab.STEP,
    "AZURE_DEVOPS": azure_devops.STEP,
}
"""Id and name of the step that a kind begins with, by the type of the implementation: to register, and for what fails."""


def execute(run: BlockRun, document: dict[str, Any], told: Told, way: Way, *, api_token: str = "") -> Outcome:
    """Carry out a run of one of these kinds. `document` is its JSON as it came, with inputs decrypted; it is not changed.

    `api_token` is only for a run that has an input MESHSTACK_API_TOKEN without a value (see `github.inputs`).
    """
    match run.implementation:
        case Manual():
            return manual.execute(run, told)
        case GithubWorkflow() as wanted:
            return github.execute(run, document, wanted, told, way, api_token=api_token)
        case GitlabCicd() as wanted:
            return gitlab.execute(run, document, wanted, told, way)
        case AzureDevOps() as wanted:
            return azure_devops.execute(run, wanted, told, way)
        case other:
            raise InputError(
                "This kind of building block is no pipeline",
                code="pipeline-kind-unknown",
                detail=f"The run's implementation is {other.type}.",
                hint="Give the definition a runner for its kind.",
            )
