"""What the tests of the store are made of."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runner.domain.run import Behavior, Run, Status
from runner.ports import Approval
from runner.store.opening import Store, open_store
from runner.store.sealing import Keyring

NOW = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
HOUR = timedelta(hours=1)


def audit_keys(key: Path) -> Keyring:
    """The audit's keys of a test's store, beside the store's."""
    return Keyring.from_file(key.with_name("audit-key"), of="audit")


def opened(where: str | Path, key: Path, **options: Any) -> Store:
    return open_store(where, Keyring.from_file(key), audit_keys(key), **options)


def a_run(run_id: str = "r1", tenant: str = "acme.shop.prod", **fields: Any) -> Run:
    values: dict[str, Any] = {
        "id": run_id,
        "tenant": tenant,
        "landing_zone": "corp",
        "behavior": Behavior.APPLY,
        "status": Status.PENDING,
        "requested_by": "anna@example.com",
        "created": NOW,
        "updated": NOW,
    }
    return Run.model_validate(values | fields)


def an_approval(run_id: str = "r1", digest: str = "d1", **fields: Any) -> Approval:
    values: dict[str, Any] = {
        "run": run_id,
        "digest": digest,
        "by": "bert@example.com",
        "at": NOW,
        "expires": NOW + HOUR,
        "comment": "",
    }
    return Approval(**values | fields)


def a_waiting_run(store: Store, run_id: str = "r1", *, digest: str = "d1", executor: str = "", **fields: Any) -> Run:
    store.runs.create(a_run(run_id, **fields))
    store.runs.move(run_id, Status.PLANNING, now=NOW, executor=executor)
    store.runs.note(run_id, digest=digest)
    return store.runs.move(run_id, Status.WAITING, now=NOW, executor=executor)


def an_approved_run(store: Store, run_id: str = "r1", **fields: Any) -> Run:
    a_waiting_run(store, run_id, **fields)
    return store.runs.approve(an_approval(run_id), now=NOW)


def a_state(serial: int = 1, *, lineage: str = "5a1e", secret: str = "hunter2", **more: Any) -> bytes:
    content = {"version": 4, "terraform_version": "1.11.4", "serial": serial, "lineage": lineage}
    return json.dumps(content | {"outputs": {"password": {"value": secret}}} | more, indent=2).encode()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
