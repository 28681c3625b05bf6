"""The command that writes a tenant's Terraform for a person to read or run."""

from __future__ import annotations

from pathlib import Path

import click

from runner.errors import InputError


@click.command
@click.argument("tenant")
@click.option("--in", "path", default=".", show_default=True, type=click.Path(path_type=Path), help="The documents.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="A directory that is empty or not there yet."
)
@click.option("--leaving", is_flag=True, help="The configuration with which the tenant leaves.")
def render(tenant: str, path: Path, out: Path, leaving: bool) -> int:
    """Write the Terraform of a tenant into a directory: what a plan of it would use, to read or to run by hand.

    Nothing is looked up and nothing is changed. No secret is in it: sign in and point to the state by environment.

    \b
    Example:
      lzr render payments.checkout-dev --in my-landing-zones --out rendered
    """
    from runner import documents, wiring
    from runner.domain.configuration import Leaving, compose
    from runner.terraform import workspace

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            "The directory is not empty", code="not-empty", detail=str(out), hint="Give another one with --out."
        )
    read = documents.read([path])
    if tenant not in read.tenants:
        known = ", ".join(sorted(read.tenants)[:10])
        raise InputError(
            "No such tenant", code="unknown-tenant", detail=f"{tenant!r} in {path}.", hint=f"Known are: {known}"
        )
    configuration = compose(read.placed(tenant), leaving=Leaving() if leaving else None)
    files = workspace.render(configuration, wiring.sources())
    workspace.write(files, out)
    click.echo(
        f"Wrote {out} (configuration {workspace.digest(files)[:12]}).   cd {out} && terraform init && terraform plan"
    )
    return 0
