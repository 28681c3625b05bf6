"""`lzr --server`: the same commands about runs on a server say the same words and end with the same codes as on this machine."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner import cli
from runner.cli import remote
from runner.domain.events import Kind
from runner.domain.run import APPLY, Run, Status
from tests.web.api_server import Served
from tests.web.serving import TENANT

pytest_plugins = ("tests.web.api_fixtures",)

Lzr = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lzr:
    """`lzr` on this machine, about the very store that the server has: exit code, output, errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with monkeypatch.context() as patched:
            for name in ("LZR_SERVER", "LZR_SERVER_TOKEN"):
                patched.delenv(name, raising=False)
            patched.setenv("LZR_STORE", str(tmp_path / "store"))
            patched.setenv("LZR_STORE_KEY_FILE", str(tmp_path / "key"))
            patched.setenv("LZR_AUDIT_KEY_FILE", str(tmp_path / "audit-key"))
            patched.setattr("runner.cli.places.getpass.getuser", lambda: "the tests (token:x)")
            return _told(cli.run(arguments), capsys)

    return run


def secret(served: Served, role: str) -> str:
    """The token of the role's client."""
    return str(served.client(role).headers["authorization"]).removeprefix("Bearer ")


@pytest.fixture
def there(served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lzr:
    """`lzr` that asks the server."""
    monkeypatch.setenv("LZR_SERVER_TOKEN", secret(served, "admin"))
    monkeypatch.setattr(remote, "_PAUSE", 0.05)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("LZR_SERVER", served.url)
        return _told(cli.run(arguments), capsys)

    return run


def _told(code: int, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    read = capsys.readouterr()
    return code, read.out, read.err


def neutral(text: str) -> str:
    """Without names of whoever asked or approved, moments, and entries that are for the runner itself to go on with."""
    text = re.sub(r".* done: what .*\n", "", text)
    return re.sub(r"\d+ s ago", "now", re.sub(r"\S+ \S+ \(token:\w+\)", "SOMEBODY", text))


def worked(served: Served, waiting: Run) -> Run:
    """The run, with what its planning told."""
    for kind, data in (
        (Kind.STEP_STARTED, {"name": "plan"}),
        (Kind.LOG, {"step": "plan", "level": "info", "text": "azapi: reading"}),
        (Kind.STEP_SUCCEEDED, {"name": "plan", "seconds": 2.5, "note": "8 to add"}),
        (Kind.WARNING, {"code": "person-not-found", "text": "Nobody is old.name@corp.example."}),
        (Kind.OUTPUT, {"name": "group_ids", "value": {"admin": "0b1f"}}),
        (Kind.DONE, {"what": "function", "result": {"status": 200, "body": {"message": "done"}}}),
    ):
        served.ports.runs.append(waiting.id, kind, data, now=served.ports.now())
    return waiting


@pytest.fixture
def executing(served: Served) -> Iterator[Callable[..., None]]:
    """Something that executes: what is pending is planned to this status, and what is to be applied is applied."""
    over, planned = threading.Event(), [Status.WAITING]

    def step() -> None:
        runs = served.ports.runs
        for run in runs.unclaimed(limit=10):
            served.moved(run, Status.PLANNING)
            from tests.domain.test_review import made
            from tests.web.serving import reviewed

            reviewed(served.site, run, made())
            runs.append(run.id, Kind.STEP_STARTED, {"name": "plan"}, now=served.ports.now())
            runs.append(run.id, Kind.STEP_SUCCEEDED, {"name": "plan", "seconds": 0.1}, now=served.ports.now())
            served.moved(run, planned[0])
        for run in runs.find(statuses=(Status.APPROVED,)):
            if run.options.get(APPLY):
                served.moved(run, Status.APPLYING, Status.APPLIED)

    def background() -> None:
        while not over.wait(0.02):
            step()

    def to(status: Status) -> None:
        planned[0] = status

    thread = threading.Thread(target=background, daemon=True)
    thread.start()
    yield to
    over.set()
    thread.join()


# --- The same as here --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("runs",),
        ("runs", "--json"),
        ("runs", TENANT, "--status", "waiting"),
        ("runs", "--status", "failed"),
        ("runs", "--status", "nonsense"),
        ("run", "RUN"),
        ("run", "RUN", "--json"),
        ("run", "RUN", "--log"),
        ("run", "RUN", "--follow"),
        ("review", "RUN"),
        ("review", "RUN", "--all"),
        ("review", "RUN", "--json"),
        ("review", "BEGINNING"),
        ("review", "nobody-knows-it"),
        ("approve", "RUN", "--digest", "0123456789ab"),
        ("approve", "RUN", "--digest", "0123"),
        ("approve", "RUN"),
        ("apply", "RUN"),
    ],
    ids=" ".join,
)
def test_the_same_is_said_with_the_same_code(served: Served, here: Lzr, there: Lzr, arguments: tuple[str, ...]) -> None:
    run = worked(served, served.waiting(contents=("rg-network",), reason="new cost centre"))
    given = [{"RUN": run.id, "BEGINNING": run.id[:-1]}.get(one, one) for one in arguments]
    if arguments == ("apply", "RUN"):  # without an engine here: only what is refused is the same
        assert there(*given)[0] == 3
        return
    on_server, on_machine = there(*given), here(*given)
    if "--json" in arguments and on_machine[0] == 0:
        assert shaped(json.loads(on_server[1])) == shaped(json.loads(on_machine[1]))
    else:
        assert tuple(map(neutral, map(str, on_server))) == tuple(map(neutral, map(str, on_machine)))


