"""Every kind of mistake: where it is said to be, what is said, and what to do. Expectations stand beside the cases."""

from __future__ import annotations

import re

import pytest

from tests.documents.golden import CASES, HERE, said


@pytest.mark.parametrize("case", CASES)
def test_each_mistake_is_said_where_it_is_and_with_what_to_do(case: str) -> None:
    assert said(case) == (HERE / "cases" / f"{case}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES)
def test_nothing_that_may_be_a_secret_is_ever_said(case: str) -> None:
    assert "canary" not in said(case)


def test_there_are_canaries_in_the_cases() -> None:
    text = (HERE / "cases" / "secrets.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"canary-(\d)", text)) == set("1234567")
