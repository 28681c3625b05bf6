"""Where Terraform's state lives: a tagged value that yields a block, settings that name the tenant's state, and credentials.

The three are kept apart. The block is empty; settings hold no secret, for a plan file embeds them and `.terraform/` keeps them (both
observed), which also binds a plan to its tenant; credentials are references, and what they refer to only ever goes into the
engine's environment. Outside `managed` there is no fence: the lock of the backend is all that keeps two engines apart.

Names of settings and variables: https://developer.hashicorp.com/terraform/language/backend (1.11).
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import Field, StringConstraints, model_validator

from runner.domain.document import SecretReference, Value, wrong

REHEARSAL = (
    ".lzr-doctor-"  # begins the names of states that are only written to try a backend; a tenant's begins with no dot
)
# A relative path would lead elsewhere from another directory: a run would find no state, and make everything a second time.
DIRECTORY = r"^/[^\x00-\x1f\x7f]*$"
STORAGE_ACCOUNT = r"^[a-z0-9]{3,24}$"
CONTAINER = r"^[a-z0-9](-?[a-z0-9]){2,62}$"
BUCKET = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
KEY_PREFIX = r"^([A-Za-z0-9_.-]+/)*$"
ADDRESS = r"^https?://[^\s/?#@]+(/[^\s?#]*)?$"
LONGEST_SCHEMA = 63  # bytes of an identifier in PostgreSQL

KeyPrefix = Annotated[str, StringConstraints(max_length=400, pattern=KEY_PREFIX)]
Address = Annotated[str, StringConstraints(max_length=2000, pattern=ADDRESS)]
Settings = dict[str, str | bool]


class ManagedBackend(Value):
    """The runner's own store, served to the engine on loopback: history, locks, encryption, fencing."""

    type: Literal["managed"] = "managed"
    """The runner's own store: states are encrypted, locked and kept with their history."""


class LocalBackend(Value):
    """A file per tenant under a directory. No encryption, no history, no fence: for trying things out."""

    type: Literal["local"]
    """A file per tenant under a directory, for trying things out: not encrypted, and without history."""
    directory: Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=DIRECTORY)]
    """The directory of the state files, as a path from the root: /var/lib/lzr/states. Every run has to find them there."""


class AzurermBackend(Value):
    """A blob per tenant in an Azure storage account."""

    type: Literal["azurerm"]
    """A blob per tenant in an Azure storage account, locked by a lease."""
    storage_account_name: Annotated[str, StringConstraints(pattern=STORAGE_ACCOUNT)]
    """Name of the storage account."""
    container_name: Annotated[str, StringConstraints(max_length=63, pattern=CONTAINER)]
    """Name of the blob container."""
    key_prefix: KeyPrefix = ""
    """Begins the blobs' names, as `landing-zones/`; each ends with the tenant's name and .tfstate."""
    access_key: SecretReference | None = None
    """Access key of the account. Without it and without sasToken the platform's own identity is used (Storage Blob Data Contributor)."""
    sas_token: SecretReference | None = None
    """Shared access signature for the container."""

    @model_validator(mode="after")
    def _one_way_in(self) -> AzurermBackend:
        if self.access_key is not None and self.sas_token is not None:
            raise wrong("Give accessKey or sasToken, not both.", field="sasToken", hint="Remove one of them.")
        return self


class S3Backend(Value):
    """An object per tenant in an S3 bucket, or in one of something that speaks S3."""

    type: Literal["s3"]
    """An object per tenant in an S3 bucket, locked by a file beside it."""
    bucket: Annotated[str, StringConstraints(pattern=BUCKET)]
    """Name of the bucket."""
    region: Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[a-z0-9-]+$")]
    """Region of the bucket."""
    key_prefix: KeyPrefix = ""
    """Begins the objects' names, as `landing-zones/`; each ends with the tenant's name and .tfstate."""
    endpoint: Address | None = None
    """Address of the service where it is not AWS's."""
    access_key_id: SecretReference | None = None
    """Access key id. Without it, the role of the machine."""
    secret_access_key: SecretReference | None = None
    """Secret access key."""

    @model_validator(mode="after")
    def _both_or_none(self) -> S3Backend:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise wrong("accessKeyId and secretAccessKey go together.", field="accessKeyId", hint="Give both, or none.")
        return self


class PgBackend(Value):
    """A schema per tenant in a PostgreSQL database."""

    type: Literal["pg"]
    """A schema per tenant in a PostgreSQL database. Its lock is that of the whole database, so engines wait for each other."""
    connection: SecretReference
    """The connection string, as postgres://user:password@host/database?sslmode=verify-full."""


