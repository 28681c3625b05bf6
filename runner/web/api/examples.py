"""What bodies look like, by the name of their schema. A test holds each to its schema."""

from __future__ import annotations

from typing import Any

_DIGEST = "9f41c2d0e1b79f41c2d0e1b79f41c2d0e1b79f41c2d0e1b79f41c2d0e1b777aa"
_RUN: dict[str, Any] = {
    "id": "01m8dmephjf7epcj5",
    "tenant": "payments.checkout-dev",
    "landing_zone": "corp-online",
    "workspace": "payments",
    "behavior": "apply",
    "status": "waiting",
    "requested_by": "Ada Berg (oidc:https://login.example/v2.0#4f1c)",
    "reason": "new cost centre",
    "created": "2026-11-23T09:00:00Z",
    "updated": "2026-11-23T09:00:04Z",
    "digest": _DIGEST,
    "plan_only": False,
    "scheduled": False,
    "continues": None,
    "warnings": 1,
    "risks": 0,
    "counts": {"add": 1, "change": 0, "destroy": 0},
    "failure": None,
}
_APPROVAL: dict[str, Any] = {
    "by": "Bo Chen (oidc:https://login.example/v2.0#77aa)",
    "at": "2026-11-23T09:05:00Z",
    "expires": "2026-11-23T17:05:00Z",
    "digest": _DIGEST,
    "comment": "as agreed",
}
_STEP = {"name": "plan", "status": "succeeded", "started": "2026-11-23T09:00:01Z", "seconds": 2.4, "note": ""}
_WARNING = {"code": "person-not-found", "text": "Nobody is old.name@corp.example."}
_DETAILS: dict[str, Any] = _RUN | {
    "approvals": [_APPROVAL],
    "steps": [_STEP],
    "warnings_told": [_WARNING],
    "outputs": {"group_ids": {"admin": "0b1f7c1e-0000-4000-8000-000000000001"}},
    "function": None,
}
_EVENT = {"seq": 7, "at": "2026-11-23T09:00:02Z", "kind": "step-started", "data": {"name": "plan"}}
_TENANT: dict[str, Any] = {
    "tenant": "payments.checkout-dev",
    "landing_zone": "corp-online",
    "platform": "azure",
    "workspace": "payments",
    "documented": True,
    "behind": False,
    "settled": "2026-11-23T09:00:09Z",
    "drifted": None,
    "run": _RUN,
}
_VERSION: dict[str, Any] = {
    "number": 3,
    "serial": 12,
    "lineage": "6d1f0b5e-0000-4000-8000-000000000001",
    "at": "2026-11-23T09:00:08Z",
    "by": "01m8dmephjf7epcj5",
    "size": 48211,
    "sha256": _DIGEST,
}
_ZONE: dict[str, Any] = {"name": "corp-online", "tenants": 12, "documented": True}
_PROBLEM: dict[str, Any] = {
    "type": "urn:lzr:problem:run-not-found",
    "title": "There is no such run",
    "status": 404,
    "detail": "No run is '01m8dmephjf7epcj5'.",
    "code": "run-not-found",
    "family": "input",
    "hint": "",
}
_REVIEW: dict[str, Any] = {
    "run": "01m8dmephjf7epcj5",
    "tenant": "payments.checkout-dev",
    "landing_zone": "corp-online",
    "behavior": "apply",
    "subscription": "4f1c2d30-0000-4000-8000-000000000001",
    "documents": _DIGEST,
    "bundle": {
        "tenant": "payments.checkout-dev",
        "engine": "terraform",
        "engine_version": "1.11.4",
        "providers": {"registry.terraform.io/azure/azapi": "2.12.0"},
        "stand_ins": False,
        "configuration": _DIGEST,
        "lock_file": _DIGEST,
        "plan_file": _DIGEST,
        "lineage": "6d1f0b5e-0000-4000-8000-000000000001",
        "serial": 12,
        "cloud": "https://management.azure.com",
    },
    "facts": {"subscription_name": "payments-checkout-dev", "above": ["root", "corp-online"]},
    "steps": [],
    "risks": [],
    "sentences": [
        {
            "sign": "+",
            "text": "Sets the tag lz_costCenter to 4711 on the subscription.",
            "address": "module.tags.azapi_update_resource.tags",
        }
    ],
    "changes": [
        {
            "address": "module.tags.azapi_update_resource.tags",
            "module": "module.tags",
            "type": "azapi_update_resource",
            "name": "tags",
            "key": "",
            "action": "create",
            "before": None,
            "after": {"body": {"properties": {"tags": {"lz_costCenter": "4711"}}}},
        }
    ],
    "drift": [],
    "counts": {"add": 1, "change": 0, "destroy": 0},
    "access": {"invitations": [], "additions": [], "removals": [], "warnings": [_WARNING], "unchanged": 3},
    "function": None,
    "contents": [],
    "warnings": [_WARNING],
}

EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "Approvals": [{"items": [_APPROVAL]}],
    "Approve": [{"digest": _DIGEST, "comment": "as agreed"}, {"digest": _DIGEST, "confirmed": ["rg-network"]}],
    "Comment": [{"comment": "wrong landing zone"}],
    "Deletion": [
        {
            "tenant": "payments.checkout-dev",
            "standing": "requested",
            "reason": "project ended",
            "requested_by": _RUN["requested_by"],
            "requested": "2026-11-23T09:00:00Z",
            "decided_by": "",
            "decided": None,
            "comment": "",
        }
    ],
    "Event": [_EVENT],
    "Events": [{"items": [_EVENT], "after": 7}],
    "Problem": [
        _PROBLEM,
        {
            "type": "urn:lzr:problem:request-wrong",
            "title": "The request is wrong",
            "status": 422,
            "detail": "body.digest: Field required",
            "code": "request-wrong",
            "family": "input",
            "hint": "The description of the API is at /api/v1/openapi.json.",
            "problems": [{"field": "body.digest", "message": "Field required"}],
        },
    ],
    "Reason": [{"reason": "project ended"}],
    "Review": [_REVIEW],
    "Run": [_RUN],
    "RunDetails": [_DETAILS],
    "Runs": [{"items": [_RUN], "next": None}],
    "Start": [
        {"tenants": ["payments.checkout-dev"], "plan_only": True, "reason": "new cost centre"},
        {"tenants": ["payments.checkout-dev"], "behavior": "destroy", "move_to": "decommissioned"},
    ],
    "Started": [{"runs": [_RUN | {"status": "pending", "digest": "", "counts": {}, "warnings": 0}], "refused": []}],
    "StateVersions": [{"items": [_VERSION]}],
    "Tenant": [_TENANT],
    "Tenants": [{"items": [_TENANT], "next": None, "counts": {"all": 1, "waiting": 1}}],
    "Who": [
        {
            "id": "token:a1b2c3d4e5",
            "name": "nightly",
            "person": False,
            "grants": [{"role": "operator", "zones": ["corp-online"], "workspaces": []}],
        }
    ],
    "ZoneDetails": [
        _ZONE
        | {
            "document": {"kind": "LandingZone", "metadata": {"name": "corp-online"}},
            "versions": {"blueprint baseline": {"v3": 11, "v2": 1}},
        }
    ],
    "Zones": [{"items": [_ZONE]}],
}
