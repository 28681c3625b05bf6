"""Azure DevOps: what a run of a pipeline gets, how it is followed and canceled, and what a failure says."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from runner.agent.contract import Status
from runner.agent.pipelines import Outcome
from runner.errors import InputError, RemoteFailed
from tests.agent.pipelines_server import (
    INPUT_SECRET,
    INPUTS,
    PAGE,
    PAT,
    RUN_TOKEN,
    Agent,
    Reply,
    document_of,
    one_input,
)

BASIC = base64.b64encode(f":{PAT}".encode()).decode()
RUNS = "/_apis/pipelines/12/runs$"
RUN = "/_apis/pipelines/12/runs/55$"
TRIGGER = "azure-devops-trigger"


def azure(
    agent: Agent,
    *,
    inputs: tuple[dict[str, Any], ...] = INPUTS,
    behavior: str = "APPLY",
    is_async: bool = False,
    **more: Any,
) -> Any:
    implementation = {
        "type": "AZURE_DEVOPS",
        "azureDevOpsBaseUrl": agent.services.url,
        "organization": "org",
        "project": "proj",
        "pipelineId": "12",
        "personalAccessToken": PAT,
        "async": is_async,
        "refName": None,
    }
    return document_of(implementation | more, inputs=inputs, behavior=behavior)


def stage(number: int, name: str, state: str, result: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": f"s{number}", "type": "Stage", "name": name, "state": state, "result": result, "order": number} | more


def failure_of(agent: Agent, document: dict[str, Any]) -> RemoteFailed:
    with pytest.raises(RemoteFailed) as failure:
        agent.execute(document)
    text = f"{failure.value} {failure.value.hint} {agent.told.text()}"
    for secret in (PAT, BASIC, INPUT_SECRET, RUN_TOKEN):
        assert secret not in text
    return failure.value


def test_the_pipeline_gets_the_inputs_as_text_and_what_the_run_is_for(agent: Agent) -> None:
    agent.execute(azure(agent, behavior="DESTROY", refName="refs/heads/main"))

    (got,) = agent.services.sent("POST", RUNS)
    assert got.headers["Authorization"] == f"Basic {BASIC}"
    assert got.query == {"api-version": "7.1"}
    assert got.json == {
        "templateParameters": {
            "region": "westeurope",
            "replicas": "3",
            "public": "true",
            "zones": '["1","2"]',
            "password": INPUT_SECRET,
            "MESHSTACK_BEHAVIOR": "DESTROY",
        },
        "resources": {"repositories": {"self": {"refName": "refs/heads/main"}}},
    }


def test_without_a_branch_the_pipeline_takes_its_own(agent: Agent) -> None:
    agent.execute(azure(agent))

    assert "resources" not in agent.services.sent("POST", RUNS)[0].json


def test_an_input_cannot_change_what_the_run_is_for(agent: Agent) -> None:
    agent.execute(azure(agent, inputs=(one_input("MESHSTACK_BEHAVIOR", "DESTROY"),)))

    assert agent.services.sent("POST", RUNS)[0].json == {"templateParameters": {"MESHSTACK_BEHAVIOR": "APPLY"}}


def test_environment_inputs_are_not_passed_and_the_step_says_which(agent: Agent) -> None:
    agent.execute(azure(agent))

    step = agent.told.steps[0]
    assert (step.id, step.name, step.status) == (TRIGGER, "Trigger Azure DevOps Pipeline", Status.SUCCEEDED)
    assert "were not passed: ARM_TENANT_ID." in step.system
    assert "https://dev.example/build/55" in step.system


def test_nothing_is_said_of_environment_inputs_where_there_are_none(agent: Agent) -> None:
    agent.execute(azure(agent, inputs=()))

    assert "not passed" not in agent.told.text()


def test_an_asynchronous_pipeline_is_handed_over(agent: Agent) -> None:
    assert agent.execute(azure(agent, is_async=True)) == Outcome.HANDED_OVER

    assert len(agent.services.requests) == 1
    assert agent.told.of(TRIGGER) == [Status.SUCCEEDED]


def test_a_pipeline_is_followed_by_its_stages_to_its_end(agent: Agent) -> None:
    agent.services.progress = [("inProgress", None), ("inProgress", None), ("completed", "succeeded")]
    build = stage(1, "Build", "inProgress")
    deploy = stage(2, "Deploy", "pending")
    job = {"id": "j1", "type": "Job", "name": "x", "state": "inProgress", "parentId": "s1", "order": 1}
    agent.services.parts = [deploy, job, build]

    def go_on() -> None:
        if len(agent.clock.waits) == 2:
            build.update(state="completed", result="succeededWithIssues")
            deploy.update(state="completed", result="skipped")

    agent.clock.then = go_on

    assert agent.execute(azure(agent)) == Outcome.SUCCEEDED

    assert agent.told.of("ado-stage-s1") == [Status.IN_PROGRESS, Status.SUCCEEDED]
    assert agent.told.of("ado-stage-s2") == [Status.IN_PROGRESS, Status.SUCCEEDED]
    assert agent.told.of("ado-stage-j1") == []
    assert agent.told.of(TRIGGER) == [Status.SUCCEEDED, Status.SUCCEEDED]
    names = list(dict.fromkeys(step.name for step in agent.told.steps))
    assert names == ["Trigger Azure DevOps Pipeline", "Stage: Build", "Stage: Deploy"]
    assert agent.clock.waits == [10, 10]


@pytest.mark.parametrize("result", ["failed", "canceled", "unknown", None])
def test_a_pipeline_that_does_not_succeed_fails_the_run(agent: Agent, result: str | None) -> None:
    agent.services.progress = [("completed", result)]
    agent.services.parts = [stage(1, "Build", "completed", "failed")]

    assert agent.execute(azure(agent)) == Outcome.FAILED

    assert agent.told.of("ado-stage-s1") == [Status.FAILED]
    assert agent.told.of(TRIGGER) == [Status.SUCCEEDED, Status.FAILED]
    assert "https://dev.example/build/55" in agent.told.steps[-1].system


def test_a_timeline_that_is_not_there_does_not_matter(agent: Agent) -> None:
    agent.services.progress = [("completed", "succeeded")]
    agent.services.script("GET", "/timeline$", Reply(404, {"message": "no timeline"}))

    assert agent.execute(azure(agent)) == Outcome.SUCCEEDED


@pytest.mark.parametrize("records", [None, "x", [None, 1, {"type": "Stage"}], {}])
def test_a_timeline_that_makes_no_sense_does_not_matter(agent: Agent, records: Any) -> None:
    agent.services.progress = [("completed", "succeeded")]
    agent.services.script("GET", "/timeline$", Reply(200, {"records": records}))

    assert agent.execute(azure(agent)) == Outcome.SUCCEEDED


def test_a_look_that_fails_is_made_up_for_by_the_next(agent: Agent) -> None:
    agent.services.progress = [("completed", "succeeded")]
    agent.services.script("GET", RUN, *[Reply(503)] * 4, Reply(drop=True))

    assert agent.execute(azure(agent)) == Outcome.SUCCEEDED
    assert agent.clock.waits == [1, 2, 10, 1, 2]
    assert len(agent.services.sent("POST", RUNS)) == 1


def test_a_pipeline_that_takes_too_long_is_told_and_left_alone(agent: Agent) -> None:
    agent.services.progress = [("inProgress", None)]

    error = failure_of(agent, azure(agent))

    assert error.code == "pipeline-timeout"
    assert "30 minutes" in error.detail
    assert "https://dev.example/build/55" in error.detail
    assert sum(agent.clock.waits) == 1800
    assert agent.services.sent("PATCH", "") == []


def test_patience_ends_also_when_the_service_is_gone_for_good(agent: Agent) -> None:
    agent.services.script("GET", RUN, *[Reply(500)] * 1000)

    error = failure_of(agent, azure(agent))

    assert error.code == "pipeline-timeout"
    assert "answered 500" in error.detail


def test_an_abort_cancels_the_pipeline_and_ends_at_once(agent: Agent) -> None:
    agent.services.progress = [("inProgress", None)]
    agent.clock.then = agent.stop.set

    assert agent.execute(azure(agent)) == Outcome.FAILED

    (cancel,) = agent.services.sent("PATCH", "/_apis/build/builds/55$")
    assert cancel.json == {"status": "cancelling"}
    assert cancel.query == {"api-version": "7.1"}
    assert agent.services.requests[-1] is cancel
    assert agent.clock.waits == [10]
    assert agent.told.steps[-1].status == Status.FAILED
    assert "was canceled" in agent.told.steps[-1].user


@pytest.mark.parametrize("reply", [Reply(403, {"message": "no"}), Reply(drop=True), Reply(500)])
def test_a_pipeline_that_cannot_be_canceled_is_told(agent: Agent, reply: Reply) -> None:
    agent.services.progress = [("inProgress", None)]
    agent.services.script("PATCH", "", reply)
    agent.clock.then = agent.stop.set

    assert agent.execute(azure(agent)) == Outcome.FAILED
    assert "could not be canceled" in agent.told.steps[-1].user
    assert len(agent.services.sent("PATCH", "")) == 1


@pytest.mark.parametrize(
    "reply",
    [Reply(401), Reply(203, PAGE.content), Reply(302, headers={"Location": "https://login.example/_signin"})],
)
def test_a_token_that_is_not_accepted_says_who_must_make_one(agent: Agent, reply: Reply) -> None:
    agent.services.script("POST", RUNS, reply)

    error = failure_of(agent, azure(agent))

    assert error.code == "pipeline-unauthorized"
    assert error.status == reply.status
    assert "Build (read & execute)" in error.hint
    assert len(agent.services.requests) == 1


def test_the_services_own_refusal_of_a_wrong_token_is_recognized(agent: Agent) -> None:
    assert failure_of(agent, azure(agent, personalAccessToken="pat-another-canary")).code == "pipeline-unauthorized"


def test_a_token_with_a_line_break_at_its_end_is_taken(agent: Agent) -> None:
    assert agent.execute(azure(agent, personalAccessToken=f"{PAT}\n", is_async=True)) == Outcome.HANDED_OVER


@pytest.mark.parametrize("reply", [Reply(drop=True), Reply(500, {"message": f"{PAT} {INPUT_SECRET} {BASIC}"})])
def test_a_failure_that_leaves_it_open_whether_the_pipeline_runs_is_not_repeated(agent: Agent, reply: Reply) -> None:
    agent.services.script("POST", RUNS, reply)

    assert failure_of(agent, azure(agent)).code == "pipeline-trigger-unclear"
    assert len(agent.services.requests) == 1


def test_an_answer_without_a_run_is_told(agent: Agent) -> None:
    agent.services.script("POST", RUNS, Reply(200, {"count": 0}))

    assert failure_of(agent, azure(agent)).code == "pipeline-answer-unexpected"


def test_a_refused_parameter_is_quoted_without_its_value(agent: Agent) -> None:
    said = f"Unexpected parameter 'password' with value '{INPUT_SECRET}'"
    agent.services.script("POST", RUNS, Reply(400, {"message": said}))

    error = failure_of(agent, azure(agent))

    assert error.code == "pipeline-refused"
    assert "Unexpected parameter 'password'" in error.detail


def test_names_are_encoded_so_that_they_address_nothing_else(agent: Agent) -> None:
    with pytest.raises(RemoteFailed):
        agent.execute(azure(agent, organization="tfs/Default Collection", project="a/../b?c#d"))

    assert agent.services.requests[0].path == "/tfs/Default%20Collection/a%2F..%2Fb%3Fc%23d/_apis/pipelines/12/runs"


def test_an_organization_of_dots_is_refused(agent: Agent) -> None:
    with pytest.raises(InputError) as failure:
        agent.execute(azure(agent, organization="org/.."))

    assert failure.value.code == "pipeline-definition-wrong"


def test_a_huge_answer_is_not_read_to_its_end(agent: Agent) -> None:
    agent.services.script("POST", RUNS, Reply(200, b" " * 20_000_000 + b"{}"))

    assert failure_of(agent, azure(agent)).code == "pipeline-answer-unexpected"


def test_not_more_steps_are_told_than_meshstack_takes(agent: Agent) -> None:
    agent.services.progress = [("completed", "succeeded")]
    agent.services.parts = [stage(number, f"S{number}", "completed", "succeeded") for number in range(80)]

    agent.execute(azure(agent))

    assert len({step.id for step in agent.told.steps}) == 50


def test_a_run_that_is_stopped_already_starts_nothing(agent: Agent) -> None:
    agent.stop.set()

    assert agent.execute(azure(agent)) == Outcome.FAILED
    assert agent.services.requests == []
