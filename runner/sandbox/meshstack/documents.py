"""What is ordered of meshStack, in clear, and the run document that a runner gets for it, with secrets sealed."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from runner.errors import InputError
from runner.sandbox.meshstack.encryption import sealed, sealed_value
from runner.sandbox.meshstack.wire import Json

RUNS = "/api/meshobjects/meshbuildingblockruns"
STATES = "/api/terraform/state"

SECRETS = {
    "TERRAFORM": "sshPrivateKey",
    "GITHUB_WORKFLOW": "appPem",
    "GITLAB_CICD": "pipelineTriggerToken",
    "AZURE_DEVOPS": "personalAccessToken",
}
"""The field of an implementation that is sealed, by its type."""

AUTHOR = {
    "identifier": "jdoe",
    "type": "User",
    "displayName": "Jane Doe",
    "username": "jdoe",
    "email": "jane@example.org",
    "euid": "jane@corp.example",
}


class _Given(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Input(_Given):
    """One input, in clear."""

    key: str
    value: Any = None
    type: Literal[
        "STRING", "CODE", "INTEGER", "BOOLEAN", "FILE", "LIST", "SINGLE_SELECT", "MULTI_SELECT"
    ] = "STRING"  # fmt: skip
    is_sensitive: bool = False
    is_environment: bool = False


class Order(_Given):
    """A run that somebody wants. `definition` is the implementation object, its secrets in clear."""

    behavior: Literal["APPLY", "DETECT", "DESTROY"] = "APPLY"
    definition: dict[str, Any]
    definition_uuid: str = "b23c0a52-0000-4000-8000-000000000001"
    definition_version: int = 1
    inputs: tuple[Input, ...] = ()
    block: str = Field(default_factory=lambda: str(uuid.uuid4()))
    predecessor: str | None = None
    locking: bool = False
    workspace: str = "payments"
    project: str | None = "checkout-dev"
    platform: str | None = "azure.meshcloud-azure"
    display_name: str = "starter-kit"
    reason: str = "MANUAL_EXECUTION"
    author: dict[str, Any] = AUTHOR
    expected_outputs: tuple[str, ...] = ()
    """Outputs that the definition has: an APPLY that ends without one of them has failed."""
    run_number: Annotated[int, Field(ge=1)] | None = None


def read_order(given: Any) -> Order:
    """Check one order given as plain data."""
    if isinstance(given, dict):
        given = {key: value for key, value in given.items() if key != "block" or value is not None}
    try:
        order = Order.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        detail = f"{'.'.join(map(str, first['loc'])) or 'run'}: {first['msg']}."
        raise InputError("The run is wrong", code="run-invalid", detail=detail) from error
    if not isinstance(order.definition.get("type"), str):
        raise InputError("The run is wrong", code="run-invalid", detail="definition.type: Field required.")
    return order


def state_path(workspace: str, block: str) -> str:
    """Where the Terraform state of a block is kept."""
    return f"{STATES}/workspace/{workspace}/buildingBlock/{block}"


def document(order: Order, run: str, *, number: int, token: str, base: str, key: rsa.RSAPublicKey) -> Json:
    """The run as a runner gets it when it claims it."""
    return {
        "kind": "meshBuildingBlockRun",
        "apiVersion": "v1",
        "metadata": {"uuid": run},
        "spec": {
            "runNumber": number,
            "behavior": order.behavior,
            "runToken": token,
            "trigger": {"reason": order.reason, "author": order.author},
            "buildingBlock": {"uuid": order.block, "spec": _block(order, key)},
            "buildingBlockDefinition": {
                "uuid": order.definition_uuid,
                "spec": {
                    "workspaceIdentifier": "platform-team",
                    "version": order.definition_version,
                    "implementation": _implementation(order.definition, key),
                },
            },
        },
        "_links": _links(order, run, base),
    }


def _block(order: Order, key: rsa.RSAPublicKey) -> Json:
    tenant = {"projectIdentifier": order.project, "fullPlatformIdentifier": order.platform}
    kind = "meshTenant" if order.project else "meshWorkspace"
    return {
        "displayName": order.display_name,
        "workspaceIdentifier": order.workspace,
        **{name: value for name, value in tenant.items() if value},  # a workspace's own block has neither
        "targetRef": {"kind": kind, "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{order.workspace}/{order.project}"))},
        "inputs": [_input(given, key) for given in order.inputs],
        "parentBuildingBlocks": [],
    }


def _input(given: Input, key: rsa.RSAPublicKey) -> Json:
    sent = given.model_dump(by_alias=True)
    return {**sent, "value": sealed_value(given.value, key)} if given.is_sensitive else sent


def _implementation(given: Json, key: rsa.RSAPublicKey) -> Json:
    secret = SECRETS.get(str(given.get("type")), "")
    return {**given, secret: sealed(given[secret], key)} if given.get(secret) else dict(given)


def _links(order: Order, run: str, base: str) -> Json:
    own = f"{base}{RUNS}/{run}"
    links: Json = {
        "self": {"href": own},
        "registerSource": {"href": f"{own}/status/source"},
        "updateSource": {"href": f"{own}/status/source/{{sourceId}}", "templated": True},
        "meshstackBaseUrl": {"href": base},
    }
    if order.behavior == "APPLY" and order.predecessor:
        links["planArtifact"] = {"href": f"{own}/plan-artifact"}
    if order.locking:
        links["tfStateLock"] = {"href": f"{base}{state_path(order.workspace, order.block)}/lock"}
    return links
