"""The same identity for the engine: the environment that azapi and azuread read, and which of its values are secret.

The names are those of azapi 2.12.0 and azuread 3.9.0 (observed). Every way to sign in that is not meant is switched off, so that a
provider never falls back to another identity of the machine.
"""

from __future__ import annotations

import os
import secrets as random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from runner.azure.credentials import Secret, client_certificate, token_file
from runner.domain.document import (
    AzureCli,
    Certificate,
    ClientCredential,
    ManagedIdentity,
    ServicePrincipal,
    WorkloadIdentity,
)
from runner.domain.platform import CLOUDS, Cloud
from runner.network.way_out import Network

ENVIRONMENTS = {"public": "public", "usgov": "usgovernment", "china": "china"}

# Set for a process with a managed identity by App Service, Container Apps, Arc and others; azidentity and go-azure-sdk read them
MANAGED_IDENTITY = (
    "ARM_MSI_ENDPOINT",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "IDENTITY_SERVER_THUMBPRINT",
    "IMDS_ENDPOINT",
    "MSI_ENDPOINT",
    "MSI_SECRET",
)
MANAGED_IDENTITY_SECRETS = ("IDENTITY_HEADER", "MSI_SECRET")


@dataclass(frozen=True)
class EngineIdentity:
    """Variables for one engine run, and the values in them that may never be shown."""

    environment: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


def engine_environment(
    principal: ServicePrincipal,
    *,
    entra_tenant: str,
    cloud: Cloud,
    network: Network,
    secret: Secret,
    subscription_id: str | None = None,
    managed_identity: Mapping[str, str] | None = None,
) -> EngineIdentity:
    """The engine's identity, cloud and way out.

    `managed_identity` holds the variables by which a managed identity is found, in place of the machine's own.
    """
    signing_in, hidden = _signing_in(principal, secret, managed_identity)
    variables = {
        "ARM_TENANT_ID": entra_tenant,
        "ARM_USE_CLI": "false",
        "ARM_USE_MSI": "false",
        "ARM_USE_OIDC": "false",
        # azurerm 4 would else register a long list of resource providers while planning; azapi registers what a change needs
        "ARM_RESOURCE_PROVIDER_REGISTRATIONS": "none",
        **_addresses(cloud),
        **network.environment(),
        **signing_in,
    }
    if principal.client_id is not None:
        variables["ARM_CLIENT_ID"] = principal.client_id
    if subscription_id is not None:
        variables["ARM_SUBSCRIPTION_ID"] = subscription_id
    return EngineIdentity(environment=variables, secrets=(*hidden, *network.secrets()))


def _addresses(cloud: Cloud) -> dict[str, str]:
    """Which cloud. azuread and azurerm read an unknown one from its metadata address, azapi from the variables themselves."""
    if cloud == CLOUDS.get(cloud.name):
        return {"ARM_ENVIRONMENT": ENVIRONMENTS[cloud.name]}
    return {
        "ARM_ENVIRONMENT": "custom",
        "ARM_METADATA_HOSTNAME": urlsplit(cloud.resource_manager).netloc,
        "ARM_ACTIVE_DIRECTORY_AUTHORITY_HOST": cloud.authority.rstrip("/") + "/",
        "ARM_RESOURCE_MANAGER_ENDPOINT": cloud.resource_manager.rstrip("/"),
        "ARM_RESOURCE_MANAGER_AUDIENCE": (cloud.resource_manager_audience or cloud.resource_manager).rstrip("/") + "/",
        "ARM_DISABLE_INSTANCE_DISCOVERY": "true",
    }


def _signing_in(
    principal: ServicePrincipal, secret: Secret, managed_identity: Mapping[str, str] | None
) -> tuple[dict[str, str], tuple[str, ...]]:
    match principal.auth:
        case ClientCredential() as auth:
            value = secret(auth.credential)
            return {"ARM_CLIENT_SECRET": value}, (value,)
        case Certificate() as auth:
            password = random.token_urlsafe(24)
            bundle = client_certificate(auth, secret).pkcs12(password)
            return {"ARM_CLIENT_CERTIFICATE": bundle, "ARM_CLIENT_CERTIFICATE_PASSWORD": password}, (bundle, password)
        case WorkloadIdentity() as auth:
            return {"ARM_USE_OIDC": "true", "ARM_OIDC_TOKEN_FILE_PATH": token_file(auth)}, ()
        case ManagedIdentity() if managed_identity is not None:
            return {"ARM_USE_MSI": "true", **managed_identity}, ()
        case ManagedIdentity():
            around = {name: os.environ[name] for name in MANAGED_IDENTITY if os.environ.get(name)}
            hidden = tuple(around[name] for name in MANAGED_IDENTITY_SECRETS if name in around)
            return {"ARM_USE_MSI": "true", **around}, hidden
        case AzureCli():
            # az keeps who is signed in below the home directory, and the engine is given another one
            return {"ARM_USE_CLI": "true", "AZURE_CONFIG_DIR": _azure_cli_directory()}, ()


def _azure_cli_directory() -> str:
    """https://learn.microsoft.com/cli/azure/azure-cli-configuration"""
    return str(Path(os.environ.get("AZURE_CONFIG_DIR") or Path.home() / ".azure").absolute())
