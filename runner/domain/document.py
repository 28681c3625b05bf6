"""What all documents have in common: frozen, camelCase, nothing unknown, and secrets by reference only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

API_VERSION = "landing-zone-runner/v1"

# Patterns have names because the words for people about a value that does not match are found by pattern.
IDENTIFIER = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
UUID = r"^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"
ENTRA_TENANT = r"^([0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|([A-Za-z0-9-]+\.)+[A-Za-z]{2,})$"
LOCATION = r"^[a-z0-9]+$"
# https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules (Microsoft.Management)
MANAGEMENT_GROUP = r"^[A-Za-z0-9_().-]*[A-Za-z0-9_()-]$"
BLOCK_KEY = r"^[a-z][a-z0-9_]{0,40}$"
RUNNERS_OWN = "LZR_"  # begins the variables that are settings of the runner
VARIABLE_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=IDENTIFIER)]
Uuid = Annotated[str, StringConstraints(to_lower=True, pattern=UUID)]
EntraTenantId = Annotated[str, StringConstraints(to_lower=True, max_length=255, pattern=ENTRA_TENANT)]
Location = Annotated[str, StringConstraints(pattern=LOCATION, max_length=50)]
BlockKey = Annotated[str, StringConstraints(pattern=BLOCK_KEY)]
ManagementGroupId = Annotated[str, StringConstraints(min_length=1, max_length=90, pattern=MANAGEMENT_GROUP)]


def wrong(message: str, *, field: str = "", hint: str = "") -> PydanticCustomError:
    """The error of a rule between fields: `field` is the path below the model it concerns, as `users.3` or `clientId`."""
    return PydanticCustomError("rule", "{message}", {"message": message, "field": field, "hint": hint})


@dataclass(frozen=True, slots=True)
class Once:
    """A rule of a model: no two entries of a list have the same text in one of their fields.

    `entries` and `by` are attributes (`by` may lead further, as `project_role_ref.name`), so the rule can be asked of a value and,
    by the names that documents use, of what has not become one yet.
    """

    entries: str
    by: str
    message: str  # {} stands for the text
    hint: str
    folded: bool = False  # capitals do not count
    at: str = ""  # the field to mend, where it is not the entry as a whole

    def broken_by(self, texts: Iterable[object]) -> Iterator[PydanticCustomError]:
        """The error of each entry that repeats an earlier one; what is no text repeats nothing."""
        seen: set[str] = set()
        for index, text in enumerate(texts):
            if not isinstance(text, str):
                continue
            plain = text.casefold() if self.folded else text
            if plain in seen:
                field = f"{to_camel(self.entries)}.{index}" + (f".{self.at}" if self.at else "")
                yield wrong(self.message.format(text), field=field, hint=self.hint)
            seen.add(plain)


class Value(BaseModel):
    """A frozen part of a document; an unknown key is an error, never ignored."""

    once: ClassVar[tuple[Once, ...]] = ()
    """What may be in its lists only once; `check_once` looks."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
        field_title_generator=lambda name, _: to_camel(name),
    )


def check_once(value: Value) -> None:
    """Raise the first error of the rules in `once`."""
    for rule in value.once:
        for error in rule.broken_by(map(attrgetter(rule.by), getattr(value, rule.entries))):
            raise error


class Metadata(Value):
    """Names the document."""

    name: Identifier
    """Name by which people and other documents refer to this one; unique among documents of its kind."""


class Reference(Value):
    """Name of another document or of a project role."""

    name: str = Field(min_length=1, max_length=120)
    """The name as it is written there."""


class SecretReference(Value):
    """Where a secret is found when it is needed: an environment variable or a file. The secret itself is never in a document."""

    env: Annotated[str, StringConstraints(pattern=VARIABLE_NAME, max_length=255)] | None = None
    """Name of the environment variable that holds the secret. LZR_… are the runner's own settings and hold none of these."""
    file: str | None = Field(default=None, min_length=1, max_length=4096)
    """Path of the file that holds the secret and nothing else."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise wrong(
                "A secret is given by reference: either env or file, one of them.", hint="env: NAME_OF_A_VARIABLE"
            )
        if self.env is not None and self.env.startswith(RUNNERS_OWN):
            raise wrong(
                f"Variables that begin with {RUNNERS_OWN} are the runner's settings; it does not start with one it does not know.",
                field="env",
                hint="Give the variable another name, as CORP_AZURE_CLIENT_SECRET.",
            )
        return self


class ClientCredential(Value):
    """Client secret of the service principal."""

    type: Literal["credential"]
    """A client secret."""
    credential: SecretReference
    """Where the client secret is found."""


class Certificate(Value):
    """Certificate of the service principal."""

    type: Literal["certificate"]
    """A certificate."""
    certificate: SecretReference
    """Where the PEM or PKCS#12 file with certificate and private key is found."""
    password: SecretReference | None = None
    """Where the file's password is found, if it has one."""


class WorkloadIdentity(Value):
    """A federated token that the platform around the runner writes into a file and renews."""

    type: Literal["workloadIdentity"]
    """A federated token; no secret to keep."""
    token_file: str | None = Field(default=None, min_length=1, max_length=4096)
    """Path of the token; without it the one that AZURE_FEDERATED_TOKEN_FILE names."""


class ManagedIdentity(Value):
    """Identity of the Azure machine the runner runs on; user-assigned when the service principal names a client id."""

    type: Literal["managedIdentity"]
    """The machine's own identity; no secret to keep."""


class AzureCli(Value):
    """The person who is signed in with `az login`: for people at a terminal, never for an unattended runner."""

    type: Literal["azureCli"]
    """Whoever is signed in with `az login`."""


Authentication = Annotated[
    ClientCredential | Certificate | WorkloadIdentity | ManagedIdentity | AzureCli, Field(discriminator="type")
]


class ServicePrincipal(Value):
    """The identity the runner uses in one Entra tenant."""

    client_id: Uuid | None = None
    """Application (client) id of the app registration."""
    object_id: Uuid | None = None
    """Object id of the enterprise application (not of the app registration)."""
    auth: Authentication
    """How the runner proves to be this identity."""

    @model_validator(mode="after")
    def _client_id_where_needed(self) -> Self:
        if self.client_id is None and self.auth.type in ("credential", "certificate", "workloadIdentity"):
            raise wrong(
                f"clientId is needed with auth.type {self.auth.type}.",
                field="clientId",
                hint="It is the application (client) id of the app registration.",
            )
        return self
