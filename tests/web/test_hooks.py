"""Webhooks as they come to a server: who is let in, once, what is begun, and what its sender may send again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from runner.domain.run import Status
from runner.domain.server_config import ServerConfig
from runner.domain.signature import Key, signed
from tests.store.making import opened
from tests.web.serving import DEMO, TENANT, ZONE, Site, site

SECRETS = {"HOOK": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "GH": "a secret that nobody can guess"}
CONFIG = {
    "publicUrl": "http://localhost:8460",
    "webhooks": [
        {"name": "ci", "secrets": [{"env": "HOOK"}], "behavior": "reconcile"},
        {"name": "narrow", "secrets": [{"env": "HOOK"}], "zones": ["elsewhere"]},
        {"name": "push", "sender": "github", "secrets": [{"env": "GH"}], "repositories": ["acme/zones"]},
    ],
}
LOCAL = {"host": "localhost:8460"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A clone of a repository with the demo's documents."""
    bare, clone = tmp_path / "origin.git", tmp_path / "clone"
    git(tmp_path, "init", "--bare", "--initial-branch=main", str(bare))
    git(tmp_path, "clone", str(bare), str(clone))
    for file in DEMO.rglob("*.yaml"):
        place = clone / file.relative_to(DEMO)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.read_bytes())
    commit(clone, "begin")
    git(clone, "push", "--set-upstream", "origin", "HEAD:main")
    return clone


@pytest.fixture
def hooked(repository: Path, tmp_path: Path) -> Iterator[Site]:
    config = ServerConfig.model_validate(CONFIG)
    with (
        opened(tmp_path / "store", tmp_path / "key") as store,
        site(store, paths=(repository,), config=config, secrets=SECRETS) as found,
    ):
        yield found


def git(where: Path, *arguments: str) -> str:
    ran = subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example", "-c", "init.defaultBranch=main", *arguments],
        cwd=where,
        check=True,
        capture_output=True,
        text=True,
    )
    return ran.stdout.strip()


def commit(where: Path, message: str) -> str:
    git(where, "add", "--all")
    git(where, "commit", "--message", message)
    return git(where, "rev-parse", "HEAD")


def send(web: Site, name: str, wish: Any, message: str = "msg_1", *, ago: timedelta = timedelta()) -> httpx.Response:
    body = json.dumps(wish).encode()
    headers = signed([Key.standard(SECRETS["HOOK"])], message, body, now=datetime.now(UTC) - ago)
    return web.client().post(f"/hooks/{name}", content=body, headers=headers | LOCAL)


def push(web: Site, after: str, *, delivery: str = "d1", secret: str = SECRETS["GH"]) -> httpx.Response:
    told = {"ref": "refs/heads/main", "before": "a" * 40, "after": after, "repository": {"full_name": "acme/zones"}}
    body = json.dumps(told).encode()
    headers = {
        "x-hub-signature-256": Key.github(secret).of_github(body),
        "x-github-event": "push",
        "x-github-delivery": delivery,
    }
    return web.client().post("/hooks/push", content=body, headers=headers | LOCAL)


def test_a_signed_wish_starts_runs_by_the_webhooks_own_right(hooked: Site) -> None:
    answer = send(hooked, "ci", {"tenants": [TENANT, "no.such"], "behavior": "reconcile", "reason": "new tag"})
    assert answer.status_code == 202, answer.text
    (run,) = hooked.store.runs.find()
    told = answer.json()
    assert (told["id"], told["runs"]) == ("msg_1", [run.id])
    assert [(one["tenant"], one["problem"]["code"]) for one in told["refused"]] == [("no.such", "tenant-unknown")]
    assert (run.status, run.requested_by, run.reason) == (Status.PENDING, "webhook ci (webhook:ci)", "new tag")
    assert run.options["apply"] is True


def test_a_zone_means_all_of_its_tenants(hooked: Site) -> None:
    answer = send(hooked, "ci", {"zones": [ZONE]})
    assert len(answer.json()["runs"]) == 1
    assert hooked.store.runs.find()[0].options["plan_only"] is True


