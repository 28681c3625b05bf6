"""Graph: people, invitations, groups, batches, and that a tenant sees only itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.sandbox.azure.directory import Directory, user_defaults
from runner.sandbox.azure.filters import look_ups, matches, read_filter
from runner.sandbox.azure.server import Sandbox
from runner.sandbox.azure.wire import Rejection
from tests.sandbox_azure.conftest import AUDITOR, CORP, HOOKS, RUNNER_OBJECT, WORKLOADS, bearer

UNIT = "7d3f0c52-cccc-4a6e-9c55-2a4b6f1d0001"


@pytest.fixture
def corp(anonymous: httpx.Client) -> httpx.Client:
    """The runner's application in the home tenant corp.example."""
    anonymous.headers.update(bearer(anonymous, tenant=CORP))
    return anonymous


def _found(client: httpx.Client, text: str, **headers: str) -> list[str]:
    answer = client.get("/v1.0/users", params={"$filter": text, "$select": "id,userPrincipalName"}, headers=headers)
    assert answer.status_code == 200, answer.text
    return [user["userPrincipalName"] for user in answer.json()["value"]]


def _invite(client: httpx.Client, mail: str = "dev1@partner.example", **more: Any) -> httpx.Response:
    return client.post(
        "/v1.0/invitations",
        json={"invitedUserEmailAddress": mail, "inviteRedirectUrl": "https://portal.azure.com"} | more,
    )


def _make_group(client: httpx.Client, **more: Any) -> httpx.Response:
    body = {"displayName": "team", "mailEnabled": False, "mailNickname": "team", "securityEnabled": True}
    return client.post("/v1.0/groups", json=body | more)


def _message(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("userPrincipalName eq 'dev1@corp.example'", ["dev1@corp.example"]),
        ("mail eq 'bo.o''neill@corp.example'", ["dev2@corp.example"]),
        ("otherMails/any(x:x eq 'bo@private.example')", ["dev2@corp.example"]),
        ("employeeId eq 'E1003'", ["lead@corp.example"]),
        ("onPremisesSamAccountName eq 'berga'", ["dev1@corp.example"]),
        ("mail eq 'lead@corp.example' or employeeId eq 'E1001'", ["lead@corp.example", "dev1@corp.example"]),
        ("employeeId in ('E1001', 'E1004')", ["dev1@corp.example", "ops@corp.example"]),
        ("accountEnabled eq false and startswith(mail,'gone')", ["gone@corp.example"]),
        ("employeeId eq 'e1003'", []),
        ("userPrincipalName eq 'Dev1@corp.example'", []),
        ("mail eq 'nobody@corp.example'", []),
    ],
)
def test_people_are_found_by_what_a_filter_says_exactly(corp: httpx.Client, text: str, expected: list[str]) -> None:
    assert _found(corp, text) == expected


def test_people_are_read_by_id_and_by_name_in_any_case(corp: httpx.Client) -> None:
    by_name = corp.get("/v1.0/users/DEV1@corp.example").json()
    assert corp.get(f"/v1.0/users/{by_name['id']}").json() == by_name
    assert "employeeId" not in by_name  # v1.0 shows few properties unless more are selected
    assert corp.get("/v1.0/users/dev1@corp.example?$select=employeeId").json()["employeeId"] == "E1001"
    assert corp.get("/beta/users/dev1@corp.example").json()["employeeId"] == "E1001"
    assert _message(corp.get("/v1.0/users/nobody@corp.example")) == (404, "Request_ResourceNotFound")


@pytest.mark.parametrize(
    "text", ["mail eq", "mail eq 'a", "shoeSize eq '42'", "mail like 'a'", "(", "mail eq 'a' and", "'a' eq mail"]
)
def test_a_filter_that_is_none_is_a_bad_request(corp: httpx.Client, text: str) -> None:
    assert _message(corp.get("/v1.0/users", params={"$filter": text})) == (400, "BadRequest")


def test_an_advanced_query_has_to_be_asked_as_one(corp: httpx.Client) -> None:
    text = "not(accountEnabled eq true)"
    assert _message(corp.get("/v1.0/users", params={"$filter": text})) == (400, "Request_UnsupportedQuery")
    answer = corp.get(
        "/v1.0/users", params={"$filter": text, "$count": "true"}, headers={"ConsistencyLevel": "eventual"}
    )
    assert answer.json()["@odata.count"] == 1


