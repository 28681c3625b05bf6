"""`lzr ci`: a plan and its apply in two jobs, told to people and to programs; and what a CI's agent takes for commands."""

from __future__ import annotations

import io
import json
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import cli
from runner.cli import handing, outcome, progress
from runner.cli.handing import Ci, at_hand, harmless
from runner.domain.run import Run, Status
from runner.errors import InputError, RemoteFailed
from tests.cli.test_changed_since import committed, git
from tests.cli.test_words import a_run
from tests.estate import TENANT, Estate

if TYPE_CHECKING:
    from runner.wiring import Runner

GITHUB = {"GITHUB_ACTIONS": "true"}
GITLAB = {"GITLAB_CI": "true"}
AZURE = {"TF_BUILD": "True"}


@pytest.fixture(autouse=True)
def _no_ci_of_the_tests_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD"):
        monkeypatch.delenv(name, raising=False)


# --- The whole way ---------------------------------------------------------------------------------------------------


def test_a_plan_is_told_everywhere_and_its_result_is_what_is_applied(estate: Estate, tmp_path: Path) -> None:
    leaving = estate.add_tenant(2)
    estate.lzr("tenant", "delete", leaving, "documents", "--reason", "project ended")
    estate.lzr("tenant", "approve-deletion", leaving)
    summary, outputs = tmp_path / "summary.md", tmp_path / "outputs"
    there: dict[str, Any] = GITHUB | {
        "GITHUB_STEP_SUMMARY": str(summary),
        "GITHUB_OUTPUT": str(outputs),
        "GITHUB_ACTOR": "anna",
        "GITHUB_REPOSITORY": "corp/zones",
        "GITHUB_RUN_ID": "17",
    }
    files = ("--markdown", "review.md", "--result", "planned.json")
    planned = estate.lzr("ci", "plan", "documents", *files, code=3, **there)
    result = json.loads((estate.directory / "planned.json").read_text(encoding="utf-8"))
    assert (result["overall"], result["exitCode"], result["changes"]) == ("refused", 3, True)
    (run,) = result["runs"]
    assert (run["tenant"], run["status"], run["failure"]) == (TENANT, "waiting", None)
    assert run["counts"] == {**run["counts"], "add": 8, "change": 1, "destroy": 0} == result["counts"]
    assert "leaves-management-group" in {risk["code"] for risk in run["risks"]}
    assert [(one["tenant"], one["error"]["family"]) for one in result["refused"]] == [(leaving, "refused")]
    page = (estate.directory / "review.md").read_text(encoding="utf-8")
    assert f"### `{TENANT}` waits for approval" in page
    assert f"### `{leaving}` is refused" in page
    assert summary.read_text(encoding="utf-8") == page
    assert outputs.read_text(encoding="utf-8").splitlines() == ["overall=refused", "changes=true"]
    assert re.search(rf"^::group::{TENANT}: waiting, run .+?^::endgroup::$", planned.stdout, re.DOTALL | re.MULTILINE)
    assert planned.stderr == ""

    still = estate.lzr("ci", "apply", "planned.json", "--result", "applied.json", code=6, **there)
    assert "waits for approval" in still.stdout
    approving = ("--approve", "--comment", "in the environment production", "--result", "applied.json")
    estate.lzr("ci", "apply", "planned.json", *approving, **there)
    result = json.loads((estate.directory / "applied.json").read_text(encoding="utf-8"))
    assert (result["overall"], result["changes"]) == ("done", False)
    assert [(one["id"], one["status"]) for one in result["runs"]] == [(run["id"], "applied")]
    with estate.store() as store:
        (approval,) = store.runs.approvals(run["id"])
        assert approval.by == "anna (GitHub corp/zones run 17)"
        assert (approval.comment, approval.digest) == ("in the environment production", run["digest"])
        assert store.runs.get(run["id"]).requested_by == "anna (GitHub corp/zones run 17)"
    assert "is as it should be now" in estate.lzr("ci", "apply", "planned.json").stdout  # a job that is tried again


