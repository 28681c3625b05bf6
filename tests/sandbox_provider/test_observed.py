"""The stand-ins make, call for call, the requests that the real azapi 2.12.0 and azuread 3.9.0 were observed to make.

`observed/itemNN.json` holds what was recorded: for each step of a scenario the method, URL, status, request and response of every
call, bodies by index. A step is replayed: the double answers as recorded, and a call that was not observed, that differs in its body,
or that is missing fails the test. The order of calls to different URLs is not compared, because the engine walks resources in parallel.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox_provider.double import CALLER, SUBSCRIPTION, Azure, Recording
from tests.sandbox_provider.engine import Workspace

OBSERVED = Path(__file__).parent / "observed"
EMPTY, CHANGES, ERROR, DONE = "no changes", "changes", "error", "done"
SUB = f"/subscriptions/{SUBSCRIPTION}"
CORP = "/providers/Microsoft.Management/managementGroups/corp"
ALICE = "00000000-0000-0000-0000-00000000a000"
ROLE = f"{SUB}/providers/Microsoft.Authorization/roleDefinitions/b24988ac-6180-42a0-ab88-20f7382dd24c"


@dataclass(frozen=True)
class Step:
    """A recorded step: how it ends, what its plan does, and the variables that are new in it."""

    name: str
    end: str
    actions: dict[str, list[str]] | None = None
    says: str = ""
    variables: dict[str, Any] = field(default_factory=dict)
    variant: str = ""
    """The recorded variant this step is from, where it is another than the scenario's."""
    configuration: str = ""
    """What replaces the configuration from here on."""
    forgets_state: bool = False


@dataclass(frozen=True)
class Scenario:
    """One recorded variant of one design."""

    item: str
    variant: str
    configuration: str
    variables: dict[str, Any]
    steps: tuple[Step, ...]


ASSOCIATION = """
variable "mg" { type = string }
resource "azapi_resource" "mg" {
  type                      = "Microsoft.Management/managementGroups/subscriptions@%s"
  parent_id                 = "/providers/Microsoft.Management/managementGroups/${var.mg}"
  name                      = "00000000-0000-0000-0000-000000000001"
  schema_validation_enabled = false
  response_export_values    = { parent = "properties.parent.id" }
  %s
}
"""

ROLE_ASSIGNMENT = f"""
variable "condition" {{
  type    = string
  default = null
}}
variable "name"      {{ type = string }}
variable "principal" {{ type = string }}
resource "azapi_resource" "ra" {{
  type                      = "Microsoft.Authorization/roleAssignments@2022-04-01"
  parent_id                 = "{SUB}"
  name                      = var.name
  schema_validation_enabled = false
  ignore_missing_property   = false
  ignore_casing             = true
  body = {{ properties = merge({{
    principalId      = var.principal
    principalType    = "Group"
    roleDefinitionId = "{ROLE}"
  }}, var.condition == null ? {{}} : {{ condition = var.condition, conditionVersion = "2.0" }}) }}
}}
"""

WRITE = "Microsoft.Authorization/roleAssignments/write"
TYPED = "Microsoft.Authorization/roleAssignments:PrincipalType"
TWO_ROLE_ASSIGNMENTS = f"""
variable "role"  {{ type = string }}
variable "retry" {{ default = null }}
resource "azapi_resource" "rg" {{
  type      = "Microsoft.Resources/resourceGroups@2022-09-01"
  parent_id = "{SUB}"
  name      = "rg-t1"
  location  = "westeurope"
  body      = {{}}
  schema_validation_enabled = false
}}
resource "azapi_resource" "conditional" {{
  type                      = "Microsoft.Authorization/roleAssignments@2022-04-01"
  parent_id                 = "{SUB}"
  name                      = "03f7b8ba-51f5-54a5-8864-3d8aae1e4cb5"
  schema_validation_enabled = false
  ignore_casing             = true
  body = {{ properties = {{
    principalId      = "0000a000-0000-0000-0000-000000000000"
    principalType    = "Group"
    roleDefinitionId = var.role
    description      = "tenant t1"
    conditionVersion = "2.0"
    condition        = "((!(ActionMatches{{'{WRITE}'}})) OR (@Request[{TYPED}] ForAnyOfAnyValues:StringEqualsIgnoreCase {{'User'}}))"
  }} }}
  retry = {{ error_message_regex = ["PrincipalNotFound"], interval_seconds = 1 }}
}}
resource "azapi_resource" "plain" {{
  type                      = "Microsoft.Authorization/roleAssignments@2022-04-01"
  parent_id                 = azapi_resource.rg.id
  name                      = "fd41f38d-3391-5f03-be9c-96828cb1022c"
  schema_validation_enabled = false
  body = {{ properties = {{
    principalId      = "0000a000-0000-0000-0000-000000000000"
    principalType    = "Group"
    roleDefinitionId = "{ROLE}"
  }} }}
}}
"""

