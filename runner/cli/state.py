"""Commands about Terraform states in the runner's own store. Whatever changes something asks first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.asking import ask, yes_option
from runner.cli.telling import as_json_option, me, opened
from runner.errors import InputError, Refused

if TYPE_CHECKING:
    from runner.domain.platform import AzurePlatform
    from runner.wiring import Runner

_TENANT = click.argument("tenant")


@click.group
def state() -> None:
    """Look at Terraform states, roll back and unlock them (`stateBackend: managed`); move them between backends."""


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
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--from",
    "source",
    default="managed",
    show_default=True,
    metavar="managed|FILE",
    help="Where the state is now: the runner's own store, or the backend that a former platform document names.",
)
@yes_option
def migrate(tenant: str, paths: tuple[Path, ...], source: str, yes: bool) -> int:
    """Copy a tenant's state to where its platform's documents say now, and read it back. The old one stays where it is.

    \b
    Example:
      lzr state migrate payments.checkout-dev my-landing-zones --from former-platform.yaml
    """
    from runner import documents, wiring
    from runner.domain.state import ManagedBackend, where
    from runner.terraform.snapshot import header

    platform = documents.read(paths).placed(tenant).platform
    former = platform.model_copy(
        update={"spec": platform.spec.model_copy(update={"state_backend": ManagedBackend()})}
        if source == "managed"
        else {"spec": _former(Path(source), platform.name).spec}
    )
    there, here = where(former.spec.state_backend, tenant), where(platform.spec.state_backend, tenant)
    if there == here:
        raise InputError(
            "Nothing to migrate",
            code="same-backend",
            detail=f"The state is to be in {here}, where it is now.",
            hint="Change stateBackend in the platform's document first, and name the former document with --from.",
        )
    with opened() as runner:
        _refuse_at_work(runner, tenant)
        states = wiring.state_access(runner)
        content = states.read(former, tenant)
        if content is None:
            raise InputError("No such state", code="unknown-state", detail=f"There is none in {there}.")
        lineage, serial = header(content)
        ask(f"Copy the state of {tenant} (serial {serial}, lineage {lineage}) from {there} to {here}?", yes=yes)
        states.write(platform, tenant, content, by=me())
        click.echo(f"The state of {tenant} is in {here} now, serial {serial}. The old one is still in {there}.")
        if not isinstance(platform.spec.state_backend, ManagedBackend):
            click.echo(
                "There, only the backend's lock keeps two engines apart: it has no fence against a superseded one."
            )
    return 0


def _former(file: Path, name: str) -> AzurePlatform:
    from runner import documents

    platforms = documents.read([file]).platforms
    if name not in platforms:
        raise InputError(
            "No such platform",
            code="unknown-platform",
            detail=f"{file} has no AzurePlatform {name!r}.",
            hint="Give the platform's document as it was before stateBackend was changed.",
        )
    return platforms[name]


def _refuse_at_work(runner: Runner, tenant: str) -> None:
    """While an engine may write a state it is not copied."""
    from runner.domain.run import EXECUTING

    for run in runner.ports.runs.find(tenant=tenant, statuses=tuple(EXECUTING)):
        raise Refused(
            "A run of the tenant is at work",
            code="tenant-busy",
            detail=f"Run {run.id} is {run.status}.",
            hint="Wait for its end.",
        )
    if (holder := runner.store.states.holder(tenant)) is not None:
        raise Refused(
            "The state is locked",
            code="state-locked",
            detail=f"{holder.who} has held it since {holder.created} ({holder.operation}).",
            hint=f"lzr state unlock {tenant}",
        )


@state.command
@_TENANT
@click.option(
    "--in", "path", type=click.Path(path_type=Path), help="The documents, where the state is not in the runner's store."
)
@click.option(
    "--lock-id", help="The lock's id, as the engine's error names it; for a state that is not in the runner's store."
)
@yes_option
def unlock(tenant: str, path: Path | None, lock_id: str | None, yes: bool) -> int:
    """Release a lock that nobody will release any more. Refused while the run that holds it is at work.

    \b
    Example:
      lzr state unlock payments.checkout-dev
      lzr state unlock payments.checkout-dev --in my-landing-zones --lock-id 3f9c…
    """
    from runner import documents, wiring
    from runner.domain.run import EXECUTING
    from runner.domain.state import ManagedBackend, where

    if (path is None) != (lock_id is None):
        raise InputError(
            "Both are needed",
            code="lock-not-named",
            detail="A lock elsewhere is found by the documents (--in) and its id (--lock-id).",
        )
    with opened() as runner:
        if path is not None and lock_id is not None:
            platform = documents.read([path]).placed(tenant).platform
            if not isinstance(platform.spec.state_backend, ManagedBackend):
                for run in runner.ports.runs.find(tenant=tenant, statuses=tuple(EXECUTING)):
                    raise Refused(
                        "The lock is in use",
                        code="lock-in-use",
                        detail=f"Run {run.id} is {run.status}.",
                        hint=f"lzr cancel {run.id}",
                    )
                ask(f"Release the lock {lock_id} of {where(platform.spec.state_backend, tenant)}?", yes=yes)
                wiring.state_access(runner).unlock(platform, tenant, lock_id)
                runner.store.audit.record(
                    "state-unlocked", by=me(), about=tenant, tenant=tenant, details={"lock": lock_id}, now=wiring.now()
                )
                click.echo(f"Unlocked {tenant}.")
                return 0
        holder = runner.store.states.holder(tenant)
        if holder is None:
            click.echo(f"{tenant} is not locked.")
            return 0
        held_by = runner.ports.runs.get(holder.run) if holder.run else None
        if held_by is not None and held_by.status in EXECUTING and runner.store.liveness.alive(held_by.executor):
            raise Refused(
                "The lock is in use",
                code="lock-in-use",
                detail=f"Run {held_by.id} is {held_by.status} in a living process.",
                hint=f"lzr cancel {held_by.id}",
            )
        ask(f"Release the lock of {tenant}, held by {holder.who} ({holder.operation}) since {holder.created}?", yes=yes)
        if not runner.store.states.break_lock(tenant, holder.id, by=me(), now=wiring.now()):
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
