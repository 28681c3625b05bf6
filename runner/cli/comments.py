"""A page of Markdown as the one comment of a pipeline on its pull request: written the first time, replaced from then on.

Only a comment that this very token wrote is replaced: whoever wrote another one that begins alike could change it again after that.

GitHub: https://docs.github.com/graphql (`viewerDidAuthor`) and REST issue comments. GitLab: https://docs.gitlab.com/api/notes.
Azure DevOps: https://learn.microsoft.com/rest/api/azure/devops/git/pull-request-threads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import httpx

from runner.cli.handing import Ci
from runner.errors import InputError, RemoteFailed
from runner.network.way_out import Network

_LONGEST = 1_000_000
_PAGES = 100  # of comments on one pull request
_LOCAL = ("localhost", "127.0.0.1", "::1")

Answer = dict[str, Any]
Query = dict[str, str | int]


class Comments(Protocol):
    """The comments on one pull request."""

    def mine(self) -> Iterator[tuple[str, str]]:
        """Id and text of each comment that this token wrote."""

    def write(self, text: str) -> None: ...

    def replace(self, comment: str, text: str) -> None: ...


def put(page: Path, ci: Ci) -> str:
    """Write the page, and say what was done. InputError where there is no page, pull request or token; RemoteFailed where the CI's server
    does not answer as it should."""
    text = _text(page)
    way_out = _network()
    with way_out.client(way_out.tls()) as client:
        comments = _of(ci, client)
        if comments is None:
            return "This pipeline runs for no pull request: nothing is commented."
        try:
            return _put(text, comments)
        except (KeyError, TypeError, AttributeError):  # another shape than the server's documentation says
            raise _failed("The answer has another shape than is documented") from None


def _put(text: str, comments: Comments) -> str:
    marker = text.split("\n", 1)[0]
    for comment, said in comments.mine():
        if said.split("\n", 1)[0].rstrip("\r") == marker:
            comments.replace(comment, text)
            return "The comment on the pull request is up to date."
    comments.write(text)
    return "Commented on the pull request."


def _text(page: Path) -> str:
    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _no_page(page, getattr(error, "strerror", None) or "it is not UTF-8") from None
    if not re.match(r"<!-- lzr-ci [A-Za-z0-9._/ -]*-->\n", text) or len(text) > _LONGEST:
        raise _no_page(page, "it does not begin as one")
    return text


def _of(ci: Ci, client: httpx.Client) -> Comments | None:
    """The comments of the pull request that the pipeline runs for; None where it runs for none."""
    said = ci.variables.get
    match ci.kind:
        case "github":
            number = _number_of_event(Path(said("GITHUB_EVENT_PATH", "")))
            if number is None:
                return None
            owner, _, name = said("GITHUB_REPOSITORY", "").partition("/")
            api = _Api(client, said("GITHUB_API_URL", ""), {"Authorization": f"Bearer {_token(ci, 'GITHUB_TOKEN')}"})
            return _GitHub(api, said("GITHUB_GRAPHQL_URL", ""), owner, name, number)
        case "gitlab":
            if not said("CI_MERGE_REQUEST_IID"):
                return None
            api = _Api(client, said("CI_API_V4_URL", ""), {"PRIVATE-TOKEN": _token(ci, "GITLAB_TOKEN")})
            project = quote(said("CI_MERGE_REQUEST_PROJECT_ID") or said("CI_PROJECT_ID", ""), safe="")
            return _GitLab(
                api, f"/projects/{project}/merge_requests/{quote(said('CI_MERGE_REQUEST_IID', ''), safe='')}"
            )
        case "azure":
            if not said("SYSTEM_PULLREQUEST_PULLREQUESTID"):
                return None
            base = said("SYSTEM_COLLECTIONURI", "").rstrip("/")
            api = _Api(client, base, {"Authorization": f"Bearer {_token(ci, 'SYSTEM_ACCESSTOKEN')}"})
            where = (
                said("SYSTEM_TEAMPROJECTID", ""),
                said("BUILD_REPOSITORY_ID", ""),
                said("SYSTEM_PULLREQUEST_PULLREQUESTID", ""),
            )
            project, repository, pull_request = (quote(part, safe="") for part in where)
            return _AzureDevOps(
                api, f"/{project}/_apis/git/repositories/{repository}/pullRequests/{pull_request}/threads"
            )
        case "none":
            raise InputError(
                "This is no pipeline",
                code="no-pipeline",
                detail="None of GITHUB_ACTIONS, GITLAB_CI and TF_BUILD is true.",
                hint="Call it in a job of GitHub Actions, GitLab CI or Azure DevOps.",
            )


@dataclass(frozen=True)
class _Api:
    """The CI's server, as the job's token opens it. The token never is in an error."""

    client: httpx.Client
    base: str
    headers: Mapping[str, str]

    def ask(
        self, method: str, path: str, body: Answer | None = None, query: Query | None = None
    ) -> tuple[Any, httpx.Headers]:
        """The JSON of an answer, with its headers. RemoteFailed where it is none, or an error."""
        address = path if path.startswith(("https://", "http://")) else f"{self.base}{path}"
        _expect_safe(address)
        try:
            answer = self.client.request(method, address, json=body, params=query, headers=self.headers)
            if answer.status_code >= 300:
                raise _failed(
                    f"{method} {answer.url.host}{answer.url.path} answers {answer.status_code}", answer.status_code
                )
            return answer.json(), answer.headers
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _failed(f"{urlsplit(address).hostname} cannot be reached ({type(error).__name__})") from None
        except ValueError:
            raise _failed(f"{urlsplit(address).hostname} answers with something else than JSON") from None


@dataclass(frozen=True)
class _GitHub:
    api: _Api
    graphql: str
    owner: str
    name: str
    number: int

    _QUERY = """query($owner: String!, $name: String!, $number: Int!, $after: String) {
      repository(owner: $owner, name: $name) { pullRequest(number: $number) {
        comments(first: 100, after: $after) { nodes { databaseId body viewerDidAuthor } pageInfo { hasNextPage endCursor } } } } }"""

    def mine(self) -> Iterator[tuple[str, str]]:
        after = None
        for _ in range(_PAGES):
            variables = {"owner": self.owner, "name": self.name, "number": self.number, "after": after}
            found, _headers = self.api.ask("POST", self.graphql, {"query": self._QUERY, "variables": variables})
            comments = found["data"]["repository"]["pullRequest"]["comments"]
            for node in comments["nodes"]:
                if node["viewerDidAuthor"]:
                    yield str(node["databaseId"]), node["body"]
            if not comments["pageInfo"]["hasNextPage"]:
                return
            after = comments["pageInfo"]["endCursor"]

    def write(self, text: str) -> None:
        self.api.ask("POST", f"{self._repository}/issues/{self.number}/comments", {"body": text})

    def replace(self, comment: str, text: str) -> None:
        self.api.ask("PATCH", f"{self._repository}/issues/comments/{comment}", {"body": text})

    @property
    def _repository(self) -> str:
        return f"/repos/{quote(self.owner, safe='')}/{quote(self.name, safe='')}"


@dataclass(frozen=True)
class _GitLab:
    api: _Api
    merge_request: str

    def mine(self) -> Iterator[tuple[str, str]]:
        me, _ = self.api.ask("GET", "/user")
        page = "1"
        for _ in range(_PAGES):
            notes, headers = self.api.ask("GET", f"{self.merge_request}/notes", query={"per_page": 100, "page": page})
            for note in notes:
                if note["author"]["id"] == me["id"]:
                    yield str(note["id"]), note["body"]
            page = headers.get("X-Next-Page", "")
            if not page:
                return

    def write(self, text: str) -> None:
        self.api.ask("POST", f"{self.merge_request}/notes", {"body": text})

    def replace(self, comment: str, text: str) -> None:
        self.api.ask("PUT", f"{self.merge_request}/notes/{comment}", {"body": text})


@dataclass(frozen=True)
class _AzureDevOps:
    api: _Api
    threads: str

    def mine(self) -> Iterator[tuple[str, str]]:
        me = self.api.ask("GET", "/_apis/connectionData")[0]["authenticatedUser"]["id"]
        found, _ = self.api.ask("GET", self.threads, query=_VERSION)
        for thread in found["value"]:
            for comment in (thread.get("comments") or ())[:1]:
                if not comment.get("isDeleted") and (comment.get("author") or {}).get("id") == me:
                    yield f"{thread['id']}/comments/{comment['id']}", comment.get("content") or ""

    def write(self, text: str) -> None:
        first = {"parentCommentId": 0, "content": text, "commentType": "text"}
        self.api.ask(
            "POST", self.threads, {"comments": [first], "status": "closed"}, query=_VERSION
        )  # open ones may block a merge

    def replace(self, comment: str, text: str) -> None:
        self.api.ask("PATCH", f"{self.threads}/{comment}", {"content": text}, query=_VERSION)


_VERSION: Query = {"api-version": "7.1"}


def _number_of_event(file: Path) -> int | None:
    try:
        event = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    found = event.get("pull_request") if isinstance(event, dict) else None
    number = found.get("number") if isinstance(found, dict) else None
    return number if isinstance(number, int) else None


def _token(ci: Ci, name: str) -> str:
    if not (token := ci.variables.get(name, "")):
        raise InputError(
            "There is no token",
            code="no-token",
            detail=f"The variable {name} is not set.",
            hint="Hand it to this step alone, as examples/pipelines does.",
        )
    return token


def _network() -> Network:
    """The way out that the settings say."""
    from runner import settings

    found = settings.read()
    return Network(proxy=found.proxy, no_proxy=found.no_proxy, ca_file=found.ca_file)


def _expect_safe(address: str) -> None:
    try:
        parts = urlsplit(address)
        local = parts.hostname in _LOCAL
    except ValueError:
        raise _failed("The address that the CI gives of itself is none") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise _failed(f"{parts.hostname or 'The address of the CI'} is not reached by https, so no token is sent there")


def _failed(detail: str, status: int | None = None) -> RemoteFailed:
    hint = "Try again; look whether the address that the CI gives is reached from here."
    if status in (401, 403, 404):
        hint = "The token may not write comments: GitHub pull-requests: write, GitLab scope api, Azure DevOps Contribute to pull requests."
    return RemoteFailed(
        "The comment was not written", code="comment-not-written", detail=f"{detail}.", hint=hint, status=status
    )


def _no_page(page: Path, why: str) -> InputError:
    return InputError(
        "This is no page",
        code="no-page",
        detail=f"{page}: {why}.",
        hint="Give the file that lzr ci plan --markdown wrote.",
    )