RESOURCE_GROUP = f"""
variable "location" {{ type = string }}
variable "tags"     {{ type = map(string) }}
variable "ignored"  {{
  type    = list(string)
  default = null
}}
resource "azapi_resource" "rg" {{
  type      = "Microsoft.Resources/resourceGroups@2022-09-01"
  parent_id = "{SUB}"
  name      = "rg-t1"
  location  = var.location
  tags      = var.tags
  body      = {{}}
  schema_validation_enabled = false
  ignore_body_changes       = var.ignored
}}
"""

TAGS = f"""
variable "tags" {{ type = map(string) }}
resource "azapi_resource_action" "tag_off" {{
  for_each    = toset(keys(var.tags))
  type        = "Microsoft.Resources/tags@2021-04-01"
  resource_id = "{SUB}/providers/Microsoft.Resources/tags/default"
  method      = "PATCH"
  when        = "destroy"
  body        = {{ operation = "Delete", properties = {{ tags = {{ (each.key) = "" }} }} }}
}}
resource "azapi_update_resource" "tags" {{
  type                    = "Microsoft.Resources/tags@2021-04-01"
  parent_id               = "{SUB}"
  name                    = "default"
  ignore_missing_property = false
  body                    = {{ properties = {{ tags = var.tags }} }}
  depends_on              = [azapi_resource_action.tag_off]
}}
"""

BLUEPRINT = f"""
variable "bp_version" {{ type = string }}
variable "attempt"    {{ default = null }}
variable "identity"   {{ type = object({{ type = string, ids = list(string) }}) }}
variable "body"       {{ type = any }}
resource "azapi_resource" "bp" {{
  type                      = "Microsoft.Blueprint/blueprintAssignments@2018-11-01-preview"
  parent_id                 = "{SUB}"
  name                      = "lz-t1"
  location                  = "westeurope"
  schema_validation_enabled = false
  identity {{
    type         = var.identity.type
    identity_ids = var.identity.ids
  }}
  body = {{ properties = merge(var.body, {{
    blueprintId = "{CORP}/providers/Microsoft.Blueprint/blueprints/lz/versions/${{var.bp_version}}"
  }}) }}
  response_export_values = {{ state = "properties.provisioningState" }}
  update_headers         = var.attempt == null ? null : {{ x-attempt = var.attempt }}
}}
"""

ALIAS = f"""
variable "name"   {{ type = string }}
variable "cancel" {{ type = bool }}
resource "azapi_resource" "alias" {{
  type                      = "Microsoft.Subscription/aliases@2021-10-01"
  parent_id                 = "/"
  name                      = "t1"
  schema_validation_enabled = false
  body = {{ properties = {{
    displayName          = var.name
    workload             = "Production"
    billingScope         = "/providers/Microsoft.Billing/billingAccounts/1234567/enrollmentAccounts/654321"
    additionalProperties = {{ managementGroupId = "{CORP}", tags = {{ tenant = "t1" }} }}
  }} }}
  response_export_values = {{ id = "properties.subscriptionId", state = "properties.provisioningState" }}
  lifecycle {{ ignore_changes = [body] }}
}}
resource "azapi_resource_action" "rename" {{
  type        = "Microsoft.Resources/subscriptions@2021-10-01"
  resource_id = "/subscriptions/${{azapi_resource.alias.output.id}}"
  action      = "providers/Microsoft.Subscription/rename"
  method      = "POST"
  body        = {{ subscriptionName = var.name }}
}}
resource "azapi_resource_action" "cancel" {{
  type             = "Microsoft.Resources/subscriptions@2021-10-01"
  resource_id      = "/subscriptions/${{azapi_resource.alias.output.id}}"
  action           = "providers/Microsoft.Subscription/cancel"
  method           = "POST"
  when             = "destroy"
  query_parameters = {{ IgnoreResourceCheck = ["true"] }}
}}
"""

