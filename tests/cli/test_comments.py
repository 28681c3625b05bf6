"""`lzr ci comment`: one comment of a pull request, written by the job's own token to a real server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from runner import cli
from runner.cli.handing import at_hand
from runner.cli.markdown import marker
from runner.errors import InputError, RemoteFailed

MINE = marker("zones")
PAGE = f"{MINE}\n## New\n"
TOKEN = "canary-token"


@dataclass
class Server:
    """A CI's API: what it was asked, and what it answers to a method and a path."""

    answers: dict[tuple[str, str], Any] = field(default_factory=dict)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def changed(self) -> list[tuple[str, str, Any]]:
        return [one for one in self.asked if one[0] != "GET" and one[1] != "/graphql"]


@pytest.fixture
def server() -> Iterator[Server]:
    there = Server()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            path = urlsplit(self.path).path
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            there.asked.append((self.command, path, body))
            there.headers.append(dict(self.headers.items()))
            found = there.answers.get((self.command, path), 404)
            found = found(self.path, body) if callable(found) else found
            status, content = (found, {}) if isinstance(found, int) else (200, found)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            if "page=1" in self.path:
                self.send_header("X-Next-Page", "2")
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = answer  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    there.url = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield there
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture
def page(tmp_path: Path) -> Path:
    file = tmp_path / "review.md"
    file.write_text(PAGE, encoding="utf-8")
    return file


def github(server: Server, tmp_path: Path, event: str = '{"pull_request": {"number": 7}}') -> dict[str, str]:
    (tmp_path / "event.json").write_text(event, encoding="utf-8")
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        "GITHUB_REPOSITORY": "corp/zones",
        "GITHUB_API_URL": server.url,
        "GITHUB_GRAPHQL_URL": f"{server.url}/graphql",
        "GITHUB_TOKEN": TOKEN,
    }


def gitlab(server: Server, tmp_path: Path) -> dict[str, str]:
    return {
        "GITLAB_CI": "true",
        "CI_API_V4_URL": f"{server.url}/api/v4",
        "CI_PROJECT_ID": "12",
        "CI_MERGE_REQUEST_IID": "7",
        "GITLAB_TOKEN": TOKEN,
    }


def azure(server: Server, tmp_path: Path) -> dict[str, str]:
    return {
        "TF_BUILD": "True",
        "SYSTEM_COLLECTIONURI": f"{server.url}/corp/",
        "SYSTEM_TEAMPROJECTID": "p",
        "BUILD_REPOSITORY_ID": "r",
        "SYSTEM_PULLREQUEST_PULLREQUESTID": "7",
        "SYSTEM_ACCESSTOKEN": TOKEN,
    }


def put(page: Path, variables: dict[str, str]) -> str:
    from runner.cli.comments import put

    return put(page, at_hand(variables))


THREADS = "/corp/p/_apis/git/repositories/r/pullRequests/7/threads"
NOTES = "/api/v4/projects/12/merge_requests/7/notes"


def of_github(*nodes: dict[str, Any]) -> Callable[[str, Any], Any]:
    """Comments, one on each page."""

    def answer(_path: str, body: Any) -> Any:
        number = int(body["variables"]["after"] or 0)
        info = {"hasNextPage": number + 1 < len(nodes), "endCursor": str(number + 1)}
        comments = {"nodes": list(nodes[number : number + 1]), "pageInfo": info}
        return {"data": {"repository": {"pullRequest": {"comments": comments}}}}

    return answer


def node(number: int, body: str, *, mine: bool) -> dict[str, Any]:
    return {"databaseId": number, "body": body, "viewerDidAuthor": mine}


OLD = f"{MINE}\r\n## Old"


def test_on_github_the_first_comment_is_written_and_then_replaced(server: Server, tmp_path: Path, page: Path) -> None:
    server.answers[("POST", "/graphql")] = of_github(node(1, "lgtm", mine=False))
    server.answers[("POST", "/repos/corp/zones/issues/7/comments")] = {}
    assert put(page, github(server, tmp_path)) == "Commented on the pull request."
    assert server.changed() == [("POST", "/repos/corp/zones/issues/7/comments", {"body": PAGE})]
    server.answers[("POST", "/graphql")] = of_github(node(1, "lgtm", mine=False), node(2, OLD, mine=True))
    server.answers[("PATCH", "/repos/corp/zones/issues/comments/2")] = {}
    assert "up to date" in put(page, github(server, tmp_path))
    assert server.changed()[1:] == [("PATCH", "/repos/corp/zones/issues/comments/2", {"body": PAGE})]
    assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {TOKEN}"}


def test_a_comment_that_somebody_else_began_alike_is_left_alone(server: Server, tmp_path: Path, page: Path) -> None:
    server.answers[("POST", "/graphql")] = of_github(node(1, OLD, mine=False))
    server.answers[("POST", "/repos/corp/zones/issues/7/comments")] = {}
    put(page, github(server, tmp_path))
    server.answers[("GET", "/api/v4/user")] = {"id": 5}
    server.answers[("GET", NOTES)] = [{"id": 1, "author": {"id": 6}, "body": OLD}]
    server.answers[("POST", NOTES)] = {}
    put(page, gitlab(server, tmp_path))
    server.answers[("GET", "/corp/_apis/connectionData")] = {"authenticatedUser": {"id": "me"}}
    server.answers[("GET", THREADS)] = {"value": [thread(1, "somebody", OLD)]}
    server.answers[("POST", THREADS)] = {}
    put(page, azure(server, tmp_path))
    assert [method for method, _, _ in server.changed()] == ["POST", "POST", "POST"]