def shaped(told: Any) -> Any:
    """What was told, without what only the machine knows of a run: where its documents are, and the options that it keeps."""
    if isinstance(told, list):
        return [shaped(one) for one in told]
    if isinstance(told, dict):
        if {"tenant", "status"} <= set(told):
            assert {"source", "documents", "options"} <= set(told)
            told = told | {"source": "", "documents": "", "options": {}}
        return {name: shaped(value) for name, value in told.items()}
    return re.sub(r"Z$", "+00:00", told) if isinstance(told, str) else told


@pytest.mark.parametrize("command", ["approve", "reject", "cancel"])
def test_deciding_says_the_same_and_does_the_same(served: Served, here: Lzr, there: Lzr, command: str) -> None:
    said = []
    for lzr in (there, here):
        run = served.waiting()
        told = lzr(command, run.id)
        said.append(tuple(neutral(str(one)).replace(run.id, "RUN") for one in told))
        said.append((served.ports.runs.get(run.id).status.value,))
    assert said[:2] == said[2:]
    assert said[0][0] == "0"


# --- Working -------------------------------------------------------------------------------------------------------------


def test_a_tenant_is_planned_approved_and_applied(
    served: Served, there: Lzr, executing: Callable[[Status], None]
) -> None:
    code, out, err = there("plan", "--tenant", TENANT, "--reason", "new cost centre")
    assert (code, "✓ plan" in err) == (6, True)
    assert "Approve exactly this" in out
    (run,) = served.ports.runs.find()
    assert (run.reason, run.options.get("plan_only")) == ("new cost centre", True)
    code, out, _ = there("approve", run.id[-8:], "--digest", run.digest[:12])
    assert code == 0
    assert f"lzr apply {run.id}" in out
    code, out, _ = there("apply", run.id, "--json")
    assert (code, json.loads(out)["runs"][0]["status"]) == (0, "applied")


def test_a_run_that_policy_approves_is_carried_through(
    served: Served, there: Lzr, executing: Callable[[Status], None]
) -> None:
    executing(Status.UNCHANGED)
    code, out, _ = there("reconcile", "-t", TENANT)
    assert code == 0
    assert "is as it should be" in out


def test_without_a_terminal_nobody_is_asked(served: Served, there: Lzr, executing: Callable[[Status], None]) -> None:
    code, out, _ = there("reconcile", "-t", TENANT, "--json")
    assert code == 6
    (run,) = json.loads(out)["runs"]
    assert (run["status"], run["changes"], run["review"]["run"]) == ("waiting", False, run["id"])


