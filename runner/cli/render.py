"""The command that writes a tenant's Terraform for a person to read or run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.errors import InputError

if TYPE_CHECKING:
    from runner.domain.configuration import Configuration

OVERRIDE = "backend_override.tf.json"
LOCAL = '{"terraform": {"backend": {"local": {}}}}'  # as HCL it would need three lines: a one-line block holds no other block


@click.command
@click.argument("tenant")
@click.option("--in", "path", default=".", show_default=True, type=click.Path(path_type=Path), help="The documents.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="A directory that is empty or not there yet."
)
@click.option("--leaving", is_flag=True, help="The configuration with which the tenant leaves.")
def render(tenant: str, path: Path, out: Path, leaving: bool) -> int:
    """Write the Terraform of a tenant into a directory: what a plan of it would use, to read or to run by hand.

    Nothing is looked up and nothing is changed. No secret is in it, nor where the state is: what is printed says how to run it.

    \b
    Example:
      lzr render payments.checkout-dev --in my-landing-zones --out rendered
    """
    from runner import documents, wiring
    from runner.domain.configuration import Leaving, chosen_blocks, compose, with_subscription
    from runner.domain.subscription import placeholder
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
    placed = read.placed(tenant)
    to_come = placed.platform.spec.type == "azure" and placed.tenant.spec.platform_tenant_id is None
    if to_come:
        placed = with_subscription(placed, placeholder(placed))
    configuration = compose(placed, leaving=Leaving() if leaving else None)
    beside = {block.key: block.code for block in chosen_blocks(placed) if block.code and not leaving}
    configuration = replace(configuration, code=beside)
    files = workspace.render(configuration, wiring.sources())
    workspace.write(files, out)
    click.echo(f"Wrote {out} (configuration {workspace.digest(files)[:12]}).")
    if to_come:
        click.echo(
            f"{configuration.inputs['subscription_id']} stands for the subscription that the runner makes or takes."
        )
    if not leaving:
        spec, there = placed.zone.spec, {*configuration.blueprints, *configuration.stacks}
        for what, listed in (("blueprint", spec.blueprints), ("deployment stack", spec.deployment_stacks)):
            for one in listed:
                if one.name not in there:
                    click.echo(
                        f"The {what} {one.name} is left out: which parameters it has, only Azure knows (lzr plan asks)."
                    )
        for block in chosen_blocks(placed):
            if block.key not in {module.key for module in configuration.modules}:
                click.echo(
                    f"The building block {block.called} is left out: its code is fetched from {block.source} (lzr plan does)."
                )
    for line in _by_hand(configuration, out):
        click.echo(line)
    return 0


def _by_hand(configuration: Configuration, out: Path) -> Iterator[str]:
    """How a person runs it against the tenant's state. The backend block is empty: without this, a plan would see no state."""
    from runner.domain.state import LocalBackend, ManagedBackend, credentials, where
    from runner.terraform.infrastructure import backend_arguments
    from runner.terraform.workspace import state_file

    place = shlex.quote(str(out))
    match configuration.backend:
        case LocalBackend() as backend:
            file = state_file(backend, configuration.tenant).absolute()
            yield f"Its state is in {file}. By hand, signed in by environment (ARM_…):"
            init = f"terraform init -backend-config={shlex.quote(f'path={file}')}"
        case ManagedBackend():
            state = shlex.quote(str(out / "terraform.tfstate"))
            yield "Its state is in the runner's store (stateBackend: managed). By hand, signed in by environment (ARM_…), look at a plan"
            yield "with a copy of the state. Never apply from there: the store would not know. The copy may hold secrets."
            yield f"  (umask 077; lzr state show {shlex.quote(configuration.tenant)} --raw > {state})"
            yield f"  echo '{LOCAL}' > {shlex.quote(str(out / OVERRIDE))}"
            init = "terraform init"
        case backend:
            yield f"Its state is in {where(backend, configuration.tenant)}. By hand, signed in by environment (ARM_…):"
            if needed := credentials(backend):
                yield f"  export {' '.join(f'{name}=…' for name in needed)}"
            init = "terraform init " + " ".join(
                shlex.quote(argument) for argument in backend_arguments(backend, configuration.tenant)
            )
    yield f"  cd {place} && {init} && terraform plan"
