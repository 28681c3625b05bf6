"""Errors over HTTP: which status an error is answered with, and its body as problem+json (RFC 9457)."""

from __future__ import annotations

from typing import Any

from runner.errors import RunnerError

MEDIA_TYPE = "application/problem+json"
_BY_CODE = {
    "not-signed-in": 401,
    "not-allowed": 403,
    "csrf": 403,
    "run-not-found": 404,
    "tenant-unknown": 404,
    "zone-unknown": 404,
    "not-found": 404,
    "method-not-allowed": 405,
    "deletion-unknown": 404,
    "no-deletion": 404,
    "no-review": 404,
    "token-not-good": 401,
    "webhook-unsigned": 401,
    "webhook-too-old": 401,
    "webhook-too-new": 401,
    "webhook-signature-wrong": 401,
    "webhook-too-large": 413,
    "too-large": 413,
    "too-slow": 408,
    "too-many-requests": 429,
}


def status_of(error: RunnerError) -> int:
    """The status that says who acts next: what is not there and not allowed by its code, the rest by its family."""
    return _BY_CODE.get(error.code, error.http_status)


def problem(error: RunnerError) -> dict[str, Any]:
    """The error as a problem; `code` is the constant to program against, `hint` says what to do, `problems` names places in documents."""
    found: dict[str, Any] = {
        "type": f"urn:lzr:problem:{error.code}",
        "title": error.summary,
        "status": status_of(error),
        "detail": error.detail,
        "code": error.code,
        "family": error.family,
        "hint": error.hint,
    }
    if (problems := getattr(error, "problems", None)) is not None:
        found["problems"] = [one.as_json() for one in problems]
    return found
