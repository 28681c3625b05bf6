"""`lzr policy test`: a landing zone's approval rules, tried on cases and on reviews. Nothing is decided by it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.telling import as_json_option, print_json, print_lines
from runner.errors import InputError

if TYPE_CHECKING:
    from runner.app.deciding import Said
    from runner.documents import Documents
    from runner.domain.landing_zone import LandingZone
    from runner.domain.review import Review

_FILE = click.Path(dir_okay=False, path_type=Path)


@dataclass(frozen=True)
class Tried:
    """What the rules said of one case or review. `wrong` is empty where that is what was expected, or nothing was; `decides` says who
    would, all things considered, and is empty for a case."""

    name: str
    then: str
    rule: str
    wrong: str
    unanswered: dict[str, str]
    decides: str = ""


@click.group
def policy() -> None:
    """A landing zone's approval rules."""


@policy.command
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@click.option("--zone", metavar="NAME", help="The landing zone. Without it, the only one that has rules.")
@click.option("--cases", multiple=True, type=_FILE, metavar="FILE", help="Cases in YAML; may be repeated.")
@click.option(
    "--review",
    "reviews",
    multiple=True,
    type=_FILE,
    metavar="FILE",
    help="What lzr review RUN --json printed; may be repeated.",
)
@click.option("--run", "runs", multiple=True, metavar="RUN", help="A run that has a review; may be repeated.")
@as_json_option
def test(
    paths: tuple[Path, ...],
    zone: str | None,
    cases: tuple[Path, ...],
    reviews: tuple[Path, ...],
    runs: tuple[str, ...],
    as_json: bool,
) -> int:
    """Try the approval rules of a landing zone, as PATH documents them, on cases and on reviews.

    A file of cases says what the plan would do, and what is expected of the rules: ask, allow or deny, or policy where no rule is to
    decide. What a case does not give is nothing: no changes, no people, every count 0. The exit code is 0 when every case is as
    expected and 2 when one is not. Reviews are only told: who would decide, had they been planned with these rules.

    \b
      cases:
        - name: more cost than 100 EUR asks a person
          given: {cost: {known: true, monthly: 120, currency: EUR}}
          expect: ask
          rule: expensive

    \b
    Examples:
      lzr policy test examples/policy/documents --cases examples/policy/cases.yaml
      lzr policy test landing-zones --zone corp-online --run 01jd8k3v
    """
    from runner import documents
    from runner.cli.words import plain
    from runner.policy.expressions import CelExpressions

    if not (cases or reviews or runs):
        raise click.UsageError("Give cases, reviews or runs to try the rules on.", click.get_current_context())
    read = documents.read(paths, expressions=CelExpressions().problems)
    found = _zone(read, zone)
    tried = list(_on_cases(found, cases))
    told = list(_on_reviews(read, found, _reviews(reviews, runs)))
    if as_json:
        print_json({"zone": found.name, "cases": list(map(asdict, tried)), "reviews": list(map(asdict, told))})
    else:
        rules = len(found.spec.approval.rules)
        click.secho(f"{plain(found.name)}: {rules} rule{'' if rules == 1 else 's'}", bold=True)
        print_lines(line for one in (*tried, *told) for line in _lines(one))
    return InputError.exit_code if any(one.wrong for one in tried) else 0


def _zone(read: Documents, name: str | None) -> LandingZone:
    ruled = [zone for zone in read.zones.values() if zone.spec.approval.rules]
    if name is None and len(ruled) == 1:
        return ruled[0]
    if name is not None and name in read.zones:
        return read.zones[name]
    raise InputError(
        "Which landing zone?",
        code="zone-unknown",
        detail=f"There is no landing zone {name!r}." if name is not None else f"{len(ruled)} landing zones have rules.",
        hint=f"--zone is one of {', '.join(sorted(read.zones))}."
        if read.zones
        else "Give the folder with all documents.",
    )


def _on_cases(zone: LandingZone, files: Iterable[Path]) -> Iterator[Tried]:
    from runner.app.deciding import asked
    from runner.documents import single
    from runner.domain.policy_cases import PolicyCases
    from runner.policy.expressions import CelExpressions

    unreadable = InputError("The cases cannot be read", code="cases-unreadable", hint="Name the file with --cases.")
    for case in (case for file in files for case in single.read(file, PolicyCases, unreadable=unreadable).cases):
        said = asked(zone.spec.approval, case.variables(zone.name), CelExpressions())
        then, rule = _said(said)
        right = then == case.expect and case.rule in (None, rule)
        expected = f"{case.expect} by {case.rule}" if case.rule else case.expect
        yield Tried(case.name, then, rule, "" if right else f"expected was {expected}", dict(said.unanswered))


def _said(said: Said) -> tuple[str, str]:
    return (said.verdict.then, said.verdict.rule) if said.verdict is not None else ("policy", "")


def _reviews(files: Sequence[Path], runs: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Runs with their reviews, as JSON tells them."""
    for file in files:
        try:
            yield json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it is no JSON"
            raise _no_review(f"{file}: {why}.") from None
    if runs:
        from runner.cli.places import at_hand
        from runner.cli.telling import run_json

        with at_hand() as place:
            for run_id in runs:
                yield run_json(place, place.run(run_id))


def _on_reviews(read: Documents, zone: LandingZone, found: Iterable[dict[str, Any]]) -> Iterator[Tried]:
    from pydantic import ValidationError

    from runner.app.deciding import asked
    from runner.domain import policy, review
    from runner.domain.review import Review
    from runner.domain.run import DRIFTED, SCHEDULED, Run
    from runner.policy.expressions import CelExpressions

    for told in found:
        try:
            fields = Run.model_fields.keys() - {"warnings"}  # which are told whole there, and counted in a run
            run = Run.model_validate({name: told[name] for name in fields if name in told})
            made: Review = Review.model_validate(told["review"])
        except (ValidationError, KeyError, TypeError):
            raise _no_review("It is not what lzr review RUN --json prints of a run that has a review.") from None
        placed = read.placed(run.tenant).model_copy(update={"zone": zone})
        options = run.options
        given = policy.variables(
            made,
            placed,
            run,
            now=datetime.fromisoformat(told["created"]),
            scheduled=bool(options.get(SCHEDULED)),
            drifted=bool(options.get(DRIFTED)),
        )
        said = asked(zone.spec.approval, given, CelExpressions())
        then, rule = _said(said)
        decided = made.model_copy(update={"verdict": said.verdict})
        decides = review.decision(zone.spec.approval, decided, leaves_by_itself=zone.spec.automate_deletion_approval)
        who = "nobody" if decided.stops else decides
        yield Tried(f"{run.tenant} ({run.id})", then, rule, "", dict(said.unanswered), who)


def _no_review(detail: str) -> InputError:
    return InputError(
        "The review cannot be read", code="review-unreadable", detail=detail, hint="lzr review RUN --json > review.json"
    )


_DECIDES = {"nobody": "nobody may approve it", "person": "a person decides", "policy": "it runs on"}


def _lines(tried: Tried) -> Iterator[str]:
    from runner.cli.words import plain

    sign = click.style("✗", fg="red") if tried.wrong else click.style("✓", fg="green")
    by = f" by {tried.rule}" if tried.rule else ""
    rest = f"; {tried.wrong or _DECIDES.get(tried.decides, '')}".removesuffix("; ")
    yield f"{sign} {plain(tried.name)}   {tried.then}{by}{rest}"
    for name, why in tried.unanswered.items():
        yield f"    {name} could not be evaluated: {plain(why)}"