def test_only_the_digest_that_was_planned_is_applied(estate: Estate) -> None:
    estate.lzr("ci", "plan", "documents", "--result", "planned.json", code=6)
    file = estate.directory / "planned.json"
    planned = json.loads(file.read_text(encoding="utf-8"))
    planned["runs"][0]["digest"] = "0" * 64
    file.write_text(json.dumps(planned), encoding="utf-8")
    told = estate.lzr("ci", "apply", "planned.json", "--approve", "--result", "applied.json", code=3)
    assert "Another digest" in told.stdout + told.stderr
    (refused,) = json.loads((estate.directory / "applied.json").read_text(encoding="utf-8"))["refused"]
    assert (refused["tenant"], refused["error"]["code"]) == (TENANT, "digest-mismatch")
    assert not estate.runs(Status.APPLIED, Status.APPROVED)


def test_what_policy_approved_is_applied_and_what_another_plan_replaced_is_not(estate: Estate) -> None:
    estate.decided_by("never")
    estate.lzr("ci", "plan", "documents", "--result", "old.json")
    estate.lzr("ci", "plan", "documents", "--result", "new.json")
    old = estate.lzr("ci", "apply", "old.json", code=3)
    assert "is superseded" in old.stdout + old.stderr
    estate.lzr("ci", "apply", "new.json")
    assert len(estate.runs(Status.APPLIED)) == 1


def test_nothing_changed_is_fine_and_documents_that_are_wrong_are_told_everywhere(estate: Estate) -> None:
    git(estate.documents, "init", "-q", "-b", "main")
    committed(estate.documents)
    files = ("--markdown", "review.md", "--result", "planned.json")
    estate.lzr("ci", "plan", "documents", "--changed-since", "main", *files)
    result = json.loads((estate.directory / "planned.json").read_text(encoding="utf-8"))
    assert (result["overall"], result["changes"], result["runs"]) == ("done", False, [])
    assert "nothing to plan" in (estate.directory / "review.md").read_text(encoding="utf-8")
    (estate.documents / "wrong.yaml").write_text("kind: Tenant\n", encoding="utf-8")
    estate.lzr("ci", "plan", "documents", *files, code=2)
    result = json.loads((estate.directory / "planned.json").read_text(encoding="utf-8"))
    assert (result["overall"], result["error"]["family"]) == ("wrong-input", "input")
    assert "not done" in (estate.directory / "review.md").read_text(encoding="utf-8")


def test_of_many_runs_each_is_told_when_it_has_come_to_rest(capsys: pytest.CaptureFixture[str]) -> None:
    from runner.cli.ci import _followed

    runs = {name: a_run(name, Status.UNCHANGED) for name in ("r1", "r2", "r3", "r4")}

    class Rested:
        """As much of a runner as following asks, where every run has ended."""

        def __init__(self) -> None:
            self.ports = self.runs = self

        def events(self, run_id: str, after: int = 0) -> tuple[()]:
            return ()

        def standing(self, ids: list[str]) -> dict[str, tuple[Status, int]]:
            return dict.fromkeys(ids, (Status.UNCHANGED, 0))

        def get(self, run_id: str) -> Run:
            return runs[run_id]

    followed = _followed(cast("Runner", Rested()), list(runs.values()), through=progress.PLANNING)
    assert [run.id for run in followed] == list(runs)
    assert capsys.readouterr().out.splitlines()[-1] == "  4 of 4  tenant-of-r4 is unchanged"


# --- What is read again ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("no json", "it is not JSON"),
        ("[]", "dictionary"),
        ('{"version": 2, "runs": []}', "version"),
        ('{"version": 1, "runs": [{"id": "r"}]}', "runs.0.tenant"),
        ('{"version": 1, "runs": [{"id": "r", "tenant": "t", "status": "gone", "digest": ""}]}', "runs.0.status"),
        ("[" * 100_000, "it is not JSON"),
    ],
)
def test_a_file_that_is_no_result_is_told_with_what_is_wrong(content: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "planned.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as refused:
        outcome.planned(file)
    assert (refused.value.code, why in refused.value.detail) == ("no-result", True)


def test_a_result_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="This is no result of a plan"):
        outcome.planned(tmp_path / "none.json")


# --- The log and what an agent takes for commands --------------------------------------------------------------------

COMMANDS = re.compile(r"##(\[|vso\[)|^\s*::", re.IGNORECASE | re.MULTILINE)


