"""`sensitive_body`: a part of the body that is sent and never stored. What tells whether it changed is a digest, or a version map."""

from __future__ import annotations

import hashlib
from typing import Any

from runner.sandbox.provider.bodies import same
from runner.sandbox.provider.contract import Change, Object, Private
from runner.sandbox.provider.values import dump_json, plain

_KEY = "sensitive_body"


def remembered(config: Object) -> Private:
    """Return what the private state keeps after the body was sent: nothing where versions tell of changes."""
    body = config.get("sensitive_body")
    if body is None or config.get("sensitive_body_version") is not None:
        return {}
    return {_KEY: hashlib.sha256(dump_json(body).encode()).hexdigest()}


def is_changed(change: Change) -> bool:
    """Say whether the sensitive body differs from what was sent last."""
    versions = change.config.get("sensitive_body_version")
    if versions is not None:
        return not same(versions, (change.prior or {}).get("sensitive_body_version"))
    return remembered(change.config).get(_KEY) != change.private.get(_KEY)


def to_send(change: Change) -> Any:
    """Return the sensitive part of the next request: all of it, or the properties whose version changed."""
    body, versions = plain(change.config.get("sensitive_body")), change.planned.get("sensitive_body_version")
    if body is None or versions is None:
        return body
    before = (change.prior or {}).get("sensitive_body_version") or {}
    wanted = {path for path, version in versions.items() if before.get(path) != version}
    return _only(body, wanted, "")


def _only(body: Any, paths: set[str], here: str) -> Any:
    """Keep the parts of `body` that lie at one of `paths`, written as `a.b[0].c`."""
    if here in paths:
        return body
    if isinstance(body, dict):
        kept = {key: _only(value, paths, f"{here}.{key}".lstrip(".")) for key, value in body.items()}
        return {key: value for key, value in kept.items() if value is not None} or None
    if isinstance(body, list):
        parts = [_only(value, paths, f"{here}[{index}]") for index, value in enumerate(body)]
        return [part for part in parts if part is not None] or None
    return None
