"""What was read in Azure before a configuration is composed. It is part of the review, so applying composes from the very same facts."""

from __future__ import annotations

from typing import Literal

from runner.domain.access import Frozen
from runner.domain.parameters import Declared


class Source(Frozen):
    """Where a tenant's subscription comes from, and how far it has come.

    `existing` ones are named by the tenant's document. `stage` says what is still to be done before it is the tenant's: to order and
    create it, to accept its ownership, to claim it from the pool. `owners` are the principals that are Owner of it directly and
    without a condition, looked up where the platform has provisioning.
    """

    how: Literal["existing", "created", "claimed"] = "existing"
    stage: Literal["there", "to-create", "to-accept", "to-claim"] = "there"
    alias: str = ""
    owners: tuple[str, ...] = ()

    @property
    def to_come(self) -> bool:
        """Whether nobody can look into the subscription yet, so that what is planned for it is a preview."""
        return self.stage in ("to-create", "to-accept")


class BlueprintFacts(Frozen):
    """A blueprint that is assigned, or is to be. `before` is the version that is assigned now, empty where none is; `declared` are the
    parameters of the version to assign, and `fixed` those that the definition itself gives a value, with where. `attempt` counts on each
    time that Azure says that the last assignment failed: a plan alone would find nothing to do about it."""

    version: str
    before: str = ""
    older: bool = False
    declared: dict[str, Declared] = {}
    fixed: dict[str, str] = {}
    attempt: int = 1


class StackFacts(Frozen):
    """A deployment stack that is there, or is to be; as of a blueprint."""

    declared: dict[str, Declared] = {}
    attempt: int = 1


class BlockFacts(Frozen):
    """A building block's code as it was found: `commit` of a git repository (empty for code from elsewhere), and a digest of its files."""

    called: str
    source: str
    commit: str
    digest: str


class UnmanagedAssignment(Frozen):
    """A blueprint assignment of the subscription that the landing zone does not manage: one of an earlier name, or somebody else's."""

    name: str
    version_id: str


class Facts(Frozen):
    """A tenant's surroundings in Azure.

    `above` are the ids of the management groups above its subscription, from the root group to the one it is in. `tag_spellings` says
    how a tag that exists already is written there, by the name that is mapped: Azure does not tell capitals from small letters, and
    keeps the spelling that was there first. `adopted_groups` are groups that had a wanted name already and are used as they are: object
    ids by the name. `access_suspended`: somebody asked to delete the tenant, so nobody has access until that is declined.

    `blueprints` are those that are managed, by name: not one whose end has come. `blueprints_principal` is the object id of Azure
    Blueprints where it has to be Owner. `released` are the blueprints whose assignment leaves the state and stays in Azure, `going` those
    whose assignment Azure is still deleting since an earlier run of a tenant that leaves. `stacks` are the deployment stacks by name,
    `blocks` the building blocks by key.
    """

    subscription_name: str = ""
    subscription_state: str = ""
    above: tuple[str, ...] = ()
    tag_spellings: dict[str, str] = {}
    adopted_groups: dict[str, str] = {}
    access_suspended: bool = False
    source: Source = Source()
    blueprints: dict[str, BlueprintFacts] = {}
    blueprints_principal: str = ""
    released: tuple[str, ...] = ()
    going: tuple[str, ...] = ()
    unmanaged_assignments: tuple[UnmanagedAssignment, ...] = ()
    stacks: dict[str, StackFacts] = {}
    blocks: dict[str, BlockFacts] = {}

    @property
    def management_group(self) -> str | None:
        """Id of the group that the subscription is in now; None where that may not be read."""
        return self.above[-1] if self.above else None
