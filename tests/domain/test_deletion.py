"""How a deletion may stand, one after the other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from runner.domain.deletion import UNDER_WAY, Deletion, Standing
from runner.errors import Refused

NOW = datetime(2026, 11, 26, tzinfo=UTC)
ASKED = Deletion(tenant="shop", standing=Standing.REQUESTED, reason="over", requested_by="ann", requested=NOW)


@given(st.lists(st.sampled_from(Standing), max_size=8))
def test_whatever_is_tried_nothing_is_gone_that_nobody_approved_and_no_end_is_left(tried: list[Standing]) -> None:
    deletion, seen = ASKED, [Standing.REQUESTED]
    for number, standing in enumerate(tried):
        try:
            moved = deletion.to(standing, by="bob", comment="", now=NOW + timedelta(hours=number))
        except Refused:
            continue
        assert deletion.under_way or moved == deletion
        deletion = moved
        seen.append(standing)
    if deletion.standing is Standing.GONE:
        assert Standing.APPROVED in seen
        assert deletion.ended is not None
    assert (deletion.decided is None) is (deletion.standing is Standing.REQUESTED)
    assert deletion.under_way is (deletion.standing in UNDER_WAY)
    assert (deletion.requested_by, deletion.reason) == ("ann", "over")
