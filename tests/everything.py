"""An estate whose landing zone has everything switched on: what a run can do, all of it at once."""

from __future__ import annotations

from typing import Any

from tests.cli.test_blueprints import publish
from tests.cli.test_building_blocks import CONTRIBUTOR, beside, group
from tests.cli.test_deployment_stacks import template
from tests.estate import Estate

BEFORE_THE_END = "2026-09-01T12:00:00+00:00"  # of Azure Blueprints


def switch_on(estate: Estate) -> None:
    """Blueprints of either identity, a stack, building blocks of each kind, and the demo's groups, roles, tags, people and function."""
    publish(estate, "lz", "v1", 1)
    publish(estate, "own", "1.0", 1, parameters={})
    beside(estate, "group")
    identity = {
        "resourceId": "/subscriptions/4f1c2d30-0000-4000-8000-000000000001/resourceGroups/ids/providers/Microsoft.ManagedIdentity"
        "/userAssignedIdentities/deployer",
        "objectId": "55555555-5555-4555-8555-555555555555",
    }
    change: dict[str, Any] = {
        "approval": {"policy": "never"},
        "blueprints": [
            {
                "name": "lz",
                "location": "westeurope",
                "lockMode": "AllResourcesReadOnly",
                "excludedPrincipals": ["55555555-5555-4555-8555-555555555555"],
                "excludedActions": ["Microsoft.Compute/virtualMachines/restart/action"],
                "parameters": {"size": 2},
            },
            {"name": "own", "location": "westeurope", "userAssignedIdentity": identity},
        ],
        "deploymentStacks": [
            {
                "name": "base",
                "location": "westeurope",
                "template": template("base"),
                "denySettings": {"mode": "denyDelete", "applyToChildScopes": True, "excludedActions": ["*/read"]},
                "actionOnUnmanage": {"resources": "delete", "resourceGroups": "delete"},
            }
        ],
        "buildingBlocks": [
            {
                "key": "providers",
                "source": "resource-provider-registration",
                "inputs": {"subscription_id": {"tenant": "subscriptionId"}, "namespaces": {"value": ["Microsoft.Web"]}},
            },
            {
                "key": "budget",
                "source": "budget",
                "inputs": {
                    "scope": {"tenant": "scope"},
                    "amount": {"value": 500},
                    "notifications": {"value": {"most": {"threshold": 80, "contact_roles": ["Owner"]}}},
                },
            },
            {
                "key": "eligible",
                "source": "eligible-role-assignments",
                "inputs": {
                    "scope": {"tenant": "scope"},
                    "subscription_id": {"tenant": "subscriptionId"},
                    "group_ids": {"tenant": "groupIds"},
                    "assignments": {
                        "value": {
                            "operators": {"group": "user", "role_definition_id": CONTRIBUTOR, "duration": "P365D"}
                        }
                    },
                },
            },
            {
                "key": "pipeline",
                "source": "pipeline-identity",
                "inputs": {
                    "resource_group_id": {"tenant": "resourceGroupIds.network"},
                    "name": {"value": "deployer-${projectIdentifier}"},
                    "location": {"value": "westeurope"},
                    "credentials": {
                        "value": {
                            "main": {"issuer": "https://token.pipelines.example", "subject": "main"},
                            "release": {"issuer": "https://token.pipelines.example", "subject": "release"},
                        }
                    },
                },
            },
            group(),
        ],
    }
    estate.edit("LandingZone", lambda zone: zone["spec"].update(change))
