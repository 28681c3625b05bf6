"""What an identity is and may do, read from scripted answers: also odd ones, and those that are refused."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runner.azure.connect import Connections
from runner.azure.rights import AzureRights
from runner.domain.azure_actions import Granted
from runner.domain.document import ServicePrincipal
from runner.errors import RemoteFailed
from runner.ports import Expiry
from tests.azure.conftest import CLIENT_ID, network_to
from tests.azure.loopback import Loopback, Received, Reply, Script, issue
from tests.azure.scenes import Scene, platform_at
from tests.doubles.invitations import MemoryInvitations

SECRET = "abcdef-canary"
OBJECT = "33333333-3333-4333-8333-333333333333"
GRAPH = "https://graph.example/.default"
Rights = Callable[..., AzureRights]


@pytest.fixture
def rights(serve: Callable[..., Loopback]) -> Iterator[Rights]:
    """The rights of an application with a client secret, before a server with this script."""
    with ExitStack() as opened:

        def make(script: Script, *, tokens: Script | None = None) -> AzureRights:
            server = serve(script, tokens=tokens)
            connections = opened.enter_context(
                Connections(network=network_to(server), secret=lambda _: SECRET, invitations=MemoryInvitations())
            )
            platform = platform_at(server.url, Scene())
            auth = {"type": "credential", "credential": {"env": "THE_SECRET"}}
            principal = ServicePrincipal.model_validate({"clientId": CLIENT_ID, "auth": auth})
            return connections.rights(platform, principal, platform.spec.entra_tenant, stop=threading.Event())

        yield make


def answering(answers: Mapping[str, Any]) -> Script:
    """A server with a body for each path, and 403 for the rest."""

    def script(received: Received) -> Reply:
        if received.path in answers:
            return Reply(body=answers[received.path])
        return Reply(403, body={"error": {"code": "Authorization_RequestDenied", "message": "no"}})

    return script


def nothing(received: Received) -> Reply:
    return Reply(404)


def token_of(claims: Any) -> Script:
    """A token service whose tokens have these claims."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")

    def tokens(received: Received) -> Reply:
        if received.method == "GET":
            return issue(received)
        return Reply(body={"access_token": f"e30.{payload}.sig", "token_type": "Bearer", "expires_in": 3599})

    return tokens


class TestToken:
    def test_its_claims_are_told_and_not_the_token(self, rights: Rights) -> None:
        claims = {"oid": OBJECT, "tid": "T-1", "ver": "2.0", "roles": ["User.Read.All"]}
        found = rights(nothing, tokens=token_of(claims)).token(GRAPH)
        assert (found.object_id, found.tenant_id, found.version) == (OBJECT, "t-1", "2.0")
        assert found.roles == frozenset({"User.Read.All"})

    def test_one_without_roles_has_none(self, rights: Rights) -> None:
        assert rights(nothing, tokens=token_of({"oid": OBJECT})).token(GRAPH).roles == frozenset()

    @pytest.mark.parametrize("claims", [["a list"], "text", 7, {"roles": "Directory.Read.All"}])
    def test_one_that_cannot_be_looked_into_is_no_error(self, rights: Rights, claims: Any) -> None:
        assert rights(nothing, tokens=token_of(claims)).token(GRAPH).roles is None

    def test_one_that_is_no_json_web_token_is_no_error(self, rights: Rights) -> None:
        assert rights(nothing).token(GRAPH).roles is None


class TestExpiry:
    PATH = f"/v1.0/applications(appId='{CLIENT_ID}')"

    def ends(self, rights: Rights, *entries: dict[str, Any]) -> datetime | None:
        found = rights(answering({self.PATH: {"passwordCredentials": list(entries)}})).expiry(ask=True)
        assert found.what == "client secret"
        return found.ends

    def test_of_several_secrets_the_one_that_begins_as_ours_does_counts(self, rights: Rights) -> None:
        other = {"hint": "xyz", "endDateTime": "2026-01-01T00:00:00Z"}
        ours = {"hint": "abc", "endDateTime": "2027-03-04T05:06:07.1234567Z"}
        assert self.ends(rights, other, ours) == datetime(2027, 3, 4, 5, 6, 7, tzinfo=UTC)

    def test_of_several_that_fit_the_one_that_ends_first_counts(self, rights: Rights) -> None:
        late, early = (
            {"hint": "abc", "endDateTime": "2028-01-01T00:00:00Z"},
            {"endDateTime": "2027-01-01T00:00:00+00:00"},
        )
        assert self.ends(rights, late, early) == datetime(2027, 1, 1, tzinfo=UTC)

    def test_an_end_that_is_no_date_is_not_known(self, rights: Rights) -> None:
        assert self.ends(rights, {"hint": "abc", "endDateTime": "soon"}, {"hint": "abc"}) is None

    def test_an_application_that_may_not_be_read_is_no_error(self, rights: Rights) -> None:
        assert rights(answering({})).expiry(ask=True) == Expiry("client secret")

    def test_nobody_is_asked_where_there_is_no_token(self, rights: Rights) -> None:
        assert rights(answering({self.PATH: {}})).expiry(ask=False) == Expiry("client secret")