def test_a_webhook_reaches_no_further_than_its_configuration(hooked: Site) -> None:
    answer = send(hooked, "narrow", {"tenants": [TENANT], "zones": [ZONE]})
    assert [one["problem"]["code"] for one in answer.json()["refused"]] == ["tenant-unknown"]
    assert hooked.store.runs.find() == ()


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"webhook-signature": "v1,AAAA"}, 401, "webhook-signature-wrong"),
        ({"webhook-signature": ""}, 401, "webhook-unsigned"),
        ({"webhook-id": "msg_2"}, 401, "webhook-signature-wrong"),
    ],
)
def test_what_is_not_signed_for_this_is_refused(hooked: Site, change: dict[str, str], status: int, code: str) -> None:
    body = json.dumps({"tenants": [TENANT]}).encode()
    headers = signed([Key.standard(SECRETS["HOOK"])], "msg_1", body, now=datetime.now(UTC)) | LOCAL | change
    answer = hooked.client().post("/hooks/ci", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert SECRETS["HOOK"] not in answer.text
    assert hooked.store.runs.find() == ()
    assert [entry.details["code"] for entry in hooked.store.audit.entries()] == [code]


def test_one_that_is_old_or_came_before_is_refused(hooked: Site) -> None:
    assert send(hooked, "ci", {"tenants": [TENANT]}, ago=timedelta(minutes=6)).json()["code"] == "webhook-too-old"
    assert send(hooked, "ci", {"tenants": [TENANT]}).status_code == 202
    again = send(hooked, "ci", {"tenants": [TENANT]})
    assert (again.status_code, again.json()["code"]) == (409, "webhook-repeated")
    assert len(hooked.store.runs.find()) == 1


def test_a_push_is_fetched_and_starts_what_it_changed(hooked: Site, repository: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    git(tmp_path, "clone", str(tmp_path / "origin.git"), str(elsewhere))
    (file,) = (elsewhere / "tenants").glob("*.yaml")
    tenant = yaml.safe_load(file.read_text())
    tenant["spec"]["projectTags"]["costCenter"] = ["4712"]
    file.write_text(yaml.safe_dump(tenant))
    after = commit(elsewhere, "another cost centre")
    git(elsewhere, "push")
    answer = push(hooked, after)
    assert answer.status_code == 202, answer.text
    (run,) = hooked.store.runs.find()
    assert git(repository, "rev-parse", "HEAD") == after
    assert (run.options["plan_only"], run.reason) == (True, f"push of {after[:12]} to main of acme/zones")
    assert run.documents == hooked.server.shelf.documents().digest(TENANT)
    again = push(hooked, after, delivery="d2")
    assert (again.status_code, again.json().get("runs", [])) in ((202, []), (409, []))
    assert len(hooked.store.runs.find()) == 1


def test_a_push_whose_commit_does_not_come_may_be_sent_again(hooked: Site) -> None:
    for _ in range(2):
        answer = push(hooked, "b" * 40)
        assert (answer.status_code, answer.json()["code"]) == (503, "commit-not-there")
    assert hooked.store.runs.find() == ()


def test_there_is_no_webhook_that_is_not_configured(hooked: Site, web: Site) -> None:
    assert send(hooked, "other", {"tenants": [TENANT]}).status_code == 404
    assert web.client().post("/hooks/ci", content=b"{}").status_code == 404


def test_whoever_guesses_is_stopped(repository: Path, tmp_path: Path) -> None:
    config = ServerConfig.model_validate(CONFIG | {"limits": {"signIns": 3}})
    with (
        opened(tmp_path / "store", tmp_path / "key") as store,
        site(store, paths=(repository,), config=config, secrets=SECRETS) as web,
    ):
        codes = [web.client().post("/hooks/ci", content=b"{}", headers=LOCAL).status_code for _ in range(5)]
        assert codes == [401, 401, 401, 429, 429]
        assert send(web, "ci", {"tenants": [TENANT]}).status_code == 202  # and never who is let in


def test_a_delivery_that_came_too_soon_after_others_may_be_sent_again(repository: Path, tmp_path: Path) -> None:
    config = ServerConfig.model_validate(CONFIG | {"limits": {"changes": 1}})
    with (
        opened(tmp_path / "store", tmp_path / "key") as store,
        site(store, paths=(repository,), config=config, secrets=SECRETS) as web,
    ):
        assert send(web, "ci", {"tenants": [TENANT]}).status_code == 202
        for _ in range(2):
            assert send(web, "ci", {"tenants": [TENANT]}, "msg_2").status_code == 429
