"""GitHub, GitLab and Azure DevOps as a runner meets them: they take a pipeline's start, record what was sent, and let it run its course."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, Literal

from runner.errors import InputError
from runner.sandbox.meshstack.wire import Answer, Call, Json, Rejection

Kind = Literal["github", "gitlab", "azure-devops"]

_RESULTS = {"success": "succeeded", "failure": "failed", "cancelled": "canceled"}


@dataclass
class Pipeline:
    """One run of a pipeline. It is queued when it is first asked for, then in progress, and over at the poll number `polls`."""

    kind: Kind
    id: int
    where: Json
    sent: Json
    started: datetime
    conclusion: str
    polls: int
    seen: int = 0

    @property
    def state(self) -> Literal["queued", "in_progress", "completed"]:
        """Where it stands."""
        if self.seen >= self.polls:
            return "completed"
        return "queued" if self.seen <= 1 else "in_progress"

    def poll(self) -> None:
        """Somebody looks, and time goes by."""
        self.seen += 1

    def cancel(self) -> None:
        """Somebody ends it."""
        if self.state != "completed":
            self.conclusion, self.seen = "cancelled", self.polls

    def described(self) -> Json:
        """What was sent, and what became of it."""
        return {
            "kind": self.kind,
            "id": self.id,
            **self.where,
            **self.sent,
            "state": self.state,
            "conclusion": self.conclusion,
            "startedOn": stamp(self.started),
        }


@dataclass
class Pipelines:
    """All pipelines that were started, and how the next one ends. Guarded by meshStack's lock."""

    now: Callable[[], datetime]
    started: list[Pipeline] = field(default_factory=list)
    _next: list[tuple[str, int]] = field(default_factory=list)

    def plan(self, conclusion: str = "success", polls: int = 3) -> None:
        """Choose how the next pipeline ends, and at which poll; asked again, the one after it."""
        if not isinstance(conclusion, str) or not isinstance(polls, int) or polls < 1:
            raise InputError(
                "The pipeline's end is wrong", code="pipeline-invalid", detail="A word and a number from 1."
            )
        self._next.append((conclusion, polls))

    def start(self, kind: Kind, where: Json, sent: Json) -> Pipeline:
        """Start one."""
        conclusion, polls = self._next.pop(0) if self._next else ("success", 3)
        made = Pipeline(kind, 4711 + len(self.started), where, sent, self.now(), conclusion, polls)
        self.started.append(made)
        return made

    def found(self, kind: Kind, number: str, **where: str) -> Pipeline:
        """One of them; a 404 where there is none."""
        for one in self.started:
            if one.kind == kind and str(one.id) == number and where.items() <= one.where.items():
                return one
        raise Rejection(404, f"there is no {kind} run {number}")


