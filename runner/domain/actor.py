"""Who acts, and what they may do: roles, the places they reach, and the one question `may`.

An actor is known by an id that is never given to somebody else (`oidc:<issuer>#<subject>`, `token:<id>`, `workload:<issuer>#<subject>`,
`os:<user>@<host>`); names are for people to read. Rights are given, never taken away: what no grant says is refused.
"""

from __future__ import annotations

from enum import StrEnum

from runner.domain.access import Frozen
from runner.errors import Refused


class Role(StrEnum):
    """What somebody is to the runs of a place."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


class Act(StrEnum):
    """What is done. Deciding on the deletion of a tenant is approving; asking for it is operating."""

    LOOK = "look"
    OPERATE = "operate"  # start, apply what is approved, cancel, ask for a deletion
    APPROVE = "approve"  # approve, reject, decide on a deletion
    ADMINISTER = "administer"  # tokens, audit, states' locks and versions


_MAY: dict[Role, frozenset[Act]] = {
    Role.VIEWER: frozenset({Act.LOOK}),
    Role.OPERATOR: frozenset({Act.LOOK, Act.OPERATE}),
    Role.APPROVER: frozenset({Act.LOOK, Act.APPROVE}),
    Role.ADMIN: frozenset(Act),
}


class Grant(Frozen):
    """A role for some zones and workspaces; an empty tuple means all of them."""

    role: Role
    zones: tuple[str, ...] = ()
    workspaces: tuple[str, ...] = ()

    def reaches(self, zone: str, workspace: str) -> bool:
        """Whether this place is within the grant."""
        return (not self.zones or zone in self.zones) and (not self.workspaces or workspace in self.workspaces)


class Actor(Frozen):
    """Somebody who was let in. `person` says that a human being signed in (and not a program, or whoever sits at the machine)."""

    id: str
    name: str
    grants: tuple[Grant, ...] = ()
    person: bool = False

    @property
    def label(self) -> str:
        """How records name the actor: the name for people, the id for the rest."""
        return _label(self.id, self.name)


class SignedIn(Frozen):
    """Somebody as they signed in, which is what a session keeps: who they are, not what they may do. That is decided with each request,
    so a right that is taken away is gone at once."""

    id: str
    name: str
    issuer: str = ""
    """Who says so; empty for whoever sits at the server's machine."""
    subjects: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """See Actor."""
        return _label(self.id, self.name)

    @property
    def person(self) -> bool:
        """See Actor."""
        return bool(self.issuer)


def _label(actor_id: str, name: str) -> str:
    return f"{name} ({actor_id})" if name and name != actor_id else actor_id


def may(actor: Actor, act: Act, *, zone: str, workspace: str) -> bool:
    """Whether the actor may do this to what belongs to the zone and the workspace."""
    return any(act in _MAY[grant.role] and grant.reaches(zone, workspace) for grant in actor.grants)


def may_anywhere(actor: Actor, act: Act) -> bool:
    """Whether there is any place where the actor may do this."""
    return any(act in _MAY[grant.role] for grant in actor.grants)


def may_everywhere(actor: Actor, act: Act) -> bool:
    """Whether the actor may do this whatever it is about, as for what belongs to no zone."""
    return any(act in _MAY[grant.role] and not grant.zones and not grant.workspaces for grant in actor.grants)


def places(actor: Actor, act: Act) -> tuple[Grant, ...]:
    """The grants by which the actor may do this: what lists are narrowed to."""
    return tuple(grant for grant in actor.grants if act in _MAY[grant.role])


def not_allowed(actor: Actor, act: Act, about: str) -> Refused:
    """The refusal, in words."""
    held = sorted({grant.role.value for grant in actor.grants}) or ["none"]
    return Refused(
        "Not allowed",
        code="not-allowed",
        detail=f"{actor.label} may not {act.value} {about}; roles held: {', '.join(held)}.",
        hint="Ask whoever keeps the server's configuration for a role that reaches it.",
    )
