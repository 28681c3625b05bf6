"""Commands about tenants beside their runs: what one is and should be, what it would take over, its deletion, and strangers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.asking import ask, yes_option
from runner.cli.telling import as_json_option, me, opened, print_json, print_lines, summary_json, worst
from runner.cli.work import adopt
from runner.errors import InputError, RemoteFailed

if TYPE_CHECKING:
    from runner.cli.known import Known
    from runner.domain.deletion import Deletion
    from runner.wiring import Runner

_TENANT = click.argument("tenant")
_PATHS = click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
_COMMENT = click.option("--comment", default="", help="For the record.")


@click.group
def tenant() -> None:
    """One tenant: what it is and should be, what it would take over, its deletion."""


tenant.add_command(adopt)


@click.group
def tenants() -> None:
    """Subscriptions that nobody documents, and tenants that leave."""


@tenant.command
@_TENANT
@_PATHS
@as_json_option
def show(tenant: str, paths: tuple[Path, ...], as_json: bool) -> int:
    """Show what is there of a tenant and what it should be, its last run, and what was left behind. Only looks.

    \b
    Example:
      lzr tenant show payments.checkout-dev my-landing-zones
    """
    from runner.app import inventory
    from runner.cli import tenant_words
    from runner.cli.known import known

    with opened() as runner:
        found = known(runner, tenant, paths or (Path(),))
        told = _from_store(runner, found) | inventory.look(found.snapshot.placed, runner.ports)
        if as_json:
            print_json(told)
        else:
            print_lines(tenant_words.shown(told, runner.ports.now()))
    return RemoteFailed.exit_code if told["failure"] else 0


def _from_store(runner: Runner, found: Known) -> dict[str, Any]:
    from runner.domain.run import ENDED

    placed, ports = found.snapshot.placed, runner.ports
    name = placed.tenant.name
    newest = ports.runs.find(tenant=name, limit=1)
    ended = ports.runs.find(tenant=name, statuses=tuple(ENDED), limit=1)
    review = ports.runs.review(newest[0].id) if newest else None
    versions, holder = runner.store.states.versions(name), runner.store.states.holder(name)
    deletion = ports.deletions.of(name)
    return {
        "tenant": name,
        "document": found.place,
        "landingZone": placed.zone.name,
        "platform": placed.platform.name,
        "lastRun": summary_json(newest[0]) if newest else None,
        "lastEndedRun": summary_json(ended[0]) if ended else None,
        "warnings": review["warnings"] if review else [],
        "deletion": deletion.model_dump(mode="json") if deletion else None,
        "state": {
            "backend": placed.platform.spec.state_backend.type,
            "versions": len(versions),
            "newest": {"number": versions[0].number, "serial": versions[0].serial, "at": versions[0].at.isoformat()}
            if versions
            else None,
            "lockedBy": holder.who if holder else None,
        },
    }


@tenant.command
@_TENANT
@_PATHS
@click.option("--reason", required=True, help="Why; at most 255 characters.")
@as_json_option
def delete(tenant: str, paths: tuple[Path, ...], reason: str, as_json: bool) -> int:
    """Ask for the deletion of a tenant. Nothing is deleted yet: somebody approves, then `lzr destroy` plans how it leaves.

    Until that is decided the tenant is still reconciled, and the next run takes away everybody's access to it. Where the landing zone
    sets automateDeletionApproval, the request is approved at once.

    \b
    Example:
      lzr tenant delete payments.checkout-dev my-landing-zones --reason "project ended"
    """
    from runner.app import deleting
    from runner.cli.known import known

    with opened() as runner:
        found = known(runner, tenant, paths or (Path(),))
        found.tell()
        asked = deleting.ask(found.snapshot, reason=reason, source=found.source, by=me(), ports=runner.ports)
        return _told(asked, as_json=as_json)


@tenant.command("approve-deletion")
@_TENANT
@_COMMENT
@as_json_option
def approve_deletion(tenant: str, comment: str, as_json: bool) -> int:
    """Approve that a tenant is deleted. From then on it is not reconciled any more, and can be planned to leave.

    \b
    Example:
      lzr tenant approve-deletion payments.checkout-dev --comment "agreed with the owner"
    """
    from runner.app import deleting

    with opened() as runner:
        return _told(deleting.approve(tenant, by=me(), comment=comment, ports=runner.ports), as_json=as_json)


@tenant.command("decline-deletion")
@_TENANT
@_COMMENT
@as_json_option
def decline_deletion(tenant: str, comment: str, as_json: bool) -> int:
    """Decline the deletion of a tenant, also after it was approved. The next run gives everybody their access again.

    \b
    Example:
      lzr tenant decline-deletion payments.checkout-dev --comment "still in use"
    """
    from runner.app import deleting

    with opened() as runner:
        return _told(deleting.decline(tenant, by=me(), comment=comment, ports=runner.ports), as_json=as_json)


@tenant.command
@_TENANT
@yes_option
def purge(tenant: str, yes: bool) -> int:
    """Forget the deletion of a tenant and what was kept for it. Azure is not touched; runs and states stay for the record.

    A tenant that is gone can come back by its document then; one that is not gone is reconciled again.

    \b
    Example:
      lzr tenant purge payments.checkout-dev
    """
    with opened() as runner:
        known = runner.ports.deletions.of(tenant)
        if known is not None and known.under_way:
            ask(
                f"{tenant} is not gone yet: its deletion is {known.standing}. Forget that it is to be deleted?", yes=yes
            )
        forgotten = runner.ports.deletions.forget(tenant)
        click.echo(f"Forgot the deletion of {tenant}." if forgotten else f"Nobody asked for the deletion of {tenant}.")
    return 0


def _told(deletion: Deletion, *, as_json: bool) -> int:
    from runner.cli import tenant_words

    if as_json:
        print_json(deletion.model_dump(mode="json"))
    else:
        print_lines(tenant_words.decided(deletion))
    return 0


@tenants.command
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@as_json_option
def unmanaged(paths: tuple[Path, ...], as_json: bool) -> int:
    """List subscriptions below the landing zones' management groups that no document names.

    \b
    Example:
      lzr tenants unmanaged my-landing-zones
    """
    from threading import Event

    from runner import documents
    from runner.app import inventory
    from runner.cli import tenant_words

    read = documents.read(paths)
    rows: dict[str, dict[str, Any]] = {}
    unread: list[str] = []
    with opened() as runner:
        named = _named(runner, read)
        for platform in read.platforms.values():
            groups = sorted(
                {
                    zone.spec.azure_management_group_id
                    for zone in read.zones.values()
                    if zone.spec.platform_ref.name == platform.name and zone.spec.azure_management_group_id
                }
            )
            if not groups:
                continue
            with runner.ports.azure(platform, Event()) as azure:
                found, missing = inventory.unmanaged(groups, named, azure.resources)
            unread += missing
            for one in found:
                rows[one.id] = {
                    "id": one.id,
                    "name": one.display_name,
                    "state": one.state,
                    "managementGroup": one.management_group,
                    "platform": platform.name,
                }
    if as_json:
        print_json({"unmanaged": list(rows.values()), "unreadableManagementGroups": unread})
    else:
        print_lines(tenant_words.unmanaged(list(rows.values()), unread))
    return worst([InputError.exit_code] if unread else [])


def _named(runner: Runner, read: Any) -> frozenset[str]:
    """Ids of the subscriptions that documents name; of a tenant whose document leaves its subscription to the runner, the one that is
    held for it."""
    from runner.app.sourcing import as_held
    from runner.domain.configuration import subscription_id

    named = {platform.spec.subscription_id or "" for platform in read.platforms.values()}
    named |= {subscription_id(as_held(read.placed(name), runner.ports)) for name in read.tenants}
    return frozenset(one.lower() for one in named)


@tenants.command
@as_json_option
def leaving(as_json: bool) -> int:
    """List the deletions that are asked for or approved, and not at their end.

    \b
    Example:
      lzr tenants leaving
    """
    from runner.cli import tenant_words
    from runner.domain.deletion import UNDER_WAY

    with opened() as runner:
        found = runner.ports.deletions.find(tuple(UNDER_WAY))
        if as_json:
            click.echo(json.dumps([one.model_dump(mode="json") for one in found], indent=2, ensure_ascii=False))
        else:
            print_lines(tenant_words.leaving(found, runner.ports.now()))
    return 0
