"""Small documents to begin a test with."""

from __future__ import annotations

from typing import Any

from runner.domain.configuration import Placed

OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
SUBSCRIPTION = "4f1c0000-0000-4000-8000-000000009b20"


def placed(
    *,
    platform: dict[str, Any] | None = None,
    zone: dict[str, Any] | None = None,
    tenant: dict[str, Any] | None = None,
) -> Placed:
    """A tenant in a zone on a platform; what is given replaces fields of the specs."""
    return Placed.model_validate(
        {
            "platform": _document(
                "AzurePlatform",
                "azure",
                {
                    "entraTenant": "11111111-1111-4111-8111-111111111111",
                    "servicePrincipal": {"auth": {"type": "azureCli"}},
                    **(platform or {}),
                },
            ),
            "zone": _document(
                "LandingZone",
                "corp-online",
                {
                    "platformRef": {"name": "azure"},
                    "azureManagementGroupId": "corp-online",
                    "azureRoleMappings": [
                        _mapping("admin", OWNER),
                        _mapping("user", CONTRIBUTOR),
                        _mapping("reader", READER),
                    ],
                    **(zone or {}),
                },
            ),
            "tenant": _document(
                "Tenant",
                "payments.checkout-dev",
                {
                    "landingZoneRef": {"name": "corp-online"},
                    "workspaceIdentifier": "payments",
                    "projectIdentifier": "checkout-dev",
                    "platformTenantId": SUBSCRIPTION,
                    **(tenant or {}),
                },
            ),
        }
    )


def _document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "landing-zone-runner/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def _mapping(role: str, definition: str) -> dict[str, Any]:
    return {
        "projectRoleRef": {"name": role},
        "azureGroupSuffix": role,
        "azureRoleDefinitions": [{"azureRoleDefinitionId": definition}],
    }
