"""Channels by which people are told: which events of which runs, and where to. Secrets by reference only; of Slack and Teams the address
itself is one."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from runner.domain.document import Identifier, Once, SecretReference, Value, check_once, wrong
from runner.domain.notice import Event
from runner.domain.run import Run

MAIL = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+$"
HOST = r"^[A-Za-z0-9._-]+(:[0-9]{1,5})?$"
CHANNEL_ADDRESS = r"^(https://[^\s/?#@\\]+|http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?)([/?]\S*)?$"

Mail = Annotated[str, StringConstraints(pattern=MAIL, max_length=254)]
Host = Annotated[str, StringConstraints(pattern=HOST, max_length=255, to_lower=True)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Names = Annotated[tuple[Name, ...], Field(max_length=1000)]


class _Channel(Value):
    """What every channel says."""

    name: Identifier
    """Its name, by which it is known for good: another name is another channel."""
    events: Annotated[tuple[Event, ...], Field(min_length=1)] = (Event.WAITING, Event.FAILED)
    """Events that it is for: waiting, failed, drifted, applied, expired. Of a run that waits because it drifted only one is told."""
    zones: Names = ()
    """Landing zones; without any, all."""
    workspaces: Names = ()
    """Workspaces; without any, all."""
    minimum_risks: int = Field(default=0, ge=0)
    """How many destructive risks a run needs to be told of. Failed runs are told of whatever they risked."""
    template: str | None = Field(default=None, min_length=1, max_length=4096)
    """Path of a Jinja template for the words, instead of the runner's own; relative to the configuration's folder."""

    def event_of(self, run: Run, happened: tuple[Event, ...]) -> Event | None:
        """The first of what happened that the channel tells of this run; None where it tells none."""
        if self.zones and run.landing_zone not in self.zones:
            return None
        if self.workspaces and run.workspace not in self.workspaces:
            return None
        for event in happened:
            if event in self.events and (event is Event.FAILED or run.risks >= self.minimum_risks):
                return event
        return None


class WebhookChannel(_Channel):
    """Signed JSON for a program, as Standard Webhooks says."""

    type: Literal["webhook"]
    """A program that checks signatures."""
    url: Annotated[str, StringConstraints(pattern=CHANNEL_ADDRESS, max_length=2000)]
    """Where it is posted to, by https."""
    secrets: Annotated[tuple[SecretReference, ...], Field(min_length=1, max_length=5)]
    """Where the secrets are found that sign, each `whsec_` and base64; while one is changed, the old one beside the new one."""


class SlackChannel(_Channel):
    """An incoming webhook of Slack."""

    type: Literal["slack"]
    """A channel of Slack."""
    url: SecretReference
    """Where the address of the incoming webhook is found."""


class TeamsChannel(_Channel):
    """A workflow of Microsoft Teams that posts to a channel when a webhook request is received."""

    type: Literal["teams"]
    """A channel of Microsoft Teams."""
    url: SecretReference
    """Where the address of the workflow is found."""


class MailChannel(_Channel):
    """Mail by SMTP; never without TLS."""

    type: Literal["mail"]
    """Mail."""
    host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$", max_length=255)]
    """The mail server."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """Its port; without it 587, or 465 with security: tls."""
    security: Literal["starttls", "tls"] = "starttls"
    """starttls: the connection becomes encrypted before anything is said. tls: it is from the beginning."""
    sender: Mail
    """Whom it is from."""
    to: Annotated[tuple[Mail, ...], Field(min_length=1, max_length=100)]
    """Whom it is for."""
    username: str | None = Field(default=None, min_length=1, max_length=254)
    """Who signs in at the mail server, where it wants that."""
    password: SecretReference | None = None
    """Where the password is found."""

    @model_validator(mode="after")
    def _signs_in_wholly(self) -> Self:
        if (self.username is None) != (self.password is None):
            missing = "password" if self.password is None else "username"
            raise wrong("username and password belong together.", field=missing, hint="password: {env: SMTP_PASSWORD}")
        return self


Channel = Annotated[WebhookChannel | SlackChannel | TeamsChannel | MailChannel, Field(discriminator="type")]


class Notifications(Value):
    """Who is told what happens to runs."""

    once: ClassVar[tuple[Once, ...]] = (
        Once(
            "channels", "name", "There is another channel named {}.", "Give each channel a name of its own.", at="name"
        ),
    )

    channels: Annotated[tuple[Channel, ...], Field(max_length=100)] = ()
    """The channels. One that is new tells what happens from then on."""
    allowed_hosts: Annotated[tuple[Host, ...], Field(max_length=100)] = ()
    """Hosts (`host` or `host:port`) that may be private addresses, as a mail server in the company's network. http:// only to this
    machine, and only where it is named here."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        check_once(self)
        return self
