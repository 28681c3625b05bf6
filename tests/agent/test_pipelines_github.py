"""GitHub Actions: what a dispatch carries, how its run is found, followed and canceled, and what a failure says."""

from __future__ import annotations

import base64
import json
import threading
from datetime import timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat

from runner.agent.contract import Status
from runner.agent.pipelines import Outcome
from runner.agent.pipelines.github_runs import turn
from runner.errors import InputError, RemoteFailed
from tests.agent.pipelines_server import (
    ACCESS_TOKEN,
    INPUT_SECRET,
    INPUTS,
    NOW,
    PAGE,
    RUN_TOKEN,
    Agent,
    Clock,
    Received,
    Reply,
    app_pem,
    document_of,
    one_input,
)

DISPATCH = "/dispatches$"
LIST = "/workflows/[^/]+/runs$"
TRIGGER = "gh-trigger"
API_TOKEN = "api-token-canary-d00d"


def github(
    agent: Agent,
    *,
    inputs: tuple[dict[str, Any], ...] = INPUTS,
    behavior: str = "APPLY",
    is_async: bool = False,
    **more: Any,
) -> Any:
    implementation = {
        "type": "GITHUB_WORKFLOW",
        "githubBaseUrl": agent.services.url,
        "owner": "platform",
        "appId": "4711",
        "appPem": app_pem(),
        "repository": "blocks",
        "branch": "main",
        "applyWorkflow": "apply.yml",
        "destroyWorkflow": "destroy.yml",
        "async": is_async,
        "omitRunObjectInput": False,
    }
    return document_of(implementation | more, inputs=inputs, behavior=behavior)


def asynchronous(agent: Agent, **more: Any) -> Any:
    return github(agent, is_async=True, **more)


def dispatched(agent: Agent) -> dict[str, Any]:
    (got,) = agent.services.sent("POST", DISPATCH)
    return dict(got.json)


def sent_run(agent: Agent) -> dict[str, Any]:
    return dict(json.loads(base64.b64decode(dispatched(agent)["inputs"]["buildingBlockRun"])))


def job(number: int, name: str, status: str, conclusion: str | None = None) -> dict[str, Any]:
    url = f"https://github.example/platform/blocks/actions/runs/900/job/{number}"
    return {"id": number, "name": name, "status": status, "conclusion": conclusion, "html_url": url}


def claims_of(got: Received) -> tuple[dict[str, Any], dict[str, Any]]:
    header, claims, _ = got.headers["Authorization"].removeprefix("Bearer ").split(".")
    first, second = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in (header, claims))
    return first, second


def failure_of(agent: Agent, document: dict[str, Any]) -> RemoteFailed:
    with pytest.raises(RemoteFailed) as failure:
        agent.execute(document, api_token=API_TOKEN)
    text = f"{failure.value} {failure.value.hint} {agent.told.text()}"
    for secret in (ACCESS_TOKEN, INPUT_SECRET, RUN_TOKEN, API_TOKEN, "PRIVATE KEY", *app_pem().splitlines()[1:-1]):
        assert secret not in text
    return failure.value


