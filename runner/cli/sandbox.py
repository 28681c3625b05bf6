"""`lzr sandbox`: an Azure on this machine, and what is in it. Everything heavy is imported when a command runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.sandbox_meshstack import meshstack, refuse_without

if TYPE_CHECKING:
    from runner.sandbox.azure.server import Sandbox

Json = dict[str, Any]

_DIRECTORY = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".lzr/sandbox"),
    show_default=True,
    envvar="LZR_SANDBOX",
    help="Where the sandbox keeps its certificates and says where it is.",
)


@click.group(invoke_without_command=True)
@_DIRECTORY
@click.option(
    "--seed",
    type=click.Path(path_type=Path, dir_okay=False),
    help="YAML of what exists; left out, the example company.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Left out, any free port.")
@click.pass_context
def sandbox(ctx: click.Context, directory: Path, seed: Path | None, port: int) -> None:
    """An Azure on this machine: Entra, Resource Manager, Graph and a function app, until Ctrl-C. `meshstack` is another server.

    The example company is in default_seed.yaml beside the sandbox's code; its path is printed at the start. Copy it to
    make your own.
    """
    if ctx.invoked_subcommand is not None:
        ctx.obj = directory
        return
    import signal
    import threading

    # when the first stand-in provider starts it would be in the middle of a plan
    refuse_without("grpc", "jmespath", "jwt", "msgpack")
    from runner.sandbox.azure.seed import DEFAULT
    from runner.sandbox.azure.server import Sandbox

    _refuse_second(directory)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Sandbox(directory, seed=seed, port=port) as running:
        running.write_handle()
        for line in _greeting(running, directory.resolve(), (seed or DEFAULT).resolve()):
            click.echo(line)
        stop.wait()
    click.echo("The sandbox has stopped; what was in it is gone.")


def _refuse_second(directory: Path) -> None:
    """One sandbox to a directory: a second would take over the first one's clients."""
    from runner.errors import InputError, Refused
    from runner.sandbox.handle import read_handle

    try:
        handle = read_handle(directory)
    except InputError:
        return
    raise Refused(
        "A sandbox runs here already",
        code="sandbox-running",
        detail=f"Process {handle.pid} serves {directory} at {handle.url}.",
        hint="Use that one, or start another with its own --dir.",
    )


def _greeting(running: Sandbox, directory: Path, seed: Path) -> Iterator[str]:
    yield f"{click.style('The sandbox runs', fg='green', bold=True)} at {running.url}   Ctrl-C stops it"
    yield f"  company     {seed}"
    yield f"  authority   {directory / 'ca.pem'}"
    yield f"  proxy       {running.proxy_url}   carries Azure's host names here, refuses all others"
    yield f"  identity    {running.identity_url}   gives a managed identity its tokens (IDENTITY_ENDPOINT)"
    yield ""
    yield "In another terminal:"
    yield f"  export LZR_SANDBOX={directory}"
    yield "  lzr sandbox show"


sandbox.add_command(meshstack)


@sandbox.command()
@click.option("--json", "as_json", is_flag=True, help="Everything, for programs.")
@click.pass_obj
def show(directory: Path, as_json: bool) -> None:
    """Show what exists in a running sandbox.

    \b
    Example:
      lzr sandbox show
    """
    import json
    import ssl

    import httpx

    from runner.errors import RemoteFailed
    from runner.sandbox.handle import read_handle

    handle = read_handle(directory)
    try:
        trust = ssl.create_default_context(cafile=handle.ca_file)
        answer = httpx.get(f"{handle.url}/sandbox/world", verify=trust, trust_env=False, timeout=30)
        answer.raise_for_status()
    except (httpx.HTTPError, OSError) as error:
        raise RemoteFailed(
            "The sandbox does not answer", code="sandbox-unreachable", detail=f"{handle.url}: {error}", temporary=True
        ) from error
    world = answer.json()
    click.echo(json.dumps(world, indent=2, ensure_ascii=False) if as_json else "\n".join(_world(world)))


