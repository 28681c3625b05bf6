"""What people read is harmless, whatever the names in Azure are."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
from click import unstyle
from hypothesis import given
from hypothesis import strategies as st

from runner.cli.places import Here
from runner.cli.telling import report
from runner.cli.words import ago, answer, duration, plain, review
from runner.domain.access import AccessPlan, Addition, Invitation, Removal
from runner.domain.events import Event, Kind
from runner.domain.review import Review
from runner.domain.run import Behavior, Run, Status
from runner.ports import Approval
from tests.domain.test_review import made

if TYPE_CHECKING:
    from runner.wiring import Runner

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def a_run(run_id: str = "r1", status: Status = Status.WAITING) -> Run:
    return Run(
        id=run_id,
        tenant=f"tenant-of-{run_id}",
        landing_zone="corp",
        behavior=Behavior.APPLY,
        status=status,
        requested_by="anna",
        created=NOW,
        updated=NOW,
    )


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


ACCESS = AccessPlan(
    invitations=(
        Invitation(
            person="eve", email="eve@partner.example", display_name="Eve", redirect_url="https://a/b", send_mail=True
        ),
    ),
    additions=(
        Addition(alias="admin", group_name="admins", person="anna", object_id="anna-id", group_id="admins-id"),
        Addition(alias="user", group_name="users", person="eve"),
    ),
    removals=(
        Removal(alias="user", group_name="users", group_id="users-id", object_id="bob-id", kind="user", label="bob"),
    ),
)


def test_all_of_a_review_names_people_and_groups_by_their_ids_and_says_how_guests_are_invited() -> None:
    shown = [unstyle(line).strip() for line in review(made(access=ACCESS), a_run(), everything=True)]
    people = shown[next(number for number, line in enumerate(shown) if line.startswith("People")) + 1 :]
    assert people[1:3] == ["object id anna-id", "group id admins-id"]
    assert people[4:6] == [
        "is invited: eve@partner.example, link leads to https://a/b, mail sent",
        "group id known after the apply",
    ]
    assert people[7:9] == ["object id bob-id", "group id users-id"]


def test_a_review_without_all_shows_no_ids() -> None:
    assert "-id" not in "\n".join(review(made(access=ACCESS), a_run())).partition("People")[2].partition("Digest")[0]


def test_of_a_long_answer_the_first_lines_are_shown_and_made_harmless() -> None:
    assert list(answer({"body": "created\x1b[2J"})) == ["      created<U+001B>[2J"]
    lines = list(answer({"body": "\n".join(map(str, range(9)))}))
    assert [line.strip() for line in lines[:5]] == ["0", "1", "2", "3", "4"]
    assert lines[5].strip().startswith("and 4 more lines")
    assert list(answer({"body": ""})) == []


class Reviewed:
    """As much of a runner as a report asks: every run has the same review."""

    def __init__(self, kept: Review) -> None:
        self.kept = kept
        self.ports = self.runs = self

    def review(self, run_id: str) -> dict[str, Any]:
        return self.kept.model_dump(mode="json")

    def events(self, run_id: str, *, kinds: Collection[Kind]) -> tuple[Event, ...]:
        return ()

    def approvals(self, run_id: str) -> tuple[Approval, ...]:
        return ()


@pytest.mark.parametrize("count", [3, 4])
def test_up_to_three_reviews_are_shown_and_of_more_how_to_see_them(
    count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = [a_run(f"r{number}") for number in range(count)]
    assert report(Here(cast("Runner", Reviewed(made()))), waiting, as_json=False) == 6
    shown = capsys.readouterr().out
    assert shown.count("Approve exactly this") == (3 if count == 3 else 0)
    assert [f"lzr review {run.id}" in shown for run in waiting] == [True] * count
    assert ("4 runs are to be looked at: lzr review RUN" in shown) == (count == 4)