def thread(number: int, author: str, content: str, *, deleted: bool = False) -> dict[str, Any]:
    comment = {"id": 1, "author": {"id": author}, "content": content, "isDeleted": deleted}
    return {"id": number, "comments": [comment]}


def test_on_gitlab_a_note_on_a_later_page_is_found_and_replaced(server: Server, tmp_path: Path, page: Path) -> None:
    old = {"id": 9, "author": {"id": 5}, "body": OLD}
    server.answers[("GET", "/api/v4/user")] = {"id": 5}
    server.answers[("GET", NOTES)] = lambda path, _: [] if "page=1" in path.replace("per_page=100", "") else [old]
    server.answers[("PUT", f"{NOTES}/9")] = {}
    assert "up to date" in put(page, gitlab(server, tmp_path))
    assert server.changed() == [("PUT", f"{NOTES}/9", {"body": PAGE})]
    assert {headers["PRIVATE-TOKEN"] for headers in server.headers} == {TOKEN}


def test_on_azure_devops_a_thread_is_written_closed_and_then_replaced(
    server: Server, tmp_path: Path, page: Path
) -> None:
    server.answers[("GET", "/corp/_apis/connectionData")] = {"authenticatedUser": {"id": "me"}}
    server.answers[("GET", THREADS)] = {"value": [thread(1, "me", OLD, deleted=True), {"id": 2, "comments": None}]}
    server.answers[("POST", THREADS)] = {}
    put(page, azure(server, tmp_path))
    ((_, _, written),) = server.changed()
    assert (written["status"], written["comments"][0]["content"]) == ("closed", PAGE)
    server.answers[("GET", THREADS)] = {"value": [thread(3, "me", OLD)]}
    server.answers[("PATCH", f"{THREADS}/3/comments/1")] = {}
    put(page, azure(server, tmp_path))
    assert server.changed()[1:] == [("PATCH", f"{THREADS}/3/comments/1", {"content": PAGE})]


@pytest.mark.parametrize("event", ["{}", "[]", "no json", '{"pull_request": {"number": "7"}}'])
def test_a_pipeline_of_no_pull_request_comments_nothing(event: str, server: Server, tmp_path: Path, page: Path) -> None:
    assert "for no pull request" in put(page, github(server, tmp_path, event))
    assert "for no pull request" in put(page, {"GITLAB_CI": "true"})
    assert "for no pull request" in put(page, {"TF_BUILD": "True"})
    assert not server.asked


@pytest.mark.parametrize("answer", [403, 500, b"<html>", [], {"data": None}, {"errors": [{"message": TOKEN}]}])
def test_what_the_server_answers_wrongly_is_told_without_the_token(
    answer: Any, server: Server, tmp_path: Path, page: Path
) -> None:
    server.answers[("POST", "/graphql")] = answer
    with pytest.raises(RemoteFailed) as failed:
        put(page, github(server, tmp_path))
    assert failed.value.code == "comment-not-written"
    assert TOKEN not in f"{failed.value} {failed.value.detail} {failed.value.hint}"
    assert ("pull-requests: write" in failed.value.hint) == (answer == 403)


def test_a_token_goes_nowhere_without_tls(server: Server, tmp_path: Path, page: Path) -> None:
    for address in ("http://api.example/graphql", "http://127.0.0.1.evil.example/", "ftp://api.example", "http://[x"):
        with pytest.raises(RemoteFailed):
            put(page, github(server, tmp_path) | {"GITHUB_GRAPHQL_URL": address})
    assert not server.asked


def test_a_server_that_is_not_there_is_told(server: Server, tmp_path: Path, page: Path) -> None:
    with pytest.raises(RemoteFailed, match="cannot be reached"):
        put(page, github(server, tmp_path) | {"GITHUB_GRAPHQL_URL": "http://127.0.0.1:1/graphql"})


def test_without_a_token_or_a_pipeline_it_is_said_what_is_missing(server: Server, tmp_path: Path, page: Path) -> None:
    with pytest.raises(InputError, match="GITHUB_TOKEN"):
        put(page, github(server, tmp_path) | {"GITHUB_TOKEN": ""})
    with pytest.raises(InputError) as none:
        put(page, {})
    assert none.value.code == "no-pipeline"


@pytest.mark.parametrize("content", ["# Something else\n", "", "<!-- lzr-ci x --> /merge\n", "\udcff"])
def test_only_a_page_of_the_runner_is_commented(content: str, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "other.md"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError) as refused:
        put(file, github(server, tmp_path))
    assert refused.value.code == "no-page"
    assert not server.asked


def test_the_command_tells_what_it_did(
    server: Server, tmp_path: Path, page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers[("POST", "/graphql")] = of_github(node(2, OLD, mine=True))
    server.answers[("PATCH", "/repos/corp/zones/issues/comments/2")] = {}
    for name, value in github(server, tmp_path).items():
        monkeypatch.setenv(name, value)
    assert cli.run(["ci", "comment", str(page)]) == 0
    assert "up to date" in capsys.readouterr().out