ADOPTED = f"""
resource "azapi_resource" "adopted" {{
  type                      = "Microsoft.Subscription/aliases@2021-10-01"
  parent_id                 = "/"
  name                      = "t2"
  schema_validation_enabled = false
  body = {{ properties = {{ subscriptionId = "{SUBSCRIPTION}", workload = "Production" }} }}
  response_export_values = {{ id = "properties.subscriptionId", state = "properties.provisioningState" }}
}}
"""

READING = f"""
data "azapi_resource_list" "versions" {{
  type                   = "Microsoft.Blueprint/blueprints/versions@2018-11-01-preview"
  parent_id              = "{CORP}/providers/Microsoft.Blueprint/blueprints/lz"
  response_export_values = {{ names = "value[].name", parameters = "value[].properties.parameters" }}
}}
data "azapi_resource" "version" {{
  type                   = "Microsoft.Blueprint/blueprints/versions@2018-11-01-preview"
  resource_id            = "{CORP}/providers/Microsoft.Blueprint/blueprints/lz/versions/v1"
  response_export_values = {{ parameters = "properties.parameters" }}
}}
data "azapi_resource" "absent" {{
  type             = "Microsoft.Blueprint/blueprints/versions@2018-11-01-preview"
  resource_id      = "{CORP}/providers/Microsoft.Blueprint/blueprints/lz/versions/v9"
  ignore_not_found = true
}}
data "azapi_resource" "mg" {{
  type                   = "Microsoft.Management/managementGroups@2020-05-01"
  resource_id            = "{CORP}"
  query_parameters       = {{ "$expand" = ["children"], "$recurse" = ["false"] }}
  response_export_values = {{ subs = "properties.children[?type=='/subscriptions'].name" }}
}}
data "azapi_resource" "sub" {{
  type                   = "Microsoft.Resources/subscriptions@2022-12-01"
  resource_id            = "{SUB}"
  response_export_values = ["displayName", "state"]
}}
data "azapi_resource_list" "in_group" {{
  type                   = "Microsoft.Management/managementGroups/subscriptions@2020-05-01"
  parent_id              = "{CORP}"
  response_export_values = {{ names = "value[].name" }}
}}
data "azapi_resource_action" "descendants" {{
  type                   = "Microsoft.Management/managementGroups@2020-05-01"
  resource_id            = "{CORP}"
  action                 = "descendants"
  method                 = "GET"
  response_export_values = {{ ids = "value[].id" }}
}}
output "names"       {{ value = data.azapi_resource_list.versions.output.names }}
output "exists"      {{ value = [data.azapi_resource.version.exists, data.azapi_resource.absent.exists] }}
output "subs"        {{ value = data.azapi_resource.mg.output.subs }}
output "state"       {{ value = data.azapi_resource.sub.output.state }}
output "descendants" {{ value = data.azapi_resource_action.descendants.output.ids }}
"""

GROUP = f"""
variable "members" {{ type = list(string) }}
resource "azuread_group" "g" {{
  display_name            = "lz-t1-contributors"
  security_enabled        = true
  prevent_duplicate_names = true
  owners                  = ["{CALLER}"]
  members                 = var.members
}}
resource "azapi_resource" "ra" {{
  type                      = "Microsoft.Authorization/roleAssignments@2022-04-01"
  parent_id                 = "{SUB}"
  name                      = "cc98d4a8-8db0-5d6a-9dec-2749c09f9641"
  schema_validation_enabled = false
  body = {{ properties = {{
    principalId      = azuread_group.g.object_id
    principalType    = "Group"
    roleDefinitionId = "{ROLE}"
  }} }}
}}
"""

GROUP_IN_UNIT = f"""
resource "azuread_group" "g" {{
  display_name            = "lz-t1-contributors"
  security_enabled        = true
  prevent_duplicate_names = true
  owners                  = ["{CALLER}"]
  administrative_unit_ids = ["aaaaaaaa-0000-0000-0000-00000000000a"]
}}
"""

DUPLICATE = """
resource "azuread_group" "again" {
  display_name            = "lz-t1-contributors"
  security_enabled        = true
  prevent_duplicate_names = true
}
"""

