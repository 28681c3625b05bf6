"""Commands around documents: `lzr schema`, `lzr init`, `lzr validate`. None of them needs settings, a store or Azure."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.documents import Documents
    from runner.documents.problems import Problem

KINDS = ("AzurePlatform", "LandingZone", "Tenant")
SERVER, API = "server", "api"
WARNINGS_SHOWN = 20


@click.command()
@click.argument(
    "kind", required=False, type=click.Choice((*KINDS, SERVER, API), case_sensitive=False), metavar="[KIND]"
)
@click.option(
    "--all-in",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write one file per kind and one for all into DIR.",
)
def schema(kind: str | None, all_in: Path | None) -> None:
    """Print the JSON Schema of documents, for editors, or the API's description.

    KIND is AzurePlatform, LandingZone or Tenant; without it the schema covers all of them. Two are no documents: server is the
    configuration of `lzr serve`, and api the description (OpenAPI) of what it answers. An editor with the YAML language server uses the
    schema when a document begins with a line that names it:

    \b
      # yaml-language-server: $schema=schemas/all.schema.json

    \b
    Examples:
      lzr schema Tenant
      lzr schema --all-in schemas
      lzr schema api
    """
    if kind == API:
        from runner.web.api.openapi import description

        click.echo(_json(description()))
        return
    from runner.documents.schema import schema_of, schema_of_all, schema_of_server

    if kind == SERVER:
        click.echo(_json(schema_of_server()))
        return
    if all_in is None:
        click.echo(_json(schema_of(kind) if kind else schema_of_all()))
        return
    if kind:
        raise click.UsageError("Give either KIND or --all-in, not both.")
    written = {f"{name}.schema.json": schema_of(name) for name in KINDS} | {"all.schema.json": schema_of_all()}
    try:
        all_in.mkdir(parents=True, exist_ok=True)
        for name, content in written.items():
            (all_in / name).write_text(_json(content) + "\n", encoding="utf-8")
    except OSError as error:
        raise _cannot_write(all_in, error) from None
    click.echo(f"Wrote {', '.join(written)} to {all_in}.")


@click.command()
@click.argument("directory", default=".", type=click.Path(file_okay=False, path_type=Path), metavar="[DIR]")
def init(directory: Path) -> None:
    """Write a first set of documents, explained line by line.

    A platform, a landing zone and a tenant, ready to be changed. Files that exist are never overwritten.

    \b
    Example:
      lzr init landing-zones
    """
    from runner import packaged

    start = packaged.templates() / "init"
    files = sorted(path.relative_to(start) for path in start.rglob("*.yaml"))
    existing = [
        str(directory / file) for file in files if (directory / file).exists() or (directory / file).is_symlink()
    ]
    if existing:
        raise InputError(
            "There are documents already",
            code="documents-exist",
            detail=f"Nothing was written, because this would be overwritten: {', '.join(existing)}.",
            hint="lzr init another-folder",
        )
    try:
        for file in files:
            (directory / file).parent.mkdir(parents=True, exist_ok=True)
            with (directory / file).open("x", encoding="utf-8", newline="\n") as target:
                target.write((start / file).read_text(encoding="utf-8"))
    except OSError as error:
        raise _cannot_write(directory, error) from None
    for file in files:
        click.echo(f"  {directory / file}")
    click.echo(f"\nRead and change them, then:\n\n  lzr validate {shlex.quote(str(directory))}")


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def validate(context: click.Context, paths: tuple[Path, ...], as_json: bool) -> None:
    """Check documents and say everything that is wrong with them.

    PATH is a file or a folder of *.yaml and *.yml files. Nothing is changed and nobody is asked: what only Azure can know is checked
    when a plan is made. The exit code is 0 when the documents can be used and 2 when they cannot.

    \b
    Examples:
      lzr init my-landing-zones
      lzr validate my-landing-zones
    """
    from runner import documents
    from runner.policy.expressions import CelExpressions

    try:
        found = documents.read(paths, expressions=CelExpressions().problems)
        _refuse_code(found)
    except documents.DocumentErrors as errors:
        if as_json:
            click.echo(_json(_result(None, errors.problems, errors.warnings)))
        else:
            _print(errors.problems, "red")
            _print_warnings(errors.warnings)
            click.secho(_count(len(errors.problems), "problem") + " to mend.", bold=True)
        context.exit(InputError.exit_code)
    if as_json:
        click.echo(_json(_result(found, (), found.warnings)))
        return
    _print_warnings(found.warnings)
    click.secho(_summary(found), fg="green")


def _refuse_code(found: Documents) -> None:
    """DocumentErrors where a module beside the documents has what no building block may have."""
    blocks = [
        (zone, index, block)
        for zone in found.zones.values()
        for index, block in enumerate(zone.spec.building_blocks)
        if block.code
    ]
    if not blocks:
        return
    from runner.documents import DocumentErrors, Problem
    from runner.domain import building_block
    from runner.terraform.module_code import problems_of

    problems = []
    for zone, index, block in blocks:
        file, at = found.places["LandingZone", zone.name]
        line, field = int(at.rpartition(":")[2]), f"spec.buildingBlocks[{index}].source"
        allowed = found.platforms[zone.spec.platform_ref.name].spec.allowed_providers
        for problem in problems_of(block.code, [building_block.provider(one) for one in allowed]):
            problems.append(Problem(file, line, 1, field, f"{block.source}: {problem}.", "Change the module."))
    if problems:
        raise DocumentErrors(problems, found.warnings)


def _summary(found: Documents) -> str:
    counts = ((found.platforms, "platform"), (found.zones, "landing zone"), (found.tenants, "tenant"))
    total = sum(len(documents) for documents, _ in counts)
    parts = ", ".join(_count(len(documents), what) for documents, what in counts)
    return f"{_count(total, 'document')} can be used: {parts}."


def _result(found: Documents | None, problems: Sequence[Problem], warnings: Sequence[Problem]) -> dict[str, Any]:
    return {
        "valid": found is not None,
        "platforms": sorted(found.platforms) if found else [],
        "landingZones": sorted(found.zones) if found else [],
        "tenants": sorted(found.tenants) if found else [],
        "problems": [problem.as_json() for problem in problems],
        "warnings": [warning.as_json() for warning in warnings],
    }


def _print(problems: Sequence[Problem], color: str) -> None:
    for problem in problems:
        heading, *rest = str(problem).split("\n")
        click.secho(heading, fg=color)
        click.echo("\n".join([*rest, ""]))


def _print_warnings(warnings: Sequence[Problem]) -> None:
    if not warnings:
        return
    click.secho(f"{_count(len(warnings), 'warning')}:\n", bold=True)
    _print(warnings[:WARNINGS_SHOWN], "yellow")
    if len(warnings) > WARNINGS_SHOWN:
        click.echo(f"… and {len(warnings) - WARNINGS_SHOWN} more; --json lists all.\n")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _cannot_write(where: Path, error: OSError) -> InputError:
    return InputError(
        "The files cannot be written",
        code="cannot-write",
        detail=f"{where}: {error.strerror or type(error).__name__}.",
        hint="Choose a folder in which you may write.",
    )


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
