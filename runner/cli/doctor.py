"""`lzr doctor`: everything that runs depend on is looked at, one line for each, and how to mend it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import click

from runner.cli import UNWELL
from runner.cli.telling import as_json_option, print_json
from runner.cli.words import plain
from runner.errors import RunnerError

if TYPE_CHECKING:
    from runner.app.doctor import Question
    from runner.documents import Documents
    from runner.domain.diagnosis import Check
    from runner.settings import Settings
    from runner.wiring import Runner

_SIGNS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "wrong": ("✗", "red"), "skipped": ("-", "cyan")}


@click.command
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@as_json_option
def doctor(paths: tuple[Path, ...], as_json: bool) -> int:
    """Look at everything that runs depend on, and say how to mend what is wrong. Changes nothing in Azure.

    With PATH (files or folders of documents) also at every platform, landing zone and tenant in them: clock, sign-in, when secrets and
    certificates end, rights in Graph and Azure, management groups, functions. Without, at this machine alone: engine, providers, store,
    state backend.

    \b
    Exit codes:
      0  all well; warnings do not count
      7  something has to be mended
      2  the documents or settings are wrong: lzr validate says where

    \b
    Examples:
      lzr doctor
      lzr doctor my-landing-zones
      lzr doctor my-landing-zones --json
    """
    from runner import documents, settings

    read = documents.read(paths) if paths else None
    chosen = settings.read()
    checks: list[Check] = []

    def told(found: Sequence[Check]) -> None:
        if not as_json:
            _print(found, under=checks[-1].about if checks else "")
        checks.extend(found)

    with ExitStack() as stack:
        try:
            runner = stack.enter_context(_open(chosen))
        except RunnerError as error:
            if error.code.startswith("sandbox-") or chosen.server is not None:
                raise
            told(_without_store(error))
        else:
            for question in _questions(runner, read):
                _announce(question, quiet=as_json)
                found = question.answered(runner.redactor)
                _wipe(quiet=as_json)
                told(found)
    return _ended(checks, as_json=as_json)


@contextmanager
def _open(chosen: Settings) -> Iterator[Runner]:
    from runner import wiring

    with wiring.open_runner(chosen) as runner:
        yield runner


def _questions(runner: Runner, read: Documents | None) -> Iterator[Question]:
    from runner.app.doctor import of_this_machine

    stop = Event()  # nobody sets it: Ctrl-C ends the wait itself
    platforms = tuple(map(runner.placed_in_cloud, read.platforms.values())) if read else ()
    yield from of_this_machine(platforms, runner.instruments, stop)
    if read is None:
        return
    from runner.app.platform_checks import of_platforms

    tenants = [read.placed(name) for name in read.chosen]
    yield from of_platforms(platforms, tuple(read.zones.values()), tenants, runner.instruments, stop)


def _without_store(error: RunnerError) -> tuple[Check, ...]:
    from runner.app.doctor import MACHINE
    from runner.domain.diagnosis import Check, State

    return (
        Check("store", MACHINE, State.WRONG, str(error), error.hint),
        Check("everything-else", MACHINE, State.SKIPPED, "Not looked at: the store does not open."),
    )


def _announce(question: Question, *, quiet: bool) -> None:
    """On a terminal, what is being looked at; the outcome takes its place."""
    if not quiet and sys.stderr.isatty():
        text = plain(f"… {question.name}   {question.about}")
        click.echo(f"\r\x1b[K  {text[: shutil.get_terminal_size().columns - 3]}", nl=False, err=True)


def _wipe(*, quiet: bool) -> None:
    if not quiet and sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)


def _print(found: Sequence[Check], *, under: str) -> None:
    for check in found:
        if check.about != under:
            click.secho(f"{chr(10) if under else ''}{_sentence(plain(check.about))}", bold=True)
            under = check.about
        sign, colour = _SIGNS[check.state]
        first, *more = [line.strip() for line in check.text.splitlines() if line.strip()]
        click.echo(f"  {click.style(sign, fg=colour)} {check.name:<24} {plain(first)}")
        for line in more:
            click.echo(f"      {plain(line)}")
        for line in check.fix.splitlines():
            click.secho(f"      {plain(line)}", fg="cyan")


def _ended(checks: Sequence[Check], *, as_json: bool) -> int:
    from runner.domain.diagnosis import State, healthy

    well = healthy(checks)
    counts = {state: sum(check.state is state for check in checks) for state in State}
    if as_json:
        print_json({"healthy": well, "counts": counts, "checks": [asdict(check) for check in checks]})
    elif well:
        warned = f", {_counted(counts[State.WARNING], 'warning')}" if counts[State.WARNING] else ""
        click.secho(f"\nAll well: {_counted(counts[State.OK], 'check')} passed{warned}.", fg="green", bold=True)
    else:
        click.secho(f"\n{_counted(counts[State.WRONG], 'thing')} to mend.", fg="red", bold=True)
    return 0 if well else UNWELL


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
