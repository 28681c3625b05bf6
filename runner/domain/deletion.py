"""The deletion of a tenant: somebody asks with a reason, somebody approves or declines, and then the tenant leaves.

While it is asked for and not decided, the tenant is still reconciled but nobody has access to it (but on a platform that keeps the
permissions of deleted tenants); declining gives everybody the access of the documents again. Once it is approved, the tenant is only
ever planned to leave. What the documents said is kept as a tombstone until the tenant is gone, so that it can leave although its
documents are gone already.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from runner.domain.access import Frozen
from runner.errors import Refused

LONGEST_REASON = 255  # characters, as meshStack takes


class Standing(StrEnum):
    """Where a deletion stands."""

    REQUESTED = "requested"  # waits for a person: reconciled still, without access for anybody
    APPROVED = "approved"  # leaves, and is not reconciled any more
    DECLINED = "declined"
    GONE = "gone"  # the tenant has left


NEXT: dict[Standing, frozenset[Standing]] = {
    Standing.REQUESTED: frozenset({Standing.APPROVED, Standing.DECLINED}),
    Standing.APPROVED: frozenset({Standing.DECLINED, Standing.GONE}),
}
UNDER_WAY = frozenset(NEXT)


class Deletion(Frozen):
    """A request to delete a tenant and what became of it. `decided_by` is a person or `zone:<name>`, whose documents approve by
    themselves; `source` is where the documents were, as of a run."""

    tenant: str
    standing: Standing
    reason: str
    requested_by: str
    requested: datetime
    source: str = ""
    decided_by: str = ""
    decided: datetime | None = None
    comment: str = ""
    ended: datetime | None = None

    @property
    def under_way(self) -> bool:
        return self.standing in UNDER_WAY

    def to(self, standing: Standing, *, by: str, comment: str, now: datetime) -> Deletion:
        """The deletion as it stands next; Refused when that does not follow. Who is gone stays so."""
        if standing is self.standing is Standing.GONE:
            return self
        if standing not in NEXT.get(self.standing, frozenset()):
            raise Refused(
                "The deletion cannot go there",
                code="deletion-not-in-that-standing",
                detail=f"The deletion of {self.tenant} is {self.standing}; {standing} does not follow from that.",
                hint=f"lzr tenant show {self.tenant}",
            )
        if standing is Standing.GONE:
            return self.model_copy(update={"standing": standing, "ended": now})
        return self.model_copy(update={"standing": standing, "decided_by": by, "decided": now, "comment": comment})
