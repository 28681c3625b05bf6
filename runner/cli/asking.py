"""Asking a person before something that cannot be taken back. A program is not asked: it says `--yes`."""

from __future__ import annotations

import sys

import click

from runner.errors import Refused

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def ask(question: str, *, yes: bool) -> None:
    """Return when the answer is yes; Refused where there is nobody to answer."""
    if yes:
        return
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        click.echo(err=True)
        if sys.stdin.isatty():
            raise
        raise Refused(
            "Nobody is there to answer",
            code="needs-yes",
            detail="This is done only after a yes, and standard input is no terminal. Nothing was changed.",
            hint="Where it is meant, give the same command with --yes.",
        ) from None
    if not agreed:
        raise click.Abort
