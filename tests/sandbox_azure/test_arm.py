"""Resource Manager: statuses, bodies and rules that landing zones meet."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from runner.sandbox.azure.faults import LateFailure, Slowly
from runner.sandbox.azure.server import Sandbox
from tests.sandbox_azure.conftest import AUDITOR, CHECKOUT, RUNNER_OBJECT, SHARED, WORKLOADS, bearer

MG = "/providers/Microsoft.Management/managementGroups"
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"


def _code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def _group(azure: httpx.Client, name: str = "rg-one", **body: Any) -> httpx.Response:
    return azure.put(f"{CHECKOUT}/resourceGroups/{name}?api-version=2022-09-01", json={"location": "westeurope"} | body)


def _assign(
    azure: httpx.Client, principal: str, *, scope: str = CHECKOUT, role: str = READER, name: str = "", **more: Any
) -> httpx.Response:
    definition = f"{CHECKOUT}/providers/Microsoft.Authorization/roleDefinitions/{role}"
    path = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name or uuid.uuid4()}"
    properties = {"principalId": principal, "roleDefinitionId": definition} | more
    return azure.put(f"{path}?api-version=2022-04-01", json={"properties": properties})


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (CHECKOUT, (400, "MissingApiVersionParameter")),
        (f"{CHECKOUT}?api-version=soon", (400, "InvalidApiVersionParameter")),
        ("/subscriptions/00000000-0000-4000-8000-00000000dead?api-version=2022-12-01", (404, "SubscriptionNotFound")),
        (f"{MG}/Corp%20Online?api-version=2020-05-01", (404, "NotFound")),
        (f"{CHECKOUT}/resourceGroups/none?api-version=2022-09-01", (404, "ResourceGroupNotFound")),
        (f"{CHECKOUT}/resourceGroups/none/resources?api-version=2021-04-01", (404, "ResourceGroupNotFound")),
        (
            f"{CHECKOUT}/providers/Microsoft.Authorization/roleAssignments/{OWNER}?api-version=2022-04-01",
            (404, "RoleAssignmentNotFound"),
        ),
        (f"{CHECKOUT}/nothing?api-version=2021-04-01", (404, "InvalidResourceType")),
    ],
)
def test_what_is_wrong_with_a_call_has_azures_code(azure: httpx.Client, path: str, expected: tuple[int, str]) -> None:
    assert _code(azure.get(path)) == expected


def test_a_call_without_a_token_is_refused(anonymous: httpx.Client) -> None:
    assert _code(anonymous.get(f"{CHECKOUT}?api-version=2022-12-01")) == (401, "AuthenticationFailed")


def test_ids_are_found_in_any_case(azure: httpx.Client) -> None:
    _group(azure, "Rg-Mixed")
    path = f"{CHECKOUT}/resourceGroups/rg-mixed".upper().replace("/SUBSCRIPTIONS", "/Subscriptions")
    assert azure.get(f"{path}?api-version=2022-09-01").json()["name"] == "Rg-Mixed"


def test_a_list_of_subscriptions_comes_in_pages(azure: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.world.contents.page_size = 3
    first = azure.get("/subscriptions?api-version=2022-12-01").json()
    second = azure.get(first["nextLink"]).json()
    assert [len(first["value"]), len(second["value"])] == [3, 1]
    assert "nextLink" not in second


def test_the_auditor_sees_its_management_group_and_changes_nothing(anonymous: httpx.Client) -> None:
    anonymous.headers.update(bearer(anonymous, client_id=AUDITOR, secret="sandbox-auditor-secret"))
    assert len(anonymous.get("/subscriptions?api-version=2022-12-01").json()["value"]) == 4
    assert _code(_group(anonymous)) == (403, "AuthorizationFailed")
    assert _code(anonymous.get(f"{MG}/{WORKLOADS}?api-version=2020-05-01")) == (403, "AuthorizationFailed")
    assert _code(anonymous.get(f"{MG}/nowhere?api-version=2020-05-01")) == (403, "AuthorizationFailed")


def test_a_contributor_may_not_assign_roles(azure: httpx.Client, sandbox: Sandbox) -> None:
    with sandbox.world.lock:
        for held in sandbox.world.estate.roles_of(RUNNER_OBJECT):
            sandbox.world.estate.remove_role_assignment(held["id"])
    role = f"/providers/Microsoft.Authorization/roleDefinitions/{CONTRIBUTOR}"
    contributor = {"principalId": RUNNER_OBJECT, "roleDefinitionId": role}
    sandbox.drift(
        "PUT",
        f"{CHECKOUT}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}",
        {"properties": contributor},
    )
    assert _group(azure).status_code == 201
    assert _code(_assign(azure, RUNNER_OBJECT)) == (403, "AuthorizationFailed")
    held = azure.get(f"{CHECKOUT}/providers/Microsoft.Authorization/permissions?api-version=2022-04-01").json()["value"]
    assert held[0]["actions"] == ["*"]
    assert held[0]["notActions"]


# management groups


def test_the_tree_is_read_by_id(azure: httpx.Client) -> None:
    found = azure.get(f"{MG}/example?api-version=2020-05-01&$expand=children&$recurse=true").json()["properties"]
    assert found["details"]["parent"]["name"] == WORKLOADS
    assert [child["name"] for child in found["children"]] == ["landing-zones", "sandbox", "decommissioned"]
    assert [child["name"] for child in found["children"][0]["children"]] == ["corp-online", "corp-internal"]
    assert found["children"][2]["children"] is None
    listed = azure.get(f"{MG}?api-version=2020-05-01").json()["value"]
    assert {group["properties"]["displayName"] for group in listed} > {"Tenant Root Group", "Corp Online"}


def test_descendants_are_groups_and_subscriptions_of_every_depth(azure: httpx.Client) -> None:
    found = azure.get(f"{MG}/landing-zones/descendants?api-version=2020-05-01").json()["value"]
    assert [one["name"] for one in found] == ["corp-online", "corp-internal", SHARED.split("/")[-1]]


def test_entities_tell_where_a_subscription_is(azure: httpx.Client) -> None:
    name = CHECKOUT.split("/")[-1]
    found = azure.post(
        f"/providers/Microsoft.Management/getEntities?api-version=2020-05-01&$filter=name eq '{name}'"
    ).json()["value"]
    assert [one["properties"]["parent"]["id"] for one in found] == [f"{MG}/sandbox"]


def test_a_subscription_moves_when_it_is_put_elsewhere(azure: httpx.Client) -> None:
    moved = azure.put(f"{MG}/corp-online{CHECKOUT}?api-version=2020-05-01")
    assert moved.json()["properties"]["parent"]["id"] == f"{MG}/corp-online"
    assert azure.get(f"{MG}/sandbox{CHECKOUT}?api-version=2020-05-01").status_code == 404
    listed = azure.get(f"{MG}/corp-online/subscriptions?api-version=2020-05-01").json()["value"]
    assert [one["name"] for one in listed] == [CHECKOUT.split("/")[-1]]


def test_a_late_delete_on_the_old_group_pulls_the_subscription_to_the_root(azure: httpx.Client) -> None:
    azure.put(f"{MG}/corp-online{CHECKOUT}?api-version=2020-05-01")
    assert azure.delete(f"{MG}/sandbox{CHECKOUT}?api-version=2020-05-01").status_code == 204
    assert azure.get(f"{MG}/corp-online{CHECKOUT}?api-version=2020-05-01").status_code == 404
    assert azure.get(f"{MG}/{WORKLOADS}{CHECKOUT}?api-version=2020-05-01").status_code == 200


def test_a_display_name_is_not_an_id(azure: httpx.Client) -> None:
    assert azure.put(f"{MG}/Corp Online{CHECKOUT}?api-version=2020-05-01").status_code == 404


# resource groups and resources


def test_a_resource_group_is_made_changed_and_deleted(azure: httpx.Client) -> None:
    path = f"{CHECKOUT}/resourceGroups/rg-one?api-version=2022-09-01"
    made = _group(azure, location="West Europe", tags={"a": "1"})
    assert (made.status_code, made.json()["location"]) == (201, "westeurope")
    assert _group(azure).status_code == 200
    assert azure.patch(path, json={"tags": {"b": "2"}}).json()["tags"] == {"b": "2"}
    started = azure.delete(path)
    assert (started.status_code, started.headers["retry-after"]) == (202, "1")
    assert azure.get(path).json()["properties"]["provisioningState"] == "Deleting"
    assert azure.get(started.headers["location"]).status_code == 200
    assert azure.get(path).status_code == 404
    assert _code(azure.delete(path)) == (404, "ResourceGroupNotFound")


def test_deleting_a_group_takes_what_is_in_it(azure: httpx.Client) -> None:
    path = f"{SHARED}/resourceGroups/rg-legacy-wiki"
    listed = azure.get(f"{path}/resources?api-version=2021-04-01").json()["value"]
    assert [one["name"] for one in listed] == ["legacywiki"]
    assert "properties" not in listed[0]
    _assign(azure, RUNNER_OBJECT, scope=path)
    operation = azure.delete(f"{path}?api-version=2022-09-01").headers["location"]
    while azure.get(operation).status_code == 202:
        pass
    assert azure.get(f"{SHARED}/resources?api-version=2021-04-01").json()["value"] == []
    assignments = azure.get(
        f"{SHARED}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01"
    ).json()["value"]
    assert not [one for one in assignments if "rg-legacy-wiki" in one["id"]]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, (400, "LocationRequired")),
        ({"location": "atlantis"}, (400, "LocationNotAvailableForResourceGroup")),
        ({"location": "westeurope", "tags": {"a/b": ""}}, (400, "InvalidTagNameCharacters")),
        ({"location": "westeurope", "tags": {"azure-x": ""}}, (400, "InvalidTagNamePrefix")),
        ({"location": "westeurope", "tags": {f"t{number}": "" for number in range(51)}}, (400, "TooManyTags")),
        ({"location": "westeurope", "tags": {"long": "v" * 257}}, (400, "InvalidTagLength")),
    ],
)
def test_a_resource_group_that_cannot_be(azure: httpx.Client, body: dict[str, Any], expected: tuple[int, str]) -> None:
    assert _code(azure.put(f"{CHECKOUT}/resourceGroups/rg-one?api-version=2022-09-01", json=body)) == expected


def test_a_resource_group_stays_where_it_is(azure: httpx.Client) -> None:
    _group(azure)
    assert _code(_group(azure, location="northeurope")) == (409, "InvalidResourceGroupLocation")


def test_any_resource_can_be_put_read_listed_and_deleted(azure: httpx.Client) -> None:
    _group(azure)
    account = f"{CHECKOUT}/resourceGroups/rg-one/providers/Microsoft.Storage/storageAccounts/one"
    assert azure.get(f"{account}?api-version=2023-01-01").status_code == 404
    made = azure.put(f"{account}?api-version=2023-01-01", json={"location": "westeurope", "properties": {"x": 1}})
    assert (made.status_code, made.json()["type"]) == (201, "Microsoft.Storage/storageAccounts")
    lock = f"{account}/providers/Microsoft.Authorization/locks/keep"
    assert (
        azure.put(f"{lock}?api-version=2020-05-01", json={"properties": {"level": "CanNotDelete"}}).json()["name"]
        == "keep"
    )
    filtered = azure.get(
        f"{CHECKOUT}/resourceGroups/rg-one/resources?api-version=2021-04-01&$filter=resourceType eq 'microsoft.storage/storageaccounts'"
    )
    assert [one["id"] for one in filtered.json()["value"]] == [account]
    assert azure.delete(f"{account}?api-version=2023-01-01").status_code == 200
    assert azure.delete(f"{account}?api-version=2023-01-01").status_code == 204
    assert azure.get(f"{lock}?api-version=2020-05-01").status_code == 404


def test_a_provider_that_is_not_registered_has_to_be(azure: httpx.Client) -> None:
    _group(azure)
    path = f"{CHECKOUT}/resourceGroups/rg-one/providers/Microsoft.Batch/batchAccounts/b?api-version=2023-05-01"
    refused = azure.put(path, json={"location": "westeurope"})
    assert _code(refused) == (409, "MissingSubscriptionRegistration")
    assert refused.json()["error"]["details"][0]["target"] == "Microsoft.Batch"
    provider = f"{CHECKOUT}/providers/Microsoft.Batch"
    assert azure.get(f"{provider}?api-version=2022-09-01").json()["registrationState"] == "NotRegistered"
    assert azure.post(f"{provider}/register?api-version=2022-09-01").json()["registrationState"] == "Registering"
    states = [azure.get(f"{provider}?api-version=2022-09-01").json()["registrationState"] for _ in range(2)]
    assert states == ["Registering", "Registered"]
    assert azure.put(path, json={"location": "westeurope"}).status_code == 201


def test_a_disabled_subscription_takes_no_writes(azure: httpx.Client, sandbox: Sandbox) -> None:
    with sandbox.world.lock:
        sandbox.world.estate.subscriptions[CHECKOUT.split("/")[-1]].state = "Disabled"
    assert _code(_group(azure)) == (409, "ReadOnlyDisabledSubscription")
    assert azure.get(f"{CHECKOUT}?api-version=2022-12-01").json()["state"] == "Disabled"


def test_a_write_can_be_told_to_end_later(azure: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.faults.add(Slowly(method="PUT", polls=1))
    made = _group(azure)
    assert (made.status_code, made.json()["properties"]["provisioningState"]) == (201, "Creating")
    link = made.headers["azure-asyncoperation"]
    assert [azure.get(link).json()["status"] for _ in range(2)] == ["InProgress", "Succeeded"]
    path = f"{CHECKOUT}/resourceGroups/rg-one?api-version=2022-09-01"
    assert azure.get(path).json()["properties"]["provisioningState"] == "Succeeded"


def test_an_operation_can_fail_late(azure: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.faults.add(Slowly(path="resourceGroups", polls=0, error=LateFailure(code="Conflict", message="no")))
    status = azure.get(_group(azure).headers["azure-asyncoperation"]).json()
    assert (status["status"], status["error"]["code"]) == ("Failed", "Conflict")
    location = azure.delete(f"{CHECKOUT}/resourceGroups/rg-one?api-version=2022-09-01").headers["location"]
    assert _code(azure.get(location)) == (409, "Conflict")
    found = azure.get(f"{CHECKOUT}/resourceGroups/rg-one?api-version=2022-09-01").json()
    assert found["properties"]["provisioningState"] == "Failed"


# tags


def test_tags_are_the_same_wherever_they_are_read(azure: httpx.Client) -> None:
    path = f"{CHECKOUT}/providers/Microsoft.Resources/tags/default?api-version=2021-04-01"
    azure.patch(path, json={"operation": "Merge", "properties": {"tags": {"COSTCENTER": "1", "new": "x"}}})
    expected = {"costCenter": "1", "createdBy": "central-it", "new": "x"}
    assert azure.get(path).json()["properties"]["tags"] == expected
    assert azure.get(f"{CHECKOUT}?api-version=2022-12-01").json()["tags"] == expected
    _group(azure, tags={"a": "1"})
    of_group = f"{CHECKOUT}/resourceGroups/rg-one/providers/Microsoft.Resources/tags/default?api-version=2021-04-01"
    azure.patch(of_group, json={"operation": "Replace", "properties": {"tags": {"b": "2"}}})
    assert azure.get(f"{CHECKOUT}/resourceGroups/rg-one?api-version=2022-09-01").json()["tags"] == {"b": "2"}


TAGS = f"{CHECKOUT}/providers/Microsoft.Resources/tags/default?api-version=2021-04-01"


@pytest.mark.parametrize("operation", ["put", "Replace", "Merge"])
def test_a_tag_in_another_case_is_the_same_tag_under_the_spelling_that_exists(
    azure: httpx.Client, operation: str
) -> None:
    given = {"costCenter": "4711", "CostCenter": "4712", "createdBy": "central-it", "new": "1", "NEW": "2"}
    if operation == "put":
        answer = azure.put(TAGS, json={"properties": {"tags": given}})
    else:
        answer = azure.patch(TAGS, json={"operation": operation, "properties": {"tags": given}})
    expected = {"costCenter": "4712", "createdBy": "central-it", "new": "2"}
    assert answer.json()["properties"]["tags"] == expected
    assert azure.get(TAGS).json()["properties"]["tags"] == expected


def test_a_tag_is_deleted_under_any_spelling(azure: httpx.Client) -> None:
    kept = azure.patch(TAGS, json={"operation": "Delete", "properties": {"tags": {"CostCenter": ""}}})
    assert kept.json()["properties"]["tags"] == {"createdBy": "central-it"}


def test_tags_of_a_group_and_of_a_resource_keep_their_spelling_too(azure: httpx.Client) -> None:
    made = _group(azure, tags={"owner": "ada", "OWNER": "bo"})
    assert made.json()["tags"] == {"owner": "bo"}
    assert _group(azure, tags={"Owner": "cy"}).json()["tags"] == {"owner": "cy"}
    group = f"{CHECKOUT}/resourceGroups/rg-one"
    patched = azure.patch(f"{group}?api-version=2022-09-01", json={"tags": {"OWNER": "di"}})
    assert patched.json()["tags"] == {"owner": "di"}
    account = f"{group}/providers/Microsoft.Storage/storageAccounts/one?api-version=2023-01-01"
    spelled = [
        azure.put(account, json={"location": "westeurope", "tags": {name: ""}}).json()["tags"]
        for name in ("owner", "Owner")
    ]
    assert spelled == [{"owner": ""}, {"owner": ""}]
    assert azure.patch(account, json={"tags": {"OWNER": "x"}}).json()["tags"] == {"owner": "x"}


def test_a_tag_is_deleted_by_name_or_by_name_and_value(azure: httpx.Client) -> None:
    path = f"{CHECKOUT}/providers/Microsoft.Resources/tags/default?api-version=2021-04-01"
    kept = azure.patch(
        path, json={"operation": "Delete", "properties": {"tags": {"costCenter": "other", "createdBy": ""}}}
    )
    assert kept.json()["properties"]["tags"] == {"costCenter": "4711"}
    assert _code(azure.patch(path, json={"operation": "Drop", "properties": {"tags": {}}})) == (
        400,
        "InvalidTagPatchOperation",
    )


# role assignments


def test_a_role_is_assigned_once(azure: httpx.Client) -> None:
    first = _assign(azure, RUNNER_OBJECT)
    assert (first.status_code, first.json()["properties"]["principalType"]) == (201, "ServicePrincipal")
    assert _code(_assign(azure, RUNNER_OBJECT)) == (409, "RoleAssignmentExists")
    assert _assign(azure, RUNNER_OBJECT, name=first.json()["name"]).status_code == 200
    path = f"{first.json()['id']}?api-version=2022-04-01"
    assert [azure.delete(path).status_code for _ in range(2)] == [200, 204]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"principal": str(uuid.uuid4())}, (400, "PrincipalNotFound")),
        ({"principal": RUNNER_OBJECT, "principalType": "Group"}, (400, "UnmatchedPrincipalType")),
        ({"principal": RUNNER_OBJECT, "role": str(uuid.uuid4())}, (404, "RoleDefinitionDoesNotExist")),
        ({"principal": RUNNER_OBJECT, "name": "not-a-guid"}, (400, "InvalidRoleAssignmentId")),
        ({"principal": ""}, (400, "BadRequestFormat")),
    ],
)
def test_an_assignment_that_cannot_be(azure: httpx.Client, given: dict[str, str], expected: tuple[int, str]) -> None:
    assert _code(_assign(azure, **given)) == expected


def test_the_short_role_id_comes_back_long(azure: httpx.Client) -> None:
    short = f"/providers/Microsoft.Authorization/roleDefinitions/{READER}"
    answer = _assign(azure, RUNNER_OBJECT, roleDefinitionId=short)
    assert answer.json()["properties"]["roleDefinitionId"] == f"{CHECKOUT}{short}"


def test_assignments_are_listed_from_above_and_below(azure: httpx.Client) -> None:
    _group(azure)
    _assign(azure, RUNNER_OBJECT, scope=f"{CHECKOUT}/resourceGroups/rg-one")

    def scopes(query: str) -> list[str]:
        path = f"{CHECKOUT}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01{query}"
        return [one["properties"]["scope"] for one in azure.get(path).json()["value"]]

    root, example, group = f"{MG}/{WORKLOADS}", f"{MG}/example", f"{CHECKOUT}/resourceGroups/rg-one"
    assert scopes("") == [root, example, group]
    assert scopes("&$filter=atScope()") == [root, example]
    assert scopes(f"&$filter=principalId eq '{RUNNER_OBJECT}'") == [root, group]
    assert scopes(f"&$filter=atScope() and assignedTo('{RUNNER_OBJECT}')") == [root]


def test_roles_are_found_by_name(azure: httpx.Client) -> None:
    path = f"{CHECKOUT}/providers/Microsoft.Authorization/roleDefinitions?api-version=2022-05-01-preview"
    found = azure.get(f"{path}&$filter=roleName eq 'Owner'").json()["value"]
    assert [one["name"] for one in found] == [OWNER]
    assert found[0]["id"].startswith(CHECKOUT)
    assert azure.get(f"{found[0]['id']}?api-version=2022-04-01").json()["properties"]["roleName"] == "Owner"


def test_a_body_that_is_no_json_is_a_bad_request(azure: httpx.Client) -> None:
    path = f"{CHECKOUT}/resourceGroups/rg-one?api-version=2022-09-01"
    for body in (b"{", b"[]", b"\xff"):
        assert _code(azure.put(path, content=body)) == (400, "InvalidRequestContent")
