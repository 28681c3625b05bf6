"""Azure's rules for actions: wildcards anywhere, no case, notActions per role."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.domain.azure_actions import Granted, allows, covers, meet

WRITE = "Microsoft.Authorization/roleAssignments/write"
OWNER = Granted(("*",))
CONTRIBUTOR = Granted(("*",), ("Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"))
ACCESS = Granted(("*/read", "Microsoft.Authorization/*"))

patterns = st.text("ab/*", max_size=7)
texts = st.text("ab/", max_size=7)


def filled(pattern: str, fillings: list[str]) -> str:
    """The pattern with something in place of each `*`."""
    first, *rest = pattern.split("*")
    return first + "".join(filling + part for filling, part in zip(fillings, rest, strict=False))


@pytest.mark.parametrize(
    ("roles", "needed", "expected"),
    [
        ([OWNER], WRITE, True),
        ([], WRITE, False),
        ([CONTRIBUTOR], WRITE, False),
        ([CONTRIBUTOR, ACCESS], WRITE, True),  # what one role leaves out, another gives
        ([Granted(("MICROSOFT.AUTHORIZATION/ROLEASSIGNMENTS/WRITE",))], WRITE, True),
        ([Granted(("Microsoft.Authorization/roleAssignments",))], WRITE, False),
        ([Granted(("*/write",))], WRITE, True),
        ([Granted(("Microsoft.*/roleAssignments/*",))], WRITE, True),
        ([OWNER], "*/register/action", True),
        ([Granted(("*/register/action",))], "*/register/action", True),
        ([Granted(("Microsoft.Blueprint/register/action",))], "*/register/action", False),
        ([Granted(("*",), ("Microsoft.Blueprint/register/action",))], "*/register/action", False),
        ([Granted(("Microsoft.Resources/tags/*",))], "Microsoft.Resources/tags/write", True),
    ],
)
def test_what_roles_allow(roles: list[Granted], needed: str, expected: bool) -> None:
    assert allows(roles, needed) is expected


@given(patterns, texts)
def test_a_pattern_covers_an_action_as_a_wildcard_match_does(pattern: str, text: str) -> None:
    assert covers(pattern, text) == fnmatchcase(text, pattern)


@given(patterns, patterns, st.lists(texts, min_size=7, max_size=7))
def test_what_covers_a_pattern_covers_whatever_it_stands_for(pattern: str, needed: str, fillings: list[str]) -> None:
    if covers(pattern, needed):
        assert covers(pattern, filled(needed, fillings))


@given(patterns, patterns)
def test_what_covers_no_pattern_leaves_out_something_that_it_stands_for(pattern: str, needed: str) -> None:
    if not covers(pattern, needed):
        assert not covers(pattern, needed.replace("*", "z"))


@given(patterns, patterns, texts)
def test_two_patterns_that_match_the_same_text_meet(one: str, other: str, text: str) -> None:
    if covers(one, text) and covers(other, text):
        assert meet(one, other)
    assert meet(one, other) == meet(other, one)


@given(patterns, texts)
def test_a_pattern_meets_a_text_exactly_where_it_matches_it(pattern: str, text: str) -> None:
    assert meet(pattern, text) == covers(pattern, text)


@given(st.lists(patterns, max_size=3), st.lists(patterns, max_size=3), texts)
def test_not_actions_take_away_and_never_give(actions: list[str], not_actions: list[str], needed: str) -> None:
    with_them, without = Granted(tuple(actions), tuple(not_actions)), Granted(tuple(actions))
    assert allows([with_them], needed) == (
        allows([without], needed) and not any(fnmatchcase(needed, pattern) for pattern in not_actions)
    )


@given(st.lists(st.lists(patterns, max_size=3), max_size=3), texts)
def test_another_role_never_takes_anything_away(roles: list[list[str]], needed: str) -> None:
    granted = [Granted(tuple(actions)) for actions in roles]
    if allows(granted[:1], needed):
        assert allows([*granted, Granted((), ("*",))], needed)


@given(patterns, texts)
def test_case_never_counts(pattern: str, needed: str) -> None:
    assert allows([Granted((pattern,))], needed) == allows([Granted((pattern.upper(),))], needed.upper())