def test_whoever_is_there_approves_and_the_server_applies(
    served: Served, there: Lzr, executing: Callable[[Status], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    asked: list[str] = []

    def answer(question: str, **_: Any) -> str:
        asked.append(question)
        return "y"

    monkeypatch.setattr("click.prompt", answer)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    code, _, _ = there("reconcile", "-t", TENANT)
    assert asked == ["Approve and apply exactly this?"]
    assert (code, served.ports.runs.find()[0].status) == (0, Status.APPLIED)


def test_a_tenant_leaves(served: Served, there: Lzr, executing: Callable[[Status], None]) -> None:
    assert there("destroy", TENANT, "--move-to", "decommissioned")[0] == 6
    (run,) = served.ports.runs.find()
    assert (run.behavior, run.options["move_to"]) == ("destroy", "decommissioned")


def test_a_tenant_that_cannot_be_run_is_told_and_the_others_go_on(
    served: Served, there: Lzr, executing: Callable[[Status], None]
) -> None:
    code, _, err = there("plan", "-t", TENANT, "-t", "nobody")
    assert code == 2
    assert "nobody:\nThere is no such tenant" in err
    assert len(served.ports.runs.find()) == 1
    code, _, err = there("plan", "-t", "nobody")
    assert (code, "There is no such tenant" in err) == (2, True)


def test_a_log_is_followed_where_it_was_when_the_stream_broke_off(
    served: Served, there: Lzr, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runner.web.api import streams

    monkeypatch.setattr(streams, "_LONGEST", 0.3)  # it breaks off a few times
    run = served.moved(served.started(), Status.PLANNING)

    def work() -> None:
        for number in range(30):
            line = {"step": "plan", "level": "info", "text": f"line {number}"}
            served.ports.runs.append(run.id, Kind.LOG, line, now=served.ports.now())
            threading.Event().wait(0.05)
        served.moved(run, Status.FAILED)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    code, out, _ = there("run", run.id, "--follow")
    worker.join()
    assert code == 0
    assert re.findall(r"line (\d+)", out) == [str(number) for number in range(30)]


# --- What goes wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("plan", "documents", "-t", TENANT), "documents-are-the-servers"),
        (("reconcile", "-t", TENANT, "--changed-since", "HEAD"), "documents-are-the-servers"),
        (("plan",), "no-tenant"),
        (("store", "check"), "on-the-machine-only"),
        (("state", "versions", TENANT), "on-the-machine-only"),
        (("tenant", "show", TENANT), "on-the-machine-only"),
        (("tenants", "leaving"), "on-the-machine-only"),
    ],
    ids=str,
)
def test_what_a_server_is_not_asked_for_is_said(there: Lzr, arguments: tuple[str, ...], code: str) -> None:
    ended, out, err = there(*arguments, "--json")
    assert ended == 2, err
    assert json.loads(out)["error"]["code"] == code


def test_the_option_is_the_same_as_the_variable(
    served: Served, there: Lzr, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = served.started()
    monkeypatch.setenv("LZR_SERVER", "https://other.example")
    assert cli.run(["--server", f"{served.url}/", "runs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["id"] == run.id


def test_a_token_may_be_in_a_file_and_never_is_an_argument(
    served: Served, there: Lzr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text(secret(served, "viewer") + "\n", encoding="utf-8")
    monkeypatch.delenv("LZR_SERVER_TOKEN")
    assert "No token for the server" in there("runs")[2]
    monkeypatch.setenv("LZR_SERVER_TOKEN_FILE", str(file))
    assert there("runs")[0] == 0
    code, _, err = there("cancel", served.started().id)
    assert (code, "Not allowed" in err) == (3, True)
    file.write_text("nonsense", encoding="utf-8")
    assert there("runs")[0] == 3
    file.write_bytes(b"two\nlines")
    assert "cannot be read" in there("runs")[2]
    monkeypatch.setenv("LZR_SERVER_TOKEN_FILE", str(tmp_path / "none"))
    code, _, err = there("runs")
    assert (code, "No such file" in err) == (2, True)


def test_in_a_pipeline_of_github_its_identity_is_shown_and_asked_for_again(
    served: Served, there: Lzr, monkeypatch: pytest.MonkeyPatch
) -> None:
    import http.server

    asked: list[tuple[str, str | None]] = []
    tokens = ["a.b.c", secret(served, "viewer")]

    class Issuer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Authorization"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"value": tokens.pop(0)}).encode())

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Issuer) as issuer:
        thread = threading.Thread(target=issuer.serve_forever, daemon=True)
        thread.start()
        monkeypatch.delenv("LZR_SERVER_TOKEN")
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"http://127.0.0.1:{issuer.server_port}/token?api-version=2")
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "secret-of-the-job")
        assert there("runs")[0] == 0  # the first one was not good any more
        issuer.shutdown()
        thread.join()
    assert len(asked) == 2
    assert asked[0][1] == "Bearer secret-of-the-job"
    assert "api-version=2&audience=http" in asked[0][0]


def test_a_server_that_is_away_or_is_none_is_told(
    served: Served, there: Lzr, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(remote, "_PATIENCE", 0.1)
    assert cli.run(["--server", "http://127.0.0.1:1", "runs"]) == 5
    assert "The server does not answer" in capsys.readouterr().err
    assert cli.run(["--server", "http://lzr.example", "runs"]) == 2
    assert "no address of a server" in capsys.readouterr().err
