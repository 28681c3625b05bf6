"""Tokens by which programs speak to a server. An administrator's work on the store itself."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from runner.cli.telling import as_json_option, me, opened, print_json
from runner.errors import InputError

if TYPE_CHECKING:
    from runner.ports import ApiToken

LONGEST_DAYS = 365


@click.group
def token() -> None:
    """Tokens by which programs speak to a server. A pipeline with a workload identity needs none."""


@token.command
@click.argument("name")
@click.option("--role", required=True, type=click.Choice(["viewer", "operator", "approver", "admin"]))
@click.option("--zone", "zones", multiple=True, metavar="NAME", help="Only for this landing zone; may be repeated.")
@click.option(
    "--workspace", "workspaces", multiple=True, metavar="NAME", help="Only for this workspace; may be repeated."
)
@click.option(
    "--days", default=30, show_default=True, type=click.IntRange(1, LONGEST_DAYS), help="How long it opens anything."
)
@as_json_option
def create(name: str, role: str, zones: tuple[str, ...], workspaces: tuple[str, ...], days: int, as_json: bool) -> int:
    """Make a token. It is shown now and never again: the store keeps a digest of it.

    \b
    Example:
      lzr token create nightly --role operator --days 30
    """
    from runner.domain.actor import Grant, Role
    from runner.ports import ApiToken
    from runner.store.tokens import new_id

    if not name.strip() or len(name) > 200:
        raise InputError("The token needs a name", code="token-name-wrong", detail="1 to 200 characters.", hint="")
    with opened() as runner:
        now = runner.ports.now()
        made = ApiToken(
            id=new_id(),
            name=name,
            grants=(Grant(role=Role(role), zones=zones, workspaces=workspaces),),
            created_by=me(),
            created=now,
            expires=now + timedelta(days=days),
        )
        secret = runner.store.tokens.create(made)
        if as_json:
            print_json(_told(made) | {"token": secret})
        else:
            click.echo(f"{made.id}   {role}, until {made.expires:%Y-%m-%d}. Shown once:", err=True)
            click.echo(secret)
    return 0


@token.command("list")
@as_json_option
def list_(as_json: bool) -> int:
    """List tokens, newest first, without their secrets.

    \b
    Example:
      lzr token list
    """
    from runner.cli import words

    with opened() as runner:
        found, now = runner.store.tokens.all(), runner.ports.now()
        if as_json:
            print_json([_told(one) for one in found])
            return 0
        if not found:
            click.echo("No tokens.   lzr token create NAME --role operator")
        for one in found:
            state = "revoked" if one.revoked else "expired" if not one.good(now) else f"until {one.expires:%Y-%m-%d}"
            used = f"used {words.ago(one.seen, now)}" if one.seen else "never used"
            roles = "; ".join(_in_words(one))
            click.echo(
                f"{one.id}   {words.plain(one.name)}   {roles}   {state}   {used}   by {words.plain(one.created_by)}"
            )
    return 0


@token.command
@click.argument("token_id", metavar="ID")
def revoke(token_id: str) -> int:
    """Have a token open nothing any more, from the next request on.

    \b
    Example:
      lzr token revoke "$(lzr token list --json | jq -r '.[0].id')"
    """
    with opened() as runner:
        revoked = runner.store.tokens.revoke(token_id, by=me(), now=runner.ports.now())
        click.echo(f"Revoked: {revoked.id}.")
    return 0


def _told(token: ApiToken) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "grants": [grant.model_dump(mode="json") for grant in token.grants],
        "created_by": token.created_by,
        "created": token.created.isoformat(),
        "expires": token.expires.isoformat(),
        "revoked": token.revoked.isoformat() if token.revoked else None,
        "seen": token.seen.isoformat() if token.seen else None,
    }


def _in_words(token: ApiToken) -> list[str]:
    from runner.cli import words

    told = []
    for grant in token.grants:
        where = [*(f"zone {zone}" for zone in grant.zones), *(f"workspace {one}" for one in grant.workspaces)]
        told.append(f"{grant.role}" + (f" in {', '.join(map(words.plain, where))}" if where else ""))
    return told