GROUP_WITHOUT_MEMBERS = f"""
resource "azuread_group_without_members" "g" {{
  display_name            = "lz-t1-contributors"
  security_enabled        = true
  prevent_duplicate_names = true
  owners                  = ["{CALLER}"]
}}
resource "azuread_group_member" "m" {{
  group_object_id  = azuread_group_without_members.g.object_id
  member_object_id = "{ALICE}"
}}
"""

STACK = f"""
variable "template" {{ type = string }}
variable "strict"   {{ default = false }}
resource "azapi_resource" "stack" {{
  type                      = "Microsoft.Resources/deploymentStacks@2024-03-01"
  parent_id                 = "{SUB}"
  name                      = "lz-t1"
  location                  = "westeurope"
  tags                      = {{ tenant = "t1" }}
  schema_validation_enabled = false
  ignore_missing_property   = !var.strict
  body = {{ properties = {{
    description      = "landing zone t1"
    templateLink     = {{ id = "{SUB}/resourceGroups/rg-specs/providers/Microsoft.Resources/templateSpecs/lz/versions/${{var.template}}" }}
    parameters       = {{ owner = {{ value = "alice" }} }}
    actionOnUnmanage = {{ resources = "delete", resourceGroups = "delete", managementGroups = "detach" }}
    denySettings = {{
      mode               = "denyWriteAndDelete"
      applyToChildScopes = true
      excludedPrincipals = ["0000a000-0000-0000-0000-000000000000"]
      excludedActions    = ["Microsoft.Resources/tags/*"]
    }}
  }} }}
  delete_query_parameters = {{
    "unmanageAction.Resources"      = ["delete"]
    "unmanageAction.ResourceGroups" = ["delete"]
    "bypassStackOutOfSyncError"     = ["true"]
  }}
  response_export_values = {{
    state     = "properties.provisioningState"
    outputs   = "properties.outputs"
    resources = "properties.resources[].id"
  }}
}}
"""

IMPORTED_ALIAS = """
resource "azapi_resource" "alias" {
  type      = "Microsoft.Subscription/aliases@2021-10-01"
  parent_id = "/"
  name      = "t9"
  schema_validation_enabled = false
  lifecycle { ignore_changes = all }
}
import {
  to = azapi_resource.alias
  id = "/providers/Microsoft.Subscription/aliases/t9?api-version=2021-10-01"
}
"""

ADDRESSES = {
    "mg": f"{CORP}/subscriptions/{SUBSCRIPTION}?api-version=2020-05-01",
    "ra": f"{SUB}/providers/Microsoft.Authorization/roleAssignments/f0aa2707-6373-59e0-a656-0320c632a9fc?api-version=2022-04-01",
    "rg": f"{SUB}/resourceGroups/rg-t1?api-version=2022-09-01",
    "bp": f"{SUB}/providers/Microsoft.Blueprint/blueprintAssignments/lz-t1?api-version=2018-11-01-preview",
}


def four(lifecycle: str) -> str:
    """One resource of each kind that a tenant may have to leave or take over."""
    return f"""
resource "azapi_resource" "mg" {{
  type                      = "Microsoft.Management/managementGroups/subscriptions@2020-05-01"
  parent_id                 = "{CORP}"
  name                      = "{SUBSCRIPTION}"
  schema_validation_enabled = false
  {lifecycle}
}}
resource "azapi_resource" "ra" {{
  type                      = "Microsoft.Authorization/roleAssignments@2022-04-01"
  parent_id                 = "{SUB}"
  name                      = "f0aa2707-6373-59e0-a656-0320c632a9fc"
  schema_validation_enabled = false
  ignore_missing_property   = false
  body = {{ properties = {{
    principalId      = "0000a000-0000-0000-0000-000000000000"
    principalType    = "Group"
    roleDefinitionId = "{ROLE}"
  }} }}
  {lifecycle}
}}
resource "azapi_resource" "rg" {{
  type                      = "Microsoft.Resources/resourceGroups@2022-09-01"
  parent_id                 = "{SUB}"
  name                      = "rg-t1"
  location                  = "westeurope"
  tags                      = {{ a = "1" }}
  body                      = {{}}
  schema_validation_enabled = false
  {lifecycle}
}}
resource "azapi_resource" "bp" {{
  type                      = "Microsoft.Blueprint/blueprintAssignments@2018-11-01-preview"
  parent_id                 = "{SUB}"
  name                      = "lz-t1"
  location                  = "westeurope"
  schema_validation_enabled = false
  identity {{ type = "SystemAssigned" }}
  body = {{ properties = {{
    blueprintId    = "{CORP}/providers/Microsoft.Blueprint/blueprints/lz/versions/v1"
    locks          = {{ mode = "None" }}
    parameters     = {{}}
    resourceGroups = {{}}
  }} }}
  response_export_values = {{ state = "properties.provisioningState" }}
  {lifecycle}
}}
"""


