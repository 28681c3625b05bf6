"""Application registrations, Entra roles and the clock, as the sandbox tells of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import yaml

import runner
from runner.sandbox.azure.server import Sandbox
from tests.sandbox_azure.conftest import AUDITOR, HOOKS, RUNNER, RUNNER_OBJECT, WORKLOADS, bearer, token

SEED = Path(runner.__file__).parent / "sandbox" / "azure" / "default_seed.yaml"
UNIT = "7d3f0c52-cccc-4a6e-9c55-2a4b6f1d0001"
SECRET = "sandbox-runner-secret"


def reseed(sandbox: Sandbox, **application: Any) -> None:
    seed = yaml.safe_load(SEED.read_text(encoding="utf-8"))
    seed["tenants"][0]["applications"][0] |= application
    with sandbox.world.lock:
        sandbox.world.seed(seed)


def test_a_registration_tells_when_its_secrets_end_and_never_a_secret(sandbox: Sandbox, azure: httpx.Client) -> None:
    reseed(sandbox, secrets=[{"value": SECRET, "ends": "2027-01-02T03:04:05+02:00"}])
    answer = azure.get(f"/v1.0/applications(appId='{RUNNER}')")
    (found,) = answer.json()["passwordCredentials"]
    assert found["endDateTime"] == "2027-01-02T01:04:05Z"
    assert found["hint"] == SECRET[:3]
    assert found["secretText"] is None
    assert SECRET not in answer.text


def test_a_registration_is_found_by_its_object_id_as_well(azure: httpx.Client) -> None:
    listed = azure.get("/v1.0/applications").json()["value"]
    found = next(app for app in listed if app["appId"] == RUNNER)
    assert found["id"] != RUNNER_OBJECT
    assert azure.get(f"/v1.0/applications/{found['id']}", params={"$select": "appId"}).json() == {
        "id": found["id"],
        "appId": RUNNER,
    }
    assert azure.get(f"/v1.0/applications/{RUNNER_OBJECT}").status_code == 404


def test_who_may_read_no_applications_reads_none(sandbox: Sandbox, anonymous: httpx.Client) -> None:
    reseed(sandbox, graphPermissions=["User.Read.All"])
    anonymous.headers.update(bearer(anonymous))
    assert anonymous.get(f"/v1.0/applications(appId='{RUNNER}')").status_code == 403
    roles = anonymous.get("/v1.0/roleManagement/directory/roleAssignments", params={"$filter": "principalId eq 'x'"})
    assert roles.status_code == 403


def test_a_secret_that_has_ended_opens_nothing(sandbox: Sandbox, anonymous: httpx.Client) -> None:
    reseed(sandbox, secrets=[{"value": SECRET, "ends": (datetime.now(UTC) - timedelta(days=1)).isoformat()}])
    answer = token(anonymous)
    assert (answer.status_code, answer.json()["error_codes"]) == (401, [7000222])


def test_a_groups_administrator_of_a_unit_is_told(azure: httpx.Client) -> None:
    query = {"$filter": f"principalId eq '{RUNNER_OBJECT}'"}
    (found,) = azure.get("/v1.0/roleManagement/directory/roleAssignments", params=query).json()["value"]
    assert found["directoryScopeId"] == f"/administrativeUnits/{UNIT}"
    assert azure.get("/v1.0/roleManagement/directory/roleAssignments").status_code == 400


@pytest.mark.parametrize(("wanted", "version"), [(None, "1.0"), (2, "2.0")])
def test_an_application_chooses_the_version_of_tokens_for_it(
    sandbox: Sandbox, anonymous: httpx.Client, wanted: int | None, version: str
) -> None:
    seed = yaml.safe_load(SEED.read_text(encoding="utf-8"))
    seed["tenants"][0]["applications"][1]["tokenVersion"] = wanted
    with sandbox.world.lock:
        sandbox.world.seed(seed)
    issued = token(anonymous, scope=f"{HOOKS}/.default").json()["access_token"]
    claims = jwt.decode(issued, options={"verify_signature": False})
    assert (claims["ver"], claims["roles"]) == (version, ["Access"])
    assert claims["iss"].startswith("https://login.microsoftonline.com/" if wanted == 2 else "https://sts.windows.net/")


def test_permissions_are_those_of_the_caller(anonymous: httpx.Client) -> None:
    anonymous.headers.update(bearer(anonymous, tenant=WORKLOADS, client_id=AUDITOR, secret="sandbox-auditor-secret"))
    path = "/providers/Microsoft.Management/managementGroups/{}/providers/Microsoft.Authorization/permissions"
    query = {"api-version": "2022-04-01"}
    (found,) = anonymous.get(path.format("corp-online"), params=query).json()["value"]
    assert found["actions"] == ["*/read"]
    assert anonymous.get(path.format(WORKLOADS), params=query).json()["value"] == []
    assert anonymous.get(path.format("nowhere"), params=query).status_code == 404


def test_every_answer_is_dated_by_the_sandbox_clock(sandbox: Sandbox, anonymous: httpx.Client) -> None:
    with sandbox.world.lock:
        sandbox.world.now = lambda: datetime(2027, 5, 6, 7, 8, 9, tzinfo=UTC)
    answer = anonymous.get("/metadata/endpoints", params={"api-version": "2022-09-01"})
    assert parsedate_to_datetime(answer.headers["Date"]) == datetime(2027, 5, 6, 7, 8, 9, tzinfo=UTC)
