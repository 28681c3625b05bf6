"""The API's description says everything that a program has to know, and its examples are right."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from jsonschema import Draft202012Validator

from runner.cli import run as lzr
from runner.web.api.openapi import description
from tests.web.api_server import Served

pytest_plugins = ("tests.web.api_fixtures",)

API = description()
OPERATIONS = {
    operation["operationId"]: (method, path, operation)
    for path, methods in API["paths"].items()
    for method, operation in methods.items()
}
JSON = ("application/json", "application/problem+json")


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(
        {**schema, "components": API["components"]}, format_checker=Draft202012Validator.FORMAT_CHECKER
    )


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema
    while "$ref" in found:
        found = API
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return found


def bodies(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every JSON body of the operation, what is sent and what is answered."""
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"request {media}", content["schema"]
    for status, answer in operation["responses"].items():
        for media, content in answer.get("content", {}).items():
            if media in JSON:
                yield f"{status} {media}", content["schema"]


def examples(schema: dict[str, Any]) -> list[Any]:
    found = resolved(schema)
    given: list[Any] = found.get("examples", [])
    return given or [one for part in found.get("anyOf", []) for one in examples(part)]


def test_it_is_openapi_3_1() -> None:
    assert API["openapi"].startswith("3.1.")
    Draft202012Validator.check_schema({"$defs": API["components"]["schemas"]})
    assert set(API["components"]["securitySchemes"]) == {"token", "session"}
    assert API["security"] == [{"token": []}, {"session": []}]
    assert json.loads(json.dumps(API)) == API


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_says_what_it_does_and_how_it_fails(name: str) -> None:
    method, path, operation = OPERATIONS[name]
    assert re.fullmatch(r"[a-z][A-Za-z]+", name)
    assert operation["summary"]
    assert operation["description"]
    assert len(operation["tags"]) == 1
    assert {"401", "403", "404", "422", "429", "503"} <= set(operation["responses"])
    assert ({"409", "413"} <= set(operation["responses"])) == (method == "post")
    for status, answer in operation["responses"].items():
        assert answer["description"]
        if status >= "400":
            assert list(answer["content"]) == ["application/problem+json"]
            assert answer["content"]["application/problem+json"]["schema"] == {"$ref": "#/components/schemas/Problem"}
    for parameter in operation.get("parameters", []):
        assert parameter.get("description"), f"{path}: {parameter['name']}"


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_body_has_an_example_and_every_example_is_right(name: str) -> None:
    _, path, operation = OPERATIONS[name]
    for what, schema in bodies(operation):
        found = examples(schema)
        assert found, f"{path}, {what}: no example"
        for example in found:
            validator(schema).validate(example)


def test_every_schema_says_what_it_stands_for() -> None:
    for name, schema in API["components"]["schemas"].items():
        assert schema.get("description") or schema.get("enum") or not schema, name  # the empty one is any JSON


def test_names_of_schemas_are_short_and_say_nothing_of_modules() -> None:
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+", name) for name in API["components"]["schemas"])


def test_operations_stay_what_they_are() -> None:
    """A program was written against each of these: one that goes, or moves, is another version of the API."""
    assert {name: f"{method.upper()} {path}" for name, (method, path, _) in sorted(OPERATIONS.items())} == {
        "applyRun": "POST /api/v1/runs/{run_id}/apply",
        "approveRun": "POST /api/v1/runs/{run_id}/approve",
        "askDeletion": "POST /api/v1/tenants/{name}/deletion",
        "cancelRun": "POST /api/v1/runs/{run_id}/cancel",
        "decideDeletion": "POST /api/v1/tenants/{name}/deletion/{decision}",
        "getDeletion": "GET /api/v1/tenants/{name}/deletion",
        "getReview": "GET /api/v1/runs/{run_id}/review",
        "getRun": "GET /api/v1/runs/{run_id}",
        "getTenant": "GET /api/v1/tenants/{name}",
        "getZone": "GET /api/v1/zones/{name}",
        "listApprovals": "GET /api/v1/runs/{run_id}/approvals",
        "listEvents": "GET /api/v1/runs/{run_id}/events",
        "listInbox": "GET /api/v1/inbox",
        "listRuns": "GET /api/v1/runs",
        "listStateVersions": "GET /api/v1/tenants/{name}/state-versions",
        "listTenants": "GET /api/v1/tenants",
        "listZones": "GET /api/v1/zones",
        "rejectRun": "POST /api/v1/runs/{run_id}/reject",
        "startRuns": "POST /api/v1/runs",
        "streamEvents": "GET /api/v1/runs/{run_id}/events/stream",
        "whoami": "GET /api/v1/whoami",
    }


def test_it_is_served_to_programs_and_people_alike(served: Served) -> None:
    client = served.client("viewer")
    assert client.get("/openapi.json").json() == API
    page = client.get(f"{served.url}/api/docs", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    for name, (method, path, _) in OPERATIONS.items():
        assert f'id="{name}"' in page.text
        assert f"{method.upper()} {path}" in page.text
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page.text)
    assert served.client("").get("/openapi.json").status_code == 401


def test_it_is_printed_for_programs_that_make_clients(capsys: pytest.CaptureFixture[str]) -> None:
    assert lzr(["schema", "api"]) == 0
    assert json.loads(capsys.readouterr().out) == API


def test_a_review_is_as_described(served: Served) -> None:
    run = served.waiting(contents=("rg-network",))
    _, _, operation = OPERATIONS["getReview"]
    (schema,) = [schema for what, schema in bodies(operation) if what.startswith("200")]
    validator(schema).validate(served.client().get(f"/runs/{run.id}/review").json())
    with pytest.raises(jsonschema.ValidationError):
        validator(schema).validate({"run": run.id})