def test_lists_come_in_pages(corp: httpx.Client) -> None:
    names: list[str] = []
    link = "/v1.0/users?$top=2&$select=mail"
    while link:
        body = corp.get(link).json()
        assert len(body["value"]) <= 2
        names += [user["mail"] for user in body["value"]]
        link = body.get("@odata.nextLink", "")
    assert len(names) == len(set(names)) == 5


def test_a_token_sees_only_its_own_tenant(azure: httpx.Client) -> None:
    assert _found(azure, "userPrincipalName eq 'dev1@corp.example'") == []
    azure.headers.update(bearer(azure, tenant="partner.example"))
    assert _found(azure, "employeeId eq 'P2002'") == ["dev2@partner.example"]


def test_an_application_may_do_what_its_permissions_say(corp: httpx.Client) -> None:
    assert _message(_invite(corp)) == (403, "Authorization_RequestDenied")
    assert _message(_make_group(corp)) == (403, "Authorization_RequestDenied")
    assert _message(corp.get("/v1.0/groups")) == (403, "Authorization_RequestDenied")
    assert _message(corp.delete("/v1.0/users/dev1@corp.example")) == (403, "Authorization_RequestDenied")


def test_the_auditor_reads_and_changes_nothing(anonymous: httpx.Client) -> None:
    anonymous.headers.update(bearer(anonymous, client_id=AUDITOR, secret="sandbox-auditor-secret"))
    assert anonymous.get("/v1.0/groups").status_code == 200
    assert _message(_make_group(anonymous)) == (403, "Authorization_RequestDenied")


# invitations


def test_an_invited_person_becomes_a_guest(azure: httpx.Client, sandbox: Sandbox) -> None:
    answer = _invite(azure, invitedUserDisplayName="Dev One", sendInvitationMessage=True)
    body = answer.json()
    assert (answer.status_code, body["status"]) == (201, "PendingAcceptance")
    assert body["inviteRedeemUrl"].startswith("https://")
    guest = azure.get(f"/beta/users/{body['invitedUser']['id']}").json()
    assert guest["userPrincipalName"] == "dev1_partner.example#EXT#@workloads.example"
    assert (guest["userType"], guest["externalUserState"], guest["otherMails"]) == (
        "Guest",
        "PendingAcceptance",
        ["dev1@partner.example"],
    )
    by_name = azure.get("/v1.0/users/dev1_partner.example%23EXT%23@workloads.example").json()
    assert by_name["id"] == guest["id"]
    (invitation,) = sandbox.world.directories[WORKLOADS].invitations
    assert (invitation.mail_sent, invitation.by) == (True, "landing-zone-runner")


def test_inviting_again_returns_the_same_guest_in_any_case(azure: httpx.Client, sandbox: Sandbox) -> None:
    first, second = _invite(azure), _invite(azure, "DEV1@Partner.example")
    assert first.json()["invitedUser"] == second.json()["invitedUser"]
    known = _invite(azure, "dev3@partner.example").json()
    assert known["status"] == "Completed"
    assert [one.mail_sent for one in sandbox.world.directories[WORKLOADS].invitations] == [False] * 3


@pytest.mark.parametrize("mail", ["", "nobody", "a@b", "a b@c.example", "emergency@workloads.example"])
def test_an_invitation_that_cannot_be(azure: httpx.Client, mail: str) -> None:
    assert _message(_invite(azure, mail)) == (400, "BadRequest")
    assert _message(azure.post("/v1.0/invitations", json={"invitedUserEmailAddress": "a@b.example"})) == (
        400,
        "BadRequest",
    )


# groups


def test_members_come_and_go(azure: httpx.Client) -> None:
    group = _make_group(azure).json()["id"]
    guest = _invite(azure).json()["invitedUser"]["id"]
    reference = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{guest}"}
    assert azure.post(f"/v1.0/groups/{group}/members/$ref", json=reference).status_code == 204
    again = azure.post(f"/v1.0/groups/{group}/members/$ref", json=reference)
    assert again.status_code == 400
    assert "added object references already exist" in again.json()["error"]["message"]
    assert [one["id"] for one in azure.get(f"/v1.0/groups/{group}/members").json()["value"]] == [guest]
    assert [one["id"] for one in azure.get(f"/v1.0/users/{guest}/memberOf").json()["value"]] == [group]
    assert azure.delete(f"/v1.0/groups/{group}/members/{guest}/$ref").status_code == 204
    assert azure.delete(f"/v1.0/groups/{group}/members/{guest}/$ref").status_code == 404
    assert azure.get(f"/v1.0/users/{guest}").status_code == 200


