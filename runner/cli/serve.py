"""`lzr serve`: the page and the API, and the execution of runs."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.errors import InputError, RunnerError
from runner.imports import share_one_heap

if TYPE_CHECKING:
    from runner.app.notifying import Notifier
    from runner.domain.server_config import ServerConfig
    from runner.web.server import Server
    from runner.wiring import Runner

log = logging.getLogger("lzr")

_AWAY = 5.0  # seconds until a store that is away is asked again
_STEP = 1.0  # seconds between two looks at what is to be done
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@click.command
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="How people sign in and who may do what (YAML). Without it the server is for whoever sits at this machine.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to answer on.")
@click.option("--port", default=8460, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free one.")
@click.option("--no-work", is_flag=True, help="Only answer; other servers of the store execute runs.")
@click.option(
    "--behind-proxy",
    "proxies",
    multiple=True,
    metavar="ADDRESS",
    callback=lambda context, option, given: _networks(given),
    help="A proxy, or a network of them, whose X-Forwarded-For says who asks; may be repeated.",
)
def serve(
    paths: tuple[Path, ...], file: Path | None, host: str, port: int, no_work: bool, proxies: tuple[str, ...]
) -> int:
    """Serve the page and the API of the documents in PATHS, and execute runs, until Ctrl-C.

    Told once to stop it begins nothing more and lets what is at work end; told twice it stops that too, and engines save their state.

    \b
    Example:
      lzr serve my-landing-zones
    """
    share_one_heap()
    from runner import settings, wiring
    from runner.documents import server as server_config
    from runner.web.opening import opened
    from runner.web.serving import answering

    config = server_config.read(file) if file is not None else None
    if config is None and host not in _LOOPBACK:
        raise InputError(
            "Others could reach this server",
            code="sign-in-not-configured",
            detail=f"{host} is no address of this machine alone, and nobody would have to sign in.",
            hint="Give it a configuration with --config, or leave --host out.",
        )
    read = settings.read()
    level = read.log_level if "log_level" in read.model_fields_set else "info"  # a server works unseen
    address = f"http://{f'[{host}]' if ':' in host else host}"

    def show(code: str) -> None:
        # behind a number sign, which browsers keep to themselves
        click.echo(f"Sign in once, within 15 minutes:   {address}:{port}/sign-in#{code}")

    with wiring.open_runner(read.model_copy(update={"log_level": level})) as runner, ExitStack() as stack:
        made = stack.enter_context(
            opened(runner, paths, config, works=not no_work, address=f"{address}:{port}", show=show)
        )
        made.server.shelf.look()
        if made.server.shelf.shelved.wrong is not None:
            from runner.cli import tell

            tell(made.server.shelf.shelved.wrong)
        folder = file.absolute().parent if file is not None else Path()
        with _working(runner, made.server, config, folder, work=not no_work) as stop:
            with answering(made.app, host, port, proxies=proxies) as port:
                does = "serves; other servers execute runs" if no_work else "serves and executes runs"
                where = config.origin if config is not None else f"{address}:{port}"
                click.echo(f"lzr {does}   {where}   Ctrl-C stops it")
                if made.code is not None:
                    made.code.tell()
                stop.wait()
            click.echo("No more requests are answered; what is at work may end.", err=True)
    click.echo("The server has stopped.", err=True)
    return 0


def _networks(given: tuple[str, ...]) -> tuple[str, ...]:
    for one in given:
        try:
            ip_network(one)
        except ValueError:
            raise click.BadParameter(
                f"{one} is neither an address nor a network, as 127.0.0.1 or 10.1.0.0/16."
            ) from None
    return given


@contextmanager
def _working(
    runner: Runner, server: Server, config: ServerConfig | None, folder: Path, *, work: bool
) -> Iterator[threading.Event]:
    """The background, meanwhile; the event is set when somebody wants the server to stop."""
    from runner import wiring
    from runner.web.worker import Worker

    stop, over = threading.Event(), threading.Event()
    with ExitStack() as stack:
        durable = None
        if work:
            runner.prepare()
            durable = stack.enter_context(runner.durable())
        worker = Worker(server, durable, runner.store)

        def told(number: int, frame: object) -> None:
            # written past sys.stderr and its lock, which the interrupted thread may hold
            if stop.is_set():
                for each in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(each, signal.SIG_DFL)  # engines outlive this process; the next one goes on from there
                if durable is not None:
                    durable.stop_all()
                os.write(
                    2,
                    b"Stopping runs that are at work; their engines save their state first. Once more to leave them.\n",
                )
            else:
                worker.draining.set()
                stop.set()
                os.write(2, b"\nStopping: nothing more begins, what is at work may end. Once more to stop that too.\n")

        def background() -> None:
            while not over.wait(_STEP):
                worker.step()

        before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
        thread = threading.Thread(target=background, name="background", daemon=True)
        thread.start()
        telling = None
        if config is not None and config.notifications.channels:
            notifier = wiring.notifier(runner, config, folder, over)
            telling = threading.Thread(target=_tell, args=(notifier, over), name="notifier", daemon=True)
            telling.start()
        try:
            yield stop
        finally:
            worker.draining.set()
            over.set()
            thread.join()
            if telling is not None:
                telling.join()
            if durable is not None:
                durable.rest()
            for number, handler in before.items():
                signal.signal(number, handler)


def _tell(notifier: Notifier, over: threading.Event) -> None:
    """Tell people what happens to runs until the server stops; a store that is away is asked again."""
    from runner.wiring import now

    wait = 0.0
    while not over.wait(wait):
        try:
            wait = max(notifier.step(now()), 0.05)
        except RunnerError as error:
            log.warning("background_failed", extra={"work": "notify", "code": error.code, "detail": error.detail})
            wait = _AWAY
        except Exception as error:
            log.error("background_failed", exc_info=error, extra={"work": "notify"})
            wait = _AWAY
