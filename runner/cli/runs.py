"""Commands that look at runs and decide about them: review, approve, reject, cancel, runs, run."""

from __future__ import annotations

import json

import click

from runner.cli.telling import (
    answer_of,
    as_json_option,
    me,
    opened,
    print_json,
    print_lines,
    run_argument,
    run_json,
    summary_json,
)
from runner.errors import InputError

_CALLING = "call the function"  # the step's name


@click.command
@run_argument
@click.option("--all", "everything", is_flag=True, help="Every attribute of every change, every id, every invitation.")
@click.option("--function", is_flag=True, help="All headers of the function call.")
@as_json_option
def review(run_id: str, everything: bool, function: bool, as_json: bool) -> int:
    """Show what a run would do, or did.

    \b
    Example:
      lzr runs
      lzr review 01jd8k3v --all
    """
    from runner.app.walk import is_of_meshstack, review_of
    from runner.cli import words

    with opened() as runner:
        run = runner.ports.runs.get(run_id)
        if as_json and runner.ports.runs.review(run.id) is not None:
            print_json(run_json(runner, run))
        elif is_of_meshstack(run) and (kept := runner.ports.runs.review(run.id)) is not None:
            from runner.cli import block_words
            from runner.domain.block_review import BlockReview

            print_lines(block_words.review(BlockReview.model_validate(kept), everything=everything))
        else:
            made = review_of(run, runner.ports)
            print_lines(words.review(made, run, everything=everything, function=function))
    return 0


@click.command
@run_argument
@click.option("--digest", help="The digest of the review you saw (or its beginning); refused when it is another one.")
@click.option(
    "--confirm-delete", "confirmed", multiple=True, metavar="NAME", help="A resource group to delete with its contents."
)
@click.option("--comment", default="", help="For the record.")
@as_json_option
def approve(run_id: str, digest: str | None, confirmed: tuple[str, ...], comment: str, as_json: bool) -> int:
    """Approve exactly what a review shows. The approval expires as the landing zone says.

    \b
    Example:
      lzr approve 01jd8k3v --digest 9f41c2d0
    """
    from runner.app import reviewing

    with opened() as runner:
        run = runner.ports.runs.get(run_id)
        approved = reviewing.approve(
            run,
            by=me(),
            ports=runner.ports,
            expires_after=runner.settings.review_expires,
            digest=digest,
            confirmed=confirmed,
            comment=comment,
        )
        expires = runner.ports.runs.approvals(approved.id)[-1].expires
        if as_json:
            print_json(run_json(runner, approved))
        else:
            click.echo(f"Approved by {me()}, valid until {expires:%Y-%m-%d %H:%M} UTC.   lzr apply {approved.id}")
    return 0


@click.command
@run_argument
@click.option("--comment", default="", help="For the record.")
def reject(run_id: str, comment: str) -> int:
    """End a waiting run without applying it.

    \b
    Example:
      lzr reject 01jd8k3v --comment "wrong landing zone"
    """
    from runner.app import reviewing

    with opened() as runner:
        run = reviewing.reject(runner.ports.runs.get(run_id), by=me(), ports=runner.ports, comment=comment)
        click.echo(f"Rejected: {run.tenant}.")
    return 0


@click.command
@run_argument
def cancel(run_id: str) -> int:
    """Stop a run: at once where it waits; the engine saves its state first where it works.

    \b
    Example:
      lzr cancel 01jd8k3v
    """
    from runner.app import reviewing
    from runner.domain.run import Status

    with opened() as runner:
        run = reviewing.cancel(runner.ports.runs.get(run_id), by=me(), ports=runner.ports)
        if run.status is Status.CANCELED:
            click.echo(f"Canceled: {run.tenant}.")
        else:
            click.echo(f"Asked {run.tenant} to stop.   lzr run {run.id} --follow")
    return 0


@click.command
@click.argument("tenant", required=False)
@click.option("--status", "statuses", multiple=True, help="Only runs of this status; may be repeated.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@as_json_option
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
    with opened() as runner:
        wanted = [Status(status) for status in statuses] or None
        found = runner.ports.runs.find(tenant=tenant, statuses=wanted, limit=limit)
        if as_json:
            print_json([summary_json(run) for run in found])
        elif found:
            print_lines(words.runs(found, runner.ports.now()))
        else:
            click.echo("No runs." if not (tenant or statuses) else "No such runs.")
    return 0


@click.command
@run_argument
@click.option("--log", "whole_log", is_flag=True, help="The whole log.")
@click.option("--follow", is_flag=True, help="The log as it grows, until the run ends or waits.")
@as_json_option
def run(run_id: str, whole_log: bool, follow: bool, as_json: bool) -> int:
    """Show a run: status, steps, result.

    \b
    Example:
      lzr run 01jd8k3v --follow
    """
    from runner.cli import progress, words
    from runner.domain.events import Kind, steps_of

    with opened() as runner:
        found = runner.ports.runs.get(run_id)
        if follow or whole_log:
            found = progress.log(runner.ports.runs, found, keep_on=follow)
        if as_json:
            print_json(run_json(runner, found))
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
        answer = answer_of(runner, found)
        for step in steps_of(events):
            mark = {"succeeded": "✓", "failed": "✗", "running": "▸"}[step.status]
            click.echo(f"  {mark} {step.name:<28} {words.duration(step.seconds):>7}  {words.plain(step.note)}".rstrip())
            if answer is not None and step.name == _CALLING:
                print_lines(words.answer(answer))
        for event in events:
            if event.kind is Kind.WARNING:
                click.echo(f"  ? {words.plain(event.data['text'])}")
            elif event.kind is Kind.OUTPUT:
                click.echo(f"  = {words.plain(event.data['name'])}: {words.plain(json.dumps(event.data['value']))}")
        print_lines(words.failure(found))
    return 0
