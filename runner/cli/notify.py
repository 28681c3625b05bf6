"""Channels by which people are told: trying one, and what none of them took."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.telling import as_json_option, opened, print_json
from runner.errors import InputError

if TYPE_CHECKING:
    from runner.ports import Dead


@click.group
def notify() -> None:
    """Channels by which people are told what happens to runs. A server sends; here one is tried, and what failed is sent again."""


@notify.command
@click.argument("channel")
@click.option(
    "--config",
    "file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The server's configuration, which names the channels.",
)
def test(channel: str, file: Path) -> int:
    """Send a sample to a channel.

    \b
    Example:
      lzr notify test operators --config server.yaml
    """
    from secrets import token_hex

    from runner import wiring
    from runner.documents import server
    from runner.domain.notice import sample

    config = server.read(file)
    found = [one for one in config.notifications.channels if one.name == channel]
    if not found:
        names = ", ".join(one.name for one in config.notifications.channels)
        raise InputError(
            "There is no such channel",
            code="channel-unknown",
            detail=f"{file} names no channel {channel!r}.",
            hint=f"One of: {names}" if names else "Name one below notifications.channels.",
        )
    with opened() as runner:
        now = wiring.now()
        notice = sample(now, public_url=config.public_url.rstrip("/"))
        courier = wiring.courier(runner, config, file.absolute().parent)
        courier.send(found[0], f"msg_{token_hex(16)}", notice, now=now, stop=threading.Event())
    click.echo(f"{channel} took it. Look there whether it reads well.")
    return 0


@notify.command
@as_json_option
def failed(as_json: bool) -> int:
    """List what no channel took, newest first, and why.

    \b
    Example:
      lzr notify failed
    """
    from runner import wiring
    from runner.cli import words

    with opened() as runner:
        found = runner.store.outbox.dead()
        if as_json:
            print_json([_told(one) for one in found])
            return 0
        for one in found:
            notice = one.letter.notice
            when = words.ago(one.since, wiring.now())
            click.echo(f"{one.letter.id}   {words.plain(one.letter.channel)}   {words.plain(notice.title)}   {when}")
            click.echo(f"  {words.plain(one.detail or one.code)}")
        click.echo("lzr notify retry --all sends them again." if found else "Nothing failed.")
    return 0


@notify.command
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="All that failed.")
def retry(ids: tuple[str, ...], everything: bool) -> int:
    """Have a server send again what no channel took.

    \b
    Example:
      lzr notify retry --all
    """
    from runner import wiring

    if bool(ids) == everything:
        raise InputError(
            "What is to be sent again?",
            code="letters-not-named",
            detail="Give ids, or --all, and not both.",
            hint="lzr notify failed",
        )
    with opened() as runner:
        count = runner.store.outbox.revive(None if everything else ids, now=wiring.now())
    if ids and count < len(set(ids)):
        raise InputError(
            "Not all of them had failed",
            code="letter-unknown",
            detail=f"{count} of {len(set(ids))} will be sent again.",
            hint="lzr notify failed",
        )
    click.echo(f"{count} will be sent again by the next server that looks.")
    return 0


def _told(one: Dead) -> dict[str, Any]:
    return {
        "id": one.letter.id,
        "channel": one.letter.channel,
        "notice": one.letter.notice.model_dump(mode="json"),
        "tries": one.letter.tries,
        "since": one.since.isoformat(),
        "code": one.code,
        "detail": one.detail,
    }
