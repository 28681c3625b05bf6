"""What a server is told beside its documents: how people reach it and sign in, and who may do what. One YAML document."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from runner.domain.actor import Grant, Role, SignedIn
from runner.domain.channel import Notifications
from runner.domain.document import Once, SecretReference, Value, check_once, wrong
from runner.domain.patterns import like
from runner.domain.trigger import Trigger

# plain http only on this machine, as for tests and a proxy beside the server
ORIGIN = r"^(https://[A-Za-z0-9.-]+(:[0-9]{1,5})?|http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?)/?$"
ADDRESS = r"^(https://[^\s/?#@]+|http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?)(/[^\s?#]*)?$"
Origin = Annotated[str, StringConstraints(pattern=ORIGIN, max_length=300)]
Address = Annotated[str, StringConstraints(pattern=ADDRESS, max_length=2000)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]


def _texts(value: Any) -> Any:
    """Ids are written without quotes too, and one without a list."""
    several = value if isinstance(value, list | tuple) else (value,)
    return tuple(str(one) if isinstance(one, int) and not isinstance(one, bool) else one for one in several)


_ONE = {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 500}, {"type": "integer"}]}
_SEVERAL = {"type": "array", "items": _ONE, "minItems": 1, "maxItems": 200}
Texts = Annotated[
    tuple[Text, ...],
    BeforeValidator(_texts),
    Field(min_length=1, max_length=200),
    WithJsonSchema({"anyOf": [*_ONE["anyOf"], _SEVERAL]}),
]


class Right(Value):
    """A role, and where it holds."""

    role: Role
    """viewer: looks. operator: starts, applies what is approved, cancels. approver: approves and rejects. admin: all of it, tokens and
    the audit."""
    zones: tuple[Text, ...] = ()
    """Landing zones that the role holds for; without any, all."""
    workspaces: tuple[Text, ...] = ()
    """Workspaces that the role holds for; without any, all."""

    @property
    def grant(self) -> Grant:
        """The right as actors have it."""
        return Grant(role=self.role, zones=self.zones, workspaces=self.workspaces)


class Access(Right):
    """A right of people who sign in. Whoever is in one of the groups, or is one of the subjects, or has one of the roles, has it."""

    groups: tuple[Text, ...] = ()
    """Groups by the ids in the groups claim: object ids in Entra."""
    subjects: tuple[Text, ...] = ()
    """Single people by the `sub` claim, in Entra also by their object id (`oid`)."""
    roles: tuple[Text, ...] = ()
    """Values of the `roles` claim: app roles in Entra, which know no limit of groups."""

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        if not (self.groups or self.subjects or self.roles):
            raise wrong("Nobody has this right: groups, subjects or roles is missing.", hint="groups: [<object id>]")
        return self

    def fits(self, who: SignedIn) -> bool:
        """Whether this right is theirs."""
        return any(
            not set(named).isdisjoint(held)
            for named, held in ((self.groups, who.groups), (self.subjects, who.subjects), (self.roles, who.roles))
        )


class SignIn(Value):
    """OpenID Connect sign-in of people, by authorization code with PKCE."""

    issuer: Address
    """The issuer, as https://login.microsoftonline.com/<tenant id>/v2.0; what it publishes at /.well-known/openid-configuration is used."""
    client_id: Text
    """Application (client) id of the server's registration. Its redirect URI is <publicUrl>/sign-in/callback."""
    client_secret: SecretReference | None = None
    """The registration's secret; none for a public client."""
    groups_claim: Text = "groups"
    """The claim that holds the groups."""
    scopes: tuple[Text, ...] = ("openid", "profile", "email")
    """What is asked for."""

    @model_validator(mode="after")
    def _asks_for_an_identity(self) -> Self:
        if "openid" not in self.scopes:
            raise wrong("Without the scope openid nobody says who signs in.", field="scopes", hint="[openid, profile]")
        return self


class Workload(Right):
    """A right of a pipeline that shows a workload identity token: of GitHub Actions, GitLab CI, Azure DevOps or another issuer."""

    name: Text
    """What records call it."""
    issuer: Address
    """Who signs the tokens, as https://token.actions.githubusercontent.com."""
    audience: Text
    """The audience that the pipeline asks for, best this server's address: a token for somebody else is none for this server."""
    claims: Annotated[dict[Text, Texts], Field(min_length=1)]
    """Claims that the token must have, each with one of these values; * stands for any characters. Use ids where there are some
    (repository_id, project_id): a name can be given to somebody else."""

    def fits(self, claims: dict[str, Any]) -> bool:
        """Whether a token with these claims is meant."""
        return all(
            isinstance(claims.get(name), str | int) and any(_like(claims[name], pattern) for pattern in patterns)
            for name, patterns in self.claims.items()
        )


class Limits(Value):
    """How much a server takes, each in a minute and counted by each server for itself."""

    sign_ins: int = Field(default=30, ge=1, le=100_000)
    """Attempts to sign in, and requests whose token is not good, from one address."""
    changes: int = Field(default=240, ge=1, le=100_000)
    """Requests of one actor that change something."""


class ServerConfig(Value):
    """A server's configuration. Without one it serves this machine alone."""

    once: ClassVar[tuple[Once, ...]] = (
        Once("webhooks", "name", "There is another webhook named {}.", "Give each a name of its own.", at="name"),
    )

    public_url: Origin
    """How people and pipelines reach the server: scheme and host, and a port where it is none of the usual ones."""
    sign_in: SignIn | None = None
    """How people sign in; without it only tokens open anything."""
    access: tuple[Access, ...] = Field(default=(), max_length=500)
    """Who of those who sign in may do what. Whoever is not named may nothing."""
    workloads: tuple[Workload, ...] = Field(default=(), max_length=500)
    """Pipelines that may do something."""
    webhooks: Annotated[tuple[Trigger, ...], Field(max_length=100)] = ()
    """Webhooks that may ask for runs."""
    notifications: Notifications = Notifications()
    """Who is told what happens to runs."""
    limits: Limits = Limits()
    """How much the server takes."""

    @model_validator(mode="after")
    def _can_be_opened(self) -> Self:
        if self.access and self.sign_in is None:
            raise wrong("Rights of people need signIn.", field="access", hint="signIn: {issuer: …, clientId: …}")
        check_once(self)
        return self

    @property
    def origin(self) -> str:
        """The public address as browsers name it."""
        scheme, _, host = self.public_url.rstrip("/").lower().partition("://")
        return f"{scheme}://{host.removesuffix({'https': ':443', 'http': ':80'}[scheme])}"

    def grants(self, who: SignedIn) -> tuple[Grant, ...]:
        """What somebody who signed in may do. What another issuer said of them counts for nothing."""
        if self.sign_in is None or who.issuer != self.sign_in.issuer:
            return ()
        return tuple(dict.fromkeys(right.grant for right in self.access if right.fits(who)))


def _like(value: str | int, pattern: str) -> bool:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return like(text, pattern)
