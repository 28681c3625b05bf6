"""`meshstack`: a meshStack on this machine, until Ctrl-C. Everything heavy is imported when the command runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runner.sandbox.meshstack.server import MeshStack


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".lzr/meshstack"),
    show_default=True,
    help="Where it keeps its keys and repositories, and says where it is.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Left out, any free port.")
def meshstack(directory: Path, port: int) -> None:
    """A meshStack on this machine: its API for building-block runners, pipelines to start, and a git server, until Ctrl-C.

    It writes runner-config.yml for a runner that works for it. Everything under /sandbox/ may be called by anybody: order
    runs, look at them, break and mend.

    \b
    Example:
      lzr sandbox meshstack --dir .lzr/meshstack
    """
    import signal
    import threading

    refuse_without("asyncssh", "jwt")
    from runner.sandbox.meshstack.server import MeshStack

    _refuse_second(directory)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with MeshStack(directory, port=port) as running:
        for line in _greeting(running):
            click.echo(line)
        stop.wait()
    click.echo("The meshStack has stopped; the runs that were in it are gone.")


def refuse_without(*packages: str) -> None:
    """InputError where a sandbox is not installed: now, and not in the middle of what needs it."""
    from importlib.util import find_spec

    from runner.errors import InputError

    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise InputError(
            "The sandbox is not installed",
            code="sandbox-not-installed",
            detail=f"Python packages that only the sandbox needs are missing: {', '.join(missing)}.",
            hint="pip install 'landing-zone-runner[sandbox]'",
        )


def _refuse_second(directory: Path) -> None:
    """One to a directory: a second would take over the first one's runner."""
    from runner.errors import Refused
    from runner.sandbox.meshstack.places import running_handle

    handle = running_handle(directory)
    if handle is not None:
        raise Refused(
            "A meshStack runs here already",
            code="sandbox-running",
            detail=f"Process {handle['pid']} serves {directory} at {handle['url']}.",
            hint="Use that one, or start another with its own --dir.",
        )


def _greeting(running: MeshStack) -> Iterator[str]:
    order = '{"definition": {"type": "MANUAL"}, "inputs": [{"key": "region", "value": "westeurope"}]}'
    yield f"{click.style('The meshStack runs', fg='green', bold=True)} at {running.url}   Ctrl-C stops it"
    yield f"  runner      {running.runner_uuid}   configured in {running.config_file}"
    yield f"  git         {running.git_https_url}   authority {running.ca_file}"
    yield f"              {running.git_ssh_url}   key {running.git_client_key}"
    yield f"  sources     {running.git.root}   holds the bare repositories"
    yield ""
    yield "In another terminal:"
    yield f"  curl -d '{order}' {running.url}/sandbox/runs"
    yield f"  curl {running.url}/sandbox/runs"
    yield f"  curl {running.url}/sandbox/complaints"
