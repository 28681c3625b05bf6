"""Commands for operators of the store."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from runner.cli.asking import ask, yes_option
from runner.cli.telling import as_json_option, opened
from runner.errors import Refused


@click.group
def store() -> None:
    """Back up, restore and check the store; rotate its key."""


@store.command
@click.argument("archive", type=click.Path(path_type=Path, dir_okay=False))
def backup(archive: Path) -> int:
    """Write everything into one archive while the store is in use. The key is not in it: keep a copy elsewhere.

    \b
    Example:
      lzr store backup lzr-backup.tar.gz
    """
    from runner import wiring
    from runner.store.archive import back_up

    with opened() as runner:
        manifest = back_up(runner.store, archive, now=wiring.now())
        click.echo(f"Wrote {archive} ({len(manifest.files)} databases). It opens with the key {manifest.key} only.")
    return 0


@store.command
@click.argument("archive", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace a store that is there.")
def restore(archive: Path, force: bool) -> int:
    """Restore a store from an archive. Reviews that waited expire: their plans may have been applied since.

    \b
    Example:
      lzr store restore lzr-backup.tar.gz
    """
    from runner import settings, wiring
    from runner.store.archive import restore as restore_archive
    from runner.store.opening import is_address

    read = settings.read()
    where = read.store.get_secret_value()
    if is_address(where):
        raise Refused(
            "This store is restored by its database server",
            code="store-restore-elsewhere",
            detail="It is on PostgreSQL.",
            hint="pg_restore, with the key it was made under",
        )
    restore_archive(
        archive, Path(where), wiring.keyring(read), wiring.audit_keyring(read), now=wiring.now(), force=force
    )
    click.echo(f"Restored {archive}.   lzr store check")
    if read.store_key is None and read.store_key_file is not None:
        click.echo(f"It opens with {read.store_key_file}: leave LZR_STORE_KEY_FILE set to it.")
    return 0


@store.command
@as_json_option
def check(as_json: bool) -> int:
    """Read everything: files, references, every sealed content, every state's hash. Exit code 5 when something is wrong.

    \b
    Example:
      lzr store check
    """
    from runner.store import upkeep

    with opened() as runner:
        checked = upkeep.check(runner.store)
    if as_json:
        told = {"counts": checked.counts, "findings": [{"code": f.code, "text": f.text} for f in checked.findings]}
        click.echo(json.dumps(told, indent=2))
    else:
        for finding in checked.findings:
            click.echo(click.style("✗ ", fg="red") + finding.text)
        counts = ", ".join(_counted(number, name) for name, number in checked.counts.items() if number)
        if not checked.findings:
            click.echo(click.style("✓ ", fg="green") + f"Everything opens and fits ({counts or 'the store is empty'}).")
    return 5 if checked.findings else 0


@store.command("rotate-key")
@yes_option
def rotate_key(yes: bool) -> int:
    """Make a new key and seal everything with it. May be interrupted and run again.

    Backups from before open with the old key only. It is kept beside the new one, in a file key.before-… that `lzr store restore`
    can be pointed to with LZR_STORE_KEY_FILE. A key from LZR_STORE_KEY is kept by whoever set it.

    \b
    Example:
      lzr store rotate-key
    """
    from runner.store import upkeep

    with opened() as runner:
        if (path := runner.store.keyring.path) is not None:
            ask(
                f"A new key takes the place of the one in {path}, and everything is sealed with it.\n"
                f"Backups from before open with the old key only, which is kept in {path}.before-… until you delete it.\n"
                "Rotate the key?",
                yes=yes,
            )
        rotation = upkeep.rotate_key(runner.store)
    click.echo(f"Sealed {rotation.resealed} contents with the new key {rotation.key}.")
    if rotation.kept is not None:
        click.echo(
            f"The old key ({', '.join(rotation.given_up)}) is in {rotation.kept}. Backups from before open with it only:"
        )
        click.echo(f"  LZR_STORE_KEY_FILE={shlex.quote(str(rotation.kept))} lzr store restore ARCHIVE")
        click.echo(
            "Delete that file once no such backup is left. Where you keep copies of the key, put the new one beside them."
        )
    elif rotation.given_up:
        click.echo(f"No longer needed here: {', '.join(rotation.given_up)}. Backups from before still need it.")
    return 0


def _counted(number: int, table: str) -> str:
    things = table.replace("_", " ")
    return f"{number} {things.removesuffix('s') if number == 1 else things}"
