"""The calls of the real azapi 2.12.0 and azuread 3.9.0, as observed, made again: same statuses, same bodies.

Each line of a case is a call with its answer, or what happened in between: a change behind the provider's back, or a
principal that is not replicated yet. Ids that the server chooses are followed from the answer where they first appear.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from runner.sandbox.azure.faults import Lag
from runner.sandbox.azure.server import Sandbox
from tests.sandbox_azure.conftest import bearer

HERE = Path(__file__).parent
CASES = sorted((HERE / "cases").glob("*.jsonl"))
NOT_COMPARED = {
    "createdOn",
    "updatedOn",
    "updatedTime",
    "@odata.context",
    "createdBy",
    "updatedBy",
}  # when, and by whom a drift was
TENANT = "11111111-1111-1111-1111-111111111111"


@pytest.fixture
def observed(directory: Path) -> Iterator[Sandbox]:
    with Sandbox(directory, seed=HERE / "observed.yaml") as sandbox:
        yield sandbox


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_the_sandbox_answers_as_observed(case: Path, observed: Sandbox) -> None:
    trust = ssl.create_default_context(cafile=str(observed.ca_file))
    names = {"{origin}": observed.url}
    with httpx.Client(base_url=observed.url, verify=trust, trust_env=False) as client:
        client.headers.update(
            bearer(client, tenant=TENANT, client_id="22222222-2222-2222-2222-222222222222", secret="observed")
        )
        for number, line in enumerate(case.read_text(encoding="utf-8").splitlines(), start=1):
            step = json.loads(_renamed(line, names))
            if "drift" in step:
                changed = observed.drift(step["drift"]["method"], step["drift"]["path"], step["drift"].get("body"))
                assert changed.status < 300, (number, changed.body)
            elif "hide" in step:
                observed.faults.hide(step["hide"], Lag(reads=step["reads"]))
            else:
                _make_again(client, step, json.loads(line), names, number)


def _make_again(
    client: httpx.Client, step: dict[str, Any], original: dict[str, Any], names: dict[str, str], number: int
) -> None:
    answer = client.request(step["method"], step["url"], json=step.get("request"))
    assert answer.status_code == step["status"], f"line {number}: {answer.text}"
    body = answer.json() if answer.content else None
    _learn(original, body, dict(answer.headers), names)
    expected = json.loads(_renamed(json.dumps(original.get("response")), names))
    problem = _missing(expected, body, "")
    assert problem is None, f"line {number}: {step['method']} {step['url']}: {problem}"
    for name, value in original.get("headers", {}).items():
        assert answer.headers[name] == _renamed(str(value), names), f"line {number}: header {name}"


def _renamed(text: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        text = text.replace(old, new)
    return text


def _learn(original: dict[str, Any], body: Any, headers: dict[str, str], names: dict[str, str]) -> None:
    """Remember what the server called a new group or operation that was called otherwise when it was observed."""
    if original["method"] == "POST" and isinstance(body, dict) and "id" in body:
        names[original["response"]["id"]] = body["id"]
    if "Location" in original.get("headers", {}):
        old, new = (
            link.split("?")[0].rsplit("/", 1)[-1] for link in (original["headers"]["Location"], headers["location"])
        )
        names[old] = new


def _missing(expected: Any, found: Any, at: str) -> str | None:
    """What was observed and is not in the answer; the answer may say more."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key, value in expected.items():
            if key not in found:
                return f"{at}.{key} is missing"
            if key not in NOT_COMPARED and (problem := _missing(value, found[key], f"{at}.{key}")):
                return problem
        return None
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        problems = [
            _missing(one, other, f"{at}[{place}]")
            for place, (one, other) in enumerate(zip(expected, found, strict=True))
        ]
        return next((problem for problem in problems if problem), None)
    return None if expected == found else f"{at} is {found!r}, was {expected!r}"
