"""What `lzr doctor` asks about one identity in one Entra tenant: sign-in, when its credential ends, its rights in Graph."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from runner.domain import diagnosis, permissions
from runner.domain.diagnosis import Outcome, ok, skipped, warning, wrong
from runner.domain.document import ServicePrincipal
from runner.domain.permissions import Need
from runner.domain.platform import Cloud
from runner.errors import RunnerError
from runner.ports import Rights, Token

NO_TOKEN = "Not looked at: there is no token."  # noqa: S105 - words

PERSON = "Not looked at: az signs a person in, whose rights are delegated."


@dataclass
class Identity:
    """One identity while it is looked at: it signs in once for each scope, and it is remembered that it could not."""

    principal: ServicePrincipal
    entra_tenant: str
    cloud: Cloud
    rights: Rights
    tokens: dict[str, Token | None] = field(default_factory=dict)

    def sign_in(self, scope: str) -> Token:
        """What its token for the scope says; an error when it gets none."""
        self.tokens[scope] = None
        found = self.tokens[scope] = self.rights.token(scope)
        return found

    def token(self, scope: str) -> Token | None:
        """The same, and None when it gets none: why is told at the sign-in."""
        if scope not in self.tokens:
            try:
                self.sign_in(scope)
            except RunnerError:
                return None
        return self.tokens[scope]

    @property
    def arm(self) -> Token | None:
        return self.token(self.cloud.arm_scope)

    @property
    def graph(self) -> Token | None:
        return self.token(self.cloud.graph_scope)

    @property
    def is_person(self) -> bool:
        """Whether it is whoever is signed in with az, whose rights in Graph are delegated ones."""
        return self.principal.auth.type == "azureCli"

    def assignee(self, token: Token) -> str:
        """The words by which az is told whom to give a role."""
        found = token.object_id or self.principal.object_id
        kind = "User" if self.is_person else "ServicePrincipal"
        if found is None:
            return f"--assignee {shlex.quote(self.principal.client_id or '<client id of the identity>')}"
        return f"--assignee-object-id {shlex.quote(found)} --assignee-principal-type {kind}"


def signs_in(identity: Identity, scopes: Mapping[str, str]) -> Iterator[Outcome]:
    """Get a token for each of the scopes, named in words."""
    by, client_id = identity.principal.auth.type, identity.principal.client_id
    who = f"application {client_id}" if client_id else "the identity"
    for scope in scopes.values():
        identity.sign_in(scope)
    yield ok(f"Signed in to {' and '.join(scopes)} as {who} in Entra tenant {identity.entra_tenant}, by {by}.")


def expires(identity: Identity, others: Sequence[Identity], *, now: datetime) -> Iterator[Outcome]:
    """When its secret or certificate ends. A certificate is here and tells; a secret's end only Graph knows, in the Entra tenant where
    the application is registered: that may be the one of another identity with the same credential."""
    auth, client_id = identity.principal.auth.type, identity.principal.client_id
    if auth == "credential" and identity.graph is None:
        yield skipped(NO_TOKEN)
        return
    needs_graph = auth in ("credential", "certificate")
    found = identity.rights.expiry(ask=needs_graph and identity.graph is not None)
    for other in others:
        if found.what and found.ends is None and other.principal == identity.principal and other.graph is not None:
            found = other.rights.expiry(ask=True)
    if not found.what:
        yield ok(f"Nothing that ends: it signs in by {auth}.")
    elif found.ends is None:
        yield warning(
            f"When the {found.what} ends cannot be read: the application is registered in another Entra tenant, or the identity has "
            "neither Application.Read.All nor Directory.Read.All.",
            f"az ad app credential list --id {client_id} --query '[].endDateTime'",
        )
    else:
        new = " --create-cert" if found.what == "certificate" else ""
        renew = (
            f"az ad app credential reset --append{new} --id {client_id}\n"
            "Put the new one where the platform's document says, then delete the old one."
        )
        yield diagnosis.of_expiry(found.what, found.ends, now=now, renew=renew)


def graph_roles(identity: Identity, needs: Sequence[Need]) -> Iterator[Outcome]:
    """Whether its token has the application roles of Graph."""
    token = identity.graph
    if token is None:
        yield skipped(NO_TOKEN)
    elif identity.is_person:
        yield skipped(PERSON)
    elif token.roles is None:
        yield warning(
            "The token cannot be looked into, so its application roles are not known.",
            f"az ad app permission list --id {identity.principal.client_id}",
        )
    else:
        lacking = permissions.missing_roles(needs, token.roles)
        managed = identity.principal.auth.type == "managedIdentity"
        yield diagnosis.of_graph_roles(needs, lacking, client_id=None if managed else identity.principal.client_id)


def administrative_unit(identity: Identity, unit_id: str) -> Iterator[Outcome]:
    """Whether the unit is there and the identity may make groups in it."""
    token = identity.graph
    if token is None:
        yield skipped(NO_TOKEN)
        return
    graph = f"{identity.cloud.graph.rstrip('/')}/v1.0"
    if not identity.rights.unit(unit_id):
        yield wrong(
            f"There is no administrative unit {unit_id}, or the identity may not see it.",
            f"az rest --method GET --url {graph}/directory/administrativeUnits",
        )
        return
    wide = {"AdministrativeUnit.ReadWrite.All", "Group.ReadWrite.All"} <= (token.roles or frozenset())
    administers = True if wide else identity.rights.administers(unit_id, object_id=token.object_id)
    body = (
        f'{{"principalId": "{token.object_id}", "roleDefinitionId": "{permissions.GROUPS_ADMINISTRATOR}", '
        f'"directoryScopeId": "/administrativeUnits/{unit_id}"}}'
    )
    assign = f"az rest --method POST --url {graph}/roleManagement/directory/roleAssignments --body '{body}'"
    if administers is None:
        yield warning(
            "Whether it is Groups Administrator of the administrative unit cannot be read: that needs RoleManagement.Read.Directory.",
            f"Where it is not:\n{assign}",
        )
    elif administers:
        yield ok("It may make groups in the administrative unit, and change their members.")
    else:
        yield wrong("It is not Groups Administrator of the administrative unit.", assign)