def _world(world: Json) -> Iterator[str]:
    subscriptions = {found["id"]: found for found in world["subscriptions"]}
    yield _title("Management groups and subscriptions")
    for root in world["managementGroups"]:
        yield from _tree(root, subscriptions, "")
    yield from _section("Role assignments", [_assignment(found, subscriptions) for found in world["roleAssignments"]])
    for tenant in world["tenants"]:
        yield from _tenant(tenant)
    yield from _section("Function calls", [_function_call(call) for call in world["functionCalls"]])


def _title(text: str) -> str:
    return click.style(text, bold=True)


def _section(title: str, lines: list[str]) -> Iterator[str]:
    yield ""
    yield f"{_title(title)}{'' if lines else '   none'}"
    yield from (f"  {line}" for line in lines)


def _tree(group: Json, subscriptions: dict[str, Json], indent: str) -> Iterator[str]:
    yield f"  {indent}{_plain(group['displayName'])} ({_plain(group['id'])})"
    for held in group["subscriptions"]:
        subscription = subscriptions[held["id"]]
        state = "" if subscription["state"] == "Enabled" else f"   {subscription['state'].lower()}"
        yield f"  {indent}  · {_plain(subscription['displayName'])}   {subscription['id']}{state}{_tags(subscription['tags'])}"
        for found in subscription["resourceGroups"]:
            yield (
                f"  {indent}      resource group {_plain(found['name'])} in {found['location']}, "
                f"{_count(len(found['resources']), 'resource')}{_tags(found['tags'])}{_by(found)}"
            )
        for resource in subscription["resources"]:
            yield f"  {indent}      {_plain(resource['type'])} {_plain(resource['name'])}{_by(resource)}"
    for child in group["children"]:
        yield from _tree(child, subscriptions, indent + "  ")


def _assignment(found: Json, subscriptions: dict[str, Json]) -> str:
    condition = ", with a condition" if found["condition"] else ""
    return f"{_plain(found['principal'])} is {_plain(found['role'])} on {_scope(found['scope'], subscriptions)}{condition}{_by(found)}"


def _scope(scope: str, subscriptions: dict[str, Json]) -> str:
    """A scope in words: ids stay only where there is no name."""
    parts = scope.strip("/").split("/")
    if parts[:1] == ["subscriptions"] and len(parts) >= 2:
        known = subscriptions.get(parts[1].lower())
        named = f"subscription {_plain(known['displayName'] if known else parts[1])}"
        rest = "/".join(parts[2:])
        return named if not rest else f"{_plain(rest.removeprefix('resourceGroups/'))} in {named}"
    return f"management group {_plain(parts[-1])}" if len(parts) == 4 else _plain(scope)


def _tenant(tenant: Json) -> Iterator[str]:
    guests = [user for user in tenant["users"] if user["userType"] == "Guest"]
    yield ""
    yield f"{_title('Tenant ' + _plain(tenant['name']))}   {_plain(tenant['domain'])}   {tenant['id']}"
    yield f"  {_count(len(tenant['users']) - len(guests), 'member')}, {_count(len(guests), 'guest')}"
    for guest in guests:
        accepted = "has accepted" if guest["externalUserState"] == "Accepted" else "has not accepted yet"
        yield f"  guest {_plain(guest['mail'])} {accepted}{_by(guest)}"
    for group in tenant["groups"]:
        members = ", ".join(_plain(member["name"]) for member in group["members"]) or "nobody"
        yield f"  group {_plain(group['displayName'])}: {members}{_by(group)}"
    for invitation in tenant["invitations"]:
        sent = "by mail" if invitation["mailSent"] else "without mail"
        yield f"  invited {_plain(invitation['mail'])} {sent}, by {_plain(invitation['by'])}"


def _function_call(call: Json) -> str:
    meant = {name: value for name, value in call["headers"].items() if name.startswith("x-mesh-")}
    headers = ", ".join(f"{name}: {_plain(value)}" for name, value in meant.items()) or "no x-mesh headers"
    return f"{call['at']}  {call['method']} {_plain(call['path'])} -> {call['status']}   {headers}"


def _tags(tags: dict[str, str]) -> str:
    return "   [" + ", ".join(f"{_plain(name)}={_plain(value)}" for name, value in tags.items()) + "]" if tags else ""


def _by(found: Json) -> str:
    return "" if found["madeBy"] == "seed" else f"   (made by {_plain(found['madeBy'])})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _plain(text: object) -> str:
    from runner.cli.words import plain

    return plain(text)
