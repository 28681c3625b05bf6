"""Webhooks that ask for runs: who may send them, what a delivery asks for, and what its sender may reach."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from runner.domain.access import Frozen
from runner.domain.actor import Actor, Grant, Role
from runner.domain.document import Identifier, SecretReference, Value, wrong
from runner.domain.harmless import plain
from runner.domain.patterns import like
from runner.errors import InputError

REMEMBERED = timedelta(days=365)
"""How long a body that GitHub signed is known again: nothing in its signature tells its age."""

_NOWHERE = frozenset("0")
_BRANCH = "refs/heads/"

Name = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Names = Annotated[tuple[Name, ...], Field(max_length=1000)]
Commit = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")]


class Trigger(Value):
    """A webhook that may ask for runs."""

    name: Identifier
    """Its name, the last part of its address and in records who asked."""
    sender: Literal["standard", "github", "gitlab"] = "standard"
    """standard: whoever signs as Standard Webhooks says. github, gitlab: their push events; GitLab with a signing token, for its older
    secret token signs nothing."""
    secrets: Annotated[tuple[SecretReference, ...], Field(min_length=1, max_length=5)]
    """Where its secret is found; while it is changed, the old one beside the new one."""
    zones: Names = ()
    """Landing zones that it may ask for; without any, all."""
    workspaces: Names = ()
    """Workspaces that it may ask for; without any, all."""
    behavior: Literal["plan", "reconcile"] = "plan"
    """What a push asks for, and the most that a delivery may: plan only plans, reconcile applies as the landing zone's policy says."""
    repositories: Names = ()
    """Repositories whose pushes count, as owner/name; without any, whichever has the secret."""
    branches: Annotated[tuple[Name, ...], Field(min_length=1, max_length=100)] = ("main",)
    """Branches whose pushes count; * stands for any characters."""

    @model_validator(mode="after")
    def _repositories_push(self) -> Self:
        if self.repositories and self.sender == "standard":
            raise wrong("Only github and gitlab have repositories.", field="repositories", hint="sender: github")
        return self

    @property
    def actor(self) -> Actor:
        """Who asks by it."""
        grant = Grant(role=Role.OPERATOR, zones=self.zones, workspaces=self.workspaces)
        return Actor(id=f"webhook:{self.name}", name=f"webhook {self.name}", grants=(grant,))

    @property
    def largest(self) -> int:
        """The bytes that a body may have. GitHub sends up to 2048 commits with a push, and what they touch."""
        return 64 * 1024 if self.sender == "standard" else 5 * 1024 * 1024


class Push(Frozen):
    """Commits that came to a branch. `before` is None where the branch is new."""

    repository: str
    branch: str
    before: str | None
    after: str


class Asked(Frozen):
    """What a delivery asks for: these tenants and those of these zones, or what a push changed about tenants."""

    behavior: Literal["plan", "reconcile"]
    tenants: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    push: Push | None = None
    reason: str = ""


class Delivered(Frozen):
    """A delivery that was let in. `id` is known should it come again. `asked` is None where there is nothing to do, as after a ping."""

    webhook: str
    id: str
    at: datetime
    asked: Asked | None


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class _Wish(_Strict):
    """A delivery of whoever writes it for this server."""

    tenants: Annotated[tuple[Name, ...], Field(max_length=1000)] = ()
    zones: Annotated[tuple[Name, ...], Field(max_length=1000)] = ()
    behavior: Literal["plan", "reconcile"] = "plan"
    reason: Annotated[str, StringConstraints(max_length=1000)] = ""

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not (self.tenants or self.zones):
            raise wrong("It names neither tenants nor zones.")
        return self


class _Lenient(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, hide_input_in_errors=True)


class _GitHubRepository(_Lenient):
    full_name: Name


class _GitHubPush(_Lenient):
    ref: Name
    before: Commit
    after: Commit
    repository: _GitHubRepository

    @property
    def place(self) -> str:
        return self.repository.full_name


class _GitLabProject(_Lenient):
    path_with_namespace: Name


class _GitLabPush(_Lenient):
    object_kind: Literal["push"]
    ref: Name
    before: Commit
    after: Commit
    project: _GitLabProject

    @property
    def place(self) -> str:
        return self.project.path_with_namespace


def asked(trigger: Trigger, body: bytes, event: str) -> Asked | None:
    """What a body asks for that was signed; None where nothing is to be done. `event` is what GitHub or GitLab calls it, which nobody
    signed: it may make a delivery count for nothing, and never for something else. InputError (`webhook-body-wrong`,
    `webhook-asks-too-much`) for one that cannot be done."""
    if trigger.sender == "standard":
        wish = _read(_Wish, body)
        if wish.behavior == "reconcile" and trigger.behavior == "plan":
            raise InputError(
                "The webhook asks for more than it may",
                code="webhook-asks-too-much",
                detail=f"{trigger.name} may ask for plans only.",
                hint="Set behavior: reconcile for it in the server's configuration.",
            )
        return Asked(behavior=wish.behavior, tenants=wish.tenants, zones=wish.zones, reason=wish.reason)
    if event != {"github": "push", "gitlab": "Push Hook"}[trigger.sender]:
        return None
    pushed = _read(_GitHubPush if trigger.sender == "github" else _GitLabPush, body)
    branch = pushed.ref.removeprefix(_BRANCH)
    counts = pushed.ref.startswith(_BRANCH) and any(like(branch, pattern) for pattern in trigger.branches)
    if not counts or _is_nowhere(pushed.after):
        return None
    if trigger.repositories and pushed.place not in trigger.repositories:
        return None
    push = Push(
        repository=pushed.place,
        branch=branch,
        before=None if _is_nowhere(pushed.before) else pushed.before,
        after=pushed.after,
    )
    reason = f"push of {push.after[:12]} to {push.branch} of {push.repository}"
    return Asked(behavior=trigger.behavior, push=push, reason=reason)


def _read(model: type[Any], body: bytes) -> Any:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_input=False)[:5]
        told = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'the body'}: {one['msg']}" for one in found)
        raise InputError(
            "The webhook's body is not valid",
            code="webhook-body-wrong",
            detail=plain(told[:1000]),
            hint='As {"tenants": ["acme.shop.prod"], "behavior": "plan", "reason": "…"}, or a push event.',
        ) from None


def _is_nowhere(commit: str) -> bool:
    """What stands for the commit of a branch that is not there."""
    return set(commit) == _NOWHERE
