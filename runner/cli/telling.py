"""What commands about runs share: opening the runner, telling how runs stand in words or JSON, and the exit code that follows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from textwrap import indent
from typing import TYPE_CHECKING, Any

import click

from runner.cli import WAITING
from runner.cli.places import Place
from runner.cli.places import me as me

if TYPE_CHECKING:
    from runner.domain.block_review import BlockReview
    from runner.domain.review import Review
    from runner.domain.run import Run
    from runner.wiring import Runner

_SHOWN = 3  # so many reviews are shown whole; of more, one line each
_CODES = {"input": 2, "refused": 3, "engine": 4, "remote": 5}

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
run_argument = click.argument("run_id", metavar="RUN")


@contextmanager
def opened() -> Iterator[Runner]:
    """The runner, as the settings say."""
    from runner import settings, wiring

    with wiring.open_runner(settings.read()) as runner:
        yield runner


def report(place: Place, ended: Sequence[Run], *, as_json: bool, shown: Iterable[str] = ()) -> int:
    """Tell how the runs stand; the exit code is that of the worst. Reviews that wait are shown unless they were (`shown`)."""
    from runner.app.walk import as_review
    from runner.cli import words
    from runner.domain.run import Status

    if as_json:
        _print_json_of(place, ended)
        return exit_code(ended)
    open_ones = [one for one in ended if one.status in (Status.WAITING, Status.APPROVED) and one.id not in shown]
    for one in ended:
        kept = place.review(one)
        made = as_review(one, kept) if kept else None
        if made is not None and one in open_ones and len(open_ones) <= _SHOWN:
            click.echo("")
            print_lines(words.review(made, one))
            continue
        print_lines(words.result(one, made, place.told(one).function))
        for warning in made.warnings if made else ():
            click.echo(f"  ? {words.plain(warning.text)}")
    if len(open_ones) > _SHOWN:
        click.echo(f"{len(open_ones)} runs are to be looked at: lzr review RUN shows what one would do.")
    return exit_code(ended)


def exit_code(ended: Sequence[Run]) -> int:
    """Failures go before waiting, waiting before success."""
    return worst(_code(one) for one in ended)


def worst(codes: Iterable[int]) -> int:
    """The exit code that says most."""
    return max(codes, key=lambda code: (code != 0, code != WAITING, code), default=0)


def _code(ended: Run) -> int:
    from runner.domain.run import Status

    match ended.status:
        case Status.APPLIED | Status.UNCHANGED | Status.APPROVED:
            return 0
        case Status.WAITING:
            return WAITING
        case Status.CANCELED:
            return 130
        case Status.FAILED if ended.failure is not None:
            return _CODES.get(ended.failure.family, 70)
        case _:
            return 3


def summary_json(run: Run) -> dict[str, Any]:
    """A run without its documents and what only this machine understands."""
    return run.model_dump(mode="json", exclude={"engine", "executor"})


def run_json(place: Place, run: Run) -> dict[str, Any]:
    """A run with its review, approvals, steps, outputs and the function's answer. `changes` says whether there is anything to do."""
    told, kept = place.told(run), place.review(run)
    return {
        **summary_json(run),
        "changes": kept is not None and not _kind_of(kept).model_validate(kept).nothing_changes,
        "review": kept,
        "approvals": [
            {
                "by": a.by,
                "at": a.at.isoformat(),
                "expires": a.expires.isoformat(),
                "digest": a.digest,
                "comment": a.comment,
            }
            for a in told.approvals
        ],
        "steps": [step.model_dump(mode="json") for step in told.steps],
        "warnings": list(told.warnings),
        "outputs": told.outputs,
        "function": told.function,
    }


def _kind_of(kept: dict[str, Any]) -> type[Review] | type[BlockReview]:
    from runner.domain.block_review import BlockReview
    from runner.domain.review import Review

    return BlockReview if kept.get("kind") == "building-block" else Review


def print_lines(lines: Iterator[str]) -> None:
    for line in lines:
        click.echo(line)


def print_json(value: Any) -> None:
    click.echo(_json(value))


def _print_json_of(place: Place, ended: Sequence[Run]) -> None:
    """One run after the other: thousands of reviews never are in memory together."""
    click.echo('{\n  "runs": [', nl=False)
    for number, one in enumerate(ended):
        click.echo("," if number else "")
        click.echo(indent(_json(run_json(place, one)), "    "), nl=False)
    click.echo("\n  ]\n}" if ended else "]\n}")


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
