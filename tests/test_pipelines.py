"""The examples for pipelines: right by the schemas of their CIs, without secrets, and with commands that there are."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tests.cli.test_commands import resolved

WHERE = Path(__file__).parent.parent / "examples" / "pipelines"
GITHUB, GITLAB, AZURE = (WHERE / name for name in ("github.yml", "gitlab.yml", "azure-pipelines.yml"))
SCHEMAS = {
    GITHUB: ("vendor.github-workflows",),
    GITLAB: ("vendor.gitlab-ci", "--data-transform", "gitlab-ci"),
    # its patterns are no Unicode patterns of ECMAScript
    AZURE: ("vendor.azure-pipelines", "--data-transform", "azure-pipelines", "--regex-variant", "nonunicode"),
}


@pytest.mark.parametrize("file", SCHEMAS, ids=lambda file: file.name)
def test_each_is_right_by_the_schema_of_its_ci(file: Path) -> None:
    ran = checked(file, *SCHEMAS[file])
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("file", SCHEMAS, ids=lambda file: file.name)
def test_a_mistake_would_be_found(file: Path, tmp_path: Path) -> None:
    wrong = tmp_path / file.name
    text = file.read_text(encoding="utf-8")
    wrong.write_text(re.sub(r"(?m)^( *)(runs-on|stage|pool): .*|^pool:", r"\1needs: {a: 1}", text), encoding="utf-8")
    assert checked(wrong, *SCHEMAS[file]).returncode != 0


def checked(file: Path, schema: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *options, str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_auditor_of_workflows_has_nothing_to_say() -> None:
    command = [str(Path(sys.executable).parent / "zizmor"), "--offline", "--no-config", "--format", "json"]
    ran = subprocess.run([*command, "--persona", "pedantic", str(GITHUB)], capture_output=True, text=True, check=False)
    assert json.loads(ran.stdout) == []


def jobs() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(GITHUB.read_text(encoding="utf-8"))["jobs"]
    return found


def test_github_actions_are_pinned_and_no_job_may_do_more_than_it_needs() -> None:
    workflow = yaml.safe_load(GITHUB.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {}
    assert {name: job["permissions"] for name, job in jobs().items()} == {
        "plan": {"contents": "read", "id-token": "write"},
        "comment": {"pull-requests": "write"},
        "apply": {"contents": "read", "id-token": "write"},
    }
    used = [step["uses"] for job in jobs().values() for step in job["steps"] if "uses" in step]
    assert used
    assert [name for name in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", name)] == []


@pytest.mark.parametrize("file", [*SCHEMAS, WHERE / "store.sh"], ids=lambda file: file.name)
def test_no_secret_is_stored(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert not re.search(r"secrets\.|client-secret|CLIENT_SECRET|password:", text, re.IGNORECASE)


def test_what_a_pull_request_runs_signs_in_as_another_than_what_applies() -> None:
    assert "PREVIEW_CLIENT_ID" in json.dumps(jobs()["plan"])
    assert "PREVIEW_CLIENT_ID" not in json.dumps(jobs()["apply"])
    assert jobs()["apply"]["environment"] == "production"
    gitlab = yaml.safe_load(GITLAB.read_text(encoding="utf-8"))
    on_merge_request = [rule for rule in gitlab["plan"]["rules"] if "merge_request_event" in rule["if"]]
    assert [rule["variables"]["CLIENT_ID"] for rule in on_merge_request] == ["$PREVIEW_CLIENT_ID"]
    assert "merge_request_event" not in json.dumps(gitlab["apply"])
    azure = yaml.safe_load(AZURE.read_text(encoding="utf-8"))
    assert "ne(variables['Build.Reason'], 'PullRequest')" in azure["stages"][1]["condition"]


def scripts(found: Any) -> Iterator[str]:
    """Every script in a pipeline; a list of lines is one."""
    if isinstance(found, dict):
        for key, value in found.items():
            if key in ("run", "script", "inlineScript", "before_script"):
                yield value if isinstance(value, str) else "\n".join(value)
            yield from scripts(value)
    elif isinstance(found, list):
        for one in found:
            yield from scripts(one)


ALL = [
    (file.name, script) for file in SCHEMAS for script in scripts(yaml.safe_load(file.read_text(encoding="utf-8")))
] + [("store.sh", (WHERE / "store.sh").read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("name", "script"), ALL)
def test_a_shell_reads_every_script(name: str, script: str) -> None:
    ran = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_every_command_of_the_runner_is_one_with_these_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = "\n".join(script for _, script in ALL).replace("\\\n", " ")
    variables = {r"\$\{\w+:\+(--changed-since) [^}]*\}": r"\1 main", r"\$\(options\)": "--with platforms/preview.yaml"}
    for pattern, value in variables.items():
        said = re.sub(pattern, value, said)
    commands = re.findall(r"^lzr .*?(?=\|\||$)", said, re.MULTILINE)
    assert len(commands) == 9
    for command in commands:
        found, rest = resolved(shlex.split(command, comments=True)[1:])
        with click.Context(found, ignore_unknown_options=False) as context:
            found.parse_args(context, rest)
