"""What was read in Azure before a configuration is composed. It is part of the review, so applying composes from the very same facts."""

from __future__ import annotations

from runner.domain.access import Frozen


class Facts(Frozen):
    """A tenant's surroundings in Azure. `management_group` is the id of the group its subscription is in now."""

    subscription_name: str = ""
    subscription_state: str = ""
    management_group: str | None = None