@given(st.text(alphabet=st.sampled_from("#[:vso]VSO \t\r\nx"), max_size=40))
def test_no_text_is_a_command_for_an_agent(text: str) -> None:
    written = harmless(text)
    assert not any(COMMANDS.search(line) for line in re.split(r"[\r\n]", written))
    assert written.replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    "line",
    ["::set-output name=a::b", "  ::add-path::/evil", "a ##vso[task.setvariable variable=a]b", "x##[set-env name=P]y"],
)
@pytest.mark.parametrize("variables", [GITHUB, GITLAB, AZURE])
def test_what_a_command_prints_is_only_text_there(line: str, variables: dict[str, str]) -> None:
    log = io.StringIO()
    with Ci(at_hand(variables).kind, variables, log).guarded():
        click.echo(line)
        click.echo(f"more\n{line}", err=True)
    assert not COMMANDS.search(log.getvalue())
    assert log.getvalue().count("more") == 1


def test_without_a_ci_nothing_is_changed(capsys: pytest.CaptureFixture[str]) -> None:
    with at_hand({}).guarded():
        click.echo("::notice::x")
        click.echo("told", err=True)
    told = capsys.readouterr()
    assert (told.out, told.err) == ("::notice::x\n", "told\n")


@pytest.mark.parametrize(
    ("variables", "pattern"),
    [
        (GITHUB, r"::group::a%25b⏎::x\ninside\n::endgroup::\n"),
        (AZURE, r"##\[group\]a%b⏎::x\ninside\n##\[endgroup\]\n"),
        (
            GITLAB,
            r"\x1b\[0Ksection_start:\d+:lzr_a_b___x\[collapsed=true\]\r\x1b\[0Ka%b⏎::x\ninside\n"
            r"\x1b\[0Ksection_end:\d+:lzr_a_b___x\r\x1b\[0K\n",
        ),
        ({}, r"a%b⏎::x\ninside\n"),
    ],
)
def test_a_log_folds_where_the_ci_can_and_a_title_is_only_a_title(variables: dict[str, str], pattern: str) -> None:
    log = io.StringIO()
    with redirect_stdout(log):
        ci = at_hand(variables)
        with ci.guarded(), ci.folded("a%b\n::x"):
            click.echo("inside")
    assert re.fullmatch(pattern, log.getvalue())


def test_azure_devops_gets_its_summary_and_its_variables_by_commands(tmp_path: Path) -> None:
    log = io.StringIO()
    ci = Ci("azure", AZURE | {"AGENT_TEMPDIRECTORY": str(tmp_path)}, log)
    ci.summarise("# page")
    ci.hand_on({"overall": "waiting"})
    upload, variable = log.getvalue().splitlines()
    assert Path(upload.removeprefix("##vso[task.uploadsummary]")).read_text(encoding="utf-8") == "# page"
    assert variable == "##vso[task.setvariable variable=overall;isOutput=true]waiting"


def test_a_summary_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    ci = Ci("github", GITHUB | {"GITHUB_STEP_SUMMARY": str(tmp_path / "none" / "summary")}, io.StringIO())
    with pytest.raises(RemoteFailed) as failed:
        ci.summarise("x")
    assert failed.value.code == "result-not-written"


@pytest.mark.parametrize(
    ("variables", "asker"),
    [
        ({}, ""),
        (GITLAB | {"GITLAB_USER_LOGIN": "a", "CI_PROJECT_PATH": "g/p", "CI_JOB_ID": "3"}, "a (GitLab g/p job 3)"),
        (
            AZURE | {"BUILD_REQUESTEDFOR": "A B", "SYSTEM_TEAMPROJECT": "p", "BUILD_BUILDID": "4"},
            "A B (Azure DevOps p build 4)",
        ),
        (GITHUB | {"GITHUB_ACTOR": "x\n\u202e"}, "x⏎<U+202E> (GitHub None run None)"),
    ],
)
def test_who_asked_is_kept_for_the_record(variables: dict[str, str], asker: str) -> None:
    assert at_hand(variables).asker == asker


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    handing.write(tmp_path / "a", "x")
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
    with pytest.raises(RemoteFailed):
        handing.write(tmp_path / "none" / "a", "x")


def test_a_plan_of_nothing_there_fails_before_any_store_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LZR_STORE", str(tmp_path / "store"))
    assert cli.run(["ci", "plan", "nowhere", "--result", "r.json"]) == 2
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["error"]["family"] == "input"
    assert not (tmp_path / "store").exists()
    assert "nowhere" in capsys.readouterr().err
