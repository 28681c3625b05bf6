"""What every module looks like, read off its text."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.modules.workbench import MODULES, NAMES, every_module, run_terraform

FLOORS = {"azapi": ("Azure/azapi", ">= 2.10.0, < 3.0.0"), "azuread": ("hashicorp/azuread", ">= 3.4.0, < 4.0.0")}


class Variable(NamedTuple):
    """One row of the table of inputs."""

    name: str
    type: str
    default: str
    description: str


def test_the_modules_are_those_that_are_tested() -> None:
    assert tuple(sorted(path.name for path in MODULES.iterdir())) == NAMES


@pytest.mark.parametrize("directory", ["modules", "templates"])
def test_everything_is_formatted(directory: str, tmp_path: Path) -> None:
    formatted = run_terraform(["fmt", "-check", "-recursive", "-diff", str(MODULES.parent / directory)], cwd=tmp_path)

    assert formatted.returncode == 0, formatted.stdout + formatted.stderr


@every_module
def test_a_module_has_the_files_that_a_reader_expects(module: Path) -> None:
    expected = {"README.md", "main.tf", "outputs.tf", "terraform.tf", "tests", "variables.tf"}

    assert {path.name for path in module.iterdir() if not path.name.startswith(".terraform")} == expected


@every_module
def test_a_module_asks_for_floors_of_the_providers_it_uses_and_for_no_others(module: Path) -> None:
    used = set(re.findall(r'^(?:resource|data) "(azapi|azuread|\w+?)_', _text(module, "main.tf"), re.MULTILINE)) - {
        "terraform"
    }
    asked = re.findall(r'(\w+) = \{\s+source\s+= "(.+)"\s+version\s+= "(.+)"', _text(module, "terraform.tf"))

    assert {name: (source, version) for name, source, version in asked} == {name: FLOORS[name] for name in used}
    assert 'required_version = ">= 1.9"' in _text(module, "terraform.tf")


@every_module
def test_a_module_configures_no_provider(module: Path) -> None:
    assert not re.search(r"^provider ", "".join(_text(module, path.name) for path in module.glob("*.tf")), re.MULTILINE)


@every_module
def test_every_rule_says_what_must_be_true_and_what_to_do(module: Path) -> None:
    messages = re.findall(r'error_message = "(.+)"$', _text(module, "variables.tf"), re.MULTILINE)

    assert messages
    for message in messages:
        assert re.search(r"\bmust\b.*\. [A-Z].*\.$", message), message


@every_module
def test_the_table_of_inputs_agrees_with_the_variables(module: Path) -> None:
    rows = _table(module, "Inputs")

    assert [Variable(*row) for row in rows] == _variables(module)


@every_module
def test_the_table_of_outputs_agrees_with_the_outputs(module: Path) -> None:
    declared = re.findall(r'^output "(\w+)" \{\n  description = "(.+)"$', _text(module, "outputs.tf"), re.MULTILINE)

    assert len(declared) == _text(module, "outputs.tf").count('output "')
    assert [tuple(row) for row in _table(module, "Outputs")] == declared


@every_module
@pytest.mark.parametrize("heading", ["## Why it is built so", "## Calls", "## Permissions"])
def test_the_readme_says_why_what_it_calls_and_what_it_needs(module: Path, heading: str) -> None:
    assert f"\n{heading}\n" in _text(module, "README.md")


def _text(module: Path, name: str) -> str:
    return (module / name).read_text(encoding="utf-8")


def _variables(module: Path) -> list[Variable]:
    blocks = re.findall(r'^variable "(\w+)" \{\n(.+?)^\}$', _text(module, "variables.tf"), re.MULTILINE | re.DOTALL)
    return [_variable(name, block) for name, block in blocks]


def _variable(name: str, block: str) -> Variable:
    arguments = dict(re.findall(r"^  (type|default|description) += (.+?)(?=^  \w|\Z)", block, re.MULTILINE | re.DOTALL))
    return Variable(
        name=name,
        type=_squeezed(arguments["type"]),
        default=arguments.get("default", "required").strip(),
        description=arguments["description"].strip().strip('"'),
    )


def _table(module: Path, heading: str) -> list[list[str]]:
    """Return the cells of a table, without the marks of code around whole cells."""
    section = _text(module, "README.md").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in section.splitlines()
        if line.startswith("| `")
    ]
    unmarked = [
        [cell.strip("`") if cell.count("`") == 2 and cell.endswith("`") else cell for cell in row] for row in rows
    ]
    return [[row[0], _squeezed(row[1]), *row[2:]] if heading == "Inputs" else row for row in unmarked]


def _squeezed(type_: str) -> str:
    """A type without what differs between one line and several."""
    return re.sub(r"[\s,]", "", type_)