class TestResourceManager:
    PATH = "/subscriptions/1/providers/Microsoft.Authorization/permissions"

    def test_roles_are_read_with_what_they_leave_out(self, rights: Rights) -> None:
        body = {
            "value": [{"actions": ["*"], "notActions": ["*/delete"]}, {"actions": ["a/read"], "dataActions": ["x"]}]
        }
        found = rights(answering({self.PATH: body})).granted("/subscriptions/1")
        assert found == (Granted(("*",), ("*/delete",)), Granted(("a/read",)))

    def test_a_scope_that_may_not_be_seen_is_not_one_without_roles(self, rights: Rights) -> None:
        assert rights(answering({})).granted("/subscriptions/1") is None
        assert rights(answering({self.PATH: {"value": []}})).granted("/subscriptions/1") == ()

    @pytest.mark.parametrize("scope", ["", "subscriptions/1", "/subscriptions/..", "/a?b", "/a#b"])
    def test_what_is_no_scope_is_asked_nowhere(self, rights: Rights, scope: str) -> None:
        with pytest.raises(ValueError):
            rights(nothing).granted(scope)

    def test_the_clock_is_read_without_a_token(self, rights: Rights) -> None:
        def nobody(received: Received) -> Reply:
            return Reply(401)

        assert rights(lambda _: Reply(body={}), tokens=nobody).ahead() < timedelta(seconds=2)

    def test_a_clock_that_cannot_be_asked_is_an_error_of_operations(self, rights: Rights) -> None:
        with pytest.raises(RemoteFailed) as caught:
            rights(lambda _: Reply(drop=True)).ahead()
        assert caught.value.code == "azure-unreachable"


class TestDirectory:
    ROLES = "/v1.0/roleManagement/directory/roleAssignments"
    ADMINISTRATOR = "fdd7a751-b60b-444a-984c-02652fe8fa1c"

    @pytest.mark.parametrize(
        ("role", "scope", "expected"),
        [
            (ADMINISTRATOR, "/administrativeUnits/U1", True),
            (ADMINISTRATOR, "/", True),
            (ADMINISTRATOR, "/administrativeUnits/U2", False),
            ("another", "/administrativeUnits/U1", False),
        ],
    )
    def test_who_administers_a_unit(self, rights: Rights, role: str, scope: str, expected: bool) -> None:
        body = {"value": [{"roleDefinitionId": role, "directoryScopeId": scope}]}
        assert rights(answering({self.ROLES: body})).administers("u1", object_id=OBJECT) is expected

    def test_who_may_not_read_it_does_not_know(self, rights: Rights) -> None:
        assert rights(answering({})).administers("u1", object_id=OBJECT) is None

    def test_an_application_by_another_uri_is_not_looked_up(self, rights: Rights) -> None:
        assert rights(nothing).offer("https://functions.example") is None

    def test_roles_that_are_off_or_for_people_only_are_not_offered(self, rights: Rights) -> None:
        roles = [
            {"value": "Access", "isEnabled": True, "allowedMemberTypes": ["Application"]},
            {"value": "Off", "isEnabled": False, "allowedMemberTypes": ["Application"]},
            {"value": "People", "isEnabled": True, "allowedMemberTypes": ["User"]},
        ]
        path = f"/v1.0/servicePrincipals(appId='{OBJECT}')"
        found = rights(answering({path: {"appRoles": roles, "appRoleAssignmentRequired": True}})).offer(
            f"api://{OBJECT}"
        )
        assert found is not None
        assert found.roles == {"Access"}
        assert (found.assignment_required, found.token_version) == (True, None)
