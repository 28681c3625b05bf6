"""Runs that mean harm, or are beyond all measure: each ends as a clear failed run, and the agent keeps working."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from runner.agent import programs
from runner.terraform import process
from tests.agent.mesh import Mesh
from tests.agent.test_terraform import statuses, steps


@pytest.fixture(autouse=True)
def _goes_on(mesh: Mesh) -> Iterator[None]:
    """After each of them an ordinary run is executed as ever."""
    yield
    assert mesh.done(definition={"type": "MANUAL"})["status"] == "SUCCEEDED"


def script(mesh: Mesh, text: str, **more: Any) -> dict[str, Any]:
    return mesh.terraform(preRunScript=text, **more)


def test_a_huge_output_is_shown_by_its_beginning_and_its_end(mesh: Mesh) -> None:
    run = mesh.done(definition=script(mesh, "echo first; seq 1 400000; echo last"))
    text = steps(run)["pre_run_script"]["systemMessage"]
    assert run["status"] == "SUCCEEDED"
    assert len(text) < 600 * 1024
    assert text.startswith("first\n1\n2\n")
    assert text.endswith("400000\nlast")
    assert "lines are left out here" in text


def test_an_endless_log_is_stopped(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "MOST_OUTPUT", 1024 * 1024)
    run = mesh.done(definition=script(mesh, "yes endless"))
    assert run["status"] == "FAILED"
    assert "It wrote too much" in steps(run)["pre_run_script"]["userMessage"]
    assert process.found_with(programs.MARK, run["uuid"]) == []


def test_a_line_without_an_end_is_cut(mesh: Mesh) -> None:
    run = mesh.done(definition=script(mesh, "head -c 3000000 /dev/zero | tr '\\0' x"))
    assert run["status"] == "SUCCEEDED"
    assert len(steps(run)["pre_run_script"]["systemMessage"]) <= 384 * 1024


def test_a_script_that_ignores_being_stopped_and_forks_leaves_nothing_behind(mesh: Mesh) -> None:
    mesh.configure(timeoutMins=0.01)
    mesh.settings["LZR_LIMITS__GRACE"] = "0.3"
    text = "trap '' INT TERM; (setsid sleep 600 &) ; (sleep 600 &) ; while true; do sleep 1; done"
    run = mesh.done(definition=script(mesh, text))
    assert run["status"] == "FAILED"
    assert "It took too long" in steps(run)["pre_run_script"]["userMessage"]
    assert "had to be killed" in steps(run)["pre_run_script"]["systemMessage"]
    assert process.found_with(programs.MARK, run["uuid"]) == []


def test_a_process_that_outlives_a_run_that_went_well_is_ended_too(mesh: Mesh) -> None:
    run = mesh.done(definition=script(mesh, "(setsid sleep 600 >/dev/null 2>&1 &); echo done"))
    assert run["status"] == "SUCCEEDED"
    assert process.found_with(programs.MARK, run["uuid"]) == []


def test_bytes_that_are_no_text_are_replaced(mesh: Mesh) -> None:
    run = mesh.done(
        definition=script(mesh, "printf 'a\\xff\\xfe\\x00b\\n'; printf '\\xc3' > \"$MESHSTACK_USER_MESSAGE\"")
    )
    assert run["status"] == "SUCCEEDED"
    assert steps(run)["pre_run_script"]["systemMessage"] == "a\ufffd\ufffd\ufffdb"


def test_a_run_of_16_mb_is_executed_as_any_other(mesh: Mesh) -> None:
    files: dict[str, str | bytes] = {
        "main.tf": 'variable "big" {\n  type = string\n}\noutput "size" {\n  value = length(var.big)\n}\n'
    }
    big = "x" * (15 * 1024 * 1024)
    run = mesh.done(definition=mesh.terraform(files, name="big"), inputs=[{"key": "big", "value": big}])
    assert run["status"] == "SUCCEEDED"
    assert run["outputs"]["size"]["value"] == len(big)


def test_a_run_that_is_larger_than_any_is_not_read(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("runner.agent.one_run.LARGEST_RUN", 1000)
        run = mesh.done(definition=mesh.terraform(), inputs=[{"key": "region", "value": "x" * 2000}])
    assert run["status"] == "FAILED"
    assert "too large" in run["steps"][0]["userMessage"]


@pytest.mark.parametrize(
    ("one", "told"),
    [
        ({"key": "../../evil", "type": "FILE", "value": "data:;base64,eA=="}, "no name for a file"),
        ({"key": "evil.tf", "type": "FILE", "value": "data:;base64,eA=="}, "no name for a file"),
        ({"key": ".terraform", "type": "FILE", "value": "data:;base64,eA=="}, "no name for a file"),
        ({"key": "note", "type": "FILE", "value": "no data URL"}, "no data URL"),
        ({"key": "note", "type": "FILE", "value": "data:;base64,$$"}, "no base64"),
        (
            {"key": "note", "type": "FILE", "value": "data:,x", "isEnvironment": True},
            "cannot be an environment variable",
        ),
        ({"key": 'x" = 1\ny', "value": "v"}, "no name of a variable"),
        ({"key": "A=B", "value": "v", "isEnvironment": True}, "no name of an environment variable"),
        ({"key": "NUL", "value": "a\0b", "isEnvironment": True}, "NUL character"),
    ],
)
def test_an_input_that_would_be_something_else_is_refused(mesh: Mesh, one: dict[str, Any], told: str) -> None:
    run = mesh.done(definition=mesh.terraform(), inputs=[one])
    assert run["status"] == "FAILED"
    assert statuses(run)["input"] == "FAILED"
    assert told in steps(run)["input"]["userMessage"]


def test_a_file_cannot_be_written_through_a_link_of_the_repository(mesh: Mesh) -> None:
    from tests.agent.test_sources import committed_link

    mesh.terraform()
    definition = committed_link(mesh, "note", "main.tf")
    run = mesh.done(definition=definition, inputs=[{"key": "note", "type": "FILE", "value": "data:;base64,eA=="}])
    assert run["status"] == "FAILED"
    assert "a link or a folder of that name" in steps(run)["input"]["userMessage"]


def test_code_that_reads_the_agents_files_sees_neither_key_nor_store(mesh: Mesh) -> None:
    """The process runs as the agent's user, so what must not be read is not where a run could guess it, or needs the store's key."""
    run = mesh.done(definition=script(mesh, 'env; cat "$HOME/.netrc" 2>/dev/null || true; ls -la ../private'))
    text = steps(run)["pre_run_script"]["systemMessage"]
    assert mesh.stack.client_secret not in text
    assert mesh.stack.token(run["uuid"]) not in text
    assert "BEGIN" not in text


def test_expressions_in_plain_values_are_text(mesh: Mesh) -> None:
    value = '${file("/etc/passwd")} %{ if true }x%{ endif } " \\ \n'
    run = mesh.done(definition=mesh.terraform(), inputs=[{"key": "region", "value": value}])
    assert run["outputs"]["region"]["value"] == value


def test_a_run_without_a_building_block_is_told_as_unreadable(mesh: Mesh) -> None:
    run = mesh.done(definition={"type": "TERRAFORM"})
    assert run["status"] == "FAILED"
    assert "repositoryUrl" in run["steps"][0]["userMessage"]
