"""The command line. Commands are imported when they are called, so that `lzr --help` is quick.

Exit codes: 0 done (or nothing to do), 2 wrong input, 3 refused, 4 the engine failed, 5 something outside failed, 6 waits for
approval, 7 `lzr doctor` or `lzr audit verify` found something, 70 a bug, 130 canceled.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any

import click

from runner.errors import RunnerError

WAITING = 6
UNWELL = 7
_BUG = 70

# name -> (module, what it does in a few words); the module has the command under the same name
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("runner.cli.documents", "Write a commented starter set of documents."),
    "validate": ("runner.cli.documents", "Check documents; every problem with file, line and field."),
    "schema": ("runner.cli.documents", "Print JSON Schemas of the documents, for editors."),
    "render": ("runner.cli.render", "Write the Terraform of a tenant into a directory to read or run by hand."),
    "migrate": ("runner.cli.migrate", "Write the deployment stacks that take the place of a zone's blueprints."),
    "policy": ("runner.cli.policy", "Try a landing zone's approval rules on reviews and on cases."),
    "plan": ("runner.cli.work", "Plan tenants and show what would happen."),
    "review": ("runner.cli.runs", "Show what a run would do, or did."),
    "approve": ("runner.cli.runs", "Approve exactly what a review shows."),
    "reject": ("runner.cli.runs", "End a waiting run without applying it."),
    "apply": ("runner.cli.work", "Apply an approved run."),
    "reconcile": ("runner.cli.work", "Plan, decide and apply in one go."),
    "destroy": ("runner.cli.work", "Plan how a tenant leaves; reviewed like any other run."),
    "cancel": ("runner.cli.runs", "Stop a run."),
    "ci": ("runner.cli.ci", "Plan and apply within a pipeline: reviews as Markdown and JSON."),
    "runs": ("runner.cli.runs", "List runs, newest first."),
    "run": ("runner.cli.runs", "Show a run: steps, result, log."),
    "tenant": ("runner.cli.tenants", "One tenant: what it is and should be, taking over, deletion."),
    "tenants": ("runner.cli.tenants", "Subscriptions that nobody documents; tenants that leave."),
    "state": ("runner.cli.state", "Look at Terraform states, roll back, unlock."),
    "doctor": ("runner.cli.doctor", "Look at everything that runs depend on, and say how to mend it."),
    "serve": ("runner.cli.serve", "Serve the page and the API, and execute runs."),
    "token": ("runner.cli.token", "Tokens by which programs speak to a server."),
    "notify": ("runner.cli.notify", "Channels by which people are told what happens to runs."),
    "audit": ("runner.cli.audit", "The record of who did what, and whether it was changed."),
    "agent": ("runner.cli.agent", "Execute the building-block runs of a meshStack."),
    "store": ("runner.cli.store", "Back up, restore and check the store; rotate its key."),
    "sandbox": ("runner.cli.sandbox", "An Azure on this machine, to try things out."),
}

SECTIONS = {
    "Documents": ("init", "validate", "schema", "render", "migrate", "policy"),
    "Plan, review, apply": ("reconcile", "plan", "review", "approve", "reject", "apply", "destroy", "cancel", "ci"),
    "Look": ("runs", "run", "tenant", "tenants", "state"),
    "Operate": ("serve", "token", "notify", "audit", "agent", "doctor", "store", "sandbox"),
}


class LazyGroup(click.Group):
    """Knows the names and short helps of its commands without importing them."""

    def invoke(self, ctx: click.Context) -> Any:
        if not set(ctx.help_option_names) & set(ctx.args):
            refuse_wrong_settings()
        return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[cmd_name][0]), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, COMMANDS[name][1]) for name in names])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and name not in COMMANDS and not name.startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(name, COMMANDS, n=1)
            ctx.fail(f"There is no command {name!r}." + (f" Did you mean {close[0]!r}?" if close else ""))
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--server",
    metavar="URL",
    help="Ask this server (lzr serve) instead of working on this machine; the same as LZR_SERVER. Its token is in LZR_SERVER_TOKEN, "
    "or in the file LZR_SERVER_TOKEN_FILE.",
)
@click.version_option(version("landing-zone-runner"), prog_name="lzr", message="%(prog)s %(version)s")
@click.pass_context
def lzr(ctx: click.Context, server: str | None) -> None:
    """Landing zones and tenants as Terraform: planned, reviewed in plain words, applied exactly as approved.

    \b
    Try it on this machine, no Azure needed:
      make demo
    With your own documents:
      lzr init my-landing-zones
      lzr validate my-landing-zones
      lzr reconcile my-landing-zones

    Completion: eval "$(_LZR_COMPLETE=bash_source lzr)"   (or zsh_source, fish_source)
    """
    if os.environ.get("NO_COLOR"):
        ctx.color = False
    if server is not None:
        os.environ["LZR_SERVER"] = server


def refuse_wrong_settings() -> None:
    """InputError for an unknown or wrong `LZR_…` variable, also before a command that reads none; free where none is set."""
    if any(name.startswith("LZR_") for name in os.environ):
        from runner import settings  # brings pydantic: 0.2 s

        settings.read()


def run(arguments: Sequence[str]) -> int:
    """Run a command line; the exit code. Nothing but a bug of the terminal raises from here."""
    try:
        code = lzr.main(args=list(arguments), prog_name="lzr", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.Abort:
        click.echo("Canceled.", err=True)
        return 130
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except RunnerError as error:
        tell(error, as_json="--json" in arguments)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        import logging

        from runner import logs

        if not logging.getLogger(logs.NAME).handlers:
            logs.configure("warning", logs.Redactor())
        logging.getLogger(logs.NAME).error("command_failed", exc_info=error)
        click.echo(f"The runner has a bug ({type(error).__name__}). LZR_LOG_LEVEL=debug shows where.", err=True)
        return _BUG


def tell(error: RunnerError, *, as_json: bool = False) -> None:
    """An error in words: what, where, what to do."""
    if as_json:
        told: dict[str, Any] = {
            "family": error.family,
            "code": error.code,
            "summary": error.summary,
            "detail": error.detail,
            "hint": error.hint,
        }
        if (problems := getattr(error, "problems", None)) is not None:
            told["problems"] = [problem.as_json() for problem in problems]
        click.echo(json.dumps({"error": told}, indent=2, ensure_ascii=False))
        return
    click.echo(click.style(error.summary, fg="red", bold=True), err=True)
    for line in error.detail.splitlines():
        click.echo(f"  {line}", err=True)
    if error.hint:
        click.echo(click.style(f"  {error.hint}", fg="cyan"), err=True)
