"""Secrets are planted in every sensitive place, the whole walk is made, and every byte the runner wrote is searched for them."""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import runner
from tests.estate import TENANT, Estate, opened_estate
from tests.store.making import opened as opened_store

SEED = Path(runner.__file__).parent / "sandbox" / "azure" / "default_seed.yaml"
CLIENT_SECRET = 'canary-client-secret-"\\/ü+&=9f3a'
STATE_SECRET = "canary-in-state-7c1d"
TOKEN = re.compile(rb"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}")  # a JSON Web Token


@pytest.fixture
def planted(tmp_path: Path, sandbox_certificates: Path) -> Iterator[Estate]:
    """The demo's estate, whose client secret is a canary."""
    with opened_estate(tmp_path / "estate", sandbox_certificates) as estate:
        with estate.sandbox.world.lock:
            seed = yaml.safe_load(SEED.read_text(encoding="utf-8"))
            for tenant in seed["tenants"]:
                for application in tenant.get("applications", ()):
                    if application.get("secrets") == ["sandbox-runner-secret"]:
                        application["secrets"] = [CLIENT_SECRET]
            estate.sandbox.world.seed(seed)
        estate.environment["LZ_CLIENT_SECRET"] = CLIENT_SECRET
        yield estate


def forms(secret: str) -> Iterator[bytes]:
    """How a secret may be written: as it is, in JSON, in an address, in base64."""
    yield secret.encode()
    yield json.dumps(secret)[1:-1].encode()
    yield json.dumps(json.dumps(secret)[1:-1])[1:-1].encode()
    yield urllib.parse.quote(secret, safe="").encode()
    yield urllib.parse.quote_plus(secret).encode()
    yield base64.b64encode(secret.encode())


def written(estate: Estate, spoken: list[str]) -> Iterator[tuple[str, bytes]]:
    """Every byte that the runner wrote: files of store and work directory, and what its commands printed."""
    for file in sorted(estate.directory.rglob("*")):
        if file.is_file() and "documents" not in file.parts:
            yield str(file.relative_to(estate.directory)), file.read_bytes()
    for number, text in enumerate(spoken):
        yield f"output {number}", text.encode()


def test_no_secret_is_in_anything_the_runner_wrote(planted: Estate) -> None:
    estate = planted
    spoken: list[str] = []

    def lzr(*arguments: str, code: int | None = 0, **settings: str) -> str:
        ran = estate.lzr(*arguments, code=code, LZR_LOG_LEVEL="debug", **settings)
        spoken.extend((ran.stdout, ran.stderr))
        return ran.stdout

    planned = json.loads(lzr("plan", "documents", "--json", code=6))["runs"][0]
    # what init keeps of an empty backend is its kind and nulls; as everything else, it is searched below
    workspace = {str(path) for path in estate.work.rglob("*") if path.is_file() and path.parent.name != ".terraform"}
    assert not [path for path in workspace if path.endswith((".tfplan", ".tfstate", "show.json", ".jsonl"))]
    lzr("review", planned["id"], "--all", "--json")
    lzr("approve", planned["id"])
    lzr("apply", planned["id"])
    lzr("run", planned["id"], "--log")
    lzr("reconcile", "documents")
    # a wrong secret, a function that fails, an engine that fails: errors must not tell what they had in hand
    lzr("plan", "documents", code=5, LZ_CLIENT_SECRET=CLIENT_SECRET + "-wrong")
    estate.fault(kind="fail", method="POST", path="/api/onboard", status=500, body={"echo": CLIENT_SECRET})
    lzr("reconcile", "documents", "--json", code=None)
    estate.mend()
    estate.fault(kind="fail", method="GET", path="/tags/default", status=403)
    lzr("plan", "documents", "--json", code=None)
    estate.mend()
    with opened_store(estate.where, estate.directory / "key") as store:
        plant_in_state(store)
    lzr("doctor", "documents")
    lzr("doctor", "documents", "--json", code=7, LZ_CLIENT_SECRET=CLIENT_SECRET + "-wrong")
    lzr("state", "show", TENANT)
    lzr("store", "check")
    key = (estate.directory / "key").read_text(encoding="utf-8").split()[0]

    secrets = {"client secret": CLIENT_SECRET, "state": STATE_SECRET}
    for name, content in written(estate, spoken):
        for what, secret in secrets.items():
            for form in forms(secret):
                assert form not in content, f"the {what} is in {name}"
        assert not TOKEN.search(content), f"a token is in {name}"
        if name != "key":
            assert key.encode() not in content, f"the store's key is in {name}"


def plant_in_state(store: object) -> None:
    """A state in which a resource holds a secret, as states do."""
    from datetime import UTC, datetime

    from runner.store.opening import Store

    assert isinstance(store, Store)
    current = store.states.current(TENANT)
    assert current is not None
    document = json.loads(current[1])
    document["serial"] += 1
    document["outputs"]["planted"] = {"value": STATE_SECRET, "type": "string", "sensitive": True}
    now = datetime.now(UTC)
    attempt = store.states.open_attempt(TENANT, "canary", now=now)
    store.states.write(attempt, json.dumps(document).encode(), lock_id=None, now=now)