class TestSigningIn:
    @pytest.mark.parametrize("form", [PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8])
    @pytest.mark.parametrize("joined", ["\n", " ", "", "\\n"])
    def test_the_apps_key_is_taken_in_both_forms_and_on_one_line(
        self, agent: Agent, form: PrivateFormat, joined: str
    ) -> None:
        pem = joined.join(app_pem(form).strip().split("\n"))

        assert agent.execute(asynchronous(agent, appPem=pem)) == Outcome.HANDED_OVER

    def test_the_apps_token_is_for_five_minutes_and_begins_a_little_before(self, agent: Agent) -> None:
        agent.execute(asynchronous(agent, appId=4711))

        for got in agent.services.requests[:2]:
            header, claims = claims_of(got)
            assert header == {"alg": "RS256", "typ": "JWT"}
            assert claims == {"iat": int(NOW.timestamp()) - 10, "exp": int(NOW.timestamp()) + 300, "iss": "4711"}

    def test_the_workflow_is_dispatched_with_the_installations_token(self, agent: Agent) -> None:
        agent.execute(asynchronous(agent))

        assert [f"{got.method} {got.path}" for got in agent.services.requests] == [
            "GET /repos/platform/blocks/installation",
            "POST /app/installations/77/access_tokens",
            "GET /repos/platform/blocks/actions/workflows/apply.yml/runs",
            "POST /repos/platform/blocks/actions/workflows/apply.yml/dispatches",
        ]
        for got in agent.services.requests[2:]:
            assert got.headers["Authorization"] == f"Bearer {ACCESS_TOKEN}"
            assert got.headers["Accept"] == "application/vnd.github+json"
            assert got.headers["X-GitHub-Api-Version"] == "2022-11-28"

    @pytest.mark.parametrize(
        "pem", ["", "no key", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----"]
    )
    def test_a_key_that_is_none_is_told_without_it(self, agent: Agent, pem: str) -> None:
        with pytest.raises(InputError) as failure:
            agent.execute(github(agent, appPem=pem))

        assert failure.value.code == "github-key-unusable"
        assert "AAAA" not in str(failure.value)
        assert agent.services.requests == []

    def test_an_app_that_is_not_installed_says_who_must_install_it(self, agent: Agent) -> None:
        agent.services.script("GET", "/installation$", Reply(404, {"message": "Not Found"}))

        error = failure_of(agent, github(agent))

        assert (error.code, error.status) == ("pipeline-not-found", 404)
        assert "Install the GitHub App" in error.hint

    def test_an_app_that_is_refused_says_to_check_key_and_clock(self, agent: Agent) -> None:
        agent.services.script("GET", "/installation$", Reply(401, {"message": "'Expiration time' claim is too far"}))

        error = failure_of(agent, github(agent))

        assert error.code == "pipeline-unauthorized"
        assert "clock" in error.hint

    def test_an_app_that_may_not_write_actions_is_told_before_the_dispatch(self, agent: Agent) -> None:
        agent.services.permissions = {"actions": "read"}

        error = failure_of(agent, github(agent))

        assert error.code == "pipeline-forbidden"
        assert agent.services.sent("POST", DISPATCH) == []

    @pytest.mark.parametrize("reply", [Reply(201, {}), Reply(201, {"token": "ä"}), Reply(201, {"token": "a\nb"}), PAGE])
    def test_an_access_token_that_is_none_is_told(self, agent: Agent, reply: Reply) -> None:
        agent.services.script("POST", "/access_tokens$", reply)

        assert failure_of(agent, github(agent)).code == "pipeline-answer-unexpected"

    def test_signing_in_is_tried_again_when_github_is_busy(self, agent: Agent) -> None:
        agent.services.script("GET", "/installation$", Reply(503), Reply(drop=True))
        agent.services.script("POST", "/access_tokens$", Reply(502))

        assert agent.execute(asynchronous(agent)) == Outcome.HANDED_OVER
        assert agent.clock.waits == [1, 2, 1]

    def test_three_failures_are_enough(self, agent: Agent) -> None:
        agent.services.script("GET", "/installation$", *[Reply(500)] * 9)

        assert failure_of(agent, github(agent)).code == "pipeline-unavailable"
        assert len(agent.services.requests) == 3

    def test_a_redirection_is_not_followed(self, agent: Agent) -> None:
        agent.services.script("GET", "/installation$", Reply(301, headers={"Location": agent.services.url + "/x"}))

        assert failure_of(agent, github(agent)).code == "pipeline-redirected"
        assert len(agent.services.requests) == 1


class TestInputs:
    def test_the_workflow_gets_the_run_in_base64_without_the_implementation(self, agent: Agent) -> None:
        document = asynchronous(agent)

        agent.execute(document)

        body = dispatched(agent)
        assert body["ref"] == "main"
        assert list(body["inputs"]) == ["buildingBlockRun"]
        sent = sent_run(agent)
        assert "implementation" not in sent["spec"]["buildingBlockDefinition"]["spec"]
        assert sent["spec"]["buildingBlock"] == document["spec"]["buildingBlock"]
        assert (sent["spec"]["runToken"], sent["_links"]) == (RUN_TOKEN, document["_links"])
        assert document["spec"]["buildingBlockDefinition"]["spec"]["implementation"]["appPem"] == app_pem()

    def test_the_apps_key_is_in_nothing_that_was_sent(self, agent: Agent) -> None:
        agent.execute(github(agent))

        everything = repr(agent.services.requests) + json.dumps(sent_run(agent)) + agent.told.text()
        assert not [line for line in app_pem().splitlines() if line in everything]

    def test_instead_of_the_run_the_workflow_may_get_its_address_only(self, agent: Agent) -> None:
        document = asynchronous(agent, omitRunObjectInput=True)

        agent.execute(document)

        assert dispatched(agent)["inputs"] == {"buildingBlockRunUrl": document["_links"]["self"]["href"]}

    @pytest.mark.parametrize(
        ("keys", "passed"),
        [
            (("MESHSTACK_API_TOKEN",), {"MESHSTACK_API_TOKEN"}),
            (("MESHSTACK_RUN_TOKEN",), {"MESHSTACK_RUN_TOKEN"}),
            (("MESHSTACK_ENDPOINT",), set()),
            (("MESHSTACK_RUN_TOKEN", "MESHSTACK_ENDPOINT"), {"MESHSTACK_RUN_TOKEN"}),
            (("MESHSTACK_API_TOKEN", "MESHSTACK_ENDPOINT"), {"MESHSTACK_API_TOKEN", "MESHSTACK_ENDPOINT"}),
        ],
    )
    def test_with_the_address_go_the_tokens_that_the_run_has_and_the_endpoint_with_the_api_token(
        self, agent: Agent, keys: tuple[str, ...], passed: set[str]
    ) -> None:
        inputs = (*INPUTS, *(one_input(key, f"value of {key}", secret=True) for key in keys))

        agent.execute(asynchronous(agent, omitRunObjectInput=True, inputs=inputs), api_token=API_TOKEN)

        got = dispatched(agent)["inputs"]
        assert got.keys() - {"buildingBlockRunUrl"} == passed
        assert all(got[key] == f"value of {key}" for key in passed)

    def test_the_given_api_token_stands_for_an_input_without_a_value_and_goes_nowhere_else(self, agent: Agent) -> None:
        empty = one_input("MESHSTACK_API_TOKEN", None, secret=True)

        agent.execute(asynchronous(agent, omitRunObjectInput=True, inputs=(empty,)), api_token=API_TOKEN)
        agent.execute(asynchronous(agent, omitRunObjectInput=True), api_token=API_TOKEN)
        agent.execute(asynchronous(agent, inputs=(empty,)), api_token=API_TOKEN)

        first, *others = agent.services.sent("POST", DISPATCH)
        assert first.json["inputs"]["MESHSTACK_API_TOKEN"] == API_TOKEN
        decoded = base64.b64decode(others[1].json["inputs"]["buildingBlockRun"])
        assert API_TOKEN not in repr(others) + decoded.decode()

    def test_a_run_without_an_address_is_told(self, agent: Agent) -> None:
        document = github(agent, omitRunObjectInput=True)
        del document["_links"]["self"]

        with pytest.raises(InputError) as failure:
            agent.execute(document)

        assert failure.value.code == "github-run-without-address"

    def test_a_run_that_is_too_large_is_told_before_anything_is_sent(self, agent: Agent) -> None:
        with pytest.raises(InputError) as failure:
            agent.execute(github(agent, inputs=(one_input("big", "x" * 49_000, "CODE"),)))

        assert failure.value.code == "github-run-too-large"
        assert "65,535" in failure.value.detail
        assert "omitRunObjectInput" in failure.value.hint
        assert agent.services.requests == []

    def test_the_same_run_goes_by_its_address(self, agent: Agent) -> None:
        big = (one_input("big", "x" * 5_000_000, "CODE"),)

        assert agent.execute(asynchronous(agent, inputs=big, omitRunObjectInput=True)) == Outcome.HANDED_OVER

    def test_a_run_that_just_fits_is_sent(self, agent: Agent) -> None:
        agent.execute(asynchronous(agent, inputs=(one_input("big", "x" * 47_500, "CODE"),)))

        assert 64_000 < len(dispatched(agent)["inputs"]["buildingBlockRun"]) <= 65_535


class TestWhichWorkflow:
    @pytest.mark.parametrize(
        ("behavior", "workflow"), [("APPLY", "apply.yml"), ("DETECT", "apply.yml"), ("DESTROY", "destroy.yml")]
    )
    def test_a_dry_run_is_the_apply_workflows(self, agent: Agent, behavior: str, workflow: str) -> None:
        agent.execute(asynchronous(agent, behavior=behavior))

        (got,) = agent.services.sent("POST", DISPATCH)
        assert f"/workflows/{workflow}/" in got.path
        assert sent_run(agent)["spec"]["behavior"] == behavior

    def test_without_a_destroy_workflow_a_block_is_not_destroyed_by_the_other(self, agent: Agent) -> None:
        with pytest.raises(InputError) as failure:
            agent.execute(github(agent, behavior="DESTROY", destroyWorkflow=None))

        assert failure.value.code == "github-destroy-workflow-missing"
        assert "purge" in failure.value.hint
        assert agent.services.requests == []


class TestDispatch:
    def test_an_asynchronous_workflow_is_handed_over(self, agent: Agent) -> None:
        assert agent.execute(asynchronous(agent)) == Outcome.HANDED_OVER

        (step,) = agent.told.steps
        assert (step.id, step.name, step.status) == (TRIGGER, "Trigger GitHub Action", Status.SUCCEEDED)

    @pytest.mark.parametrize("reply", [Reply(drop=True), Reply(500, {"message": "oops"}), Reply(502, PAGE.content)])
    def test_a_failure_that_leaves_it_open_whether_the_workflow_runs_is_not_repeated(
        self, agent: Agent, reply: Reply
    ) -> None:
        agent.services.script("POST", DISPATCH, reply)

        error = failure_of(agent, github(agent))

        assert error.code == "pipeline-trigger-unclear"
        assert len(agent.services.sent("POST", DISPATCH)) == 1
        assert agent.services.requests[-1].method == "POST"

    @pytest.mark.parametrize(
        ("omit", "named"), [(False, "omitRunObjectInput"), (True, "buildingBlockRunUrl, MESHSTACK_RUN_TOKEN")]
    )
    def test_inputs_that_the_workflow_does_not_declare_are_named(self, agent: Agent, omit: bool, named: str) -> None:
        agent.services.script("POST", DISPATCH, Reply(422, {"message": 'Unexpected inputs provided: ["x"]'}))
        inputs = (one_input("MESHSTACK_RUN_TOKEN", "the-token-canary", secret=True),)

        error = failure_of(agent, github(agent, omitRunObjectInput=omit, inputs=inputs))

        assert (error.code, error.status) == ("pipeline-refused", 422)
        assert "Unexpected inputs provided" in error.detail
        assert named in error.hint
        assert "the-token-canary" not in str(error) + error.hint

    def test_what_github_repeats_of_the_inputs_is_not_quoted(self, agent: Agent) -> None:
        document = github(agent)
        agent.services.script("POST", DISPATCH, Reply(422, {"message": f"bad: {INPUT_SECRET}, {'a1B2' * 30}"}))

        assert "a1B2a1B2" not in failure_of(agent, document).detail

    def test_a_page_instead_of_an_answer_is_told(self, agent: Agent) -> None:
        agent.services.script("POST", DISPATCH, PAGE)

        assert failure_of(agent, github(agent)).code == "pipeline-answer-unexpected"

    def test_a_run_that_is_stopped_already_starts_nothing(self, agent: Agent) -> None:
        agent.stop.set()

        assert agent.execute(github(agent)) == Outcome.FAILED
        assert agent.services.requests == []
        assert agent.told.of(TRIGGER) == [Status.FAILED]


class TestFinding:
    def test_the_run_is_looked_for_until_it_is_listed(self, agent: Agent) -> None:
        agent.services.unseen = 3

        assert agent.execute(github(agent)) == Outcome.SUCCEEDED

        looks = agent.services.sent("GET", LIST)
        assert len(looks) == 1 + 4
        assert {look.query["event"] for look in looks} == {"workflow_dispatch"}
        assert agent.clock.waits == [10, 10, 10]

    def test_a_run_that_does_not_appear_in_twelve_looks_is_told(self, agent: Agent) -> None:
        agent.services.unseen = 100

        error = failure_of(agent, github(agent))

        assert error.code == "github-run-not-found"
        assert "may run nonetheless" in error.detail
        assert len(agent.services.sent("GET", LIST)) == 1 + 12
        assert len(agent.services.sent("POST", DISPATCH)) == 1

    def test_runs_that_were_there_before_are_not_taken_for_it(self, agent: Agent) -> None:
        services = agent.services
        services.runs = [services.github_run(500 + n, created=NOW + timedelta(seconds=n)) for n in range(5)]
        services.unseen = 1

        agent.execute(github(agent))

        assert services.sent("GET", "/actions/runs/[0-9]+$")[0].path.endswith("/runs/905")

    def test_runs_of_other_events_older_ones_and_other_peoples_are_not_taken_for_it(self, agent: Agent) -> None:
        services = agent.services

        def others_come() -> None:
            services.runs = [
                services.github_run(10, created=NOW, event="push"),
                services.github_run(11, created=NOW - timedelta(minutes=5)),
                services.github_run(12, created=NOW, login="somebody"),
            ]

        services.at_dispatch = others_come

        assert agent.execute(github(agent)) == Outcome.SUCCEEDED
        assert services.sent("GET", "/actions/runs/[0-9]+$")[0].path.endswith("/runs/903")

    def test_the_number_that_the_dispatch_tells_is_taken(self, agent: Agent) -> None:
        agent.services.script("POST", DISPATCH, Reply(200, {"workflow_run_id": 31337}))

        assert agent.execute(github(agent)) == Outcome.SUCCEEDED
        assert agent.services.sent("GET", "/actions/runs/31337$")
        assert len(agent.services.sent("GET", LIST)) == 1

    def test_a_list_that_fails_for_the_moment_is_asked_for_again(self, agent: Agent) -> None:
        agent.services.at_dispatch = lambda: agent.services.script("GET", LIST, *[Reply(503)] * 4)

        assert agent.execute(github(agent)) == Outcome.SUCCEEDED
        assert agent.clock.waits == [1, 2, 10, 1]

    def test_two_runs_of_one_workflow_at_once_each_follow_their_own(self, agent: Agent) -> None:
        agent.services.unseen = 2
        other = Agent(agent.services, Clock())
        outcomes: list[Outcome] = []
        thread = threading.Thread(target=lambda: outcomes.append(other.execute(github(agent))))

        def begin_the_other() -> None:
            if not thread.ident:
                thread.start()
                thread.join(0.3)  # it waits for its turn, or would be through by then with the wrong run

        agent.clock.then = begin_the_other

        outcomes.append(agent.execute(github(agent)))
        thread.join()

        assert outcomes == [Outcome.SUCCEEDED] * 2
        followed = [told.steps[-1].system.split("/runs/")[1] for told in (agent.told, other.told)]
        assert followed == ["900", "901"]

    def test_a_run_that_is_stopped_before_its_turn_starts_nothing(self, agent: Agent) -> None:
        outcomes: list[Outcome] = []
        path = "/repos/platform/blocks/actions/workflows/apply.yml"
        thread = threading.Thread(target=lambda: outcomes.append(agent.execute(github(agent))))

        with httpx.Client() as client, turn((agent.services.url, path), agent.way(client)):
            thread.start()
            while not agent.services.sent("POST", "/access_tokens$"):
                thread.join(0.01)
            agent.stop.set()
            thread.join()

        assert outcomes == [Outcome.FAILED]
        assert agent.services.sent("POST", DISPATCH) == []

    def test_an_abort_while_looking_cancels_the_run_if_it_is_there_by_now(self, agent: Agent) -> None:
        agent.services.unseen = 1
        agent.clock.then = agent.stop.set

        assert agent.execute(github(agent)) == Outcome.FAILED
        assert agent.services.requests[-1].path.endswith("/actions/runs/900/cancel")
        assert "was canceled" in agent.told.steps[-1].user

    def test_an_abort_before_the_run_appears_is_told(self, agent: Agent) -> None:
        agent.services.unseen = 100
        agent.clock.then = agent.stop.set

        assert agent.execute(github(agent)) == Outcome.FAILED
        assert agent.services.sent("POST", "/cancel$") == []
        assert "may still be at work" in agent.told.steps[-1].user


class TestFollowing:
    def test_a_run_is_followed_by_its_jobs_to_its_end(self, agent: Agent) -> None:
        agent.services.progress = [("queued", None), ("in_progress", None), ("completed", "success")]
        plan, apply = job(1, "plan", "queued"), job(2, "apply", "queued")
        agent.services.parts = [plan]

        def go_on() -> None:
            plan.update(status="completed", conclusion="success")
            agent.services.parts = [plan, apply]
            if len(agent.clock.waits) == 2:
                apply.update(status="completed", conclusion="skipped")

        agent.clock.then = go_on

        assert agent.execute(github(agent)) == Outcome.SUCCEEDED

        assert agent.told.of("gh-workflow-job-1") == [Status.IN_PROGRESS, Status.SUCCEEDED]
        assert agent.told.of("gh-workflow-job-2") == [Status.IN_PROGRESS, Status.SUCCEEDED]
        assert agent.told.of(TRIGGER) == [Status.SUCCEEDED, Status.SUCCEEDED]
        shown = next(step for step in agent.told.steps if step.id == "gh-workflow-job-1")
        assert shown.name == "GitHub Job: plan"
        assert "https://github.example/platform/blocks/actions/runs/900/job/1" in shown.system
        assert "https://github.example/platform/blocks/actions/runs/900" in agent.told.steps[-1].system
        assert agent.clock.waits == [10, 10]

    @pytest.mark.parametrize("conclusion", ["failure", "cancelled", "timed_out", "action_required", None])
    def test_a_workflow_that_does_not_succeed_fails_the_run(self, agent: Agent, conclusion: str | None) -> None:
        agent.services.progress = [("completed", conclusion)]
        agent.services.parts = [job(1, "apply", "completed", "failure")]

        assert agent.execute(github(agent)) == Outcome.FAILED
        assert agent.told.of("gh-workflow-job-1") == [Status.FAILED]
        assert agent.told.of(TRIGGER) == [Status.SUCCEEDED, Status.FAILED]

    @pytest.mark.parametrize("status", ["waiting", "requested", "pending", "something new"])
    def test_a_state_that_is_not_the_end_is_waited_out(self, agent: Agent, status: str) -> None:
        agent.services.progress = [(status, None), ("completed", "success")]
        agent.services.parts = [job(1, "apply", status)]

        assert agent.execute(github(agent)) == Outcome.SUCCEEDED
        assert agent.told.of("gh-workflow-job-1") == [Status.IN_PROGRESS]

    @pytest.mark.parametrize("reply", [Reply(404), PAGE, Reply(200, {"jobs": "x"}), Reply(200, {"jobs": [1, {}]})])
    def test_jobs_that_cannot_be_read_do_not_matter(self, agent: Agent, reply: Reply) -> None:
        agent.services.script("GET", "/jobs$", reply)

        assert agent.execute(github(agent)) == Outcome.SUCCEEDED

    def test_a_look_that_fails_is_made_up_for_by_the_next(self, agent: Agent) -> None:
        agent.services.script("GET", "/actions/runs/900$", Reply(drop=True), Reply(502), Reply(504))

        assert agent.execute(github(agent)) == Outcome.SUCCEEDED
        assert agent.clock.waits == [1, 2, 10]

    def test_a_refusal_while_following_is_final(self, agent: Agent) -> None:
        agent.services.script("GET", "/actions/runs/900$", Reply(404))

        assert failure_of(agent, github(agent)).code == "pipeline-not-found"

    def test_a_workflow_that_takes_too_long_is_told_and_left_alone(self, agent: Agent) -> None:
        agent.services.progress = [("in_progress", None)]

        error = failure_of(agent, github(agent))

        assert error.code == "pipeline-timeout"
        assert "https://github.example/platform/blocks/actions/runs/900" in error.detail
        assert agent.services.sent("POST", "/cancel$") == []
        assert len(agent.services.sent("POST", "/access_tokens$")) == 1

    def test_a_workflow_that_takes_hours_is_followed_with_a_new_token_in_time(self, agent: Agent) -> None:
        agent.patience = 3 * 3600.0
        agent.services.progress = [("in_progress", None)] * 700 + [("completed", "success")]

        assert agent.execute(github(agent)) == Outcome.SUCCEEDED
        assert len(agent.services.sent("POST", "/access_tokens$")) == 3

    def test_an_abort_while_following_cancels_the_workflow_and_ends_at_once(self, agent: Agent) -> None:
        agent.services.progress = [("in_progress", None)]
        agent.clock.then = agent.stop.set

        assert agent.execute(github(agent)) == Outcome.FAILED

        (cancel,) = agent.services.sent("POST", "/actions/runs/900/cancel$")
        assert agent.services.requests[-1] is cancel
        assert agent.clock.waits == [10]
        assert agent.told.steps[-1].status == Status.FAILED

    @pytest.mark.parametrize("reply", [Reply(409, {"message": "completed"}), Reply(drop=True), Reply(500)])
    def test_a_workflow_that_cannot_be_canceled_is_told(self, agent: Agent, reply: Reply) -> None:
        agent.services.progress = [("in_progress", None)]
        agent.services.script("POST", "/cancel$", reply)
        agent.clock.then = agent.stop.set

        assert agent.execute(github(agent)) == Outcome.FAILED
        assert "could not be canceled" in agent.told.steps[-1].user
        assert len(agent.services.sent("POST", "/cancel$")) == 1
