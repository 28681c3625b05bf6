"""Runs that people carry out by hand, and kinds that are no pipeline."""

from __future__ import annotations

import pytest

from runner.agent.contract import Status
from runner.agent.pipelines import STEPS, Outcome
from runner.errors import InputError
from tests.agent.pipelines_server import Agent, document_of, one_input


def test_a_manual_run_succeeds_at_once_and_asks_nobody(agent: Agent) -> None:
    assert agent.execute(document_of({"type": "MANUAL"})) == Outcome.SUCCEEDED

    (step,) = agent.told.steps
    assert (step.id, step.name, step.status) == ("manual", "Manual Block Run", Status.SUCCEEDED)
    assert agent.services.requests == []


@pytest.mark.parametrize(
    ("kind", "value", "output"),
    [
        ("STRING", "a", "STRING"),
        ("INTEGER", 3, "INTEGER"),
        ("BOOLEAN", False, "BOOLEAN"),
        ("CODE", '{"a": 1}', "CODE"),
        ("FILE", "data:text/plain;base64,YQ==", "STRING"),
        ("LIST", '["a"]', "CODE"),
        ("MULTI_SELECT", ["a", "b"], "CODE"),
        ("SINGLE_SELECT", "a", "STRING"),
    ],
)
def test_an_input_of_a_manual_run_is_an_output_of_the_type_that_outputs_have(
    agent: Agent, kind: str, value: object, output: str
) -> None:
    agent.execute(document_of({"type": "MANUAL"}, inputs=(one_input("it", value, kind),)))

    assert agent.told.steps[0].outputs == {"it": {"value": value, "type": output, "isSensitive": False}}


def test_a_sensitive_input_of_a_manual_run_is_a_sensitive_output(agent: Agent) -> None:
    agent.execute(document_of({"type": "MANUAL"}, inputs=(one_input("it", "hidden", "FILE", secret=True),)))

    assert agent.told.steps[0].outputs == {"it": {"value": "hidden", "type": "STRING", "isSensitive": True}}


@pytest.mark.parametrize(
    "implementation", [{"type": "SOMETHING_NEW"}, {"type": "TERRAFORM", "repositoryUrl": "https://git.example/x"}]
)
def test_what_is_no_pipeline_is_refused_by_its_name(agent: Agent, implementation: dict[str, str]) -> None:
    with pytest.raises(InputError) as failure:
        agent.execute(document_of(implementation))

    assert failure.value.code == "pipeline-kind-unknown"
    assert implementation["type"] in failure.value.detail


def test_every_kind_begins_with_the_step_that_meshstack_knows() -> None:
    assert STEPS == {
        "MANUAL": ("manual", "Manual Block Run"),
        "GITHUB_WORKFLOW": ("gh-trigger", "Trigger GitHub Action"),
        "GITLAB_CICD": ("gl-trigger", "Trigger GitLab CI/CD"),
        "AZURE_DEVOPS": ("azure-devops-trigger", "Trigger Azure DevOps Pipeline"),
    }
