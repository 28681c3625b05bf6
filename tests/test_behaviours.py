"""The README's tables of what the source documents and meshStack's contract ask for are honest: every test that it names is there."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.golden import PROVED, ROOT, behaviours

TESTS = ROOT / "tests"
ROWS = [row for file in PROVED for _, rows in behaviours(file) for row in rows]
NAMED = sorted({test for row in ROWS for test in row.get("tests", ())})


@cache
def functions_of(file: Path) -> frozenset[str]:
    """Names of the test functions in a file, those in classes as well."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


@pytest.mark.parametrize("named", NAMED)
def test_a_test_that_proves_a_behaviour_is_there(named: str) -> None:
    file, _, name = named.partition("::")
    assert name in functions_of(TESTS / file)


def test_every_behaviour_is_proved_or_said_to_be_missing() -> None:
    for row in ROWS:
        assert set(row) in ({"says", "tests"}, {"says", "missing"}), row
        assert row.get("tests") or row.get("missing"), row
