"""Commands about runs: plan, review, approve, reject, apply, reconcile, destroy, cancel, and looking at them."""

from __future__ import annotations

import getpass
import json
import os
import signal
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli import WAITING
from runner.errors import InputError, Refused

if TYPE_CHECKING:
    from runner.domain.configuration import Placed
    from runner.domain.review import Review
    from runner.domain.run import Run, Status
    from runner.durable import Durable
    from runner.wiring import Runner

_PATHS = click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
_RUN = click.argument("run_id", metavar="RUN")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
_TENANT = click.option(
    "--tenant", "-t", "only", multiple=True, metavar="NAME", help="Only this tenant; may be repeated."
)


@click.command
@_PATHS
@_TENANT
@_JSON
def plan(paths: tuple[Path, ...], only: tuple[str, ...], as_json: bool) -> int:
    """Plan tenants and show what would happen; nothing is changed.

    \b
    Example:
      lzr plan my-landing-zones --tenant payments.checkout-dev
    """
    with _runner() as runner, _working(runner) as durable:
        started = _start_all(runner, paths, only)
        return _plan_all(runner, durable, started, as_json=as_json)


@click.command
@_PATHS
@_TENANT
@_JSON
@click.option("--reason", default="", help="Why, for the record.")
def reconcile(paths: tuple[Path, ...], only: tuple[str, ...], as_json: bool, reason: str) -> int:
    """Plan tenants, decide by policy or by asking you, and apply what was approved.

    Without a terminal nobody is asked: runs that need a person are left waiting, and the exit code is 6.

    \b
    Example:
      lzr reconcile my-landing-zones
    """
    with _runner() as runner, _working(runner) as durable:
        started = _start_all(runner, paths, only, reason=reason)
        return _carry_through(runner, durable, started, as_json=as_json)


@click.command
@click.argument("tenant")
@click.option("--in", "path", default=".", show_default=True, type=click.Path(path_type=Path), help="The documents.")
@click.option(
    "--move-to", metavar="MANAGEMENT_GROUP", help="Move the subscription there; otherwise it stays where it is."
)
@click.option("--reason", default="", help="Why, for the record.")
@_JSON
def destroy(tenant: str, path: Path, move_to: str | None, reason: str, as_json: bool) -> int:
    """Plan how a tenant leaves, and after approval let it: members first, then Terraform.

    The subscription and its place stay unless asked; resource groups with contents must be confirmed by name.

    \b
    Example:
      lzr destroy payments.checkout-dev --in my-landing-zones --reason "project ended"
    """
    from runner.domain.run import Behavior

    with _runner() as runner, _working(runner) as durable:
        options = {"move_to": move_to} if move_to else {}
        started = _start_all(runner, (path,), (tenant,), reason=reason, behavior=Behavior.DESTROY, options=options)
        return _carry_through(runner, durable, started, as_json=as_json)


@click.command
@_RUN
@click.option("--all", "everything", is_flag=True, help="Every attribute of every change.")
@click.option("--function", is_flag=True, help="All headers of the function call.")
@_JSON
def review(run_id: str, everything: bool, function: bool, as_json: bool) -> int:
    """Show what a run would do, or did.

    \b
    Example:
      lzr runs
      lzr review 01jd8k3v --all
    """
    from runner.app.reconcile import review_of
    from runner.cli import words

    with _runner() as runner:
        run = runner.ports.runs.get(run_id)
        made = review_of(run, runner.ports)
        if as_json:
            _print_json(_as_json(runner, run))
        else:
            _print(words.review(made, run, everything=everything, function=function))
    return 0


@click.command
@_RUN
@click.option("--digest", help="The digest of the review you saw (or its beginning); refused when it is another one.")
@click.option(
    "--confirm-delete", "confirmed", multiple=True, metavar="NAME", help="A resource group to delete with its contents."
)
@click.option("--comment", default="", help="For the record.")
@_JSON
def approve(run_id: str, digest: str | None, confirmed: tuple[str, ...], comment: str, as_json: bool) -> int:
    """Approve exactly what a review shows. The approval expires as the landing zone says.

    \b
    Example:
      lzr approve 01jd8k3v --digest 9f41c2d0
    """
    from runner.app import reviewing

    with _runner() as runner:
        run = runner.ports.runs.get(run_id)
        approved = reviewing.approve(
            run, by=_me(), ports=runner.ports, digest=digest, confirmed=confirmed, comment=comment
        )
        expires = runner.ports.runs.approvals(approved.id)[-1].expires
        if as_json:
            _print_json(_as_json(runner, approved))
        else:
            click.echo(f"Approved by {_me()}, valid until {expires:%Y-%m-%d %H:%M} UTC.   lzr apply {approved.id}")
    return 0


