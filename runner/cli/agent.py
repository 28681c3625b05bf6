"""`lzr agent`: a meshStack's private runner."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.errors import InputError
from runner.imports import share_one_heap

if TYPE_CHECKING:
    from runner.agent.agent import Agent


@click.command
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The runner's configuration. Default: $RUNNER_CONFIG_FILE, or runner-config.yml here.",
)
@click.option("--check", is_flag=True, help="Read the configuration, sign in to meshStack, and say what is there.")
@click.option("--once", is_flag=True, help="Execute one run and end, as with EXECUTION_MODE=single-run.")
def agent(file: Path | None, check: bool, once: bool) -> int:
    """Execute the building-block runs of a meshStack, until Ctrl-C.

    Reads the same runner-config.yml and RUNNER_… variables as meshcloud's own runner. Told once to stop it claims no more
    and lets runs at work end for a while; told twice it stops them at once.

    \b
    Exit codes of a single run: 0 its end was reported (also a bad one), 5 it was not, so that it may be started again.

    \b
    Example:
      lzr agent --config /tmp/mesh/runner-config.yml --check
    """
    share_one_heap()
    from runner import settings, wiring
    from runner.agent import config as agent_config
    from runner.wiring_agent import open_agent

    config = agent_config.read(os.environ, file)
    read = settings.read()
    # an agent works unseen: what it does is in its log, unless somebody wants less
    level = _level(config.log_level) or (read.log_level if "log_level" in read.model_fields_set else "info")
    chosen = read.model_copy(update={"log_level": level})
    with wiring.open_runner(chosen) as runner, open_agent(runner, config) as made:
        for name in config.unknown:
            click.echo(f"{file or agent_config.DEFAULT_FILE}: {name} is not known here and is left alone.", err=True)
        if not config.api.client_id and config.api.username:
            click.echo(
                "Signing in with a user and password is deprecated in meshStack: give the runner an API key.", err=True
            )
        if config.insecure_host_keys:
            click.echo(
                "insecureHostKeys: host keys of git servers are not checked where a definition names none.", err=True
            )
        if check:
            made.kit.tools.api.own_credential()
            click.echo(f"Signed in to {config.api.url} as runner {config.runner_uuid}.")
            click.echo("Engines: " + (", ".join(made.kit.tools.engines.present()) or "none yet"))
            return 0

        def told(*_: object) -> None:
            # written past sys.stderr and its lock, which the interrupted thread may hold
            if made.stop.is_set():
                made.hurry.set()
                os.write(2, b"Stopping the runs that are at work.\n")
            else:
                made.stop.set()
                os.write(2, b"\nStopping: nothing more is claimed, runs at work may end. Once more to stop them too.\n")

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, told)
        if once or config.single_run:
            return _single(made, config.run_json_file)
        return _serve(made, config.management_port)


def _serve(made: Agent, port: int | None) -> int:
    from runner.agent import health

    with health.served(
        health.DEFAULT_PORT if port is None else port, healthy=lambda: made.health, metrics=made.kit.metrics.text
    ) as bound:
        click.echo(
            f"The agent waits for runs of {made.kit.tools.config.api.url}   up to {made.kit.tools.config.slots} at once   "
            f"http://127.0.0.1:{bound}/healthz   Ctrl-C stops it"
        )
        made.poll()
    click.echo("The agent has stopped; no run is left.")
    return 0


def _single(made: Agent, file: Path | None) -> int:
    if file is None:
        content = made.kit.tools.api.claim()
        if content is None:
            click.echo("There is no run.")
            return 0
    else:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise InputError(
                "The run's file cannot be read",
                code="run-file-unreadable",
                detail=f"RUN_JSON_FILE_PATH is {file}: {error.strerror}.",
                hint="Look at what the controller mounts.",
            ) from None
    taken = made.single(content, opened=file is not None)
    click.echo("The run's end was reported." if taken else "The run's end could not be reported.")
    return 0 if taken else 5


def _level(text: str) -> str:
    """LOG_LEVEL of the existing runner as a level here."""
    return {"trace": "debug", "warn": "warning", "fatal": "error"}.get(text.lower(), text.lower())
