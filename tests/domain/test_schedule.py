"""When tenants are due without anybody asking."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from runner.domain.schedule import at_once, due_at

LAST = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


@given(tenant=st.text(max_size=40), hours=st.integers(1, 2000))
def test_a_tenant_is_due_after_its_period_and_at_most_a_tenth_later(tenant: str, hours: int) -> None:
    every = timedelta(hours=hours)
    assert LAST + every <= due_at(tenant, LAST, every) <= LAST + every * 1.1
    assert due_at(tenant, LAST, every) == due_at(tenant, LAST, every)


def test_tenants_of_one_moment_are_spread() -> None:
    due = sorted(due_at(f"acme.{number}", LAST, DAY) for number in range(1000))
    assert due[100] - LAST - DAY > timedelta(minutes=5)
    assert due[900] - due[100] > timedelta(hours=1)


def test_a_zone_is_done_within_half_its_period_and_never_at_once() -> None:
    assert at_once(10_000, DAY, look=MINUTE) == 14
    assert at_once(1, DAY, look=MINUTE) == 1
    assert at_once(0, DAY, look=MINUTE) == 0
