"""GitLab CI/CD: what the trigger carries, that it is sent once, and what a failure says."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from runner.agent.contract import Status
from runner.agent.pipelines import Outcome
from runner.errors import InputError, RemoteFailed
from tests.agent.pipelines_server import (
    INPUT_SECRET,
    INPUTS,
    PAGE,
    RUN_TOKEN,
    TRIGGER_TOKEN,
    Agent,
    Reply,
    document_of,
    one_input,
    serving,
)

TRIGGER = "/trigger/pipeline$"


def gitlab(agent: Agent, *, inputs: tuple[dict[str, Any], ...] = INPUTS, behavior: str = "APPLY", **more: Any) -> Any:
    implementation = {
        "type": "GITLAB_CICD",
        "gitlabBaseUrl": agent.services.url,
        "projectId": "42",
        "refName": "main",
        "pipelineTriggerToken": TRIGGER_TOKEN,
    }
    return document_of(implementation | more, inputs=inputs, behavior=behavior)


def failure_of(agent: Agent, document: dict[str, Any]) -> RemoteFailed:
    with pytest.raises(RemoteFailed) as failure:
        agent.execute(document)
    text = f"{failure.value} {failure.value.hint} {agent.told.text()}"
    for secret in (TRIGGER_TOKEN, INPUT_SECRET, RUN_TOKEN):
        assert secret not in text
    return failure.value


def test_a_run_is_handed_over_to_the_pipeline(agent: Agent) -> None:
    assert agent.execute(gitlab(agent)) == Outcome.HANDED_OVER

    (step,) = agent.told.steps
    assert (step.id, step.name, step.status) == ("gl-trigger", "Trigger GitLab CI/CD", Status.SUCCEEDED)
    assert "https://gitlab.example/p/-/pipelines/31" in step.system
    assert [one.path for one in agent.services.requests] == ["/api/v4/projects/42/trigger/pipeline"]


def test_environment_inputs_are_variables_and_the_others_inputs(agent: Agent) -> None:
    document = gitlab(agent, behavior="DETECT")

    agent.execute(document)

    (got,) = agent.services.requests
    assert got.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    fields = dict(got.form)
    assert len(fields) == len(got.form)
    sent = json.loads(fields.pop("variables[MESHSTACK_RUN]"))
    this = document["_links"]["self"]["href"]
    assert fields == {
        "token": TRIGGER_TOKEN,
        "ref": "main",
        "variables[MESHSTACK_BEHAVIOR]": "DETECT",
        "variables[ARM_TENANT_ID]": "11111111-1111-4111-8111-111111111111",
        "variables[MESHSTACK_SELF_URL]": this,
        "variables[MESHSTACK_REGISTER_SOURCE_URL]": f"{this}/status/source",
        "variables[MESHSTACK_UPDATE_SOURCE_URL]": f"{this}/status/source/{{sourceId}}",
        "variables[MESHSTACK_BASE_URL]": "https://mesh.example",
        "inputs[region]": "westeurope",
        "inputs[replicas]": "3",
        "inputs[public]": "true",
        "inputs[zones]": '["1","2"]',
        "inputs[password]": INPUT_SECRET,
    }
    assert sent["spec"]["buildingBlock"] == document["spec"]["buildingBlock"]
    assert sent["spec"]["runToken"] == RUN_TOKEN


def test_the_run_goes_out_without_the_trigger_token_and_is_not_changed_itself(agent: Agent) -> None:
    document = gitlab(agent)
    before = copy.deepcopy(document)

    agent.execute(document)

    run = dict(agent.services.requests[0].form)["variables[MESHSTACK_RUN]"]
    assert TRIGGER_TOKEN not in run
    implementation = json.loads(run)["spec"]["buildingBlockDefinition"]["spec"]["implementation"]
    assert implementation["projectId"] == "42"
    assert "pipelineTriggerToken" not in implementation
    assert document == before


def test_an_input_cannot_take_the_place_of_what_the_runner_says(agent: Agent) -> None:
    inputs = (one_input("MESHSTACK_BEHAVIOR", "DESTROY", env=True), one_input("MESHSTACK_RUN", "{}", env=True))

    agent.execute(gitlab(agent, inputs=inputs))

    fields = agent.services.requests[0].form
    assert [value for name, value in fields if name == "variables[MESHSTACK_BEHAVIOR]"] == ["APPLY"]
    assert "{}" not in [value for _, value in fields]


def test_a_link_that_the_run_does_not_have_is_left_out(agent: Agent) -> None:
    document = gitlab(agent)
    del document["_links"]["meshstackBaseUrl"]

    agent.execute(document)

    assert "variables[MESHSTACK_BASE_URL]" not in dict(agent.services.requests[0].form)


def test_a_project_may_be_named_by_its_path(agent: Agent) -> None:
    agent.execute(gitlab(agent, projectId="platform/blocks", gitlabBaseUrl=agent.services.url + "/"))

    assert agent.services.requests[0].path == "/api/v4/projects/platform%2Fblocks/trigger/pipeline"


def test_a_huge_input_with_signs_of_all_kinds_arrives_as_it_is(agent: Agent) -> None:
    value = 'ü"\r\n--boundary\n' * 50_000

    assert agent.execute(gitlab(agent, inputs=(one_input("big", value, "CODE"),))) == Outcome.HANDED_OVER

    body = agent.services.requests[0].body
    assert value.encode() in body


def test_a_wrong_token_says_that_token_or_project_are_wrong(agent: Agent) -> None:
    error = failure_of(agent, gitlab(agent, pipelineTriggerToken="glptt-another-canary"))

    assert (error.code, error.status) == ("pipeline-not-found", 404)
    assert "127.0.0.1" in error.detail
    assert "404 Not Found" in error.detail
    assert "trigger token" in error.hint


def test_what_gitlab_says_is_quoted_without_secrets(agent: Agent) -> None:
    said = {"message": {"base": [f"Reference not found; {TRIGGER_TOKEN} with {INPUT_SECRET} and {'QUJD' * 40}"]}}
    agent.services.script("POST", TRIGGER, Reply(400, said))

    error = failure_of(agent, gitlab(agent))

    assert error.code == "pipeline-refused"
    assert "Reference not found" in error.detail
    assert "QUJDQUJD" not in error.detail


def test_an_endless_message_is_not_quoted(agent: Agent) -> None:
    agent.services.script("POST", TRIGGER, Reply(400, {"message": f"{INPUT_SECRET} " * 10_000}))

    assert failure_of(agent, gitlab(agent)).detail.endswith("answered 400.")


@pytest.mark.parametrize("reply", [Reply(drop=True), Reply(500, {"message": "oops"}), Reply(502, PAGE.content)])
def test_a_failure_that_leaves_it_open_whether_the_pipeline_runs_is_not_repeated(agent: Agent, reply: Reply) -> None:
    agent.services.script("POST", TRIGGER, reply)

    error = failure_of(agent, gitlab(agent))

    assert error.code == "pipeline-trigger-unclear"
    assert "may run nonetheless" in error.detail
    assert "before this run is started again" in error.hint
    assert len(agent.services.requests) == 1
    assert agent.clock.waits == []


def test_a_throttled_trigger_was_not_carried_out_and_is_sent_again_when_gitlab_allows(agent: Agent) -> None:
    agent.services.script("POST", TRIGGER, Reply(429, headers={"Retry-After": "17"}))

    assert agent.execute(gitlab(agent)) == Outcome.HANDED_OVER
    assert agent.clock.waits == [17]


def test_a_trigger_that_is_throttled_for_long_fails(agent: Agent) -> None:
    agent.services.script("POST", TRIGGER, Reply(429, headers={"Retry-After": "3600"}))

    assert failure_of(agent, gitlab(agent)).code == "pipeline-throttled"
    assert agent.clock.waits == []


def test_a_redirection_is_not_followed_for_the_token_would_go_along(agent: Agent) -> None:
    elsewhere = agent.services.url + "/elsewhere"
    agent.services.script("POST", TRIGGER, Reply(307, headers={"Location": elsewhere}))

    error = failure_of(agent, gitlab(agent))

    assert (error.code, error.status) == ("pipeline-redirected", 307)
    assert len(agent.services.requests) == 1


def test_a_page_instead_of_an_answer_is_told_and_not_quoted(agent: Agent) -> None:
    agent.services.script("POST", TRIGGER, PAGE)

    error = failure_of(agent, gitlab(agent))

    assert error.code == "pipeline-answer-unexpected"
    assert "html" not in error.detail.lower()


def test_a_service_that_cannot_be_reached_is_tried_three_times(agent: Agent) -> None:
    with serving() as gone:
        url = gone.url

    error = failure_of(agent, gitlab(agent, gitlabBaseUrl=url))

    assert error.code == "pipeline-unreachable"
    assert agent.clock.waits == [1, 2]


@pytest.mark.parametrize(
    "url",
    [
        "gitlab.example",
        "ftp://gitlab.example",
        "https://user:word@gitlab.example",
        "https://",
        "https://g/?a=b",
        "//[",
        "https://gitlab.example:port",
    ],
)
def test_an_address_that_is_none_is_refused_before_anything_is_sent(agent: Agent, url: str) -> None:
    with pytest.raises(InputError) as failure:
        agent.execute(gitlab(agent, gitlabBaseUrl=url))

    assert failure.value.code == "pipeline-address-wrong"
    assert "word" not in str(failure.value).replace("password", "")


@pytest.mark.parametrize("project", ["", "..", "."])
def test_a_project_that_would_address_something_else_is_refused(agent: Agent, project: str) -> None:
    with pytest.raises(InputError) as failure:
        agent.execute(gitlab(agent, projectId=project))

    assert failure.value.code == "pipeline-definition-wrong"
    assert agent.services.requests == []


def test_a_run_that_is_stopped_already_starts_nothing(agent: Agent) -> None:
    agent.stop.set()

    assert agent.execute(gitlab(agent)) == Outcome.FAILED
    assert agent.services.requests == []
    assert agent.told.of("gl-trigger") == [Status.FAILED]
