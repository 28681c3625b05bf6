"""Commands that look at runs and decide about them: review, approve, reject, cancel, runs, run."""

from __future__ import annotations

import json

import click

from runner.cli.places import at_hand
from runner.cli.telling import as_json_option, print_json, print_lines, run_argument, run_json, summary_json
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
    from runner.app.walk import as_review
    from runner.cli import words

    with at_hand() as place:
        run = place.run(run_id)
        kept = place.review(run)
        if as_json and kept is not None:
            print_json(run_json(place, run))
        elif kept is not None and kept.get("kind") == "building-block":
            from runner.cli import block_words
            from runner.domain.block_review import BlockReview

            print_lines(block_words.review(BlockReview.model_validate(kept), everything=everything))
        else:
            print_lines(words.review(as_review(run, kept), run, everything=everything, function=function))
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
    from runner.cli.words import plain
    from runner.domain.run import APPLY

    with at_hand() as place:
        approved = place.approve(place.run(run_id), digest=digest, confirmed=confirmed, comment=comment)
        if as_json:
            print_json(run_json(place, approved))
            return 0
        approval = place.told(approved).approvals[-1]
        then = f"lzr run {approved.id} --follow" if approved.options.get(APPLY) else f"lzr apply {approved.id}"
        click.echo(f"Approved by {plain(approval.by)}, valid until {approval.expires:%Y-%m-%d %H:%M} UTC.   {then}")
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
    with at_hand() as place:
        run = place.reject(place.run(run_id), comment=comment)
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
    from runner.domain.run import Status

    with at_hand() as place:
        run = place.cancel(place.run(run_id))
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
    with at_hand() as place:
        wanted = [Status(status) for status in statuses] or None
        found = place.runs(tenant=tenant, statuses=wanted, limit=limit)
        if as_json:
            print_json([summary_json(run) for run in found])
        elif found:
            print_lines(words.runs(found, place.now))
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

    with at_hand() as place:
        found = place.run(run_id)
        if follow or whole_log:
            found = progress.log(place, found, keep_on=follow)
        if as_json:
            print_json(run_json(place, found))
            return 0
        told, now = place.told(found), place.now
        click.echo(
            f"{click.style(words.plain(found.tenant), bold=True)}   run {found.id}   {words.status(found)}   "
            f"{found.behavior} by {words.plain(found.requested_by)}, {words.ago(found.updated, now)}"
        )
        if found.reason:
            click.echo(f"  {words.plain(found.reason)}")
        for approval in told.approvals:
            comment = f": {words.plain(approval.comment)}" if approval.comment else ""
            click.echo(f"  approved by {words.plain(approval.by)} at {approval.at:%Y-%m-%d %H:%M} UTC{comment}")
        for step in told.steps:
            mark = {"succeeded": "✓", "failed": "✗", "running": "▸"}[step.status]
            click.echo(f"  {mark} {step.name:<28} {words.duration(step.seconds):>7}  {words.plain(step.note)}".rstrip())
            if told.function is not None and step.name == _CALLING:
                print_lines(words.answer(told.function))
        for warning in told.warnings:
            click.echo(f"  ? {words.plain(warning['text'])}")
        for name, value in told.outputs.items():
            click.echo(f"  = {words.plain(name)}: {words.plain(json.dumps(value))}")
        print_lines(words.failure(found))
    return 0
