"""Inputs as HCL: whatever a value is, it arrives as that value and as nothing else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import hcl2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.agent.inputs import expression_of, literal, strings_of
from runner.terraform.engine import discover

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1), inner, max_size=3
        )
    ),
    max_leaves=8,
)


def test_values_survive_the_engine_itself(tmp_path: Path) -> None:
    """Hypothesis makes the values, and one plan of the real engine reads all of them."""
    values: list[Any] = []

    @given(JSON)
    @settings(max_examples=150, database=None, derandomize=True)
    def collect(value: Any) -> None:
        values.append(value)

    collect()
    values += ["${path.module}", "%{ if true }", "a\\n", '"', "\u2028", "$${x}", "<<EOT", "\r\n", "\t"]
    tfvars = "".join(f"v{number} = {literal({'it': value})}\n" for number, value in enumerate(values))
    (tmp_path / "in.auto.tfvars").write_text(tfvars, encoding="utf-8")
    (tmp_path / "main.tf").write_text(
        "".join(
            f'variable "v{n}" {{\n  type = any\n}}\noutput "o{n}" {{\n  value = jsonencode(var.v{n})\n}}\n'
            for n in range(len(values))
        ),
        encoding="utf-8",
    )
    terraform = discover(None).argv
    for arguments in (["init", "-input=false"], ["apply", "-auto-approve", "-input=false"]):
        ran = subprocess.run([*terraform, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr[-2000:]
    said = subprocess.run([*terraform, "output", "-json"], cwd=tmp_path, capture_output=True, check=True).stdout
    outputs = json.loads(said)
    seen = [json.loads(outputs[f"o{number}"]["value"])["it"] for number in range(len(values))]
    assert seen == [nfc(value) for value in values]


def nfc(value: Any) -> Any:
    """As Terraform gives text back: it normalises every string (NFC)."""
    import unicodedata

    match value:
        case str():
            return unicodedata.normalize("NFC", value)
        case list():
            return [nfc(part) for part in value]
        case dict():
            return {nfc(key): nfc(part) for key, part in value.items()}
        case _:
            return value


@given(st.text(max_size=40))
@settings(max_examples=200)
def test_what_counts_as_an_expression_is_one_value_and_nothing_beside_it(text: str) -> None:
    if (expression := expression_of(text)) is not None:
        assert [key for key in hcl2.loads(f"x = {expression}\n") if not key.startswith("__")] == ["x"]


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ('{"a": 1}', '{"a" = 1}'),
        ("[1, 2,\n]", "[1, 2,\n]"),
        ('{ a = "b" }', '{ a = "b" }'),
        ("true", "true"),
        ("null", "null"),
        ('"${file(1)}"', '"$${file(1)}"'),
        ('"plain ${text}"', '"plain $${text}"'),
        ("", None),
        ("two words", None),
        ("a_name", None),
        ("1\nother = 2", None),
        ("} x {", None),
        ("x {\n}", None),
    ],
)
def test_expressions(text: str, expression: str | None) -> None:
    assert expression_of(text) == expression


def test_variables_of_type_string_are_found_in_both_forms() -> None:
    code = {
        "a.tf": 'variable "x" {\n  type = string\n}\nvariable "y" {\n  type = list(string)\n}\nvariable "z" {}',
        "b.tf.json": json.dumps({"variable": {"j": {"type": "string"}, "k": {"type": "number"}}}),
        "broken.tf": "variable {{{",
    }
    assert strings_of(code) == {"x", "j"}