FORGETTING = "".join(
    f"removed {{\n from = azapi_resource.{name}\n lifecycle {{ destroy = false }}\n}}\n" for name in ADDRESSES
)
IMPORTING = "".join(f'import {{\n to = azapi_resource.{name}\n id = "{id_}"\n}}\n' for name, id_ in ADDRESSES.items())
IGNORE_FLAGS = """lifecycle {
    ignore_changes = [schema_validation_enabled, ignore_missing_property, response_export_values, output, identity]
  }"""
EACH = tuple(f"azapi_resource.{name}" for name in ADDRESSES)

CONDITION = "(@Resource[x] StringEquals 'y')"
FIXED_NAME, DERIVED_NAME = "3ac6a068-4ba3-5e99-a6d4-c3afcce39426", "2204b8a3-2f14-5aa7-955d-ff0533217272"
PRINCIPAL_A, PRINCIPAL_B = "0000a000-0000-0000-0000-000000000000", "0000b000-0000-0000-0000-000000000000"
BLUEPRINT_BODY = {
    "displayName": "landing zone t1",
    "locks": {"excludedActions": [], "excludedPrincipals": [PRINCIPAL_A], "mode": "AllResourcesReadOnly"},
    "parameters": {"cidr": {"value": "10.0.0.0/24"}, "owner": {"value": "alice"}},
    "resourceGroups": {"rg1": {"location": "westeurope", "name": "rg-lz"}},
}

