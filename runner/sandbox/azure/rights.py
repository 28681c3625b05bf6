"""Who may do what: role assignments, inherited from above, matched against the action a call needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from runner.sandbox.azure.estate import RoleDefinition
from runner.sandbox.azure.routing import Session
from runner.sandbox.azure.tokens import Caller
from runner.sandbox.azure.wire import Rejection


def roles_at(session: Session, caller: Caller, scope: str) -> Iterator[RoleDefinition]:
    """Yield the roles that a caller has at a scope, directly, through groups, or from above."""
    reached = set(session.estate.above(scope))
    for principal in {caller.object_id, *session.home.memberships(caller.object_id)}:
        for assignment in session.estate.roles_of(principal):
            properties = assignment["properties"]
            if (properties["scope"].lower().rstrip("/") or "/") in reached:
                role = session.estate.role_definitions.get(properties["roleDefinitionId"].rsplit("/", 1)[-1].lower())
                if role is not None:
                    yield role


def may(session: Session, action: str, scope: str) -> bool:
    """Whether the caller may do it there."""
    return session.caller is None or any(
        _covers(role, action.lower()) for role in roles_at(session, session.caller, scope)
    )


def require(session: Session, action: str, scope: str) -> None:
    """Raise what Azure answers to somebody who may not."""
    if session.caller is not None and not may(session, action, scope):
        raise Rejection(
            403,
            "AuthorizationFailed",
            f"The client '{session.caller.client_id}' with object id '{session.caller.object_id}' does not have authorization to perform "
            f"action '{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please refresh your "
            "credentials.",
        )


def _covers(role: RoleDefinition, action: str) -> bool:
    return _matches(role.actions, action) and not _matches(role.not_actions, action)


def _matches(patterns: Iterable[str], action: str) -> bool:
    return any(fnmatchcase(action, pattern.lower()) for pattern in patterns)
