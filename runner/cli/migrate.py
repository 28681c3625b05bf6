"""`lzr migrate blueprint`: the deployment stacks that take the place of a landing zone's blueprints, and what does not map."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.telling import as_json_option, print_json
from runner.cli.words import plain
from runner.errors import InputError

if TYPE_CHECKING:
    from runner.app.migrating import OfBlueprint


@click.group()
def migrate() -> None:
    """Move on from what Azure ends.

    \b
    Example:
      lzr migrate blueprint corp-baseline --in my-landing-zones --out stacks
    """


@migrate.command
@click.argument("zone")
@click.option("--in", "path", default=".", show_default=True, type=click.Path(path_type=Path), help="The documents.")
@click.option("--out", default=".", show_default=True, type=click.Path(path_type=Path), help="Where files are written.")
@click.option("--version", help="Of the blueprints; without it maxAutoUpgradeVersion, or the one published last.")
@as_json_option
def blueprint(zone: str, path: Path, out: Path, version: str | None, as_json: bool) -> int:
    """Write the deployment stacks that take the place of the blueprints of the landing zone ZONE.

    Azure Blueprints assigns nothing new since 2026-10-31, changes nothing after 2026-12-31 and is gone on 2027-01-31. Each blueprint is
    read and becomes an ARM template, the part of the landing zone that deploys it, and a report of what maps and what does not. Nothing is
    changed in Azure or in the documents, and no file is overwritten.

    \b
    Example:
      lzr migrate blueprint corp-baseline --in my-landing-zones --out stacks
    """
    from threading import Event

    from runner import documents, settings
    from runner.app.migrating import stacks_of
    from runner.documents.problems import did_you_mean
    from runner.wiring import open_runner

    read = documents.read([path])
    if zone not in read.zones:
        raise InputError(
            "No such landing zone",
            code="unknown-landing-zone",
            detail=f"{zone!r} in {path}.",
            hint=did_you_mean(zone, read.zones) or f"Known are: {', '.join(sorted(read.zones)[:10])}",
        )
    found = read.zones[zone]
    if not found.spec.blueprints:
        raise InputError(
            "Nothing to migrate", code="no-blueprints", detail=f"The landing zone {zone} has no blueprints."
        )
    platform = read.platforms[found.spec.platform_ref.name]
    with open_runner(settings.read()) as runner, runner.ports.azure(platform, Event()) as azure:
        made = stacks_of(found, platform, version, azure.deployments)
    files = _files(zone, made)
    _write(files, out)
    if as_json:
        print_json(
            {
                "landingZone": zone,
                "files": [str(out / name) for name in files],
                "blueprints": [
                    {
                        "name": one.blueprint.name,
                        "version": one.version,
                        "stack": one.made.stack,
                        "report": [line.model_dump() for line in one.made.report],
                    }
                    for one in made
                ],
            }
        )
        return 0
    for line in _told(zone, made, out):
        click.echo(line)
    return 0


def _files(zone: str, made: Sequence[OfBlueprint]) -> dict[str, str]:
    import yaml

    spec = {"deploymentStacks": [one.made.stack for one in made]}
    head = (
        f"# In place of blueprints under spec of the landing zone {zone}; the templates belong beside its document.\n"
    )
    files = {f"{zone}.stacks.yaml": head + yaml.safe_dump(spec, sort_keys=False, allow_unicode=True)}
    files |= {one.template_file: json.dumps(one.made.template, indent=2, ensure_ascii=False) + "\n" for one in made}
    files[f"{zone}.migration.md"] = "".join(_report(zone, made))
    return files


def _report(zone: str, made: Sequence[OfBlueprint]) -> Iterator[str]:
    yield f"# Blueprints of the landing zone {zone} as deployment stacks\n"
    for one in made:
        yield f"\n## {one.blueprint.name}, version {one.version}\n\n| what | becomes | note |\n|---|---|---|\n"
        for line in one.made.report:
            cells = (line.what, line.becomes or "nothing", line.note)
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _write(files: dict[str, str], out: Path) -> None:
    existing = [str(out / name) for name in files if (out / name).exists() or (out / name).is_symlink()]
    if existing:
        raise InputError(
            "There are such files already",
            code="files-exist",
            detail=f"Nothing was written, because this would be overwritten: {', '.join(existing)}.",
            hint="Give another folder with --out.",
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            with (out / name).open("x", encoding="utf-8", newline="\n") as target:
                target.write(text)
    except OSError as error:
        raise InputError(
            "The files cannot be written",
            code="cannot-write",
            detail=f"{out}: {error.strerror or type(error).__name__}.",
            hint="Give a folder that this user may write to with --out.",
        ) from None


def _told(zone: str, made: Sequence[OfBlueprint], out: Path) -> Iterator[str]:
    for one in made:
        yield click.style(plain(f"{one.blueprint.name}, version {one.version}"), bold=True)
        for line in one.made.report:
            sign = click.style("✓", fg="green") if line.becomes else click.style("!", fg="yellow")
            yield f"  {sign} {plain(line.what)}" + (
                f" becomes {plain(line.becomes)}" if line.becomes else " has no counterpart"
            )
            if line.note:
                yield f"      {plain(line.note)}"
    yield ""
    yield f"Wrote {out / f'{zone}.stacks.yaml'}, a template for each stack, and {out / f'{zone}.migration.md'}."
    yield "Read them, put deploymentStacks into the landing zone and the templates beside it, then:  lzr plan"
