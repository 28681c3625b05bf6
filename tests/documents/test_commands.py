"""`lzr schema`, `lzr init`, `lzr validate` as people use them."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from runner.cli.documents import KINDS, init, schema, validate
from runner.documents import fields
from runner.errors import InputError
from tests.documents.golden import HERE

lzr = click.Group("lzr", commands=[schema, init, validate])


def run(*arguments: str) -> Result:
    return CliRunner().invoke(lzr, arguments)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_init_writes_a_set_that_validates_and_says_what_comes_next() -> None:
    written = run("init", "my zones")
    assert written.exit_code == 0
    next_command = written.output.strip().splitlines()[-1].strip()
    assert next_command == "lzr validate 'my zones'"
    checked = run(*shlex.split(next_command)[1:])
    assert (checked.exit_code, checked.output) == (
        0,
        "3 documents can be used: 1 platform, 1 landing zone, 1 tenant.\n",
    )


def test_init_overwrites_nothing() -> None:
    run("init", ".")
    Path("platform.yaml").write_text("mine")
    Path("landing-zones/corp-online.yaml").unlink()
    again = run("init")
    assert isinstance(again.exception, InputError)
    assert "platform.yaml" in again.exception.detail
    assert Path("platform.yaml").read_text() == "mine"
    assert not Path("landing-zones/corp-online.yaml").exists()


def test_init_says_so_where_it_may_not_write() -> None:
    Path("file").write_text("x")
    refused = run("init", "file/below")
    assert isinstance(refused.exception, InputError)
    assert refused.exception.code == "cannot-write"


def test_validate_says_everything_that_is_wrong_and_ends_with_two() -> None:
    result = run("validate", str(HERE / "cases" / "management-group.yaml"), str(HERE / "base.yaml"))
    assert result.exit_code == 2
    assert "management-group.yaml:6:27  spec.azureManagementGroupId\n" in result.output
    assert result.output.endswith("4 problems to mend.\n")
    assert "\x1b" not in result.output


def test_validate_prints_warnings_and_ends_with_zero() -> None:
    result = run("validate", str(HERE / "cases" / "warnings.yaml"), str(HERE / "base.yaml"))
    assert result.exit_code == 0
    assert result.output.startswith("10 warnings:\n")
    assert result.output.endswith("11 documents can be used: 3 platforms, 4 landing zones, 4 tenants.\n")


def test_validate_as_json_is_for_programs() -> None:
    wrong = run("validate", "--json", str(HERE / "cases" / "fifty-first-tag.yaml"))
    told = json.loads(wrong.output)
    assert (wrong.exit_code, told["valid"]) == (2, False)
    (problem,) = told["problems"]
    assert set(problem) == {"file", "line", "column", "field", "message", "hint"}
    assert (problem["line"], problem["field"]) == (60, "spec.tenantTags.tagMappers[50]")
    right = run("validate", str(HERE / "base.yaml"), "--json")
    told = json.loads(right.output)
    assert (right.exit_code, told["valid"], told["platforms"]) == (0, True, ["corp", "groups"])


def test_validate_reads_modules_beside_the_documents_as_a_plan_would() -> None:
    run("init", ".")
    zone = Path("landing-zones/corp-online.yaml")
    block = "  buildingBlocks: [{key: hub, source: ./hub, inputs: {}}]\n"
    zone.write_text(zone.read_text(encoding="utf-8") + block, encoding="utf-8")
    Path("landing-zones/hub").mkdir()
    module = Path("landing-zones/hub/main.tf")
    module.write_text('output "x" {\n  value = 1\n}\n', encoding="utf-8")
    assert run("validate", ".").exit_code == 0
    module.write_text('terraform {\n  backend "local" {}\n}\n', encoding="utf-8")
    result = run("validate", ".")
    assert result.exit_code == 2
    assert "spec.buildingBlocks[0].source\n  ./hub: main.tf has a backend" in result.output


def test_many_warnings_are_counted_and_not_all_printed() -> None:
    more = "".join(
        "---\napiVersion: landing-zone-runner/v1\nkind: Tenant\n"
        f"metadata: {{name: more-{number}}}\nspec: {{landingZoneRef: {{name: somebody}}, workspaceIdentifier: w{number}, "
        f"projectIdentifier: q{number}, platformTenantId: 00000000-0000-4000-8000-{number + 100:012}}}\n"
        for number in range(40)
    )
    Path("all.yaml").write_text((HERE / "cases" / "warnings.yaml").read_text() + more)
    result = run("validate", "all.yaml", str(HERE / "base.yaml"))
    assert result.output.startswith("90 warnings:")
    assert "… and 70 more; --json lists all." in result.output


def test_the_kinds_on_the_command_line_are_those_there_are() -> None:
    assert tuple(fields.KINDS) == KINDS


def test_schema_prints_one_kind_or_all_of_them() -> None:
    assert json.loads(run("schema", "tenant").output)["title"] == "Tenant"
    assert set(json.loads(run("schema").output)["properties"]) == {"apiVersion", "kind"}


def test_schema_writes_a_file_for_each_kind_and_one_for_all() -> None:
    result = run("schema", "--all-in", "a/b")
    assert result.exit_code == 0
    names = {"AzurePlatform.schema.json", "LandingZone.schema.json", "Tenant.schema.json", "all.schema.json"}
    assert {path.name for path in Path("a/b").iterdir()} == names
    assert run("schema", "Tenant", "--all-in", "a").exit_code == 2


@pytest.mark.parametrize("command", ["schema", "init", "validate"])
def test_the_examples_in_the_help_work_when_pasted(command: str) -> None:
    text = run(command, "--help").output
    examples = re.findall(r"^ +lzr (.+)$", text[text.index("Example") :], re.MULTILINE)
    assert examples
    for example in examples:
        result = run(*shlex.split(example))
        assert result.exit_code == 0, (example, result.output)


def test_nothing_heavy_is_imported_for_help() -> None:
    code = "import runner.cli.documents, sys; print([m for m in ('pydantic', 'yaml', 'runner.domain') if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=HERE.parents[1]
    )
    assert result.stdout.strip() == "[]"