@click.command
@_RUN
@click.option("--comment", default="", help="For the record.")
def reject(run_id: str, comment: str) -> int:
    """End a waiting run without applying it.

    \b
    Example:
      lzr reject 01jd8k3v --comment "wrong landing zone"
    """
    from runner.app import reviewing

    with _runner() as runner:
        run = reviewing.reject(runner.ports.runs.get(run_id), by=_me(), ports=runner.ports, comment=comment)
        click.echo(f"Rejected: {run.tenant}.")
    return 0


@click.command
@_RUN
@_JSON
def apply(run_id: str, as_json: bool) -> int:
    """Apply an approved run; refused when anything moved since.

    \b
    Example:
      lzr apply 01jd8k3v
    """
    from runner.cli import progress
    from runner.domain.run import Status

    with _runner() as runner, _working(runner) as durable:
        run = runner.ports.runs.get(run_id)
        if run.status is not Status.APPROVED:
            hint = f"lzr approve {run.id}" if run.status is Status.WAITING else f"lzr run {run.id}"
            raise Refused(
                "The run is not approved", code="run-not-approved", detail=f"Run {run.id} is {run.status}.", hint=hint
            )
        durable.apply(run)
        return _report(runner, _follow(runner, [run], through=progress.APPLYING, quiet=as_json), as_json=as_json)


@click.command
@_RUN
def cancel(run_id: str) -> int:
    """Stop a run: at once where it waits; the engine saves its state first where it works.

    \b
    Example:
      lzr cancel 01jd8k3v
    """
    from runner.app import reviewing
    from runner.domain.run import Status

    with _runner() as runner:
        run = reviewing.cancel(runner.ports.runs.get(run_id), by=_me(), ports=runner.ports)
        if run.status is Status.CANCELED:
            click.echo(f"Canceled: {run.tenant}.")
        else:
            click.echo(f"Asked {run.tenant} to stop.   lzr run {run.id} --follow")
    return 0