def test_a_group_needs_its_properties_and_real_members(azure: httpx.Client) -> None:
    assert _message(azure.post("/v1.0/groups", json={"displayName": "x"})) == (400, "Request_BadRequest")
    unknown = ["https://graph.microsoft.com/v1.0/directoryObjects/00000000-0000-4000-8000-00000000dead"]
    assert _message(_make_group(azure, **{"members@odata.bind": unknown})) == (404, "Request_ResourceNotFound")
    assert _message(azure.post(f"/v1.0/groups/{_make_group(azure).json()['id']}/members/$ref", json={})) == (
        400,
        "Request_BadRequest",
    )


def test_a_deleted_group_leaves_no_trace(azure: httpx.Client) -> None:
    group = _make_group(azure, **{"owners@odata.bind": [f"https://x/{RUNNER_OBJECT}"]}).json()["id"]
    assert [one["id"] for one in azure.get(f"/v1.0/groups/{group}/owners").json()["value"]] == [RUNNER_OBJECT]
    assert azure.delete(f"/v1.0/groups/{group}").status_code == 204
    assert _message(azure.get(f"/v1.0/groups/{group}/members")) == (404, "Request_ResourceNotFound")
    assert azure.get("/v1.0/groups", params={"$filter": "displayName eq 'team'"}).json()["value"] == []


def test_a_groups_administrator_works_inside_its_unit(azure: httpx.Client, sandbox: Sandbox) -> None:
    body = {"displayName": "in unit", "mailEnabled": False, "mailNickname": "u", "securityEnabled": True}
    made = azure.post(f"/beta/directory/administrativeUnits/{UNIT}/members", json=body)
    assert (made.status_code, made.json()["@odata.type"]) == (201, "#microsoft.graph.group")
    assert (
        azure.get(f"/v1.0/directory/administrativeUnits/{UNIT}/members").json()["value"][0]["id"] == made.json()["id"]
    )
    renamed = azure.patch(f"/v1.0/groups/{made.json()['id']}", json={"displayName": "renamed"})
    assert renamed.status_code == 204
    outside = azure.post(
        f"/v1.0/directory/administrativeUnits/{UNIT}/members/$ref", json={"@odata.id": f"x/{made.json()['id']}"}
    )
    assert _message(outside) == (403, "Authorization_RequestDenied")


# the rest


def test_objects_of_any_kind_are_read_by_id(azure: httpx.Client) -> None:
    group = _make_group(azure).json()["id"]
    assert azure.get(f"/v1.0/directoryObjects/{group}").json()["@odata.type"] == "#microsoft.graph.group"
    found = azure.post(
        "/v1.0/directoryObjects/getByIds", json={"ids": [group, RUNNER_OBJECT, "00000000-0000-4000-8000-00000000dead"]}
    )
    assert [one["@odata.type"].rsplit(".")[-1] for one in found.json()["value"]] == ["group", "servicePrincipal"]


def test_applications_and_their_roles_are_read(azure: httpx.Client) -> None:
    found = azure.get("/v1.0/servicePrincipals", params={"$filter": f"appId eq '{HOOKS}'"}).json()["value"]
    assert [one["displayName"] for one in found] == ["landing-zone-hooks"]
    assert azure.get(f"/v1.0/servicePrincipals(appId='{HOOKS}')").json()["id"] == found[0]["id"]
    held = azure.get(f"/v1.0/servicePrincipals/{RUNNER_OBJECT}/appRoleAssignments").json()["value"]
    assert [(one["resourceId"], one["principalId"]) for one in held] == [(found[0]["id"], RUNNER_OBJECT)]
    assert "secret" not in azure.get("/beta/servicePrincipals").text


def test_a_batch_answers_each_request_by_itself(azure: httpx.Client) -> None:
    requests = [
        {"id": "1", "method": "GET", "url": "/users?$filter=mail eq 'dev3@partner.example'&$select=mail"},
        {"id": "2", "method": "GET", "url": "/users/nobody@workloads.example"},
        {
            "id": "3",
            "method": "POST",
            "url": "/groups",
            "body": {"displayName": "x"},
            "headers": {"Content-Type": "application/json"},
        },
        {"id": "4", "method": "GET", "url": "/groups", "dependsOn": ["3"]},
    ]
    answers = {one["id"]: one for one in azure.post("/v1.0/$batch", json={"requests": requests}).json()["responses"]}
    assert [answers[key]["status"] for key in "1234"] == [200, 404, 400, 424]
    assert answers["1"]["body"]["value"][0]["mail"] == "dev3@partner.example"


