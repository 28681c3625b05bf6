"""Commands about Terraform states in the runner's own store. Whatever changes something asks first."""

from __future__ import annotations

import json

import click

from runner.cli.asking import ask, yes_option
from runner.cli.telling import as_json_option, me, opened
from runner.errors import InputError, Refused

_TENANT = click.argument("tenant")


@click.group
def state() -> None:
    """Look at Terraform states, roll back, unlock (`stateBackend: managed`)."""


@state.command
@_TENANT
@as_json_option
def versions(tenant: str, as_json: bool) -> int:
    """The history of a tenant's state, newest first.

    \b
    Example:
      lzr state versions payments.checkout-dev
    """
    with opened() as runner:
        found = runner.store.states.versions(tenant)
        _expect(tenant, bool(found))
        if as_json:
            rows = [
                {
                    "number": v.number,
                    "serial": v.serial,
                    "lineage": v.lineage,
                    "at": v.at.isoformat(),
                    "by": v.by,
                    "size": v.size,
                }
                for v in found
            ]
            click.echo(json.dumps(rows, indent=2))
            return 0
        for version in found:
            click.echo(
                f"{version.number:>5}  {version.at:%Y-%m-%d %H:%M:%S} UTC  serial {version.serial:<5} {version.size:>8} bytes  "
                f"by {version.by}"
            )
        if (holder := runner.store.states.holder(tenant)) is not None:
            click.echo(f"Locked by {holder.who} ({holder.operation}, run {holder.run}) since {holder.created}")
    return 0


@state.command
@_TENANT
@click.option("--version", "number", type=int, help="An older version; the newest otherwise.")
@click.option("--raw", is_flag=True, help="The whole state, which may hold secrets in clear.")
def show(tenant: str, number: int | None, raw: bool) -> int:
    """What is in a state: resources and outputs; with --raw everything.

    \b
    Example:
      lzr state show payments.checkout-dev
    """
    from runner.cli.words import plain

    with opened() as runner:
        states = runner.store.states
        found = states.version(tenant, number) if number is not None else states.current(tenant)
        _expect(tenant, found is not None)
        if found is None:
            return 0
        version, content = found
        if raw:
            click.echo(content)
            return 0
        document = json.loads(content)
        click.echo(f"version {version.number}, serial {version.serial}, lineage {version.lineage}, by {version.by}")
        for resource in document.get("resources", ()):
            prefix = f"{resource['module']}." if resource.get("module") else ""
            for instance in resource.get("instances", ()):
                key = f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else ""
                click.echo(f"  {plain(prefix + resource['type'] + '.' + resource['name'] + key)}")
        for name, output in document.get("outputs", {}).items():
            value = "(sensitive value)" if output.get("sensitive") else json.dumps(output.get("value"))
            click.echo(f"  output {plain(name)} = {plain(value)}")
    return 0


@state.command
@_TENANT
@click.argument("number", type=int)
@yes_option
def rollback(tenant: str, number: int, yes: bool) -> int:
    """Make an older version of a state the newest again. Azure itself is not touched: plan afterwards.

    \b
    Example:
      lzr state rollback payments.checkout-dev 3
    """
    from runner.wiring import now

    with opened() as runner:
        kept = runner.store.states.versions(tenant)
        _expect(tenant, bool(kept))
        if kept[0].number == number:
            click.echo(f"Version {number} is the state of {tenant} already; nothing was changed.")
            return 0
        version, _ = runner.store.states.version(tenant, number)
        ask(
            f"Make version {number} (serial {version.serial}, {version.at:%Y-%m-%d %H:%M} UTC) the state of {tenant} again?",
            yes=yes,
        )
        made = runner.store.states.roll_back(tenant, number, by=me(), now=now())
        click.echo(
            f"Version {number} is version {made.number} now (serial {made.serial}). Plan before anything else: lzr plan"
        )
    return 0


@state.command
@_TENANT
@yes_option
def unlock(tenant: str, yes: bool) -> int:
    """Release a lock that nobody will release any more. Refused while the run that holds it is at work.

    \b
    Example:
      lzr state unlock payments.checkout-dev
    """
    from runner.domain.run import EXECUTING

    with opened() as runner:
        holder = runner.store.states.holder(tenant)
        if holder is None:
            click.echo(f"{tenant} is not locked.")
            return 0
        run = runner.ports.runs.get(holder.run) if holder.run else None
        if run is not None and run.status in EXECUTING and runner.store.liveness.alive(run.executor):
            raise Refused(
                "The lock is in use",
                code="lock-in-use",
                detail=f"Run {run.id} is {run.status} in a living process.",
                hint=f"lzr cancel {run.id}",
            )
        ask(f"Release the lock of {tenant}, held by {holder.who} ({holder.operation}) since {holder.created}?", yes=yes)
        if not runner.store.states.unlock(tenant, holder.id):
            raise Refused(
                "The lock changed hands", code="lock-changed", detail="Somebody else holds it now. Look again."
            )
        click.echo(f"Unlocked {tenant}.")
    return 0


def _expect(tenant: str, found: bool) -> None:
    if not found:
        raise InputError(
            "No such state",
            code="unknown-state",
            detail=f"The store has no state of {tenant!r}.",
            hint="lzr runs lists the tenants that were run. A platform with stateBackend local keeps each tenant's state in a file of "
            "its own, TENANT.tfstate in the directory that the platform names.",
        )
