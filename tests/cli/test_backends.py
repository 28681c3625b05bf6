"""Tenants whose state is kept elsewhere, through the command line and the real Terraform."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.estate import TENANT, Estate
from tests.terraform import servers

SUBSCRIPTION = "4f1c2d30-0000-4000-8000-000000000001"


@pytest.fixture(params=["pg", "s3", "http"])
def elsewhere(estate: Estate, request: pytest.FixtureRequest) -> Iterator[Estate]:
    """The demo by policy, with its states on another server."""
    estate.edit("LandingZone", lambda zone: zone["spec"].update(approval={"policy": "never"}))
    match request.param:
        case "pg":
            address = request.getfixturevalue("postgres_database") + "&sslmode=disable"
            use(estate, {"type": "pg", "connection": {"env": "STATE_CONNECTION"}}, STATE_CONNECTION=address)
            yield estate
        case "s3":
            with servers.s3() as address:
                keys = {"accessKeyId": {"env": "STATE_KEY_ID"}, "secretAccessKey": {"env": "STATE_KEY"}}
                where = {"bucket": servers.BUCKET, "region": "eu-west-1", "endpoint": address, "keyPrefix": "zones/"}
                use(estate, {"type": "s3", **where, **keys}, STATE_KEY_ID="testing", STATE_KEY="testing")
                yield estate
        case _:
            with servers.http() as address:
                password = {"username": "runner", "password": {"env": "STATE_PASSWORD"}}
                use(estate, {"type": "http", "address": address, **password}, STATE_PASSWORD="state-password")
                yield estate


def use(estate: Estate, backend: dict[str, Any], **secrets: str) -> None:
    estate.edit("AzurePlatform", lambda platform: platform["spec"].update(stateBackend=backend))
    estate.environment.update(secrets)


def test_a_tenant_is_made_and_then_nothing_changes(elsewhere: Estate) -> None:
    assert elsewhere.lzr("reconcile", "documents", "--json").run["status"] == "applied"
    again = elsewhere.lzr("reconcile", "documents", "--json").run
    assert again["status"] == "unchanged"
    assert again["review"]["bundle"]["lineage"]
    with elsewhere.store() as store:
        assert store.states.tenants() == ()


def test_a_state_that_moved_makes_an_approval_void(elsewhere: Estate) -> None:
    elsewhere.edit("LandingZone", lambda zone: zone["spec"].update(approval={"policy": "always"}))
    first = elsewhere.lzr("plan", "documents", "--json", code=6).run
    elsewhere.lzr("approve", first["id"])
    copy = elsewhere.directory / "copy"
    copy_documents(elsewhere, copy)
    moved = elsewhere.lzr("reconcile", copy, "--json", LZR_STORE=elsewhere.directory / "other").run
    assert moved["status"] == "applied"
    back = f"/providers/Microsoft.Management/managementGroups/sandbox/subscriptions/{SUBSCRIPTION}"
    elsewhere.sandbox.drift("PUT", f"{back}?api-version=2020-05-01", {})  # so that only the state tells
    refused = elsewhere.lzr("apply", first["id"], "--json", code=3).run
    assert refused["failure"]["code"] == "plan-outdated"
    assert "the state changed" in refused["failure"]["detail"]


def test_a_state_is_moved_there_and_back_and_nothing_is_planned_anew(elsewhere: Estate) -> None:
    there = elsewhere.directory / "there.yaml"
    there.write_text((elsewhere.documents / "platform.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    elsewhere.edit("AzurePlatform", lambda platform: platform["spec"].pop("stateBackend"))
    elsewhere.lzr("reconcile", "documents")
    assert "Nothing to migrate" in elsewhere.lzr("state", "migrate", TENANT, "documents", "--yes", code=2).stderr

    (elsewhere.documents / "platform.yaml").write_text(there.read_text(encoding="utf-8"), encoding="utf-8")
    unsaid = elsewhere.lzr("state", "migrate", TENANT, "documents", code=3)
    assert "--yes" in unsaid.stderr
    moved = elsewhere.lzr("state", "migrate", TENANT, "documents", "--yes").stdout
    assert "The old one is still in the runner's own store" in moved
    assert "no fence" in moved
    assert elsewhere.lzr("reconcile", "documents", "--json").run["status"] == "unchanged"

    local = {"type": "local", "directory": str(elsewhere.directory / "states")}
    elsewhere.edit("AzurePlatform", lambda platform: platform["spec"].update(stateBackend=local))
    elsewhere.lzr("state", "migrate", TENANT, "documents", "--from", there, "--yes")
    state = json.loads((elsewhere.directory / "states" / f"{TENANT}.tfstate").read_bytes())
    assert state["resources"]
    assert elsewhere.lzr("reconcile", "documents", "--json").run["status"] == "unchanged"


def copy_documents(estate: Estate, to: Path) -> None:
    """The same tenant for another runner, whose zone decides by policy."""
    to.mkdir()
    for number, file in enumerate(sorted(estate.documents.rglob("*.yaml"))):
        found = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
        for document in found:
            if document["kind"] == "LandingZone":
                document["spec"]["approval"] = {"policy": "never"}
        (to / f"{number}.yaml").write_text(yaml.safe_dump_all(found), encoding="utf-8")