def test_a_batch_has_at_most_twenty_requests(azure: httpx.Client) -> None:
    requests = [{"id": str(number), "method": "GET", "url": "/organization"} for number in range(21)]
    assert _message(azure.post("/v1.0/$batch", json={"requests": requests})) == (400, "BadRequest")
    assert azure.post("/v1.0/$batch", json={"requests": requests[:20]}).status_code == 200
    assert _message(azure.post("/v1.0/$batch", json={"requests": [requests[0], requests[0]]})) == (400, "BadRequest")


@pytest.mark.parametrize("path", ["/v1.0/nothing", "/v1.0/users/x/y/z", "/v1.0/groups/x/calendar", "/v1.0"])
def test_what_the_sandbox_does_not_know_is_not_found(azure: httpx.Client, path: str) -> None:
    assert azure.get(path).status_code == 404


_VALUES = st.sampled_from(["a@x.example", "A@x.example", "b@x.example", "o'hara@x.example", "ab", ""])
_USER = {"mail": _VALUES | st.none(), "otherMails": st.lists(_VALUES, max_size=2), "employeeId": _VALUES | st.none()}
_USERS = st.lists(st.fixed_dictionaries(_USER), max_size=8)
_QUOTED = _VALUES.map(lambda value: "'" + value.replace("'", "''") + "'")
_SIMPLE = st.one_of(
    _QUOTED.map(lambda value: f"mail eq {value}"),
    _QUOTED.map(lambda value: f"otherMails/any(m:m eq {value})"),
    _QUOTED.map(lambda value: f"startsWith(mail,{value})"),
    st.tuples(_QUOTED, _QUOTED).map(lambda pair: f"employeeId in ({pair[0]}, {pair[1]})"),
    st.just("employeeId ne null"),
)
_FILTERS = st.recursive(
    _SIMPLE,
    lambda inner: st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda parts: f"({' '.join(parts)})"),
    max_leaves=4,
)


@given(users=_USERS, text=_FILTERS)
def test_an_index_never_misses_whom_a_walk_would_find(users: list[dict[str, Any]], text: str) -> None:
    directory = Directory("t", "T", "t.example")
    for number, user in enumerate(users):
        directory.put_user(user_defaults({"userPrincipalName": f"u{number}@t.example"} | user | {"id": str(number)}))
    node = read_filter(text)
    expected = {key for key, user in directory.users.items() if matches(node, user)}
    wanted = look_ups(node)
    if wanted is not None:
        candidates = {
            user["id"] for one in wanted for user in directory.users_having(one.path, one.value, prefix=one.prefix)
        }
        assert expected <= candidates


@given(st.text(alphabet="ab '()/:,eqandorinotx", max_size=30))
def test_any_text_is_a_filter_or_a_bad_request(text: str) -> None:
    statuses: list[int] = []
    with suppress_rejections(statuses):
        read_filter(text)
    assert statuses in ([], [400])


@contextmanager
def suppress_rejections(statuses: list[int]) -> Iterator[None]:
    """Keep the status of a refusal instead of raising it."""
    try:
        yield
    except Rejection as error:
        statuses.append(error.status)


def test_ten_thousand_people_are_searched_through_an_index(azure: httpx.Client, sandbox: Sandbox) -> None:
    directory = sandbox.world.directories[WORKLOADS]
    for number in range(10_000):
        name = f"p{number}@workloads.example"
        user = {"id": str(number), "userPrincipalName": name, "mail": name, "employeeId": f"N{number}"}
        directory.users[str(number)] = user_defaults(user)
    sandbox.drift("PATCH", "/v1.0/users/5", {"department": "any change forgets the indexes"})
    filters = [f"mail in ('p{n}@workloads.example','P{n}@workloads.example')" for n in range(0, 10_000, 500)]
    requests = [
        {"id": str(place), "method": "GET", "url": f"/users?$filter={text}&$select=mail"}
        for place, text in enumerate(filters)
    ]
    for _ in range(10):
        answers = azure.post("/v1.0/$batch", json={"requests": requests}).json()["responses"]
        assert all(len(answer["body"]["value"]) == 1 for answer in answers)