def stamp(moment: datetime) -> str:
    """A moment as these services write it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Gitlab:
    """`/gitlab/api/v4`: the trigger, which knows a token and nothing else of the caller."""

    def __init__(self, pipelines: Pipelines, base: str) -> None:
        self._pipelines = pipelines
        self._base = base
        self._tokens: dict[str, str] = {}

    def learn(self, implementation: Json) -> None:
        """The trigger token of a project."""
        self._tokens[str(implementation.get("projectId"))] = str(implementation.get("pipelineTriggerToken"))

    def answer(self, call: Call) -> Answer:
        """Start a pipeline."""
        match call.method, call.segments[1:]:
            case "POST", ("api", "v4", "projects", project, "trigger", "pipeline"):
                return self._start(call, project)
        raise Rejection(404, f"GitLab has no {call.method} {call.path} here")

    def _start(self, call: Call, project: str) -> Answer:
        form = form_of(call)
        if not form.get("token") or form["token"] != self._tokens.get(project):
            # what GitLab says: whether the project exists is nobody's business
            raise Rejection(404, f"the trigger token of project {project} is wrong", body={"message": "404 Not Found"})
        if not form.get("ref"):
            raise Rejection(400, "ref is missing", body={"error": "ref is missing"})
        sent: Json = {"ref": form["ref"], "variables": _named("variables", form), "inputs": _named("inputs", form)}
        made = self._pipelines.start("gitlab", {"project": project}, sent)
        return Answer(
            201,
            {
                "id": made.id,
                "project_id": project,
                "ref": form["ref"],
                "status": "created",
                "source": "trigger",
                "web_url": f"{self._base}/gitlab/{project}/-/pipelines/{made.id}",
            },
        )


class AzureDevOps:
    """`/azure-devops/{organization}/{project}/_apis`: start a run, look at it and at the stages of its build, cancel it."""

    def __init__(self, pipelines: Pipelines, base: str) -> None:
        self._pipelines = pipelines
        self._base = base
        self._tokens: dict[str, str] = {}

    def learn(self, implementation: Json) -> None:
        """The personal access token of an organization."""
        self._tokens[str(implementation.get("organization"))] = str(implementation.get("personalAccessToken"))

    def answer(self, call: Call) -> Answer:
        """Start a run, or tell how one stands."""
        match call.method, call.segments[1:]:
            case "POST", (organization, project, "_apis", "pipelines", pipeline, "runs"):
                self._check(call, organization)
                where = {"organization": organization, "project": project, "pipeline": pipeline}
                body = call.json()
                sent = {"templateParameters": body.get("templateParameters", {}), "resources": body.get("resources")}
                return Answer(200, self._described(self._pipelines.start("azure-devops", where, sent)))
            case "GET", (organization, project, "_apis", "pipelines", pipeline, "runs", number):
                self._check(call, organization)
                where = {"organization": organization, "project": project, "pipeline": pipeline}
                found = self._pipelines.found("azure-devops", number, **where)
                found.poll()
                return Answer(200, self._described(found))
            case "PATCH", (organization, project, "_apis", "build", "builds", number):
                self._check(call, organization)
                found = self._pipelines.found("azure-devops", number, organization=organization, project=project)
                if call.json().get("status") != "cancelling":
                    raise Rejection(400, "a build can only be canceled")
                found.cancel()
                return Answer(200, {"id": found.id, "status": "cancelling"})
            case "GET", (organization, project, "_apis", "build", "builds", number, "timeline"):
                self._check(call, organization)
                found = self._pipelines.found("azure-devops", number, organization=organization, project=project)
                return Answer(200, {"id": f"timeline-{found.id}", "records": _stages(found)})
        raise Rejection(404, f"Azure DevOps has no {call.method} {call.path} here")

    def _check(self, call: Call, organization: str) -> None:
        token = self._tokens.get(organization)
        wanted = "Basic " + base64.b64encode(f":{token}".encode()).decode()
        if token is None or call.headers.get("authorization") != wanted:
            raise Rejection(401, f"the personal access token for {organization} is wrong")
        if not call.query.get("api-version"):
            raise Rejection(400, "api-version is missing")
        if call.method == "POST" and call.content_type != "application/json":
            raise Rejection(415, "Azure DevOps takes JSON")

    def _described(self, run: Pipeline) -> Json:
        place = f"{self._base}/azure-devops/{run.where['organization']}/{run.where['project']}"
        over = run.state == "completed"
        return {
            "id": run.id,
            "name": f"{stamp(run.started)[:10].replace('-', '')}.{run.id}",
            "state": "completed" if over else "inProgress",
            **({"result": _RESULTS.get(run.conclusion, run.conclusion)} if over else {}),
            "createdDate": stamp(run.started),
            "templateParameters": run.sent["templateParameters"],
            "pipeline": {"id": run.where["pipeline"]},
            "url": f"{place}/_apis/pipelines/{run.where['pipeline']}/runs/{run.id}",
            "_links": {"web": {"href": f"{place}/_build/results?buildId={run.id}"}},
        }


def _stages(run: Pipeline) -> list[Json]:
    """Two stages and a job of the first: the second begins when the run is over, for it is over in no time."""
    state = {"queued": "pending", "in_progress": "inProgress", "completed": "completed"}[run.state]
    result = _RESULTS.get(run.conclusion, run.conclusion) if run.state == "completed" else None
    later = result if result in (None, "succeeded") else "skipped"
    rest = state if state == "completed" else "pending"
    return [
        {"id": "s1", "type": "Stage", "name": "Plan", "order": 1, "state": state, "result": result, "parentId": None},
        {"id": "j1", "type": "Job", "name": "plan", "order": 1, "state": state, "result": result, "parentId": "s1"},
        {"id": "s2", "type": "Stage", "name": "Deploy", "order": 2, "state": rest, "result": later, "parentId": None},
    ]


def form_of(call: Call) -> dict[str, str]:
    """The fields of a multipart form; a 415 where the body is none."""
    if call.content_type != "multipart/form-data":
        raise Rejection(415, "a multipart form is wanted")
    head = f"Content-Type: {call.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + call.body)
    fields: dict[str, str] = {}
    for part in message.iter_parts() if message.is_multipart() else ():
        name: Any = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            fields[name] = content.decode()
    return fields


def _named(group: str, form: dict[str, str]) -> dict[str, str]:
    found = {re.fullmatch(rf"{group}\[(.+)\]", name): value for name, value in form.items()}
    return {match[1]: value for match, value in found.items() if match}
