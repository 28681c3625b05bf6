"""What `lzr doctor` says: the outcome of each check in plain words, and the exact fix where something is to be mended. Pure judgements."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from runner.domain.azure_actions import Granted, allows
from runner.domain.permissions import FUNCTION_ROLE, Need, When

SOON = timedelta(days=30)  # before a credential ends, people are warned
GREATEST_SKEW = timedelta(
    minutes=5
)  # more, and Entra and Azure refuse tokens and assertions as not yet or no longer valid
GRAPH = "00000003-0000-0000-c000-000000000000"  # application id of Microsoft Graph in every Entra tenant


class State(StrEnum):
    """How a check came out. Only WRONG makes the whole fail; SKIPPED could not be looked at, for a reason that is told beside it."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Check:
    """One outcome. `name` is constant and kebab-case, `about` what was looked at; `fix` says what to do, commands each on a line."""

    name: str
    about: str
    state: State
    text: str
    fix: str = ""


@dataclass(frozen=True)
class Outcome:
    """A check's state and words, without what it was about."""

    state: State
    text: str
    fix: str = ""


def ok(text: str) -> Outcome:
    return Outcome(State.OK, text)


def warning(text: str, fix: str = "") -> Outcome:
    return Outcome(State.WARNING, text, fix)


def wrong(text: str, fix: str) -> Outcome:
    return Outcome(State.WRONG, text, fix)


def skipped(text: str) -> Outcome:
    return Outcome(State.SKIPPED, text)


def healthy(checks: Iterable[Check]) -> bool:
    """Whether nothing has to be mended."""
    return all(check.state is not State.WRONG for check in checks)


def of_expiry(what: str, ends: datetime, *, now: datetime, renew: str) -> Outcome:
    """How long a credential is good for; `renew` says how to get another."""
    left = ends - now
    day = f"{ends:%Y-%m-%d}"
    if left <= timedelta(0):
        return wrong(f"The {what} ended on {day}.", renew)
    if left <= SOON:
        return warning(f"The {what} ends on {day}, in {_days(left)}.", renew)
    return ok(f"The {what} is good until {day}.")


def of_clock(ahead: timedelta) -> Outcome:
    """What the difference between Azure's clock and this machine's means; positive when this machine is ahead."""
    seconds = abs(ahead.total_seconds())
    if abs(ahead) <= GREATEST_SKEW:
        return ok(f"This machine's clock and Azure's are {seconds:.0f} s apart.")
    way = "ahead of" if ahead > timedelta(0) else "behind"
    return wrong(
        f"This machine's clock is {seconds / 60:.0f} min {way} Azure's: tokens count as not yet or no longer valid.",
        "Let the machine keep its time by NTP: timedatectl set-ntp true",
    )


def of_actions(needs: Sequence[Need], granted: Sequence[Granted], *, scope: str, assignee: str) -> Outcome:
    """Whether the roles at a scope give what is needed there. What only leaving tenants need is a warning. `assignee` are the words by
    which az is told whom to give a role."""
    lacking = [need for need in needs if not allows(granted, need.permission)]
    if not lacking:
        return ok(f"All {len(needs)} actions are allowed.")
    names = ", ".join(f"{need.permission} ({need.why})" for need in lacking)
    roles = dict.fromkeys(need.role for need in lacking if need.role)
    commands = [give_role(role, scope=scope, assignee=assignee) for role in roles]
    fix = "\n".join(["Add the actions to its custom role, or give it built-in roles:", *commands])
    return Outcome(
        State.WARNING if all(need.when is When.LEAVING for need in lacking) else State.WRONG,
        f"Not allowed: {names}.",
        fix,
    )


def give_role(role: str, *, scope: str, assignee: str) -> str:
    """The command that gives a built-in Azure role."""
    return f"az role assignment create {assignee} --role {shlex.quote(role)} --scope {shlex.quote(scope)}"


def of_graph_roles(needs: Sequence[Need], lacking: Sequence[Need], *, client_id: str | None) -> Outcome:
    """Whether a token has the application roles of Graph that are needed."""
    if not lacking:
        return ok(f"Its token has {', '.join(need.permission for need in needs)}.")
    names = ", ".join(f"{need.permission} ({need.why})" for need in lacking)
    return wrong(f"Its token lacks {names}.", grant_graph_roles(lacking, client_id=client_id))


def grant_graph_roles(lacking: Sequence[Need], *, client_id: str | None) -> str:
    """How to give application roles of Graph: to an application by its permissions, to a managed identity by its role assignments."""
    if client_id is None:
        names = ", ".join(need.permission for need in lacking)
        return f"Assign the identity's service principal the application roles of Microsoft Graph {names}."
    roles = " ".join(f"{need.id}=Role" for need in lacking)
    return (
        f"az ad app permission add --id {client_id} --api {GRAPH} --api-permissions {roles}\n"
        f"az ad app permission admin-consent --id {client_id}"
    )


def of_function(
    roles: Iterable[str], *, version: str, accepted: int | None, offers: Iterable[str] | None, restricted: bool | None
) -> Outcome:
    """Whether a token for a function's application lets the runner in, with the pitfalls of its set-up.

    `accepted` is the token version that the application asks for, `offers` the values of its application roles, `restricted`
    whether only who is assigned gets a token; None where that could not be read.
    """
    if FUNCTION_ROLE not in set(roles):
        return wrong(
            f"Its token lacks the application role {FUNCTION_ROLE} (SPP-Access).",
            offer_function_role()
            if offers is not None and FUNCTION_ROLE not in set(offers)
            else consent_function_role(),
        )
    told = f"Its token has the application role {FUNCTION_ROLE} (SPP-Access)"
    if restricted is False:
        return warning(
            f"{told}, but any application of the Entra tenant gets a token for it.",
            "Enterprise application of the function, Properties: set Assignment required to Yes.",
        )
    if accepted == 2 or version.startswith("2"):
        return ok(f"{told}, version 2.")
    return ok(f"{told}, version 1; on a 401, set accessTokenAcceptedVersion to 2.")


VERSION_PITFALL = (
    "Should the function still answer 401, set accessTokenAcceptedVersion to 2 in the manifests of both applications, the function's "
    "and the runner's"
)
TERRAFORM_PITFALL = (
    "Where App Service authentication of the function was set up by Terraform it may not work (meshStack, Azure landing zones): set it "
    "up in the portal, Authentication, once more."
)


def offer_function_role() -> str:
    """How to make the function's application offer the role."""
    return (
        "The function's application offers no such role. Add it to appRoles in its manifest: "
        '{"allowedMemberTypes": ["Application"], "displayName": "SPP-Access", "value": "Access", "isEnabled": true, '
        '"description": "Allows an SPP to get a token to a restricted application", "id": "<a new UUID>"}\n'
        + consent_function_role()
    )


def consent_function_role() -> str:
    """How to give the runner the role, and what else goes wrong in the set-up."""
    return (
        "App registration of the runner, API permissions: add SPP-Access of the function's application, then grant admin consent again.\n"
        f"{VERSION_PITFALL}.\n{TERRAFORM_PITFALL}"
    )


def _days(left: timedelta) -> str:
    days = left.days
    return "less than a day" if days == 0 else "1 day" if days == 1 else f"{days} days"
