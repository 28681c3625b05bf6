"""What was read in Azure before a configuration is composed. It is part of the review, so applying composes from the very same facts."""

from __future__ import annotations

from runner.domain.access import Frozen


class Facts(Frozen):
    """A tenant's surroundings in Azure.

    `above` are the ids of the management groups above its subscription, from the root group to the one it is in. `tag_spellings` says
    how a tag that exists already is written there, by the name that is mapped: Azure does not tell capitals from small letters, and
    keeps the spelling that was there first. `adopted_groups` are groups that had a wanted name already and are used as they are: object
    ids by the name. `access_suspended`: somebody asked to delete the tenant, so nobody has access until that is declined.
    """

    subscription_name: str = ""
    subscription_state: str = ""
    above: tuple[str, ...] = ()
    tag_spellings: dict[str, str] = {}
    adopted_groups: dict[str, str] = {}
    access_suspended: bool = False

    @property
    def management_group(self) -> str | None:
        """Id of the group that the subscription is in now; None where that may not be read."""
        return self.above[-1] if self.above else None