class HttpBackend(Value):
    """A server that speaks Terraform's HTTP protocol for states."""

    type: Literal["http"]
    """A server that speaks Terraform's HTTP protocol for states."""
    address: Address
    """Address that all states are below; each tenant's name is added to it."""
    locking: bool = True
    """Whether the server locks. Without locks two engines may write at once."""
    lock_suffix: Annotated[str, StringConstraints(max_length=100, pattern=r"^(/[A-Za-z0-9_.-]+)?$")] = ""
    """Added to a state's address for its lock, as `/lock`."""
    lock_method: Literal["LOCK", "POST", "PUT"] = "LOCK"
    """HTTP method that locks."""
    unlock_method: Literal["UNLOCK", "DELETE", "PUT", "POST"] = "UNLOCK"
    """HTTP method that unlocks."""
    username: str | None = Field(default=None, min_length=1, max_length=255)
    """User name for basic authentication."""
    password: SecretReference | None = None
    """Password for basic authentication."""


AnyBackend = ManagedBackend | LocalBackend | AzurermBackend | S3Backend | PgBackend | HttpBackend
RemoteBackend = AzurermBackend | S3Backend | PgBackend | HttpBackend
REMOTE = (AzurermBackend, S3Backend, PgBackend, HttpBackend)
StateBackend = Annotated[AnyBackend, Field(discriminator="type")]


def block(backend: AnyBackend) -> str:
    """The HCL of the root module's backend block. It names no tenant and holds no credential."""
    kind = "http" if isinstance(backend, ManagedBackend) else backend.type
    return f'backend "{kind}" {{}}'


def settings(backend: AnyBackend, tenant: str) -> Settings:
    """What `init` is told beside the empty block: where the tenant's state is. No secret is in it. Empty for `managed`."""
    match backend:
        case ManagedBackend():
            return {}
        case LocalBackend():
            return {"path": f"{backend.directory.rstrip('/')}/{tenant}.tfstate"}
        case AzurermBackend():
            return {
                "storage_account_name": backend.storage_account_name,
                "container_name": backend.container_name,
                "key": f"{backend.key_prefix}{tenant}.tfstate",
                "use_azuread_auth": backend.access_key is None and backend.sas_token is None,
            }
        case S3Backend():
            elsewhere = backend.endpoint is not None
            skipped = ("credentials_validation", "metadata_api_check", "requesting_account_id", "region_validation")
            return {
                "bucket": backend.bucket,
                "region": backend.region,
                "key": f"{backend.key_prefix}{tenant}.tfstate",
                "use_lockfile": True,
                "encrypt": not elsewhere,
                **({"use_path_style": True, "skip_s3_checksum": True} if elsewhere else {}),
                **({f"skip_{what}": True for what in skipped} if elsewhere else {}),
            }
        case PgBackend():
            return {"schema_name": schema_of(tenant)}
        case HttpBackend():
            address = f"{backend.address.rstrip('/')}/{quote(tenant, safe='')}"
            lock = address + backend.lock_suffix
            locks = {
                "lock_address": lock,
                "unlock_address": lock,
                "lock_method": backend.lock_method,
                "unlock_method": backend.unlock_method,
            }
            return {"address": address, **(locks if backend.locking else {})}


def variables(backend: AnyBackend) -> dict[str, str]:
    """Variables for the engine that are no secrets."""
    match backend:
        case S3Backend(endpoint=str(endpoint)):
            return {"AWS_ENDPOINT_URL_S3": endpoint}
        case HttpBackend(username=str(username)):
            return {"TF_HTTP_USERNAME": username}
        case _:
            return {}


def credentials(backend: AnyBackend) -> dict[str, SecretReference]:
    """Where the backend's credentials are found, by the variable that the engine reads each from."""
    match backend:
        case AzurermBackend():
            found = {"ARM_ACCESS_KEY": backend.access_key, "ARM_SAS_TOKEN": backend.sas_token}
        case S3Backend():
            found = {"AWS_ACCESS_KEY_ID": backend.access_key_id, "AWS_SECRET_ACCESS_KEY": backend.secret_access_key}
        case PgBackend():
            found = {"PG_CONN_STR": backend.connection}
        case HttpBackend():
            found = {"TF_HTTP_PASSWORD": backend.password}
        case _:
            found = {}
    return {name: reference for name, reference in found.items() if reference is not None}


def where(backend: AnyBackend, tenant: str) -> str:
    """Where the tenant's state is, in words."""
    match backend:
        case ManagedBackend():
            return "the runner's own store"
        case LocalBackend():
            return f"the file {settings(backend, tenant)['path']}"
        case AzurermBackend():
            named = settings(backend, tenant)
            return f"the blob {named['key']} in {backend.storage_account_name}/{backend.container_name}"
        case S3Backend():
            return f"s3://{backend.bucket}/{settings(backend, tenant)['key']}"
        case PgBackend():
            return f"the schema {schema_of(tenant)} of a PostgreSQL database"
        case HttpBackend():
            return str(settings(backend, tenant)["address"])


def schema_of(tenant: str) -> str:
    """Name of a tenant's schema in PostgreSQL: what is readable of the tenant's name, and a digest that keeps it apart from all others."""
    readable = re.sub(r"[^a-z0-9]+", "_", tenant.lower()).strip("_")
    digest = hashlib.sha256(tenant.encode()).hexdigest()[:10]
    return f"lzr_{readable[: LONGEST_SCHEMA - 15]}_{digest}"