@click.command
@click.argument("tenant", required=False)
@click.option("--status", "statuses", multiple=True, help="Only runs of this status; may be repeated.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@_JSON
def runs(tenant: str | None, statuses: tuple[str, ...], limit: int, as_json: bool) -> int:
    """List runs, newest first.

    \b
    Example:
      lzr runs --status waiting
    """
    from runner.cli import words
    from runner.domain.run import Status

    unknown = [status for status in statuses if status not in list(Status)]
    if unknown:
        raise InputError(
            "No such status", code="unknown-status", detail=unknown[0], hint="One of: " + ", ".join(Status)
        )
    with _runner() as runner:
        wanted = [Status(status) for status in statuses] or None
        found = runner.ports.runs.find(tenant=tenant, statuses=wanted, limit=limit)
        if as_json:
            _print_json([_run_json(run) for run in found])
        elif found:
            _print(words.runs(found, runner.ports.now()))
        else:
            click.echo("No runs." if not (tenant or statuses) else "No such runs.")
    return 0


@click.command
@_RUN
@click.option("--log", "whole_log", is_flag=True, help="The whole log.")
@click.option("--follow", is_flag=True, help="The log as it grows, until the run ends or waits.")
@_JSON
def run(run_id: str, whole_log: bool, follow: bool, as_json: bool) -> int:
    """Show a run: status, steps, result.

    \b
    Example:
      lzr run 01jd8k3v --follow
    """
    from runner.cli import progress, words
    from runner.domain.events import Kind, steps_of

    with _runner() as runner:
        found = runner.ports.runs.get(run_id)
        if follow or whole_log:
            found = progress.log(runner.ports.runs, found, keep_on=follow)
        if as_json:
            _print_json(_as_json(runner, found))
            return 0
        now = runner.ports.now()
        click.echo(
            f"{click.style(words.plain(found.tenant), bold=True)}   run {found.id}   {words.status(found)}   "
            f"{found.behavior} by {words.plain(found.requested_by)}, {words.ago(found.updated, now)}"
        )
        if found.reason:
            click.echo(f"  {words.plain(found.reason)}")
        for approval in runner.ports.runs.approvals(found.id):
            comment = f": {words.plain(approval.comment)}" if approval.comment else ""
            click.echo(f"  approved by {words.plain(approval.by)} at {approval.at:%Y-%m-%d %H:%M} UTC{comment}")
        events = runner.ports.runs.events(found.id)
        for step in steps_of(events):
            mark = {"succeeded": "✓", "failed": "✗", "running": "▸"}[step.status]
            click.echo(f"  {mark} {step.name:<28} {words.duration(step.seconds):>7}  {words.plain(step.note)}".rstrip())
        for event in events:
            if event.kind is Kind.WARNING:
                click.echo(f"  ? {words.plain(event.data['text'])}")
            elif event.kind is Kind.OUTPUT:
                click.echo(f"  = {words.plain(event.data['name'])}: {words.plain(json.dumps(event.data['value']))}")
        _print(words.failure(found))
    return 0


# --- how they are carried out ----------------------------------------------------------------------------------------


@contextmanager
def _runner() -> Iterator[Runner]:
    from runner import settings, wiring

    with wiring.open_runner(settings.read()) as runner:
        yield runner


@contextmanager
def _working(runner: Runner) -> Iterator[Durable]:
    """A process that executes runs: takes over what dead ones left, and stops gently on Ctrl-C and SIGTERM."""
    from runner.app import reviewing

    with runner.durable() as durable:

        def on_signal(number: int, frame: object) -> None:
            click.echo("\nStopping; the engine saves its state first. Once more to leave it at that.", err=True)
            durable.stop_all()
            runner.stopping.set()
            signal.signal(signal.SIGINT, signal.default_int_handler)

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            reviewing.expire(runner.ports, after=runner.settings.review_expires)
            for taken in durable.take_over():
                click.echo(f"Going on with {taken.tenant} (run {taken.id}): its process had died.", err=True)
            yield durable
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _start_all(
    runner: Runner,
    paths: Sequence[Path],
    only: Sequence[str],
    *,
    reason: str = "",
    behavior: Any = None,
    options: dict[str, Any] | None = None,
) -> list[Run]:
    """Read the documents and create a pending run for each tenant they name."""
    from runner import documents
    from runner.app import reviewing
    from runner.domain.run import Behavior
    from runner.durable import new_id

    read = documents.read(paths)
    for warning in read.warnings:
        click.echo(f"  ? {warning}", err=True)
    names = list(only) or list(read.tenants)
    for name in names:
        if name not in read.tenants:
            raise InputError(
                "No such tenant",
                code="unknown-tenant",
                detail=f"The documents name no tenant {name!r}.",
                hint="Known are: " + ", ".join(sorted(read.tenants)[:10]),
            )
    source = os.pathsep.join(str(path.absolute()) for path in paths)
    started = []
    for name in names:
        placed: Placed = read.placed(name)
        started.append(
            reviewing.start(
                placed,
                run_id=new_id(),
                digest=read.digest(name),
                source=source,
                by=_me(),
                ports=runner.ports,
                behavior=behavior or Behavior.APPLY,
                reason=reason,
                options=options,
            )
        )
    return started


def _plan_all(runner: Runner, durable: Durable, started: list[Run], *, as_json: bool) -> int:
    from runner.cli import progress

    for one in started:
        durable.plan(one)
    planned = _follow(runner, started, through=progress.PLANNING, quiet=as_json)
    return _report(runner, planned, as_json=as_json, reviews=True)


def _carry_through(runner: Runner, durable: Durable, started: list[Run], *, as_json: bool) -> int:
    """Plan, decide and apply; runs that policy approves are applied as soon as they are planned."""
    from runner.cli import progress
    from runner.domain.run import Status

    for one in started:
        durable.plan(one)
    waiting: list[Run] = []
    applying: list[Run] = []
    done: dict[str, Run] = {}

    def planned(one: Run) -> None:
        if one.status is Status.WAITING:
            waiting.append(one)
        elif one.status is Status.APPROVED:
            durable.apply(one)
            applying.append(one)
        else:
            done[one.id] = one

    _follow(runner, started, through=progress.PLANNING, quiet=as_json, ended=planned)
    for one in waiting:
        if (approved := _ask(runner, one, as_json=as_json)) is not None:
            durable.apply(approved)
            applying.append(approved)
        else:
            done[one.id] = runner.ports.runs.get(one.id)
    for one in _follow(runner, applying, through=progress.APPLYING, quiet=as_json):
        done[one.id] = one
    return _report(runner, [done[one.id] for one in started], as_json=as_json)


def _ask(runner: Runner, waiting: Run, *, as_json: bool) -> Run | None:
    """Show the review and let the person at the terminal decide; None when nobody approved."""
    from runner.app import reviewing
    from runner.app.reconcile import review_of
    from runner.cli import words

    made: Review = review_of(waiting, runner.ports)
    if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    _print(words.review(made, waiting))
    confirmed: list[str] = []
    for contents in made.contents:
        typed = click.prompt(f"Type the name of {contents.resource_group} to delete it with its contents", default="")
        confirmed.append(typed)
    answer = click.prompt("Approve and apply exactly this?", type=click.Choice(["y", "n", "later"]), default="later")
    if answer == "y":
        return reviewing.approve(waiting, by=_me(), ports=runner.ports, digest=made.digest, confirmed=tuple(confirmed))
    if answer == "n":
        reviewing.reject(waiting, by=_me(), ports=runner.ports)
    return None


def _follow(
    runner: Runner, followed: list[Run], *, through: Collection[Status], quiet: bool, ended: Any = None
) -> list[Run]:
    from runner.cli import progress

    return progress.follow(
        runner.ports.runs,
        followed,
        through=through,
        quiet=quiet,
        ended=ended or (lambda one: None),
        stopping=runner.stopping,
    )


def _report(runner: Runner, ended: list[Run], *, as_json: bool, reviews: bool = False) -> int:
    """Tell how the runs ended; the exit code is that of the worst."""
    from runner.app.reconcile import review_of
    from runner.cli import words
    from runner.domain.run import Status

    if as_json:
        _print_json({"runs": [_as_json(runner, one) for one in ended]})
    for one in [] if as_json else ended:
        kept = runner.ports.runs.review(one.id)
        made = review_of(one, runner.ports) if kept else None
        if reviews and made is not None and one.status in (Status.WAITING, Status.APPROVED):
            click.echo("")
            _print(words.review(made, one))
        else:
            _print(words.result(one, made, _answer(runner, one)))
            for warning in made.warnings if made else ():
                click.echo(f"  ? {words.plain(warning.text)}")
    return max((_exit_code(one) for one in ended), key=lambda code: (code != 0, code != WAITING, code), default=0)


def _exit_code(ended: Run) -> int:
    from runner.domain.run import Status

    match ended.status:
        case Status.APPLIED | Status.UNCHANGED | Status.APPROVED:
            return 0
        case Status.WAITING:
            return WAITING
        case Status.CANCELED:
            return 130
        case Status.FAILED if ended.failure is not None:
            return {"input": 2, "refused": 3, "engine": 4, "remote": 5}.get(ended.failure.family, 70)
        case _:
            return 3


def _answer(runner: Runner, ended: Run) -> dict[str, Any] | None:
    found = runner.ports.journal(ended.id).result("function")
    return found if isinstance(found, dict) else None


def _run_json(one: Run) -> dict[str, Any]:
    return one.model_dump(mode="json", exclude={"snapshot", "engine", "executor"})


def _as_json(runner: Runner, one: Run) -> dict[str, Any]:
    """A run with its review, outputs and the function's answer, for programs."""
    from runner.domain.events import Kind, steps_of

    events = runner.ports.runs.events(one.id)
    made = runner.ports.runs.review(one.id)
    return {
        **_run_json(one),
        "changes": bool(
            made and (made["changes"] or any(made["access"][k] for k in ("invitations", "additions", "removals")))
        ),
        "review": made,
        "approvals": [
            {
                "by": a.by,
                "at": a.at.isoformat(),
                "expires": a.expires.isoformat(),
                "digest": a.digest,
                "comment": a.comment,
            }
            for a in runner.ports.runs.approvals(one.id)
        ],
        "steps": [step.model_dump(mode="json") for step in steps_of(events)],
        "warnings": [event.data for event in events if event.kind is Kind.WARNING],
        "outputs": {event.data["name"]: event.data["value"] for event in events if event.kind is Kind.OUTPUT},
        "function": _answer(runner, one),
    }


def _print(lines: Iterator[str]) -> None:
    for line in lines:
        click.echo(line)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True))


def _me() -> str:
    """The operating-system user: who approves, until there is sign-in."""
    return getpass.getuser()
