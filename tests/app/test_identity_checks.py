"""What the doctor says of one identity where Azure tells little, and what it asks of others that sign in with the same secret."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from runner.app import identity_checks
from runner.app.identity_checks import Identity
from runner.domain.diagnosis import State
from runner.domain.document import ServicePrincipal
from runner.domain.permissions import When, Where, needed
from runner.domain.platform import CLOUDS
from runner.errors import RemoteFailed
from runner.ports import Expiry, Token

NOW = datetime(2026, 11, 1, tzinfo=UTC)
NEEDS = needed(Where.GRAPH, {When.NO_UNIT})
CLIENT = "22222222-2222-4222-8222-222222222222"
BY_SECRET = {"clientId": CLIENT, "auth": {"type": "credential", "credential": {"env": "A_SECRET"}}}
BY_ANOTHER = {"clientId": CLIENT, "auth": {"type": "credential", "credential": {"env": "ANOTHER"}}}
PERSON = {"auth": {"type": "azureCli"}}


@dataclass
class KnownRights:
    """Rights by heart: the token, and when the secret ends as this Entra tenant tells it."""

    found: Token | None = None
    ends: datetime | None = None
    asked: int = 0

    def token(self, scope: str) -> Token:
        self.asked += 1
        if self.found is None:
            raise RemoteFailed("No token", code="token-refused")
        return self.found

    def expiry(self, *, ask: bool) -> Expiry:
        return Expiry("client secret", self.ends if ask else None)


def identity(rights: KnownRights, document: dict[str, Any] = BY_SECRET) -> Identity:
    principal = ServicePrincipal.model_validate(document)
    return Identity(principal, "corp.example", CLOUDS["public"], cast("Any", rights))


def token(*, roles: frozenset[str] | None = frozenset(), object_id: str = "oid") -> Token:
    return Token(object_id=object_id, tenant_id="tid", roles=roles, version="1.0")


def test_a_person_is_not_asked_for_the_roles_of_an_application() -> None:
    person = identity(KnownRights(token()), PERSON)
    (found,) = identity_checks.graph_roles(person, NEEDS)
    assert found.state is State.SKIPPED
    assert person.assignee(token()) == "--assignee-object-id oid --assignee-principal-type User"


def test_a_token_that_cannot_be_looked_into_is_a_warning_with_something_to_do() -> None:
    (found,) = identity_checks.graph_roles(identity(KnownRights(token(roles=None))), NEEDS)
    assert found.state is State.WARNING
    assert found.fix


def test_an_identity_of_which_only_the_client_id_is_known_is_named_by_it() -> None:
    assert identity(KnownRights()).assignee(token(object_id="")) == f"--assignee {CLIENT}"


def test_who_got_no_token_is_not_asked_again() -> None:
    rights = KnownRights()
    known = identity(rights)
    assert known.graph is None
    assert known.graph is None
    assert rights.asked == 1
    (found,) = identity_checks.expires(known, [], now=NOW)
    assert found.state is State.SKIPPED


@pytest.mark.parametrize(("other", "state"), [(BY_SECRET, State.OK), (BY_ANOTHER, State.WARNING)])
def test_the_end_of_a_secret_is_read_where_the_application_is_registered(other: dict[str, Any], state: State) -> None:
    elsewhere = identity(KnownRights(token(), datetime(2028, 1, 1, tzinfo=UTC)), other)
    (found,) = identity_checks.expires(identity(KnownRights(token())), [elsewhere], now=NOW)
    assert found.state is state
