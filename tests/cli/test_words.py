"""What people read is harmless, whatever the names in Azure are."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.cli.words import ago, duration, plain


@given(st.text())
def test_text_from_outside_cannot_move_the_cursor_or_turn_the_reading(text: str) -> None:
    assert not [char for char in plain(text) if unicodedata.category(char) in ("Cc", "Cf", "Cs")]


def test_a_right_to_left_override_is_shown() -> None:
    assert plain("admin\u202eredaer") == "admin<U+202E>redaer"


@pytest.mark.parametrize(("seconds", "told"), [(0.04, "0.0s"), (59.9, "59.9s"), (61, "1m01s"), (None, "")])
def test_durations_are_short(seconds: float | None, told: str) -> None:
    assert duration(seconds) == told


@pytest.mark.parametrize(
    ("passed", "told"), [(5, "5 s ago"), (300, "5 min ago"), (7300, "2 h ago"), (180000, "2 d ago"), (-5, "0 s ago")]
)
def test_moments_are_told_in_the_largest_unit(passed: int, told: str) -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    assert ago(now - timedelta(seconds=passed), now) == told