SCENARIOS = [
    Scenario(
        "01",
        "a",
        ASSOCIATION % ("2020-05-01", ""),
        {"mg": "corp"},
        (
            Step("plan: first", CHANGES, {"azapi_resource.mg": ["create"]}),
            Step("apply: first", DONE),
            Step("plan: second", EMPTY),
            Step("plan: drift", CHANGES, {"azapi_resource.mg": ["create"]}),
            Step("apply: heal", DONE),
            Step("plan: healed", EMPTY),
            Step("plan: move", CHANGES, {"azapi_resource.mg": ["delete", "create"]}, variables={"mg": "online"}),
            Step("apply: move", DONE),
            Step("plan: aftermove", EMPTY),
            Step("destroy: x", DONE),
        ),
    ),
    Scenario(
        "01",
        "d",
        ASSOCIATION % ("2023-04-01", "lifecycle { create_before_destroy = true }"),
        {"mg": "corp"},
        (
            Step("apply: first", DONE),
            Step("plan: second", EMPTY),
            Step("apply: move", DONE, variables={"mg": "online"}),
            Step("plan: aftermove", EMPTY),
            Step("destroy: x", DONE),
        ),
    ),
    Scenario(
        "02",
        "main",
        TWO_ROLE_ASSIGNMENTS,
        {"role": "/providers/Microsoft.Authorization/roleDefinitions/b24988ac-6180-42a0-ab88-20f7382dd24c"},
        (
            Step("plan: first", CHANGES),
            Step("apply: first", ERROR, says="ERROR CODE: PrincipalNotFound"),
            Step(
                "plan: second_short_role_id",
                CHANGES,
                {"azapi_resource.conditional": ["update"], "azapi_resource.plain": ["create"]},
            ),
            Step("plan: long_role_id", CHANGES, {"azapi_resource.plain": ["create"]}, variables={"role": ROLE}),
            Step("apply: long", DONE),
            Step("plan: quiet", EMPTY),
            Step("plan: drift_condition", EMPTY),
            Step("apply: heal_condition", DONE),
            Step("plan: quiet2", EMPTY),
            Step("plan: drift_deleted", CHANGES, {"azapi_resource.conditional": ["create"]}),
            Step("apply: heal2", DONE),
            Step("plan: quiet3", EMPTY),
            Step("destroy: x", DONE),
        ),
    ),
    Scenario(
        "02",
        "b",
        ROLE_ASSIGNMENT,
        {"name": "03f7b8ba-51f5-54a5-8864-3d8aae1e4cb5", "principal": PRINCIPAL_A, "condition": CONDITION},
        (
            Step("apply: first", DONE),
            Step("plan: second", EMPTY),
            Step("plan: drift_condition_null", CHANGES, {"azapi_resource.ra": ["update"]}),
            Step("apply: heal", DONE),
            Step("plan: quiet", EMPTY),
            Step("plan: drift_cond_changed", CHANGES, {"azapi_resource.ra": ["update"]}),
            Step("apply: heal2", DONE),
            Step("destroy: x", DONE),
        ),
    ),
    Scenario(
        "02",
        "c",
        ROLE_ASSIGNMENT,
        {"name": FIXED_NAME, "principal": PRINCIPAL_A},
        (
            Step("apply: first", DONE),
            Step(
                "plan: changed_principal_fixed_name",
                CHANGES,
                {"azapi_resource.ra": ["update"]},
                variables={"principal": PRINCIPAL_B},
            ),
            Step("apply: changed_principal_fixed_name", ERROR, says="RoleAssignmentUpdateNotPermitted"),
            Step(
                "plan: derived_name",
                CHANGES,
                {"azapi_resource.ra": ["delete", "create"]},
                variables={"name": DERIVED_NAME},
            ),
            Step("apply: derived_name", DONE),
            Step("plan: quiet", EMPTY),
            Step("destroy: x", DONE),
        ),
    ),
    Scenario(
        "03",
        "main",
        RESOURCE_GROUP,
        {"location": "West Europe", "tags": {"owner": "alice", "tenant": "t1"}},
        (
            Step("plan: first", CHANGES),
            Step("apply: first", DONE),
            Step("plan: second", EMPTY),
            Step("plan: drift", CHANGES, {"azapi_resource.rg": ["update"]}),
            Step("apply: heal", DONE),
            Step("plan: quiet", EMPTY),
            Step("plan: gone", CHANGES, {"azapi_resource.rg": ["create"]}),
            Step("apply: heal", DONE),
            Step("destroy: x", DONE),
        ),
    ),
    Scenario(
        "03",
        "b",
        RESOURCE_GROUP,
        {"location": "westeurope", "tags": {"owner": "alice"}, "ignored": ["tags"]},
        (
            Step("apply: first", DONE),
            Step("plan: ignored_tags", EMPTY),
            Step("plan: own_change_ignored_too", EMPTY, variables={"tags": {"owner": "bob"}}),
            Step("plan: lifecycle_ignore", CHANGES, {"azapi_resource.rg": ["update"]}, variables={"ignored": None}),
            Step("destroy: x", DONE),
        ),
    ),
    Scenario(
        "04",
        "c",
        TAGS,
        {"tags": {"ours-tenant": "t1", "ours-env": "prod"}},
        (
            Step("plan: first", CHANGES),
            Step("apply: first", DONE),
            Step("plan: second", EMPTY),
            Step("plan: drift_removed", CHANGES, {"azapi_update_resource.tags": ["update"]}),
            Step("apply: heal", DONE),
            Step("plan: quiet", EMPTY),
            Step("plan: drift_changed", CHANGES, {"azapi_update_resource.tags": ["update"]}),
            Step(
                "plan: swap_one",
                CHANGES,
                {
                    'azapi_resource_action.tag_off["ours-env"]': ["delete"],
                    'azapi_resource_action.tag_off["ours-new"]': ["create"],
                    "azapi_update_resource.tags": ["update"],
                },
                variables={"tags": {"ours-tenant": "t1", "ours-new": "n"}},
            ),
            Step("apply: swap_one", DONE),
            Step("plan: after_swap", EMPTY),
            Step("destroy: x", DONE),
        ),
    ),
    Scenario(
        "05",
        "main",
        BLUEPRINT,
        {"bp_version": "v1", "identity": {"type": "SystemAssigned", "ids": None}, "body": BLUEPRINT_BODY},
        (
            Step("plan: first", CHANGES),
            Step("apply: first", DONE),
            Step("plan: second", EMPTY),
            Step("plan: ver", CHANGES, {"azapi_resource.bp": ["update"]}, variables={"bp_version": "v2"}),
            Step("apply: ver", DONE),
            Step("plan: quiet", EMPTY),
            Step("plan: drift_lock", CHANGES, {"azapi_resource.bp": ["update"]}),
            Step("apply: heal", DONE),
            Step("plan: quiet", EMPTY),
            Step(
                "apply: failing",
                ERROR,
                says="RESPONSE 200: 200 OK ERROR CODE: UNAVAILABLE",
                variables={"bp_version": "v3"},
            ),
            Step("plan: after_failed", EMPTY),
            Step("destroy: x", DONE),
        ),
    ),
    Scenario(
        "05",
        "b",
        BLUEPRINT,
        {
            "bp_version": "v1",
            "identity": {
                "type": "UserAssigned",
                "ids": [f"{SUB}/resourceGroups/rg-id/providers/Microsoft.ManagedIdentity/userAssignedIdentities/bp"],
            },
            "body": {"locks": {"mode": "None"}, "parameters": {}, "resourceGroups": {}},
        },
        (
            Step("apply: first", DONE),
            Step("plan: second", EMPTY),
            Step("apply: failing", ERROR, variables={"bp_version": "v2"}),
            Step("plan: after_failed", EMPTY),
            Step("plan: bump_attempt", CHANGES, {"azapi_resource.bp": ["update"]}, variables={"attempt": "2"}),
            Step("apply: bump_attempt", DONE),
            Step("plan: quiet", EMPTY),
            Step("plan: drift_identity", CHANGES, {"azapi_resource.bp": ["update"]}),
            Step("destroy: x", DONE),
            Step("apply: create_failing", ERROR, says="ERROR CODE: UNAVAILABLE"),
            Step("plan: after_failed_create", CHANGES, {"azapi_resource.bp": ["delete", "create"]}),
        ),
    ),
    Scenario(
        "06",
        "main",
        STACK,
        {"template": "1.0"},
        (
            Step("plan: first", CHANGES),
            Step("apply: first", DONE),
            Step("plan: second", EMPTY),
            Step("plan: ver", CHANGES, {"azapi_resource.stack": ["update"]}, variables={"template": "1.1"}),
            Step("apply: ver", DONE),
            Step("plan: quiet", EMPTY),
            Step("plan: drift_deny", CHANGES, {"azapi_resource.stack": ["update"]}),
            Step("apply: heal", DONE),
            Step("plan: quiet", EMPTY),
            Step("plan: drift_missing_list", EMPTY),
            Step("destroy: x", DONE),
        ),
    ),
    Scenario(
        "06",
        "b",
        STACK,
        {"template": "1.1"},
        (
            Step("apply: link_returned", DONE),
            Step("plan: quiet_link", EMPTY),
            Step("plan: drift_link", CHANGES, {"azapi_resource.stack": ["update"]}),
            Step("apply: imp", DONE, variables={"strict": True}),
            Step("plan: imp_false_with_writeonly", EMPTY),
            Step("destroy: x", DONE),
        ),
    ),
    Scenario(
        "07",
        "main",
        ALIAS,
        {"name": "sub-t1", "cancel": True},
        (
            Step("plan: first", CHANGES),
            Step("apply: first", DONE),
            Step("plan: second", EMPTY),
            Step("plan: rename", CHANGES, {"azapi_resource_action.rename": ["update"]}, variables={"name": "renamed"}),
            Step("apply: rename", DONE),
            Step("plan: quiet", EMPTY),
            Step("destroy: cancel", DONE),
        ),
    ),
    Scenario(
        "07", "b", ADOPTED, {}, (Step("apply: adopt", DONE), Step("plan: quiet", EMPTY), Step("destroy: x", DONE))
    ),
    Scenario(
        "07",
        "c",
        IMPORTED_ALIAS,
        {},
        (
            Step("plan: import_ignore_all", CHANGES, {}),
            Step("apply: import", DONE),
            Step("plan: quiet", EMPTY),
        ),
    ),
    Scenario("08", "main", READING, {}, (Step("apply: read", DONE), Step("plan: quiet", EMPTY))),
    Scenario(
        "09",
        "a",
        GROUP,
        {"members": [ALICE]},
        (
            Step("plan: first", CHANGES),
            Step("apply: first", DONE),
            Step("plan: quiet", EMPTY),
            Step("plan: drift_member", CHANGES, {"azuread_group.g": ["update"]}),
            Step("apply: heal", DONE),
            Step("plan: drift_name", CHANGES, {"azuread_group.g": ["update"]}),
            Step("destroy: x", DONE),
        ),
    ),
    Scenario(
        "09",
        "b",
        GROUP_IN_UNIT,
        {},
        (
            Step("apply: au", DONE),
            Step("plan: quiet", EMPTY),
            Step("plan: drift_au", CHANGES, {"azuread_group.g": ["update"]}),
            Step("destroy: x", DONE),
        ),
    ),
    Scenario("09", "b", DUPLICATE, {}, (Step("apply: duplicate", ERROR, says="needs to be imported into the State"),)),
    Scenario(
        "09",
        "c",
        GROUP_WITHOUT_MEMBERS,
        {},
        (
            Step("apply: nomembers", DONE),
            Step("plan: quiet", EMPTY),
            Step("plan: foreign_member_ignored", EMPTY),
            Step("plan: own_member_gone", CHANGES, {"azuread_group_member.m": ["create"]}),
            Step("destroy: x", DONE),
        ),
    ),
    Scenario(
        "10",
        "main",
        four(""),
        {},
        (
            Step("apply: seed", DONE, variant="c"),
            Step("plan: forget", CHANGES, {each: ["forget"] for each in EACH}, configuration=FORGETTING),
            Step("apply: forget", DONE),
            Step("plan: import", CHANGES, {each: ["update"] for each in EACH}, configuration=four("") + IMPORTING),
            Step("apply: import", DONE),
            Step("plan: after_import", EMPTY),
            Step("apply: after", DONE),
            Step("plan: quiet", EMPTY),
        ),
    ),
    Scenario(
        "10",
        "c",
        four(IGNORE_FLAGS) + IMPORTING,
        {},
        (
            Step("plan: import_ignore_flags", CHANGES, {}),
            Step("apply: import", DONE),
            Step("plan: quiet", EMPTY),
            Step(
                "plan: import_all",
                CHANGES,
                {},
                configuration=four("lifecycle { ignore_changes = all }") + IMPORTING,
                forgets_state=True,
            ),
            Step("apply: import_all", DONE),
            Step(
                "plan: dropped_ignore", CHANGES, {each: ["update"] for each in EACH}, configuration=four("") + IMPORTING
            ),
        ),
    ),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: f"{scenario.item}-{scenario.variant}")
def test_the_stand_in_makes_the_calls_that_the_real_provider_made(
    scenario: Scenario, azure: Azure, terraform: Workspace
) -> None:
    recording, recorded = load(scenario, azure)
    terraform.variables = dict(scenario.variables)
    terraform.write(scenario.configuration)
    for step in scenario.steps:
        recording.load(recorded[step.variant or scenario.variant, step.name].pop(0))
        terraform.variables |= step.variables
        if step.configuration:
            terraform.write(step.configuration)
        if step.forgets_state:
            terraform.forget_state()
        follow(step, terraform)
        assert recording.finish() == [], f"{step.name} differs"


def load(scenario: Scenario, azure: Azure) -> tuple[Recording, dict[tuple[str, str], list[Any]]]:
    """Read a recording and sort its steps by variant and name; a name may come twice."""
    document = json.loads((OBSERVED / f"item{scenario.item}.json").read_text(encoding="utf-8"))
    steps: dict[tuple[str, str], list[Any]] = {}
    for variant, recorded in document["variants"].items():
        for step in recorded:
            steps.setdefault((variant, step["step"]), []).append(step["calls"])
    azure.respond = recording = Recording(azure.url, document["bodies"])
    return recording, steps


def follow(step: Step, terraform: Workspace) -> None:
    """Run the step's command and check how it ends."""
    command = step.name.partition(":")[0]
    ran = {"plan": terraform.plan, "apply": terraform.apply, "destroy": terraform.destroy}[command]()
    assert ran.code == {EMPTY: 0, DONE: 0, ERROR: 1, CHANGES: 2}[step.end], ran.output
    assert step.says in ran.text
    if step.actions is not None:
        assert terraform.actions() == step.actions
